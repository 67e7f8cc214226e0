//! From pixels to tokens, and from a stage's tokens to the next stage's.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::TokenMap;
use crate::network::kernels::{EPSILON, layer_norm};
use crate::network::trace::Trace;

/// Side of an image patch, in pixels.
const PATCH: usize = 4;

/// Patches of 4 x 4 pixels to tokens.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    pub(in crate::network) proj: Conv2d,
    pub(in crate::network) norm: LayerNorm,
}

impl PatchEmbed {
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        Self {
            proj: Conv2dConfig::new([3, channels], [PATCH, PATCH])
                .with_stride([PATCH, PATCH])
                .init(device),
            norm: LayerNormConfig::new(channels).init(device),
        }
    }

    /// `image`: `[batch, 3, height, width]`, padded with zeros to whole patches.
    pub(super) fn forward(&self, image: Tensor<4>, trace: &mut Trace) -> TokenMap {
        let [_, _, height, width] = image.dims();
        let image = pad_to_multiple(image, [2, 3], [height, width], PATCH);
        let embedded = self.proj.forward(image);
        let [batch, channels, height, width] = embedded.dims();
        let tokens = embedded
            .reshape([batch, channels, height * width])
            .swap_dims(1, 2);
        let tokens = layer_norm(&self.norm, EPSILON, tokens);
        let map = TokenMap {
            tokens,
            height,
            width,
        };
        trace.record(|| "patch_embed".into(), &map.clone().into_nchw());
        map
    }
}

/// Each 2 x 2 neighbourhood becomes one token of twice the width.
#[derive(Module, Debug)]
pub struct PatchMerging {
    pub(in crate::network) norm: LayerNorm,
    pub(in crate::network) reduction: Linear,
}

impl PatchMerging {
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        Self {
            norm: LayerNormConfig::new(4 * channels).init(device),
            reduction: LinearConfig::new(4 * channels, 2 * channels)
                .with_bias(false)
                .init(device),
        }
    }

    pub(super) fn forward(&self, map: TokenMap) -> TokenMap {
        let [batch, _, channels] = map.tokens.dims();
        let tokens = map.tokens.reshape([batch, map.height, map.width, channels]);
        let tokens = pad_to_multiple(tokens, [1, 2], [map.height, map.width], 2);
        let [_, height, width, _] = tokens.dims();
        let (height, width) = (height / 2, width / 2);
        // Neighbours in the order (0,0), (1,0), (0,1), (1,1) of (row, column).
        let neighbours = tokens
            .reshape([batch, height, 2, width, 2, channels])
            .permute([0, 1, 3, 4, 2, 5])
            .reshape([batch, height * width, 4 * channels]);
        TokenMap {
            tokens: self
                .reduction
                .forward(layer_norm(&self.norm, EPSILON, neighbours)),
            height,
            width,
        }
    }
}

/// Appends zeros along the two `dims` until each size is a multiple of `multiple`.
pub(super) fn pad_to_multiple(
    tensor: Tensor<4>,
    dims: [usize; 2],
    sizes: [usize; 2],
    multiple: usize,
) -> Tensor<4> {
    let mut tensor = tensor;
    for (dim, size) in dims.into_iter().zip(sizes) {
        let missing = size.next_multiple_of(multiple) - size;
        if missing > 0 {
            let mut shape = tensor.dims();
            shape[dim] = missing;
            let zeros = Tensor::zeros(shape, &tensor.device());
            tensor = Tensor::cat(vec![tensor, zeros], dim);
        }
    }
    tensor
}
