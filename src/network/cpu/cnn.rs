//! The convolutional encoder and its decoder.

use burn::nn::conv::Conv2d;
use rrsis_kernels::{
    Conv3x3, InvertedResidual, LayerNorm, Linear, Map, Matrix, Piece, Precision, Team, Then, Write,
    add_products, mean, padding, relu,
};

use super::bert::Words;
use super::parameters::{layer_norm, linear, of, values};
use super::source::Source;
use super::{EPSILON, Tokens, Workspace, grown};
use crate::network::cnn;

/// Side and stride of the first convolution.
const STEM: [usize; 2] = [3, 2];

#[derive(Debug)]
pub(super) struct Cnn {
    stem: Linear,
    blocks: Vec<InvertedResidual>,
    ends: Vec<usize>,
    gates: Vec<Gate>,
    convs: Vec<Conv3x3>,
    /// To a term for the logit of the foreground, in f32.
    out: Matrix,
    out_bias: Vec<f32>,
}

/// See [`cnn::CnnGate`].
#[derive(Debug)]
struct Gate {
    norm: LayerNorm,
    visual: Linear,
    language: Linear,
}

impl Cnn {
    pub(super) fn new(
        cnn: cnn::Cnn,
        decoder: cnn::CnnDecoder,
        precision: Precision,
        source: &mut impl Source,
    ) -> Self {
        let last = source.fill(decoder.out, "cnn_decoder.out");
        let out = of(&last.weight);
        Self {
            // Pixels keep all their digits.
            stem: convolution(&source.fill(cnn.stem, "cnn.stem"), Precision::F32),
            blocks: source
                .fill_each(cnn.blocks, "cnn.blocks")
                .map(|block| {
                    let depthwise = &block.depthwise;
                    InvertedResidual::new(
                        block
                            .expand
                            .as_ref()
                            .map(|layer| convolution(layer, precision)),
                        (&of(&depthwise.weight), &bias(depthwise)),
                        [depthwise.kernel_size[0], depthwise.stride[0]],
                        convolution(&block.project, precision),
                        block.residual,
                    )
                })
                .collect(),
            ends: cnn.ends,
            gates: source
                .fill_each(decoder.gates, "cnn_decoder.gates")
                .map(|gate| Gate::new(&gate, precision))
                .collect(),
            convs: source
                .fill_each(decoder.convs, "cnn_decoder.convs")
                .map(|conv| {
                    let shift = bias(&conv);
                    let width = shift.len();
                    let factors = vec![1.0; width];
                    // What is meant, and what it is near.
                    let maps = [width; 2];
                    Conv3x3::new(&of(&conv.weight), &maps, &factors, &shift, precision)
                })
                .collect(),
            out: Matrix::pack(out.len(), 1, |input, _| out[input]),
            out_bias: bias(&last),
        }
    }

    /// What of an image every expression shares, for each gate.
    ///
    /// `image`: `[3, height, width]`.
    pub(super) fn see(
        &self,
        image: &[f32],
        size: [usize; 2],
        workspace: &mut Workspace,
    ) -> Vec<Tokens> {
        let Workspace {
            team,
            linear,
            wide,
            context,
            ..
        } = workspace;
        let mut size = neighbourhoods(image, size, wide, team);
        let count = size[0] * size[1];
        let pixels = &wide[..count * self.stem.inputs()];
        let out = grown(context, count * self.stem.outputs());
        self.stem.forward(pixels, None, Then::Relu6, out, linear);
        // What was written last is in the first of the two.
        let (mut map, mut next) = (context, wide);
        let mut gates = self.gates.iter();
        let mut seen = Vec::with_capacity(self.gates.len());
        for (index, block) in self.blocks.iter().enumerate() {
            let input = &map[..size[0] * size[1] * block.inputs()];
            let before = size;
            size = block.size(before);
            let [height, width] = size;
            let out = grown(next, height * width * block.outputs());
            block.forward(input, before, out, linear);
            std::mem::swap(&mut map, &mut next);
            if self.ends.contains(&index)
                && let Some(gate) = gates.next()
            {
                let features = &map[..height * width * block.outputs()];
                let mut values = vec![0.0; height * width * gate.visual.outputs()];
                let norm = Some(&gate.norm);
                gate.visual
                    .forward(features, norm, Then::Gelu, &mut values, linear);
                seen.push(Tokens {
                    values,
                    height,
                    width,
                });
            }
        }
        seen
    }

