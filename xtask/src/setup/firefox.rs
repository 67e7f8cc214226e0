//! A Firefox for the browser tests, where there can be one.

use std::path::PathBuf;

use super::apt;
use super::browser::installed;
use crate::workspace::non_empty;

const NAMES: [&str; 2] = ["firefox", "firefox-esr"];
const MACOS: &str = "/Applications/Firefox.app/Contents/MacOS/firefox";

/// `$FIREFOX`, else an installed Firefox, else Debian's package; else nothing, with the reason: the
/// tests in Firefox are skipped then.
pub fn firefox() -> Result<PathBuf, String> {
    if let Some(chosen) = non_empty("FIREFOX") {
        return if chosen.is_file() {
            Ok(chosen)
        } else {
            Err(format!(
                "FIREFOX names {}, which is not a file",
                chosen.display()
            ))
        };
    }
    if let Some(found) = installed(&NAMES, MACOS) {
        return Ok(found);
    }
    let otherwise = "install Firefox and set FIREFOX to its program";
    apt::install(&["firefox-esr"], "Firefox for the browser tests", otherwise)
        .map_err(|error| format!("{error:#}"))?;
    installed(&NAMES, MACOS)
        .ok_or_else(|| format!("the package firefox-esr brought no program; {otherwise}"))
}
