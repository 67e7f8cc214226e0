//! Weights at rest: a manifest, and one file for each part of the model.
//!
//! A part is a burnpack file in which every parameter carries its path in the network's module
//! tree. Quantised parameters are two entries (see [`quantization`]): `<path>` with the values and
//! `<path>.scale` with their scales. 8-bit values are `i8`, with one `f32` scale for every output
//! channel; 4-bit values are `u8`, two to a byte along the last axis, with one `f16` scale for every
//! group of 32.

mod error;
pub mod manifest;
mod parameter;
pub mod quantization;
pub mod shard;

#[cfg(not(target_family = "wasm"))]
pub mod export;
#[cfg(not(target_family = "wasm"))]
pub mod import;
#[cfg(not(target_family = "wasm"))]
pub mod inspect;

pub use error::{ParametersError, WeightsError};
pub use manifest::{Manifest, ModelFile, Part};
