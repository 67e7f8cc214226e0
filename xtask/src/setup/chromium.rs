//! A Chromium for the browser tests.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::apt;
use super::browser::installed;
use crate::workspace::non_empty;

const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];
const MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// `$CHROMIUM`, else an installed Chromium or Chrome, else Debian's package.
pub fn chromium() -> Result<PathBuf> {
    if let Some(chosen) = non_empty("CHROMIUM") {
        if chosen.is_file() {
            return Ok(chosen);
        }
        bail!("CHROMIUM names {}, which is not a file", chosen.display());
    }
    if let Some(found) = installed(&NAMES, MACOS) {
        return Ok(found);
    }
    let otherwise = "install Chromium or Chrome and set CHROMIUM to its program, or leave the browser tests out with `cargo xtask test --no-browser`";
    apt::install(&["chromium"], "Chromium for the browser tests", otherwise)?;
    match installed(&NAMES, MACOS) {
        Some(found) => Ok(found),
        None => bail!("the package chromium brought no program named chromium; {otherwise}"),
    }
}
