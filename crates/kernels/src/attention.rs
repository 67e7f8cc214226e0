//! Attention that reads queries, keys and values where a linear layer wrote them.

use crate::Precision;
use crate::codes::{Codes, Range};
use crate::matrix8::{Matrix8, padded_inputs};
use crate::product::{HEIGHT, Matrix, Piece, Write};
use crate::simd::Code;
use crate::softmax::{weight_codes, weights};
use crate::team::{Parts, Team, reserve};

/// Rows of channels among others: row `i` is `values[i * stride + first..][..channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Where they lie.
    pub values: &'a [f32],
    /// Step from a row to the next.
    pub stride: usize,
    /// Where the first row begins.
    pub first: usize,
}

impl<'a> Rows<'a> {
    /// Values `from..from + length` of row `index`.
    fn part(&self, index: usize, from: usize, length: usize) -> &'a [f32] {
        &self.values[index * self.stride + self.first + from..][..length]
    }
}

/// Who computes attention, and memory for what is between; kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct AttentionScratch {
    pub(crate) team: Team,
    /// One for each thread.
    pub(crate) heads: Vec<Head>,
}

/// What a thread needs for a head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) query: Vec<f32>,
    pub(crate) key: Matrix,
    /// Queries and keys where scores are products of integers.
    codes: Codes,
    key8: Matrix8,
    pub(crate) value: Matrix,
    /// Weights and values where contexts are products of integers.
    weights: Vec<Code>,
    value8: Matrix8,
    scores: Vec<f32>,
    context: Vec<f32>,
    pub(crate) mask: Vec<f32>,
    shares: Vec<f32>,
    /// Of each token of a window: where it lies in the map, if it does, and its side of the map.
    pub(crate) tokens: Vec<(Option<usize>, usize)>,
}

impl AttentionScratch {
    /// For work that `team` shares.
    pub fn new(team: Team) -> Self {
        Self {
            team,
            heads: Vec::new(),
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.heads.iter().map(Head::bytes).sum()
    }
}

impl Head {
    fn bytes(&self) -> usize {
        let floats = [
            &self.query,
            &self.scores,
            &self.context,
            &self.mask,
            &self.shares,
        ];
        floats.map(Vec::capacity).iter().sum::<usize>() * size_of::<f32>()
            + self.tokens.capacity() * size_of::<(Option<usize>, usize)>()
            + self.key.bytes()
            + self.codes.bytes()
            + self.key8.bytes()
            + self.value.bytes()
            + self.weights.capacity() * size_of::<Code>()
            + self.value8.bytes()
    }

    /// Makes room for blocks of `queries` that attend to `keys`.
    pub(crate) fn fit(
        &mut self,
        queries: usize,
        keys: usize,
        head_dim: usize,
        precisions: Precisions,
    ) {
        reserve(&mut self.query, queries * head_dim);
        match precisions.scores {
            Precision::F32 => self.key.reserve(head_dim, keys),
            Precision::Int8 => {
                self.codes.reserve(queries, head_dim);
                self.key8.reserve(head_dim, keys);
            }
        }
        match precisions.contexts {
            Precision::F32 => self.value.reserve(keys, head_dim),
            Precision::Int8 => {
                reserve(&mut self.weights, queries * padded_inputs(keys));
                self.value8.reserve(padded_inputs(keys), head_dim);
            }
        }
        reserve(&mut self.scores, queries * keys);
        reserve(&mut self.context, queries * head_dim);
        reserve(&mut self.shares, queries);
    }
}

/// What the two products of attention are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precisions {
    /// Of queries and keys.
    scores: Precision,
    /// Of weights and values.
    contexts: Precision,
}

/// Products of f32.
pub(crate) const EXACT: Precisions = Precisions {
    scores: Precision::F32,
    contexts: Precision::F32,
};

/// Fewest keys whose values are weighted in integers: below, packing them costs what that gains.
const MANY: usize = 64;

/// How many rows there are of each.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Queries.
    pub queries: usize,
    /// Keys, and values.
    pub keys: usize,
}

