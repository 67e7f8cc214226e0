//! Activations in seven bits: rows or maps quantised where products need them.

use crate::simd::{CODE, Code, Simd, Task, run};
use crate::team::reserve;

/// Largest code of an activation.
pub(crate) const HIGHEST: f32 = CODE as f32;

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

/// Codes of values as multiples of `scale`, on both sides of 0; all 0 where `scale` is.
pub(crate) fn quantise_around_zero(values: &[f32], scale: f32, codes: &mut [i8]) {
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (value, code) in values.iter().zip(codes) {
        // Rounded as vectors round.
        *code = (value * inverse).round_ties_even() as i8;
    }
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
