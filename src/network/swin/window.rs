//! Attention inside windows, with relative position bias and cyclic shift.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::patch::pad_to_multiple;
use crate::network::kernels::attention_softmax;

/// How a map of tokens is cut into windows.
#[derive(Clone, Debug)]
pub(in crate::network) struct WindowGrid {
    pub(in crate::network) height: usize,
    pub(in crate::network) width: usize,
    pub(in crate::network) window: usize,
    pub(in crate::network) shift: usize,
}

impl WindowGrid {
    /// `height`, `width`: size of the map in tokens; `window`: side of a window; `shift`: how far
    /// the map is rolled up and left before it is cut.
    pub(super) fn new(height: usize, width: usize, window: usize, shift: usize) -> Self {
        Self {
            height,
            width,
            window,
            shift,
        }
    }

    /// The map's size in whole windows.
    pub(in crate::network) fn padded(&self) -> (usize, usize) {
        (
            self.height.next_multiple_of(self.window),
            self.width.next_multiple_of(self.window),
        )
    }

    fn windows(&self) -> usize {
        let (height, width) = self.padded();
        (height / self.window) * (width / self.window)
    }

    /// `[batch, height * width, channels]` to `[batch * windows, window^2, channels]`.
    fn partition(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, _, channels] = tokens.dims();
        let map = tokens.reshape([batch, self.height, self.width, channels]);
        let map = pad_to_multiple(map, [1, 2], [self.height, self.width], self.window);
        let map = self.roll(map, -(self.shift as i64));
        let (height, width) = self.padded();
        let window = self.window;
        map.reshape([
            batch,
            height / window,
            window,
            width / window,
            window,
            channels,
        ])
        .swap_dims(2, 3)
        .reshape([batch * self.windows(), window * window, channels])
    }

    /// The inverse of [`Self::partition`]; what fell on padding is dropped.
    fn reverse(&self, windows: Tensor<3>) -> Tensor<3> {
        let [count, _, channels] = windows.dims();
        let batch = count / self.windows();
        let (height, width) = self.padded();
        let window = self.window;
        let map = windows
            .reshape([
                batch,
                height / window,
                width / window,
                window,
                window,
                channels,
            ])
            .swap_dims(2, 3)
            .reshape([batch, height, width, channels]);
        let map = self.roll(map, self.shift as i64);
        let map = if (height, width) == (self.height, self.width) {
            map
        } else {
            map.slice([0..batch, 0..self.height, 0..self.width, 0..channels])
        };
        map.reshape([batch, self.height * self.width, channels])
    }

    fn roll(&self, map: Tensor<4>, by: i64) -> Tensor<4> {
        if self.shift == 0 {
            map
        } else {
            map.roll(&[by, by], &[1, 2])
        }
    }

    /// -100 where two tokens of a shifted window come from different sides of the map, else 0:
    /// `[windows, window^2, window^2]`. `None` without a shift.
    fn shift_mask(&self) -> Option<TensorData> {
        if self.shift == 0 {
            return None;
        }
        let (height, width) = self.padded();
        let region = |position: usize, length: usize| {
            if position < length - self.window {
                0
            } else if position < length - self.shift {
                1
            } else {
                2
            }
        };
        let window = self.window;
        let area = window * window;
        let mut mask = Vec::with_capacity(self.windows() * area * area);
        for top in (0..height).step_by(window) {
            for left in (0..width).step_by(window) {
                let regions: Vec<u8> = (0..area)
                    .map(|token| {
                        let row = region(top + token / window, height);
                        let column = region(left + token % window, width);
                        row * 3 + column
                    })
                    .collect();
                for &from in &regions {
                    mask.extend(
                        regions
                            .iter()
                            .map(|&to| if from == to { 0.0f32 } else { -100.0 }),
                    );
                }
            }
        }
        Some(TensorData::new(mask, [self.windows(), area, area]))
    }
}

/// Multi-head self-attention within each window.
#[derive(Module, Debug)]
pub struct WindowAttention {
    pub(in crate::network) qkv: Linear,
    pub(in crate::network) proj: Linear,
    /// One learned offset per head for every possible displacement: `[(2 window - 1)^2, heads]`.
    pub(in crate::network) relative_position_bias_table: Param<Tensor<2>>,
    #[module(skip)]
    position: Option<Tensor<4>>,
    #[module(skip)]
    pub(in crate::network) heads: usize,
    #[module(skip)]
    pub(in crate::network) window: usize,
}