/// Scaled dot-product attention: `out` becomes `[queries, heads * head_dim]`.
///
/// `precision`: of the products of queries and keys, in f32 in any case where integers cannot take the
/// `head_dim`, and of weights and values where there are 64 keys or more.
///
/// # Panics
/// Where the sizes do not fit.
pub fn attention(
    [query, key, value]: [Rows<'_>; 3],
    counts: Counts,
    [heads, head_dim]: [usize; 2],
    precision: Precision,
    out: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    let int8_where = |fits: bool| match fits {
        true => precision,
        false => Precision::F32,
    };
    let precisions = Precisions {
        scores: int8_where(Matrix8::takes(head_dim)),
        contexts: int8_where(counts.keys >= MANY),
    };
    let channels = heads * head_dim;
    assert_eq!(out.len(), counts.queries * channels, "queries");
    let scale = (head_dim as f32).powf(-0.5);
    let AttentionScratch {
        team,
        heads: memories,
    } = scratch;
    team.prepare(memories, |memory| {
        memory.fit(
            HEIGHT.min(counts.queries),
            counts.keys,
            head_dim,
            precisions,
        );
    });
    let out = Parts::new(out, head_dim);
    team.share(memories, heads, |memory, head| {
        let first = head * head_dim;
        let keys = (0..counts.keys).map(|row| key.part(row, first, head_dim));
        match precisions.scores {
            Precision::F32 => memory.key.pack_columns(head_dim, keys),
            Precision::Int8 => memory.key8.pack_columns(head_dim, keys),
        }
        let values = (0..counts.keys).map(|row| value.part(row, first, head_dim));
        match precisions.contexts {
            Precision::F32 => memory.value.pack_rows(head_dim, values),
            Precision::Int8 => memory.value8.pack_rows(head_dim, values),
        }
        for top in (0..counts.queries).step_by(HEIGHT) {
            let height = HEIGHT.min(counts.queries - top);
            memory.query.clear();
            for row in top..top + height {
                let row = query.part(row, first, head_dim);
                memory.query.extend(row.iter().map(|value| value * scale));
            }
            memory.attend(height, counts.keys, head_dim, precisions, [&[], &[]]);
            for (row, context) in (top..).zip(memory.weighted(height, head_dim)) {
                // SAFETY: nobody else has this head.
                let out = unsafe { out.part(row * heads + head) };
                context.write(out);
            }
        }
    });
}

impl Head {
    /// The context of `queries` queries, but for a factor each, `shares`.
    pub(crate) fn attend(
        &mut self,
        queries: usize,
        keys: usize,
        head_dim: usize,
        precisions: Precisions,
        added: [&[f32]; 2],
    ) {
        let scores = grown(&mut self.scores, queries * keys);
        match precisions.scores {
            Precision::F32 => {
                let piece = Piece::whole(&self.query, head_dim);
                self.key
                    .product(&[piece], queries, &[], Write::Set, scores, keys);
            }
            Precision::Int8 => {
                self.codes.quantise_rows(&self.query, head_dim);
                let piece = Piece::whole(&self.codes.values, head_dim);
                let left = (&[piece][..], &self.codes.ranges[..]);
                self.key8
                    .product(left, queries, &[], Write::Set, scores, keys);
            }
        }
        let context = grown(&mut self.context, queries * head_dim);
        match precisions.contexts {
            Precision::F32 => {
                weights(scores, keys, added, &mut self.shares);
                let piece = Piece::whole(scores, keys);
                self.value
                    .product(&[piece], queries, &[], Write::Set, context, head_dim);
            }
            Precision::Int8 => {
                weight_codes(scores, keys, added, &mut self.weights, &mut self.shares);
                let piece = Piece::whole(&self.weights, padded_inputs(keys));
                let left = (&[piece][..], &[Range::ONE][..]);
                self.value8
                    .product(left, queries, &[], Write::Set, context, head_dim);
            }
        }
    }

    /// What [`Self::attend`] left.
    pub(crate) fn weighted(
        &self,
        queries: usize,
        head_dim: usize,
    ) -> impl Iterator<Item = Weighted<'_>> {
        let rows = self.context.chunks_exact(head_dim).take(queries);
        rows.zip(&self.shares).map(|(context, share)| Weighted {
            context,
            share: *share,
        })
    }
}

/// Values and what they are multiplied with.
pub(crate) struct Weighted<'a> {
    context: &'a [f32],
    share: f32,
}

impl Weighted<'_> {
    pub(crate) fn write(&self, out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(self.context) {
            *out = value * self.share;
        }
    }
}

