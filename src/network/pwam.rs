//! Pixel-word attention and the language gate, which bring language into the image encoder
//! (section IV-A, after LAVT).

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, tanh};
use burn::tensor::{Device, Tensor};

use super::kernels::{linear_gelu, softmax};
use super::model::LanguageFeatures;
use super::norm::instance_norm;
use super::trace::Trace;

/// Pixel-word attention module: every pixel gathers the words that concern it.
///
/// The reference code writes its projections as 1x1 convolutions over `[batch, channels, pixels]`;
/// on tokens they are linear layers.
#[derive(Module, Debug)]
pub struct Pwam {
    pub(super) vis_project: Linear,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) lang_project: Linear,
    pub(super) mm_project: Linear,
}

impl Pwam {
    /// `channels`: width of the stage; `language_dim`: width of a word.
    pub fn new(channels: usize, language_dim: usize, device: &Device) -> Self {
        let linear = |input: usize| LinearConfig::new(input, channels).init(device);
        Self {
            vis_project: linear(channels),
            query: linear(channels),
            key: linear(language_dim),
            value: linear(language_dim),
            lang_project: linear(channels),
            mm_project: linear(channels),
        }
    }

    /// The language-aware features F of a stage.
    ///
    /// `tokens`: `[batch, pixels, channels]`; the same shape comes back.
    pub fn forward(
        &self,
        tokens: Tensor<3>,
        language: &LanguageFeatures,
        stage: &str,
        trace: &mut Trace,
    ) -> Tensor<3> {
        let [_, _, channels] = tokens.dims();
        let vis = linear_gelu(&self.vis_project, tokens.clone());
        let query = instance_norm(self.query.forward(tokens));
        trace.record(|| format!("{stage}.pwam.vis"), &vis.clone().swap_dims(1, 2));
        trace.record(
            || format!("{stage}.pwam.query"),
            &query.clone().swap_dims(1, 2),
        );

        // Padding contributes neither keys nor values.
        let word_mask = language.mask.clone().unsqueeze_dim::<3>(2);
        let key = self.key.forward(language.words.clone()) * word_mask.clone();
        let value = self.value.forward(language.words.clone()) * word_mask;

        let similarity = query.matmul(key.swap_dims(1, 2)) * (channels as f64).powf(-0.5);
        let padding = (language.mask.clone() * 1e4 - 1e4).unsqueeze_dim::<3>(1);
        let weights = softmax(similarity + padding);
        // Instance normalisation removes what all pixels have in common. Taking it out of the
        // weights already keeps the digits that matter where pixels attend almost alike, as they
        // do for a sentence of two word pieces: everything up to the normalisation is linear.
        let weights = weights.clone() - weights.mean_dim(1);
        let lang = instance_norm(self.lang_project.forward(weights.matmul(value)));
        trace.record(|| format!("{stage}.pwam.lang"), &lang);

        linear_gelu(&self.mm_project, vis * lang)
    }
}

/// Decides, pixel by pixel and channel by channel, how much language enters the next stage.
#[derive(Module, Debug)]
pub struct LanguageGate {
    pub(super) reduce: Linear,
    pub(super) expand: Linear,
}

impl LanguageGate {
    /// `channels`: width of the stage.
    pub fn new(channels: usize, device: &Device) -> Self {
        let linear = || {
            LinearConfig::new(channels, channels)
                .with_bias(false)
                .init(device)
        };
        Self {
            reduce: linear(),
            expand: linear(),
        }
    }

    /// Gate values in -1..1 for `fused`: `[batch, pixels, channels]`.
    pub fn forward(&self, fused: Tensor<3>) -> Tensor<3> {
        // WGSL may compute tanh as sinh / cosh, which is NaN beyond 88 (gpuweb issue 4458; cubecl
        // 0.11 guards against it on macOS only). In f32 tanh is 1 from 9.1 on.
        let steps = self.expand.forward(relu(self.reduce.forward(fused)));
        tanh(steps.clamp(-15.0, 15.0))
    }
}
