//! Sizes of the network. Nothing in `network/` is a constant that a configuration could be.

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// Everything that determines the shapes of the network's parameters and its behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Channels after the patch embedding; stage `i` (from 0) has `embed_dim * 2^i`.
    pub embed_dim: usize,
    /// Swin blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Attention heads in each of the four stages.
    pub num_heads: [usize; 4],
    /// Side of an attention window, in tokens.
    pub window: usize,
    /// Hidden width of Swin's MLPs, as a multiple of their input width.
    #[serde(default = "default_swin_mlp_ratio")]
    pub mlp_ratio: f64,
    /// The language encoder.
    pub bert: BertConfig,
    /// Language-guided cross-scale enhancement; `None` is the LAVT baseline of the paper.
    #[serde(default)]
    pub lgce: Option<LgceConfig>,
    /// A convolutional encoder beside Swin, whose opinion is added; `None` is the paper's network.
    #[serde(default)]
    pub cnn: Option<CnnConfig>,
    /// Width of the decoder's convolutions. Upstream: half the width of stage 4.
    pub decoder_hidden: usize,
    /// How the two scales of LGCE exchange information.
    #[serde(default)]
    pub cross_scale: CrossScale,
    /// Word pieces an expression is cut or padded to.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: usize,
    /// Side of the square that an image is resized to, in pixels; a multiple of 32.
    pub image_size: usize,
}

/// Sizes of the language encoder (BERT, section IV-A).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BertConfig {
    /// Entries of the WordPiece vocabulary.
    pub vocab_size: usize,
    /// Width of a token.
    pub hidden_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Longest sequence the position embedding knows.
    pub max_position_embeddings: usize,
    /// Epsilon of the layer normalisations.
    #[serde(default = "default_bert_layer_norm_eps")]
    pub layer_norm_eps: f64,
}

/// Sizes of the language-guided cross-scale enhancement module (section IV-B).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LgceConfig {
    /// Transformer layers TL_h (on V3, the finer scale) and TL_l (on V4, the coarser scale).
    pub depths: [usize; 2],
    /// Attention heads of TL_h and TL_l.
    pub heads: [usize; 2],
    /// Hidden width of the MLPs, as a multiple of their input width.
    pub mlp_ratio: f64,
    /// Whether the token in front of the visual ones comes from the expression; without, it is a
    /// learned one (the ablation "w/o language guidance").
    #[serde(default = "default_language_guidance")]
    pub language_guidance: bool,
}

/// Sizes of the convolutional encoder, in the manner of EfficientNet-Lite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// Channels after the first convolution, of stride 2.
    pub stem: usize,
    /// Inverted residual blocks, the first after stride 2, down to stride 4 at least.
    pub stages: Vec<CnnStage>,
    /// Channels in which words choose among what it sees.
    pub width: usize,
}

/// A run of inverted residual blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnStage {
    /// Blocks.
    pub repeats: usize,
    /// Side of the depthwise convolution: 1, 3, 5 or 7.
    pub kernel: usize,
    /// Stride of the first block, 1 or 2; the others have 1.
    pub stride: usize,
    /// Width inside a block, as a multiple of what comes in.
    pub expansion: usize,
    /// Channels that go out.
    pub channels: usize,
}

/// The two forms of the cross-scale fusion (see `docs/paper.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrossScale {
    /// Eq. (4)-(5): the visual tokens of each scale attend to the other scale's language token,
    /// and the updated visual tokens go on to the decoder.
    #[default]
    Paper,
    /// The public code: only the language tokens are updated, which the decoder then drops.
    Upstream,
    /// The ablation without cross-scale fusion.
    None,
}

fn default_language_guidance() -> bool {
    true
}

fn default_swin_mlp_ratio() -> f64 {
    4.0
}

fn default_max_tokens() -> usize {
    20
}

fn default_bert_layer_norm_eps() -> f64 {
    1e-12
}

impl NetworkConfig {
    /// The network of the paper: Swin-B with window 12 at 480 x 480, and BERT-base.
    pub fn lgce_swin_b() -> Self {
        Self {
            embed_dim: 128,
            depths: [2, 2, 18, 2],
            num_heads: [4, 8, 16, 32],
            window: 12,
            mlp_ratio: default_swin_mlp_ratio(),
            bert: BertConfig::base(),
            lgce: Some(LgceConfig {
                depths: [1, 3],
                heads: [8, 16],
                mlp_ratio: 2.0,
                language_guidance: true,
            }),
            cnn: None,
            decoder_hidden: 512,
            cross_scale: CrossScale::Paper,
            max_tokens: default_max_tokens(),
            image_size: 480,
        }
    }

