//! Products of integers of seven bits, in bytes.
//!
//! Weights are from -63 to 63, with a scale for every output; activations are quantised where they are
//! needed, every row by its own smallest and largest value: `x ≈ low + scale code` with codes from 0 to
//! 127. The sum over the inputs is then
//! `scale_row scale_output Σ code weight + low scale_output Σ weight`, whose last sum is known before.
//! Seven bits of an activation are what the instruction `i32x4.relaxed_dot_i8x16_i7x16_add` gives the same
//! result for on every processor; with seven of a weight four products fit 16 bits, or eight where an
//! output's weights leave room for them, which saves steps to 32 where that instruction is none
//! ([`crate::tall`]). Sums are 32-bit integers, and the same wherever they are computed.

use crate::codes::{Codes, Range};
use crate::matrix8::Matrix8;
use crate::product::{HEIGHT, InTiles, Piece, Tiled, Write, check, panel_width, write_row};
use crate::simd::{self, Code, GROUP, Simd, Task, Weight, run_integers};
use crate::tall::{TALL, sum_up};

/// Rows of a tile.
const ROWS: usize = 4;

impl Matrix8 {
    /// As [`crate::Matrix::product`], of quantised rows and their ranges: one a row, or one for all.
    ///
    /// # Panics
    /// Where the sizes do not fit.
    pub(crate) fn product(
        &self,
        (pieces, ranges): (&[Piece<'_, Code>], &[Range]),
        rows: usize,
        bias: &[f32],
        write: Write,
        out: &mut [f32],
        stride: usize,
    ) {
        check(pieces, rows, [self.inputs, self.outputs], bias, out, stride);
        assert!(
            (ranges.len() == 1 || ranges.len() >= rows)
                && pieces
                    .iter()
                    .all(|piece| piece.length.is_multiple_of(GROUP)),
            "ranges or pieces do not fit"
        );
        let product = Product {
            matrix: self,
            pieces,
            ranges,
            rows,
            bias,
            write,
            out,
            stride,
        };
        if product.is_whole() {
            run_integers(InTiles::<_, true>(product));
        } else {
            run_integers(InTiles::<_, false>(product));
        }
    }
}

/// Finds out, once, which way of multiplying integers is faster here, where there is more than one; it
/// takes some 40 ms then. `now`: a clock, in milliseconds. Results do not depend on it.
pub fn choose_products(now: impl Fn() -> f64) {
    if !simd::undecided() {
        return;
    }
    const COUNT: usize = 32;
    const INPUTS: usize = 192;
    let matrix = Matrix8::pack(INPUTS, 96, |input, output| {
        ((input * 7 + output * 5) % 255) as f32 - 127.0
    });
    let mut codes = Codes::default();
    let rows: Vec<f32> = (0..COUNT * INPUTS).map(|at| (at % 113) as f32).collect();
    codes.quantise_rows(&rows, INPUTS);
    let piece = [Piece::whole(&codes.values[..], INPUTS)];
    let out = std::cell::RefCell::new(vec![0.0; COUNT * matrix.outputs]);
    let trial = || Trial {
        product: (&matrix, &piece, &codes.ranges),
        out: &out,
    };
    simd::choose_products(trial, now);
}

struct Trial<'a> {
    product: (&'a Matrix8, &'a [Piece<'a, Code>], &'a [Range]),
    out: &'a std::cell::RefCell<Vec<f32>>,
}

impl Task for Trial<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (matrix, pieces, ranges) = self.product;
        let product = Product {
            matrix,
            pieces,
            ranges,
            rows: ranges.len(),
            bias: &[],
            write: Write::Set,
            out: &mut self.out.borrow_mut(),
            stride: matrix.outputs,
        };
        let whole = product.is_whole();
        // SAFETY: the caller's promise; rows, codes and output are of one shape.
        unsafe {
            match whole {
                true => product.run::<S, true>(),
                false => product.run::<S, false>(),
            }
        }
    }
}

struct Product<'a> {
    matrix: &'a Matrix8,
    pieces: &'a [Piece<'a, Code>],
    ranges: &'a [Range],
    rows: usize,
    bias: &'a [f32],
    write: Write,
    out: &'a mut [f32],
    stride: usize,
}

#[inline(always)]
unsafe fn pair_of<S: Simd>(from: *const f32) -> [S::Floats; 2] {
    // SAFETY: the caller's promise.
    unsafe { [S::load(from), S::load(from.add(S::LANES))] }
}

