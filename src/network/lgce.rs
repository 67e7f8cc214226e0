//! Language-guided cross-scale enhancement (section IV-B, Fig. 5, Eq. (2)-(5)).
//!
//! V3 (finer, "h") and V4 (coarser, "l") each get a language token in front. Transformer layers
//! TL_h and TL_l let language and vision of one scale inform each other (Eq. (2)-(3)). Then the
//! scales exchange what they learned: the language token of one scale is projected to the other
//! scale's width and attends with its visual tokens (Eq. (4)-(5)).
//!
//! In the public code that exchange updates only the language tokens, which the decoder drops, so
//! it changes nothing; [`CrossScale::Upstream`] reproduces it for its checkpoints.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::config::{CrossScale, LgceConfig, NetworkConfig};
use super::differentiable::gelu;
use super::kernels::{EPSILON, add_linear, layer_norm, softmax};
use super::mlp::Mlp;
use super::model::LanguageFeatures;
use super::swin::TokenMap;
use super::trace::Trace;

/// The enhancement module.
#[derive(Module, Debug)]
pub struct Lgce {
    /// Language to the width of V3, and to the width of V4; absent without language guidance.
    pub(super) language_h: Option<Linear>,
    pub(super) language_l: Option<Linear>,
    /// What stands in for it then: `[channels]`.
    pub(super) token_h: Option<Param<Tensor<1>>>,
    pub(super) token_l: Option<Param<Tensor<1>>>,
    pub(super) tl_h: Vec<TransformerLayer>,
    pub(super) tl_l: Vec<TransformerLayer>,
    /// h's language token into l, and l's into h; absent without cross-scale fusion.
    pub(super) h_to_l: Option<CrossScaleFusion>,
    pub(super) l_to_h: Option<CrossScaleFusion>,
    #[module(skip)]
    pub(super) cross_scale: CrossScale,
}

impl Lgce {
    /// A module with untrained parameters.
    pub fn new(config: &NetworkConfig, lgce: &LgceConfig, device: &Device) -> Self {
        let (h, l) = (config.stage_channels(2), config.stage_channels(3));
        let words = config.bert.hidden_size;
        let layers = |scale: usize, channels: usize| {
            (0..lgce.depths[scale])
                .map(|_| TransformerLayer::new(channels, lgce.heads[scale], lgce.mlp_ratio, device))
                .collect()
        };
        let fusion = |from: usize, to: usize, heads: usize| {
            (config.cross_scale != CrossScale::None)
                .then(|| CrossScaleFusion::new(from, to, heads, config.cross_scale, device))
        };
        let guide = |channels: usize| {
            lgce.language_guidance
                .then(|| LinearConfig::new(words, channels).init(device))
        };
        let learned = |channels: usize| {
            let initial = Initializer::Normal {
                mean: 0.0,
                std: 0.02,
            };
            (!lgce.language_guidance).then(|| initial.init([channels], device))
        };
        Self {
            language_h: guide(h),
            language_l: guide(l),
            token_h: learned(h),
            token_l: learned(l),
            tl_h: layers(0, h),
            tl_l: layers(1, l),
            h_to_l: fusion(h, l, lgce.heads[1]),
            l_to_h: fusion(l, h, lgce.heads[0]),
            cross_scale: config.cross_scale,
        }
    }

