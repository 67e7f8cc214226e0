//! The two-layer perceptron of every transformer block.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::kernels::{add_linear, linear_gelu};

/// Linear, exact GELU, linear.
#[derive(Module, Debug)]
pub struct Mlp {
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
}

impl Mlp {
    /// `channels` in and out, `channels * ratio` between.
    pub fn new(channels: usize, ratio: f64, device: &Device) -> Self {
        let hidden = (channels as f64 * ratio) as usize;
        Self {
            fc1: LinearConfig::new(channels, hidden).init(device),
            fc2: LinearConfig::new(hidden, channels).init(device),
        }
    }

    /// `onto`, and what the perceptron gives for `tokens`: all `[batch, tokens, channels]`.
    pub fn add_to(&self, onto: Tensor<3>, tokens: Tensor<3>) -> Tensor<3> {
        add_linear(&self.fc2, linear_gelu(&self.fc1, tokens), onto)
    }
}
