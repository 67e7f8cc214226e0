//! Training by the paper's recipe (section V-B; `docs/training.md`).
//!
//! [`run::train`] is the way in. Its default configuration is the paper's: weighted cross-entropy
//! on logits at the image's size ([`loss`]), AdamW with the poly schedule ([`optimizer`]), a best
//! checkpoint chosen on the validation split.
//!
//! What a step does is a function of the configuration, the seed, the data and the step's number,
//! so a run that was interrupted and continued ends as one that was not.

mod augment;
pub mod checkpoint;
pub mod config;
pub mod data;
mod error;
pub mod figure;
pub mod init;
pub mod log;
pub mod loss;
pub mod model;
pub mod optimizer;
mod random;
pub mod run;
mod validation;

pub use config::TrainingConfig;
pub use error::TrainingError;
pub use run::{Event, Outcome, Start, TrainingRun, train};
