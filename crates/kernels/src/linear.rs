//! Linear layers with what comes before and after them, a block of rows at a time, so that what is
//! between stays in the cache.

use crate::codes::Codes;
use crate::gelu::gelu_for_codes;
use crate::matrix8::Matrix8;
use crate::product::{HEIGHT, Matrix, Piece, Write};
use crate::team::{Team, reserve};
use crate::{LayerNorm, gelu};

/// How weights are kept, and with what they are multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Weights and activations in 32 bits.
    #[default]
    F32,
    /// Weights in 7 bits with a scale for every output, activations in 7 bits with a range for every row.
    Int8,
}

/// Weights in either form.
#[derive(Clone, Debug)]
pub(crate) enum Weights {
    Float(Matrix),
    Integer(Matrix8),
}

impl Weights {
    /// As [`Matrix::pack`]; in f32 where the integers cannot take so many inputs.
    pub(crate) fn pack(
        precision: Precision,
        inputs: usize,
        outputs: usize,
        value: impl Fn(usize, usize) -> f32,
    ) -> Self {
        match precision {
            Precision::Int8 if Matrix8::takes(inputs) => {
                Self::Integer(Matrix8::pack(inputs, outputs, value))
            }
            _ => Self::Float(Matrix::pack(inputs, outputs, value)),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Float(matrix) => matrix.bytes(),
            Self::Integer(matrix) => matrix.bytes(),
        }
    }
}

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Linear {
    weights: Weights,
    /// Empty for none.
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

/// What is done with a layer's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// They replace what is there.
    Store,
    /// They are added to what is there: the residual connection.
    Add,
    /// Their GELU is stored: the exact one in f32, and within 6e-4 of it where products are of integers.
    Gelu,
    /// The positive ones are stored, 0 for the others.
    Relu,
    /// The same, and 6 for those above.
    Relu6,
}

/// Who computes layers, and memory for what is between; kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) team: Team,
    /// One for each thread.
    pub(crate) blocks: Vec<Block>,
}

/// What a thread needs for a block of rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) normed: Vec<f32>,
    pub(crate) codes: Codes,
    pub(crate) hidden: Vec<f32>,
    /// Lines of a depthwise convolution.
    pub(crate) lines: Vec<f32>,
}

impl Scratch {
    /// For work that `team` shares.
    pub fn new(team: Team) -> Self {
        Self {
            team,
            blocks: Vec::new(),
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum()
    }
}

impl Block {
    fn bytes(&self) -> usize {
        let buffers = [&self.normed, &self.hidden, &self.lines];
        let floats: usize = buffers.map(Vec::capacity).iter().sum();
        floats * size_of::<f32>() + self.codes.bytes()
    }

    /// Makes room for a layer.
    pub(crate) fn fit(&mut self, layer: &Linear, norm: bool) {
        if norm {
            reserve(&mut self.normed, HEIGHT * layer.inputs);
        }
        if let Weights::Integer(_) = layer.weights {
            self.codes.reserve(HEIGHT, layer.inputs);
        }
    }
}

impl Linear {
    /// `weights`: `[inputs, outputs]`, row by row; `bias`: one value an output.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn new(
        weights: &[f32],
        [inputs, outputs]: [usize; 2],
        bias: Option<&[f32]>,
        precision: Precision,
    ) -> Self {
        assert_eq!(weights.len(), inputs * outputs, "weights");
        let bias = bias.map(<[f32]>::to_vec).unwrap_or_default();
        assert!(bias.is_empty() || bias.len() == outputs, "bias");
        let value = |input: usize, output: usize| weights[input * outputs + output];
        Self {
            weights: Weights::pack(precision, inputs, outputs, value),
            bias,
            inputs,
            outputs,
        }
    }

