//! `rrsis import`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::arguments::read;
use crate::error::Result;
use crate::network::NetworkConfig;
use crate::weights::export::write_model_dir;
use crate::weights::import::{import, read_checkpoint};
use crate::weights::manifest::Licence;
use crate::weights::quantization::Quantization;
use crate::weights::{Manifest, WeightsError};

#[derive(Debug, Args)]
pub(super) struct Import {
    /// checkpoint.pth (with "model" and "bert_model", or a plain state dict) or .safetensors file.
    checkpoint: PathBuf,
    /// Preset (rrsis-small, lgce-swin-b, lavt-swin-t, ...) or JSON file with a network configuration.
    #[arg(long, value_name = "PRESET|FILE")]
    config: String,
    /// tokenizer.json of the language encoder.
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Model directory to write; files of the same names are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How parameters are stored.
    #[arg(long, value_enum, default_value = "q8")]
    quantize: Storage,
    /// JSON file with what the manifest should say: name, description, threshold, licenses, scores.
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Storage {
    F32,
    F16,
    Q8,
}

/// What the checkpoint cannot say about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Card {
    name: Option<String>,
    description: String,
    threshold: Option<f32>,
    licenses: Vec<Licence>,
    scores: serde_json::Value,
}

impl Import {
    pub(super) fn run(self) -> Result<()> {
        let config = config_of(&self.config)?;
        config.validate()?;
        let card: Card = match &self.card {
            Some(path) => parse(path)?,
            None => Card::default(),
        };
        let quantization = match self.quantize {
            Storage::F32 => Quantization::F32,
            Storage::F16 => Quantization::F16,
            Storage::Q8 => Quantization::Q8,
        };
        let tensors = read_checkpoint(&self.checkpoint)?;
        let what = self.checkpoint.display().to_string();
        let imported = import(tensors, &config, &what, &Device::flex())?;

        let name = card.name.unwrap_or_else(|| {
            let directory = self.out.file_name().unwrap_or_default();
            directory.to_string_lossy().into_owned()
        });
        let mut manifest = Manifest::new(&name, config, quantization);
        manifest.description = card.description;
        manifest.licenses = card.licenses;
        manifest.scores = card.scores;
        if let Some(threshold) = card.threshold {
            manifest.threshold = threshold;
        }
        let tokenizer = read(&self.tokenizer)?;
        let manifest = write_model_dir(&imported, &tokenizer, manifest, quantization, &self.out)?;

        if !imported.dropped.is_empty() {
            println!(
                "Left out {} parameters that no output depends on:",
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
            quantization.name()
        );
        Ok(())
    }
}

/// A preset by name, or a file where the argument is the path of one.
fn config_of(argument: &str) -> Result<NetworkConfig> {
    let path = Path::new(argument);
    if path.is_file() {
        parse(path)
    } else {
        Ok(NetworkConfig::preset(argument)?)
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read(path)?).map_err(|error| {
        WeightsError::Manifest {
            reason: format!("{}: {error}", path.display()),
        }
        .into()
    })
}
