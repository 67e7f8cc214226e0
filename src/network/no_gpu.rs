//! What stands for `gpu` in a build without it: nothing is a GPU's.

use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use super::cnn::InvertedResidual;
use super::swin::window::{WindowAttention, WindowGrid};

pub(super) fn layer_norm<const D: usize>(
    _: &Tensor<D>,
    _: &Tensor<1>,
    _: &Tensor<1>,
    _: f64,
) -> Option<Tensor<D>> {
    None
}

pub(super) fn softmax<const D: usize>(_: &Tensor<D>) -> Option<Tensor<D>> {
    None
}

pub(super) fn gelu<const D: usize>(_: &Tensor<D>) -> Option<Tensor<D>> {
    None
}

pub(super) fn linear_gelu(_: &Linear, _: &Tensor<3>) -> Option<Tensor<3>> {
    None
}

pub(super) fn add_linear(_: &Linear, _: &Tensor<3>, _: &Tensor<3>) -> Option<Tensor<3>> {
    None
}

pub(super) fn window_attention(
    _: &WindowAttention,
    _: &LayerNorm,
    _: &Tensor<3>,
    _: &Tensor<4>,
    _: &WindowGrid,
) -> Option<Tensor<3>> {
    None
}

pub(super) fn inverted_residual(_: &InvertedResidual, _: &Tensor<4>) -> Option<Tensor<4>> {
    None
}