/// The first `size` values of a buffer that is made large enough.
fn grown(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    if buffer.len() < size {
        buffer.resize(size, 0.0);
    }
    &mut buffer[..size]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

    /// Attention of one query over some keys in f64, with something added to each score.
    pub(crate) fn exact(
        query: &[f32],
        keys: &[&[f32]],
        values: &[&[f32]],
        added: &[f64],
    ) -> Vec<f64> {
        let scale = (query.len() as f64).powf(-0.5);
        let scores: Vec<f64> = keys
            .iter()
            .zip(added)
            .map(|(key, added)| {
                let terms = query.iter().zip(*key);
                added
                    + scale
                        * terms
                            .map(|(q, k)| f64::from(*q) * f64::from(*k))
                            .sum::<f64>()
            })
            .collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        (0..values[0].len())
            .map(|index| {
                let terms = weights.iter().zip(values);
                terms
                    .map(|(weight, value)| weight * f64::from(value[index]))
                    .sum::<f64>()
                    / total
            })
            .collect()
    }

    #[test]
    fn every_head_attends_to_all_keys() {
        let (heads, head_dim) = (3, 8);
        let channels = heads * head_dim;
        for (queries, keys) in [(1, 5), (70, 70), (4, 131)] {
            // Queries, keys and values in one buffer, as one layer writes them.
            let stride = 3 * channels + 1;
            let buffer = numbers(queries.max(keys) * stride, 1);
            let rows = |which: usize| Rows {
                values: &buffer,
                stride,
                first: which * channels,
            };
            let attend = |team: &Team, precision| {
                let mut out = vec![f32::NAN; queries * channels];
                attention(
                    [rows(0), rows(1), rows(2)],
                    Counts { queries, keys },
                    [heads, head_dim],
                    precision,
                    &mut out,
                    &mut AttentionScratch::new(team.clone()),
                );
                out
            };
            let [[out, shared], [out8, shared8]] = [Precision::F32, Precision::Int8]
                .map(|precision| teams().each_ref().map(|team| attend(team, precision)));
            assert_eq!(out, shared);
            assert_eq!(out8, shared8);
            assert_ne!(out, out8);
            // Values are in integers, too, where there are many.
            let tolerance = if keys < MANY { 0.02 } else { 0.03 };
            let exactly: Vec<f64> = out.iter().copied().map(f64::from).collect();
            assert_close(&out8, &exactly, tolerance);
            for query in 0..queries {
                for head in 0..heads {
                    let first = head * head_dim;
                    let all = |which: usize| -> Vec<&[f32]> {
                        (0..keys)
                            .map(|key| rows(which).part(key, first, head_dim))
                            .collect()
                    };
                    let expected = exact(
                        rows(0).part(query, first, head_dim),
                        &all(1),
                        &all(2),
                        &vec![0.0; keys],
                    );
                    assert_close(
                        &out[query * channels + first..][..head_dim],
                        &expected,
                        1e-5,
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_shows_whatever_the_precision() {
        let (queries, head_dim) = (3, 4);
        let precisions = [Precision::F32, Precision::Int8];
        let cases = [9, MANY + 2]
            .into_iter()
            .flat_map(|keys| precisions.map(|precision| (keys, precision)));
        for (place, (keys, precision)) in
            cases.flat_map(|case| [0, 1, 2].map(|place| (place, case)))
        {
            let mut parts = [queries, keys, keys].map(|count| numbers(count * head_dim, 1));
            parts[place][5] = f32::NAN;
            let rows = |values| Rows {
                values,
                stride: head_dim,
                first: 0,
            };
            let mut out = vec![0.0; queries * head_dim];
            attention(
                parts.each_ref().map(|part| rows(part)),
                Counts { queries, keys },
                [1, head_dim],
                precision,
                &mut out,
                &mut AttentionScratch::default(),
            );
            for (at, value) in out.iter().enumerate() {
                // Of the second query, of all that read the second key, of the second channel.
                let expected = match place {
                    0 => at / head_dim == 1,
                    1 => true,
                    _ => at % head_dim == 1,
                };
                assert_eq!(
                    value.is_nan(),
                    expected,
                    "{place}, {keys} keys, {precision:?}"
                );
            }
        }
    }
}
