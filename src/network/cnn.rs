//! A convolutional encoder with a small decoder of its own, whose opinion is added to the network's.
//!
//! Not in the paper, and absent unless the configuration asks for it. No Swin of a size for browsers has
//! been trained on ImageNet; EfficientNet-Lite0 has, and knows materials and shapes. Its maps do not depend
//! on the expression, so they are part of what is kept for an image; [`CnnGate`] lets through what the
//! expression asks for.
//!
//! Batch normalisations are folded into the convolutions.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rrsis_kernels::padding;

use super::config::{CnnConfig, NetworkConfig};
use super::differentiable::upsample;
use super::gpu;
use super::kernels::{EPSILON, layer_norm, linear_gelu};
use super::model::LanguageFeatures;

/// What is above it is cut off (ReLU6).
const HIGHEST: f64 = 6.0;

/// The encoder.
#[derive(Module, Debug)]
pub struct Cnn {
    pub(super) stem: Conv2d,
    pub(super) blocks: Vec<InvertedResidual>,
    #[module(skip)]
    pub(super) ends: Vec<usize>,
}

/// A 1 x 1 convolution up, a depthwise one, a 1 x 1 convolution down, and the identity around them where
/// the shape stays.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    /// Absent where the width stays.
    pub(super) expand: Option<Conv2d>,
    pub(super) depthwise: Conv2d,
    pub(super) project: Conv2d,
    #[module(skip)]
    pub(super) residual: bool,
}

/// GELU(W_visual LN(X)) * W_language(mean of the words), once for what is meant and, but for the finest
/// map, once more for what it is near.
#[derive(Module, Debug)]
pub struct CnnGate {
    pub(super) norm: LayerNorm,
    pub(super) visual: Linear,
    pub(super) language: Linear,
}

/// From the maps, from coarse to fine, to a term for the logit of the foreground.
///
/// What is meant and what it is near lie beside each other before a convolution: only so can it be asked
/// for the one where the other is not far ("building along the road").
#[derive(Module, Debug)]
pub struct CnnDecoder {
    /// For strides 4, 8 and on.
    pub(super) gates: Vec<CnnGate>,
    /// After every map but the finest, the coarsest first.
    pub(super) convs: Vec<Conv2d>,
    pub(super) out: Conv2d,
}

impl Cnn {
    /// An encoder with untrained parameters.
    pub fn new(config: &CnnConfig, device: &Device) -> Self {
        let mut input = config.stem;
        let mut blocks = Vec::new();
        for stage in &config.stages {
            for index in 0..stage.repeats {
                let stride = if index == 0 { stage.stride } else { 1 };
                let wide = input * stage.expansion;
                blocks.push(InvertedResidual {
                    expand: (stage.expansion > 1).then(|| conv1x1(input, wide, device)),
                    depthwise: Conv2dConfig::new([wide, wide], [stage.kernel; 2])
                        .with_stride([stride; 2])
                        .with_groups(wide)
                        .with_padding(PaddingConfig2d::Valid)
                        .init(device),
                    project: conv1x1(wide, stage.channels, device),
                    residual: stride == 1 && input == stage.channels,
                });
                input = stage.channels;
            }
        }
        Self {
            stem: Conv2dConfig::new([3, config.stem], [3, 3])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Valid)
                .init(device),
            blocks,
            ends: config.ends().into_iter().map(|(block, _)| block).collect(),
        }
    }

    /// Maps of strides 4, 8 and on, each `[batch, channels, height, width]`.
    ///
    /// `image`: normalised RGB `[batch, 3, height, width]`.
    pub fn forward(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
        let mut map = relu6(convolve(&self.stem, image));
        let mut maps = Vec::with_capacity(self.ends.len());
        for (index, block) in self.blocks.iter().enumerate() {
            map = block.forward(map);
            if self.ends.contains(&index) {
                maps.push(map.clone());
            }
        }
        maps
    }
}

