//! Softmax over the last axis, and with what attention in windows adds to its scores.

use crate::codes::{HIGHEST, ROUNDER};
use crate::exp::{CoarseExp2, Exp2};
use crate::map_values::Function;
use crate::matrix8::padded_inputs;
use crate::simd::{CODE, Code, Simd, Task, run};

/// Replaces each row of `row` values by its softmax.
///
/// # Panics
/// Where `values` is not whole rows.
pub fn softmax(values: &mut [f32], row: usize) {
    check(values, row, [&[], &[]]);
    run(Rows {
        values,
        row,
        bias: &[],
        mask: &[],
        shares: None,
    });
}

/// Whole rows, and as much to add as there are values, or nothing.
fn check(values: &[f32], row: usize, added: [&[f32]; 2]) {
    let fits = |added: &[f32]| added.is_empty() || added.len() == values.len();
    assert!(
        row > 0 && values.len().is_multiple_of(row) && added.into_iter().all(fits),
        "{} values in rows of {row}",
        values.len()
    );
}

/// As [`softmax`] of `values + bias + mask` (either may be empty), but for a factor for each row, which
/// `shares` takes: what the weights are multiplied with is shorter than they.
pub(crate) fn weights(
    values: &mut [f32],
    row: usize,
    [bias, mask]: [&[f32]; 2],
    shares: &mut Vec<f32>,
) {
    check(values, row, [bias, mask]);
    shares.clear();
    run(Rows {
        values,
        row,
        bias,
        mask,
        shares: Some(shares),
    });
}

/// As [`weights`], as codes from 0 to 127 that stand for themselves: rows of
/// `padded_inputs(row)`, the rest zeros.
///
/// Weights below a 254th of the largest of their row become 0; factors are of what the codes say, so that
/// weights still sum to 1.
pub(crate) fn weight_codes(
    values: &mut [f32],
    row: usize,
    [bias, mask]: [&[f32]; 2],
    codes: &mut Vec<Code>,
    shares: &mut Vec<f32>,
) {
    check(values, row, [bias, mask]);
    codes.resize(values.len() / row * padded_inputs(row), 0);
    shares.clear();
    run(RowsOfCodes {
        values,
        row,
        added: [bias, mask],
        codes,
        shares,
    });
}

/// What is added to the scores of attention inside windows: `[windows, heads, area, area]`.
#[derive(Clone, Copy, Debug)]
pub struct AttentionBias<'a> {
    /// Relative position bias: `[heads, area, area]`.
    pub position: &'a [f32],
    /// Mask of shifted windows: `[windows of an image, area, area]`.
    pub mask: Option<&'a [f32]>,
    /// Tokens of a window.
    pub area: usize,
}

/// Adds the biases to the scores and takes the softmax of each row, in one pass.
///
/// # Panics
/// Where the lengths do not fit.
pub fn attention_softmax(scores: &mut [f32], bias: AttentionBias<'_>) {
    let square = bias.area * bias.area;
    let (position, mask) = (bias.position, bias.mask.unwrap_or(&[]));
    assert!(
        square > 0
            && !position.is_empty()
            && position.len().is_multiple_of(square)
            && mask.len().is_multiple_of(square)
            && scores.len().is_multiple_of(position.len()),
        "{} scores, {} biases, a mask of {} and windows of {} tokens",
        scores.len(),
        position.len(),
        mask.len(),
        bias.area
    );
    for (window, scores) in scores.chunks_exact_mut(position.len()).enumerate() {
        let mask = (!mask.is_empty()).then(|| {
            let at = window * square % mask.len();
            &mask[at..at + square]
        });
        // Most windows of a shifted map lie within one region.
        let mask = mask.filter(|mask| mask.iter().any(|value| *value != 0.0));
        for (head, position) in scores
            .chunks_exact_mut(square)
            .zip(position.chunks_exact(square))
        {
            run(Rows {
                values: head,
                row: bias.area,
                bias: position,
                mask: mask.unwrap_or(&[]),
                shares: None,
            });
        }
    }
}

/// Exponentials of rows, what is added to them before, and what becomes of their sums.
struct Rows<'a> {
    values: &'a mut [f32],
    row: usize,
    /// As many as the values, or none.
    bias: &'a [f32],
    mask: &'a [f32],
    /// Takes 1 over each row's sum; where there is none, the row is multiplied by it.
    shares: Option<&'a mut Vec<f32>>,
}

