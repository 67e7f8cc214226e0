//! Products of integers of seven bits, in bytes.
//!
//! Weights are from -63 to 63, with a scale for every output; activations are quantised where they are
//! needed, every row by its own smallest and largest value: `x ≈ low + scale code` with codes from 0 to
//! 127. The sum over the inputs is then
//! `scale_row scale_output Σ code weight + low scale_output Σ weight`, whose last sum is known before.
//! Seven bits of an activation are what the instruction `i32x4.relaxed_dot_i8x16_i7x16_add` gives the same
//! result for on every processor; with seven of a weight four products fit 16 bits, or eight where an
//! output's weights leave room for them, which saves steps to 32 where that instruction is none
//! ([`crate::tall`]). Sums are 32-bit integers, and the same wherever they
//! are computed.

use crate::product::{HEIGHT, InTiles, Piece, Tiled, Write, check, panel_width, write_row};
use crate::simd::{self, CODE, Code, GROUP, Simd, Task, Weight, run, run_integers};
use crate::tall::{TALL, excess, sum_up};
use crate::team::reserve;

/// Rows of a tile.
const ROWS: usize = 4;
/// Largest code of an activation.
pub(crate) const HIGHEST: f32 = 127.0;
/// Largest magnitude of a weight's code.
const LARGEST: f32 = 63.0;

/// A packed right side of integers, `inputs x outputs`.
#[derive(Clone, Debug, Default)]
pub struct Matrix8 {
    inputs: usize,
    outputs: usize,
    panels: Vec<Weight>,
    /// Whether sums of eight products fit 16 bits.
    light: bool,
    /// For every output, zeros beyond the last: its scale, and its weights' sum times the scale.
    scales: Vec<f32>,
    sums: Vec<f32>,
}

/// How many inputs [`Matrix8::pack_rows`] makes of so many.
pub(crate) fn padded_inputs(inputs: usize) -> usize {
    inputs.next_multiple_of(4)
}

/// Quantised rows.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    pub(crate) values: Vec<Code>,
    /// For every row.
    pub(crate) ranges: Vec<Range>,
}

/// What codes of a row stand for: `low + scale code`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    pub(crate) low: f32,
    pub(crate) scale: f32,
}

impl Range {
    /// Of codes that stand for themselves.
    pub(crate) const ONE: Self = Self {
        low: 0.0,
        scale: 1.0,
    };
}

impl Matrix8 {
    /// Whether so many inputs can be taken: they go in groups.
    pub fn takes(inputs: usize) -> bool {
        inputs.is_multiple_of(4)
    }

    /// Quantises `value(input, output)`: every output by the largest magnitude of its weights, or by more
    /// where sums of eight would not fit 16 bits.
    ///
    /// # Panics
    /// Where [`Self::takes`] is false.
    pub fn pack(inputs: usize, outputs: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        assert!(Self::takes(inputs), "{inputs} inputs");
        let width = panel_width();
        let padded = outputs.next_multiple_of(width);
        let mut matrix = Self {
            inputs,
            outputs,
            panels: vec![0; padded * inputs],
            light: true,
            scales: vec![0.0; padded],
            sums: vec![0.0; padded],
        };
        let mut values = vec![0.0; inputs];
        let mut codes = vec![0; inputs];
        let mut pairs = Vec::new();
        for output in 0..outputs {
            for (input, to) in values.iter_mut().enumerate() {
                *to = value(input, output);
            }
            let scale = quantise_weights(&values, &mut codes, &mut pairs);
            let panel = output / width * width * inputs + output % width * GROUP;
            let places = matrix.panels[panel..].chunks_mut(width * GROUP);
            for (codes, to) in codes.chunks_exact(GROUP).zip(places) {
                for (code, to) in codes.iter().zip(to) {
                    *to = Weight::from(*code);
                }
            }
            let sum: i32 = codes.iter().map(|code| i32::from(*code)).sum();
            matrix.scales[output] = scale;
            matrix.sums[output] = scale * sum as f32;
        }
        matrix
    }

