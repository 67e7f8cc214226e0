//! The image encoder: a Swin Transformer into which language enters after every stage
//! (section IV-A, Fig. 4).

mod block;
mod patch;
pub(in crate::network) mod window;

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};

use self::block::SwinBlock;
use self::patch::{PatchEmbed, PatchMerging};
use self::window::WindowGrid;
use super::config::NetworkConfig;
use super::kernels::{EPSILON, layer_norm};
use super::model::LanguageFeatures;
use super::pwam::{LanguageGate, Pwam};
use super::trace::Trace;

/// Tokens of a feature map together with the map's size.
#[derive(Clone, Debug)]
pub struct TokenMap {
    /// `[batch, height * width, channels]`, row-major.
    pub tokens: Tensor<3>,
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
}

impl TokenMap {
    /// The same map channels first: `[batch, channels, height, width]`.
    pub fn into_nchw(self) -> Tensor<4> {
        let [batch, _, channels] = self.tokens.dims();
        self.tokens
            .swap_dims(1, 2)
            .reshape([batch, channels, self.height, self.width])
    }
}

/// The four stages.
#[derive(Module, Debug)]
pub struct Swin {
    pub(in crate::network) patch_embed: PatchEmbed,
    pub(in crate::network) stages: Vec<SwinStage>,
}

/// Swin blocks, then pixel-word attention, then the way to the next stage.
#[derive(Module, Debug)]
pub struct SwinStage {
    pub(in crate::network) blocks: Vec<SwinBlock>,
    pub(in crate::network) pwam: Pwam,
    /// Absent in the last stage, whose gated features nobody reads.
    pub(in crate::network) language_gate: Option<LanguageGate>,
    pub(in crate::network) downsample: Option<PatchMerging>,
    /// Normalises what the decoder gets.
    pub(in crate::network) output_norm: LayerNorm,
}

impl Swin {
    /// An encoder with untrained parameters.
    pub fn new(config: &NetworkConfig, device: &Device) -> Self {
        let last = config.depths.len() - 1;
        let stages = (0..=last)
            .map(|stage| {
                let channels = config.stage_channels(stage);
                SwinStage {
                    blocks: (0..config.depths[stage])
                        .map(|index| SwinBlock::new(config, stage, index, device))
                        .collect(),
                    pwam: Pwam::new(channels, config.bert.hidden_size, device),
                    language_gate: (stage < last).then(|| LanguageGate::new(channels, device)),
                    downsample: (stage < last).then(|| PatchMerging::new(channels, device)),
                    output_norm: LayerNormConfig::new(channels).init(device),
                }
            })
            .collect();
        Self {
            patch_embed: PatchEmbed::new(config.embed_dim, device),
            stages,
        }
    }

    /// Keeps what follows from the parameters alone: they must not change any more.
    pub fn keep_position_biases(&mut self, device: &Device) {
        for block in self.stages.iter_mut().flat_map(|stage| &mut stage.blocks) {
            block.attn.keep_position_bias(device);
        }
    }

    /// Everything that does not depend on the expression: patch embedding and the blocks of
    /// stage 1. Worth keeping from one expression to the next on the same image.
    ///
    /// `image`: normalised RGB, `[batch, 3, height, width]`.
    pub fn stem(&self, image: Tensor<4>, trace: &mut Trace) -> TokenMap {
        let embedded = self.patch_embed.forward(image, trace);
        self.stages[0].run_blocks(embedded, "stage1", trace)
    }

    /// The four language-aware feature maps V1..V4, each half the size of the one before.
    pub fn encode(
        &self,
        stem: TokenMap,
        language: &LanguageFeatures,
        trace: &mut Trace,
    ) -> Vec<TokenMap> {
        let mut outputs = Vec::with_capacity(self.stages.len());
        let mut map = stem;
        for (index, stage) in self.stages.iter().enumerate() {
            let name = format!("stage{}", index + 1);
            if index > 0 {
                map = stage.run_blocks(map, &name, trace);
            }
            let (output, next) = stage.fuse(map, language, &name, trace);
            trace.record(|| format!("V.{index}"), &output.clone().into_nchw());
            outputs.push(output);
            match next {
                Some(next) => map = next,
                None => break,
            }
        }
        outputs
    }
}

impl SwinStage {
    fn run_blocks(&self, map: TokenMap, name: &str, trace: &mut Trace) -> TokenMap {
        let TokenMap {
            mut tokens,
            height,
            width,
        } = map;
        for (index, block) in self.blocks.iter().enumerate() {
            // The shift mask depends on the map's size alone, so all odd blocks could share it;
            // it is small next to the block's own work.
            let grid = WindowGrid::new(height, width, block.window(), block.shift());
            tokens = block.forward(tokens, &grid);
            trace.record(|| format!("{name}.block{index}"), &tokens);
        }
        TokenMap {
            tokens,
            height,
            width,
        }
    }

    /// This stage's output for the decoder, and the input of the next stage if there is one.
    fn fuse(
        &self,
        map: TokenMap,
        language: &LanguageFeatures,
        name: &str,
        trace: &mut Trace,
    ) -> (TokenMap, Option<TokenMap>) {
        let TokenMap {
            tokens,
            height,
            width,
        } = map;
        let fused = self.pwam.forward(tokens.clone(), language, name, trace);
        trace.record(|| format!("{name}.pwam_out"), &fused);
        let output = layer_norm(&self.output_norm, EPSILON, fused.clone());
        trace.record(|| format!("{name}.norm_out"), &output);
        let output = TokenMap {
            tokens: output,
            height,
            width,
        };
        let next = match (&self.language_gate, &self.downsample) {
            (Some(gate), Some(downsample)) => {
                let gate = gate.forward(fused.clone());
                trace.record(|| format!("{name}.gate"), &gate);
                let merged = downsample.forward(TokenMap {
                    tokens: tokens + gate * fused,
                    height,
                    width,
                });
                trace.record(|| format!("{name}.downsample"), &merged.tokens);
                Some(merged)
            }
            _ => None,
        };
        (output, next)
    }
}