impl Task for Rows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: the caller's promise.
        let (powers, to_twos) =
            unsafe { (Exp2::<S>::new(), S::constant(std::f32::consts::LOG2_E)) };
        for (index, row) in self.values.chunks_exact_mut(self.row).enumerate() {
            let [bias, mask] = [self.bias, self.mask].map(|added| row_of(added, index, self.row));
            // SAFETY: the caller's promise; both have the length of the row or none.
            let share = unsafe { exponentials::<S>((&powers, to_twos), row, bias, mask) };
            match &mut self.shares {
                Some(shares) => shares.push(share),
                None => {
                    for value in row {
                        *value *= share;
                    }
                }
            }
        }
    }
}

/// What is added to a row, or nothing.
#[inline(always)]
fn row_of(added: &[f32], index: usize, row: usize) -> &[f32] {
    added.get(index * row..(index + 1) * row).unwrap_or(&[])
}

/// Exponentials of rows as codes.
struct RowsOfCodes<'a> {
    values: &'a mut [f32],
    row: usize,
    /// Each as many as the values, or none.
    added: [&'a [f32]; 2],
    codes: &'a mut [Code],
    shares: &'a mut Vec<f32>,
}

impl Task for RowsOfCodes<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise; a row of codes is at least as long as one of values.
        unsafe {
            let (powers, to_twos) = (
                CoarseExp2::<S>::new(),
                S::constant(std::f32::consts::LOG2_E),
            );
            let rows = self.values.chunks_exact_mut(self.row);
            let codes = self.codes.chunks_exact_mut(padded_inputs(self.row));
            for (index, (row, codes)) in rows.zip(codes).enumerate() {
                let added = self.added.map(|added| row_of(added, index, self.row));
                let share = exponential_codes::<S>((&powers, to_twos), row, added, codes);
                self.shares.push(share);
            }
        }
    }
}

/// Codes of e to the power of each value, less the largest; gives 1 over their sum.
#[inline(always)]
unsafe fn exponential_codes<S: Simd>(
    (powers, to_twos): (&CoarseExp2<S>, S::Floats),
    row: &mut [f32],
    [bias, mask]: [&[f32]; 2],
    codes: &mut [Code],
) -> f32 {
    // SAFETY: blocks hold a value for every lane, and no vector has more than 8.
    unsafe {
        let most = S::splat(highest_of::<S>(row, bias, mask));
        // 127 e^x is 2^(x log2 e + log2 127).
        let (highest, rounder) = (S::constant(HIGHEST.log2()), S::constant(ROUNDER));
        let picker = S::picker();
        let whole = row.len() / S::LANES * S::LANES;
        let mut sums = S::splat(0.0);
        for at in (0..whole).step_by(S::LANES) {
            let value = S::sub(S::load(row.as_ptr().add(at)), most);
            let bits = powers.power_and(S::mul_add(value, to_twos, highest), rounder);
            S::store_codes(bits, picker, codes.as_mut_ptr().add(at));
            sums = S::add(sums, S::sub(bits, rounder));
        }
        let mut sum = S::sum(sums);
        let rest = &row[whole..];
        codes[whole..].fill(0);
        if !rest.is_empty() {
            let mut lanes = [f32::NEG_INFINITY; 8];
            lanes[..rest.len()].copy_from_slice(rest);
            let value = S::sub(S::load(lanes.as_ptr()), most);
            let bits = powers.power_and(S::mul_add(value, to_twos, highest), rounder);
            S::store(bits, lanes.as_mut_ptr());
            for (code, bits) in codes[whole..].iter_mut().zip(&lanes[..rest.len()]) {
                *code = (bits.to_bits() & CODE) as Code;
                sum += bits - ROUNDER;
            }
        }
        1.0 / sum
    }
}

/// Adds bias and mask (either may be empty) to the values, and gives the largest.
#[inline(always)]
unsafe fn highest_of<S: Simd>(row: &mut [f32], bias: &[f32], mask: &[f32]) -> f32 {
    // SAFETY: blocks hold a value for every lane.
    unsafe {
        let whole = row.len() / S::LANES * S::LANES;
        let mut highest = S::splat(f32::NEG_INFINITY);
        for at in (0..whole).step_by(S::LANES) {
            let to = row.as_mut_ptr().add(at);
            let mut value = S::load(to);
            if !bias.is_empty() {
                value = S::add(value, S::load(bias.as_ptr().add(at)));
            }
            if !mask.is_empty() {
                value = S::add(value, S::load(mask.as_ptr().add(at)));
            }
            if !(bias.is_empty() && mask.is_empty()) {
                S::store(value, to);
            }
            highest = S::at_least(highest, value);
        }
        let mut most = S::highest(highest);
        for (at, value) in row.iter_mut().enumerate().skip(whole) {
            *value += bias.get(at).unwrap_or(&0.0) + mask.get(at).unwrap_or(&0.0);
            most = most.max(*value);
        }
        most
    }
}

