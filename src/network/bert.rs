//! The language encoder: BERT's embedding and transformer layers (section IV-A).
//!
//! Post-norm layers with exact GELU, as in bert-base-uncased and in all-MiniLM-L6-v2. Segment ids
//! are always 0, because an expression is a single sentence.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};

use super::config::BertConfig;
use super::kernels::{add_linear, layer_norm, linear_gelu, softmax};
use super::trace::Trace;

/// Word pieces to contextual word features.
#[derive(Module, Debug)]
pub struct Bert {
    pub(super) word_embeddings: Embedding,
    pub(super) position_embeddings: Embedding,
    pub(super) token_type_embeddings: Embedding,
    pub(super) embedding_norm: LayerNorm,
    pub(super) layers: Vec<BertLayer>,
    /// Of its layer normalisations.
    #[module(skip)]
    pub(super) epsilon: f64,
}

/// One transformer layer.
#[derive(Module, Debug)]
pub struct BertLayer {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) attention_output: Linear,
    pub(super) attention_norm: LayerNorm,
    pub(super) intermediate: Linear,
    pub(super) output: Linear,
    pub(super) output_norm: LayerNorm,
    #[module(skip)]
    pub(super) heads: usize,
    #[module(skip)]
    pub(super) epsilon: f64,
}

impl Bert {
    /// An encoder with untrained parameters.
    pub fn new(config: &BertConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        let embedding = |entries: usize| EmbeddingConfig::new(entries, hidden).init(device);
        Self {
            word_embeddings: embedding(config.vocab_size),
            position_embeddings: embedding(config.max_position_embeddings),
            token_type_embeddings: embedding(2),
            embedding_norm: LayerNormConfig::new(hidden)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            layers: (0..config.num_hidden_layers)
                .map(|_| BertLayer::new(config, device))
                .collect(),
            epsilon: config.layer_norm_eps,
        }
    }

    /// Last hidden state.
    ///
    /// `ids`: word pieces `[batch, words]`; `mask`: 1 on real words, 0 on padding, `[batch, words]`.
    /// Gives `[batch, words, hidden]`, padding positions included.
    pub fn forward(&self, ids: Tensor<2, Int>, mask: Tensor<2>, trace: &mut Trace) -> Tensor<3> {
        let [batch, words] = ids.dims();
        let device = ids.device();
        let positions = Tensor::<1, Int>::arange(0..words as i64, &device).unsqueeze::<2>();
        let segments = Tensor::<2, Int>::zeros([batch, words], &device);
        let embedded = self.word_embeddings.forward(ids)
            + self.position_embeddings.forward(positions)
            + self.token_type_embeddings.forward(segments);
        let mut hidden = layer_norm(&self.embedding_norm, self.epsilon, embedded);
        trace.record(|| "bert.embeddings".into(), &hidden);

        // Large and negative, not infinite: an all-padding row must not become NaN.
        let attention_bias = ((mask - 1.0) * 1e4).unsqueeze_dims::<4>(&[1, 2]);
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(hidden, attention_bias.clone());
            trace.record(|| format!("bert.layer{index}.0"), &hidden);
        }
        trace.record(|| "bert.last_hidden_state".into(), &hidden);
        hidden
    }
}

impl BertLayer {
    fn new(config: &BertConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        let norm = || {
            LayerNormConfig::new(hidden)
                .with_epsilon(config.layer_norm_eps)
                .init(device)
        };
        Self {
            query: linear(hidden, hidden),
            key: linear(hidden, hidden),
            value: linear(hidden, hidden),
            attention_output: linear(hidden, hidden),
            attention_norm: norm(),
            intermediate: linear(hidden, config.intermediate_size),
            output: linear(config.intermediate_size, hidden),
            output_norm: norm(),
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
        }
    }

    /// `hidden`: `[batch, words, hidden]`; `attention_bias`: `[batch, 1, 1, words]`.
    fn forward(&self, hidden: Tensor<3>, attention_bias: Tensor<4>) -> Tensor<3> {
        let [batch, words, width] = hidden.dims();
        let head_dim = width / self.heads;
        let split = |tensor: Tensor<3>| {
            tensor
                .reshape([batch, words, self.heads, head_dim])
                .swap_dims(1, 2)
        };
        let query = split(self.query.forward(hidden.clone()));
        let key = split(self.key.forward(hidden.clone()));
        let value = split(self.value.forward(hidden.clone()));
        let scores = query.matmul(key.swap_dims(2, 3)) * (head_dim as f64).powf(-0.5);
        let context = softmax(scores + attention_bias)
            .matmul(value)
            .swap_dims(1, 2)
            .reshape([batch, words, width]);
        let attended = add_linear(&self.attention_output, context, hidden);
        let attended = layer_norm(&self.attention_norm, self.epsilon, attended);
        let expanded = linear_gelu(&self.intermediate, attended.clone());
        let output = add_linear(&self.output, expanded, attended);
        layer_norm(&self.output_norm, self.epsilon, output)
    }
}
