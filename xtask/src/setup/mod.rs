//! Installing what is missing. Every step looks first and does nothing when all is there.

mod apt;
mod browser;
mod chromium;
mod firefox;
mod node;
mod wasm;

pub use chromium::chromium;
pub use firefox::firefox;
pub use node::{Node, hex, node};
pub use wasm::{WasmToolchain, wasm_toolchain};

use anyhow::Result;

use crate::workspace::Workspace;

/// Target triple of the browser build.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// `cargo xtask setup`: all that building and testing need.
pub fn everything(workspace: &Workspace) -> Result<()> {
    println!("cache: {}", workspace.cache.display());
    println!("target directory: {}", workspace.target.display());
    let toolchain = wasm_toolchain(workspace)?;
    println!("wasm32 standard library: {}", toolchain.description);
    let node = node(workspace)?;
    println!(
        "node packages: {} (node {})",
        workspace.web_tests().join("node_modules").display(),
        node.version
    );
    println!("Chromium for the tests: {}", chromium()?.display());
    match firefox() {
        Ok(program) => println!("Firefox for the tests: {}", program.display()),
        Err(reason) => println!("no Firefox, so its tests are skipped: {reason}"),
    }
    Ok(())
}
