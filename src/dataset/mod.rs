//! Data sets of image, expression and mask.
//!
//! [`release`] reads and writes the layout of the RefSegRS release. It is made from annotated scenes
//! ([`scene::Scene`]): [`refsegrs`] crops them from SkyScapes-format tiles as the paper does,
//! [`unified`] takes partly annotated ones, [`synthetic`] draws tiles. The words are in one table
//! ([`vocabulary`]), and [`triplets`] turns a scene into expressions and masks by it.

mod builder;
mod error;
pub mod instance;
pub mod nearest;
mod provenance;
pub mod refsegrs;
pub mod relations;
pub mod release;
pub mod scene;
pub mod skyscapes;
pub mod stats;
pub mod synthetic;
pub mod triplets;
pub mod unified;
pub mod vocabulary;

pub use builder::SplitSummary;
pub use error::DatasetError;
pub use provenance::{Provenance, SampleOrigin};