    /// Enhanced V3 and V4, in the shapes they came in.
    pub fn forward(
        &self,
        v3: TokenMap,
        v4: TokenMap,
        language: &LanguageFeatures,
        trace: &mut Trace,
    ) -> (TokenMap, TokenMap) {
        // Upstream averages over padding too.
        let sentence = match self.cross_scale {
            CrossScale::Upstream => language.mean_over_positions(),
            CrossScale::Paper | CrossScale::None => language.mean_over_words(),
        };
        let h = first_token(&self.language_h, &self.token_h, &sentence);
        let l = first_token(&self.language_l, &self.token_l, &sentence);
        trace.record(|| "lgce.lg3".into(), &h.clone().squeeze_dim::<2>(1));
        trace.record(|| "lgce.lg4".into(), &l.clone().squeeze_dim::<2>(1));

        let mut h = Tensor::cat(vec![h, v3.tokens], 1);
        for layer in &self.tl_h {
            h = layer.forward(h);
        }
        let mut l = Tensor::cat(vec![l, v4.tokens], 1);
        for layer in &self.tl_l {
            l = layer.forward(l);
        }
        trace.record(|| "lgce.TL_h".into(), &h);
        trace.record(|| "lgce.TL_l".into(), &l);

        if let (Some(h_to_l), Some(l_to_h)) = (&self.h_to_l, &self.l_to_h) {
            let token_h = h_to_l.project(language_token(&h));
            let token_l = l_to_h.project(language_token(&l));
            trace.record(|| "lgce.proj_h".into(), &token_h);
            trace.record(|| "lgce.proj_l".into(), &token_l);
            (h, l) = match (&h_to_l.revert, &l_to_h.revert) {
                (Some(revert_h), Some(revert_l)) => {
                    let token_h = h_to_l.update_token(token_h, l.clone());
                    let token_l = l_to_h.update_token(token_l, h.clone());
                    trace.record(|| "lgce.fusion0".into(), &token_h);
                    trace.record(|| "lgce.fusion1".into(), &token_l);
                    (
                        with_language_token(revert_h.forward(token_h), h),
                        with_language_token(revert_l.forward(token_l), l),
                    )
                }
                _ => (l_to_h.update_all(token_l, h), h_to_l.update_all(token_h, l)),
            };
        }
        trace.record(|| "lgce.out.0".into(), &h);
        trace.record(|| "lgce.out.1".into(), &l);

        let v3 = TokenMap {
            tokens: visual_tokens(h),
            ..v3
        };
        let v4 = TokenMap {
            tokens: visual_tokens(l),
            ..v4
        };
        (v3, v4)
    }
}

/// What stands in front of the visual tokens: the sentence (`[batch, 1, hidden]`) at their width, or
/// the learned token. `[batch, 1, channels]`.
fn first_token(
    guide: &Option<Linear>,
    learned: &Option<Param<Tensor<1>>>,
    sentence: &Tensor<3>,
) -> Tensor<3> {
    let [batch, _, _] = sentence.dims();
    match (guide, learned) {
        (Some(guide), _) => guide.forward(sentence.clone()),
        (None, Some(token)) => token
            .val()
            .unsqueeze_dims::<3>(&[0, 0])
            .repeat_dim(0, batch),
        (None, None) => unreachable!("the module is built with one of them"),
    }
}

/// Token 0: `[batch, 1, channels]`.
fn language_token(tokens: &Tensor<3>) -> Tensor<3> {
    tokens.clone().narrow(1, 0, 1)
}

/// All tokens but the first: `[batch, tokens - 1, channels]`.
fn visual_tokens(tokens: Tensor<3>) -> Tensor<3> {
    let [_, count, _] = tokens.dims();
    tokens.narrow(1, 1, count - 1)
}

/// `tokens` with its first one replaced by `token`.
fn with_language_token(token: Tensor<3>, tokens: Tensor<3>) -> Tensor<3> {
    Tensor::cat(vec![token, visual_tokens(tokens)], 1)
}

/// Pre-norm transformer layer (Eq. (2)-(3)); no position embedding.
#[derive(Module, Debug)]
pub struct TransformerLayer {
    pub(super) norm1: LayerNorm,
    pub(super) qkv: Linear,
    pub(super) proj: Linear,
    pub(super) norm2: LayerNorm,
    pub(super) mlp: Mlp,
    #[module(skip)]
    pub(super) heads: usize,
}

impl TransformerLayer {
    fn new(channels: usize, heads: usize, mlp_ratio: f64, device: &Device) -> Self {
        Self {
            norm1: new_norm(channels, device),
            qkv: LinearConfig::new(channels, 3 * channels)
                .with_bias(false)
                .init(device),
            proj: LinearConfig::new(channels, channels).init(device),
            norm2: new_norm(channels, device),
            mlp: Mlp::new(channels, mlp_ratio, device),
            heads,
        }
    }

    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [_, _, channels] = tokens.dims();
        let qkv = self
            .qkv
            .forward(layer_norm(&self.norm1, EPSILON, tokens.clone()));
        let part = |index: usize| qkv.clone().narrow(2, index * channels, channels);
        let attended = multi_head_attention(part(0), part(1), part(2), self.heads);
        let tokens = add_linear(&self.proj, attended, tokens);
        let normed = layer_norm(&self.norm2, EPSILON, tokens.clone());
        self.mlp.add_to(tokens, normed)
    }
}

