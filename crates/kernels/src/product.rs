//! Products with matrices that were packed before.
//!
//! The right side lies in panels of two vectors' width, so that the innermost loop walks through memory
//! in order; the left side is read where it lies, one value of each row of a tile at a time. The sums of
//! a tile stay in registers for a block of the inner dimension.

use crate::depthwise::HIGHEST;
use crate::simd::{Simd, Task, lanes, run};
use crate::team::{Team, reserve};

/// Rows of a tile: ten sums, which with what they are made of fit 16 registers.
#[cfg(not(target_family = "wasm"))]
const ROWS: usize = 5;
/// Rows of a tile: eight sums. With more, LLVM's order keeps so many values of the left side that V8
/// spills some.
#[cfg(target_family = "wasm")]
const ROWS: usize = 4;
/// Steps of the innermost loop that are written one after the other.
#[cfg(not(target_family = "wasm"))]
const UNROLLED: usize = 4;
/// One step: of more, LLVM makes a stack machine's expressions, all steps of a sum in a row, with the
/// factors of all the others waiting. V8 spills them, and its loop takes half as long again, or three
/// times as long where its stack frame lies so that a spilled vector crosses a line of the cache.
#[cfg(target_family = "wasm")]
const UNROLLED: usize = 1;
/// Inner dimension of a block: a panel of it takes 8 KB and stays in the first-level cache.
const DEPTH: usize = 256;
/// Rows that go through all panels of a block before the next rows do: whole tiles, of integers, too.
#[cfg(not(target_family = "wasm"))]
pub(crate) const HEIGHT: usize = 60;
/// Rows that go through all panels of a block before the next rows do: whole tiles, of integers, too.
#[cfg(target_family = "wasm")]
pub(crate) const HEIGHT: usize = 64;

/// Part of the rows of a left side: row `i` is `values[i * stride..][..length]`.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a, T> {
    /// Where the rows lie; they may overlap.
    pub values: &'a [T],
    /// Step from a row to the next.
    pub stride: usize,
    /// Values of a row.
    pub length: usize,
}

impl<'a, T> Piece<'a, T> {
    /// Whole rows that lie one after the other.
    pub fn whole(values: &'a [T], length: usize) -> Self {
        Self {
            values,
            stride: length,
            length,
        }
    }
}

/// What a product does to where it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// What was there is not looked at.
    Set,
    /// The product is added to what is there.
    Add,
    /// As [`Self::Set`], with 0 in the place of what is negative. Here and below a NaN stays one.
    Relu,
    /// As [`Self::Set`], from 0 to 6.
    Relu6,
    /// As [`Self::Add`], with 0 in the place of what is negative then.
    AddRelu,
}

impl Write {
    /// Whether something is added to what is there.
    pub(crate) fn adds(self) -> bool {
        matches!(self, Self::Add | Self::AddRelu)
    }

    /// What is cut off, in all lanes.
    ///
    /// # Safety
    /// The processor must have what `S` is for.
    #[inline(always)]
    pub(crate) unsafe fn limits<S: Simd>(self) -> Option<[S::Floats; 2]> {
        let highest = match self {
            Self::Set | Self::Add => return None,
            Self::Relu | Self::AddRelu => f32::INFINITY,
            Self::Relu6 => HIGHEST,
        };
        // SAFETY: the caller's promise.
        Some(unsafe { [S::splat(0.0), S::splat(highest)] })
    }
}

/// A packed right side, `inputs x outputs`.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    panels: Vec<f32>,
}

/// Columns of a panel.
pub(crate) fn panel_width() -> usize {
    2 * lanes()
}

impl Matrix {
    /// `value(input, output)` for all of them.
    pub fn pack(inputs: usize, outputs: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let mut matrix = Self::default();
        matrix.shape(inputs, outputs);
        let width = panel_width();
        for (panel, rows) in matrix
            .panels
            .chunks_exact_mut((width * inputs).max(1))
            .enumerate()
        {
            for (input, row) in rows.chunks_exact_mut(width).enumerate() {
                for (column, to) in row.iter_mut().enumerate() {
                    let output = panel * width + column;
                    *to = if output < outputs {
                        value(input, output)
                    } else {
                        0.0
                    };
                }
            }
        }
        matrix
    }

    /// Takes on a shape, keeping its memory; all zeros where it grows.
    fn shape(&mut self, inputs: usize, outputs: usize) {
        (self.inputs, self.outputs) = (inputs, outputs);
        let size = outputs.next_multiple_of(panel_width()) * inputs;
        self.panels.resize(size, 0.0);
    }

    /// Makes room for a shape.
    pub(crate) fn reserve(&mut self, inputs: usize, outputs: usize) {
        reserve(
            &mut self.panels,
            outputs.next_multiple_of(panel_width()) * inputs,
        );
    }

