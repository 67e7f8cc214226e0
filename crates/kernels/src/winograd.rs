//! Convolutions of 3 x 3 pixels in f32 by Winograd's minimal filtering, F(2 x 2, 3 x 3): four pixels of
//! output take 16 products where the sums as they are written take 36 (Lavin and Gray, "Fast Algorithms
//! for Convolutional Neural Networks", CVPR 2016, section 4.1).
//!
//! Not for integers: what is summed up before the products needs more bits than their factors have.

use crate::map::Map;
use crate::product::{Matrix, Piece, Write};
use crate::simd::{Simd, Task, lanes, run};
use crate::team::Team;

/// Side of what a tile reads, and values of it.
const SIDE: usize = 4;
const PLACES: usize = SIDE * SIDE;
/// Side of what a tile writes.
const STEP: usize = 2;
/// Tiles of a block, so that what is between stays in the second-level cache.
const TILES: usize = 32;

/// Weights as the tiles multiply them.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    /// One for each place of a tile, all channels to all outputs.
    places: Vec<Matrix>,
    inputs: usize,
    outputs: usize,
}

/// What a thread needs for a block of tiles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tiles {
    /// `[PLACES, TILES, inputs]`
    read: Vec<f32>,
    /// `[PLACES, TILES, outputs]`
    made: Vec<f32>,
}

impl Tiles {
    pub(crate) fn bytes(&self) -> usize {
        (self.read.capacity() + self.made.capacity()) * size_of::<f32>()
    }
}

impl Winograd {
    /// Whether maps and outputs fill whole vectors: only such are taken.
    pub(crate) fn takes(channels: &[usize], outputs: usize) -> bool {
        channels
            .iter()
            .chain([&outputs])
            .all(|channels| channels.is_multiple_of(lanes()))
    }

    /// `value(output, channel, y, x)`: the weights.
    pub(crate) fn new(
        [inputs, outputs]: [usize; 2],
        value: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> Self {
        /// What the weights of a row become (G in the paper).
        const WEIGHTS: [[f64; 3]; SIDE] = [
            [1.0, 0.0, 0.0],
            [0.5, 0.5, 0.5],
            [0.5, -0.5, 0.5],
            [0.0, 0.0, 1.0],
        ];
        let at = |place: usize, channel: usize, output: usize| {
            let [down, across] = [WEIGHTS[place / SIDE], WEIGHTS[place % SIDE]];
            let pixels = (0..9).map(|pixel| {
                let [y, x] = [pixel / 3, pixel % 3];
                down[y] * across[x] * f64::from(value(output, channel, y, x))
            });
            pixels.sum::<f64>() as f32
        };
        Self {
            places: (0..PLACES)
                .map(|place| {
                    Matrix::pack(inputs, outputs, |input, output| at(place, input, output))
                })
                .collect(),
            inputs,
            outputs,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.places.iter().map(Matrix::bytes).sum()
    }

    /// `out`, which has its shape, becomes the convolution of `maps` as if their channels were
    /// concatenated, plus `shift`, then ReLU.
    ///
    /// # Panics
    /// Where shapes do not fit.
    pub(crate) fn forward(
        &self,
        maps: &[&Map],
        shift: &[f32],
        out: &mut Map,
        memories: &mut Vec<Tiles>,
        team: &Team,
    ) {
        assert!(
            maps.iter().map(|map| map.channels).sum::<usize>() == self.inputs
                && maps
                    .iter()
                    .all(|map| (map.height, map.width) == (out.height, out.width))
                && out.channels == self.outputs
                && shift.len() == self.outputs,
            "maps do not fit"
        );
        let sizes = [self.inputs, self.outputs].map(|channels| PLACES * TILES * channels);
        team.prepare(memories, |tiles| {
            for (buffer, size) in [&mut tiles.read, &mut tiles.made].into_iter().zip(sizes) {
                buffer.resize(size.max(buffer.len()), 0.0);
            }
        });
        let (width, stride) = (out.width, out.stride());
        let across = width.div_ceil(STEP);
        team.share_parts(memories, out.inner(), STEP * stride, |tiles, line, rows| {
            let Tiles { read, made } = tiles;
            for first in (0..across).step_by(TILES) {
                let count = TILES.min(across - first);
                run(Read {
                    maps,
                    top: STEP * line,
                    first,
                    count,
                    inputs: self.inputs,
                    to: read,
                });
                for (place, matrix) in self.places.iter().enumerate() {
                    let from = &read[place * TILES * self.inputs..][..count * self.inputs];
                    let to = &mut made[place * TILES * self.outputs..][..count * self.outputs];
                    let from = [Piece::whole(from, self.inputs)];
                    matrix.product(&from, count, &[], Write::Set, to, self.outputs);
                }
                run(Made {
                    from: made,
                    shift,
                    first,
                    count,
                    width,
                    rows,
                });
            }
        });
    }
}

/// From maps to the left sides of the products.
struct Read<'a> {
    maps: &'a [&'a Map],
    /// First row that is read, border included.
    top: usize,
    /// First tile.
    first: usize,
    count: usize,
    inputs: usize,
    to: &'a mut [f32],
}

