//! 4-bit matrices: groups of values that share a scale, two codes to a byte.
//!
//! `value = scale * q` with `q` in -8..=7. A group is [`GROUP`] values that one output sums up, next
//! to each other along the input axis, so that a scale adapts to each output and to each stretch of
//! its input. Scales are half precision and may be negative: the largest value of a group can then
//! always take the longer side, -8. The scale of each group is the best of several by squared error.
//!
//! A byte holds two neighbours of a row (the last axis), the first in its low half, each as `q + 8`.

use half::f16;

/// Values that share a scale.
pub const GROUP: usize = 32;

/// The smallest code; the largest is one less than its opposite.
const LOWEST: f32 = -8.0;
const HIGHEST: f32 = 7.0;

/// A matrix in 4 bits.
#[derive(Debug, PartialEq)]
pub struct FourBit {
    /// `[rows, columns / 2]`.
    pub codes: Vec<u8>,
    /// The matrix's shape with the grouped axis divided by [`GROUP`], rounded up.
    pub scales: Vec<f16>,
}

/// Shape of the codes of a `[rows, columns]` matrix.
pub fn code_shape([rows, columns]: [usize; 2]) -> [usize; 2] {
    [rows, columns / 2]
}

/// Shape of the scales of a `[rows, columns]` matrix that is grouped along `axis`.
pub fn scale_shape([rows, columns]: [usize; 2], axis: usize) -> [usize; 2] {
    if axis == 0 {
        [rows.div_ceil(GROUP), columns]
    } else {
        [rows, columns.div_ceil(GROUP)]
    }
}

/// Quantises a `[rows, columns]` matrix of an even number of columns in groups along `axis`.
pub fn quantize(values: &[f32], shape: [usize; 2], axis: usize) -> FourBit {
    let [rows, columns] = shape;
    let [group_rows, group_columns] = scale_shape(shape, axis);
    let mut codes = vec![0u8; rows * columns / 2];
    let mut scales = Vec::with_capacity(group_rows * group_columns);
    let mut group = Vec::with_capacity(GROUP);
    for group_row in 0..group_rows {
        for group_column in 0..group_columns {
            let (row, column) = if axis == 0 {
                (group_row * GROUP, group_column)
            } else {
                (group_row, group_column * GROUP)
            };
            let (length, step) = if axis == 0 {
                (GROUP.min(rows - row), columns)
            } else {
                (GROUP.min(columns - column), 1)
            };
            let first = row * columns + column;
            group.clear();
            group.extend((0..length).map(|index| values[first + index * step]));
            let scale = best_scale(&group);
            for (index, value) in group.iter().enumerate() {
                let at = first + index * step;
                let code = (code_of(*value, scale.to_f32()) - LOWEST) as u8;
                codes[at / 2] |= code << (4 * (at % 2));
            }
            scales.push(scale);
        }
    }
    FourBit { codes, scales }
}

/// The inverse of [`quantize`]; `shape` is the matrix's.
pub fn dequantize(codes: &[u8], scales: &[f16], shape: [usize; 2], axis: usize) -> Vec<f32> {
    let [_, columns] = shape;
    let [_, group_columns] = scale_shape(shape, axis);
    let scales: Vec<f32> = scales.iter().map(|scale| scale.to_f32()).collect();
    let mut output = Vec::with_capacity(codes.len() * 2);
    let value = |code: u8| f32::from(code) + LOWEST;
    for (row, codes) in codes.chunks(columns / 2).enumerate() {
        let start = if axis == 0 { row / GROUP } else { row } * group_columns;
        let scales = &scales[start..start + group_columns];
        for (pair, byte) in codes.iter().enumerate() {
            let (low, high) = (value(byte & 15), value(byte >> 4));
            let (first, second) = if axis == 0 {
                (scales[2 * pair], scales[2 * pair + 1])
            } else {
                // GROUP is even: both belong to one group.
                (scales[2 * pair / GROUP], scales[2 * pair / GROUP])
            };
            output.extend([low * first, high * second]);
        }
    }
    output
}

fn code_of(value: f32, scale: f32) -> f32 {
    if scale == 0.0 {
        return 0.0;
    }
    (value / scale).round().clamp(LOWEST, HIGHEST)
}

