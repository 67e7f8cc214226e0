//! Attention inside windows, from the tokens before it to those after it.
#![allow(
    clippy::too_many_arguments,
    reason = "kernels have no structures to put sizes into"
)]

use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::elements::{product, units_for};
use super::rows::{softmax_of_row, statistics_of_row};
use super::{groups, is_plain_gpu, like, on_gpu, shaped, tensor, units};
use crate::network::kernels::EPSILON;
use crate::network::swin::window::{WindowAttention, WindowGrid};

/// `tokens` and what attention inside windows makes of them, normalised: seven dispatches beside four products.
///
/// `tokens`: `[batch, height * width, channels]`; `position`: see [`WindowAttention::relative_position_bias`].
pub(in crate::network) fn window_attention(
    attention: &WindowAttention,
    norm: &LayerNorm,
    tokens: &Tensor<3>,
    position: &Tensor<4>,
    grid: &WindowGrid,
) -> Option<Tensor<3>> {
    if !is_plain_gpu(&tokens.device()) {
        return None;
    }
    let windows = normalised_windows(norm, tokens, grid)?;
    let [count, area, channels] = windows.dims();
    let qkv = product(&attention.qkv, windows);
    let [query, key, value] = heads(attention, &qkv, [count, area, channels])?;
    let scores = query.matmul(key.swap_dims(2, 3));
    let context = softmax(&scores, position, grid)?
        .matmul(value)
        .swap_dims(1, 2)
        .reshape([1, count * area, channels]);
    back(attention, product(&attention.proj, context), tokens, grid)
}

/// Where windows lie, as kernels are told.
fn across(grid: &WindowGrid) -> [usize; 2] {
    let (height, width) = grid.padded();
    [height / grid.window, width / grid.window]
}

/// The tokens of each window, normalised; 0 on what is padding: `[count, area, channels]`.
fn normalised_windows(
    norm: &LayerNorm,
    tokens: &Tensor<3>,
    grid: &WindowGrid,
) -> Option<Tensor<3>> {
    let [batch, _, channels] = tokens.dims();
    let gamma = on_gpu(&norm.gamma.val())?;
    let beta = on_gpu(&norm.beta.as_ref()?.val())?;
    let tokens = on_gpu(tokens)?;
    let [down, right] = across(grid);
    let (area, count) = (grid.window * grid.window, batch * down * right);
    let output = shaped(&tokens, [count, area, channels]);
    let units = units(channels);
    normalised_windows_kernel::launch(
        &output.client,
        groups(count * area),
        CubeDim::new_1d(units as u32),
        tokens.into_buffer_arg(),
        gamma.into_buffer_arg(),
        beta.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        count * area,
        channels,
        grid.height,
        grid.width,
        down,
        right,
        EPSILON as f32,
        grid.window,
        grid.shift,
        units,
    );
    Some(tensor(output))
}

#[cube(launch)]
fn normalised_windows_kernel(
    tokens: &[f32],
    gamma: &[f32],
    beta: &[f32],
    output: &mut [f32],
    rows: usize,
    channels: usize,
    height: usize,
    width: usize,
    down: usize,
    right: usize,
    epsilon: f32,
    #[comptime] window: usize,
    #[comptime] shift: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS as usize;
    if row >= rows {
        terminate!();
    }
    let area = comptime!(window * window);
    let (of, token) = (row / area, row % area);
    let across = of % (down * right);
    // The map is rolled up and left before it is cut.
    let y = ((across / right) * window + token / window + shift) % (down * window);
    let x = ((across % right) * window + token % window + shift) % (right * window);
    let inside = y < height && x < width;
    let image = of / (down * right);
    let source = select(inside, ((image * height + y) * width + x) * channels, 0);
    let statistics = statistics_of_row(tokens, source, channels, epsilon, units);
    let start = row * channels;
    let mut at = UNIT_POS as usize;
    while at < channels {
        let value = (tokens[source + at] - statistics.mean) * statistics.scale;
        output[start + at] = select(inside, value * gamma[at] + beta[at], 0.0f32);
        at += units;
    }
}

/// Queries, scaled, keys and values, each `[count, heads, area, head_dim]`.
///
/// `qkv`: `[1, count * area, 3 * channels]`, without its bias.
fn heads(
    attention: &WindowAttention,
    qkv: &Tensor<3>,
    [count, area, channels]: [usize; 3],
) -> Option<[Tensor<4>; 3]> {
    let bias = on_gpu(&attention.qkv.bias.as_ref()?.val())?;
    let qkv = on_gpu(qkv)?;
    let of_head = channels / attention.heads;
    let shape = [count, attention.heads, area, of_head];
    let parts = [(); 3].map(|()| shaped(&qkv, shape));
    let total = count * area * channels;
    let (groups, group) = units_for(&qkv, total);
    let [query, key, value] = parts.clone().map(|part| part.into_buffer_arg());
    heads_kernel::launch(
        &parts[0].client,
        groups,
        group,
        qkv.into_buffer_arg(),
        bias.into_buffer_arg(),
        query,
        key,
        value,
        total,
        channels,
        area,
        of_head,
        (of_head as f32).sqrt().recip(),
    );
    Some(parts.map(tensor))
}

