//! Convolutions of 3 x 3 pixels, channels last, without copies of the neighbourhoods: the three pixels of
//! a row lie one after the other already.

use crate::codes::{Range, extremes, quantise};
use crate::linear::{Precision, Weights};
use crate::map::Map;
use crate::product::{Piece, Write};
use crate::simd::Code;
use crate::team::{MOST, Team};
use crate::winograd::{Tiles, Winograd};

/// A convolution of one or several maps of a size, as if their channels were concatenated, with a factor
/// and a term for every output (a folded batch normalisation), then ReLU.
#[derive(Clone, Debug)]
pub struct Conv3x3 {
    way: Way,
    /// Channels of each map.
    channels: Vec<usize>,
    outputs: usize,
    shift: Vec<f32>,
}

/// How it is computed.
#[derive(Clone, Debug)]
enum Way {
    /// In f32, with fewer products.
    Winograd(Winograd),
    /// As it is written: in f32 one product for all maps; in integers one for each map, because each has
    /// its own range.
    Sums(Vec<Weights>),
}

/// Who computes convolutions, and memory for quantised maps and for tiles; kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct ConvScratch {
    team: Team,
    /// One for each thread.
    tiles: Vec<Tiles>,
    codes: Vec<Vec<Code>>,
    /// Extremes of parts of a map.
    extremes: Vec<(f32, f32)>,
}

/// Maps that a convolution may have.
const MAPS: usize = 2;

/// Values of a map that a thread quantises at a time.
const PART: usize = 1 << 14;

impl ConvScratch {
    /// For work that `team` shares.
    pub fn new(team: Team) -> Self {
        Self {
            team,
            ..Self::default()
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        let codes = self.codes.iter().map(Vec::capacity).sum::<usize>() * size_of::<Code>();
        codes + self.tiles.iter().map(Tiles::bytes).sum::<usize>()
    }
}

impl Conv3x3 {
    /// `weights`: `[outputs, all channels, 3, 3]`; `channels`: of each map; `factor`, `shift`: for every
    /// output.
    ///
    /// # Panics
    /// Where the lengths do not fit, or where there are more than two maps.
    pub fn new(
        weights: &[f32],
        channels: &[usize],
        factor: &[f32],
        shift: &[f32],
        precision: Precision,
    ) -> Self {
        let (all, outputs) = (channels.iter().sum::<usize>(), factor.len());
        assert!(
            weights.len() == outputs * all * 9
                && shift.len() == outputs
                && (1..=MAPS).contains(&channels.len()),
            "{} weights for {all} channels to {outputs}",
            weights.len()
        );
        let value = |output: usize, channel: usize, y: usize, x: usize| {
            weights[((output * all + channel) * 3 + y) * 3 + x] * factor[output]
        };
        let integers = precision == Precision::Int8
            && channels.iter().all(|channels| channels.is_multiple_of(4));
        let way = if integers {
            let mut before = 0;
            let weights = channels
                .iter()
                .map(|channels| {
                    let first = before;
                    before += channels;
                    Weights::pack(precision, 9 * channels, outputs, |input, output| {
                        let (pixel, channel) = (input / channels, input % channels);
                        value(output, first + channel, pixel / 3, pixel % 3)
                    })
                })
                .collect();
            Way::Sums(weights)
        } else if Winograd::takes(channels, outputs) {
            Way::Winograd(Winograd::new([all, outputs], value))
        } else {
            // A row of each map, then the next row of each.
            let places: Vec<[usize; 3]> = (0..3)
                .flat_map(|y| {
                    let mut before = 0;
                    channels.iter().flat_map(move |channels| {
                        let first = before;
                        before += channels;
                        (0..3 * channels)
                            .map(move |input| [first + input % channels, y, input / channels])
                    })
                })
                .collect();
            Way::Sums(vec![Weights::pack(
                Precision::F32,
                9 * all,
                outputs,
                |input, output| {
                    let [channel, y, x] = places[input];
                    value(output, channel, y, x)
                },
            )])
        };
        Self {
            way,
            channels: channels.to_vec(),
            outputs,
            shift: shift.to_vec(),
        }
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        let weights = match &self.way {
            Way::Winograd(winograd) => winograd.bytes(),
            Way::Sums(weights) => weights.iter().map(Weights::bytes).sum(),
        };
        weights + size_of_val(&self.shift[..])
    }