/// One direction of the exchange between scales (Eq. (4) or (5)).
#[derive(Module, Debug)]
pub struct CrossScaleFusion {
    pub(super) project_norm: LayerNorm,
    pub(super) project: Linear,
    pub(super) norm: LayerNorm,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) proj: Linear,
    /// Upstream only: the updated language token back to its own scale.
    pub(super) revert: Option<Revert>,
    #[module(skip)]
    pub(super) heads: usize,
}

impl CrossScaleFusion {
    fn new(from: usize, to: usize, heads: usize, cross_scale: CrossScale, device: &Device) -> Self {
        let without_bias = || LinearConfig::new(to, to).with_bias(false).init(device);
        Self {
            project_norm: new_norm(from, device),
            project: LinearConfig::new(from, to).init(device),
            norm: new_norm(to, device),
            query: without_bias(),
            key: without_bias(),
            value: without_bias(),
            proj: LinearConfig::new(to, to).init(device),
            revert: (cross_scale == CrossScale::Upstream).then(|| Revert {
                norm: new_norm(to, device),
                linear: LinearConfig::new(to, from).init(device),
            }),
            heads,
        }
    }

    /// The other scale's language token at this scale's width: `[batch, 1, from]` to
    /// `[batch, 1, to]`.
    fn project(&self, token: Tensor<3>) -> Tensor<3> {
        self.project
            .forward(gelu(layer_norm(&self.project_norm, EPSILON, token)))
    }

    /// Eq. (4) and (5): `token` (projected) and the visual tokens of `tokens` attend to each
    /// other; all come back, `[batch, 1 + positions, to]`.
    fn update_all(&self, token: Tensor<3>, tokens: Tensor<3>) -> Tensor<3> {
        let sequence = with_language_token(token, tokens);
        let normed = layer_norm(&self.norm, EPSILON, sequence.clone());
        sequence + self.attend(normed.clone(), normed)
    }

    /// The public code: `token` alone is updated from the visual tokens of `tokens`.
    fn update_token(&self, token: Tensor<3>, tokens: Tensor<3>) -> Tensor<3> {
        let normed = self
            .norm
            .forward(with_language_token(token.clone(), tokens));
        token + self.attend(language_token(&normed), normed)
    }

    fn attend(&self, queries: Tensor<3>, sequence: Tensor<3>) -> Tensor<3> {
        self.proj.forward(multi_head_attention(
            self.query.forward(queries),
            self.key.forward(sequence.clone()),
            self.value.forward(sequence),
            self.heads,
        ))
    }
}

/// Upstream's way back for the language token.
#[derive(Module, Debug)]
pub struct Revert {
    norm: LayerNorm,
    linear: Linear,
}

impl Revert {
    fn forward(&self, token: Tensor<3>) -> Tensor<3> {
        self.linear
            .forward(gelu(layer_norm(&self.norm, EPSILON, token)))
    }
}

fn new_norm(channels: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(channels).init(device)
}

/// Scaled dot-product attention over `heads` heads; all three inputs `[batch, tokens, channels]`.
fn multi_head_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: usize,
) -> Tensor<3> {
    let [batch, count, channels] = query.dims();
    let head_dim = channels / heads;
    let split = |tensor: Tensor<3>| {
        let [batch, count, _] = tensor.dims();
        tensor
            .reshape([batch, count, heads, head_dim])
            .swap_dims(1, 2)
    };
    let scores = (split(query) * (head_dim as f64).powf(-0.5)).matmul(split(key).swap_dims(2, 3));
    softmax(scores)
        .matmul(split(value))
        .swap_dims(1, 2)
        .reshape([batch, count, channels])
}
