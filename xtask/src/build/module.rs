//! From the library's source to the files of `pkg/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::process;
use crate::settings::{Profile, Settings};
use crate::setup::{Node, WASM_TARGET, WasmToolchain, hex};
use crate::workspace::Workspace;

/// Finished packages kept in the cache: a few branches, two profiles each.
const KEPT: usize = 8;

/// Part of a package's name; raised when the way from cargo's output to the package changes.
const RECIPE: u32 = 2;

/// Compiles the library and returns the directory that holds its package.
///
/// Packages are kept in the cache under a hash of all that goes into them, so wasm-bindgen
/// and wasm-opt run only when cargo's output has changed.
pub fn package(
    workspace: &Workspace,
    settings: &Settings,
    profile: &Profile,
    toolchain: &WasmToolchain,
    node: &Node,
) -> Result<PathBuf> {
    let wasm = compile(workspace, settings, profile, toolchain)?;
    let packages = workspace.cache.join("packages");
    let package = packages.join(key(workspace, settings, profile, &wasm)?);
    if package.is_dir() {
        return Ok(package);
    }
    let unfinished = packages.join(format!("unfinished-{}", std::process::id()));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished)
        .with_context(|| format!("cannot create {}", unfinished.display()))?;
    bind(settings, profile, wasm, &unfinished)?;
    optimise(settings, profile, node, &unfinished)?;
    start(settings, node, &unfinished)?;
    // Another checkout may have finished the same package meanwhile.
    if package.is_dir() {
        fs::remove_dir_all(&unfinished)?;
    } else {
        fs::rename(&unfinished, &package)
            .with_context(|| format!("cannot move the package to {}", package.display()))?;
    }
    prune(&packages)?;
    Ok(package)
}

/// Cargo's .wasm file, read while no other checkout can replace it.
fn compile(
    workspace: &Workspace,
    settings: &Settings,
    profile: &Profile,
    toolchain: &WasmToolchain,
) -> Result<Vec<u8>> {
    let _lock = workspace.lock_target()?;
    let mut cargo = toolchain.cargo(workspace, "build", &settings.target_features);
    cargo.args([
        "--package",
        "rrsis",
        "--lib",
        "--profile",
        &profile.cargo_profile,
    ]);
    if !profile.features.is_empty() {
        cargo.args(["--features", &profile.features.join(",")]);
    }
    if !profile.default_features {
        cargo.arg("--no-default-features");
    }
    process::run(&mut cargo)?;
    let wasm = workspace
        .target
        .join(WASM_TARGET)
        .join(&profile.cargo_profile)
        .join("rrsis.wasm");
    fs::read(&wasm).with_context(|| format!("cargo left no {}", wasm.display()))
}

/// Names a package by everything that goes into it.
fn key(
    workspace: &Workspace,
    settings: &Settings,
    profile: &Profile,
    wasm: &[u8],
) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(wasm);
    hash.update(format!(
        "{RECIPE} {} {:?} {:?}",
        settings.out_name,
        settings.wasm_opt_features(),
        profile.wasm_opt
    ));
    // The versions of wasm-bindgen and of wasm-opt.
    for lock in ["Cargo.lock", "tests/web/package-lock.json"] {
        let path = workspace.root.join(lock);
        hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let mut name = hex(&hash.finalize());
    name.truncate(24);
    Ok(name)
}

/// wasm-bindgen: the JavaScript module, its types, and the .wasm with its glue worked in.
fn bind(settings: &Settings, profile: &Profile, wasm: Vec<u8>, into: &Path) -> Result<()> {
    let start = Instant::now();
    let mut bindgen = Bindgen::new();
    bindgen
        .input_bytes(&settings.out_name, wasm)
        .out_name(&settings.out_name)
        .typescript(true)
        // Names of functions make a readable trace; they ship nowhere.
        .remove_name_section(!profile.wasm_opt.is_empty())
        .remove_producers_section(true)
        .web(true)
        .and_then(|bindgen| bindgen.generate(into))
        .context("wasm-bindgen cannot work on the compiled library")?;
    println!("wasm-bindgen: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// wasm-opt, in place.
///
/// Always the node package's: it is one version everywhere. Native ones are twice as fast, but
/// systems ship some that break the module (see [`start`]).
fn optimise(settings: &Settings, profile: &Profile, node: &Node, package: &Path) -> Result<()> {
    if profile.wasm_opt.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    let wasm = package.join(format!("{}_bg.wasm", settings.out_name));
    let smaller = package.join("optimised.wasm");
    println!(
        "wasm-opt {} (takes minutes, once for each change)",
        profile.wasm_opt.join(" ")
    );
    process::run(
        Command::new(&node.program)
            .arg(&node.wasm_opt)
            .args(&profile.wasm_opt)
            .args(settings.wasm_opt_features())
            .arg(&wasm)
            .arg("-o")
            .arg(&smaller),
    )?;
    fs::rename(&smaller, &wasm)
        .with_context(|| format!("wasm-opt left no {}", smaller.display()))?;
    println!("wasm-opt: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Starts the module as a page does, so that a package that no browser could start is never kept.
///
/// wasm-opt can break what it makes smaller: before version 110 it exported the wrong table.
fn start(settings: &Settings, node: &Node, package: &Path) -> Result<()> {
    const SCRIPT: &str = "
        import { readFileSync } from 'node:fs';
        import { pathToFileURL } from 'node:url';
        const [script, wasm] = process.argv.slice(1);
        const { default: init } = await import(pathToFileURL(script));
        await init({ module_or_path: readFileSync(wasm) });";
    let mut command = Command::new(&node.program);
    command
        .args(["--input-type=module", "--eval", SCRIPT])
        .arg(package.join(format!("{}.js", settings.out_name)))
        .arg(package.join(format!("{}_bg.wasm", settings.out_name)));
    process::output(&mut command).context("the finished module does not start")?;
    Ok(())
}

/// Removes all but the newest packages.
fn prune(packages: &Path) -> Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(packages)? {
        let entry = entry?;
        if !entry
            .file_name()
            .to_string_lossy()
            .starts_with("unfinished-")
        {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    found.sort();
    for (_, path) in found.iter().rev().skip(KEPT) {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}
