//! Every error that the library gives, by the room it comes from.

use std::path::PathBuf;

use thiserror::Error;

/// What any step between files and a mask can give.
pub type Result<T> = std::result::Result<T, Error>;

/// The errors of all rooms; each message is a sentence for the person in front of the screen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// The expression cannot be used.
    #[error(transparent)]
    Expression(#[from] crate::expression::ExpressionError),
    /// The caller stopped the work.
    #[error("The work was cancelled.")]
    Cancelled,
    /// A mask file cannot be used.
    #[error(transparent)]
    Mask(#[from] crate::mask::MaskError),
    /// A prediction and its target cannot be compared.
    #[error(transparent)]
    Metrics(#[from] crate::metrics::SizeMismatch),
    /// A data set cannot be read or written.
    #[cfg(not(target_family = "wasm"))]
    #[error(transparent)]
    Dataset(#[from] crate::dataset::DatasetError),
    /// A training run cannot start, continue or go on.
    #[cfg(not(target_family = "wasm"))]
    #[error(transparent)]
    Training(#[from] crate::training::TrainingError),
    /// The configuration of the network makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The manifest or a file it names cannot be used.
    #[error(transparent)]
    Weights(#[from] crate::weights::WeightsError),
    /// The compute device is missing or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// An option is outside its range.
    #[error("{option} is {value}, but must be {expected}.")]
    Option {
        /// Its name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would work.
        expected: &'static str,
    },
    /// Some of many results could not be made; each has been told.
    #[error("{failed} of {total} results could not be made: see the lines with \"error\".")]
    Incomplete {
        /// How many failed.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// A file could not be read or written.
    #[error("{action} {path} failed: {source}")]
    Io {
        /// "Reading" or "Writing".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A configuration that no network can be built from.
#[derive(Debug, Error, PartialEq)]
pub enum ConfigError {
    /// No preset has this name.
    #[error("There is no preset \"{name}\". Known presets: {known}.")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// What exists.
        known: String,
    },
    /// A file with settings that is not JSON of the expected form.
    #[error("The settings in {path} cannot be used: {reason}.")]
    Unreadable {
        /// Which file.
        path: String,
        /// What is wrong, at which line and column.
        reason: String,
    },
    /// A field is out of range or contradicts another.
    #[error("The network configuration has {field} = {value}, but needs {expected}.")]
    Invalid {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be valid.
        expected: &'static str,
    },
}

/// The compute device.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// A GPU was asked for and there is none to be had.
    #[error("No GPU can be used: {reason}. Choose the device \"cpu\" instead.")]
    NoGpu {
        /// Why not.
        reason: String,
    },
    /// The CPU was asked for, but this build computes elsewhere only.
    #[error("This build has no CPU support (cargo feature \"cpu\").")]
    NoCpu,
    /// CUDA was asked for and cannot be used.
    #[error("CUDA cannot be used: {reason}. Choose the device \"gpu\" or \"cpu\" instead.")]
    NoCuda {
        /// Why not.
        reason: String,
    },
    /// The device failed in the middle of the work.
    #[error("The {device} failed while {action}: {reason}")]
    Failed {
        /// Its name.
        device: &'static str,
        /// What it was doing.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// The device computed something that is no number.
    #[error(
        "The {device} gave no numbers for {count} of {total} pixels. Choose the device \"cpu\" instead; \
         if that fails too, the model's weights are broken."
    )]
    NotFinite {
        /// Its name.
        device: &'static str,
        /// Pixels of the low-resolution map that are NaN or infinite.
        count: usize,
        /// Pixels of the low-resolution map.
        total: usize,
    },
}
