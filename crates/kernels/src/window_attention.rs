//! Attention inside windows of a map, a band of windows at a time.

use std::ops::Range;

use crate::attention::{AttentionScratch, EXACT};
use crate::team::{Parts, reserve};

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

/// Rows of windows that are attended to together, so that what is made for them stays in the cache.
#[derive(Clone, Debug)]
pub struct Band {
    windows: Windows,
    /// Rows of windows.
    taken: Range<usize>,
    rows: [Range<usize>; 2],
}

impl Windows {
    /// Bands of up to `count` rows of windows, which have all rows of the map between them.
    pub fn bands(self, count: usize) -> impl Iterator<Item = Band> {
        let padded = self.height.next_multiple_of(self.side);
        let rows = padded / self.side;
        let count = count.max(1);
        (0..rows).step_by(count).map(move |first| {
            let taken = first..rows.min(first + count);
            // Where the rows of a rolled map come from.
            let [start, end] = [taken.start, taken.end].map(|row| row * self.side + self.shift);
            let inside = |from: usize, to: usize| from.min(self.height)..to.min(self.height);
            Band {
                windows: self,
                taken,
                rows: [
                    inside(start, end.min(padded)),
                    inside(0, end.saturating_sub(padded)),
                ],
            }
        })
    }
}

impl Band {
    /// The rows of the map that the windows take, in two parts of which each may be empty.
    pub fn rows(&self) -> &[Range<usize>; 2] {
        &self.rows
    }

    /// How many tokens these have.
    pub fn tokens(&self) -> usize {
        self.rows.iter().map(Range::len).sum::<usize>() * self.windows.width
    }

    /// Which of its rows a row of the map is.
    fn place(&self, row: usize) -> Option<usize> {
        let [first, second] = &self.rows;
        if first.contains(&row) {
            Some(row - first.start)
        } else if second.contains(&row) {
            Some(first.len() + row - second.start)
        } else {
            None
        }
    }
}

/// Added to the score of two tokens that come from different sides of a rolled map.
const FAR: f32 = -100.0;

/// Attention inside the windows of a band: `out` becomes `[tokens, heads * head_dim]`, in the order of the
/// band's rows.
///
/// `qkv`: queries, keys and values of a token one after the other, `[tokens, 3 * channels]`;
/// `padding`: the same of a token that pads the map; `position`: what is added to the scores,
/// `[heads, side^2, side^2]`.
///
/// # Panics
/// Where the sizes do not fit.
pub fn window_attention(
    qkv: &[f32],
    padding: &[f32],
    band: &Band,
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
    } = band.windows;
    let (channels, area) = (heads * head_dim, side * side);
    assert!(
        qkv.len() == band.tokens() * 3 * channels
            && padding.len() == 3 * channels
            && out.len() == band.tokens() * channels
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
    let count = band.taken.len() * columns;
    team.share(memories, count, |memory, index| {
        let (window, left) = (index / columns, index % columns * side);
        let top = (band.taken.start + window) * side;
        memory.tokens.clear();
        for token in 0..area {
            let (y, x) = (top + token / side, left + token % side);
            let (row, column) = ((y + shift) % padded_height, (x + shift) % padded_width);
            let side = match shift {
                0 => 0,
                _ => 3 * region(y, padded_height) + region(x, padded_width),
            };
            let place = band.place(row).filter(|_| column < width);
            memory
                .tokens
                .push((place.map(|row| row * width + column), side));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::tests::exact;
    use crate::team::Team;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

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
            // What a band's rows have, one after the other.
            let of = |band: &Band, values: &[f32], row: usize| -> Vec<f32> {
                let rows = band.rows().iter().cloned().flatten();
                rows.flat_map(|at| values[at * row..][..row].to_vec())
                    .collect()
            };
            let attend = |team: &Team, count: usize| {
                let mut scratch = AttentionScratch::new(team.clone());
                let mut out = vec![f32::NAN; height * width * channels];
                for band in windows.bands(count) {
                    let mut context = vec![f32::NAN; band.tokens() * channels];
                    window_attention(
                        &of(&band, &qkv, width * 3 * channels),
                        &padding,
                        &band,
                        [heads, head_dim],
                        &position,
                        &mut context,
                        &mut scratch,
                    );
                    let row = width * channels;
                    let rows = band.rows().iter().cloned().flatten();
                    for (at, context) in rows.zip(context.chunks_exact(row)) {
                        out[at * row..][..row].copy_from_slice(context);
                    }
                }
                out
            };
            let [out, shared] = teams().each_ref().map(|team| attend(team, 1));
            assert_eq!(out, shared);
            for count in [0, 2, 3, 100] {
                assert_eq!(out, attend(&Team::default(), count), "{count} rows a band");
            }
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
