//! The `rrsis` command. Everything it does is in [`rrsis::cli`].

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    rrsis::cli::main()
}

/// The browser gets the library; this only lets `cargo build` pass for its target.
#[cfg(target_family = "wasm")]
fn main() {}
