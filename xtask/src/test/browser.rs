//! The tests in `tests/web`, run by node against the built site.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Session;
use super::summary::{Count, node_tap};
use crate::process;
use crate::serve;
use crate::setup::Node;

/// What the tests drive.
pub struct Browsers {
    pub chromium: PathBuf,
    /// Without it the tests in Firefox are skipped.
    pub firefox: Option<PathBuf>,
}

/// Runs `tests/web/**/*.test.mjs`.
///
/// The tests get, as environment variables, the site's URL (`RRSIS_SITE_URL`) and directory
/// (`RRSIS_DIST`), the native program (`RRSIS_BIN`), the browsers (`CHROMIUM`, `FIREFOX`), the
/// file for skipped tests (`RRSIS_SKIP_LOG`) and where to leave screenshots (`RRSIS_TEST_OUTPUT`); and
/// `counting`, the folder with a module that counts its instructions (`RRSIS_COUNTING`).
pub fn run(
    session: &Session<'_>,
    node: &Node,
    browsers: &Browsers,
    binary: &Path,
    site: &Path,
    counting: Option<&Path>,
) -> Result<Count> {
    let dir = session.workspace.web_tests();
    let mut files = Vec::new();
    find_tests(&dir, &mut files)?;
    files.sort();
    if files.is_empty() {
        bail!("{} holds no *.test.mjs", dir.display());
    }
    let url = serve::in_background(site.to_path_buf(), false)?;
    let output = session.scratch.join("browser-output");
    fs::create_dir_all(&output)?;
    let tap = session.scratch.join("browser.tap");
    if tap.exists() {
        fs::remove_file(&tap)?;
    }
    let mut command = Command::new(&node.program);
    command
        .current_dir(&session.workspace.root)
        .args(["--test", "--test-concurrency=1"])
        .args(["--test-reporter=spec", "--test-reporter-destination=stdout"])
        .arg("--test-reporter=tap")
        .arg(format!("--test-reporter-destination={}", tap.display()));
    if let Some(filter) = session.filter {
        command.arg(format!("--test-name-pattern={}", escape(filter)));
    }
    command
        .args(&files)
        .env("RRSIS_SITE_URL", &url)
        .env("RRSIS_DIST", site)
        .env("RRSIS_BIN", binary)
        .env("CHROMIUM", &browsers.chromium)
        .env("RRSIS_SKIP_LOG", &session.skip_log)
        .env("RRSIS_TEST_OUTPUT", &output)
        .stdin(Stdio::null());
    if let Some(counting) = counting {
        command.env("RRSIS_COUNTING", counting);
    }
    if let Some(firefox) = &browsers.firefox {
        command.env("FIREFOX", firefox);
    }
    let line = process::shown(&command);
    println!(
        "{line}\nwith RRSIS_SITE_URL={url} RRSIS_DIST={} RRSIS_BIN={} CHROMIUM={}",
        site.display(),
        binary.display(),
        browsers.chromium.display()
    );
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    let text = fs::read_to_string(&tap).unwrap_or_default();
    println!("screenshots: {}", output.display());
    let Some(mut count) = node_tap(&text) else {
        bail!("`{line}` broke off ({status}) before its totals");
    };
    if !status.success() && count.failed == 0 {
        println!("`{line}` failed ({status}) without a failed test");
        count.failed = 1;
    }
    if count.total() == 0 && session.filter.is_none() {
        bail!("`{line}` ran no test");
    }
    Ok(count)
}

fn find_tests(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if name != "node_modules" {
                find_tests(&path, found)?;
            }
        } else if name.ends_with(".test.mjs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Node takes a regular expression; the filter is plain text.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if r"\.+*?()|[]{}^$/-".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tests_are_found_below_but_not_in_packages() {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["node_modules/p", "faults"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        for file in [
            "a.test.mjs",
            "helper.mjs",
            "faults/b.test.mjs",
            "node_modules/p/c.test.mjs",
        ] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let mut found = Vec::new();
        find_tests(dir.path(), &mut found).unwrap();
        found.sort();
        assert_eq!(
            found,
            [
                dir.path().join("a.test.mjs"),
                dir.path().join("faults/b.test.mjs")
            ]
        );
    }

    #[test]
    fn a_filter_is_plain_text() {
        assert_eq!(escape("mask (cpu)"), r"mask \(cpu\)");
    }
}