    /// Values of a row that comes in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values of a row that goes out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The bias; empty where there is none.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        self.weights.bytes() + size_of_val(&self.bias[..])
    }

    /// The layer on rows, normalised before where there is a `norm`.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn forward(
        &self,
        rows: &[f32],
        norm: Option<&LayerNorm>,
        then: Then,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let count = rows.len() / self.inputs;
        assert!(
            rows.len() == count * self.inputs && out.len() == count * self.outputs,
            "{} values in, {} values out of a layer of {} x {}",
            rows.len(),
            out.len(),
            self.inputs,
            self.outputs
        );
        let Scratch { team, blocks } = scratch;
        team.prepare(blocks, |block| block.fit(self, norm.is_some()));
        let length = HEIGHT * self.outputs;
        team.share_parts(blocks, out, length, |block, index, out| {
            let count = out.len() / self.outputs;
            let rows = &rows[index * HEIGHT * self.inputs..][..count * self.inputs];
            let Block { normed, codes, .. } = block;
            self.block(rows, norm, then, out, (normed, codes));
        });
    }

    /// The layer on up to [`HEIGHT`] rows.
    pub(crate) fn block(
        &self,
        rows: &[f32],
        norm: Option<&LayerNorm>,
        then: Then,
        out: &mut [f32],
        (normed, codes): (&mut Vec<f32>, &mut Codes),
    ) {
        let rows = match norm {
            None => rows,
            Some(norm) => {
                normed.resize(rows.len().max(normed.len()), 0.0);
                let normed = &mut normed[..rows.len()];
                norm.forward(rows, normed);
                normed
            }
        };
        let write = match then {
            Then::Add => Write::Add,
            Then::Store | Then::Gelu => Write::Set,
            Then::Relu => Write::Relu,
            Then::Relu6 => Write::Relu6,
        };
        let count = rows.len() / self.inputs;
        match &self.weights {
            Weights::Float(matrix) => {
                let piece = Piece::whole(rows, self.inputs);
                matrix.product(&[piece], count, &self.bias, write, out, self.outputs);
            }
            Weights::Integer(matrix) => {
                codes.quantise_rows(rows, self.inputs);
                let piece = Piece::whole(&codes.values, self.inputs);
                let left = (&[piece][..], &codes.ranges[..]);
                matrix.product(left, count, &self.bias, write, out, self.outputs);
            }
        }
        if then == Then::Gelu {
            match &self.weights {
                Weights::Float(_) => gelu(out),
                Weights::Integer(_) => gelu_for_codes(out),
            }
        }
    }
}

/// 0 in the place of what is below.
pub fn relu(values: &mut [f32]) {
    for value in values {
        // A NaN stays one.
        *value = if *value < 0.0 { 0.0 } else { *value };
    }
}

