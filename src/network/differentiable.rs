//! The operations whose gradients burn 0.22 lacks, approximates or defines otherwise than PyTorch.
//! Each is burn's own where no gradient is asked for.
//!
//! | operation | what is wrong with burn's own | here, on an autodiff device |
//! |---|---|---|
//! | [`gelu`] | its gradient is that of the tanh approximation on every device but the CPU | written out with `erf`, whose gradient is exact |
//! | [`upsample`] | GPUs have no gradient of bilinear interpolation at all | two matrix products |
//! | [`batch_norm`] | the running variance takes in the biased variance of a batch | the unbiased one |

use std::f64::consts::SQRT_2;

use burn::nn::BatchNorm;
use burn::tensor::module::{batch_norm_train, interpolate};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, TensorData, activation};

use super::kernels;
use crate::platform;

/// The exact GELU, x Φ(x).
pub(super) fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    kernels::gelu(input, |input| {
        let device = input.device();
        // Devices are equal here whether or not they record gradients.
        if device.is_autodiff() && platform::cpu().is_none_or(|cpu| device != cpu) {
            exact_gelu(input)
        } else {
            activation::gelu(input)
        }
    })
}

fn exact_gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    let normal = (input.clone() / SQRT_2).erf() * 0.5 + 0.5;
    input * normal
}

/// Bilinear with aligned corners, the network's only way of upsampling.
///
/// `features`: `[batch, channels, h, w]`; `size`: `[height, width]`.
pub fn upsample(features: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    if features.device().is_autodiff() {
        return upsample_by_products(features, size);
    }
    let options = InterpolateOptions::new(InterpolateMode::Bilinear)
        .with_align_corners(true)
        .with_output_size(size);
    interpolate(features, options)
}

/// Interpolation is linear and separable: rows and columns are a product each.
fn upsample_by_products(features: Tensor<4>, [height, width]: [usize; 2]) -> Tensor<4> {
    let [_, _, h, w] = features.dims();
    let device = features.device();
    let matrix = |from: usize, to: usize| {
        let data = TensorData::new(interpolation_matrix(from, to), [to, from]);
        Tensor::<2>::from_data(data, &device).unsqueeze::<4>()
    };
    let wide = features.matmul(matrix(w, width).swap_dims(2, 3));
    matrix(h, height).matmul(wide)
}

/// `[to, from]`, row-major: what each input position contributes to each output position.
fn interpolation_matrix(from: usize, to: usize) -> Vec<f32> {
    let step = if to > 1 {
        (from - 1) as f64 / (to - 1) as f64
    } else {
        0.0
    };
    let mut matrix = vec![0.0; to * from];
    for (position, row) in matrix.chunks_exact_mut(from).enumerate() {
        let exact = step * position as f64;
        let before = (exact as usize).min(from - 1);
        let share = (exact - before as f64) as f32;
        row[before] += 1.0 - share;
        row[(before + 1).min(from - 1)] += share;
    }
    matrix
}

/// Batch normalisation. In training (on an autodiff device, with the module's `training` flag on)
/// by the statistics of the batch, which then move the running ones as PyTorch moves them: the
/// batch's variance enters with n - 1 in its denominator.
///
/// `input`: `[batch, channels, height, width]`.
pub(super) fn batch_norm(norm: &BatchNorm, input: Tensor<4>) -> Tensor<4> {
    if !(input.device().is_autodiff() && norm.training.is_enabled()) {
        return norm.forward(input);
    }
    let [batch, _, height, width] = input.dims();
    let count = (batch * height * width) as f64;
    let result = batch_norm_train(input, norm.gamma.val(), norm.beta.val(), norm.epsilon);
    // A single value has no unbiased variance; PyTorch refuses it, this keeps it at 0.
    let unbiased = result.variance.detach() * (count / (count - 1.0).max(1.0));
    let moved = |running: Tensor<1>, new: Tensor<1>| {
        (running * (1.0 - norm.momentum) + new * norm.momentum).detach()
    };
    let mean = moved(norm.running_mean.value_sync(), result.mean.detach());
    let variance = moved(norm.running_var.value_sync(), unbiased);
    norm.running_mean.update(mean);
    norm.running_var.update(variance);
    result.output
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn::tensor::Distribution;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().expect("f32 tensor")
    }

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    }

    fn random(shape: [usize; 4]) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    #[test]
    fn products_upsample_as_interpolation_does() {
        for (from, to) in [([3, 5], [7, 11]), ([1, 4], [3, 4]), ([4, 4], [4, 4])] {
            let input = random([2, 3, from[0], from[1]]);
            let products = values(upsample_by_products(input.clone(), to));
            assert!(largest_difference(&products, &values(upsample(input, to))) < 1e-5);
        }
    }

    #[test]
    fn both_gelus_have_the_same_value_and_gradient() {
        let input = Tensor::<1>::from_data([-4.0f32, -1.0, -0.1, 0.0, 0.3, 2.0], &Device::flex());
        let run = |gelu: fn(Tensor<1>) -> Tensor<1>| {
            let input = input.clone().autodiff().require_grad();
            let output = gelu(input.clone());
            let gradients = output.clone().sum().backward();
            let gradient = input.grad(&gradients).expect("recorded");
            (values(output.inner()), values(gradient))
        };
        let (exact, own) = (run(exact_gelu), run(activation::gelu));
        assert!(largest_difference(&exact.0, &own.0) < 1e-6);
        assert!(largest_difference(&exact.1, &own.1) < 1e-6);
    }

    #[test]
    fn the_running_variance_takes_in_the_unbiased_variance() {
        let device = Device::flex().autodiff();
        let norm = burn::nn::BatchNormConfig::new(1).init(&device);
        let input = Tensor::<4>::from_data([[[[1.0f32, 3.0]]]], &device);
        let output = values(batch_norm(&norm, input).inner());
        assert!(largest_difference(&output, &[-1.0, 1.0]) < 1e-4);
        // 0.9 * 1 + 0.1 * 2: the two values have variance 1, or 2 without bias.
        assert!(largest_difference(&values(norm.running_var.value_sync().inner()), &[1.1]) < 1e-6);
        assert!(largest_difference(&values(norm.running_mean.value_sync().inner()), &[0.2]) < 1e-6);
    }
}
