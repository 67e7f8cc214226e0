//! The language encoder.

use rrsis_kernels::{
    AttentionScratch, Counts, Embedding, LayerNorm, Linear, Precision, Rows, Scratch, Then,
    attention,
};

use super::parameters::{layer_norm, linear, of, side_by_side, values};
use super::source::Source;
use crate::network::bert::{Bert, BertLayer};
use crate::network::config::{CrossScale, NetworkConfig};
use crate::network::trace::Trace;

/// Word features of one expression.
#[derive(Clone, Debug)]
pub struct Words {
    /// The last hidden state, real words first: `[words, hidden]`.
    pub values: Vec<f32>,
    /// How many are real.
    pub real: usize,
    /// Width of a word.
    pub hidden: usize,
}

impl Words {
    /// The real ones.
    pub fn real(&self) -> &[f32] {
        &self.values[..self.real * self.hidden]
    }
}

/// BERT.
#[derive(Debug)]
pub struct CpuBert {
    words: Embedding,
    /// Position and segment embedding: `[positions, hidden]`.
    positions: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    /// Whether anybody reads what padding becomes.
    padding: bool,
}

#[derive(Debug)]
struct Layer {
    qkv: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    heads: usize,
}

impl CpuBert {
    /// The form of `bert`, built from `config`, that this module computes; `source` has what parameters it
    /// lacks.
    pub fn new(
        bert: Bert,
        config: &NetworkConfig,
        precision: Precision,
        source: &mut impl Source,
    ) -> Self {
        let epsilon = config.bert.layer_norm_eps as f32;
        let hidden = config.bert.hidden_size;
        // The vocabulary is half of a small model, and in f32 larger than all that is kept of it.
        let table = [config.bert.vocab_size, hidden];
        let mut words = Embedding::new(table, precision);
        if !source.rows("word_embeddings.weight", table, |rows| words.add(rows)) {
            let table = source.fill(bert.word_embeddings, "word_embeddings");
            words.add(&values(table.weight.into_value()));
        }
        let segments = source.fill(bert.token_type_embeddings, "token_type_embeddings");
        let segment = of(&segments.weight);
        let positions = source.fill(bert.position_embeddings, "position_embeddings");
        let mut positions = of(&positions.weight);
        for position in positions.chunks_exact_mut(hidden) {
            for (value, segment) in position.iter_mut().zip(&segment) {
                *value += segment;
            }
        }
        Self {
            words,
            positions,
            norm: layer_norm(&source.fill(bert.embedding_norm, "embedding_norm"), epsilon),
            layers: source
                .fill_each(bert.layers, "layers")
                .map(|layer| Layer::new(&layer, epsilon, precision))
                .collect(),
            // Upstream averages over all positions (see `LanguageFeatures::mean_over_positions`).
            padding: config.lgce.is_some() && config.cross_scale == CrossScale::Upstream,
        }
    }

    /// Features of the words of one expression.
    ///
    /// `ids`: word pieces; `mask`: 1 on real ones, 0 on padding, which is left out where nobody reads it:
    /// its weight in every softmax is exactly 0.
    pub fn forward(&self, ids: &[i32], mask: &[u8], trace: &mut Trace) -> Words {
        let hidden = self.norm.gamma.len();
        let mut places: Vec<usize> = (0..ids.len()).filter(|place| mask[*place] != 0).collect();
        let real = places.len();
        if self.padding || trace.is_on() {
            places.extend((0..ids.len()).filter(|place| mask[*place] == 0));
        }
        let mut embedded = vec![0.0; places.len() * hidden];
        for (place, row) in places.iter().zip(embedded.chunks_exact_mut(hidden)) {
            self.words.read(ids[*place] as usize, row);
            let position = &self.positions[place * hidden..][..hidden];
            for (value, position) in row.iter_mut().zip(position) {
                *value += position;
            }
        }
        let mut values = vec![0.0; embedded.len()];
        self.norm.forward(&embedded, &mut values);
        let mut record = |name: &dyn Fn() -> String, values: &[f32]| {
            if !trace.is_on() {
                return;
            }
            let mut ordered = vec![0.0; values.len()];
            for (place, row) in places.iter().zip(values.chunks_exact(hidden)) {
                ordered[place * hidden..][..hidden].copy_from_slice(row);
            }
            trace.record_values(name, &ordered, &[1, ids.len(), hidden]);
        };
        record(&|| "bert.embeddings".to_owned(), &values);
        let mut scratch = (Scratch::default(), AttentionScratch::default());
        for (index, layer) in self.layers.iter().enumerate() {
            values = layer.forward(values, real, &mut scratch);
            record(&|| format!("bert.layer{index}.0"), &values);
        }
        record(&|| "bert.last_hidden_state".to_owned(), &values);
        Words {
            values,
            real,
            hidden,
        }
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(|layer| {
            [
                &layer.qkv,
                &layer.attention_output,
                &layer.intermediate,
                &layer.output,
            ]
        });
        self.words.bytes()
            + size_of_val(&self.positions[..])
            + layers.map(Linear::bytes).sum::<usize>()
    }
}

impl Layer {
    fn new(layer: &BertLayer, epsilon: f32, precision: Precision) -> Self {
        Self {
            qkv: side_by_side(&[&layer.query, &layer.key, &layer.value], precision),
            attention_output: linear(&layer.attention_output, precision),
            attention_norm: layer_norm(&layer.attention_norm, epsilon),
            intermediate: linear(&layer.intermediate, precision),
            output: linear(&layer.output, precision),
            output_norm: layer_norm(&layer.output_norm, epsilon),
            heads: layer.heads,
        }
    }

    /// All words attend to the first `real` ones.
    fn forward(
        &self,
        mut values: Vec<f32>,
        real: usize,
        (scratch, attending): &mut (Scratch, AttentionScratch),
    ) -> Vec<f32> {
        let hidden = self.attention_output.outputs();
        let count = values.len() / hidden;
        let mut qkv = vec![0.0; 3 * values.len()];
        self.qkv
            .forward(&values, None, Then::Store, &mut qkv, scratch);
        let rows = |first: usize| Rows {
            values: &qkv,
            stride: 3 * hidden,
            first: first * hidden,
        };
        let mut context = vec![0.0; values.len()];
        let counts = Counts {
            queries: count,
            keys: real,
        };
        let heads = [self.heads, hidden / self.heads];
        // Few words: integers would gain nothing.
        attention(
            [rows(0), rows(1), rows(2)],
            counts,
            heads,
            Precision::F32,
            &mut context,
            attending,
        );
        self.attention_output
            .forward(&context, None, Then::Add, &mut values, scratch);
        let mut attended = context;
        self.attention_norm.forward(&values, &mut attended);
        let mut expanded = vec![0.0; count * self.intermediate.outputs()];
        self.intermediate
            .forward(&attended, None, Then::Gelu, &mut expanded, scratch);
        self.output
            .forward(&expanded, None, Then::Add, &mut attended, scratch);
        self.output_norm.forward(&attended, &mut values);
        values
    }
}
