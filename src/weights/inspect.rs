//! Looking at a model directory without running the model.

use std::path::Path;

use serde::Serialize;

use super::shard::{Stored, inventory};
use super::{Manifest, ModelFile, Part, WeightsError};
use crate::error::{Error, Result};
use crate::expression::ExpressionTokenizer;

/// A model's manifest and the state of its files.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// As it says.
    pub manifest: Manifest,
    /// Each file that it names.
    pub files: Vec<FileState>,
}

/// One file of a model as it was found.
#[derive(Debug, Serialize)]
pub struct FileState {
    /// As the manifest describes it.
    #[serde(flatten)]
    pub described: ModelFile,
    /// What is wrong with it: absent, cut short, damaged, unreadable. `None` for a file whose
    /// length and SHA-256 are the manifest's and whose content can be read.
    pub problem: Option<String>,
    /// What a readable shard holds; empty for the tokenizer.
    pub stored: Vec<Stored>,
}

impl Inspection {
    /// Reads the manifest at `directory` and checks every file that it names.
    ///
    /// # Errors
    /// [`WeightsError::NotAModel`] where there is no directory or no manifest in it,
    /// [`WeightsError::Manifest`] where the manifest is broken. What is wrong with a file is in its
    /// [`FileState`].
    pub fn of(directory: &Path) -> Result<Self> {
        let not_a_model = |reason: &str| WeightsError::NotAModel {
            path: directory.display().to_string(),
            reason: reason.to_owned(),
        };
        if !directory.exists() {
            return Err(not_a_model("there is nothing of this name").into());
        }
        if !directory.is_dir() {
            return Err(not_a_model("it is a file").into());
        }
        let path = directory.join("manifest.json");
        if !path.is_file() {
            return Err(not_a_model("it has no manifest.json").into());
        }
        let json = std::fs::read(&path).map_err(|source| Error::Io {
            action: "Reading",
            path,
            source,
        })?;
        let manifest = Manifest::from_json(&String::from_utf8_lossy(&json))?;
        let files = manifest
            .files
            .iter()
            .map(|file| FileState::of(directory, file))
            .collect();
        Ok(Self { manifest, files })
    }

    /// Whether every file is as the manifest says.
    pub fn is_whole(&self) -> bool {
        self.files.iter().all(|file| file.problem.is_none())
    }
}

impl FileState {
    fn of(directory: &Path, described: &ModelFile) -> Self {
        let (problem, stored) = match check(directory, described) {
            Ok(stored) => (None, stored),
            Err(error) => (Some(error.to_string()), Vec::new()),
        };
        Self {
            described: described.clone(),
            problem,
            stored,
        }
    }
}

fn check(directory: &Path, described: &ModelFile) -> Result<Vec<Stored>> {
    let path = directory.join(&described.file);
    let content = std::fs::read(&path).map_err(|source| Error::Io {
        action: "Reading",
        path,
        source,
    })?;
    described.verify(&content)?;
    match described.part {
        Part::Tokenizer => {
            ExpressionTokenizer::from_json(&content)?;
            Ok(Vec::new())
        }
        Part::Text | Part::Vision => Ok(inventory(content, &described.file)?),
    }
}
