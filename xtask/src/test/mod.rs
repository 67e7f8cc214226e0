//! Every test there is: natively with cargo, then in a browser with node's test runner.

mod browser;
mod native;
mod summary;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::build;
use crate::count;
use crate::setup;
use crate::workspace::Workspace;
use summary::Summary;

/// What all test programs are told.
struct Session<'a> {
    workspace: &'a Workspace,
    /// Only tests whose name contains this.
    filter: Option<&'a str>,
    /// Tests that cannot run here append a line to this file (`RRSIS_SKIP_LOG`).
    skip_log: PathBuf,
    /// This checkout's own directory for what the tests need.
    scratch: PathBuf,
}

/// `cargo xtask test`: prints the sum of all runners on the last line.
pub fn everything(
    workspace: &Workspace,
    filter: Option<&str>,
    no_browser: bool,
    selection: &build::Selection,
) -> Result<ExitCode> {
    let scratch = workspace.root.join("target").join("xtask");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let session = Session {
        workspace,
        filter,
        skip_log: scratch.join("skipped.log"),
        scratch,
    };
    fs::write(&session.skip_log, "")
        .with_context(|| format!("cannot write {}", session.skip_log.display()))?;

    let mut summary = Summary::default();
    for package in ["xtask", "gemm", "rrsis-kernels", "rrsis"] {
        summary.add(
            &format!("cargo test of {package}"),
            native::run(&session, package),
        );
    }
    if no_browser {
        println!("browser tests: left out (--no-browser)");
    } else {
        summary.add("browser tests", in_browser(&session, selection));
    }
    summary.mark_skipped(&fs::read_to_string(&session.skip_log).unwrap_or_default());
    // The one line that counts; nothing is printed after it.
    println!("{summary}");
    Ok(if summary.succeeded() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn in_browser(session: &Session<'_>, selection: &build::Selection) -> Result<summary::Count> {
    let node = setup::node(session.workspace)?;
    let chromium = setup::chromium()?;
    let firefox = setup::firefox()
        .inspect_err(|reason| println!("no Firefox, so its tests are skipped: {reason}"))
        .ok();
    let binary = native::binary(session)?;
    // Not dist/: that is for what ships.
    let site = session.scratch.join("site");
    build::site(session.workspace, selection, &site)?;
    let browsers = browser::Browsers { chromium, firefox };
    let counting = count::module(session.workspace, selection, &site)?;
    browser::run(
        session,
        &node,
        &browsers,
        &binary,
        &site,
        counting.as_deref(),
    )
}
