//! Configurations by name: `VARIANT-BACKBONE` or `VARIANT-BACKBONE-minilm`, and `rrsis-small`.
//!
//! | variant | what it is |
//! |---|---|
//! | `lgce` | the paper's network |
//! | `lgce-upstream` | as the public code computes it, for its checkpoints |
//! | `lgce-no-language` | ablation without language guidance: a learned token |
//! | `lgce-no-fusion` | ablation without cross-scale fusion |
//! | `lavt` | the baseline, without LGCE |
//!
//! Backbones are `swin-t`, `swin-s` and `swin-b` with the window of the paper (12) at 480 x 480. The
//! language encoder is BERT-base, or MiniLM-L6 with `-minilm`.

use super::config::{BertConfig, CrossScale, NetworkConfig};
use crate::error::ConfigError;

/// Name, width of the patch embedding, depths, heads (Swin Transformer, table 7).
const BACKBONES: [(&str, usize, [usize; 4], [usize; 4]); 3] = [
    ("swin-t", 96, [2, 2, 6, 2], [3, 6, 12, 24]),
    ("swin-s", 96, [2, 2, 18, 2], [3, 6, 12, 24]),
    ("swin-b", 128, [2, 2, 18, 2], [4, 8, 16, 32]),
];

/// What distinguishes a variant from the paper's network.
type Change = fn(&mut NetworkConfig);

/// Every variant.
const VARIANTS: [(&str, Change); 5] = [
    ("lgce", |_| {}),
    ("lgce-upstream", |config| {
        config.cross_scale = CrossScale::Upstream;
    }),
    ("lgce-no-language", |config| {
        if let Some(lgce) = &mut config.lgce {
            lgce.language_guidance = false;
        }
    }),
    ("lgce-no-fusion", |config| {
        config.cross_scale = CrossScale::None;
    }),
    ("lavt", |config| config.lgce = None),
];

impl NetworkConfig {
    /// The configuration called `name`: `rrsis-small`, or a variant and a backbone such as
    /// `lgce-swin-b`, `lavt-swin-t` or `lgce-no-fusion-swin-s-minilm`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownPreset`], listing the known names.
    pub fn preset(name: &str) -> Result<Self, ConfigError> {
        if name == "rrsis-small" {
            return Ok(Self::rrsis_small());
        }
        let unknown = || ConfigError::UnknownPreset {
            name: name.to_owned(),
            known: format!(
                "rrsis-small, and VARIANT-BACKBONE or VARIANT-BACKBONE-minilm with one of the variants {} and one of the backbones {}",
                VARIANTS.map(|(variant, _)| variant).join(", "),
                BACKBONES.map(|(backbone, ..)| backbone).join(", "),
            ),
        };
        let (rest, bert) = match name.strip_suffix("-minilm") {
            Some(rest) => (rest, BertConfig::minilm_l6()),
            None => (name, BertConfig::base()),
        };
        let (variant, &(_, embed_dim, depths, num_heads)) = BACKBONES
            .iter()
            .find_map(|backbone| {
                Some((rest.strip_suffix(backbone.0)?.strip_suffix('-')?, backbone))
            })
            .ok_or_else(unknown)?;
        let (_, change) = VARIANTS
            .iter()
            .find(|(known, _)| *known == variant)
            .ok_or_else(unknown)?;
        let mut config = Self {
            embed_dim,
            depths,
            num_heads,
            bert,
            // Upstream: half the width of stage 4.
            decoder_hidden: 4 * embed_dim,
            ..Self::lgce_swin_b()
        };
        change(&mut config);
        Ok(config)
    }

    /// The names of all presets.
    pub fn preset_names() -> Vec<String> {
        let mut names = vec!["rrsis-small".to_owned()];
        for (variant, _) in VARIANTS {
            for (backbone, ..) in BACKBONES {
                for text in ["", "-minilm"] {
                    names.push(format!("{variant}-{backbone}{text}"));
                }
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_different_and_survive_json() {
        let names = NetworkConfig::preset_names();
        let mut seen: Vec<NetworkConfig> = Vec::new();
        for name in &names {
            let config = NetworkConfig::preset(name).expect("known preset");
            config.validate().expect("presets are valid");
            let json = serde_json::to_string(&config).expect("serialises");
            let read: NetworkConfig = serde_json::from_str(&json).expect("parses");
            assert_eq!(read, config, "{name}");
            assert!(!seen.contains(&config), "{name} is another one, too");
            seen.push(config);
        }
        assert_eq!(names.len(), 31);
    }

    #[test]
    fn the_papers_network_has_its_name() {
        let config = NetworkConfig::preset("lgce-swin-b").expect("known");
        assert_eq!(config, NetworkConfig::lgce_swin_b());
    }

    #[test]
    fn an_unknown_preset_lists_the_known_ones() {
        for name in ["swin-z", "lgce-swin-z", "unet-swin-b", "lgceswin-b", ""] {
            let error = NetworkConfig::preset(name).expect_err("not a preset");
            let message = error.to_string();
            assert!(message.contains(&format!("\"{name}\"")), "{message}");
            assert!(
                message.contains("lgce-no-fusion") && message.contains("swin-t"),
                "{message}"
            );
        }
    }
}
