//! The CNN's blocks, channels last: 1 x 1 convolutions are products, and nothing is copied around the others.
#![allow(
    clippy::too_many_arguments,
    reason = "kernels have no structures to put sizes into"
)]

use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use rrsis_kernels::padding;

use super::elements::{biased, units_for};
use super::{is_plain_gpu, on_gpu, shaped, tensor};
use crate::network::cnn::InvertedResidual;

/// A block: `[batch, channels, height, width]` to the same, both stored with the channels last.
pub(in crate::network) fn inverted_residual(
    block: &InvertedResidual,
    map: &Tensor<4>,
) -> Option<Tensor<4>> {
    if !is_plain_gpu(&map.device()) {
        return None;
    }
    let input = map.clone().permute([0, 2, 3, 1]);
    let wide = match &block.expand {
        Some(expand) => pointwise(expand, input.clone(), Then::Relu6, None)?,
        None => input.clone(),
    };
    let wide = depthwise(&block.depthwise, &wide)?;
    let onto = block.residual.then_some(&input);
    let output = pointwise(&block.project, wide, Then::Nothing, onto)?;
    Some(output.permute([0, 3, 1, 2]))
}

/// What is done with a convolution's values.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Nothing,
    Relu6,
}

/// A 1 x 1 convolution of `[batch, height, width, channels]`, and `onto` added.
fn pointwise(
    layer: &Conv2d,
    input: Tensor<4>,
    then: Then,
    onto: Option<&Tensor<4>>,
) -> Option<Tensor<4>> {
    let [batch, height, width, inputs] = input.dims();
    let weight = layer.weight.val();
    let outputs = weight.dims()[0];
    let rows = batch * height * width;
    let weight = weight.reshape([1, outputs, inputs]).swap_dims(1, 2);
    let values = input.reshape([1, rows, inputs]).matmul(weight);
    let bias = layer.bias.as_ref()?.val();
    let onto = onto.map(|onto| onto.clone().reshape([1, rows, outputs]));
    let output = biased(&values, &bias, onto.as_ref(), then == Then::Relu6)?;
    Some(output.reshape([batch, height, width, outputs]))
}

/// A convolution of each channel by itself with its bias and ReLU6, padded as TensorFlow does.
///
/// `input`: `[batch, height, width, channels]`.
fn depthwise(layer: &Conv2d, input: &Tensor<4>) -> Option<Tensor<4>> {
    let [batch, height, width, channels] = input.dims();
    let (kernel, stride) = (layer.kernel_size[0], layer.stride[0]);
    let [down, right] = [height, width].map(|size| size.div_ceil(stride));
    let [top, left] = [height, width].map(|size| padding(size, kernel, stride)[0]);
    let weight = on_gpu(&layer.weight.val())?;
    let bias = on_gpu(&layer.bias.as_ref()?.val())?;
    let input = on_gpu(input)?;
    let output = shaped(&input, [batch, down, right, channels]);
    let count = batch * down * right * channels;
    let (groups, group) = units_for(&output, count);
    depthwise_kernel::launch(
        &output.client,
        groups,
        group,
        input.into_buffer_arg(),
        weight.into_buffer_arg(),
        bias.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        count,
        channels,
        height,
        width,
        down,
        right,
        top,
        left,
        kernel,
        stride,
    );
    Some(tensor(output))
}

#[cube(launch)]
fn depthwise_kernel(
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    output: &mut [f32],
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
    down: usize,
    right: usize,
    top: usize,
    left: usize,
    #[comptime] kernel: usize,
    #[comptime] stride: usize,
) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    let (pixel, channel) = (at / channels, at % channels);
    let image = pixel / (down * right);
    let (row, column) = ((pixel / right) % down * stride, pixel % right * stride);
    let mut sum = bias[channel];
    #[unroll]
    for dy in 0..kernel {
        #[unroll]
        for dx in 0..kernel {
            let (y, x) = (row + dy, column + dx);
            // Padding is above and left of the map, and what lies below and right of it.
            if y >= top && y < height + top && x >= left && x < width + left {
                let from = ((image * height + y - top) * width + x - left) * channels + channel;
                sum += input[from] * weight[(channel * kernel + dy) * kernel + dx];
            }
        }
    }
    output[at] = clamp(sum, 0.0f32, 6.0f32);
}