    /// Packs rows that lie `stride` apart: input `i` is `values[i * stride..][..outputs]`.
    pub(crate) fn pack_rows<'a>(
        &mut self,
        outputs: usize,
        rows: impl ExactSizeIterator<Item = &'a [f32]>,
    ) {
        let inputs = rows.len();
        self.shape(inputs, outputs);
        let width = panel_width();
        for (input, row) in rows.enumerate() {
            for (panel, values) in row[..outputs].chunks(width).enumerate() {
                let to = &mut self.panels[(panel * inputs + input) * width..][..width];
                if let Ok(values) = <&[f32; 8]>::try_from(values)
                    && let Ok(to) = <&mut [f32; 8]>::try_from(&mut *to)
                {
                    *to = *values;
                } else {
                    to[..values.len()].copy_from_slice(values);
                    to[values.len()..].fill(0.0);
                }
            }
        }
    }

    /// Packs the transposed of rows: output `o` is the `o`-th of `rows`, each of `inputs` values.
    pub(crate) fn pack_columns<'a>(
        &mut self,
        inputs: usize,
        rows: impl ExactSizeIterator<Item = &'a [f32]>,
    ) {
        let outputs = rows.len();
        self.shape(inputs, outputs);
        let width = panel_width();
        let missing = outputs.next_multiple_of(width) - outputs;
        for (output, row) in rows.enumerate() {
            let first = output / width * width * inputs + output % width;
            let places = self.panels[first..].iter_mut().step_by(width);
            for (to, value) in places.zip(&row[..inputs]) {
                *to = *value;
            }
        }
        if missing > 0 {
            let last = self.panels.len() - width * inputs;
            for row in self.panels[last..].chunks_exact_mut(width) {
                row[width - missing..].fill(0.0);
            }
        }
    }

    /// `out` becomes, or gains, `rows` rows of the product, `stride` apart, and `bias` (empty for none).
    ///
    /// `pieces` give the left side: their lengths sum up to the inputs.
    ///
    /// # Panics
    /// Where the sizes do not fit.
    pub fn product(
        &self,
        pieces: &[Piece<'_, f32>],
        rows: usize,
        bias: &[f32],
        write: Write,
        out: &mut [f32],
        stride: usize,
    ) {
        check(pieces, rows, [self.inputs, self.outputs], bias, out, stride);
        let product = Product {
            matrix: self,
            pieces,
            rows,
            bias,
            write,
            out,
            stride,
        };
        if rows.is_multiple_of(ROWS) && self.outputs.is_multiple_of(panel_width()) {
            run(InTiles::<_, true>(product));
        } else {
            run(InTiles::<_, false>(product));
        }
    }

    /// [`Self::product`] of whole rows, stored one after the other, which a team shares.
    ///
    /// # Panics
    /// Where the sizes do not fit.
    pub fn product_of_rows(&self, rows: &[f32], out: &mut [f32], team: &Team) {
        team.each_part(out, HEIGHT * self.outputs, |index, out| {
            let count = out.len() / self.outputs;
            let rows = &rows[index * HEIGHT * self.inputs..][..count * self.inputs];
            let piece = Piece::whole(rows, self.inputs);
            self.product(&[piece], count, &[], Write::Set, out, self.outputs);
        });
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.panels[..])
    }
}

/// What the pointers below rely on.
pub(crate) fn check<T>(
    pieces: &[Piece<'_, T>],
    rows: usize,
    [inputs, outputs]: [usize; 2],
    bias: &[f32],
    out: &[f32],
    stride: usize,
) {
    assert!(
        pieces.iter().map(|piece| piece.length).sum::<usize>() == inputs
            && (bias.is_empty() || bias.len() == outputs),
        "pieces or a bias of {} values for {inputs} inputs and {outputs} outputs",
        bias.len()
    );
    let fits = |length: usize, stride: usize, size: usize| {
        rows == 0
            || (rows - 1)
                .checked_mul(stride)
                .and_then(|last| last.checked_add(length))
                .is_some_and(|end| end <= size)
    };
    assert!(
        stride >= outputs
            && fits(outputs, stride, out.len())
            && pieces
                .iter()
                .all(|piece| fits(piece.length, piece.stride, piece.values.len())),
        "{rows} rows do not fit"
    );
}

struct Product<'a> {
    matrix: &'a Matrix,
    pieces: &'a [Piece<'a, f32>],
    rows: usize,
    bias: &'a [f32],
    write: Write,
    out: &'a mut [f32],
    stride: usize,
}

/// A product in tiles, some of which may be cut off.
pub(crate) trait Tiled {
    /// # Safety
    /// The processor must have what `S` is for; sizes have been checked; where all tiles are `WHOLE`, rows
    /// and outputs are multiples of theirs.
    unsafe fn run<S: Simd, const WHOLE: bool>(self);
}

/// A product of tiles that are all whole, or of any. What tiles that are cut off take would cost the
/// registers of those that are not, if both were compiled together.
pub(crate) struct InTiles<T, const WHOLE: bool>(pub(crate) T);

impl<T: Tiled, const WHOLE: bool> Task for InTiles<T, WHOLE> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: passed on.
        unsafe { self.0.run::<S, WHOLE>() }
    }
}

