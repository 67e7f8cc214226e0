//! `rrsis import`.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::arguments::{network_config, read, read_json};
use crate::error::Result;
use crate::mask::Upsampling;
use crate::weights::Manifest;
use crate::weights::export::write_model_dir;
use crate::weights::import::{import, read_checkpoint, read_language_encoder};
use crate::weights::manifest::{Licence, Relations};
use crate::weights::quantization::Quantization;

/// WordPiece of bert-base-uncased, which MiniLM has too.
const WORDPIECE: &[u8] = include_bytes!("../../models/rrsis-small/tokenizer.json");

#[derive(Debug, Args)]
pub(super) struct Import {
    /// checkpoint.pth (with "model" and "bert_model", or a plain state dict) or .safetensors file.
    checkpoint: PathBuf,
    /// Preset (rrsis-small, lgce-swin-b, lavt-swin-t, ...) or JSON file with a network configuration.
    #[arg(long, value_name = "PRESET|FILE")]
    config: String,
    /// Take the language encoder from this file (a BERT state dict or .safetensors) instead of
    /// the checkpoint.
    #[arg(long, value_name = "FILE")]
    bert: Option<PathBuf>,
    /// tokenizer.json of the language encoder [default: bert-base-uncased's].
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Model directory to write; files of the same names are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How parameters are stored.
    #[arg(long, value_enum, default_value = "q8")]
    quantize: Storage,
    /// How those of the language encoder are [default: as the others].
    #[arg(long, value_enum, value_name = "STORAGE")]
    quantize_text: Option<Storage>,
    /// JSON file with what the manifest should say: name, description, threshold, upsampling, relations,
    /// licenses, scores.
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Storage {
    F32,
    F16,
    Q8,
    Q4,
}

impl From<Storage> for Quantization {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::F32 => Self::F32,
            Storage::F16 => Self::F16,
            Storage::Q8 => Self::Q8,
            Storage::Q4 => Self::Q4,
        }
    }
}

/// What the checkpoint cannot say about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Card {
    name: Option<String>,
    description: String,
    threshold: Option<f32>,
    upsampling: Upsampling,
    relations: Relations,
    licenses: Vec<Licence>,
    scores: serde_json::Value,
}

impl Import {
    pub(super) fn run(self) -> Result<()> {
        let config = network_config(&self.config)?;
        let card: Card = match &self.card {
            Some(path) => read_json(path)?,
            None => Card::default(),
        };
        let mut tensors = read_checkpoint(&self.checkpoint)?;
        if let Some(path) = &self.bert {
            read_language_encoder(path, &mut tensors)?;
        }
        let what = self.checkpoint.display().to_string();
        let imported = import(tensors, &config, &what, &Device::flex())?;

        let name = card.name.unwrap_or_else(|| {
            let directory = self.out.file_name().unwrap_or_default();
            directory.to_string_lossy().into_owned()
        });
        let mut manifest = Manifest::new(&name, config, self.quantize.into());
        manifest.text_quantization = self.quantize_text.map(Quantization::from);
        manifest.description = card.description;
        manifest.upsampling = card.upsampling;
        manifest.relations = card.relations;
        manifest.licenses = card.licenses;
        manifest.scores = card.scores;
        if let Some(threshold) = card.threshold {
            manifest.threshold = threshold;
        }
        let tokenizer = match &self.tokenizer {
            Some(path) => read(path)?,
            None => WORDPIECE.to_vec(),
        };
        let manifest = write_model_dir(&imported, &tokenizer, manifest, &self.out)?;

        if !imported.dropped.is_empty() {
            println!(
                "Left out {} parameters and buffers that no output depends on:",
                imported.dropped.len()
            );
            for name in &imported.dropped {
                println!("  {name}");
            }
        }
        println!("Wrote {}:", self.out.display());
        for file in &manifest.files {
            println!("  {:16} {:>11} bytes", file.file, file.bytes);
        }
        println!(
            "  {} text and {} vision parameters, {}",
            manifest.parameters.text,
            manifest.parameters.vision,
            manifest.storage()
        );
        Ok(())
    }
}
