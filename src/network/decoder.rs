//! The segmentation decoder (section IV-C): from the coarsest map to logits, a level at a time.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::config::NetworkConfig;
use super::differentiable::batch_norm;
pub use super::differentiable::upsample;
use super::trace::Trace;

/// Three levels of "upsample, concatenate, convolve twice", then two classes.
#[derive(Module, Debug)]
pub struct Decoder {
    /// For V3, V2 and V1, in this order.
    pub(super) levels: Vec<DecoderLevel>,
    pub(super) classifier: Conv2d,
}

/// Two 3 x 3 convolutions with batch normalisation and ReLU.
#[derive(Module, Debug)]
pub struct DecoderLevel {
    pub(super) conv1: Conv2d,
    pub(super) norm1: BatchNorm,
    pub(super) conv2: Conv2d,
    pub(super) norm2: BatchNorm,
}

impl Decoder {
    /// A decoder with untrained parameters.
    pub fn new(config: &NetworkConfig, device: &Device) -> Self {
        let hidden = config.decoder_hidden;
        let mut coarse = config.stage_channels(3);
        let levels = (0..3)
            .rev()
            .map(|stage| {
                let input = coarse + config.stage_channels(stage);
                coarse = hidden;
                DecoderLevel {
                    conv1: conv3x3(input, hidden, device),
                    norm1: BatchNormConfig::new(hidden).init(device),
                    conv2: conv3x3(hidden, hidden, device),
                    norm2: BatchNormConfig::new(hidden).init(device),
                }
            })
            .collect();
        Self {
            levels,
            classifier: Conv2dConfig::new([hidden, 2], [1, 1]).init(device),
        }
    }

    /// Logits (background, foreground) at a quarter of the image's size: `[batch, 2, h/4, w/4]`.
    ///
    /// `maps`: V1..V4, each `[batch, channels, height, width]`.
    pub fn forward(&self, maps: [Tensor<4>; 4], trace: &mut Trace) -> Tensor<4> {
        let [v1, v2, v3, v4] = maps;
        let mut features = v4;
        for ((level, skip), number) in self.levels.iter().zip([v3, v2, v1]).zip([4, 3, 2]) {
            let [_, _, height, width] = skip.dims();
            let input = Tensor::cat(vec![upsample(features, [height, width]), skip], 1);
            trace.record(|| format!("dec.conv1_{number}.in"), &input);
            features = relu(batch_norm(&level.norm1, level.conv1.forward(input)));
            features = relu(batch_norm(&level.norm2, level.conv2.forward(features)));
            trace.record(|| format!("dec.relu2_{number}"), &features);
        }
        let logits = self.classifier.forward(features);
        trace.record(|| "dec.logits_lowres".into(), &logits);
        logits
    }
}

fn conv3x3(input: usize, output: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([input, output], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .init(device)
}
