//! The whole vision side: image and word features in, logits out.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::config::NetworkConfig;
use super::decoder::Decoder;
use super::lgce::Lgce;
use super::swin::{Swin, TokenMap};
use super::trace::Trace;

/// What the language encoder gives for a batch of expressions.
#[derive(Clone, Debug)]
pub struct LanguageFeatures {
    /// BERT's last hidden state: `[batch, words, hidden]`.
    pub words: Tensor<3>,
    /// 1 on real words, 0 on padding: `[batch, words]`.
    pub mask: Tensor<2>,
}

impl LanguageFeatures {
    /// Mean over the real words: `[batch, 1, hidden]`.
    pub fn mean_over_words(&self) -> Tensor<3> {
        let mask = self.mask.clone().unsqueeze_dim::<3>(2);
        let count = mask.clone().sum_dim(1);
        (self.words.clone() * mask).sum_dim(1) / count
    }

    /// Mean over all positions, padding included, as the public code does: `[batch, 1, hidden]`.
    pub fn mean_over_positions(&self) -> Tensor<3> {
        self.words.clone().mean_dim(1)
    }
}

/// What of an image does not depend on the expression (see [`Swin::stem`]).
#[derive(Clone, Debug)]
pub struct ImageFeatures {
    stem: TokenMap,
}

/// Swin with pixel-word attention, cross-scale enhancement and decoder (Fig. 4 without BERT).
#[derive(Module, Debug)]
pub struct LgceNetwork {
    pub(super) swin: Swin,
    /// Absent in the LAVT baseline.
    pub(super) lgce: Option<Lgce>,
    pub(super) decoder: Decoder,
}

impl LgceNetwork {
    /// A network with untrained parameters.
    pub fn new(config: &NetworkConfig, device: &Device) -> Self {
        Self {
            swin: Swin::new(config, device),
            lgce: config
                .lgce
                .as_ref()
                .map(|lgce| Lgce::new(config, lgce, device)),
            decoder: Decoder::new(config, device),
        }
    }

    /// The part of the work that every expression on the same image shares.
    ///
    /// `image`: normalised RGB `[batch, 3, height, width]`.
    pub fn encode_image(&self, image: Tensor<4>, trace: &mut Trace) -> ImageFeatures {
        ImageFeatures {
            stem: self.swin.stem(image, trace),
        }
    }

    /// Logits (background, foreground) at a quarter of the image's size: `[batch, 2, h/4, w/4]`.
    pub fn forward(
        &self,
        image: ImageFeatures,
        language: &LanguageFeatures,
        trace: &mut Trace,
    ) -> Tensor<4> {
        let maps = self.swin.encode(image.stem, language, trace);
        let Ok([v1, v2, v3, v4]) = <[TokenMap; 4]>::try_from(maps) else {
            unreachable!("the encoder has four stages by construction");
        };
        let (v3, v4) = match &self.lgce {
            Some(lgce) => lgce.forward(v3, v4, language, trace),
            None => (v3, v4),
        };
        let maps = [v1, v2, v3, v4].map(TokenMap::into_nchw);
        self.decoder.forward(maps, trace)
    }
}
