//! Our parameter paths and upstream's names for them.

use std::sync::LazyLock;

use regex::Regex;

use crate::network::{CrossScale, NetworkConfig};

/// Ours (a regular expression for the beginning of a path) and upstream's beginning.
///
/// Only the parameters' own names at the end (`gamma`, `beta`) are handled apart.
const NAMES: &[(&str, &str)] = &[
    // Language encoder (HuggingFace's BertModel).
    (
        r"^(word|position|token_type)_embeddings\.",
        "bert_model.embeddings.${1}_embeddings.",
    ),
    (r"^embedding_norm\.", "bert_model.embeddings.LayerNorm."),
    (
        r"^layers\.(\d+)\.(query|key|value)\.",
        "bert_model.encoder.layer.$1.attention.self.$2.",
    ),
    (
        r"^layers\.(\d+)\.attention_output\.",
        "bert_model.encoder.layer.$1.attention.output.dense.",
    ),
    (
        r"^layers\.(\d+)\.attention_norm\.",
        "bert_model.encoder.layer.$1.attention.output.LayerNorm.",
    ),
    (
        r"^layers\.(\d+)\.intermediate\.",
        "bert_model.encoder.layer.$1.intermediate.dense.",
    ),
    (
        r"^layers\.(\d+)\.output\.",
        "bert_model.encoder.layer.$1.output.dense.",
    ),
    (
        r"^layers\.(\d+)\.output_norm\.",
        "bert_model.encoder.layer.$1.output.LayerNorm.",
    ),
    // Image encoder.
    (r"^swin\.patch_embed\.", "model.backbone.patch_embed."),
    (
        r"^swin\.stages\.(\d+)\.(blocks|downsample)\.",
        "model.backbone.layers.$1.$2.",
    ),
    (
        r"^swin\.stages\.(\d+)\.output_norm\.",
        "model.backbone.norm$1.",
    ),
    // Pixel-word attention and language gate.
    (
        r"^swin\.stages\.(\d+)\.pwam\.vis_project\.",
        "model.backbone.layers.$1.fusion.vis_project.0.",
    ),
    (
        r"^swin\.stages\.(\d+)\.pwam\.(query|key|value)\.",
        "model.backbone.layers.$1.fusion.image_lang_att.f_$2.0.",
    ),
    (
        r"^swin\.stages\.(\d+)\.pwam\.lang_project\.",
        "model.backbone.layers.$1.fusion.image_lang_att.W.0.",
    ),
    (
        r"^swin\.stages\.(\d+)\.pwam\.mm_project\.",
        "model.backbone.layers.$1.fusion.project_mm.0.",
    ),
    (
        r"^swin\.stages\.(\d+)\.language_gate\.reduce\.",
        "model.backbone.layers.$1.res_gate.0.",
    ),
    (
        r"^swin\.stages\.(\d+)\.language_gate\.expand\.",
        "model.backbone.layers.$1.res_gate.2.",
    ),
    // Cross-scale enhancement: index 0 is the finer scale (h), 1 the coarser (l).
    (r"^lgce\.language_h\.", "model.classifier.lg_layer3."),
    (r"^lgce\.language_l\.", "model.classifier.lg_layer4."),
    // Only here and in the twin; the public code has no such parameter.
    (r"^lgce\.token_h$", "model.classifier.token3"),
    (r"^lgce\.token_l$", "model.classifier.token4"),
    (
        r"^lgce\.tl_h\.(\d+)\.(qkv|proj)\.",
        "model.classifier.msb1.msb.blocks.0.$1.attn.$2.",
    ),
    (
        r"^lgce\.tl_l\.(\d+)\.(qkv|proj)\.",
        "model.classifier.msb1.msb.blocks.1.$1.attn.$2.",
    ),
    (r"^lgce\.tl_h\.", "model.classifier.msb1.msb.blocks.0."),
    (r"^lgce\.tl_l\.", "model.classifier.msb1.msb.blocks.1."),
    (r"^lgce\.h_to_l\.", "fusion 0 "),
    (r"^lgce\.l_to_h\.", "fusion 1 "),
    (
        r"^fusion (\d) project_norm\.",
        "model.classifier.msb1.msb.projs.$1.0.",
    ),
    (
        r"^fusion (\d) project\.",
        "model.classifier.msb1.msb.projs.$1.2.",
    ),
    (
        r"^fusion (\d) norm\.",
        "model.classifier.msb1.msb.fusion.$1.0.norm1.",
    ),
    (
        r"^fusion (\d) query\.",
        "model.classifier.msb1.msb.fusion.$1.0.attn.wq.",
    ),
    (
        r"^fusion (\d) key\.",
        "model.classifier.msb1.msb.fusion.$1.0.attn.wk.",
    ),
    (
        r"^fusion (\d) value\.",
        "model.classifier.msb1.msb.fusion.$1.0.attn.wv.",
    ),
    (
        r"^fusion (\d) proj\.",
        "model.classifier.msb1.msb.fusion.$1.0.attn.proj.",
    ),
    (
        r"^fusion (\d) revert\.norm\.",
        "model.classifier.msb1.msb.revert_projs.$1.0.",
    ),
    (
        r"^fusion (\d) revert\.linear\.",
        "model.classifier.msb1.msb.revert_projs.$1.2.",
    ),
    // The convolutional encoder: only here and in the twin.
    (r"^(cnn|cnn_decoder)\.", "model.$1."),
    // Decoder: its first level (for V3) carries the number 4 upstream.
    (
        r"^decoder\.levels\.0\.conv(\d)\.",
        "model.classifier.conv${1}_4.",
    ),
    (
        r"^decoder\.levels\.1\.conv(\d)\.",
        "model.classifier.conv${1}_3.",
    ),
    (
        r"^decoder\.levels\.2\.conv(\d)\.",
        "model.classifier.conv${1}_2.",
    ),
    (
        r"^decoder\.levels\.0\.norm(\d)\.",
        "model.classifier.bn${1}_4.",
    ),
    (
        r"^decoder\.levels\.1\.norm(\d)\.",
        "model.classifier.bn${1}_3.",
    ),
    (
        r"^decoder\.levels\.2\.norm(\d)\.",
        "model.classifier.bn${1}_2.",
    ),
    (r"^decoder\.classifier\.", "model.classifier.conv1_1."),
];

