//! Blocks of MobileNet and EfficientNet: widen, convolve every channel by itself, narrow.
//!
//! What is wide lives for as long as the depthwise convolution needs it: a line goes through all three
//! layers before the next one is begun, and never reaches main memory.

use crate::depthwise::{Depthwise, padding};
use crate::linear::{Block, Linear, Scratch, Then};
use crate::product::HEIGHT;
use crate::team::reserve;

/// An inverted residual block, its batch normalisations folded into the layers.
#[derive(Clone, Debug)]
pub struct InvertedResidual {
    expand: Option<Linear>,
    depthwise: Depthwise,
    project: Linear,
    residual: bool,
}

/// Lines of a depthwise convolution at most.
const LINES: usize = 7;

impl InvertedResidual {
    /// `expand`, absent where the width stays, and `project`: the 1 x 1 convolutions. `weights`:
    /// `[channels, kernel, kernel]` of the depthwise one, `bias` its bias. `residual`: whether what comes
    /// in is added to what goes out.
    ///
    /// # Panics
    /// Where the layers do not fit, or the kernel is larger than 7.
    pub fn new(
        expand: Option<Linear>,
        (weights, bias): (&[f32], &[f32]),
        [kernel, stride]: [usize; 2],
        project: Linear,
        residual: bool,
    ) -> Self {
        let depthwise = Depthwise::new(weights, bias, kernel, stride);
        let wide = depthwise.channels;
        assert!(
            project.inputs() == wide
                && expand.as_ref().is_none_or(|layer| layer.outputs() == wide)
                && kernel <= LINES
                && stride <= kernel,
            "layers do not fit"
        );
        let block = Self {
            expand,
            depthwise,
            project,
            residual,
        };
        assert!(
            !residual || stride == 1 && block.inputs() == block.outputs(),
            "no identity of another shape"
        );
        block
    }

    /// Channels that come in.
    pub fn inputs(&self) -> usize {
        match &self.expand {
            Some(expand) => expand.inputs(),
            None => self.depthwise.channels,
        }
    }

    /// Channels that go out.
    pub fn outputs(&self) -> usize {
        self.project.outputs()
    }

    /// Rows and columns that go out.
    pub fn size(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|size| size.div_ceil(self.depthwise.stride))
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        self.expand.as_ref().map_or(0, Linear::bytes)
            + self.depthwise.bytes()
            + self.project.bytes()
    }

    /// `map`: `[height, width, inputs]`; `out`: the same of [`Self::size`] and outputs. Around the map are
    /// zeros; where their number is odd, one more after it than before.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn forward(
        &self,
        map: &[f32],
        [height, width]: [usize; 2],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let [rows, columns] = self.size([height, width]);
        assert!(
            map.len() == height * width * self.inputs()
                && out.len() == rows * columns * self.outputs(),
            "{} values in, {} values out of {height} x {width} pixels",
            map.len(),
            out.len()
        );
        if out.is_empty() {
            return;
        }
        let Depthwise {
            kernel,
            stride,
            channels: wide,
            ..
        } = self.depthwise;
        let line = self.depthwise.line(columns).max(width) * wide;
        let shape = Shape {
            height,
            width,
            columns,
            above: padding(height, kernel, stride)[0],
            left: padding(width, kernel, stride)[0],
            line,
        };
        let Scratch { team, blocks } = scratch;
        team.prepare(blocks, |block| {
            for layer in self.expand.iter().chain([&self.project]) {
                block.fit(layer, false);
            }
            reserve(&mut block.hidden, columns * wide);
            reserve(&mut block.lines, kernel * line);
        });
        // A band for each thread, because a band begins with lines that the one before had, too.
        let band = rows.div_ceil(team.threads());
        let length = band * columns * self.outputs();
        team.share_parts(blocks, out, length, |block, index, out| {
            self.band(map, &shape, index * band, out, block);
        });
    }

    /// Rows of output from `first` on.
    fn band(&self, map: &[f32], shape: &Shape, first: usize, out: &mut [f32], block: &mut Block) {
        let Depthwise {
            kernel,
            stride,
            channels: wide,
            ..
        } = self.depthwise;
        let Block {
            codes,
            hidden,
            lines,
            normed,
        } = block;
        let Shape {
            height,
            width,
            columns,
            above,
            left,
            line,
        } = *shape;
        lines.clear();
        // The border: whoever writes a line leaves it as it is.
        lines.resize(kernel * line, 0.0);
        hidden.resize(hidden.len().max(columns * wide), 0.0);
        let hidden = &mut hidden[..columns * wide];
        let mut next = (first * stride).saturating_sub(above);
        let rows = out.chunks_exact_mut(columns * self.outputs());
        for (y, out) in (first..).zip(rows) {
            let top = y * stride;
            let until = (top + kernel).saturating_sub(above).min(height);
            for row in next..until {
                let from = &map[row * width * self.inputs()..][..width * self.inputs()];
                let to = &mut lines[row % kernel * line + left * wide..][..width * wide];
                match &self.expand {
                    Some(expand) => {
                        let parts = to.chunks_mut(HEIGHT * wide);
                        for (from, to) in from.chunks(HEIGHT * expand.inputs()).zip(parts) {
                            expand.block(from, None, Then::Relu6, to, (normed, codes));
                        }
                    }
                    None => to.copy_from_slice(from),
                }
            }
            next = until.max(next);
            let begin = top.saturating_sub(above);
            let mut views: [&[f32]; LINES] = [&[]; LINES];
            for (view, row) in views.iter_mut().zip(begin..until) {
                *view = &lines[row % kernel * line..][..line];
            }
            let missing = above.saturating_sub(top);
            self.depthwise
                .forward(&views[..until - begin], missing, hidden);
            let then = match self.residual {
                true => {
                    out.copy_from_slice(&map[y * out.len()..][..out.len()]);
                    Then::Add
                }
                false => Then::Store,
            };
            let parts = out.chunks_mut(HEIGHT * self.outputs());
            for (from, to) in hidden.chunks(HEIGHT * wide).zip(parts) {
                self.project.block(from, None, then, to, (normed, codes));
            }
        }
    }
}

