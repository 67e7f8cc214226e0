//! The image encoder.

use rrsis_kernels::{LayerNorm, Linear, Precision, Then, Windows, mlp, window_attention};

use super::bert::Words;
use super::parameters::{layer_norm, linear, of, values};
use super::pwam::{LanguageGate, Pwam};
use super::source::Source;
use super::{EPSILON, Tokens, Workspace, grown, normalise};
use crate::network::swin;
use crate::network::trace::Trace;

/// Side of an image patch, in pixels.
const PATCH: usize = 4;

#[derive(Debug)]
pub(super) struct Swin {
    patches: Linear,
    patch_norm: LayerNorm,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    blocks: Vec<Block>,
    pwam: Pwam,
    gate: Option<LanguageGate>,
    merging: Option<Merging>,
    output_norm: LayerNorm,
}

#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    /// `[heads, window^2, window^2]`
    position: Vec<f32>,
    norm2: LayerNorm,
    mlp: [Linear; 2],
    heads: usize,
    window: usize,
    shift: usize,
}

/// Each 2 x 2 neighbourhood becomes one token of twice the width.
#[derive(Debug)]
struct Merging {
    norm: LayerNorm,
    reduction: Linear,
}

impl Swin {
    pub(super) fn new(swin: swin::Swin, precision: Precision, source: &mut impl Source) -> Self {
        let patch = source.fill(swin.patch_embed, "swin.patch_embed");
        // [channels, 3, 4, 4] to [48, channels].
        let [channels, ..] = patch.proj.weight.val().dims();
        let weights = patch
            .proj
            .weight
            .val()
            .reshape([channels, 3 * PATCH * PATCH]);
        let weights = values(weights.swap_dims(0, 1));
        let bias = patch.proj.bias.as_ref().map(of);
        Self {
            // Pixels keep all their digits.
            patches: Linear::new(
                &weights,
                [3 * PATCH * PATCH, channels],
                bias.as_deref(),
                Precision::F32,
            ),
            patch_norm: layer_norm(&patch.norm, EPSILON),
            stages: swin
                .stages
                .into_iter()
                .enumerate()
                .map(|(index, stage)| {
                    let path = format!("swin.stages.{index}");
                    Stage::new(stage, precision, source, &path)
                })
                .collect(),
        }
    }

    /// Patch embedding and the blocks of stage 1.
    pub(super) fn stem(
        &self,
        image: &[f32],
        size: [usize; 2],
        workspace: &mut Workspace,
        trace: &mut Trace,
    ) -> Tokens {
        let mut tokens = self.embed(image, size, workspace);
        if trace.is_on() {
            record_map(trace, "patch_embed".to_owned(), &tokens);
        }
        self.stages[0].run_blocks(&mut tokens, "stage1", workspace, trace);
        tokens
    }

    /// `image`: `[3, height, width]`; what is missing of whole patches is zero.
    fn embed(
        &self,
        image: &[f32],
        [height, width]: [usize; 2],
        workspace: &mut Workspace,
    ) -> Tokens {
        let channels = self.patches.outputs();
        let (rows, columns) = (height.div_ceil(PATCH), width.div_ceil(PATCH));
        let Workspace {
            team,
            linear,
            wide,
            context,
            ..
        } = workspace;
        let inputs = self.patches.inputs();
        let pixels = grown(wide, rows * columns * inputs);
        team.each_part(pixels, columns * inputs, |row, pixels| {
            pixels.fill(0.0);
            for (channel, y) in (0..3).flat_map(|channel| (0..PATCH).map(move |y| (channel, y))) {
                if row * PATCH + y >= height {
                    continue;
                }
                let line = &image[(channel * height + row * PATCH + y) * width..][..width];
                for (patch, part) in pixels.chunks_exact_mut(inputs).zip(line.chunks(PATCH)) {
                    let first = (channel * PATCH + y) * PATCH;
                    patch[first..][..part.len()].copy_from_slice(part);
                }
            }
        });
        let embedded = grown(context, rows * columns * channels);
        self.patches
            .forward(pixels, None, Then::Store, embedded, linear);
        let mut values = vec![0.0; embedded.len()];
        normalise(&self.patch_norm, embedded, &mut values, team);
        Tokens {
            values,
            height: rows,
            width: columns,
        }
    }

