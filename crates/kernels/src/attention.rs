//! Attention that reads queries, keys and values where a linear layer wrote them.

use crate::Precision;
use crate::product::{HEIGHT, Matrix, Piece, Write};
use crate::product8::{Codes, Matrix8, Range, padded_inputs};
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
    team: Team,
    /// One for each thread.
    heads: Vec<Head>,
}

/// What a thread needs for a head.
#[derive(Clone, Debug, Default)]
struct Head {
    query: Vec<f32>,
    key: Matrix,
    /// Queries and keys where scores are products of integers.
    codes: Codes,
    key8: Matrix8,
    value: Matrix,
    /// Weights and values where contexts are products of integers.
    weights: Vec<Code>,
    value8: Matrix8,
    scores: Vec<f32>,
    context: Vec<f32>,
    mask: Vec<f32>,
    shares: Vec<f32>,
    /// Of each token of a window: where it lies in the map, if it does, and its side of the map.
    tokens: Vec<(Option<usize>, usize)>,
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
    fn fit(&mut self, queries: usize, keys: usize, head_dim: usize, precisions: Precisions) {
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
struct Precisions {
    /// Of queries and keys.
    scores: Precision,
    /// Of weights and values.
    contexts: Precision,
}

/// Products of f32.
const EXACT: Precisions = Precisions {
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
    fn attend(
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
    fn weighted(&self, queries: usize, head_dim: usize) -> impl Iterator<Item = Weighted<'_>> {
        let rows = self.context.chunks_exact(head_dim).take(queries);
        rows.zip(&self.shares).map(|(context, share)| Weighted {
            context,
            share: *share,
        })
    }
}

/// Values and what they are multiplied with.
struct Weighted<'a> {
    context: &'a [f32],
    share: f32,
}

impl Weighted<'_> {
    fn write(&self, out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(self.context) {
            *out = value * self.share;
        }
    }
}

/// How a map of tokens is cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
    /// Side of a window; the map is padded to whole ones.
    pub side: usize,
    /// How far the padded map is rolled up and left before it is cut.
    pub shift: usize,
}

/// Added to the score of two tokens that come from different sides of a rolled map.
const FAR: f32 = -100.0;

/// Attention inside windows of a map: `out` becomes `[height * width, heads * head_dim]`.
///
/// `qkv`: queries, keys and values of a token one after the other, `[height * width, 3 * channels]`;
/// `padding`: the same of a token that pads the map; `position`: what is added to the scores,
/// `[heads, side^2, side^2]`.
///
/// # Panics
/// Where the sizes do not fit.
pub fn window_attention(
    qkv: &[f32],
    padding: &[f32],
    windows: Windows,
    [heads, head_dim]: [usize; 2],
    position: &[f32],
    out: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    let Windows {
        height,
        width,
        side,
        shift,
    } = windows;
    let (channels, area) = (heads * head_dim, side * side);
    assert!(
        qkv.len() == height * width * 3 * channels
            && padding.len() == 3 * channels
            && out.len() == height * width * channels
            && position.len() == heads * area * area
            && shift < side,
        "windows do not fit"
    );
    let scale = (head_dim as f32).powf(-0.5);
    let (padded_height, padded_width) =
        (height.next_multiple_of(side), width.next_multiple_of(side));
    let region = |position: usize, length: usize| {
        usize::from(position >= length - side) + usize::from(position >= length - shift)
    };
    let AttentionScratch {
        team,
        heads: memories,
    } = scratch;
    team.prepare(memories, |memory| {
        memory.fit(area, area, head_dim, EXACT);
        reserve(&mut memory.mask, area * area);
        memory.tokens.clear();
        reserve(&mut memory.tokens, area);
    });
    let out = Parts::new(out, head_dim);
    let columns = padded_width / side;
    let count = padded_height / side * columns;
    team.share(memories, count, |memory, index| {
        let (top, left) = (index / columns * side, index % columns * side);
        memory.tokens.clear();
        for token in 0..area {
            let (y, x) = (top + token / side, left + token % side);
            let (row, column) = ((y + shift) % padded_height, (x + shift) % padded_width);
            let inside = row < height && column < width;
            let side = match shift {
                0 => 0,
                _ => 3 * region(y, padded_height) + region(x, padded_width),
            };
            let place = inside.then_some(row * width + column);
            memory.tokens.push((place, side));
        }
        // Taken out, so that the rest of the memory can be written to.
        let tokens = std::mem::take(&mut memory.tokens);
        let mut mask = std::mem::take(&mut memory.mask);
        let mixed = tokens.iter().any(|(_, side)| *side != tokens[0].1);
        mask.clear();
        if mixed {
            for (_, from) in &tokens {
                let far = tokens
                    .iter()
                    .map(|(_, to)| if from == to { 0.0 } else { FAR });
                mask.extend(far);
            }
        }
        for head in 0..heads {
            let part = |which: usize| {
                let first = which * channels + head * head_dim;
                tokens.iter().map(move |(place, _)| match place {
                    Some(row) => &qkv[row * 3 * channels + first..][..head_dim],
                    None => &padding[first..][..head_dim],
                })
            };
            memory.query.clear();
            for row in part(0) {
                memory.query.extend(row.iter().map(|value| value * scale));
            }
            memory.key.pack_columns(head_dim, part(1));
            memory.value.pack_rows(head_dim, part(2));
            let position = &position[head * area * area..][..area * area];
            // Windows are too small for integers to gain what codes cost.
            memory.attend(area, area, head_dim, EXACT, [position, &mask]);
            for ((place, _), context) in tokens.iter().zip(memory.weighted(area, head_dim)) {
                if let Some(row) = place {
                    // SAFETY: a token lies in one window.
                    let out = unsafe { out.part(row * heads + head) };
                    context.write(out);
                }
            }
        }
        (memory.tokens, memory.mask) = (tokens, mask);
    });
}

