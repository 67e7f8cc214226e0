//! One Swin block: window attention and an MLP, both pre-norm with a residual.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};

use super::window::{WindowAttention, WindowGrid};
use crate::network::config::NetworkConfig;
use crate::network::gpu;
use crate::network::kernels::{EPSILON, layer_norm};
use crate::network::mlp::Mlp;

/// Swin block; odd blocks of a stage shift their windows by half a window.
#[derive(Module, Debug)]
pub struct SwinBlock {
    pub(in crate::network) norm1: LayerNorm,
    pub(in crate::network) attn: WindowAttention,
    pub(in crate::network) norm2: LayerNorm,
    pub(in crate::network) mlp: Mlp,
    #[module(skip)]
    pub(in crate::network) window: usize,
    #[module(skip)]
    pub(in crate::network) shift: usize,
}

impl SwinBlock {
    pub(super) fn new(config: &NetworkConfig, stage: usize, index: usize, device: &Device) -> Self {
        let channels = config.stage_channels(stage);
        Self {
            norm1: LayerNormConfig::new(channels).init(device),
            attn: WindowAttention::new(channels, config.num_heads[stage], config.window, device),
            norm2: LayerNormConfig::new(channels).init(device),
            mlp: Mlp::new(channels, config.mlp_ratio, device),
            window: config.window,
            shift: if index % 2 == 1 { config.window / 2 } else { 0 },
        }
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn shift(&self) -> usize {
        self.shift
    }

    /// `tokens`: `[batch, height * width, channels]`; the same shape comes back.
    pub(super) fn forward(&self, tokens: Tensor<3>, grid: &WindowGrid) -> Tensor<3> {
        let position = self.attn.relative_position_bias(&tokens.device());
        let tokens = gpu::window_attention(&self.attn, &self.norm1, &tokens, &position, grid)
            .unwrap_or_else(|| {
                let normed = layer_norm(&self.norm1, EPSILON, tokens.clone());
                tokens + self.attn.forward(normed, position, grid)
            });
        let normed = layer_norm(&self.norm2, EPSILON, tokens.clone());
        self.mlp.add_to(tokens, normed)
    }
}