    /// V3 and V4; V1 and V2 are written into the workspace's maps.
    pub(super) fn encode(
        &self,
        stem: &Tokens,
        words: &Words,
        workspace: &mut Workspace,
        trace: &mut Trace,
    ) -> [Tokens; 2] {
        let mut outputs: [Tokens; 2] = Default::default();
        let mut tokens = stem.clone();
        for (index, stage) in self.stages.iter().enumerate() {
            let name = format!("stage{}", index + 1);
            if index > 0 {
                stage.run_blocks(&mut tokens, &name, workspace, trace);
            }
            let Tokens { height, width, .. } = tokens;
            let channels = tokens.channels();
            let mut fused = std::mem::take(&mut workspace.fused);
            stage
                .pwam
                .forward(&tokens.values, words, &mut fused, workspace, &name, trace);
            trace.record_values(
                || format!("{name}.pwam_out"),
                &fused,
                &[1, height * width, channels],
            );
            if index < 2 {
                let map = &mut workspace.maps[index];
                map.shape(height, width, channels);
                map.each_row(&workspace.team, |y, row| {
                    let rows = &fused[y * row.len()..][..row.len()];
                    stage.output_norm.forward(rows, row);
                });
                if trace.is_on() {
                    let values = (0..height).flat_map(|y| map.row(y).to_vec()).collect();
                    let output = Tokens {
                        values,
                        height,
                        width,
                    };
                    record_map(trace, format!("V.{index}"), &output);
                }
            } else {
                let mut values = vec![0.0; fused.len()];
                normalise(&stage.output_norm, &fused, &mut values, &workspace.team);
                let output = Tokens {
                    values,
                    height,
                    width,
                };
                output.record(trace, || format!("{name}.norm_out"));
                if trace.is_on() {
                    record_map(trace, format!("V.{index}"), &output);
                }
                outputs[index - 2] = output;
            }
            if let (Some(gate), Some(merging)) = (&stage.gate, &stage.merging) {
                gate.forward(&mut tokens.values, &fused, workspace, &name, trace);
                tokens = merging.forward(tokens, workspace);
                tokens.record(trace, || format!("{name}.downsample"));
            }
            workspace.fused = fused;
        }
        outputs
    }
}

impl Stage {
    fn new(
        stage: swin::SwinStage,
        precision: Precision,
        source: &mut impl Source,
        path: &str,
    ) -> Self {
        let at = |name: &str| format!("{path}.{name}");
        Self {
            blocks: source
                .fill_each(stage.blocks, &at("blocks"))
                .map(|block| Block {
                    norm1: layer_norm(&block.norm1, EPSILON),
                    qkv: linear(&block.attn.qkv, precision),
                    proj: linear(&block.attn.proj, precision),
                    position: values(
                        block
                            .attn
                            .relative_position_bias(&block.attn.qkv.weight.val().device()),
                    ),
                    norm2: layer_norm(&block.norm2, EPSILON),
                    mlp: [&block.mlp.fc1, &block.mlp.fc2].map(|layer| linear(layer, precision)),
                    heads: block.attn.heads,
                    window: block.window,
                    shift: block.shift,
                })
                .collect(),
            pwam: Pwam::new(&source.fill(stage.pwam, &at("pwam")), precision),
            gate: stage
                .language_gate
                .map(|gate| LanguageGate::new(&source.fill(gate, &at("language_gate")), precision)),
            merging: stage.downsample.map(|merging| {
                let merging = source.fill(merging, &at("downsample"));
                Merging {
                    norm: layer_norm(&merging.norm, EPSILON),
                    reduction: linear(&merging.reduction, precision),
                }
            }),
            output_norm: layer_norm(&source.fill(stage.output_norm, &at("output_norm")), EPSILON),
        }
    }