    /// Makes room for a shape.
    pub(crate) fn reserve(&mut self, inputs: usize, outputs: usize) {
        let padded = outputs.next_multiple_of(panel_width());
        reserve(&mut self.panels, padded * inputs);
        reserve(&mut self.scales, padded);
        reserve(&mut self.sums, padded);
    }

    /// Packs the transposed of rows, in the place of what was there: output `o` is the `o`-th of `rows`,
    /// each of `inputs` values. Where one is not finite, that output becomes NaN.
    ///
    /// # Panics
    /// Where [`Self::takes`] is false.
    pub(crate) fn pack_columns<'a>(
        &mut self,
        inputs: usize,
        rows: impl ExactSizeIterator<Item = &'a [f32]>,
    ) {
        assert!(Self::takes(inputs), "{inputs} inputs");
        let width = panel_width();
        (self.inputs, self.outputs, self.light) = (inputs, rows.len(), false);
        let padded = self.outputs.next_multiple_of(width);
        self.panels.resize(padded * inputs, 0);
        self.scales.resize(padded, 0.0);
        self.sums.resize(padded, 0.0);
        for (output, row) in rows.enumerate() {
            let nothing: f32 = row[..inputs].iter().map(|value| value * 0.0).sum();
            let scale = (largest(&row[..inputs]) + nothing) / LARGEST;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let mut sum = 0;
            let panel = output / width * width * inputs + output % width * GROUP;
            let places = self.panels[panel..].chunks_mut(width * GROUP);
            for (values, to) in row[..inputs].chunks_exact(GROUP).zip(places) {
                for (value, to) in values.iter().zip(to) {
                    let code = (value * inverse).round_ties_even() as i8;
                    sum += i32::from(code);
                    *to = Weight::from(code);
                }
            }
            self.scales[output] = scale;
            self.sums[output] = scale * sum as f32;
        }
    }

    /// Packs rows, in the place of what was there: input `i` is the `i`-th of `rows`, each of `outputs`
    /// values, and zeros follow up to a whole group of inputs. An output with a value that is not finite
    /// becomes NaN. Only for products with codes of which 0 stands for 0.
    pub(crate) fn pack_rows<'a>(
        &mut self,
        outputs: usize,
        rows: impl ExactSizeIterator<Item = &'a [f32]> + Clone,
    ) {
        let width = panel_width();
        let inputs = padded_inputs(rows.len());
        (self.inputs, self.outputs, self.light) = (inputs, outputs, false);
        let padded = outputs.next_multiple_of(width);
        self.panels.clear();
        self.panels.resize(padded * inputs, 0);
        self.scales.clear();
        self.scales.resize(padded, 0.0);
        self.sums.clear();
        self.sums.resize(padded, 0.0);
        // The largest magnitudes, and NaN where a value is not finite.
        for row in rows.clone() {
            for ((largest, nothing), value) in self.scales.iter_mut().zip(&mut self.sums).zip(row) {
                *largest = largest.max(value.abs());
                *nothing += value * 0.0;
            }
        }
        let inverses = &mut self.sums;
        for (scale, inverse) in self.scales.iter_mut().zip(&mut *inverses) {
            *scale = *scale / LARGEST + *inverse;
            *inverse = if *scale > 0.0 { 1.0 / *scale } else { 0.0 };
        }
        for (input, row) in rows.enumerate() {
            let place = input / GROUP * width * GROUP + input % GROUP;
            let panels = self.panels.chunks_exact_mut(width * inputs);
            let columns = row[..outputs].chunks(width).zip(inverses.chunks(width));
            for (panel, (values, inverses)) in panels.zip(columns) {
                let to = panel[place..].iter_mut().step_by(GROUP);
                for (to, (value, inverse)) in to.zip(values.iter().zip(inverses)) {
                    *to = Weight::from((value * inverse).round_ties_even() as i8);
                }
            }
        }
        self.sums.fill(0.0);
    }

    /// As [`crate::Matrix::product`], of quantised rows and their ranges: one a row, or one for all.
    ///
    /// # Panics
    /// Where the sizes do not fit.
    pub(crate) fn product(
        &self,
        (pieces, ranges): (&[Piece<'_, Code>], &[Range]),
        rows: usize,
        bias: &[f32],
        write: Write,
        out: &mut [f32],
        stride: usize,
    ) {
        check(pieces, rows, [self.inputs, self.outputs], bias, out, stride);
        assert!(
            (ranges.len() == 1 || ranges.len() >= rows)
                && pieces
                    .iter()
                    .all(|piece| piece.length.is_multiple_of(GROUP)),
            "ranges or pieces do not fit"
        );
        let product = Product {
            matrix: self,
            pieces,
            ranges,
            rows,
            bias,
            write,
            out,
            stride,
        };
        if product.is_whole() {
            run_integers(InTiles::<_, true>(product));
        } else {
            run_integers(InTiles::<_, false>(product));
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.panels[..]) + 2 * size_of_val(&self.scales[..])
    }
}

/// Codes of an output's weights, and their scale. `pairs`: as in [`excess`].
fn quantise_weights(values: &[f32], codes: &mut [i8], pairs: &mut Vec<i16>) -> f32 {
    let mut scale = largest(values) / LARGEST;
    loop {
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        for (value, code) in values.iter().zip(&mut *codes) {
            // Rounded as vectors round.
            *code = (value * inverse).round_ties_even() as i8;
        }
        let excess = excess(codes, pairs);
        if excess <= 1.0 {
            return scale;
        }
        // Codes are rounded, so that it may take more than it says.
        scale *= excess.max(1.01);
    }
}

/// Finds out, once, which way of multiplying integers is faster here, where there is more than one; it
/// takes some 40 ms then. `now`: a clock, in milliseconds. Results do not depend on it.
pub fn choose_products(now: impl Fn() -> f64) {
    if !simd::undecided() {
        return;
    }
    const COUNT: usize = 32;
    const INPUTS: usize = 192;
    let matrix = Matrix8::pack(INPUTS, 96, |input, output| {
        ((input * 7 + output * 5) % 255) as f32 - 127.0
    });
    let mut codes = Codes::default();
    let rows: Vec<f32> = (0..COUNT * INPUTS).map(|at| (at % 113) as f32).collect();
    codes.quantise_rows(&rows, INPUTS);
    let piece = [Piece::whole(&codes.values[..], INPUTS)];
    let out = std::cell::RefCell::new(vec![0.0; COUNT * matrix.outputs]);
    let trial = || Trial {
        product: (&matrix, &piece, &codes.ranges),
        out: &out,
    };
    simd::choose_products(trial, now);
}

struct Trial<'a> {
    product: (&'a Matrix8, &'a [Piece<'a, Code>], &'a [Range]),
    out: &'a std::cell::RefCell<Vec<f32>>,
}

impl Task for Trial<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (matrix, pieces, ranges) = self.product;
        let product = Product {
            matrix,
            pieces,
            ranges,
            rows: ranges.len(),
            bias: &[],
            write: Write::Set,
            out: &mut self.out.borrow_mut(),
            stride: matrix.outputs,
        };
        let whole = product.is_whole();
        // SAFETY: the caller's promise; rows, codes and output are of one shape.
        unsafe {
            match whole {
                true => product.run::<S, true>(),
                false => product.run::<S, false>(),
            }
        }
    }
}

