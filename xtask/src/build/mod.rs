//! The browser build: cargo, wasm-bindgen, wasm-opt, size budgets, static site.

mod assemble;
mod count;
mod module;
mod size;

use std::path::Path;

pub use count::counting_copy;

use anyhow::{Result, bail};

use crate::process;
use crate::settings::Settings;
use crate::setup;
use crate::workspace::Workspace;

/// What of `wasm-pack.toml` to build.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Profile of wasm-pack.toml: `web` ships, `web-dev` leaves wasm-opt out
    #[arg(long, default_value = "web")]
    pub profile: String,
    /// Build this module alone (may be given several times); browsers that want another find none
    #[arg(long = "module", value_name = "NAME")]
    pub modules: Vec<String>,
}

/// Sets up what is missing, builds modules of `wasm-pack.toml`, checks their sizes and assembles the
/// site in `destination`.
pub fn site(workspace: &Workspace, selection: &Selection, destination: &Path) -> Result<()> {
    let settings = Settings::read(&workspace.root)?;
    let profile = settings.profile(&selection.profile)?;
    let modules = settings.modules(&selection.modules)?;
    let toolchain = setup::wasm_toolchain(workspace)?;
    let node = setup::node(workspace)?;
    let builder = module::Builder {
        workspace,
        settings: &settings,
        profile,
        toolchain: &toolchain,
        node: &node,
    };
    let mut packages = Vec::new();
    let mut too_big = Vec::new();
    for (name, module) in modules {
        let package = builder.package(name, module)?;
        let sizes = size::of_package(&package, name)?;
        println!("{name}_bg.wasm: {sizes}");
        if !profile.wasm_opt.is_empty() {
            too_big.extend(sizes.over(name, module.budget));
        }
        packages.push(package);
    }
    // After all are built: one run tells all sizes.
    if !too_big.is_empty() {
        bail!(
            "{}. Make it smaller, or raise the budget in wasm-pack.toml and say why",
            too_big.join("; ")
        );
    }
    assemble::assemble(workspace, &packages, destination)
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