    fn run_blocks(
        &self,
        tokens: &mut Tokens,
        name: &str,
        workspace: &mut Workspace,
        trace: &mut Trace,
    ) {
        for (index, block) in self.blocks.iter().enumerate() {
            block.forward(tokens, workspace);
            tokens.record(trace, || format!("{name}.block{index}"));
        }
    }
}

impl Block {
    fn forward(&self, tokens: &mut Tokens, workspace: &mut Workspace) {
        let Workspace {
            team,
            linear,
            attention,
            wide,
            context,
            ..
        } = workspace;
        let Tokens {
            values,
            height,
            width,
        } = tokens;
        let channels = self.proj.inputs();
        let windows = Windows {
            height: *height,
            width: *width,
            side: self.window,
            shift: self.shift,
        };
        // Padding comes after the normalisation: it is zero there.
        let padding = match self.qkv.bias() {
            [] => &vec![0.0; 3 * channels][..],
            bias => bias,
        };
        let heads = [self.heads, channels / self.heads];
        let layers = [&self.mlp[0], &self.mlp[1]];
        // Windows share nothing, so that a band of them goes through the whole block at a time: its queries, keys
        // and values stay in the cache. A row of windows for each thread is work enough.
        for band in windows.bands(team.threads()) {
            let row = *width * channels;
            let parts = band
                .rows()
                .clone()
                .map(|rows| rows.start * row..rows.end * row);
            let size = band.tokens() * channels;
            let qkv = grown(wide, 3 * size);
            let mut rest = &mut *qkv;
            for part in parts.clone() {
                let (qkv, after) = rest.split_at_mut(3 * part.len());
                rest = after;
                self.qkv
                    .forward(&values[part], Some(&self.norm1), Then::Store, qkv, linear);
            }
            let context = grown(context, size);
            window_attention(
                qkv,
                padding,
                &band,
                heads,
                &self.position,
                context,
                attention,
            );
            let mut rest = &*context;
            for part in parts {
                let (context, after) = rest.split_at(part.len());
                rest = after;
                let values = &mut values[part];
                self.proj.forward(context, None, Then::Add, values, linear);
                mlp(values, Some(&self.norm2), layers, linear);
            }
        }
    }
}

impl Merging {
    fn forward(&self, tokens: Tokens, workspace: &mut Workspace) -> Tokens {
        let channels = tokens.channels();
        let Tokens { height, width, .. } = tokens;
        let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
        let neighbours = grown(&mut workspace.wide, rows * columns * 4 * channels);
        let length = columns * 4 * channels;
        workspace.team.each_part(neighbours, length, |row, out| {
            for (column, out) in out.chunks_exact_mut(4 * channels).enumerate() {
                // In the order (0,0), (1,0), (0,1), (1,1) of (row, column).
                for (index, out) in out.chunks_exact_mut(channels).enumerate() {
                    let (y, x) = (2 * row + index % 2, 2 * column + index / 2);
                    if y < height && x < width {
                        let place = (y * width + x) * channels;
                        out.copy_from_slice(&tokens.values[place..][..channels]);
                    } else {
                        out.fill(0.0);
                    }
                }
            }
        });
        let mut values = vec![0.0; rows * columns * self.reduction.outputs()];
        let norm = Some(&self.norm);
        self.reduction.forward(
            neighbours,
            norm,
            Then::Store,
            &mut values,
            &mut workspace.linear,
        );
        Tokens {
            values,
            height: rows,
            width: columns,
        }
    }
}

/// Records tokens channels first.
fn record_map(trace: &mut Trace, name: String, tokens: &Tokens) {
    let channels = tokens.channels();
    let count = tokens.height * tokens.width;
    let planes: Vec<f32> = (0..channels)
        .flat_map(|channel| {
            tokens
                .values
                .iter()
                .skip(channel)
                .step_by(channels)
                .copied()
        })
        .collect();
    debug_assert_eq!(planes.len(), count * channels);
    trace.record_values(
        || name,
        &planes,
        &[1, channels, tokens.height, tokens.width],
    );
}