    /// `out` becomes the convolution of `maps`, with zeros around them, and ReLU of it.
    ///
    /// # Panics
    /// Where the maps have other channels or different sizes.
    pub fn forward(&self, maps: &[&Map], out: &mut Map, scratch: &mut ConvScratch) {
        let (height, width) = (maps[0].height, maps[0].width);
        assert!(
            maps.iter()
                .map(|map| map.channels)
                .eq(self.channels.iter().copied())
                && maps
                    .iter()
                    .all(|map| (map.height, map.width) == (height, width)),
            "maps do not fit"
        );
        out.shape(height, width, self.outputs);
        let ConvScratch {
            team,
            tiles,
            codes,
            extremes,
        } = scratch;
        let weights_of_all = match &self.way {
            Way::Winograd(winograd) => {
                return winograd.forward(maps, &self.shift, out, tiles, team);
            }
            Way::Sums(weights) => weights,
        };
        let mut ranges = [Range::default(); MAPS];
        if !matches!(weights_of_all[..], [Weights::Float(_)]) {
            codes.resize_with(maps.len().max(codes.len()), Vec::new);
            for ((map, codes), range) in maps.iter().zip(codes.iter_mut()).zip(&mut ranges) {
                *range = quantised(map, codes, extremes, team);
            }
        }
        out.each_row(team, |y, row| {
            for (index, weights) in weights_of_all.iter().enumerate() {
                match weights {
                    Weights::Float(matrix) => {
                        // A row of each map, then the next row of each.
                        let pieces: [Piece<'_, f32>; 3 * MAPS] = std::array::from_fn(|place| {
                            let map = maps[place % maps.len()];
                            match place / maps.len() {
                                line @ 0..3 => neighbours(map, map.values(), y + line),
                                _ => Piece::whole(&[], 0),
                            }
                        });
                        let pieces = &pieces[..3 * maps.len()];
                        matrix.product(pieces, width, &self.shift, Write::Relu, row, self.outputs);
                    }
                    Weights::Integer(matrix) => {
                        let codes = &codes[index];
                        let pieces = [0, 1, 2].map(|line| neighbours(maps[index], codes, y + line));
                        let last = index + 1 == weights_of_all.len();
                        let (bias, write) = match (index, last) {
                            (0, true) => (&self.shift[..], Write::Relu),
                            (0, false) => (&self.shift[..], Write::Set),
                            (_, true) => (&[][..], Write::AddRelu),
                            (_, false) => (&[][..], Write::Add),
                        };
                        let left = (&pieces[..], &ranges[index..=index]);
                        matrix.product(left, width, bias, write, row, self.outputs);
                    }
                }
            }
        });
    }
}

/// Three pixels of row `y` (of those with the border) for every column.
fn neighbours<'a, T>(map: &Map, values: &'a [T], y: usize) -> Piece<'a, T> {
    Piece {
        values: &values[y * map.stride()..],
        stride: map.channels,
        length: 3 * map.channels,
    }
}

/// A map and its border as codes, all of one range, in which 0 has a code of its own.
fn quantised(map: &Map, codes: &mut Vec<Code>, parts: &mut Vec<(f32, f32)>, team: &Team) -> Range {
    let values = map.values();
    parts.resize(values.len().div_ceil(PART), (0.0, 0.0));
    team.each_part(parts, 1, |index, part| {
        let values = &values[index * PART..];
        part[0] = extremes(&values[..PART.min(values.len())]);
    });
    // The border is among the values: 0 lies between the extremes.
    let low = parts
        .iter()
        .fold(f32::INFINITY, |low, part| low.min(part.0));
    let high = parts
        .iter()
        .fold(f32::NEG_INFINITY, |high, part| high.max(part.1));
    // One less than there are, because 0 is moved to a code, and all others with it.
    let scale = (high - low) / 126.0;
    let low = if scale > 0.0 {
        (low / scale).floor() * scale
    } else {
        low
    };
    codes.resize(values.len(), 0);
    // A thread's: 0, or NaN.
    let mut nothing = [0.0; MOST];
    team.share_parts(&mut nothing, codes, PART, |nothing, index, codes| {
        *nothing += quantise(&values[index * PART..][..codes.len()], low, scale, codes);
    });
    let nothing = nothing.iter().sum::<f32>();
    Range {
        low: low + nothing,
        scale: scale + nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::tests::filled;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn neighbours_of_all_maps_count_and_nothing_beyond_the_edge() {
        let cases = [
            (vec![4], 10, [5, 6]),
            (vec![8, 4], 10, [5, 6]),
            (vec![3, 2], 10, [5, 6]),
            // Whole vectors: tiles of 2 x 2, some of them cut off, and more than a block of them.
            (vec![16], 32, [4, 6]),
            (vec![16, 32], 16, [5, 7]),
            (vec![16], 16, [1, 1]),
            (vec![16], 16, [3, 67]),
        ];
        for (channels, outputs, [height, width]) in cases {
            let all: usize = channels.iter().sum();
            let weights = numbers(outputs * all * 9, 1);
            let (factor, shift) = (numbers(outputs, 2), numbers(outputs, 3));
            let maps: Vec<Map> = (10..)
                .zip(&channels)
                .map(|(seed, channels)| filled(height, width, *channels, seed))
                .collect();
            let value = |y: usize, x: usize, channel: usize| {
                let mut channel = channel;
                for map in &maps {
                    if channel < map.channels {
                        let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
                        return match inside {
                            true => f64::from(map.row(y - 1)[(x - 1) * map.channels + channel]),
                            false => 0.0,
                        };
                    }
                    channel -= map.channels;
                }
                panic!("no such channel");
            };
            let mut expected = Vec::new();
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                for output in 0..outputs {
                    let mut sum = 0.0;
                    for channel in 0..all {
                        for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                            let weight = weights[((output * all + channel) * 3 + dy) * 3 + dx];
                            sum += f64::from(weight) * value(y + dy, x + dx, channel);
                        }
                    }
                    let sum = sum * f64::from(factor[output]) + f64::from(shift[output]);
                    expected.push(sum.max(0.0));
                }
            }
            let maps: Vec<&Map> = maps.iter().collect();
            let precisions = [(Precision::F32, 1e-5), (Precision::Int8, 0.03)];
            for (team, (precision, tolerance)) in teams()
                .iter()
                .flat_map(|team| precisions.map(|precision| (team, precision)))
            {
                let conv = Conv3x3::new(&weights, &channels, &factor, &shift, precision);
                let mut out = filled(height + 1, width, outputs, 4);
                conv.forward(&maps, &mut out, &mut ConvScratch::new(team.clone()));
                let rows: Vec<f32> = (0..height).flat_map(|y| out.row(y).to_vec()).collect();
                assert_close(&rows, &expected, tolerance);
            }
        }
    }
}
