//! The network's structure, operation by operation.

use super::ledger::Ledger;
use super::{Count, Counting};
use crate::network::{BertConfig, CnnConfig, CrossScale, LgceConfig, NetworkConfig};

/// Pixels of an image patch's side.
const PATCH: usize = 4;

/// Counts a whole network.
pub(super) fn count(config: &NetworkConfig, counting: Counting) -> Count {
    let mut ledger = Ledger::new(counting);
    if counting == Counting::Actual {
        bert(&mut ledger, &config.bert, config.max_tokens);
    }
    swin(&mut ledger, config);
    if let Some(cnn) = &config.cnn {
        convolutional_encoder(&mut ledger, config, cnn);
    }
    if let Some(lgce) = &config.lgce {
        enhancement(&mut ledger, config, lgce);
    }
    decoder(&mut ledger, config);
    if let (Some(lgce), Counting::Paper) = (&config.lgce, counting) {
        unused(&mut ledger, config, lgce);
    }
    ledger.close()
}

/// Side of the feature map of a stage, in tokens.
fn side(config: &NetworkConfig, stage: usize) -> usize {
    (config.image_size / PATCH) >> stage
}

fn hidden(channels: usize, ratio: f64) -> usize {
    (channels as f64 * ratio) as usize
}

fn bert(ledger: &mut Ledger, config: &BertConfig, words: usize) {
    let width = config.hidden_size;
    ledger.block("BERT embeddings");
    // Two segments, of which an expression uses one.
    ledger.parameters((config.vocab_size + config.max_position_embeddings + 2) * width);
    ledger.unseen(2 * words * width);
    ledger.layer_norm(words, width);

    ledger.block("BERT layers");
    for _ in 0..config.num_hidden_layers {
        for _ in ["query", "key", "value"] {
            ledger.linear(words, width, width, true);
        }
        ledger.attention(words, words, width, config.num_attention_heads, true);
        // The mask of padding, on the scores.
        ledger.unseen(words * words * config.num_attention_heads);
        ledger.linear(words, width, width, true);
        ledger.unseen(words * width);
        ledger.layer_norm(words, width);
        ledger.linear(words, width, config.intermediate_size, true);
        ledger.elements(words * config.intermediate_size);
        ledger.linear(words, config.intermediate_size, width, true);
        ledger.unseen(words * width);
        ledger.layer_norm(words, width);
    }
}

fn swin(ledger: &mut Ledger, config: &NetworkConfig) {
    let pixels = side(config, 0).pow(2);
    ledger.block("patch embedding");
    ledger.convolution(pixels, 3, config.embed_dim, PATCH * PATCH, true);
    ledger.layer_norm(pixels, config.embed_dim);

    for stage in 0..config.depths.len() {
        let pixels = side(config, stage).pow(2);
        let channels = config.stage_channels(stage);
        let number = stage + 1;
        ledger.block(format!("Swin stage {number}"));
        for block in 0..config.depths[stage] {
            swin_block(ledger, config, stage, block);
        }
        ledger.block(format!("PWAM {number}"));
        pwam(
            ledger,
            pixels,
            channels,
            config.bert.hidden_size,
            config.max_tokens,
        );
        ledger.layer_norm(pixels, channels);

        let last = number == config.depths.len();
        match ledger.counting() {
            // The public code computes the fourth gate too; nothing depends on it.
            Counting::Paper if last => ledger.block("language gate 4 (unused)"),
            Counting::Actual if last => continue,
            _ => ledger.block(format!("language gate {number}")),
        }
        ledger.linear(pixels, channels, channels, false);
        ledger.elements(pixels * channels);
        ledger.linear(pixels, channels, channels, false);
        // Tanh, gate * F, x + gated.
        ledger.unseen(3 * pixels * channels);
        if !last {
            let merged = pixels / 4;
            ledger.block(format!("patch merging {number}"));
            ledger.layer_norm(merged, 4 * channels);
            ledger.linear(merged, 4 * channels, 2 * channels, false);
        }
    }
}

