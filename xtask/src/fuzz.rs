//! Fuzzing with coverage: `fuzz/` says what, cargo-fuzz does it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// Every target, by its file in `fuzz/fuzz_targets`.
pub const TARGETS: [&str; 5] = ["image", "geotiff", "weights", "expressions", "checkpoint"];

/// Slowest answer to a single input, seconds.
const TIMEOUT: u32 = 10;

/// Most memory a target may take, MiB: an image of the largest size is allowed a quarter of it.
const MEMORY: u32 = 4096;

/// Longest input that is tried; the seeds are smaller.
const LONGEST: u32 = 16_384;

/// Runs the chosen targets one after the other, each for so many minutes, from the seeds, the findings
/// and what earlier runs came to. Stops at the first finding.
pub fn run(workspace: &Workspace, targets: &[String], minutes: u32) -> Result<()> {
    let installed = Command::new("cargo").args(["fuzz", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        bail!("cargo-fuzz is not installed; `cargo install cargo-fuzz` does it");
    }
    let folder = workspace.root.join("fuzz");
    for target in TARGETS {
        if !targets.is_empty() && !targets.iter().any(|chosen| chosen == target) {
            continue;
        }
        let corpus = workspace.cache.join("fuzz").join("corpus").join(target);
        let artifacts = workspace.cache.join("fuzz").join("artifacts").join(target);
        for directory in [&corpus, &artifacts] {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let mut command = Command::new("cargo");
        command
            .current_dir(&folder)
            // Coverage and the address sanitizer are not stable yet.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "CARGO_TARGET_DIR",
                workspace.cache.join("fuzz").join("target"),
            )
            .args(["fuzz", "run", "--fuzz-dir", ".", target])
            .arg(&corpus);
        for kind in ["seeds", "findings"] {
            let known = folder.join(kind).join(target);
            if known.is_dir() {
                command.arg(known);
            }
        }
        command.args(["--", "-print_final_stats=1"]).args([
            format!("-max_total_time={}", 60 * minutes),
            format!("-timeout={TIMEOUT}"),
            format!("-rss_limit_mb={MEMORY}"),
            format!("-max_len={LONGEST}"),
            format!("-artifact_prefix={}/", artifacts.display()),
        ]);
        process::run(&mut command).with_context(|| {
            format!(
                "{target} found something: mend it, and keep the file of {} as fuzz/findings/{target}/WHAT-IT-IS",
                artifacts.display()
            )
        })?;
    }
    Ok(())
}
