//! The folders of reference numbers of the public PyTorch code.

use std::path::PathBuf;

use rrsis::network::{BertConfig, CrossScale, LgceConfig, NetworkConfig};
use serde_json::Value;

/// Every folder under `../shared/fixtures/parity` or `$RRSIS_PARITY_DIR`; says so where there is
/// none.
pub fn parity_folders() -> Vec<PathBuf> {
    let root = std::env::var_os("RRSIS_PARITY_DIR").map_or_else(
        || super::common::shared_dir().map(|shared| shared.join("fixtures/parity")),
        |root| Some(PathBuf::from(root)),
    );
    let Some(root) = root.filter(|root| root.is_dir()) else {
        super::common::skip("reference numbers (fixtures/parity) are not beside this checkout");
        return Vec::new();
    };
    let folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .expect("readable")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("meta.json").is_file())
        .collect();
    assert!(!folders.is_empty(), "no case under {}", root.display());
    folders
}

/// The fixture's own description of a configuration.
pub fn config_of(meta: &Value) -> NetworkConfig {
    let number = |value: &Value| value.as_u64().expect("number") as usize;
    let four = |value: &Value| std::array::from_fn(|index| number(&value[index]));
    let embed_dim = number(&meta["embed_dim"]);
    let bert = &meta["bert"];
    NetworkConfig {
        embed_dim,
        depths: four(&meta["depths"]),
        num_heads: four(&meta["num_heads"]),
        window: number(&meta["window"]),
        bert: BertConfig {
            vocab_size: number(&bert["vocab_size"]),
            hidden_size: number(&bert["hidden_size"]),
            num_hidden_layers: number(&bert["num_hidden_layers"]),
            num_attention_heads: number(&bert["num_attention_heads"]),
            intermediate_size: number(&bert["intermediate_size"]),
            max_position_embeddings: number(&bert["max_position_embeddings"]),
            ..BertConfig::base()
        },
        lgce: Some(LgceConfig {
            depths: [number(&meta["msb_depth"][0]), number(&meta["msb_depth"][1])],
            heads: [number(&meta["msb_heads"][0]), number(&meta["msb_heads"][1])],
            mlp_ratio: meta["msb_mlp_ratio"].as_f64().expect("number"),
            language_guidance: true,
        }),
        decoder_hidden: embed_dim * 4,
        cross_scale: CrossScale::Upstream,
        ..NetworkConfig::lgce_swin_b()
    }
}