    /// The default model: small enough for a laptop's CPU inside a browser.
    pub fn rrsis_small() -> Self {
        Self {
            embed_dim: 48,
            depths: [2, 2, 6, 2],
            num_heads: [2, 4, 8, 16],
            window: 8,
            bert: BertConfig::minilm_l6(),
            cnn: Some(CnnConfig::efficientnet_lite0()),
            decoder_hidden: 64,
            image_size: 512,
            ..Self::lgce_swin_b()
        }
    }

    /// Channels of stage `stage` (from 0).
    pub fn stage_channels(&self, stage: usize) -> usize {
        self.embed_dim << stage
    }

    /// Checks what a hand-written configuration can get wrong, before any parameter is made.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] naming the field, its value and what is needed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |field: &'static str, value: String, expected: &'static str| {
            Err(ConfigError::Invalid {
                field,
                value,
                expected,
            })
        };
        // Far above any published network; keeps arithmetic on untrusted manifests from overflowing.
        const LARGEST: usize = 1 << 20;
        let sizes = [
            ("embed_dim", self.embed_dim),
            ("window", self.window),
            ("decoder_hidden", self.decoder_hidden),
            ("max_tokens", self.max_tokens),
            ("image_size", self.image_size),
            ("bert.vocab_size", self.bert.vocab_size),
            ("bert.hidden_size", self.bert.hidden_size),
            ("bert.num_attention_heads", self.bert.num_attention_heads),
            ("bert.intermediate_size", self.bert.intermediate_size),
            (
                "bert.max_position_embeddings",
                self.bert.max_position_embeddings,
            ),
        ];
        for (field, value) in sizes {
            if value == 0 || value > LARGEST {
                return invalid(field, value.to_string(), "a number from 1 to 1048576");
            }
        }
        for (stage, (&depth, &heads)) in self.depths.iter().zip(&self.num_heads).enumerate() {
            if depth == 0 || depth > 1000 {
                return invalid("depths", depth.to_string(), "1 to 1000 blocks a stage");
            }
            if heads == 0 || !self.stage_channels(stage).is_multiple_of(heads) {
                return invalid(
                    "num_heads",
                    heads.to_string(),
                    "a divisor of the stage's channels",
                );
            }
        }
        if !self.mlp_ratio.is_finite() || !(0.1..=64.0).contains(&self.mlp_ratio) {
            return invalid("mlp_ratio", self.mlp_ratio.to_string(), "0.1 to 64");
        }
        if !self
            .bert
            .hidden_size
            .is_multiple_of(self.bert.num_attention_heads)
        {
            return invalid(
                "bert.num_attention_heads",
                self.bert.num_attention_heads.to_string(),
                "a divisor of bert.hidden_size",
            );
        }
        if self.bert.num_hidden_layers > 1000 {
            return invalid(
                "bert.num_hidden_layers",
                self.bert.num_hidden_layers.to_string(),
                "at most 1000",
            );
        }
        if self.max_tokens < 2 || self.max_tokens > self.bert.max_position_embeddings {
            return invalid(
                "max_tokens",
                self.max_tokens.to_string(),
                "2 (for [CLS] and [SEP]) to bert.max_position_embeddings",
            );
        }
        if !self.image_size.is_multiple_of(32) {
            return invalid(
                "image_size",
                self.image_size.to_string(),
                "a multiple of 32",
            );
        }
        if let Some(lgce) = &self.lgce {
            for (scale, &heads) in lgce.heads.iter().enumerate() {
                if heads == 0 || !self.stage_channels(scale + 2).is_multiple_of(heads) {
                    return invalid(
                        "lgce.heads",
                        heads.to_string(),
                        "divisors of the channels of stages 3 and 4",
                    );
                }
            }
            if lgce.depths.iter().any(|&depth| depth > 1000) {
                return invalid("lgce.depths", format!("{:?}", lgce.depths), "at most 1000");
            }
            if !lgce.mlp_ratio.is_finite() || !(0.1..=64.0).contains(&lgce.mlp_ratio) {
                return invalid("lgce.mlp_ratio", lgce.mlp_ratio.to_string(), "0.1 to 64");
            }
        }
        match &self.cnn {
            Some(cnn) => cnn.validate(),
            None => Ok(()),
        }
    }
}

impl BertConfig {
    /// bert-base-uncased, the paper's language encoder.
    pub fn base() -> Self {
        Self {
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            max_position_embeddings: 512,
            layer_norm_eps: default_bert_layer_norm_eps(),
        }
    }

    /// all-MiniLM-L6-v2: the same vocabulary in a fifth of the parameters.
    pub fn minilm_l6() -> Self {
        Self {
            hidden_size: 384,
            num_hidden_layers: 6,
            intermediate_size: 1536,
            ..Self::base()
        }
    }
}