/// Adds to the rows what two layers with a GELU between make of them, normalised before: the second half
/// of a transformer block.
///
/// # Panics
/// Where the lengths do not fit.
pub fn mlp(
    rows: &mut [f32],
    norm: Option<&LayerNorm>,
    layers: [&Linear; 2],
    scratch: &mut Scratch,
) {
    let [first, second] = layers;
    assert!(
        rows.len().is_multiple_of(first.inputs)
            && first.outputs == second.inputs
            && second.outputs == first.inputs,
        "{} values in, layers of {} x {} and {} x {}",
        rows.len(),
        first.inputs,
        first.outputs,
        second.inputs,
        second.outputs
    );
    let Scratch { team, blocks } = scratch;
    team.prepare(blocks, |block| {
        block.fit(first, norm.is_some());
        block.fit(second, false);
        reserve(&mut block.hidden, HEIGHT * first.outputs);
    });
    let length = HEIGHT * first.inputs;
    team.share_parts(blocks, rows, length, |block, _, rows| {
        let Block {
            normed,
            codes,
            hidden,
            ..
        } = block;
        let size = rows.len() / first.inputs * first.outputs;
        hidden.resize(size.max(hidden.len()), 0.0);
        let hidden = &mut hidden[..size];
        first.block(rows, norm, Then::Gelu, hidden, (normed, codes));
        second.block(hidden, None, Then::Add, rows, (normed, codes));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

    fn product(rows: &[f32], weights: &[f32], bias: &[f32], inputs: usize) -> Vec<f64> {
        let outputs = bias.len();
        let sum = |row: &[f32], output: usize| {
            let terms = row.iter().enumerate();
            f64::from(bias[output])
                + terms
                    .map(|(input, x)| f64::from(*x) * f64::from(weights[input * outputs + output]))
                    .sum::<f64>()
        };
        rows.chunks(inputs)
            .flat_map(|row| (0..outputs).map(move |output| sum(row, output)))
            .collect()
    }

    #[test]
    fn f32_is_the_definition_and_eight_bits_are_close() {
        for [rows, inputs, outputs] in [
            [1, 4, 1],
            [3, 12, 2],
            [70, 48, 144],
            [65, 300, 20],
            [5, 7, 33],
        ] {
            let x = numbers(rows * inputs, 1);
            let weights = numbers(inputs * outputs, 2);
            let bias = numbers(outputs, 3);
            let expected = product(&x, &weights, &bias, inputs);
            let precisions = [(Precision::F32, 1e-5), (Precision::Int8, 0.04)];
            for (team, (precision, tolerance)) in teams()
                .iter()
                .flat_map(|team| precisions.map(|precision| (team, precision)))
            {
                let shape = [inputs, outputs];
                let layer = Linear::new(&weights, shape, Some(&bias), precision);
                let mut scratch = Scratch::new(team.clone());
                let mut out = vec![f32::NAN; rows * outputs];
                layer.forward(&x, None, Then::Store, &mut out, &mut scratch);
                assert_close(&out, &expected, tolerance);
                let stored = out.clone();
                layer.forward(&x, None, Then::Add, &mut out, &mut scratch);
                let twice: Vec<f64> = stored.iter().map(|x| 2.0 * f64::from(*x)).collect();
                assert_close(&out, &twice, 1e-6);
                layer.forward(&x, None, Then::Relu, &mut out, &mut scratch);
                let positive: Vec<f64> = stored.iter().map(|x| f64::from(x.max(0.0))).collect();
                assert_close(&out, &positive, 1e-6);
                layer.forward(&x, None, Then::Relu6, &mut out, &mut scratch);
                let cut: Vec<f64> = positive.iter().map(|x| x.min(6.0)).collect();
                assert_close(&out, &cut, 1e-6);
                layer.forward(&x, None, Then::Gelu, &mut out, &mut scratch);
                let mut curved = stored.clone();
                gelu(&mut curved);
                match layer.weights {
                    Weights::Float(_) => assert_eq!(out, curved),
                    Weights::Integer(_) => {
                        let curved: Vec<f64> = curved.iter().map(|x| f64::from(*x)).collect();
                        assert_close(&out, &curved, 6e-4);
                    }
                }
            }
        }
    }

    #[test]
    fn a_block_is_its_layers_one_after_the_other() {
        let (rows, channels, hidden) = (100, 16, 40);
        let layer = |inputs: usize, outputs: usize, seed: u32| {
            let weights = numbers(inputs * outputs, seed);
            let bias = numbers(outputs, seed + 1);
            Linear::new(&weights, [inputs, outputs], Some(&bias), Precision::F32)
        };
        let layers = [&layer(channels, hidden, 1), &layer(hidden, channels, 3)];
        let norm = LayerNorm {
            gamma: numbers(channels, 5),
            beta: numbers(channels, 6),
            epsilon: 1e-5,
        };
        let x = numbers(rows * channels, 7);
        let mut scratch = Scratch::default();
        let mut normed = vec![0.0; x.len()];
        norm.forward(&x, &mut normed);
        let mut between = vec![0.0; rows * hidden];
        layers[0].forward(&normed, None, Then::Gelu, &mut between, &mut scratch);
        let mut out = vec![0.0; x.len()];
        layers[1].forward(&between, None, Then::Store, &mut out, &mut scratch);
        let expected: Vec<f64> = x
            .iter()
            .zip(&out)
            .map(|(x, out)| f64::from(x + out))
            .collect();
        for team in teams() {
            let mut values = x.clone();
            mlp(&mut values, Some(&norm), layers, &mut Scratch::new(team));
            assert_close(&values, &expected, 1e-5);
        }
    }
}