#[cube(launch)]
fn heads_kernel(
    qkv: &[f32],
    bias: &[f32],
    query: &mut [f32],
    key: &mut [f32],
    value: &mut [f32],
    total: usize,
    channels: usize,
    area: usize,
    of_head: usize,
    scale: f32,
) {
    let at = ABSOLUTE_POS;
    if at >= total {
        terminate!();
    }
    let (row, channel) = (at / channels, at % channels);
    let (window, token) = (row / area, row % area);
    let (head, element) = (channel / of_head, channel % of_head);
    let heads = channels / of_head;
    let to = ((window * heads + head) * area + token) * of_head + element;
    let from = row * 3 * channels + channel;
    query[to] = (qkv[from] + bias[channel]) * scale;
    key[to] = qkv[from + channels] + bias[channel + channels];
    value[to] = qkv[from + 2 * channels] + bias[channel + 2 * channels];
}

/// What each token takes of the others of its window, `[count, heads, area, area]`: the same as
/// [`crate::network::kernels::attention_softmax`], with a mask that is computed where it is needed.
fn softmax(scores: &Tensor<4>, position: &Tensor<4>, grid: &WindowGrid) -> Option<Tensor<4>> {
    let [count, heads, area, _] = scores.dims();
    let rows = count * heads * area;
    let (scores, position) = (on_gpu(scores)?, on_gpu(position)?);
    let output = like(&scores);
    let [down, right] = across(grid);
    let units = units(area);
    softmax_kernel::launch(
        &output.client,
        groups(rows),
        CubeDim::new_1d(units as u32),
        scores.into_buffer_arg(),
        position.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        heads,
        down,
        right,
        grid.window,
        grid.shift,
        units,
    );
    Some(tensor(output))
}

#[cube(launch)]
fn softmax_kernel(
    scores: &[f32],
    position: &[f32],
    output: &mut [f32],
    rows: usize,
    heads: usize,
    down: usize,
    right: usize,
    #[comptime] window: usize,
    #[comptime] shift: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS as usize;
    if row >= rows {
        terminate!();
    }
    let area = comptime!(window * window);
    let start = row * area;
    // Rows of a window go through its heads, and through all tokens of each.
    let of_position = (row % (heads * area)) * area;
    let across = (row / (heads * area)) % (down * right);
    let (top, left) = ((across / right) * window, (across % right) * window);
    let (height, width) = (down * window, right * window);
    let token = row % area;
    let own = region(top + token / window, height, window, shift) * 3
        + region(left + token % window, width, window, shift);
    let mut at = UNIT_POS as usize;
    while at < area {
        let mut score = scores[start + at] + position[of_position + at];
        if comptime!(shift > 0) {
            let other = region(top + at / window, height, window, shift) * 3
                + region(left + at % window, width, window, shift);
            score = select(own == other, score, score - 100.0f32);
        }
        output[start + at] = score;
        at += units;
    }
    softmax_of_row(output, start, area, units);
}

/// Which part of a rolled map a position along one side belongs to: see `WindowGrid::shift_mask`.
#[cube]
fn region(
    position: usize,
    length: usize,
    #[comptime] window: usize,
    #[comptime] shift: usize,
) -> u32 {
    let before = select(position < length - shift, 1u32, 2u32);
    select(position < length - window, 0u32, before)
}

/// Windows back to where they lie, with the bias of the projection, added to the tokens before attention.
///
/// `windows`: `[1, count * area, channels]`.
fn back(
    attention: &WindowAttention,
    windows: Tensor<3>,
    tokens: &Tensor<3>,
    grid: &WindowGrid,
) -> Option<Tensor<3>> {
    let bias = on_gpu(&attention.proj.bias.as_ref()?.val())?;
    let channels = tokens.dims()[2];
    let (windows, tokens) = (on_gpu(&windows)?, on_gpu(tokens)?);
    let output = like(&tokens);
    let count = output.meta.shape().num_elements();
    let [down, right] = across(grid);
    let (groups, group) = units_for(&output, count);
    back_kernel::launch(
        &output.client,
        groups,
        group,
        windows.into_buffer_arg(),
        bias.into_buffer_arg(),
        tokens.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        count,
        channels,
        grid.height,
        grid.width,
        down,
        right,
        grid.window,
        grid.shift,
    );
    Some(tensor(output))
}

#[cube(launch)]
fn back_kernel(
    windows: &[f32],
    bias: &[f32],
    tokens: &[f32],
    output: &mut [f32],
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
    down: usize,
    right: usize,
    #[comptime] window: usize,
    #[comptime] shift: usize,
) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    let area = comptime!(window * window);
    let (pixel, channel) = (at / channels, at % channels);
    let x = (pixel % width + right * window - shift) % (right * window);
    let y = ((pixel / width) % height + down * window - shift) % (down * window);
    let image = pixel / (width * height);
    let of = (image * down + y / window) * right + x / window;
    let token = (y % window) * window + x % window;
    let from = (of * area + token) * channels + channel;
    output[at] = tokens[at] + windows[from] + bias[channel];
}