impl Tiled for Product<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const WHOLE: bool>(self) {
        let width = 2 * S::LANES;
        let Matrix {
            inputs,
            outputs,
            ref panels,
        } = *self.matrix;
        let mut padded = [0.0; 16];
        // SAFETY: the caller's promise.
        let limits = unsafe { self.write.limits::<S>() };
        for top in (0..self.rows).step_by(HEIGHT) {
            let height = HEIGHT.min(self.rows - top);
            let mut offset = 0;
            for piece in self.pieces {
                for depth in (0..piece.length).step_by(DEPTH) {
                    let length = DEPTH.min(piece.length - depth);
                    let add = offset > 0 || self.write.adds();
                    // Sums that are not whole yet are not cut.
                    let limits = match offset + length == inputs {
                        true => limits,
                        false => None,
                    };
                    for first in (0..outputs).step_by(width) {
                        let columns = match WHOLE {
                            true => width,
                            false => width.min(outputs - first),
                        };
                        padded.fill(0.0);
                        if offset == 0 && !self.bias.is_empty() {
                            padded[..columns].copy_from_slice(&self.bias[first..][..columns]);
                        }
                        // SAFETY: the caller's promise; panels hold `width` values for every input.
                        unsafe {
                            let bias = [
                                S::load(&raw const padded[0]),
                                S::load(&raw const padded[S::LANES]),
                            ];
                            let panel = panels.as_ptr().add(first * inputs + offset * width);
                            for tile in (0..height).step_by(ROWS) {
                                let rows = match WHOLE {
                                    true => ROWS,
                                    false => ROWS.min(height - tile),
                                };
                                let row = top + tile;
                                let left = piece.values.as_ptr().add(row * piece.stride + depth);
                                // Rows that are missing at the end are those of the last one.
                                let left: [*const f32; ROWS] = std::array::from_fn(|index| {
                                    left.add(index.min(rows - 1) * piece.stride)
                                });
                                let sums = tile_of::<S>(left, panel, length, bias);
                                for (index, sums) in sums.into_iter().enumerate().take(rows) {
                                    let to = (row + index) * self.stride + first;
                                    let to = self.out.as_mut_ptr().add(to);
                                    write_row::<S>(to, sums, columns, add, limits);
                                }
                            }
                        }
                    }
                    offset += length;
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn tile_of<S: Simd>(
    left: [*const f32; ROWS],
    panel: *const f32,
    length: usize,
    start: [S::Floats; 2],
) -> [[S::Floats; 2]; ROWS] {
    let mut sums = [start; ROWS];
    let mut left = left;
    let mut panel = panel;
    // SAFETY: `length` values of each row, and a panel of as many rows.
    unsafe {
        for _ in 0..length / UNROLLED {
            for step in 0..UNROLLED {
                let right = [
                    S::load(panel.add(step * 2 * S::LANES)),
                    S::load(panel.add((step * 2 + 1) * S::LANES)),
                ];
                for (sums, left) in sums.iter_mut().zip(&left) {
                    let value = S::load_splat(left.add(step));
                    sums[0] = S::mul_add(value, right[0], sums[0]);
                    sums[1] = S::mul_add(value, right[1], sums[1]);
                }
            }
            panel = panel.add(UNROLLED * 2 * S::LANES);
            for left in &mut left {
                *left = left.add(UNROLLED);
            }
        }
        for step in 0..length % UNROLLED {
            let right = [
                S::load(panel.add(step * 2 * S::LANES)),
                S::load(panel.add((step * 2 + 1) * S::LANES)),
            ];
            for (sums, left) in sums.iter_mut().zip(&left) {
                let value = S::load_splat(left.add(step));
                sums[0] = S::mul_add(value, right[0], sums[0]);
                sums[1] = S::mul_add(value, right[1], sums[1]);
            }
        }
    }
    sums
}

/// Writes `columns` values of two vectors; the others of the panel do not exist, and are not touched.
#[inline(always)]
pub(crate) unsafe fn write_row<S: Simd>(
    to: *mut f32,
    sums: [S::Floats; 2],
    columns: usize,
    add: bool,
    limits: Option<[S::Floats; 2]>,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let width = 2 * S::LANES;
        let mut values = [0.0f32; 16];
        let whole = columns == width;
        // Columns that are cut off go through an array.
        let there = match whole {
            true => to,
            false => {
                if add {
                    to.copy_to(values.as_mut_ptr(), columns);
                }
                values.as_mut_ptr()
            }
        };
        for (half, sum) in sums.into_iter().enumerate() {
            let there = there.add(half * S::LANES);
            let mut sum = if add {
                S::add(S::load(there), sum)
            } else {
                sum
            };
            if let Some([low, high]) = limits {
                sum = S::at_most(S::at_least(sum, low), high);
            }
            S::store(sum, there);
        }
        if !whole {
            to.copy_from(values.as_ptr(), columns);
        }
    }
}
