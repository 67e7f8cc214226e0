//! The browser build: cargo, wasm-bindgen, wasm-opt, size budget, static site.

mod assemble;
mod module;
mod size;

use std::path::Path;

use anyhow::Result;

use crate::process;
use crate::settings::Settings;
use crate::setup;
use crate::workspace::Workspace;

/// Sets up what is missing, builds the module with a profile of `wasm-pack.toml`, checks its
/// size and assembles the site in `destination`.
pub fn site(workspace: &Workspace, profile: &str, destination: &Path) -> Result<()> {
    let settings = Settings::read(&workspace.root)?;
    let profile = settings.profile(profile)?;
    let toolchain = setup::wasm_toolchain(workspace)?;
    let node = setup::node(workspace)?;
    let package = module::package(workspace, &settings, profile, &toolchain, &node)?;
    let sizes = size::of_package(&package, &settings.out_name)?;
    println!("{}_bg.wasm: {sizes}", settings.out_name);
    if let Some(budget) = profile.budget {
        sizes.check(budget)?;
    }
    assemble::assemble(workspace, &package, destination)
}

/// Plain cargo with the toolchain and the flags of the browser build.
pub fn wasm_cargo(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let settings = Settings::read(&workspace.root)?;
    let toolchain = setup::wasm_toolchain(workspace)?;
    let _lock = workspace.lock_target()?;
    let Some((command, rest)) = arguments.split_first() else {
        return Ok(());
    };
    process::run(
        toolchain
            .cargo(workspace, command, &settings.target_features)
            .args(rest),
    )
}
