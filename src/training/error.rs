//! What can be wrong with a training run.

use std::path::PathBuf;

use thiserror::Error;

/// Why a run cannot start, continue or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The configuration is no JSON of the expected form.
    #[error(
        "{} is not a training configuration: {reason}. See configs/lgce-swin-b.json for every key.",
        path.display()
    )]
    Config {
        /// Which file.
        path: PathBuf,
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A value is out of range.
    #[error("The training configuration has {key} = {value}, but needs {expected}.")]
    Setting {
        /// Its key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be valid.
        expected: &'static str,
    },
    /// The data set is not there.
    #[error(
        "There is no data set in {}. Expected a folder in the RefSegRS layout: images, masks and \
         output_phrase_{split}.txt.",
        data.display()
    )]
    NoData {
        /// Where it was looked for.
        data: PathBuf,
        /// The training split.
        split: String,
    },
    /// The training split does not fill a batch.
    #[error(
        "The split \"{split}\" of {} has {samples} samples, fewer than a batch of {batch_size}. \
         Choose a smaller batch_size.",
        data.display()
    )]
    TooFewSamples {
        /// The data set.
        data: PathBuf,
        /// Its split.
        split: String,
        /// How many there are.
        samples: usize,
        /// How many a step needs.
        batch_size: usize,
    },
    /// A sample's expression cannot be used.
    #[error("The sample \"{id}\" of the split \"{split}\" of {} cannot be used. {source}", data.display())]
    Expression {
        /// The sample.
        id: String,
        /// Its split.
        split: String,
        /// The data set.
        data: PathBuf,
        /// What is wrong with its expression.
        source: crate::expression::ExpressionError,
    },
    /// The output directory holds a run already.
    #[error(
        "{} holds a training run already. Continue it with --resume, or choose another directory.",
        out.display()
    )]
    Exists {
        /// The directory.
        out: PathBuf,
    },
    /// There is no run to continue.
    #[error(
        "There is no run to resume in {}: {} is not there. Start one without --resume.",
        out.display(), missing.display()
    )]
    NothingToResume {
        /// The directory.
        out: PathBuf,
        /// The file that would hold the state.
        missing: PathBuf,
    },
    /// The run in the directory has another configuration.
    #[error(
        "{} holds a run with another configuration: {difference}. \
         Resume with the configuration it was started with ({}), or choose another directory.",
        out.display(), file.display()
    )]
    OtherConfig {
        /// The directory.
        out: PathBuf,
        /// The configuration in it.
        file: PathBuf,
        /// The keys that differ, with both values.
        difference: String,
    },
    /// The data set is not the one that the run was started with.
    #[error(
        "The run in {} was started on a training split of {expected} samples, but {} has {found}. \
         Resume with the data set it was started with.",
        out.display(), data.display()
    )]
    OtherData {
        /// The directory of the run.
        out: PathBuf,
        /// The data set.
        data: PathBuf,
        /// Samples when the run was started.
        expected: usize,
        /// Samples now.
        found: usize,
    },
    /// The saved state cannot be read.
    #[error("The state {} cannot be read: {reason}. Restore the file, or start a new run.", path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The loss is no number any more.
    #[error(
        "The loss of step {step} is {loss}: the run has diverged. The last saved state is kept; \
         choose a smaller optimizer.learning_rate."
    )]
    Diverged {
        /// The step, from 1.
        step: usize,
        /// Its loss.
        loss: f32,
    },
    /// The tensor on the device could not be read.
    #[error("Reading {what} back from the device failed: {reason}.")]
    ReadBack {
        /// What was read.
        what: &'static str,
        /// What the device says.
        reason: String,
    },
    /// The figure could not be drawn.
    #[error("The figure of losses and scores cannot be drawn: {reason}.")]
    Figure {
        /// What the drawing library says.
        reason: String,
    },
    /// The handler for interrupts could not be installed.
    #[error("Interrupts cannot be caught: {reason}.")]
    Signal {
        /// What the system says.
        reason: String,
    },
}