struct Product<'a> {
    matrix: &'a Matrix8,
    pieces: &'a [Piece<'a, Code>],
    ranges: &'a [Range],
    rows: usize,
    bias: &'a [f32],
    write: Write,
    out: &'a mut [f32],
    stride: usize,
}

#[inline(always)]
unsafe fn pair_of<S: Simd>(from: *const f32) -> [S::Floats; 2] {
    // SAFETY: the caller's promise.
    unsafe { [S::load(from), S::load(from.add(S::LANES))] }
}

/// Of a panel's outputs: scales, sums of weights and bias.
struct Outputs<S: Simd> {
    scales: [S::Floats; 2],
    weights: [S::Floats; 2],
    bias: [S::Floats; 2],
}

/// What sums stand for, by the range of their row.
///
/// Not a closure, as nothing is here that is used more than once: it would be compiled by itself, without
/// the instructions that the loop around it may use, and be called for every row.
#[inline(always)]
unsafe fn values_of<S: Simd>(
    sums: [S::Integers; 2],
    Range { low, scale }: Range,
    outputs: &Outputs<S>,
) -> [S::Floats; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let (scale, low) = (S::splat(scale), S::splat(low));
        let shift = [
            S::mul_add(low, outputs.weights[0], outputs.bias[0]),
            S::mul_add(low, outputs.weights[1], outputs.bias[1]),
        ];
        [
            S::mul_add(
                S::to_floats(sums[0]),
                S::mul(scale, outputs.scales[0]),
                shift[0],
            ),
            S::mul_add(
                S::to_floats(sums[1]),
                S::mul(scale, outputs.scales[1]),
                shift[1],
            ),
        ]
    }
}

