//! The whole vision side: image and word features in, logits out.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::cnn::{Cnn, CnnDecoder};
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

/// What of an image does not depend on the expression (see [`Swin::stem`] and [`Cnn`]).
#[derive(Clone, Debug)]
pub struct ImageFeatures {
    stem: TokenMap,
    /// For the CNN's decoder; empty without it.
    seen: Vec<Tensor<4>>,
}

/// Swin with pixel-word attention, cross-scale enhancement and decoder (Fig. 4 without BERT).
#[derive(Module, Debug)]
pub struct LgceNetwork {
    pub(super) swin: Swin,
    /// Absent in the paper's networks, both.
    pub(super) cnn: Option<Cnn>,
    pub(super) cnn_decoder: Option<CnnDecoder>,
    /// Absent in the LAVT baseline.
    pub(super) lgce: Option<Lgce>,
    pub(super) decoder: Decoder,
}

impl LgceNetwork {
    /// A network with untrained parameters.
    pub fn new(config: &NetworkConfig, device: &Device) -> Self {
        Self {
            swin: Swin::new(config, device),
            cnn: config.cnn.as_ref().map(|cnn| Cnn::new(cnn, device)),
            cnn_decoder: config
                .cnn
                .as_ref()
                .map(|cnn| CnnDecoder::new(config, cnn, device)),
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
        let seen = match (&self.cnn, &self.cnn_decoder) {
            (Some(cnn), Some(decoder)) => decoder.see(cnn.forward(image.clone())),
            _ => Vec::new(),
        };
        ImageFeatures {
            stem: self.swin.stem(image, trace),
            seen,
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
        let logits = self.decoder.forward(maps, trace);
        let Some(decoder) = &self.cnn_decoder else {
            return logits;
        };
        let term = decoder.forward(image.seen, language);
        let background = logits.clone().narrow(1, 0, 1);
        Tensor::cat(vec![background, logits.narrow(1, 1, 1) + term], 1)
    }
}
