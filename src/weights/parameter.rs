//! A parameter as a shard stores it, and its way back to f32.

use std::ops::Range;

use burn::tensor::{DType, Element, TensorData};
use burn_store::bridge;
use burn_store::burn_pack::{Error as PackError, Tensor as PackTensor};

use super::quantization::{dequantize, four_bit, group_axis};

/// A parameter that has not been read yet.
#[derive(Debug)]
pub(super) struct Parameter {
    values: PackTensor,
    scale: Option<PackTensor>,
    /// What it has in f32.
    shape: Vec<usize>,
    form: Form,
}

/// How it is stored.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// As it comes out.
    Plain,
    Half,
    /// 8 bits, with a scale for every entry of this axis.
    Eight(usize),
    /// 4 bits, in groups along this axis.
    Four(usize),
}

/// Rows that are read at a time: whole groups along either axis.
const ROWS: usize = 32 * four_bit::GROUP;

impl Parameter {
    /// What is stored with or without scales; else what is wrong with them.
    pub(super) fn new(values: PackTensor, scale: Option<PackTensor>) -> Result<Self, String> {
        let stored = values.shape.to_vec();
        let (shape, form) = match (values.dtype, &scale) {
            (DType::F32, None) => (stored, Form::Plain),
            (DType::F16, None) => (stored, Form::Half),
            (DType::I8, Some(scale)) => {
                let found = scale.shape.to_vec();
                let axis = found.iter().position(|length| *length != 1).unwrap_or(0);
                let mut expected = vec![1; stored.len()];
                if let (Some(entry), Some(length)) = (expected.get_mut(axis), stored.get(axis)) {
                    *entry = *length;
                }
                if scale.dtype != DType::F32 || expected != found {
                    return Err(format!(
                        "{:?} scales of shape {found:?} do not fit values of shape {stored:?}",
                        scale.dtype
                    ));
                }
                (stored, Form::Eight(axis))
            }
            (DType::U8, Some(scale)) => {
                let &[rows, half_columns] = &stored[..] else {
                    return Err(format!("4-bit values of shape {stored:?}"));
                };
                let shape = [rows, half_columns * 2];
                let found = scale.shape.to_vec();
                let axis = group_axis(&values.name, &shape)
                    .filter(|axis| four_bit::scale_shape(shape, *axis)[..] == found[..])
                    .filter(|_| scale.dtype == DType::F16)
                    .ok_or_else(|| {
                        format!(
                            "{:?} scales of shape {found:?} do not fit 4-bit values of shape {shape:?}",
                            scale.dtype
                        )
                    })?;
                (shape.to_vec(), Form::Four(axis))
            }
            (dtype, scale) => {
                let with = if scale.is_some() { "with" } else { "without" };
                return Err(format!("values of type {dtype:?} {with} scales"));
            }
        };
        Ok(Self {
            values,
            scale,
            shape,
            form,
        })
    }

    /// One that needs nothing done.
    pub(super) fn plain(values: PackTensor) -> Self {
        Self {
            shape: values.shape.to_vec(),
            values,
            scale: None,
            form: Form::Plain,
        }
    }

    /// Its path in the network.
    pub(super) fn name(&self) -> &str {
        &self.values.name
    }

    /// Its shape in f32.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// In f32, computed when somebody asks for it: a network takes one after the other, and all of them
    /// at once would need the memory of a second one.
    pub(super) fn in_f32(self) -> PackTensor {
        if let Form::Plain = self.form {
            return self.values;
        }
        let (name, shape) = (self.name().to_owned(), self.shape.clone());
        bridge::deferred(name, DType::F32, shape.clone().into(), None, move || {
            let rows = self.shape.first().copied().unwrap_or(0);
            let values = self.read()?.part(0..rows)?;
            Ok(TensorData::new(values, shape.clone()))
        })
    }

    /// In f32, some of its rows at a time.
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = Vec<f32>>, PackError> {
        let read = self.read()?;
        // Fails for all parts or for none.
        read.part(0..0)?;
        let count = self.shape.first().copied().unwrap_or(0);
        Ok((0..count)
            .step_by(ROWS)
            .map_while(move |first| read.part(first..count.min(first + ROWS)).ok()))
    }

