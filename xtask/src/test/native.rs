//! The tests that cargo runs, and the native program for those in the browser.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Session;
use super::summary::{Count, libtest};
use crate::process;

/// `cargo test` of one package, its output passed on as it comes.
///
/// Not of the whole workspace at once: cargo would then give both packages the union of the
/// features that they ask of their dependencies, and build the framework once more for it.
pub fn run(session: &Session<'_>, package: &str) -> Result<Count> {
    // Held while the tests run: another checkout would replace their programs.
    let _lock = session.workspace.lock_target()?;
    let mut command = cargo(session);
    command
        .args(["test", "--package", package, "--no-fail-fast"])
        .args(session.filter);
    let line = process::shown(&command);
    println!("{line}");
    let mut child = command
        .env("RRSIS_SKIP_LOG", &session.skip_log)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while stdout.read_until(b'\n', &mut bytes)? > 0 {
            std::io::stdout().write_all(&bytes)?;
            if let Some(result) = libtest(&String::from_utf8_lossy(&bytes)) {
                count.add(result);
            }
            bytes.clear();
        }
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        println!(
            "`{line}` broke ({status}) without a failed test: it did not compile, or a test program crashed"
        );
        count.failed = 1;
    }
    if count.total() == 0 && session.filter.is_none() {
        bail!("`{line}` ran no test");
    }
    Ok(count)
}

/// Builds the program `rrsis` as the tests were built; returns a copy of this checkout's own.
pub fn binary(session: &Session<'_>) -> Result<PathBuf> {
    let _lock = session.workspace.lock_target()?;
    process::run(cargo(session).args(["build", "--package", "rrsis", "--bin", "rrsis"]))?;
    let name = format!("rrsis{}", env::consts::EXE_SUFFIX);
    let (built, copy) = (
        session.workspace.target.join("debug").join(&name),
        session.scratch.join(&name),
    );
    fs::copy(&built, &copy)
        .with_context(|| format!("cannot copy {} to {}", built.display(), copy.display()))?;
    Ok(copy)
}

fn cargo(session: &Session<'_>) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&session.workspace.root)
        .env("CARGO_TARGET_DIR", &session.workspace.target);
    cargo
}
