//! Writing a model directory: shards, tokenizer and manifest, complete or not at all.

use std::path::Path;

use burn::module::Module;

use super::import::Imported;
use super::manifest::{Manifest, ModelFile, ParameterCount, Part};
use super::shard::{pack, parameters_of};
use crate::error::{ConfigError, Error, Result};
use crate::expression::ExpressionTokenizer;

/// Writes `imported` as a model directory at `out`; its files replace those of the same names
/// once all of them are written; other files there stay.
///
/// `manifest` brings name, configuration, threshold, licences, scores and how parameters are stored; its
/// files and parameter counts are filled in here. `tokenizer` is the content of a `tokenizer.json`.
///
/// # Errors
/// [`Error::Expression`] where the tokenizer cannot be read, [`Error::Config`] where it has more
/// word pieces than the language encoder, [`Error::Weights`] where parameters
/// cannot be packed, [`Error::Io`] where the directory cannot be written.
pub fn write_model_dir(
    imported: &Imported,
    tokenizer: &[u8],
    mut manifest: Manifest,
    out: &Path,
) -> Result<Manifest> {
    let pieces = ExpressionTokenizer::from_json(tokenizer)?.vocabulary();
    if pieces > manifest.config.bert.vocab_size {
        return Err(ConfigError::Invalid {
            field: "bert.vocab_size",
            value: manifest.config.bert.vocab_size.to_string(),
            expected: "at least as many entries as the tokenizer has word pieces",
        }
        .into());
    }
    let text = parameters_of(&imported.text)?;
    let vision = parameters_of(&imported.vision)?;
    manifest.parameters = ParameterCount {
        text: imported.text.num_params() as u64,
        vision: imported.vision.num_params() as u64,
    };
    let of_text = manifest.text_quantization.unwrap_or(manifest.quantization);
    let files = [
        (Part::Tokenizer, "tokenizer.json", tokenizer.to_vec()),
        (Part::Text, "text.bpk", pack(text, of_text)?),
        (
            Part::Vision,
            "vision.bpk",
            pack(vision, manifest.quantization)?,
        ),
    ];
    manifest.files = files
        .iter()
        .map(|(part, name, content)| ModelFile::describe(*part, name, content))
        .collect();

    let beside = beside(out);
    let _ = std::fs::remove_dir_all(&beside);
    create_dir(&beside)?;
    for (_, name, content) in &files {
        write(&beside.join(name), content)?;
    }
    let mut json = serde_json::to_string_pretty(&manifest).map_err(|error| Error::Io {
        action: "Writing",
        path: out.join("manifest.json"),
        source: error.into(),
    })?;
    json.push('\n');
    write(&beside.join("manifest.json"), json.as_bytes())?;
    replace(&beside, out)?;
    Ok(manifest)
}

/// A sibling of `out` that nobody reads, for work in progress.
fn beside(out: &Path) -> std::path::PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".incomplete");
    out.with_file_name(name)
}

fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|source| writing(path, source))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).map_err(|source| writing(path, source))
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    // Files that are not ours (a README beside the weights) stay.
    create_dir(to)?;
    let entries = std::fs::read_dir(from).map_err(|source| writing(from, source))?;
    let mut manifest = None;
    for entry in entries {
        let entry = entry.map_err(|source| writing(from, source))?;
        let target = to.join(entry.file_name());
        if entry.file_name() == "manifest.json" {
            // Last: until it arrives, the old manifest's hashes refuse the new shards.
            manifest = Some((entry.path(), target));
        } else {
            std::fs::rename(entry.path(), &target).map_err(|source| writing(&target, source))?;
        }
    }
    if let Some((from, to)) = manifest {
        std::fs::rename(from, &to).map_err(|source| writing(&to, source))?;
    }
    std::fs::remove_dir(from).map_err(|source| writing(from, source))
}

fn writing(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action: "Writing",
        path: path.to_owned(),
        source,
    }
}