fn convolutional_encoder(ledger: &mut Ledger, config: &NetworkConfig, cnn: &CnnConfig) {
    ledger.block("CNN");
    let mut side = config.image_size / 2;
    let mut input = cnn.stem;
    ledger.convolution(side * side, 3, input, 9, true);
    ledger.elements(side * side * input);
    for stage in &cnn.stages {
        for block in 0..stage.repeats {
            let wide = input * stage.expansion;
            if stage.expansion > 1 {
                ledger.convolution(side * side, input, wide, 1, true);
                ledger.elements(side * side * wide);
            }
            let stride = if block == 0 { stage.stride } else { 1 };
            side /= stride;
            // Each channel has one input.
            ledger.convolution(side * side, 1, wide, stage.kernel.pow(2), true);
            ledger.elements(side * side * wide);
            ledger.convolution(side * side, wide, stage.channels, 1, true);
            if stride == 1 && input == stage.channels {
                ledger.unseen(side * side * input);
            }
            input = stage.channels;
        }
    }
    ledger.block("CNN decoder");
    let width = cnn.width;
    for (index, (_, channels)) in cnn.ends().into_iter().enumerate() {
        let pixels = self::side(config, index).pow(2);
        ledger.layer_norm(pixels, channels);
        ledger.linear(pixels, channels, width, true);
        ledger.elements(pixels * width);
        let asked = width * CnnConfig::roles(index);
        ledger.linear(1, config.bert.hidden_size, asked, true);
        // What the words ask for.
        ledger.unseen(pixels * asked);
        ledger.elements(pixels * width);
        if index > 0 {
            ledger.convolution(pixels, asked, width, 9, true);
            ledger.upsample(4 * pixels, width);
            ledger.unseen(4 * pixels * width);
        } else {
            ledger.convolution(pixels, width, 1, 1, true);
            ledger.unseen(pixels);
        }
    }
}

fn swin_block(ledger: &mut Ledger, config: &NetworkConfig, stage: usize, block: usize) {
    let channels = config.stage_channels(stage);
    let heads = config.num_heads[stage];
    let side = side(config, stage);
    let pixels = side * side;
    // Windows are cut from the padded map.
    let padded = side.next_multiple_of(config.window).pow(2);
    let area = config.window * config.window;

    ledger.layer_norm(pixels, channels);
    ledger.linear(padded, channels, 3 * channels, true);
    ledger.parameters((2 * config.window - 1).pow(2) * heads);
    ledger.attention(padded, area, channels, heads, true);
    let shifted = block % 2 == 1;
    // Relative position bias; the mask of the shift.
    ledger.unseen(padded * area * heads * if shifted { 2 } else { 1 });
    ledger.linear(padded, channels, channels, true);
    ledger.unseen(pixels * channels);
    ledger.layer_norm(pixels, channels);
    mlp(ledger, pixels, channels, config.mlp_ratio);
    ledger.unseen(pixels * channels);
}

fn mlp(ledger: &mut Ledger, positions: usize, channels: usize, ratio: f64) {
    let hidden = hidden(channels, ratio);
    ledger.linear(positions, channels, hidden, true);
    ledger.elements(positions * hidden);
    ledger.linear(positions, hidden, channels, true);
}

/// The projections are 1x1 convolutions in the public code, with their price.
fn pwam(ledger: &mut Ledger, pixels: usize, channels: usize, language: usize, words: usize) {
    ledger.convolution(pixels, channels, channels, 1, true);
    ledger.elements(pixels * channels);
    ledger.convolution(pixels, channels, channels, 1, true);
    ledger.instance_norm(pixels, channels);
    for _ in ["key", "value"] {
        ledger.convolution(words, language, channels, 1, true);
        ledger.unseen(words * channels);
    }
    ledger.matmul(pixels, channels, words);
    // Scale, mask of padding.
    ledger.unseen(2 * pixels * words);
    ledger.elements(pixels * words);
    ledger.matmul(pixels, words, channels);
    ledger.convolution(pixels, channels, channels, 1, true);
    ledger.instance_norm(pixels, channels);
    ledger.elements(pixels * channels);
    ledger.convolution(pixels, channels, channels, 1, true);
    ledger.elements(pixels * channels);
}

