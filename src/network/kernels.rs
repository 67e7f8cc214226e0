//! The functions that go through every value, by our own code where no gradient is asked for; by burn's
//! operations everywhere else, which say what they must give.

use burn::nn::{LayerNorm, Linear};
use burn::tensor::activation;
use burn::tensor::{Device, Tensor, TensorData};
use rrsis_kernels::AttentionBias;

use super::gpu;
use crate::platform;

/// Whether a device's values can be had at once, and nobody wants gradients of them.
pub(super) fn is_plain_cpu(device: &Device) -> bool {
    // Devices are equal here whether or not they record gradients.
    !device.is_autodiff() && platform::cpu().is_some_and(|cpu| *device == cpu)
}

/// The tensor with its values changed in place.
fn changed<const D: usize>(tensor: Tensor<D>, change: impl FnOnce(&mut [f32])) -> Tensor<D> {
    let device = tensor.device();
    let mut data = tensor.into_data();
    if let Ok(values) = data.as_mut_slice::<f32>() {
        change(values);
    }
    Tensor::from_data(data, &device)
}

/// Epsilon of the layer normalisations on the vision side: burn's and PyTorch's default.
pub(super) const EPSILON: f64 = 1e-5;

/// Layer normalisation over the last axis. `epsilon`: what `norm` was made with, which burn does not tell.
pub(super) fn layer_norm<const D: usize>(
    norm: &LayerNorm,
    epsilon: f64,
    input: Tensor<D>,
) -> Tensor<D> {
    norm.beta
        .as_ref()
        .and_then(|beta| gpu::layer_norm(&input, &norm.gamma.val(), &beta.val(), epsilon))
        .unwrap_or_else(|| norm.forward(input))
}

/// Softmax over the last axis.
pub(super) fn softmax<const D: usize>(scores: Tensor<D>) -> Tensor<D> {
    let row = scores.dims()[D - 1];
    if row > 0 && is_plain_cpu(&scores.device()) {
        changed(scores, |values| rrsis_kernels::softmax(values, row))
    } else {
        gpu::softmax(&scores).unwrap_or_else(|| activation::softmax(scores, D - 1))
    }
}

/// The exact GELU, x Φ(x): `otherwise` where this is no plain CPU.
pub(super) fn gelu<const D: usize>(
    input: Tensor<D>,
    otherwise: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if is_plain_cpu(&input.device()) {
        changed(input, rrsis_kernels::gelu)
    } else {
        gpu::gelu(&input).unwrap_or_else(|| otherwise(input))
    }
}

/// GELU of what a linear layer gives: `[batch, rows, inputs]` to `[batch, rows, outputs]`.
pub(super) fn linear_gelu(linear: &Linear, input: Tensor<3>) -> Tensor<3> {
    gpu::linear_gelu(linear, &input)
        .unwrap_or_else(|| super::differentiable::gelu(linear.forward(input)))
}

/// `onto`, and what a linear layer gives: both `[batch, rows, outputs]`.
pub(super) fn add_linear(linear: &Linear, input: Tensor<3>, onto: Tensor<3>) -> Tensor<3> {
    gpu::add_linear(linear, &input, &onto).unwrap_or_else(|| onto + linear.forward(input))
}

/// Softmax of the scores of attention inside windows.
///
/// `scores`: `[count, heads, area, area]`; `position`: `[1, heads, area, area]`; `mask`, for each window
/// of an image: `[windows, area, area]`. `count` is a multiple of `windows`.
pub(super) fn attention_softmax(
    scores: Tensor<4>,
    position: Tensor<4>,
    mask: Option<TensorData>,
) -> Tensor<4> {
    let [_, _, area, _] = scores.dims();
    let device = scores.device();
    if is_plain_cpu(&device) {
        let position = position.into_data();
        let read = (
            position.as_slice::<f32>(),
            mask.as_ref().map(TensorData::as_slice::<f32>).transpose(),
        );
        if let (Ok(position), Ok(mask)) = read {
            return changed(scores, |scores| {
                let bias = AttentionBias {
                    position,
                    mask,
                    area,
                };
                rrsis_kernels::attention_softmax(scores, bias);
            });
        }
        return by_operations(scores, Tensor::from_data(position, &device), mask);
    }
    by_operations(scores, position, mask)
}

fn by_operations(scores: Tensor<4>, position: Tensor<4>, mask: Option<TensorData>) -> Tensor<4> {
    let [count, heads, area, _] = scores.dims();
    let device = scores.device();
    let mut scores = scores + position;
    if let Some(mask) = mask {
        let mask = Tensor::<3>::from_data(mask, &device);
        let windows = mask.dims()[0];
        scores = (scores.reshape([count / windows, windows, heads, area, area])
            + mask.unsqueeze_dims::<5>(&[0, 2]))
        .reshape([count, heads, area, area]);
    }
    activation::softmax(scores, 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    fn close<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn the_same_as_the_operations() {
        let device = Device::flex();
        let random =
            |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 3.0), &device);
        let scores = random([6, 4, 16, 16]);
        let position = random([1, 4, 16, 16]);
        let mut mask = vec![0.0f32; 3 * 256];
        mask[300..400].fill(-100.0);
        let mask = TensorData::new(mask, [3, 16, 16]);
        for mask in [None, Some(mask)] {
            let before = scores.clone().into_data();
            let ours = attention_softmax(scores.clone(), position.clone(), mask.clone());
            assert_eq!(
                before,
                scores.clone().into_data(),
                "what was cloned keeps its values"
            );
            let theirs = by_operations(scores.clone(), position.clone(), mask);
            let off = close(ours, theirs);
            // The kernels are tested against exact values; burn's own softmax is off by 3e-6.
            assert!(off < 1e-5, "{off}");
        }
        // A view of other strides, too.
        let turned = scores.clone().swap_dims(1, 3);
        let theirs = activation::softmax(turned.clone(), 3);
        assert!(close(softmax(turned.clone()), theirs) < 1e-5);
        let theirs = activation::gelu(turned.clone());
        let ours = gelu(turned, |_| panic!("this is a plain CPU"));
        assert!(close(ours, theirs) < 2e-6);
    }
}