impl Task for Read<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        assert!(self.to.len() >= PLACES * TILES * self.inputs && self.count <= TILES);
        let mut before = 0;
        for map in self.maps {
            let (channels, stride) = (map.channels, map.stride());
            let values = map.values();
            // What is beyond the border is as the border: zeros, for pixels that do not exist.
            let row = |y: usize| (self.top + y).min(map.height + 1) * stride;
            let rows = [row(0), row(1), row(2), row(3)];
            for tile in 0..self.count {
                let column = |x: usize| ((self.first + tile) * STEP + x).min(map.width + 1);
                let columns = [column(0), column(1), column(2), column(3)].map(|x| x * channels);
                let to = tile * self.inputs + before;
                for at in (0..channels).step_by(S::LANES) {
                    // SAFETY: rows and columns are those of the map, whose channels, and with them `to`,
                    // are whole vectors.
                    unsafe {
                        let pixel = |y: usize, x: usize| {
                            S::load(values.as_ptr().add(rows[y] + columns[x] + at))
                        };
                        for down in 0..SIDE {
                            // Written out: closures in `map` would be called, not put in place.
                            let line = [
                                spread::<S>(down, |y| pixel(y, 0)),
                                spread::<S>(down, |y| pixel(y, 1)),
                                spread::<S>(down, |y| pixel(y, 2)),
                                spread::<S>(down, |y| pixel(y, 3)),
                            ];
                            for across in 0..SIDE {
                                let place = (down * SIDE + across) * TILES * self.inputs;
                                let sum = spread::<S>(across, |x| line[x]);
                                S::store(sum, self.to.as_mut_ptr().add(place + to + at));
                            }
                        }
                    }
                }
            }
            before += channels;
        }
    }
}

/// Value `place` of what four neighbours become (B in the paper).
///
/// # Safety
/// The processor must have what `S` is for.
#[inline(always)]
unsafe fn spread<S: Simd>(place: usize, value: impl Fn(usize) -> S::Floats) -> S::Floats {
    // SAFETY: the caller's promise.
    unsafe {
        match place {
            0 => S::sub(value(0), value(2)),
            1 => S::add(value(1), value(2)),
            2 => S::sub(value(2), value(1)),
            _ => S::sub(value(1), value(3)),
        }
    }
}

/// From the products to rows of output.
struct Made<'a> {
    from: &'a [f32],
    shift: &'a [f32],
    /// First tile.
    first: usize,
    count: usize,
    /// Pixels of a row.
    width: usize,
    /// One or two rows, border included.
    rows: &'a mut [f32],
}

impl Task for Made<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let outputs = self.shift.len();
        let stride = (self.width + 2) * outputs;
        let height = self.rows.len() / stride;
        assert!(
            self.from.len() >= PLACES * TILES * outputs
                && self.count <= TILES
                && (self.first + self.count - 1) * STEP < self.width
        );
        // SAFETY: the caller's promise.
        let nothing = unsafe { S::constant(0.0) };
        for tile in 0..self.count {
            let x = (self.first + tile) * STEP;
            for at in (0..outputs).step_by(S::LANES) {
                // SAFETY: outputs are whole vectors; rows and columns that do not exist are not written.
                unsafe {
                    let shift = S::load(self.shift.as_ptr().add(at));
                    let product = |down: usize, across: usize| {
                        let place = (down * SIDE + across) * TILES + tile;
                        S::load(self.from.as_ptr().add(place * outputs + at))
                    };
                    let lines = [
                        gathered::<S>(|down| product(down, 0)),
                        gathered::<S>(|down| product(down, 1)),
                        gathered::<S>(|down| product(down, 2)),
                        gathered::<S>(|down| product(down, 3)),
                    ];
                    let rows = [
                        gathered::<S>(|across| lines[across][0]),
                        gathered::<S>(|across| lines[across][1]),
                    ];
                    for (y, pixels) in rows.into_iter().enumerate() {
                        for (step, pixel) in pixels.into_iter().enumerate() {
                            if y < height && x + step < self.width {
                                let to = y * stride + (x + step + 1) * outputs + at;
                                let pixel = S::at_least(S::add(pixel, shift), nothing);
                                S::store(pixel, self.rows.as_mut_ptr().add(to));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Two neighbours of output from four products (A in the paper).
///
/// # Safety
/// The processor must have what `S` is for.
#[inline(always)]
unsafe fn gathered<S: Simd>(product: impl Fn(usize) -> S::Floats) -> [S::Floats; STEP] {
    // SAFETY: the caller's promise.
    unsafe {
        let [middle, next] = [product(1), product(2)];
        [
            S::add(S::add(product(0), middle), next),
            S::sub(S::sub(middle, next), product(3)),
        ]
    }
}