impl Product<'_> {
    /// Whether no tile is cut off.
    fn is_whole(&self) -> bool {
        self.rows.is_multiple_of(ROWS) && self.matrix.outputs.is_multiple_of(panel_width())
    }
}

impl Tiled for Product<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const WHOLE: bool>(self) {
        let width = 2 * S::LANES;
        let matrix = self.matrix;
        let mut padded = [0.0; 16];
        // SAFETY: the caller's promise.
        let limits = unsafe { self.write.limits::<S>() };
        let add = self.write.adds();
        // One range is that of all rows.
        let step = usize::from(self.ranges.len() != 1);
        for top in (0..self.rows).step_by(HEIGHT) {
            let height = HEIGHT.min(self.rows - top);
            for first in (0..matrix.outputs).step_by(width) {
                let columns = match WHOLE {
                    true => width,
                    false => width.min(matrix.outputs - first),
                };
                padded.fill(0.0);
                if !self.bias.is_empty() {
                    padded[..columns].copy_from_slice(&self.bias[first..][..columns]);
                }
                // SAFETY: the caller's promise; panels, scales and sums are padded to `width`, and there is a
                // range for every row.
                unsafe {
                    let panel = matrix.panels.as_ptr().add(first * matrix.inputs);
                    let outputs = Outputs::<S> {
                        scales: pair_of::<S>(matrix.scales.as_ptr().add(first)),
                        weights: pair_of::<S>(matrix.sums.as_ptr().add(first)),
                        bias: pair_of::<S>(padded.as_ptr()),
                    };
                    let to = Target {
                        out: self.out.as_mut_ptr().add(first),
                        stride: self.stride,
                        columns,
                        add,
                        limits,
                    };
                    if S::PAIRED && matrix.light {
                        let mut sums = [[S::zeros(); 2]; TALL];
                        for tile in (0..height).step_by(TALL) {
                            let row = top + tile;
                            let sums = &mut sums[..TALL.min(height - tile)];
                            sum_up::<S>(self.pieces, row, panel, sums);
                            let ranges = self.ranges.as_ptr().add(row * step);
                            to.write::<S>(row, sums, (ranges, step), &outputs);
                        }
                    } else {
                        for tile in (0..height).step_by(ROWS) {
                            let rows = match WHOLE {
                                true => ROWS,
                                false => ROWS.min(height - tile),
                            };
                            let row = top + tile;
                            let sums = tile_of::<S>(self.pieces, row, rows, panel);
                            let ranges = self.ranges.as_ptr().add(row * step);
                            to.write::<S>(row, &sums[..rows], (ranges, step), &outputs);
                        }
                    }
                }
            }
        }
    }
}