/// e to the power of each value plus bias plus mask, less the largest of these; gives 1 over their sum.
/// No power is less than 2^-64.
#[inline(always)]
unsafe fn exponentials<S: Simd>(
    (powers, to_twos): (&Exp2<S>, S::Floats),
    row: &mut [f32],
    bias: &[f32],
    mask: &[f32],
) -> f32 {
    // SAFETY: blocks hold a value for every lane, and no vector has more than 8.
    unsafe {
        let whole = row.len() / S::LANES * S::LANES;
        let most = S::splat(highest_of::<S>(row, bias, mask));
        let mut sums = S::splat(0.0);
        for at in (0..whole).step_by(S::LANES) {
            let to = row.as_mut_ptr().add(at);
            let value = powers.of(S::mul(S::sub(S::load(to), most), to_twos));
            S::store(value, to);
            sums = S::add(sums, value);
        }
        let mut sum = S::sum(sums);
        let rest = &mut row[whole..];
        if !rest.is_empty() {
            let mut lanes = [f32::NEG_INFINITY; 8];
            lanes[..rest.len()].copy_from_slice(rest);
            let value = S::sub(S::load(lanes.as_ptr()), most);
            let value = powers.of(S::mul(value, to_twos));
            S::store(value, lanes.as_mut_ptr());
            rest.copy_from_slice(&lanes[..rest.len()]);
            sum += rest.iter().sum::<f32>();
        }
        1.0 / sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        };
        (0..count).map(|_| next() * 4.0).collect()
    }

    fn exact(row: &[f64]) -> Vec<f64> {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = row.iter().map(|value| (value - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    }

    #[test]
    fn rows_of_every_length_sum_to_one() {
        for row in [1, 2, 7, 8, 9, 20, 49, 64, 257] {
            let given = numbers(row * 3);
            let mut values = given.clone();
            softmax(&mut values, row);
            for (given, values) in given.chunks(row).zip(values.chunks(row)) {
                let given: Vec<f64> = given.iter().map(|value| f64::from(*value)).collect();
                for (expected, value) in exact(&given).into_iter().zip(values) {
                    assert!((expected - f64::from(*value)).abs() < 1e-6, "{row}");
                }
            }
        }
    }

    #[test]
    fn large_and_masked_scores() {
        let mut values = [1e4, 1e4, -1e4, -100.0];
        softmax(&mut values, 4);
        assert_eq!(values[..2], [0.5, 0.5]);
        assert!(
            values[2..]
                .iter()
                .all(|value| (1e-20..3e-20).contains(value)),
            "nearly nothing, and no subnormal numbers: {values:?}"
        );
    }

    #[test]
    fn biases_reach_their_own_windows_and_heads() {
        let (images, windows, heads, area) = (2, 3, 2, 4);
        let square = area * area;
        let given = numbers(images * windows * heads * square);
        let position = numbers(heads * square);
        let mut mask = vec![0.0; windows * square];
        mask[square + 3] = -100.0;
        mask[2 * square..].fill(-1.5);
        mask[2 * square + 5] = 0.0;
        for with_mask in [false, true] {
            let mut scores = given.clone();
            let bias = AttentionBias {
                position: &position,
                mask: with_mask.then_some(&mask[..]),
                area,
            };
            attention_softmax(&mut scores, bias);
            for (row, scores) in scores.chunks(area).enumerate() {
                let (head, window) = (row / area % heads, row / area / heads % windows);
                let at = row % area * area;
                let sums: Vec<f64> = (0..area)
                    .map(|column| {
                        let masked = if with_mask {
                            mask[window * square + at + column]
                        } else {
                            0.0
                        };
                        let added = position[head * square + at + column] + masked;
                        f64::from(given[row * area + column]) + f64::from(added)
                    })
                    .collect();
                for (expected, score) in exact(&sums).into_iter().zip(scores) {
                    assert!((expected - f64::from(*score)).abs() < 1e-6, "row {row}");
                }
            }
        }
    }
}
