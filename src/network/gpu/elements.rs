//! Functions of single values, with what comes before and after them: a unit each.
#![allow(
    clippy::too_many_arguments,
    reason = "kernels have no structures to put sizes into"
)]

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};
use burn_cubecl::tensor::CubeTensor;

use super::{is_plain_gpu, like, on_gpu, tensor};

/// A unit for each of `count` values.
pub(super) fn units_for(output: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let group = CubeDim::new(&output.client, count);
    let groups = calculate_cube_count_elemwise(&output.client, count, group);
    (groups, group)
}

/// The product of a linear layer without its bias: `[batch, rows, inputs]` to `[1, batch * rows, outputs]`.
pub(super) fn product(linear: &Linear, input: Tensor<3>) -> Tensor<3> {
    let [batch, rows, inputs] = input.dims();
    input
        .reshape([1, batch * rows, inputs])
        .matmul(linear.weight.val().unsqueeze())
}

/// The exact GELU, x Φ(x).
pub(in crate::network) fn gelu<const D: usize>(input: &Tensor<D>) -> Option<Tensor<D>> {
    let input = on_gpu(input)?;
    let output = like(&input);
    let count = output.meta.shape().num_elements();
    let (groups, group) = units_for(&output, count);
    gelu_kernel::launch(
        &output.client,
        groups,
        group,
        input.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        count,
    );
    Some(tensor(output))
}

#[cube(launch)]
fn gelu_kernel(input: &[f32], output: &mut [f32], count: usize) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    output[at] = gelu_of(input[at]);
}

#[cube]
fn gelu_of(x: f32) -> f32 {
    let root = comptime!(std::f32::consts::FRAC_1_SQRT_2);
    0.5f32 * x * (1.0f32 + Erf::erf(x * root))
}

/// GELU of a linear layer with a bias: `[batch, rows, inputs]` to `[batch, rows, outputs]`.
pub(in crate::network) fn linear_gelu(linear: &Linear, input: &Tensor<3>) -> Option<Tensor<3>> {
    if !is_plain_gpu(&input.device()) {
        return None;
    }
    let bias = on_gpu(&linear.bias.as_ref()?.val())?;
    let [batch, rows, _] = input.dims();
    let values = product(linear, input.clone());
    let width = values.dims()[2];
    let values = on_gpu(&values)?;
    let output = like(&values);
    let count = batch * rows * width;
    let (groups, group) = units_for(&output, count);
    bias_gelu_kernel::launch(
        &output.client,
        groups,
        group,
        values.into_buffer_arg(),
        bias.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        count,
        width,
    );
    Some(tensor::<3>(output).reshape([batch, rows, width]))
}

#[cube(launch)]
fn bias_gelu_kernel(values: &[f32], bias: &[f32], output: &mut [f32], count: usize, width: usize) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    output[at] = gelu_of(values[at] + bias[at % width]);
}

/// What a linear layer with a bias gives, added to `onto`, which has that shape.
pub(in crate::network) fn add_linear(
    linear: &Linear,
    input: &Tensor<3>,
    onto: &Tensor<3>,
) -> Option<Tensor<3>> {
    if !is_plain_gpu(&input.device()) {
        return None;
    }
    let bias = linear.bias.as_ref()?.val();
    let output = biased(&product(linear, input.clone()), &bias, Some(onto), false)?;
    Some(output.reshape(onto.dims()))
}

/// `values` with a bias for each of their columns, and `onto` of as many values added; ReLU6 at the end if asked for.
///
/// `values`: `[1, rows, columns]`, the shape that comes back.
pub(super) fn biased(
    values: &Tensor<3>,
    bias: &Tensor<1>,
    onto: Option<&Tensor<3>>,
    relu6: bool,
) -> Option<Tensor<3>> {
    let width = values.dims()[2];
    let (values, bias) = (on_gpu(values)?, on_gpu(bias)?);
    let output = like(&values);
    let count = output.meta.shape().num_elements();
    let (groups, group) = units_for(&output, count);
    let (client, out) = (output.client.clone(), output.clone().into_buffer_arg());
    let (values, bias) = (values.into_buffer_arg(), bias.into_buffer_arg());
    match onto {
        Some(onto) => {
            let onto = on_gpu(onto)?.into_buffer_arg();
            add_biased_kernel::launch(
                &client, groups, group, values, bias, onto, out, count, width,
            );
        }
        None => bias_kernel::launch(
            &client, groups, group, values, bias, out, count, width, relu6,
        ),
    }
    Some(tensor(output))
}

#[cube(launch)]
fn bias_kernel(
    values: &[f32],
    bias: &[f32],
    output: &mut [f32],
    count: usize,
    width: usize,
    #[comptime] relu6: bool,
) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    let value = values[at] + bias[at % width];
    if comptime!(relu6) {
        output[at] = clamp(value, 0.0f32, 6.0f32);
    } else {
        output[at] = value;
    }
}

#[cube(launch)]
fn add_biased_kernel(
    values: &[f32],
    bias: &[f32],
    onto: &[f32],
    output: &mut [f32],
    count: usize,
    width: usize,
) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    output[at] = onto[at] + values[at] + bias[at % width];
}