/// Where a panel's outputs are written, of all rows.
struct Target<F> {
    out: *mut f32,
    stride: usize,
    columns: usize,
    add: bool,
    limits: Option<[F; 2]>,
}

impl<F: Copy> Target<F> {
    /// Writes what the sums of rows from `row` on stand for.
    #[inline(always)]
    unsafe fn write<S: Simd<Floats = F>>(
        &self,
        row: usize,
        sums: &[[S::Integers; 2]],
        (ranges, step): (*const Range, usize),
        outputs: &Outputs<S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let to = self.out.add(row * self.stride);
            for (index, sums) in sums.iter().enumerate() {
                let range = *ranges.add(index * step);
                let values = values_of::<S>(*sums, range, outputs);
                let to = to.add(index * self.stride);
                write_row::<S>(to, values, self.columns, self.add, self.limits);
            }
        }
    }
}

#[inline(always)]
unsafe fn tile_of<S: Simd>(
    pieces: &[Piece<'_, Code>],
    row: usize,
    rows: usize,
    panel: *const Weight,
) -> [[S::Integers; 2]; ROWS] {
    // SAFETY: rows of the pieces, and a panel of as many inputs.
    unsafe {
        let along = S::along();
        let mut sums = [[S::zeros(); 2]; ROWS];
        let mut panel = panel;
        for piece in pieces {
            let mut left: [*const Code; ROWS] = std::array::from_fn(|index| {
                let row = row + index.min(rows - 1);
                piece.values.as_ptr().add(row * piece.stride)
            });
            let column = S::LANES * GROUP;
            let groups = piece.length / GROUP;
            for _ in 0..groups / 2 {
                let first = [panel, panel.add(2 * column)].map(|at| S::load_weights(at));
                let second =
                    [panel.add(column), panel.add(3 * column)].map(|at| S::load_weights(at));
                for (sums, left) in sums.iter_mut().zip(&mut left) {
                    let codes = [*left, left.add(GROUP)].map(|at| S::load_codes(at));
                    sums[0] = S::dot_twice(sums[0], first, codes, along);
                    sums[1] = S::dot_twice(sums[1], second, codes, along);
                    *left = left.add(2 * GROUP);
                }
                panel = panel.add(4 * column);
            }
            if groups % 2 == 1 {
                let right = [panel, panel.add(column)].map(|at| S::load_weights(at));
                for (sums, left) in sums.iter_mut().zip(&left) {
                    let codes = S::load_codes(*left);
                    sums[0] = S::dot(sums[0], right[0], codes, along);
                    sums[1] = S::dot(sums[1], right[1], codes, along);
                }
                panel = panel.add(2 * column);
            }
        }
        sums
    }
}

impl Codes {
    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Code>() + self.ranges.capacity() * size_of::<Range>()
    }

    /// Makes room for `count` rows of `length` values.
    pub(crate) fn reserve(&mut self, count: usize, length: usize) {
        reserve(&mut self.values, count * length);
        self.ranges.clear();
        reserve(&mut self.ranges, count);
    }

    /// Quantises rows of `length` values, each by its own range, in the place of what was there.
    pub(crate) fn quantise_rows(&mut self, rows: &[f32], length: usize) {
        self.values.resize(rows.len(), 0);
        self.ranges.clear();
        run(QuantiseRows {
            rows,
            length,
            codes: &mut self.values,
            ranges: &mut self.ranges,
        });
    }
}

struct QuantiseRows<'a> {
    rows: &'a [f32],
    length: usize,
    codes: &'a mut [Code],
    ranges: &'a mut Vec<Range>,
}