/// Of a panel's outputs: scales, sums of weights and bias.
struct Outputs<S: Simd> {
    scales: [S::Floats; 2],
    weights: [S::Floats; 2],
    bias: [S::Floats; 2],
}

/// What sums stand for, by the range of their row.
///
/// Not a closure, as nothing is here that is used more than once: it would be compiled by itself, without
/// the instructions that the loop around it may use, and be called for every row.
#[inline(always)]
unsafe fn values_of<S: Simd>(
    sums: [S::Integers; 2],
    Range { low, scale }: Range,
    outputs: &Outputs<S>,
) -> [S::Floats; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let (scale, low) = (S::splat(scale), S::splat(low));
        let shift = [
            S::mul_add(low, outputs.weights[0], outputs.bias[0]),
            S::mul_add(low, outputs.weights[1], outputs.bias[1]),
        ];
        [
            S::mul_add(
                S::to_floats(sums[0]),
                S::mul(scale, outputs.scales[0]),
                shift[0],
            ),
            S::mul_add(
                S::to_floats(sums[1]),
                S::mul(scale, outputs.scales[1]),
                shift[1],
            ),
        ]
    }
}

impl Product<'_> {
    /// Whether no tile is cut off.
    fn is_whole(&self) -> bool {
        self.rows.is_multiple_of(ROWS) && self.matrix.outputs.is_multiple_of(panel_width())
    }
}

impl Tiled for Product<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const WHOLE: bool>(self) {
        let width = 2 * S::LANES;
        let matrix = self.matrix;
        let mut padded = [0.0; 16];
        // SAFETY: the caller's promise.
        let limits = unsafe { self.write.limits::<S>() };
        let add = self.write.adds();
        // One range is that of all rows.
        let step = usize::from(self.ranges.len() != 1);
        for top in (0..self.rows).step_by(HEIGHT) {
            let height = HEIGHT.min(self.rows - top);
            for first in (0..matrix.outputs).step_by(width) {
                let columns = match WHOLE {
                    true => width,
                    false => width.min(matrix.outputs - first),
                };
                padded.fill(0.0);
                if !self.bias.is_empty() {
                    padded[..columns].copy_from_slice(&self.bias[first..][..columns]);
                }
                // SAFETY: the caller's promise; panels, scales and sums are padded to `width`, and there is a
                // range for every row.
                unsafe {
                    let panel = matrix.panels.as_ptr().add(first * matrix.inputs);
                    let outputs = Outputs::<S> {
                        scales: pair_of::<S>(matrix.scales.as_ptr().add(first)),
                        weights: pair_of::<S>(matrix.sums.as_ptr().add(first)),
                        bias: pair_of::<S>(padded.as_ptr()),
                    };
                    let to = Target {
                        out: self.out.as_mut_ptr().add(first),
                        stride: self.stride,
                        columns,
                        add,
                        limits,
                    };
                    if S::PAIRED && matrix.light {
                        let mut sums = [[S::zeros(); 2]; TALL];
                        for tile in (0..height).step_by(TALL) {
                            let row = top + tile;
                            let sums = &mut sums[..TALL.min(height - tile)];
                            sum_up::<S>(self.pieces, row, panel, sums);
                            let ranges = self.ranges.as_ptr().add(row * step);
                            to.write::<S>(row, sums, (ranges, step), &outputs);
                        }
                    } else {
                        for tile in (0..height).step_by(ROWS) {
                            let rows = match WHOLE {
                                true => ROWS,
                                false => ROWS.min(height - tile),
                            };
                            let row = top + tile;
                            let sums = tile_of::<S>(self.pieces, row, rows, panel);
                            let ranges = self.ranges.as_ptr().add(row * step);
                            to.write::<S>(row, &sums[..rows], (ranges, step), &outputs);
                        }
                    }
                }
            }
        }
    }
}

/// Where a panel's outputs are written, of all rows.
struct Target<F> {
    out: *mut f32,
    stride: usize,
    columns: usize,
    add: bool,
    limits: Option<[F; 2]>,
}

impl<F: Copy> Target<F> {
    /// Writes what the sums of rows from `row` on stand for.
    #[inline(always)]
    unsafe fn write<S: Simd<Floats = F>>(
        &self,
        row: usize,
        sums: &[[S::Integers; 2]],
        (ranges, step): (*const Range, usize),
        outputs: &Outputs<S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let to = self.out.add(row * self.stride);
            for (index, sums) in sums.iter().enumerate() {
                let range = *ranges.add(index * step);
                let values = values_of::<S>(*sums, range, outputs);
                let to = to.add(index * self.stride);
                write_row::<S>(to, values, self.columns, self.add, self.limits);
            }
        }
    }
}