    fn read(&self) -> Result<Read<'_>, PackError> {
        Ok(Read {
            parameter: self,
            values: bridge::to_data(&self.values)?,
            scale: self.scale.as_ref().map(bridge::to_data).transpose()?,
        })
    }
}

/// A parameter with its bytes.
struct Read<'a> {
    parameter: &'a Parameter,
    values: TensorData,
    scale: Option<TensorData>,
}

impl Read<'_> {
    /// Some of the rows, from a whole group on.
    fn part(&self, rows: Range<usize>) -> Result<Vec<f32>, PackError> {
        let Parameter { shape, form, .. } = self.parameter;
        let size: usize = shape.iter().skip(1).product();
        let place = rows.start * size..rows.end * size;
        Ok(match *form {
            Form::Plain => slice::<f32>(&self.values)?[place].to_vec(),
            Form::Half => slice::<half::f16>(&self.values)?[place]
                .iter()
                .map(|value| value.to_f32())
                .collect(),
            Form::Eight(axis) => {
                let scales = self.scales::<f32>()?;
                let scales = if axis == 0 {
                    &scales[rows.clone()]
                } else {
                    scales
                };
                let mut shape = shape.clone();
                shape[0] = rows.len();
                dequantize(&slice::<i8>(&self.values)?[place], scales, &shape, axis)
            }
            Form::Four(axis) => {
                let codes = &slice::<u8>(&self.values)?[place.start / 2..place.end / 2];
                let shape = [rows.len(), size];
                let [_, columns] = four_bit::scale_shape(shape, axis);
                let first = if axis == 0 {
                    rows.start / four_bit::GROUP
                } else {
                    rows.start
                };
                let scales = &self.scales::<half::f16>()?[first * columns..];
                four_bit::dequantize(codes, scales, shape, axis)
            }
        })
    }

    fn scales<T: Element>(&self) -> Result<&[T], PackError> {
        self.scale.as_ref().map_or(Ok(&[]), slice)
    }
}

fn slice<T: Element>(data: &TensorData) -> Result<&[T], PackError> {
    data.as_slice::<T>()
        .map_err(|error| PackError::ValidationError(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::super::quantization::Quantization;
    use super::super::shard::{Shard, pack, unpack};
    use super::*;
    use crate::network::cpu::Source;

    /// More rows than are read at a time, and not whole groups of them.
    const SHAPE: [usize; 2] = [2 * ROWS + 40, 48];

    fn packed(path: &str, quantization: Quantization) -> Vec<u8> {
        let values: Vec<f32> = (0..SHAPE[0] * SHAPE[1])
            .map(|at| ((at * 7919) % 2003) as f32 / 500.0 - 2.0)
            .collect();
        let table = TensorData::new(values, SHAPE);
        pack(vec![(path.to_owned(), table)], quantization).expect("packs")
    }

    #[test]
    fn rows_are_the_whole_table_in_every_form() {
        for quantization in [
            Quantization::F32,
            Quantization::F16,
            Quantization::Q8,
            Quantization::Q4,
        ] {
            for path in ["word_embeddings.weight", "layers.0.query.weight"] {
                let content = packed(path, quantization);
                let whole = unpack(content.clone(), "a shard").expect("opens").remove(0);
                let whole = bridge::into_data(whole.in_f32()).expect("reads");
                let whole = whole.try_to_vec::<f32>().expect("f32");
                let mut shard = Shard::open(content, "a shard").expect("opens");
                let (mut rows, mut parts) = (Vec::new(), 0);
                let taken = shard.rows(path, SHAPE, |part| {
                    rows.extend_from_slice(part);
                    parts += 1;
                });
                assert!(taken && parts == 3);
                assert_eq!(rows, whole, "{path} {quantization:?}");
                shard.finish().expect("everything is taken");
            }
        }
    }

    #[test]
    fn a_table_of_another_shape_is_left_where_it_is() {
        let path = "word_embeddings.weight";
        let mut shard = Shard::open(packed(path, Quantization::Q8), "a shard").expect("opens");
        let none = |_: &[f32]| panic!("a row");
        assert!(!shard.rows(path, [SHAPE[0], 47], none));
        assert!(!shard.rows("other.weight", SHAPE, none));
        let error = shard.finish().expect_err("it is still there").to_string();
        assert!(error.contains(path), "{error}");
    }
}