/// Parameters and buffers of the public code that no output depends on.
const DEAD: &[&str] = &[
    // Buffers that follow from the sizes.
    r"\.relative_position_index$",
    r"\.num_batches_tracked$",
    r"^bert_model\.embeddings\.position_ids$",
    // BERT's pooler: the network reads the last hidden state.
    r"^bert_model\.pooler\.",
    // The gate after the last stage leads nowhere.
    r"^model\.backbone\.layers\.3\.res_gate\.",
    // Of three fusion modules the forward pass uses the first, without its patch embedding.
    r"^model\.classifier\.msb1\.patch_embed\.",
    r"^model\.classifier\.msb[23]\.",
    r"^model\.classifier\.lg_layer[12]\.",
];

/// With the paper's fusion there is no way back for the language token.
const DEAD_IN_PAPER: &str = r"^model\.classifier\.msb1\.msb\.revert_projs\.";
/// Without fusion there is no exchange at all.
const DEAD_WITHOUT_FUSION: &str = r"^model\.classifier\.msb1\.msb\.(projs|fusion|revert_projs)\.";

/// The upstream name of the parameter at `path` in [`crate::network::Bert`] or
/// [`crate::network::LgceNetwork`].
pub(super) fn upstream_name(path: &str) -> String {
    static TABLE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        NAMES
            .iter()
            .filter_map(|(ours, theirs)| Some((Regex::new(ours).ok()?, *theirs)))
            .collect()
    });
    let mut name = path.to_owned();
    for (ours, theirs) in TABLE.iter() {
        name = ours.replace(&name, *theirs).into_owned();
    }
    for (ours, theirs) in [(".gamma", ".weight"), (".beta", ".bias")] {
        if let Some(stem) = name.strip_suffix(ours) {
            return format!("{stem}{theirs}");
        }
    }
    name
}

/// Whether no output of the network of `config` depends on the upstream parameter `name`.
pub(super) fn is_dead(name: &str, config: &NetworkConfig) -> bool {
    static TABLE: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        DEAD.iter()
            .filter_map(|name| Regex::new(name).ok())
            .collect()
    });
    let matches = |pattern: &str| Regex::new(pattern).is_ok_and(|regex| regex.is_match(name));
    TABLE.iter().any(|dead| dead.is_match(name))
        || match config.cross_scale {
            CrossScale::Paper => matches(DEAD_IN_PAPER),
            CrossScale::None => matches(DEAD_WITHOUT_FUSION),
            CrossScale::Upstream => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_a_regular_expression() {
        for (ours, _) in NAMES {
            Regex::new(ours).expect(ours);
        }
        for dead in DEAD.iter().chain([&DEAD_IN_PAPER, &DEAD_WITHOUT_FUSION]) {
            Regex::new(dead).expect(dead);
        }
    }

    #[test]
    fn names_follow_the_public_code() {
        for (ours, theirs) in [
            (
                "swin.stages.2.blocks.1.attn.qkv.weight",
                "model.backbone.layers.2.blocks.1.attn.qkv.weight",
            ),
            (
                "swin.stages.0.pwam.query.bias",
                "model.backbone.layers.0.fusion.image_lang_att.f_query.0.bias",
            ),
            (
                "lgce.tl_l.2.qkv.weight",
                "model.classifier.msb1.msb.blocks.1.2.attn.qkv.weight",
            ),
            (
                "lgce.l_to_h.norm.gamma",
                "model.classifier.msb1.msb.fusion.1.0.norm1.weight",
            ),
            (
                "decoder.levels.0.norm2.running_var",
                "model.classifier.bn2_4.running_var",
            ),
            (
                "layers.5.output_norm.beta",
                "bert_model.encoder.layer.5.output.LayerNorm.bias",
            ),
        ] {
            assert_eq!(upstream_name(ours), theirs);
        }
    }
}
