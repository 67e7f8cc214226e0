//! Rows of a table, by their numbers.

use crate::codes::largest;
use crate::linear::Precision;

/// A table of rows.
#[derive(Clone, Debug)]
pub struct Embedding {
    width: usize,
    table: Table,
}

#[derive(Clone, Debug)]
enum Table {
    Float(Vec<f32>),
    /// Bytes, and the scale of each row.
    Integer(Vec<i8>, Vec<f32>),
}

impl Embedding {
    /// `values`: rows of `width`.
    ///
    /// # Panics
    /// Where `values` is not whole rows.
    pub fn new(values: &[f32], width: usize, precision: Precision) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "{width}");
        let table = match precision {
            Precision::F32 => Table::Float(values.to_vec()),
            Precision::Int8 => {
                let mut codes = vec![0; values.len()];
                let mut scales = vec![0.0; values.len() / width];
                let rows = values
                    .chunks_exact(width)
                    .zip(codes.chunks_exact_mut(width));
                for ((row, codes), scale) in rows.zip(&mut scales) {
                    *scale = largest(row) / 127.0;
                    let inverse = if *scale > 0.0 { 1.0 / *scale } else { 0.0 };
                    for (value, code) in row.iter().zip(codes) {
                        *code = (value * inverse).round_ties_even() as i8;
                    }
                }
                Table::Integer(codes, scales)
            }
        };
        Self { width, table }
    }

    /// Row `index` into `out`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn read(&self, index: usize, out: &mut [f32]) {
        let place = index * self.width..(index + 1) * self.width;
        match &self.table {
            Table::Float(values) => out.copy_from_slice(&values[place]),
            Table::Integer(codes, scales) => {
                for (out, code) in out.iter_mut().zip(&codes[place]) {
                    *out = f32::from(*code) * scales[index];
                }
            }
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        match &self.table {
            Table::Float(values) => size_of_val(&values[..]),
            Table::Integer(codes, scales) => codes.len() + size_of_val(&scales[..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn rows_come_back_in_either_form() {
        let values = numbers(5 * 12, 1);
        for (precision, tolerance) in [(Precision::F32, 0.0), (Precision::Int8, 1.0 / 250.0)] {
            let table = Embedding::new(&values, 12, precision);
            let mut row = vec![0.0; 12];
            for (index, expected) in values.chunks(12).enumerate() {
                table.read(index, &mut row);
                let expected: Vec<f64> = expected.iter().map(|value| f64::from(*value)).collect();
                assert_close(&row, &expected, 2.0 * tolerance);
            }
        }
    }
}
