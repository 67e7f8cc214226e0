//! From burn's modules to the kernels' layers.

use burn::module::Param;
use burn::nn;
use burn::tensor::Tensor;
use rrsis_kernels::{LayerNorm, Linear, Precision};

/// The values of a tensor, in order.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // In the memory that the data has, where the tensor is nobody else's.
    tensor.into_data().try_into_vec().expect("f32 tensor")
}

pub(super) fn of<const D: usize>(parameter: &Param<Tensor<D>>) -> Vec<f32> {
    values(parameter.val())
}

pub(super) fn linear(layer: &nn::Linear, precision: Precision) -> Linear {
    let shape = layer.weight.val().dims();
    let bias = layer.bias.as_ref().map(of);
    Linear::new(&of(&layer.weight), shape, bias.as_deref(), precision)
}

/// Layers that read the same rows as one, without biases.
pub(super) fn side_by_side(layers: &[&nn::Linear], precision: Precision) -> Linear {
    let weights = layers.iter().map(|layer| layer.weight.val()).collect();
    let weights = Tensor::cat(weights, 1);
    let shape = weights.dims();
    let bias = match layers.iter().all(|layer| layer.bias.is_some()) {
        true => layers
            .iter()
            .flat_map(|layer| &layer.bias)
            .flat_map(of)
            .collect(),
        false => Vec::new(),
    };
    let bias = (!bias.is_empty()).then_some(&bias[..]);
    Linear::new(&values(weights), shape, bias, precision)
}

pub(super) fn layer_norm(norm: &nn::LayerNorm, epsilon: f32) -> LayerNorm {
    let gamma = of(&norm.gamma);
    LayerNorm {
        beta: norm
            .beta
            .as_ref()
            .map_or_else(|| vec![0.0; gamma.len()], of),
        gamma,
        epsilon,
    }
}
