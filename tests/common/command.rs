//! The `rrsis` command as a test runs it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the command in `folder`.
pub fn rrsis(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rrsis"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// What a stream holds.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