impl CnnStage {
    /// Blocks, kernel, stride, expansion and channels, as the literature has them in tables.
    pub fn new([repeats, kernel, stride, expansion, channels]: [usize; 5]) -> Self {
        Self {
            repeats,
            kernel,
            stride,
            expansion,
            channels,
        }
    }
}

impl CnnConfig {
    /// EfficientNet-Lite0 but for its last stage.
    pub fn efficientnet_lite0() -> Self {
        Self {
            stem: 32,
            stages: [
                [1, 3, 1, 1, 16],
                [2, 3, 2, 6, 24],
                [2, 5, 2, 6, 40],
                [3, 3, 2, 6, 80],
                [3, 5, 1, 6, 112],
                [3, 5, 2, 6, 192],
            ]
            .map(CnnStage::new)
            .to_vec(),
            width: 64,
        }
    }

    /// The last block of each stride from 4 on, and its channels: what the decoder sees, from fine to
    /// coarse.
    pub fn ends(&self) -> Vec<(usize, usize)> {
        let mut ends: Vec<(usize, usize)> = Vec::new();
        let mut blocks = 0;
        for stage in &self.stages {
            let end = (blocks + stage.repeats - 1, stage.channels);
            match ends.last_mut() {
                Some(last) if stage.stride == 1 => *last = end,
                _ if stage.stride > 1 => ends.push(end),
                _ => {}
            }
            blocks += stage.repeats;
        }
        ends
    }

    /// How often words choose among the features of map `index`, counted from the finest: what is meant,
    /// and, where a convolution follows, what it is meant to be near.
    pub(crate) fn roles(index: usize) -> usize {
        if index > 0 { 2 } else { 1 }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |field, value: usize, expected| {
            let value = value.to_string();
            Err(ConfigError::Invalid {
                field,
                value,
                expected,
            })
        };
        const LARGEST: usize = 1 << 16;
        let widths = [("cnn.stem", self.stem), ("cnn.width", self.width)];
        let channels = self
            .stages
            .iter()
            .map(|stage| ("cnn.stages.channels", stage.channels));
        for (field, value) in widths.into_iter().chain(channels) {
            if value == 0 || value > LARGEST {
                return invalid(field, value, "a number from 1 to 65536");
            }
        }
        for stage in &self.stages {
            if ![1, 3, 5, 7].contains(&stage.kernel) {
                return invalid("cnn.stages.kernel", stage.kernel, "1, 3, 5 or 7");
            }
            if !(1..=2).contains(&stage.stride) || stage.stride > stage.kernel {
                return invalid(
                    "cnn.stages.stride",
                    stage.stride,
                    "1 or 2, at most the kernel",
                );
            }
            if !(1..=64).contains(&stage.expansion) {
                return invalid("cnn.stages.expansion", stage.expansion, "1 to 64");
            }
            if !(1..=100).contains(&stage.repeats) {
                return invalid("cnn.stages.repeats", stage.repeats, "1 to 100");
            }
        }
        let halvings = self.stages.iter().filter(|stage| stage.stride == 2).count();
        if !(1..=4).contains(&halvings) {
            return invalid("cnn.stages", halvings, "one to four stages of stride 2");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cnn_has_a_map_for_each_stride() {
        let lite = CnnConfig::efficientnet_lite0();
        assert_eq!(lite.ends(), [(2, 24), (4, 40), (10, 112), (13, 192)]);
        assert_eq!([0, 1, 3].map(CnnConfig::roles), [1, 2, 2]);
        let mut config = NetworkConfig::rrsis_small();
        assert_eq!(config.cnn, Some(lite.clone()));
        config.validate().expect("valid");
        for (field, change) in [
            (
                "cnn.stages",
                (|cnn| cnn.stages.truncate(1)) as fn(&mut CnnConfig),
            ),
            ("cnn.stages.kernel", |cnn| cnn.stages[1].kernel = 4),
            ("cnn.stages.stride", |cnn| cnn.stages[1].kernel = 1),
            ("cnn.width", |cnn| cnn.width = 0),
        ] {
            let mut cnn = lite.clone();
            change(&mut cnn);
            config.cnn = Some(cnn);
            let message = config.validate().expect_err(field).to_string();
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn impossible_sizes_are_named() {
        let broken = [
            ("num_heads", {
                let mut config = NetworkConfig::rrsis_small();
                config.num_heads[0] = 7;
                config
            }),
            ("image_size", {
                let mut config = NetworkConfig::rrsis_small();
                config.image_size = 500;
                config
            }),
            ("embed_dim", {
                let mut config = NetworkConfig::rrsis_small();
                config.embed_dim = usize::MAX;
                config
            }),
        ];
        for (field, config) in broken {
            let message = config.validate().expect_err(field).to_string();
            assert!(message.contains(field), "{message}");
        }
    }
}