    /// Adds to the logit of the foreground, `[height, width]` as the finest map of `seen`.
    pub(super) fn add(
        &self,
        seen: &[Tokens],
        words: &Words,
        foreground: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let Workspace {
            team,
            linear,
            conv: scratch,
            upsampled: meant,
            convolved: [convolved, near],
            lines,
            ..
        } = workspace;
        let sentence = mean(words.real(), words.hidden, team);
        let mut convs = self.convs.iter();
        for (index, (gate, seen)) in self.gates.iter().zip(seen).enumerate().rev() {
            let mut asked = vec![0.0; gate.language.outputs()];
            gate.language
                .forward(&sentence, None, Then::Store, &mut asked, linear);
            let (of_meant, of_near) = asked.split_at(gate.visual.outputs());
            let coarsest = index + 1 == self.gates.len();
            if !coarsest && let Some(conv) = convs.next() {
                conv.forward(&[&*meant, &*near], convolved, scratch);
                meant.upsample(convolved, [seen.height, seen.width], lines, team);
            }
            let_through(seen, of_meant, coarsest, meant, team);
            if !of_near.is_empty() {
                let_through(seen, of_near, true, near, team);
            }
        }
        let Some(width) = seen.first().map(|finest| finest.width) else {
            return;
        };
        meant.each_row(team, |_, row| relu(row));
        team.each_part(foreground, width, |y, out| {
            let row = Piece::whole(meant.row(y), meant.channels);
            self.out
                .product(&[row], width, &self.out_bias, Write::Add, out, 1);
        });
    }
}

impl Gate {
    fn new(gate: &cnn::CnnGate, precision: Precision) -> Self {
        Self {
            norm: layer_norm(&gate.norm, EPSILON),
            visual: linear(&gate.visual, precision),
            language: linear(&gate.language, Precision::F32),
        }
    }
}

/// Adds to `map` what the expression lets through of `seen`; `afresh`: nothing else is in the map then.
fn let_through(seen: &Tokens, asked: &[f32], afresh: bool, map: &mut Map, team: &Team) {
    if afresh {
        map.shape(seen.height, seen.width, asked.len());
    }
    map.each_row(team, |y, row| {
        if afresh {
            row.fill(0.0);
        }
        let seen = &seen.values[y * row.len()..][..row.len()];
        add_products(row, seen, asked);
    });
}

/// What the first convolution multiplies, a row for each pixel that goes out; -> rows and columns of these.
fn neighbourhoods(
    image: &[f32],
    [height, width]: [usize; 2],
    out: &mut Vec<f32>,
    team: &Team,
) -> [usize; 2] {
    let [kernel, stride] = STEM;
    let size = [height, width].map(|size| size.div_ceil(stride));
    let [above, left] = [height, width].map(|size| padding(size, kernel, stride)[0]);
    let inputs = 3 * kernel * kernel;
    let out = grown(out, size[0] * size[1] * inputs);
    team.each_part(out, size[1] * inputs, |row, pixels| {
        pixels.fill(0.0);
        for (channel, dy) in (0..3).flat_map(|channel| (0..kernel).map(move |dy| (channel, dy))) {
            let y = (row * stride + dy).wrapping_sub(above);
            if y >= height {
                continue;
            }
            let line = &image[(channel * height + y) * width..][..width];
            let first = (channel * kernel + dy) * kernel;
            for (column, pixel) in pixels.chunks_exact_mut(inputs).enumerate() {
                for dx in 0..kernel {
                    let x = (column * stride + dx).wrapping_sub(left);
                    if let Some(value) = line.get(x) {
                        pixel[first + dx] = *value;
                    }
                }
            }
        }
    });
    size
}

/// A dense convolution of neighbourhoods `[channels, height, width]` that lie in rows.
fn convolution(layer: &Conv2d, precision: Precision) -> Linear {
    let weights = layer.weight.val();
    let [outputs, channels, height, width] = weights.dims();
    let inputs = channels * height * width;
    let weights = values(weights.reshape([outputs, inputs]).swap_dims(0, 1));
    Linear::new(&weights, [inputs, outputs], Some(&bias(layer)), precision)
}

fn bias(layer: &Conv2d) -> Vec<f32> {
    layer.bias.as_ref().map(of).unwrap_or_default()
}
