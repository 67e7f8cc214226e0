//! Depthwise convolutions of a line of pixels, channels last.

use crate::simd::{Simd, Task, run};

/// What is above it is cut off by ReLU6.
pub(crate) const HIGHEST: f32 = 6.0;

/// A convolution of every channel by itself, then ReLU6.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) channels: usize,
    /// `[kernel, kernel, channels]`
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// `weights`: `[channels, kernel, kernel]`.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub(crate) fn new(weights: &[f32], bias: &[f32], kernel: usize, stride: usize) -> Self {
        let (channels, area) = (bias.len(), kernel * kernel);
        assert!(
            weights.len() == area * channels && stride > 0 && area > 0,
            "{} weights of {kernel} x {kernel} for {channels} channels",
            weights.len()
        );
        Self {
            kernel,
            stride,
            channels,
            weights: (0..area)
                .flat_map(|tap| (0..channels).map(move |channel| weights[channel * area + tap]))
                .collect(),
            bias: bias.to_vec(),
        }
    }

    /// Pixels of a line with its border, for `outputs` pixels.
    pub(crate) fn line(&self, outputs: usize) -> usize {
        (outputs.max(1) - 1) * self.stride + self.kernel
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.weights[..]) + size_of_val(&self.bias[..])
    }

    /// A line of output. `lines`: of input with their borders, row `first` of the kernel and those after
    /// it; the rows that are missing are zeros.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub(crate) fn forward(&self, lines: &[&[f32]], first: usize, out: &mut [f32]) {
        let outputs = out.len() / self.channels;
        let size = self.line(outputs) * self.channels;
        assert!(
            out.len() == outputs * self.channels
                && first + lines.len() <= self.kernel
                && lines.iter().all(|line| line.len() >= size),
            "{} lines of {size} values to {} values",
            lines.len(),
            out.len()
        );
        run(Line {
            of: self,
            lines,
            first,
            out,
        });
    }
}

/// Zeros around a line of `size` values, before and after it, so that a convolution leaves 1 / `stride` of
/// them, rounded up; what is odd goes after.
pub fn padding(size: usize, kernel: usize, stride: usize) -> [usize; 2] {
    let span = (size.div_ceil(stride).max(1) - 1) * stride + kernel;
    let total = span.saturating_sub(size);
    [total / 2, total - total / 2]
}

struct Line<'a> {
    of: &'a Depthwise,
    lines: &'a [&'a [f32]],
    first: usize,
    out: &'a mut [f32],
}

impl Task for Line<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.of.kernel, self.of.stride) {
                (3, 1) => self.pixels::<S, 3, 1>(),
                (3, 2) => self.pixels::<S, 3, 2>(),
                (5, 1) => self.pixels::<S, 5, 1>(),
                (5, 2) => self.pixels::<S, 5, 2>(),
                _ => self.pixels::<S, 0, 0>(),
            }
        }
    }
}

impl Line<'_> {
    /// `KERNEL` and `STRIDE` as they are, or 0 for any.
    #[inline(always)]
    unsafe fn pixels<S: Simd, const KERNEL: usize, const STRIDE: usize>(mut self) {
        /// Pixels that share loads of weights and of neighbours.
        const TILE: usize = 4;
        let pixels = self.out.len() / self.of.channels;
        let whole = pixels / TILE * TILE;
        // SAFETY: the caller's promise.
        unsafe {
            let limits = [S::constant(0.0), S::constant(HIGHEST)];
            for x in (0..whole).step_by(TILE) {
                self.tile::<S, TILE, KERNEL, STRIDE>(x, limits);
            }
            for x in whole..pixels {
                self.tile::<S, 1, KERNEL, STRIDE>(x, limits);
            }
        }
    }

    /// `N` pixels from `x` on.
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize, const KERNEL: usize, const STRIDE: usize>(
        &mut self,
        x: usize,
        [low, high]: [S::Floats; 2],
    ) {
        let Depthwise {
            kernel,
            stride,
            channels,
            ref weights,
            ref bias,
        } = *self.of;
        let whole = channels / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: lines and output have been measured in `forward`, and `at` leaves room for all lanes.
            unsafe {
                let mut sums = [S::load(bias.as_ptr().add(at)); N];
                for (row, line) in self.lines.iter().enumerate() {
                    let taps = weights
                        .as_ptr()
                        .add((self.first + row) * kernel * channels + at);
                    let line = line.as_ptr().add(x * stride * channels + at);
                    if KERNEL > 0 {
                        let mut of_row = [S::load(taps); KERNEL];
                        for (tap, weight) in of_row.iter_mut().enumerate() {
                            *weight = S::load(taps.add(tap * channels));
                        }
                        // Every neighbour is loaded once, for all pixels that it belongs to.
                        for place in 0..(N - 1) * STRIDE + KERNEL {
                            let value = S::load(line.add(place * channels));
                            for (pixel, sum) in sums.iter_mut().enumerate() {
                                let first = pixel * STRIDE;
                                if (first..first + KERNEL).contains(&place) {
                                    *sum = S::mul_add(value, of_row[place - first], *sum);
                                }
                            }
                        }
                    } else {
                        for tap in 0..kernel {
                            let weight = S::load(taps.add(tap * channels));
                            for (pixel, sum) in sums.iter_mut().enumerate() {
                                let from = line.add((pixel * stride + tap) * channels);
                                *sum = S::mul_add(S::load(from), weight, *sum);
                            }
                        }
                    }
                }
                for (index, sum) in sums.into_iter().enumerate() {
                    let to = self.out.as_mut_ptr().add((x + index) * channels + at);
                    S::store(S::at_most(S::at_least(sum, low), high), to);
                }
            }
        }
        for channel in whole..channels {
            for x in x..x + N {
                let mut sum = bias[channel];
                for (row, line) in self.lines.iter().enumerate() {
                    for tap in 0..kernel {
                        let weight =
                            weights[((self.first + row) * kernel + tap) * channels + channel];
                        sum += weight * line[(x * stride + tap) * channels + channel];
                    }
                }
                self.out[x * channels + channel] = cut(sum);
            }
        }
    }
}

/// 0 to 6; a NaN stays one.
fn cut(value: f32) -> f32 {
    match value {
        value if value < 0.0 => 0.0,
        value if value > HIGHEST => HIGHEST,
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_not_cut_off() {
        let values = [f32::NAN, -1.0, 7.0, 3.0].map(cut);
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [0.0, 6.0, 3.0]);
    }

    #[test]
    fn a_line_is_divided_by_the_stride_and_rounded_up() {
        for size in 1..40 {
            for (kernel, stride) in [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2), (7, 2)] {
                let [before, after] = padding(size, kernel, stride);
                let outputs = (size + before + after - kernel) / stride + 1;
                assert_eq!(outputs, size.div_ceil(stride), "{size} {kernel} {stride}");
            }
        }
        // Even sizes, which training sees.
        assert_eq!(padding(64, 3, 2), [0, 1]);
        assert_eq!(padding(64, 5, 2), [1, 2]);
        assert_eq!(padding(64, 5, 1), [2, 2]);
    }
}
