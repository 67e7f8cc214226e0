//! Rows of a table, by their numbers.

use crate::codes::{largest, quantise_around_zero};
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
    /// A table without rows, with room for so many of `width` values.
    ///
    /// # Panics
    /// Where `width` is 0.
    pub fn new([rows, width]: [usize; 2], precision: Precision) -> Self {
        assert!(width > 0, "rows of no values");
        let size = rows * width;
        let table = match precision {
            Precision::F32 => Table::Float(Vec::with_capacity(size)),
            Precision::Int8 => Table::Integer(Vec::with_capacity(size), Vec::with_capacity(rows)),
        };
        Self { width, table }
    }

    /// Adds rows, one after the other in `values`.
    ///
    /// # Panics
    /// Where `values` is not whole rows.
    pub fn add(&mut self, values: &[f32]) {
        let width = self.width;
        assert!(values.len().is_multiple_of(width), "not rows of {width}");
        match &mut self.table {
            Table::Float(table) => table.extend_from_slice(values),
            Table::Integer(table, scales) => {
                let before = table.len();
                table.resize(before + values.len(), 0);
                let codes = table[before..].chunks_exact_mut(width);
                for (row, codes) in values.chunks_exact(width).zip(codes) {
                    let scale = largest(row) / 127.0;
                    quantise_around_zero(row, scale, codes);
                    scales.push(scale);
                }
            }
        }
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
            let mut table = Embedding::new([5, 12], precision);
            table.add(&values[..24]);
            table.add(&values[24..]);
            let mut row = vec![0.0; 12];
            for (index, expected) in values.chunks(12).enumerate() {
                table.read(index, &mut row);
                let expected: Vec<f64> = expected.iter().map(|value| f64::from(*value)).collect();
                assert_close(&row, &expected, 2.0 * tolerance);
            }
        }
    }
}