/// Sizes of a map and of what is around it.
struct Shape {
    height: usize,
    width: usize,
    /// Columns that go out.
    columns: usize,
    /// Zeros above and to the left.
    above: usize,
    left: usize,
    /// Values of a line with its border.
    line: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Precision;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

    /// A 1 x 1 convolution in f64.
    fn pointwise(map: &[f64], weights: &[f32], bias: &[f32]) -> Vec<f64> {
        let (outputs, inputs) = (bias.len(), weights.len() / bias.len());
        map.chunks(inputs)
            .flat_map(|pixel| {
                (0..outputs).map(move |output| {
                    let terms = pixel.iter().enumerate();
                    f64::from(bias[output])
                        + terms
                            .map(|(input, x)| x * f64::from(weights[input * outputs + output]))
                            .sum::<f64>()
                })
            })
            .collect()
    }

    #[test]
    fn lines_give_what_the_layers_give_one_after_the_other() {
        for (size, [inputs, wide, outputs], [kernel, stride], residual) in [
            ([6, 8], [8, 16, 12], [3, 1], false),
            ([9, 7], [12, 24, 12], [5, 1], true),
            ([8, 8], [4, 12, 8], [3, 2], false),
            ([7, 13], [8, 8, 4], [5, 2], false),
            ([1, 2], [4, 8, 4], [5, 1], true),
            ([70, 66], [3, 7, 5], [3, 1], false),
            // A kernel that has no code of its own.
            ([9, 8], [4, 12, 8], [7, 2], false),
        ] {
            let [height, width] = size;
            let widens = inputs != wide;
            let [up, down, deep] = [
                numbers(inputs * wide, 1),
                numbers(wide * outputs, 2),
                numbers(wide * kernel * kernel, 3),
            ];
            let [up_bias, down_bias, deep_bias] =
                [numbers(wide, 4), numbers(outputs, 5), numbers(wide, 6)];
            let map = numbers(height * width * inputs, 7);

            let exact: Vec<f64> = map.iter().map(|value| f64::from(*value)).collect();
            let cut = |values: Vec<f64>| -> Vec<f64> {
                values
                    .into_iter()
                    .map(|value| value.clamp(0.0, 6.0))
                    .collect()
            };
            let between = match widens {
                true => cut(pointwise(&exact, &up, &up_bias)),
                false => exact.clone(),
            };
            let [rows, columns] = size.map(|size| size.div_ceil(stride));
            let before = |size: usize, outputs: usize| {
                (((outputs - 1) * stride + kernel).saturating_sub(size) / 2) as isize
            };
            let (above, left) = (before(height, rows), before(width, columns));
            let mut deeper = Vec::new();
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                for channel in 0..wide {
                    let mut sum = f64::from(deep_bias[channel]);
                    for (dy, dx) in (0..kernel).flat_map(|dy| (0..kernel).map(move |dx| (dy, dx))) {
                        let y = (y * stride + dy) as isize - above;
                        let x = (x * stride + dx) as isize - left;
                        if (0..height as isize).contains(&y) && (0..width as isize).contains(&x) {
                            let weight = deep[(channel * kernel + dy) * kernel + dx];
                            let at = (y as usize * width + x as usize) * wide + channel;
                            sum += f64::from(weight) * between[at];
                        }
                    }
                    deeper.push(sum);
                }
            }
            let mut expected = pointwise(&cut(deeper), &down, &down_bias);
            if residual {
                for (value, identity) in expected.iter_mut().zip(&exact) {
                    *value += identity;
                }
            }

            for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Int8, 0.03)] {
                let layer = |weights: &[f32], shape: [usize; 2], bias: &[f32]| {
                    Linear::new(weights, shape, Some(bias), precision)
                };
                let block = InvertedResidual::new(
                    widens.then(|| layer(&up, [inputs, wide], &up_bias)),
                    (&deep, &deep_bias),
                    [kernel, stride],
                    layer(&down, [wide, outputs], &down_bias),
                    residual,
                );
                let mut first: Option<Vec<f32>> = None;
                for team in teams() {
                    let mut scratch = Scratch::new(team);
                    let mut out = vec![f32::NAN; rows * columns * outputs];
                    // Twice: what is kept from the call before must not matter.
                    block.forward(&map, size, &mut out, &mut scratch);
                    block.forward(&map, size, &mut out, &mut scratch);
                    assert_close(&out, &expected, tolerance);
                    let first = first.get_or_insert_with(|| out.clone());
                    assert_eq!(*first, out, "whoever computes it");
                }
            }
        }
    }
}
