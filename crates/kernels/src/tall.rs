//! Products of bytes by sums of eight in 16 bits.
//!
//! Where products of bytes go by way of sums of two ([`Simd::PAIRED`]), what they take is bound by
//! multiplications and additions, and widening sums to 32 bits is both. The longer it waits the less there
//! is of it, but eight sums in 16 and eight in 32 bits do not fit 16 registers. So weights stay in
//! registers here, those of 16 inputs and a panel's outputs, and rows go by: codes of a row, two sums
//! of eight products each, widened and added to what memory holds of the row. A tile is as tall as weights are to be
//! worth their loads, and not so tall that what is written of it at once fills the queue of stores.

use crate::product::Piece;
use crate::simd::{CODE, Code, GROUP, Simd, Weight};

/// Rows of a tile.
pub(crate) const TALL: usize = 16;
/// Groups of inputs whose products are summed up in 16 bits.
const GROUPS: usize = 4;
/// Pairs of inputs from a group to the next.
const STEP: usize = 2;
/// What eight weights of one sign may come to, for codes up to 127.
const HEAVIEST: i32 = i16::MAX as i32 / CODE as i32;

/// By how much codes of an output's weights are too large for sums in 16 bits: at most 1 where all fit.
/// `pairs`: memory for what is between.
///
/// A sum takes the first two inputs of each of [`GROUPS`] groups in a row, or the last two, wherever the
/// first group is: pieces of rows need not have whole numbers of [`GROUPS`].
pub(crate) fn excess(codes: &[i8], pairs: &mut Vec<i16>) -> f32 {
    let mut heaviest = 0;
    for sign in [1, -1] {
        // What is beyond the last input weighs nothing.
        pairs.clear();
        pairs.resize(codes.len().div_ceil(2) + STEP * (GROUPS - 1), 0);
        let of_sign = |code: i8| (sign * i16::from(code)).max(0);
        let twos = codes.chunks_exact(2);
        if let (&[last], Some(pair)) = (twos.remainder(), pairs.get_mut(codes.len() / 2)) {
            *pair = of_sign(last);
        }
        for (two, pair) in twos.zip(&mut *pairs) {
            *pair = of_sign(two[0]) + of_sign(two[1]);
        }
        // Neighbours in a sum are a group apart.
        let parts = [0, 1, 2, 3].map(|group| &pairs[STEP * group..]);
        let [a, b, c, d] = parts;
        for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
            heaviest = heaviest.max(a + b + c + d);
        }
    }
    f32::from(heaviest) / HEAVIEST as f32
}