/// Language-guided cross-scale enhancement (Fig. 5).
fn enhancement(ledger: &mut Ledger, config: &NetworkConfig, lgce: &LgceConfig) {
    let language = config.bert.hidden_size;
    let widths = [config.stage_channels(2), config.stage_channels(3)];
    let tokens = [side(config, 2).pow(2) + 1, side(config, 3).pow(2) + 1];

    ledger.block("LGCE language tokens");
    // The mean over the words.
    ledger.unseen(2 * config.max_tokens * language);
    for channels in widths {
        ledger.linear(1, language, channels, true);
    }
    for (scale, name) in ["LGCE TL_h", "LGCE TL_l"].into_iter().enumerate() {
        ledger.block(name);
        for _ in 0..lgce.depths[scale] {
            let (tokens, channels) = (tokens[scale], widths[scale]);
            ledger.layer_norm(tokens, channels);
            ledger.linear(tokens, channels, 3 * channels, false);
            ledger.attention(tokens, tokens, channels, lgce.heads[scale], false);
            ledger.linear(tokens, channels, channels, true);
            ledger.unseen(tokens * channels);
            ledger.layer_norm(tokens, channels);
            mlp(ledger, tokens, channels, lgce.mlp_ratio);
            ledger.unseen(tokens * channels);
        }
    }

    // Without fusion the public code still projects the language tokens there and back.
    if config.cross_scale == CrossScale::None && ledger.counting() == Counting::Actual {
        return;
    }
    ledger.block("LGCE cross-scale fusion");
    for (from, to) in [(0, 1), (1, 0)] {
        let (other, channels, heads) = (widths[from], widths[to], lgce.heads[to]);
        let count = tokens[to];
        ledger.layer_norm(1, other);
        ledger.elements(other);
        ledger.linear(1, other, channels, true);
        let single_query =
            ledger.counting() == Counting::Paper || config.cross_scale == CrossScale::Upstream;
        if config.cross_scale != CrossScale::None {
            let queries = if single_query { 1 } else { count };
            ledger.layer_norm(count, channels);
            ledger.linear(queries, channels, channels, false);
            ledger.linear(count, channels, channels, false);
            ledger.linear(count, channels, channels, false);
            ledger.attention(queries, count, channels, heads, false);
            ledger.linear(queries, channels, channels, true);
            ledger.unseen(queries * channels);
        }
        if single_query {
            ledger.layer_norm(1, channels);
            ledger.elements(channels);
            ledger.linear(1, channels, other, true);
        }
    }
}

fn decoder(ledger: &mut Ledger, config: &NetworkConfig) {
    let width = config.decoder_hidden;
    let mut coarse = config.stage_channels(3);
    for stage in (0..3).rev() {
        let pixels = side(config, stage).pow(2);
        ledger.block(format!("decoder level for V{}", stage + 1));
        ledger.upsample(pixels, coarse);
        for input in [coarse + config.stage_channels(stage), width] {
            ledger.convolution(pixels, input, width, 9, false);
            ledger.batch_norm(pixels, width);
            ledger.elements(pixels * width);
        }
        coarse = width;
    }
    ledger.block("classifier");
    ledger.convolution(side(config, 0).pow(2), width, 2, 1, true);
}

/// Modules that the public code makes for LGCE and whose results nobody reads.
fn unused(ledger: &mut Ledger, config: &NetworkConfig, lgce: &LgceConfig) {
    ledger.block("LGCE modules nothing depends on (unused)");
    // Language tokens for V1 and V2 are computed and dropped.
    for stage in [0, 1] {
        let channels = config.stage_channels(stage);
        ledger.linear(1, config.bert.hidden_size, channels, true);
    }
    // Three enhancement modules, one for each pair of neighbouring stages; the forward pass calls
    // that of V3 and V4, without its patch embeddings.
    for finer in [2, 1, 0] {
        let widths = [
            config.stage_channels(finer),
            config.stage_channels(finer + 1),
        ];
        for (channels, patch) in widths.into_iter().zip([8, 16]) {
            ledger.idle_linear(3 * patch * patch, channels, true);
        }
        if finer == 2 {
            continue;
        }
        for (scale, channels) in widths.into_iter().enumerate() {
            let hidden = hidden(channels, lgce.mlp_ratio);
            for _ in 0..lgce.depths[scale] {
                ledger.parameters(4 * channels);
                ledger.idle_linear(channels, 3 * channels, false);
                ledger.idle_linear(channels, channels, true);
                ledger.idle_linear(channels, hidden, true);
                ledger.idle_linear(hidden, channels, true);
            }
        }
        for (other, channels) in [(widths[0], widths[1]), (widths[1], widths[0])] {
            for (from, to) in [(other, channels), (channels, other)] {
                ledger.parameters(2 * from);
                ledger.idle_linear(from, to, true);
            }
            if config.cross_scale != CrossScale::None {
                ledger.parameters(2 * channels);
                for _ in ["query", "key", "value"] {
                    ledger.idle_linear(channels, channels, false);
                }
                ledger.idle_linear(channels, channels, true);
            }
        }
    }
}
