//! The LGCE network of "RRSIS: Referring Remote Sensing Image Segmentation", block by block.
//!
//! | paper | here |
//! |---|---|
//! | Fig. 4, language encoder (section IV-A) | [`bert`] |
//! | Fig. 4, image encoder: Swin Transformer (section IV-A) | [`swin`] |
//! | pixel-word attention with language gate, as in LAVT | [`pwam`] |
//! | Fig. 5, language-guided cross-scale enhancement, Eq. (2)-(5) (section IV-B) | [`lgce`] |
//! | segmentation decoder (section IV-C) | [`decoder`] |
//! | not in the paper: a convolutional encoder beside Swin | [`cnn`] |
//!
//! Feature maps travel as tokens, channels last: `[batch, height * width, channels]`. The decoder
//! alone works channels first, because it convolves.

pub mod bert;
pub mod cnn;
pub mod config;
pub mod cpu;
pub mod decoder;
mod differentiable;
mod engine;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "no_gpu.rs"]
mod gpu;
mod kernels;
pub mod lgce;
mod mlp;
mod model;
mod norm;
mod preset;
pub mod pwam;
pub mod swin;
mod trace;

pub use bert::Bert;
pub use config::{BertConfig, CnnConfig, CnnStage, CrossScale, LgceConfig, NetworkConfig};
pub use engine::{Language, Stem, TextEngine, VisionEngine};
pub use model::{ImageFeatures, LanguageFeatures, LgceNetwork};
pub use rrsis_kernels::{Helpers, MOST as MOST_THREADS, Precision, Team};
pub use trace::Trace;
