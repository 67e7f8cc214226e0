//! Softmax over the last axis, and with what attention in windows adds to its scores.

use crate::LANES;
use crate::exp::exp;

/// Replaces each row of `row` values by its softmax.
///
/// # Panics
/// Where `values` is not whole rows.
pub fn softmax(values: &mut [f32], row: usize) {
    assert!(
        row > 0 && values.len().is_multiple_of(row),
        "{} values in rows of {row}",
        values.len()
    );
    for row in values.chunks_exact_mut(row) {
        normalise(row);
    }
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
            match mask {
                None => {
                    for (score, position) in head.iter_mut().zip(position) {
                        *score += position;
                    }
                }
                Some(mask) => {
                    for ((score, position), mask) in head.iter_mut().zip(position).zip(mask) {
                        *score += position + mask;
                    }
                }
            }
            for row in head.chunks_exact_mut(bias.area) {
                normalise(row);
            }
        }
    }
}

#[inline(always)]
fn normalise(row: &mut [f32]) {
    let mut highest = [f32::NEG_INFINITY; LANES];
    let blocks = row.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for (highest, value) in highest.iter_mut().zip(block) {
            *highest = if *value > *highest { *value } else { *highest };
        }
    }
    let most = highest
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; LANES];
    let mut blocks = row.chunks_exact_mut(LANES);
    for block in &mut blocks {
        let mut lanes = [0.0; LANES];
        for (lane, value) in lanes.iter_mut().zip(&*block) {
            *lane = *value - most;
        }
        let lanes = exp(lanes);
        for ((value, sum), lane) in block.iter_mut().zip(&mut sums).zip(lanes) {
            *value = lane;
            *sum += lane;
        }
    }
    let rest = blocks.into_remainder();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for (lane, value) in lanes.iter_mut().zip(&*rest) {
        *lane = *value - most;
    }
    let lanes = exp(lanes);
    for (value, lane) in rest.iter_mut().zip(lanes) {
        *value = lane;
    }
    let sum: f32 = sums.iter().sum::<f32>() + rest.iter().sum::<f32>();
    let share = 1.0 / sum;
    for value in row {
        *value *= share;
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
        assert_eq!(values[2..], [0.0, 0.0], "no subnormal numbers");
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
