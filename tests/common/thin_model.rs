//! A model directory with an untrained network that has every block and takes no time.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use rrsis::network::{Bert, BertConfig, LgceNetwork, NetworkConfig};
use rrsis::weights::Manifest;
use rrsis::weights::export::write_model_dir;
use rrsis::weights::import::Imported;
use rrsis::weights::quantization::Quantization;

/// The seed belongs to the whole process: two tests that draw weights at once would share it.
static SEED: Mutex<()> = Mutex::new(());

/// Writes it to `out`, always the same.
pub fn write_thin_model(out: &Path) {
    let config = NetworkConfig {
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
        decoder_hidden: 16,
        image_size: 64,
        ..NetworkConfig::rrsis_small()
    };
    let device = Device::flex();
    let network = {
        let _seed = SEED.lock().unwrap_or_else(PoisonError::into_inner);
        device.seed(7);
        Imported {
            text: Bert::new(&config.bert, &device),
            vision: LgceNetwork::new(&config, &device),
            dropped: Vec::new(),
        }
    };
    let tokenizer = super::common::repository("models/rrsis-small/tokenizer.json");
    let tokenizer = super::common::read(tokenizer);
    let manifest = Manifest::new("thin", config, Quantization::Q8);
    write_model_dir(&network, &tokenizer, manifest, Quantization::Q8, out)
        .expect("the model can be written");
}
