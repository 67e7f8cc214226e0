//! Referring remote sensing image segmentation: an image and an expression in, a mask out.
//!
//! [`segmenter::Segmenter`] is the way in. [`network`] is the paper's network, block by block.
//! The same code runs natively and, compiled to WebAssembly, inside a browser.

pub mod complexity;
pub mod error;
pub mod expression;
pub mod image;
pub mod mask;
pub mod metrics;
pub mod network;
pub mod platform;
pub mod segmenter;
pub mod weights;

#[cfg(not(target_family = "wasm"))]
pub mod cli;
#[cfg(not(target_family = "wasm"))]
pub mod dataset;
#[cfg(not(target_family = "wasm"))]
pub mod files;
#[cfg(not(target_family = "wasm"))]
pub mod training;
#[cfg(target_family = "wasm")]
pub mod web;

pub use error::{Error, Result};
