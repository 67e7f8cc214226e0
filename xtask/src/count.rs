//! `cargo xtask count`: how many instructions a start and a mask take.
//!
//! Times differ from run to run, and say little of a change of some percent; these are the same each time.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::settings::Settings;
use crate::workspace::Workspace;
use crate::{build, process, setup};

/// The module that browsers with relaxed SIMD get.
const MODULE: &str = "rrsis_cpu_relaxed";
/// What a mask is made of, at the size of the model: one after the other.
const IMAGES: [&str; 2] = ["rotterdam-quay.jpg", "rotterdam-streets.jpg"];

/// Builds the site, makes its module count, and runs `tests/web/instructions.mjs`, which prints a table.
pub fn run(workspace: &Workspace, selection: Option<&build::Selection>) -> Result<()> {
    let node = setup::node(workspace)?;
    let site = workspace.dist();
    if let Some(selection) = selection {
        build::site(workspace, selection, &site)?;
    }
    let counting = folder(workspace);
    build::counting_copy(&site, MODULE, &counting)?;
    process::run(
        Command::new(&node.program)
            .arg(workspace.web_tests().join("instructions.mjs"))
            .arg(&counting)
            .arg(site.join("models").join("rrsis-small"))
            .args(IMAGES.map(|image| site.join("samples").join(image))),
    )
}

/// The folder with the module of `site` that counts, for tests: none where the module was not built as it ships.
pub fn module(
    workspace: &Workspace,
    selection: &build::Selection,
    site: &Path,
) -> Result<Option<PathBuf>> {
    let settings = Settings::read(&workspace.root)?;
    let built = selection.modules.is_empty() || selection.modules.iter().any(|m| m == MODULE);
    let optimised = !settings.profile(&selection.profile)?.wasm_opt.is_empty();
    if !(built && optimised) {
        return Ok(None);
    }
    let counting = folder(workspace);
    build::counting_copy(site, MODULE, &counting)?;
    Ok(Some(counting))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target").join("xtask").join("counting")
}
