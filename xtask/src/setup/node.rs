//! Node and the packages in `tests/web`: binaryen's wasm-opt and playwright-core.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::process;
use crate::workspace::{Workspace, on_path};

/// Node's test runner takes `--test-concurrency` from here on.
const OLDEST_NODE: (u32, u32) = (20, 10);

/// Node with the packages installed.
pub struct Node {
    /// The node program.
    pub program: PathBuf,
    /// Its version, without the `v`.
    pub version: String,
    /// binaryen's wasm-opt, a script that `program` runs.
    pub wasm_opt: PathBuf,
}

/// Finds node and installs the packages of `tests/web/package-lock.json` when they are not there.
pub fn node(workspace: &Workspace) -> Result<Node> {
    let (major, minor) = OLDEST_NODE;
    let program = on_path("node").with_context(|| {
        format!("Node is missing: install Node {major}.{minor} or newer with npm, so that `node` is on PATH")
    })?;
    let said = process::output(Command::new(&program).arg("--version"))?;
    let version = said.trim_start_matches('v').to_owned();
    if parse_version(&version).is_none_or(|found| found < OLDEST_NODE) {
        bail!(
            "{} is Node {version}; install {major}.{minor} or newer",
            program.display()
        );
    }
    install_packages(workspace)?;
    let wasm_opt = workspace
        .web_tests()
        .join("node_modules/binaryen/bin/wasm-opt");
    if !wasm_opt.is_file() {
        bail!(
            "the node package binaryen has no {}: delete tests/web/node_modules and run this again",
            wasm_opt.display()
        );
    }
    Ok(Node {
        program,
        version,
        wasm_opt,
    })
}

fn install_packages(workspace: &Workspace) -> Result<()> {
    let dir = workspace.web_tests();
    let lock_file = dir.join("package-lock.json");
    let lock =
        fs::read(&lock_file).with_context(|| format!("cannot read {}", lock_file.display()))?;
    let wanted = hex(&Sha256::digest(&lock));
    let stamp = dir.join("node_modules").join(".rrsis-installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let npm =
        on_path("npm").context("npm is missing: install the npm that belongs to your Node")?;
    println!("installing the node packages of tests/web");
    process::run(Command::new(npm).current_dir(&dir).args([
        "ci",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(parse_version("20.20.2"), Some((20, 20)));
        assert!(parse_version("20.9.0") < Some(OLDEST_NODE));
        assert_eq!(parse_version("nightly"), None);
    }

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