impl InvertedResidual {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        gpu::inverted_residual(self, &input).unwrap_or_else(|| self.by_operations(input))
    }

    fn by_operations(&self, input: Tensor<4>) -> Tensor<4> {
        let wide = match &self.expand {
            Some(expand) => relu6(expand.forward(input.clone())),
            None => input.clone(),
        };
        let output = self.project.forward(relu6(convolve(&self.depthwise, wide)));
        match self.residual {
            true => input + output,
            false => output,
        }
    }
}

impl CnnGate {
    /// What of a map every expression shares: `[batch, channels, height, width]` to
    /// `[batch, width, height, width]`.
    fn see(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = map.dims();
        let pixels = map
            .permute([0, 2, 3, 1])
            .reshape([batch, height * width, channels]);
        let seen = linear_gelu(&self.visual, layer_norm(&self.norm, EPSILON, pixels));
        let [_, _, channels] = seen.dims();
        seen.reshape([batch, height, width, channels])
            .permute([0, 3, 1, 2])
    }

    /// What the expression lets through, for each role. `sentence`: `[batch, 1, hidden]`.
    fn forward(&self, seen: Tensor<4>, sentence: &Tensor<3>) -> Vec<Tensor<4>> {
        let asked = self.language.forward(sentence.clone());
        let [_, width, _, _] = seen.dims();
        let roles = asked.swap_dims(1, 2).unsqueeze_dim::<4>(3).split(width, 1);
        roles
            .into_iter()
            .map(|asked| seen.clone() * asked)
            .collect()
    }
}

impl CnnDecoder {
    /// A decoder with untrained parameters.
    pub fn new(config: &NetworkConfig, cnn: &CnnConfig, device: &Device) -> Self {
        let width = cnn.width;
        let ends = cnn.ends();
        let gates = ends.iter().enumerate().map(|(index, &(_, channels))| {
            let asked = width * CnnConfig::roles(index);
            CnnGate {
                norm: LayerNormConfig::new(channels).init(device),
                visual: LinearConfig::new(channels, width).init(device),
                language: LinearConfig::new(config.bert.hidden_size, asked).init(device),
            }
        });
        let convs = (1..ends.len()).rev().map(|index| {
            Conv2dConfig::new([width * CnnConfig::roles(index), width], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        });
        Self {
            gates: gates.collect(),
            convs: convs.collect(),
            out: conv1x1(width, 1, device),
        }
    }

    /// What of the maps every expression shares.
    pub(super) fn see(&self, maps: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let gates = self.gates.iter().zip(maps);
        gates.map(|(gate, map)| gate.see(map)).collect()
    }

    /// `[batch, 1, height / 4, width / 4]` of the image's size. `seen`: what [`Self::see`] gave.
    pub(super) fn forward(&self, seen: Vec<Tensor<4>>, language: &LanguageFeatures) -> Tensor<4> {
        let sentence = language.mean_over_words();
        let gates = self.gates.iter().zip(seen);
        let mut asked = gates
            .map(|(gate, seen)| gate.forward(seen, &sentence))
            .rev();
        let mut roles = asked.next().unwrap_or_default();
        for (conv, mut finer) in self.convs.iter().zip(asked) {
            let [_, _, height, width] = finer[0].dims();
            let coarser = relu(conv.forward(Tensor::cat(roles, 1)));
            finer[0] = finer[0].clone() + upsample(coarser, [height, width]);
            roles = finer;
        }
        self.out.forward(relu(roles.swap_remove(0)))
    }
}

/// `layer` on a map with [`padding`] around it.
fn convolve(layer: &Conv2d, map: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = map.dims();
    let [[top, bottom], [left, right]] =
        [height, width].map(|size| padding(size, layer.kernel_size[0], layer.stride[0]));
    let map = match top + bottom + left + right {
        0 => map,
        _ => map.pad((left, right, top, bottom), 0.0),
    };
    layer.forward(map)
}

fn relu6(map: Tensor<4>) -> Tensor<4> {
    map.clamp(0.0, HIGHEST)
}

fn conv1x1(input: usize, output: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([input, output], [1, 1]).init(device)
}