/// The half-precision scale with the smallest squared error over a group.
fn best_scale(group: &[f32]) -> f16 {
    let peak = group.iter().fold(0.0f32, |peak, value| {
        if value.abs() > peak.abs() {
            *value
        } else {
            peak
        }
    });
    if peak == 0.0 {
        return f16::ZERO;
    }
    let mut best = (f32::INFINITY, f16::ZERO);
    // The peak at a code from -6.5 to -9.5 (clamped to -8), or at 7 and around it: cutting the peak
    // off a little leaves finer steps for all the others.
    for step in 0..13 {
        let divisor = 6.5 + 0.25 * step as f32;
        for scale in [peak / -divisor, peak / divisor] {
            for scale in [Some(scale), refitted(group, scale)].into_iter().flatten() {
                let scale = f16::from_f32(scale);
                let error = squared_error(group, scale.to_f32());
                if error < best.0 {
                    best = (error, scale);
                }
            }
        }
    }
    best.1
}

/// The scale that fits the codes of `scale` best, by least squares.
fn refitted(group: &[f32], scale: f32) -> Option<f32> {
    let (mut products, mut squares) = (0.0f32, 0.0f32);
    for value in group {
        let code = code_of(*value, scale);
        products += value * code;
        squares += code * code;
    }
    (squares > 0.0).then(|| products / squares)
}

fn squared_error(group: &[f32], scale: f32) -> f32 {
    group
        .iter()
        .map(|value| (value - code_of(*value, scale) * scale).powi(2))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0)
            .collect()
    }

    #[test]
    fn every_value_comes_back_within_its_groups_step() {
        // The last group is shorter, whichever the axis.
        for axis in [0, 1] {
            let shape = [70, 44];
            let values = wave(70 * 44);
            let packed = quantize(&values, shape, axis);
            assert_eq!(
                packed.codes.len(),
                code_shape(shape).iter().product::<usize>()
            );
            assert_eq!(
                packed.scales.len(),
                scale_shape(shape, axis).iter().product::<usize>()
            );
            let back = dequantize(&packed.codes, &packed.scales, shape, axis);
            assert_eq!(back.len(), values.len());
            for (index, (value, back)) in values.iter().zip(&back).enumerate() {
                let (row, column) = (index / 44, index % 44);
                let scale = match axis {
                    0 => packed.scales[row / GROUP * 44 + column],
                    _ => packed.scales[row * 2 + column / GROUP],
                };
                // Half a step inside, a step and a half where the peak is cut off.
                let step = scale.to_f32().abs();
                assert!((value - back).abs() <= 1.5 * step, "{value} {back} {step}");
                assert!(step < 0.35, "a range of 4 in 16 steps");
            }
        }
    }

    #[test]
    fn what_fits_the_codes_exactly_comes_back_exactly() {
        let values: Vec<f32> = (0..64).map(|i| ((i % 16) as f32 - 8.0) * 0.125).collect();
        let packed = quantize(&values, [1, 64], 1);
        assert_eq!(
            dequantize(&packed.codes, &packed.scales, [1, 64], 1),
            values
        );
        let mirrored: Vec<f32> = values.iter().map(|value| -value).collect();
        let packed = quantize(&mirrored, [1, 64], 1);
        assert_eq!(
            dequantize(&packed.codes, &packed.scales, [1, 64], 1),
            mirrored
        );
    }

    #[test]
    fn zeros_stay_zero_and_one_outlier_costs_its_own_group_only() {
        let mut values = vec![0.0f32; 96];
        values[40] = 1000.0;
        values[70] = 0.5;
        let packed = quantize(&values, [1, 96], 1);
        let back = dequantize(&packed.codes, &packed.scales, [1, 96], 1);
        assert_eq!(&back[..32], &[0.0; 32]);
        assert!((back[70] - 0.5).abs() < 1e-3 && (back[40] - 1000.0).abs() < 1.0);
    }

    #[test]
    fn the_chosen_scale_is_no_worse_than_the_plain_one() {
        for seed in 0..20 {
            let group: Vec<f32> = wave(GROUP * 21)[seed * GROUP..][..GROUP].to_vec();
            let peak = group
                .iter()
                .fold(0.0f32, |peak, value| peak.max(value.abs()));
            let chosen = squared_error(&group, best_scale(&group).to_f32());
            assert!(chosen <= squared_error(&group, f16::from_f32(peak / 7.0).to_f32()));
        }
    }
}
