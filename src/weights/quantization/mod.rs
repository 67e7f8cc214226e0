//! Storing parameters in fewer bits.
//!
//! 8-bit weights are symmetric: `value = scale * q` with `q` in -127..=127 and one scale for every
//! output channel (every word, for an embedding). The scale tensor keeps the rank of the weight,
//! with length 1 along the axes that share it, so `q * scale` broadcasts back without a side table.
//!
//! 4 bits are for the matrices that make up most of a model, linear layers and the vocabulary's
//! embedding, with many more scales (see [`four_bit`]); the rest is then stored in 8 bits.

pub mod four_bit;

use burn::tensor::{DType, TensorData};
use serde::{Deserialize, Serialize};

/// How parameters are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// As trained.
    F32,
    /// Half precision.
    F16,
    /// 8 bits for matrices and convolutions, f32 for the rest (biases, norms, bias tables).
    Q8,
    /// 4 bits for linear layers and the vocabulary, 8 bits for other matrices and convolutions, f32
    /// for the rest.
    Q4,
}

impl Quantization {
    /// Its name in manifests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }
}

/// Matrices below this many values stay in f32: they cost nothing and can matter a lot.
const SMALLEST_QUANTIZED: usize = 1024;

/// The axis whose entries each get a scale, or `None` where a parameter stays in f32.
///
/// `path` is the parameter's path in the network. Burn's linear layers are `[input, output]`,
/// convolutions `[output, input, height, width]`, embeddings `[words, hidden]`.
pub fn scale_axis(path: &str, shape: &[usize]) -> Option<usize> {
    let values: usize = shape.iter().product();
    if values < SMALLEST_QUANTIZED || path.ends_with("relative_position_bias_table") {
        return None;
    }
    match shape.len() {
        2 if path.contains("embeddings") => Some(0),
        2 => Some(1),
        4 => Some(0),
        _ => None,
    }
}

/// The axis along which 4-bit values are grouped, or `None` where a parameter gets more bits.
///
/// That is the input of a linear layer, and the width of a word. Position embeddings keep 8 bits:
/// every expression uses the same few rows, and they are small.
pub fn group_axis(path: &str, shape: &[usize]) -> Option<usize> {
    scale_axis(path, shape)?;
    match shape {
        [_, columns] if columns % 2 != 0 => None,
        [_, _] if path.contains("word_embeddings") => Some(1),
        [_, _] if path.contains("embeddings") => None,
        [_, _] => Some(0),
        _ => None,
    }
}

/// 8-bit values and their scales.
#[derive(Debug, PartialEq)]
pub struct Quantized {
    /// In the order of the input.
    pub values: Vec<i8>,
    /// One for every entry of the scale axis.
    pub scales: Vec<f32>,
}

/// Quantises `values` of `shape` with one scale for every entry along `axis`.
pub fn quantize(values: &[f32], shape: &[usize], axis: usize) -> Quantized {
    let channels = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let channel_of = |index: usize| (index / inner) % channels;
    let mut largest = vec![0.0f32; channels];
    for (index, value) in values.iter().enumerate() {
        let entry = &mut largest[channel_of(index)];
        *entry = entry.max(value.abs());
    }
    let scales: Vec<f32> = largest
        .iter()
        .map(|largest| if *largest > 0.0 { largest / 127.0 } else { 1.0 })
        .collect();
    let values = values
        .iter()
        .enumerate()
        .map(|(index, value)| (value / scales[channel_of(index)]).round() as i8)
        .collect();
    Quantized { values, scales }
}

/// The inverse of [`quantize`], up to half a scale per value.
pub fn dequantize(values: &[i8], scales: &[f32], shape: &[usize], axis: usize) -> Vec<f32> {
    let inner: usize = shape[axis + 1..].iter().product();
    let mut output = Vec::with_capacity(values.len());
    if inner == 1 {
        // The last axis carries the scales: a row at a time.
        for row in values.chunks(scales.len().max(1)) {
            output.extend(
                row.iter()
                    .zip(scales)
                    .map(|(q, scale)| f32::from(*q) * scale),
            );
        }
    } else {
        for (block, scale) in values.chunks(inner).zip(scales.iter().cycle()) {
            output.extend(block.iter().map(|q| f32::from(*q) * scale));
        }
    }
    output
}

/// f32 data in half precision.
pub fn to_f16(data: TensorData) -> TensorData {
    data.convert_dtype(DType::F16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_within_half_a_scale() {
        for (shape, axis) in [(vec![40, 30], 1), (vec![40, 30], 0), (vec![8, 5, 3, 3], 0)] {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count)
                .map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0)
                .collect();
            let quantized = quantize(&values, &shape, axis);
            let back = dequantize(&quantized.values, &quantized.scales, &shape, axis);
            let inner: usize = shape[axis + 1..].iter().product();
            for (index, (value, back)) in values.iter().zip(&back).enumerate() {
                let scale = quantized.scales[(index / inner) % shape[axis]];
                assert!((value - back).abs() <= scale * 0.5001, "{value} {back}");
            }
        }
    }

    #[test]
    fn a_channel_of_zeros_stays_zero() {
        let quantized = quantize(&[0.0, 1.0, 0.0, -2.0], &[2, 2], 1);
        assert_eq!(
            dequantize(&quantized.values, &quantized.scales, &[2, 2], 1),
            [0.0, 1.0 / 2.0 * 2.0 * (64.0 / 63.5), 0.0, -2.0]
        );
    }

    #[test]
    fn biases_norms_and_bias_tables_stay_exact() {
        assert_eq!(
            scale_axis("decoder.levels.0.conv1.weight", &[64, 576, 3, 3]),
            Some(0)
        );
        assert_eq!(
            scale_axis("swin.stages.0.blocks.0.mlp.fc1.weight", &[48, 192]),
            Some(1)
        );
        assert_eq!(scale_axis("word_embeddings.weight", &[30522, 384]), Some(0));
        assert_eq!(scale_axis("embedding_norm.gamma", &[384]), None);
        assert_eq!(
            scale_axis("x.relative_position_bias_table", &[529, 32]),
            None
        );
    }

    #[test]
    fn four_bits_are_for_linear_layers_and_the_vocabulary() {
        for (path, shape, axis) in [
            (
                "swin.stages.0.blocks.0.mlp.fc1.weight",
                &[48, 192][..],
                Some(0),
            ),
            ("word_embeddings.weight", &[30522, 384], Some(1)),
            ("position_embeddings.weight", &[512, 384], None),
            ("decoder.levels.0.conv1.weight", &[64, 576, 3, 3], None),
            ("odd.weight", &[400, 33], None),
            ("small.weight", &[10, 10], None),
            ("x.relative_position_bias_table", &[529, 32], None),
        ] {
            assert_eq!(group_axis(path, shape), axis, "{path}");
        }
    }
}