/// Sums of up to [`TALL`] rows, from `row`, with a panel whose weights have no [`excess`].
///
/// # Safety
/// As [`Simd`]; there must be so many rows of the pieces, and a panel of as many inputs.
#[inline(always)]
pub(crate) unsafe fn sum_up<S: Simd>(
    pieces: &[Piece<'_, Code>],
    row: usize,
    panel: *const Weight,
    sums: &mut [[S::Integers; 2]],
) {
    let column = S::LANES * GROUP;
    // SAFETY: the caller's promise.
    unsafe {
        let along = S::along();
        let mut panel = panel;
        let mut fresh = true;
        for piece in pieces {
            let groups = piece.length / GROUP;
            let mut codes = piece.values.as_ptr().add(row * piece.stride);
            for _ in 0..groups / GROUPS {
                match fresh {
                    true => add_groups::<S, true>(codes, piece.stride, panel, along, sums),
                    false => add_groups::<S, false>(codes, piece.stride, panel, along, sums),
                }
                fresh = false;
                panel = panel.add(GROUPS * 2 * column);
                codes = codes.add(GROUPS * GROUP);
            }
            for _ in 0..groups % GROUPS {
                if fresh {
                    sums.fill([S::zeros(); 2]);
                }
                fresh = false;
                let weights = [panel, panel.add(column)].map(|at| S::load_weights(at));
                let mut codes_of_row = codes;
                for sums in &mut *sums {
                    let codes = S::load_codes(codes_of_row);
                    sums[0] = S::dot(sums[0], weights[0], codes, along);
                    sums[1] = S::dot(sums[1], weights[1], codes, along);
                    codes_of_row = codes_of_row.add(piece.stride);
                }
                panel = panel.add(2 * column);
                codes = codes.add(GROUP);
            }
        }
    }
}

/// Adds [`GROUPS`] groups of inputs to all sums, or stores them where those are `FRESH`.
#[inline(always)]
unsafe fn add_groups<S: Simd, const FRESH: bool>(
    codes: *const Code,
    stride: usize,
    panel: *const Weight,
    along: S::Integers,
    sums: &mut [[S::Integers; 2]],
) {
    let column = S::LANES * GROUP;
    // SAFETY: the caller's promise.
    unsafe {
        let weights: [[S::Weights; GROUPS]; 2] = std::array::from_fn(|side| {
            std::array::from_fn(|group| S::load_weights(panel.add((2 * group + side) * column)))
        });
        let mut codes = codes;
        for sums in sums {
            let row: [S::Weights; GROUPS] =
                std::array::from_fn(|group| S::load_codes(codes.add(group * GROUP)));
            let before = match FRESH {
                true => [S::zeros(); 2],
                false => *sums,
            };
            sums[0] = S::dot_four(before[0], weights[0], row, along);
            sums[1] = S::dot_four(before[1], weights[1], row, along);
            codes = codes.add(stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::panel_width;
    use crate::simd::{Task, run, run_portable};
    use crate::testing::numbers;

    #[test]
    fn excess_is_what_the_heaviest_sum_takes() {
        assert_eq!(HEAVIEST, 258);
        let excess = |codes: &[i8]| excess(codes, &mut Vec::new());
        assert!(excess(&[]) == 0.0 && excess(&[63]) == 63.0 / 258.0);
        // Two of each group are one sum's, and its signs do not make up for each other.
        let mut codes = [0i8; 24];
        for group in codes.chunks_exact_mut(4).skip(1).take(4) {
            group.copy_from_slice(&[32, 33, 40, -40]);
        }
        assert_eq!(excess(&codes), 260.0 / 258.0);
        // What lies further away is another sum's.
        let mut far = [0i8; 40];
        for at in [0, 1, 2, 3, 16, 17, 18, 19] {
            far[at] = 63;
        }
        assert_eq!(excess(&far), 126.0 / 258.0);
    }

    /// Sums of three pieces of rows, of weights that fill 16 bits just so.
    struct Sums<'a> {
        pieces: &'a [Piece<'a, Code>],
        panel: &'a [i8],
        rows: usize,
        out: &'a mut Vec<f32>,
    }

    impl Task for Sums<'_> {
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            let inputs: usize = self.pieces.iter().map(|piece| piece.length).sum();
            let width = 2 * S::LANES;
            let mut panel: Vec<Weight> = vec![0; inputs * width];
            for (input, weights) in self.panel.chunks_exact(16).enumerate() {
                for (output, weight) in weights.iter().take(width).enumerate() {
                    let group = input / GROUP * width + output;
                    panel[group * GROUP + input % GROUP] = Weight::from(*weight);
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                let mut sums = [[S::zeros(); 2]; TALL];
                for row in (0..self.rows).step_by(TALL) {
                    let sums = &mut sums[..TALL.min(self.rows - row)];
                    sum_up::<S>(self.pieces, row, panel.as_ptr(), sums);
                    for sums in sums {
                        let mut floats = [0.0; 16];
                        S::store(S::to_floats(sums[0]), floats.as_mut_ptr());
                        S::store(S::to_floats(sums[1]), floats[S::LANES..].as_mut_ptr());
                        self.out.extend(&floats[..width]);
                    }
                }
            }
        }
    }

    #[test]
    fn sums_are_those_of_all_inputs_of_all_pieces() {
        for (lengths, rows) in [([48, 20, 4], 19), ([4, 8, 0], 1), ([32, 0, 12], 40)] {
            let inputs: usize = lengths.iter().sum();
            let code = |seed: u32, count: usize| -> Vec<Code> {
                let values = numbers(count, seed);
                let codes = values.iter().map(|x| (x * 40.0 + 64.0).clamp(0.0, 127.0));
                codes.map(|x| x as Code).collect()
            };
            let lines = [0, 1, 2].map(|piece| code(piece as u32, rows * (lengths[piece] + 3)));
            let pieces = [0, 1, 2].map(|piece| Piece {
                values: &lines[piece],
                stride: lengths[piece] + 3,
                length: lengths[piece],
            });
            let panel: Vec<i8> = (0..inputs * 16)
                .map(|at| match (at / 16 + at % 16) % 3 {
                    0 => 32,
                    1 => -32,
                    _ => 31,
                })
                .collect();
            let exact = |row: usize, output: usize| {
                let mut from = 0;
                let mut sum = 0;
                for piece in &pieces {
                    let codes = &piece.values[row * piece.stride..][..piece.length];
                    for (input, code) in codes.iter().enumerate() {
                        sum += i32::from(*code) * i32::from(panel[(from + input) * 16 + output]);
                    }
                    from += piece.length;
                }
                sum as f32
            };
            let ways: [(fn(Sums<'_>), usize); 2] = [
                (|sums| run(sums), panel_width()),
                (|sums| run_portable(sums), 8),
            ];
            for (run, width) in ways {
                let mut out = Vec::new();
                run(Sums {
                    pieces: &pieces,
                    panel: &panel,
                    rows,
                    out: &mut out,
                });
                let expected: Vec<f32> = (0..rows)
                    .flat_map(|row| (0..width).map(move |output| (row, output)))
                    .map(|(row, output)| exact(row, output))
                    .collect();
                assert_eq!(out, expected);
            }
        }
    }
}