impl Task for QuantiseRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        let quantiser = unsafe { Quantiser::<S>::new() };
        let rows = self.rows.chunks_exact(self.length);
        for (row, codes) in rows.zip(self.codes.chunks_exact_mut(self.length)) {
            // SAFETY: the caller's promise.
            let range = unsafe {
                let (low, high) = extremes_of::<S>(row);
                let scale = (high - low) / HIGHEST;
                let nothing = quantiser.codes(row, low, scale, codes);
                Range {
                    low: low + nothing,
                    scale: scale + nothing,
                }
            };
            self.ranges.push(range);
        }
    }
}

/// Largest magnitude; any number where a value is not finite.
pub(crate) fn largest(values: &[f32]) -> f32 {
    let (low, high) = extremes(values);
    if -low > high { -low } else { high }
}

/// Smallest and largest value; any number where one is not finite, which [`quantise`] finds out.
pub(crate) fn extremes(values: &[f32]) -> (f32, f32) {
    struct Extremes<'a>(&'a [f32], &'a mut (f32, f32));
    impl Task for Extremes<'_> {
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            // SAFETY: the caller's promise.
            *self.1 = unsafe { extremes_of::<S>(self.0) };
        }
    }
    let mut found = (0.0, 0.0);
    run(Extremes(values, &mut found));
    found
}

/// Codes of values from `low` to `low + 127 scale`; gives 0, or NaN where a value is not finite, which
/// codes could not say.
pub(crate) fn quantise(values: &[f32], low: f32, scale: f32, codes: &mut [Code]) -> f32 {
    struct Quantise<'a>(&'a [f32], [f32; 2], &'a mut [Code], &'a mut f32);
    impl Task for Quantise<'_> {
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            let [low, scale] = self.1;
            // SAFETY: the caller's promise.
            *self.3 = unsafe { Quantiser::<S>::new().codes(self.0, low, scale, self.2) };
        }
    }
    let mut nothing = 0.0;
    run(Quantise(values, [low, scale], codes, &mut nothing));
    nothing
}

#[inline(always)]
unsafe fn extremes_of<S: Simd>(values: &[f32]) -> (f32, f32) {
    // SAFETY: whole vectors lie within the values.
    unsafe {
        // Several of each, so that no step waits for the one before.
        let mut low = [S::splat(f32::INFINITY); 4];
        let mut high = [S::splat(f32::NEG_INFINITY); 4];
        let whole = values.len() / S::LANES;
        let many = whole / 4 * 4;
        for first in (0..many).step_by(4) {
            for chain in 0..4 {
                let value = S::load(values.as_ptr().add((first + chain) * S::LANES));
                low[chain] = S::at_most(value, low[chain]);
                high[chain] = S::at_least(value, high[chain]);
            }
        }
        for at in many..whole {
            let value = S::load(values.as_ptr().add(at * S::LANES));
            low[0] = S::at_most(value, low[0]);
            high[0] = S::at_least(value, high[0]);
        }
        let low = S::at_most(S::at_most(low[0], low[1]), S::at_most(low[2], low[3]));
        let high = S::at_least(S::at_least(high[0], high[1]), S::at_least(high[2], high[3]));
        let mut found = (S::lowest(low), S::highest(high));
        for value in &values[whole * S::LANES..] {
            found = (found.0.min(*value), found.1.max(*value));
        }
        found
    }
}

/// 2^23: what is added to it is rounded to a whole number, which stands in the low bits of the sum.
pub(crate) const ROUNDER: f32 = 8_388_608.0;

struct Quantiser<S: Simd> {
    rounder: S::Floats,
    picker: S::Floats,
}

