//! What the network spends its time with, over slices of f32: products with packed weights in 32 and in
//! 8 bits, attention, convolution, normalisation, softmax and GELU.
//!
//! Most is plain Rust over blocks of lanes, which compilers turn into vector instructions on every target;
//! products name their instructions in [`simd`], the only place with `unsafe`, besides the loops over
//! tiles that call it and [`team`], which cuts slices into parts for several threads. A crate of its own, so that it is compiled for speed while the rest of the library
//! is compiled to be rebuilt quickly.

#[allow(unsafe_code)]
mod attention;
#[allow(unsafe_code)]
mod codes;
mod conv;
#[allow(unsafe_code)]
mod depthwise;
mod embedding;
#[allow(unsafe_code)]
mod exp;
#[allow(unsafe_code)]
mod gate;
#[allow(unsafe_code)]
mod gelu;
mod inverted_residual;
mod linear;
mod map;
#[allow(unsafe_code)]
mod map_values;
mod matrix8;
#[allow(unsafe_code)]
mod norm;
#[allow(unsafe_code)]
mod product;
#[allow(unsafe_code)]
mod product8;
#[allow(unsafe_code)]
mod simd;
#[allow(unsafe_code)]
mod softmax;
#[allow(unsafe_code)]
mod tall;
#[allow(unsafe_code)]
mod team;
#[cfg(test)]
mod testing;
#[allow(unsafe_code)]
mod window_attention;
#[allow(unsafe_code)]
mod winograd;

pub use attention::{AttentionScratch, Counts, Rows, attention};
pub use conv::{Conv3x3, ConvScratch};
pub use depthwise::padding;
pub use embedding::Embedding;
pub use gate::{add_gated, add_products, multiply};
pub use gelu::gelu;
pub use inverted_residual::InvertedResidual;
pub use linear::{Linear, Precision, Scratch, Then, mlp, relu};
pub use map::Map;
pub use norm::{LayerNorm, centre, instance_norm, mean};
pub use product::{Matrix, Piece, Write};
pub use product8::choose_products;
pub use softmax::{AttentionBias, attention_softmax, softmax};
pub use team::{Helpers, MOST, Team};
pub use window_attention::{Band, Windows, window_attention};
