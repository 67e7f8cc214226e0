//! What can be wrong with weights.

use thiserror::Error;

/// A manifest, shard or checkpoint that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The manifest is not JSON of the expected form.
    #[error(
        "The model's manifest cannot be read: {reason}. Check that the model address leads to a folder with a manifest.json made by `rrsis import`."
    )]
    Manifest {
        /// What the parser says.
        reason: String,
    },
    /// A manifest of another version.
    #[error(
        "The model's manifest has format version {found}, but this program reads version {supported}. Update the program or export the model again."
    )]
    ManifestVersion {
        /// In the file.
        found: u64,
        /// Of this program.
        supported: u64,
    },
    /// The manifest does not list a file with this name.
    #[error("The model's manifest lists no file \"{file}\". It lists: {listed}.")]
    UnknownFile {
        /// Asked for.
        file: String,
        /// In the manifest.
        listed: String,
    },
    /// A part that is needed has not been loaded.
    #[error("The model's {part} part (file \"{file}\") has not been loaded yet.")]
    NotLoaded {
        /// text, vision or tokenizer.
        part: &'static str,
        /// Its file.
        file: String,
    },
    /// A file has the wrong length.
    #[error(
        "The model file \"{file}\" has {found} bytes, but the manifest says {expected}. It was cut short or belongs to another version: load the model again."
    )]
    Size {
        /// Its name.
        file: String,
        /// By the manifest.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A file has the right length and the wrong content.
    #[error(
        "The model file \"{file}\" is damaged: its SHA-256 is {found}, but the manifest says {expected}. Load the model again."
    )]
    Hash {
        /// Its name.
        file: String,
        /// By the manifest.
        expected: String,
        /// What came.
        found: String,
    },
    /// A file is not a readable burnpack.
    #[error("The model file \"{file}\" cannot be read as a burnpack: {reason}")]
    Shard {
        /// Its name.
        file: String,
        /// What the reader says.
        reason: String,
    },
    /// Parameters and network do not fit.
    #[error(transparent)]
    Parameters(Box<ParametersError>),
    /// A folder without a model in it.
    #[error(
        "{path} is no model directory: {reason}. A model directory has a manifest.json and the files it names; `rrsis import` makes one."
    )]
    NotAModel {
        /// Which path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A model directory whose files are not what its manifest says.
    #[error("The model in {path} is not whole:\n  {problems}")]
    Damaged {
        /// Which directory.
        path: String,
        /// Each file's problem on a line.
        problems: String,
    },
    /// A checkpoint file that cannot be read.
    #[error(
        "The checkpoint {path} cannot be read: {reason}. Expected a PyTorch file (checkpoint.pth with \"model\" and \"bert_model\", or a plain state dict) or a .safetensors file."
    )]
    Checkpoint {
        /// Which file.
        path: String,
        /// What the reader says.
        reason: String,
    },
}

/// What disagrees between parameters and a network: everything, at once.
#[derive(Debug, Default, Error)]
#[error(
    "The parameters of {what} do not fit the network:{}{}{}{}{}{advice}",
    list("missing", missing),
    list("unexpected", unexpected),
    list("of another shape", mismatched),
    list("without finite values", not_finite),
    if advice.is_empty() { "" } else { "\n" }
)]
pub struct ParametersError {
    /// Which file or checkpoint.
    pub what: String,
    /// The network needs them; name and shape.
    pub missing: Vec<String>,
    /// The network has no place for them; name and shape.
    pub unexpected: Vec<String>,
    /// Name, shape found, shape needed.
    pub mismatched: Vec<String>,
    /// Name, shape, how many values are NaN or infinite.
    pub not_finite: Vec<String>,
    /// What to do, in sentences; may be empty.
    pub advice: String,
}

fn list(title: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("\n  {} {title}:\n    {}", names.len(), names.join("\n    "))
}
