//! The network against reference numbers that were not made by it.
//!
//! `cargo test --release --test parity` runs all of it.

#[path = "../common/mod.rs"]
mod common;
mod compare;
#[path = "../common/formula.rs"]
mod formula;
mod full_size;
mod public_code;
#[path = "../common/reference.rs"]
mod reference;
mod variants;