/// The first `size` values of a buffer that is made large enough.
fn grown(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    if buffer.len() < size {
        buffer.resize(size, 0.0);
    }
    &mut buffer[..size]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

    /// Attention of one query over some keys in f64, with something added to each score.
    fn exact(query: &[f32], keys: &[&[f32]], values: &[&[f32]], added: &[f64]) -> Vec<f64> {
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

    #[test]
    fn windows_are_cut_from_the_rolled_and_padded_map() {
        let (heads, head_dim) = (2, 4);
        let channels = heads * head_dim;
        let cases = [
            (4, 4, 2, 0),
            (8, 8, 4, 2),
            (5, 7, 4, 2),
            (5, 7, 4, 0),
            (3, 3, 3, 1),
        ];
        for (height, width, side, shift) in cases {
            let area = side * side;
            let qkv = numbers(height * width * 3 * channels, 1);
            let padding = numbers(3 * channels, 2);
            let position = numbers(heads * area * area, 3);
            let windows = Windows {
                height,
                width,
                side,
                shift,
            };
            let attend = |team: &Team| {
                let mut out = vec![f32::NAN; height * width * channels];
                window_attention(
                    &qkv,
                    &padding,
                    windows,
                    [heads, head_dim],
                    &position,
                    &mut out,
                    &mut AttentionScratch::new(team.clone()),
                );
                out
            };
            let [out, shared] = teams().each_ref().map(attend);
            assert_eq!(out, shared);
            let padded = [height, width].map(|length| length.next_multiple_of(side));
            let token = |row: usize, column: usize| {
                if row < height && column < width {
                    &qkv[(row * width + column) * 3 * channels..][..3 * channels]
                } else {
                    &padding[..]
                }
            };
            // Where a place of the padded map comes to lie, and whether it went around the edge.
            let rolled =
                |place: usize, length: usize| ((place + length - shift) % length, place < shift);
            for (row, column) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let (y, x) = (rolled(row, padded[0]), rolled(column, padded[1]));
                for head in 0..heads {
                    let part = |row: usize, column: usize, which: usize| {
                        &token(row, column)[which * channels + head * head_dim..][..head_dim]
                    };
                    let (mut keys, mut values, mut added) = (vec![], vec![], vec![]);
                    for (to_row, to_column) in
                        (0..padded[0]).flat_map(|y| (0..padded[1]).map(move |x| (y, x)))
                    {
                        let (to_y, to_x) =
                            (rolled(to_row, padded[0]), rolled(to_column, padded[1]));
                        if (to_y.0 / side, to_x.0 / side) != (y.0 / side, x.0 / side) {
                            continue;
                        }
                        let from = y.0 % side * side + x.0 % side;
                        let to = to_y.0 % side * side + to_x.0 % side;
                        let far = (to_y.1, to_x.1) != (y.1, x.1);
                        let bias = position[(head * area + from) * area + to];
                        keys.push(part(to_row, to_column, 1));
                        values.push(part(to_row, to_column, 2));
                        added.push(f64::from(bias) + if far { f64::from(FAR) } else { 0.0 });
                    }
                    let expected = exact(part(row, column, 0), &keys, &values, &added);
                    let place = (row * width + column) * channels + head * head_dim;
                    assert_close(&out[place..][..head_dim], &expected, 1e-5);
                }
            }
        }
    }
}