impl WindowAttention {
    pub(super) fn new(channels: usize, heads: usize, window: usize, device: &Device) -> Self {
        let displacements = (2 * window - 1) * (2 * window - 1);
        Self {
            qkv: LinearConfig::new(channels, 3 * channels).init(device),
            proj: LinearConfig::new(channels, channels).init(device),
            relative_position_bias_table: Initializer::Normal {
                mean: 0.0,
                std: 0.02,
            }
            .init([displacements, heads], device),
            position: None,
            heads,
            window,
        }
    }

    /// `tokens`: `[batch, height * width, channels]`; the same shape comes back. `position`: see
    /// [`Self::relative_position_bias`].
    pub(super) fn forward(
        &self,
        tokens: Tensor<3>,
        position: Tensor<4>,
        grid: &WindowGrid,
    ) -> Tensor<3> {
        let windows = grid.partition(tokens);
        let [count, area, channels] = windows.dims();
        let head_dim = channels / self.heads;

        let qkv = self
            .qkv
            .forward(windows)
            .reshape([count, area, 3, self.heads, head_dim])
            .permute([2, 0, 3, 1, 4]);
        let part = |index: usize| {
            qkv.clone()
                .narrow(0, index, 1)
                .reshape([count, self.heads, area, head_dim])
        };
        let query = part(0) * (head_dim as f64).powf(-0.5);
        let scores = query.matmul(part(1).swap_dims(2, 3));
        let context = attention_softmax(scores, position, grid.shift_mask())
            .matmul(part(2))
            .swap_dims(1, 2)
            .reshape([count, area, channels]);
        grid.reverse(self.proj.forward(context))
    }

    /// Keeps the bias for displacements from now on: parameters must not change any more.
    pub(super) fn keep_position_bias(&mut self, device: &Device) {
        self.position = Some(self.relative_position_bias(device));
    }

    /// `[1, heads, window^2, window^2]`.
    pub(in crate::network) fn relative_position_bias(&self, device: &Device) -> Tensor<4> {
        if let Some(position) = &self.position {
            return position.clone();
        }
        let area = self.window * self.window;
        let index = relative_position_index(self.window);
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [area * area]), device);
        // Heads first, so that nothing has to be copied into that order.
        self.relative_position_bias_table
            .val()
            .swap_dims(0, 1)
            .select(1, index)
            .reshape([1, self.heads, area, area])
    }
}

/// For every ordered pair of tokens of a window, the row of the bias table that holds the offset
/// for their displacement.
fn relative_position_index(window: usize) -> Vec<i32> {
    let area = window * window;
    let side = 2 * window - 1;
    let mut index = Vec::with_capacity(area * area);
    for from in 0..area {
        for to in 0..area {
            let rows = from / window + window - 1 - to / window;
            let columns = from % window + window - 1 - to % window;
            index.push((rows * side + columns) as i32);
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(height: usize, width: usize, device: &Device) -> Tensor<3> {
        let count = height * width;
        let values: Vec<f32> = (0..count).map(|value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, [1, count, 1]), device)
    }

    #[test]
    fn reverse_undoes_partition_with_shift_and_padding() {
        let device = Device::flex();
        for (height, width, window, shift) in [(4, 4, 2, 0), (4, 4, 2, 1), (5, 7, 4, 2)] {
            let tokens = numbered(height, width, &device);
            let grid = WindowGrid::new(height, width, window, shift);
            let back = grid.reverse(grid.partition(tokens.clone()));
            assert_eq!(back.to_data(), tokens.to_data());
        }
    }

    #[test]
    fn a_window_holds_a_square_of_the_map() {
        let device = Device::flex();
        let grid = WindowGrid::new(4, 4, 2, 0);
        let windows = grid.partition(numbered(4, 4, &device));
        let first: Vec<f32> = windows
            .narrow(0, 0, 1)
            .into_data()
            .try_to_vec()
            .expect("f32 tensor");
        assert_eq!(first, [0.0, 1.0, 4.0, 5.0]);
    }

    #[test]
    fn only_windows_that_wrap_around_are_masked() {
        let grid = WindowGrid::new(8, 8, 4, 2);
        let mask: Vec<f32> = grid
            .shift_mask()
            .expect("shifted")
            .try_to_vec()
            .expect("f32 tensor");
        let per_window: Vec<usize> = mask
            .chunks(256)
            .map(|window| window.iter().filter(|value| **value != 0.0).count())
            .collect();
        // Whole; split in two halves (left/right, then top/bottom); split in four.
        assert_eq!(per_window, [0, 128, 128, 192]);
    }

    #[test]
    fn displacement_zero_is_the_middle_of_the_table() {
        let index = relative_position_index(3);
        assert_eq!(index[0], 12);
        assert_eq!(index.iter().max(), Some(&24));
        assert_eq!(index.iter().min(), Some(&0));
    }
}
