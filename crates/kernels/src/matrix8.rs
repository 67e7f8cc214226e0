//! Weights in seven bits, packed for products: see [`crate::product8`].

use crate::codes::{largest, quantise_around_zero};
use crate::product::panel_width;
use crate::simd::{GROUP, Weight};
use crate::tall::excess;
use crate::team::reserve;

/// Largest magnitude of a weight's code.
pub(crate) const LARGEST: f32 = 63.0;

/// A packed right side of integers, `inputs x outputs`.
#[derive(Clone, Debug, Default)]
pub struct Matrix8 {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) panels: Vec<Weight>,
    /// Whether sums of eight products fit 16 bits.
    pub(crate) light: bool,
    /// For every output, zeros beyond the last: its scale, and its weights' sum times the scale.
    pub(crate) scales: Vec<f32>,
    pub(crate) sums: Vec<f32>,
}

/// How many inputs [`Matrix8::pack_rows`] makes of so many.
pub(crate) fn padded_inputs(inputs: usize) -> usize {
    inputs.next_multiple_of(4)
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

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.panels[..]) + 2 * size_of_val(&self.scales[..])
    }
}

/// Codes of an output's weights, and their scale. `pairs`: as in [`excess`].
fn quantise_weights(values: &[f32], codes: &mut [i8], pairs: &mut Vec<i16>) -> f32 {
    let mut scale = largest(values) / LARGEST;
    loop {
        quantise_around_zero(values, scale, codes);
        let excess = excess(codes, pairs);
        if excess <= 1.0 {
            return scale;
        }
        // Codes are rounded, so that it may take more than it says.
        scale *= excess.max(1.01);
    }
}
