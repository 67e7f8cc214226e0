//! What each operation costs under each counting.
//!
//! | operation | MACs | FLOPs, [`Counting::Paper`] | FLOPs, [`Counting::Actual`] |
//! |---|---|---|---|
//! | linear layer | positions x input x output | 2 x MACs | 2 x MACs, 1 an output for the bias |
//! | convolution | the same, times the kernel | 2 x MACs, 1 an output for the bias | the same |
//! | `torch.matmul` (pixel-word attention) | rows x inner x columns | 2 x MACs | 2 x MACs |
//! | `@` (all other attention) | rows x inner x columns | not counted, MACs neither | 2 x MACs |
//! | layer normalisation | | 5 an element | 5 an element |
//! | instance normalisation without affine | | 4 an element | 4 an element |
//! | batch normalisation, evaluation | | 2 an element | 2 an element |
//! | ReLU, GELU, softmax as modules, `torch.mul` | | 1 an element | 1 an element |
//! | `+`, `*`, tanh, softmax as a method | | not counted | 1 an element |
//! | bilinear upsampling | | 1 a pixel, whatever the channels | 7 an element |
//!
//! The upsampling from the decoder's logits to the image's size is in neither: with it, the first
//! counting would be 230,400 FLOPs above the published code's, which it meets to the last digit
//! without.

use super::{Block, Cost, Count, Counting};

/// Adds up operations, block by block.
pub(super) struct Ledger {
    counting: Counting,
    blocks: Vec<Block>,
}

impl Ledger {
    pub(super) fn new(counting: Counting) -> Self {
        Self {
            counting,
            blocks: Vec::new(),
        }
    }

    pub(super) fn counting(&self) -> Counting {
        self.counting
    }

    pub(super) fn close(self) -> Count {
        Count::of(self.blocks)
    }

    /// What comes next belongs to this block.
    pub(super) fn block(&mut self, name: impl Into<String>) {
        self.blocks.push(Block {
            name: name.into(),
            cost: Cost::default(),
        });
    }

    /// Numbers that are learned, apart from those of the layers below.
    pub(super) fn parameters(&mut self, count: usize) {
        self.add(count, 0, 0);
    }

    /// The parameters of a linear layer that never runs.
    pub(super) fn idle_linear(&mut self, input: usize, output: usize, bias: bool) {
        self.add(input * output + if bias { output } else { 0 }, 0, 0);
    }

    /// `[positions, input]` to `[positions, output]`.
    pub(super) fn linear(&mut self, positions: usize, input: usize, output: usize, bias: bool) {
        let macs = positions * input * output;
        let bias_flops = match self.counting {
            Counting::Actual if bias => positions * output,
            _ => 0,
        };
        self.idle_linear(input, output, bias);
        self.add(0, macs, 2 * macs + bias_flops);
    }

    /// `kernel`: taps of the kernel; `positions`: of the output.
    pub(super) fn convolution(
        &mut self,
        positions: usize,
        input: usize,
        output: usize,
        kernel: usize,
        bias: bool,
    ) {
        let macs = positions * input * output * kernel;
        let (biases, bias_flops) = if bias {
            (output, positions * output)
        } else {
            (0, 0)
        };
        self.add(
            input * output * kernel + biases,
            macs,
            2 * macs + bias_flops,
        );
    }

    /// `[rows, inner]` times `[inner, columns]`, as `torch.matmul`.
    pub(super) fn matmul(&mut self, rows: usize, inner: usize, columns: usize) {
        let macs = rows * inner * columns;
        self.add(0, macs, 2 * macs);
    }

    /// Self- or cross-attention of `queries` to `keys` in groups of their own (windows): scaling,
    /// scores, softmax and the weighted sum.
    ///
    /// `channels`: of all heads together; `module_softmax`: whether the public code's softmax is a
    /// module, which the profiler sees.
    pub(super) fn attention(
        &mut self,
        queries: usize,
        keys: usize,
        channels: usize,
        heads: usize,
        module_softmax: bool,
    ) {
        match self.counting {
            Counting::Actual => {
                self.elements(queries * channels);
                self.matmul(queries, channels, keys);
                self.elements(queries * keys * heads);
                self.matmul(queries, keys, channels);
            }
            Counting::Paper if module_softmax => self.elements(queries * keys * heads),
            Counting::Paper => {}
        }
    }

    pub(super) fn layer_norm(&mut self, positions: usize, channels: usize) {
        self.add(2 * channels, 0, 5 * positions * channels);
    }

    pub(super) fn instance_norm(&mut self, positions: usize, channels: usize) {
        self.add(0, 0, 4 * positions * channels);
    }

    pub(super) fn batch_norm(&mut self, positions: usize, channels: usize) {
        self.add(2 * channels, 0, 2 * positions * channels);
    }

    /// ReLU, GELU, softmax or `torch.mul`: 1 an element.
    pub(super) fn elements(&mut self, count: usize) {
        self.add(0, 0, count);
    }

    /// `+`, `*` and what else the profiler does not see: 1 an element.
    pub(super) fn unseen(&mut self, count: usize) {
        if self.counting == Counting::Actual {
            self.elements(count);
        }
    }

    /// Bilinear, to `pixels` of `channels`: four products and three sums an element.
    pub(super) fn upsample(&mut self, pixels: usize, channels: usize) {
        match self.counting {
            Counting::Paper => self.elements(pixels),
            Counting::Actual => self.elements(7 * pixels * channels),
        }
    }

    fn add(&mut self, parameters: usize, macs: usize, flops: usize) {
        if self.blocks.is_empty() {
            self.block("network");
        }
        if let Some(block) = self.blocks.last_mut() {
            block.cost.parameters += parameters as u64;
            block.cost.macs += macs as u64;
            block.cost.flops += flops as u64;
        }
    }
}