#[inline(always)]
unsafe fn tile_of<S: Simd>(
    pieces: &[Piece<'_, Code>],
    row: usize,
    rows: usize,
    panel: *const Weight,
) -> [[S::Integers; 2]; ROWS] {
    // SAFETY: rows of the pieces, and a panel of as many inputs.
    unsafe {
        let along = S::along();
        let mut sums = [[S::zeros(); 2]; ROWS];
        let mut panel = panel;
        for piece in pieces {
            let mut left: [*const Code; ROWS] = std::array::from_fn(|index| {
                let row = row + index.min(rows - 1);
                piece.values.as_ptr().add(row * piece.stride)
            });
            let column = S::LANES * GROUP;
            let groups = piece.length / GROUP;
            for _ in 0..groups / 2 {
                let first = [panel, panel.add(2 * column)].map(|at| S::load_weights(at));
                let second =
                    [panel.add(column), panel.add(3 * column)].map(|at| S::load_weights(at));
                for (sums, left) in sums.iter_mut().zip(&mut left) {
                    let codes = [*left, left.add(GROUP)].map(|at| S::load_codes(at));
                    sums[0] = S::dot_twice(sums[0], first, codes, along);
                    sums[1] = S::dot_twice(sums[1], second, codes, along);
                    *left = left.add(2 * GROUP);
                }
                panel = panel.add(4 * column);
            }
            if groups % 2 == 1 {
                let right = [panel, panel.add(column)].map(|at| S::load_weights(at));
                for (sums, left) in sums.iter_mut().zip(&left) {
                    let codes = S::load_codes(*left);
                    sums[0] = S::dot(sums[0], right[0], codes, along);
                    sums[1] = S::dot(sums[1], right[1], codes, along);
                }
                panel = panel.add(2 * column);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::HIGHEST;
    use crate::matrix8::LARGEST;
    use crate::simd::run;
    use crate::testing::numbers;
    #[test]
    fn every_way_of_multiplying_gives_the_same_sums() {
        for (inputs, outputs, rows) in [(4, 1, 1), (20, 2, 2), (24, 17, 3), (192, 96, 9)] {
            // Weights and activations of whole numbers, with the largest of each: nothing is rounded.
            let weight = |input: usize, output: usize| match output {
                0 => LARGEST,
                1 => -LARGEST,
                _ => ((input * 7 + output * 5) % 255) as f32 - 127.0,
            };
            let matrix = Matrix8::pack(inputs, outputs, weight);
            let mut codes = Codes::default();
            let mut given: Vec<f32> = numbers(rows * inputs, 1)
                .iter()
                .map(|value| (value * 30.0 + 64.0).round())
                .collect();
            // Sums that fit 16 bits just so.
            given[..inputs].fill(HIGHEST);
            for row in given.chunks_exact_mut(inputs) {
                (row[0], row[1]) = (0.0, HIGHEST);
            }
            codes.quantise_rows(&given, inputs);
            let piece = [Piece::whole(&codes.values[..], inputs)];
            let product = |run: fn(Trial<'_>)| {
                let out = std::cell::RefCell::new(vec![f32::NAN; rows * outputs]);
                run(Trial {
                    product: (&matrix, &piece, &codes.ranges),
                    out: &out,
                });
                out.into_inner()
            };
            let scales = &matrix.scales;
            let expected: Vec<f32> = given
                .chunks_exact(inputs)
                .flat_map(|row| (0..outputs).map(move |output| (row, output)))
                .map(|(row, output)| {
                    let terms = row.iter().enumerate().map(|(input, value)| {
                        let code = (weight(input, output) / scales[output]).round_ties_even();
                        f64::from(*value) * f64::from(code)
                    });
                    (terms.sum::<f64>() * f64::from(scales[output])) as f32
                })
                .collect();
            let integers = product(|trial| run_integers(trial));
            assert_eq!(product(|trial| run(trial)), integers);
            for (value, expected) in integers.iter().zip(&expected) {
                let off = (value - expected).abs();
                assert!(
                    off <= 1e-5 * expected.abs().max(1.0),
                    "{value}, not {expected}"
                );
            }
        }
    }
}
