//! The functions of the network that go through every value and that burn's CPU backend computes one
//! call of the C library at a time: on WebAssembly an exponential costs thirty times what it does here.
//!
//! Plain Rust over blocks of lanes, which compilers turn into vector instructions on every target; no
//! `unsafe`. A crate of its own, so that it is compiled for speed while the rest of the library is
//! compiled to be rebuilt quickly.

mod exp;
mod gelu;
mod softmax;

pub use gelu::gelu;
pub use softmax::{AttentionBias, attention_softmax, softmax};

/// Values that are computed side by side: two vectors of 128 bits, one of 256.
const LANES: usize = 8;
