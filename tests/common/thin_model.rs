//! A model directory with an untrained network that has every block and takes no time.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use rrsis::network::{Bert, BertConfig, CnnConfig, CnnStage, LgceNetwork, NetworkConfig};
use rrsis::weights::Manifest;
use rrsis::weights::export::write_model_dir;
use rrsis::weights::import::Imported;
use rrsis::weights::quantization::Quantization;

/// The seed belongs to the whole process: two tests that draw weights at once would share it.
static SEED: Mutex<()> = Mutex::new(());

/// The default network, but thin: every block exists, nothing takes long.
pub fn thin() -> NetworkConfig {
    NetworkConfig {
        embed_dim: 16,
        depths: [2, 2, 2, 2],
        num_heads: [1, 2, 4, 8],
        window: 4,
        bert: BertConfig {
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 64,
            ..BertConfig::minilm_l6()
        },
        cnn: Some(CnnConfig {
            stem: 8,
            stages: [
                [1, 3, 1, 1, 8],
                [2, 3, 2, 3, 12],
                [1, 5, 2, 3, 16],
                [1, 3, 2, 3, 24],
                [1, 3, 2, 2, 28],
            ]
            .map(CnnStage::new)
            .to_vec(),
            width: 16,
        }),
        decoder_hidden: 16,
        image_size: 64,
        ..NetworkConfig::rrsis_small()
    }
}

/// Weights that no training has seen, always the same.
pub fn untrained(config: &NetworkConfig) -> Imported {
    let _seed = SEED.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex();
    device.seed(7);
    Imported {
        text: Bert::new(&config.bert, &device),
        vision: LgceNetwork::new(config, &device),
        dropped: Vec::new(),
    }
}

/// Writes a network to `out`, with the tokenizer of the default model.
pub fn write(network: &Imported, config: &NetworkConfig, quantization: Quantization, out: &Path) {
    let manifest = Manifest::new("thin", config.clone(), quantization);
    write_with(network, manifest, out);
}

/// Writes a network as `manifest` says to `out`, with the tokenizer of the default model.
pub fn write_with(network: &Imported, manifest: Manifest, out: &Path) {
    let tokenizer = super::common::read(super::common::repository(
        "models/rrsis-small/tokenizer.json",
    ));
    write_model_dir(network, &tokenizer, manifest, out).expect("the model can be written");
}

/// Writes the thin network, untrained, to `out`.
pub fn write_thin_model(out: &Path) {
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, out);
}
