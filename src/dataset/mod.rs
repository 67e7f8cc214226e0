//! Data sets of image, expression and mask.
//!
//! [`release`] reads and writes the layout of the RefSegRS release; [`unified`] makes it from
//! annotated scenes. Expressions come from generators over a [`scene::Scene`]: [`category`] now.

pub mod category;
mod error;
pub mod release;
pub mod scene;
pub mod unified;

pub use error::DatasetError;
