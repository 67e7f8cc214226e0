//! Functions of a row of values: a group of units each.
#![allow(
    clippy::too_many_arguments,
    reason = "kernels have no structures to put sizes into"
)]

use burn::tensor::Tensor;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::{groups, like, on_gpu, tensor, units};

/// Layer normalisation over the last axis.
pub(in crate::network) fn layer_norm<const D: usize>(
    input: &Tensor<D>,
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let width = input.dims()[D - 1];
    let rows = input.dims().iter().product::<usize>() / width.max(1);
    let (input, gamma, beta) = (on_gpu(input)?, on_gpu(gamma)?, on_gpu(beta)?);
    let output = like(&input);
    let units = units(width);
    layer_norm_kernel::launch(
        &output.client,
        groups(rows),
        CubeDim::new_1d(units as u32),
        input.into_buffer_arg(),
        gamma.into_buffer_arg(),
        beta.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        width,
        epsilon as f32,
        units,
    );
    Some(tensor(output))
}

#[cube(launch)]
fn layer_norm_kernel(
    input: &[f32],
    gamma: &[f32],
    beta: &[f32],
    output: &mut [f32],
    rows: usize,
    width: usize,
    epsilon: f32,
    #[comptime] units: usize,
) {
    let row = CUBE_POS as usize;
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let statistics = statistics_of_row(input, start, width, epsilon, units);
    let mut at = UNIT_POS as usize;
    while at < width {
        let value = (input[start + at] - statistics.mean) * statistics.scale;
        output[start + at] = value * gamma[at] + beta[at];
        at += units;
    }
}

/// What layer normalisation takes from a row.
#[derive(CubeType)]
pub(super) struct Statistics {
    pub(super) mean: f32,
    /// One over the standard deviation.
    pub(super) scale: f32,
}

#[cube]
pub(super) fn statistics_of_row(
    input: &[f32],
    start: usize,
    width: usize,
    epsilon: f32,
    #[comptime] units: usize,
) -> Statistics {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < width {
        sum += input[start + at];
        at += units;
    }
    let mean = sum_of_group(sum, &mut shared, units) / f32::cast_from(width);
    let mut squares = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < width {
        let off = input[start + at] - mean;
        squares += off * off;
        at += units;
    }
    let variance = sum_of_group(squares, &mut shared, units) / f32::cast_from(width);
    Statistics {
        mean,
        scale: 1.0f32 / (variance + epsilon).sqrt(),
    }
}

/// What all units of a group have, added up.
#[cube]
fn sum_of_group(value: f32, shared: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    folded_over_group(value, shared, units, false)
}

/// The largest that a unit of a group has.
#[cube]
fn largest_of_group(value: f32, shared: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    folded_over_group(value, shared, units, true)
}

#[cube]
fn folded_over_group(
    value: f32,
    shared: &mut Shared<[f32]>,
    #[comptime] units: usize,
    #[comptime] largest: bool,
) -> f32 {
    let unit = UNIT_POS as usize;
    // Others may still read what was there.
    sync_cube();
    shared[unit] = value;
    sync_cube();
    let mut half = (units / 2).runtime();
    while half > 0 {
        if unit < half {
            let (own, other) = (shared[unit], shared[unit + half]);
            if comptime!(largest) {
                shared[unit] = max(own, other);
            } else {
                shared[unit] = own + other;
            }
        }
        half /= 2;
        sync_cube();
    }
    shared[0]
}

/// Softmax over the last axis.
pub(in crate::network) fn softmax<const D: usize>(scores: &Tensor<D>) -> Option<Tensor<D>> {
    let width = scores.dims()[D - 1];
    let rows = scores.dims().iter().product::<usize>() / width.max(1);
    let scores = on_gpu(scores)?;
    let output = like(&scores);
    let units = units(width);
    softmax_kernel::launch(
        &output.client,
        groups(rows),
        CubeDim::new_1d(units as u32),
        scores.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        width,
        units,
    );
    Some(tensor(output))
}

#[cube(launch)]
fn softmax_kernel(
    scores: &[f32],
    output: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS as usize;
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let mut at = UNIT_POS as usize;
    while at < width {
        output[start + at] = scores[start + at];
        at += units;
    }
    softmax_of_row(output, start, width, units);
}

/// In place. A unit reads what it wrote itself.
#[cube]
pub(super) fn softmax_of_row(
    row: &mut [f32],
    start: usize,
    width: usize,
    #[comptime] units: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let mut largest = f32::min_value();
    let mut at = UNIT_POS as usize;
    while at < width {
        largest = max(largest, row[start + at]);
        at += units;
    }
    let largest = largest_of_group(largest, &mut shared, units);
    let mut sum = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < width {
        let value = (row[start + at] - largest).exp();
        row[start + at] = value;
        sum += value;
        at += units;
    }
    let scale = 1.0f32 / sum_of_group(sum, &mut shared, units);
    let mut at = UNIT_POS as usize;
    while at < width {
        row[start + at] *= scale;
        at += units;
    }
}