impl<S: Simd> Quantiser<S> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                rounder: S::constant(ROUNDER),
                picker: S::picker(),
            }
        }
    }

    /// Codes of values from `low` to `low + 127 scale`; gives 0, or NaN where a value is not finite.
    #[inline(always)]
    unsafe fn codes(&self, values: &[f32], low: f32, scale: f32, codes: &mut [Code]) -> f32 {
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let whole = values.len().min(codes.len()) / S::LANES * S::LANES;
        let together = 4 * S::LANES;
        let many = whole / together * together;
        // SAFETY: both have a value for every lane there.
        let mut nothing = unsafe {
            let (lowest, factor) = (S::splat(low), S::splat(inverse));
            // Rounded as the rest below is: the same codes wherever a value stands.
            let bits = |at: usize| {
                let value = S::sub(S::load(values.as_ptr().add(at)), lowest);
                S::add(S::mul(value, factor), self.rounder)
            };
            // What is not finite is in no sum of the bits.
            let mut sums = [S::splat(0.0); 2];
            for at in (0..many).step_by(together) {
                let bits = [
                    bits(at),
                    bits(at + S::LANES),
                    bits(at + 2 * S::LANES),
                    bits(at + 3 * S::LANES),
                ];
                sums[0] = S::add(sums[0], S::add(bits[0], bits[1]));
                sums[1] = S::add(sums[1], S::add(bits[2], bits[3]));
                S::store_many_codes(bits, self.picker, codes.as_mut_ptr().add(at));
            }
            for at in (many..whole).step_by(S::LANES) {
                let bits = bits(at);
                sums[0] = S::add(sums[0], bits);
                S::store_codes(bits, self.picker, codes.as_mut_ptr().add(at));
            }
            S::sum(S::add(sums[0], sums[1])) * 0.0
        };
        for (value, code) in values.iter().zip(codes).skip(whole) {
            let bits = (value - low) * inverse + ROUNDER;
            nothing += bits * 0.0;
            *code = (bits.to_bits() & CODE) as Code;
        }
        nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;
    #[test]
    fn every_way_of_multiplying_gives_the_same_sums() {
        for (inputs, outputs, rows) in [(4, 1, 1), (20, 2, 2), (24, 17, 3), (192, 96, 9)] {
            // Weights and activations of whole numbers, with the largest of each: nothing is rounded.
            let weight = |input: usize, output: usize| match output {
                0 => LARGEST,
                1 => -LARGEST,
                _ => ((input * 7 + output * 5) % 255) as f32 - 127.0,
            };
            let matrix = Matrix8::pack(inputs, outputs, weight);
            let mut codes = Codes::default();
            let mut given: Vec<f32> = numbers(rows * inputs, 1)
                .iter()
                .map(|value| (value * 30.0 + 64.0).round())
                .collect();
            // Sums that fit 16 bits just so.
            given[..inputs].fill(HIGHEST);
            for row in given.chunks_exact_mut(inputs) {
                (row[0], row[1]) = (0.0, HIGHEST);
            }
            codes.quantise_rows(&given, inputs);
            let piece = [Piece::whole(&codes.values[..], inputs)];
            let product = |run: fn(Trial<'_>)| {
                let out = std::cell::RefCell::new(vec![f32::NAN; rows * outputs]);
                run(Trial {
                    product: (&matrix, &piece, &codes.ranges),
                    out: &out,
                });
                out.into_inner()
            };
            let scales = &matrix.scales;
            let expected: Vec<f32> = given
                .chunks_exact(inputs)
                .flat_map(|row| (0..outputs).map(move |output| (row, output)))
                .map(|(row, output)| {
                    let terms = row.iter().enumerate().map(|(input, value)| {
                        let code = (weight(input, output) / scales[output]).round_ties_even();
                        f64::from(*value) * f64::from(code)
                    });
                    (terms.sum::<f64>() * f64::from(scales[output])) as f32
                })
                .collect();
            let integers = product(|trial| run_integers(trial));
            assert_eq!(product(|trial| run(trial)), integers);
            for (value, expected) in integers.iter().zip(&expected) {
                let off = (value - expected).abs();
                assert!(
                    off <= 1e-5 * expected.abs().max(1.0),
                    "{value}, not {expected}"
                );
            }
        }
    }
}
