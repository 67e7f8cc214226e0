//! The log of a run: one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::metrics::ScoreReport;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entry {
    /// A step of the optimiser.
    Step {
        /// From 1.
        step: usize,
        /// From 1.
        epoch: usize,
        /// Before the step.
        loss: f32,
        /// Of the step.
        learning_rate: f64,
        /// Samples a second, reading included.
        samples_per_second: f64,
    },
    /// A validation at the end of an epoch.
    Validation {
        /// Steps taken.
        step: usize,
        /// Epochs finished.
        epoch: usize,
        /// Whether it is the best so far.
        best: bool,
        /// As `rrsis evaluate` computes them.
        scores: ScoreReport,
    },
}

impl Entry {
    fn step(&self) -> usize {
        match self {
            Self::Step { step, .. } | Self::Validation { step, .. } => *step,
        }
    }
}

/// The log file and everything in it.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Log {
    /// An empty log.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        Self::begin(path, Vec::new())
    }

    /// The log of a run that continues after `step` steps and `validated_epochs` validations: what
    /// an interrupted process wrote after it had last saved its state is taken back.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn reopen(path: &Path, step: usize, validated_epochs: usize) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            // Without its log a run can still go on.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(failed("Reading", path, source)),
        };
        let entries = text
            .lines()
            // A line that was being written when the process was killed is no JSON.
            .filter_map(|line| serde_json::from_str::<Entry>(line).ok())
            .filter(|entry| match entry {
                Entry::Validation { epoch, .. } => *epoch <= validated_epochs,
                Entry::Step { .. } => entry.step() <= step,
            })
            .collect();
        Self::begin(path, entries)
    }

    fn begin(path: &Path, entries: Vec<Entry>) -> Result<Self> {
        let lines: String = entries.iter().map(line).collect();
        let writing = |source| failed("Writing", path, source);
        write_atomic(path, lines.as_bytes()).map_err(writing)?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(writing)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            entries,
        })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        let writing = |source| failed("Writing", &self.path, source);
        self.file
            .write_all(line(&entry).as_bytes())
            .map_err(writing)?;
        self.entries.push(entry);
        Ok(())
    }

    /// All lines so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

fn line(entry: &Entry) -> String {
    format!("{}\n", serde_json::json!(entry))
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
