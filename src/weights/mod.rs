//! Weights at rest: a manifest, and one file for each part of the model.
//!
//! A part is a burnpack file in which every parameter carries its path in the network's module
//! tree. Quantised parameters are two entries: `<path>` with 8-bit values and `<path>.scale` with
//! one 32-bit scale for every row of the quantised matrix (see [`quantization`]).

mod error;
pub mod manifest;
pub mod quantization;
pub mod shard;

#[cfg(not(target_family = "wasm"))]
pub mod export;
#[cfg(not(target_family = "wasm"))]
pub mod import;

pub use error::WeightsError;
pub use manifest::{Manifest, ModelFile, Part};
