//! What several tests need: the shared fixtures, and a way to skip where they are absent.

use std::io::Write;
use std::path::PathBuf;

/// The folder with fixtures and data beside the checkout, or `$RRSIS_SHARED_DIR`; `None` where
/// there is none.
#[allow(dead_code, reason = "each test binary uses what it needs")]
pub fn shared_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("RRSIS_SHARED_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")),
        PathBuf::from,
    );
    dir.is_dir().then_some(dir)
}

/// Says why a test (or a part of it) did not run, and tells `cargo xtask test`, which counts it.
#[allow(dead_code, reason = "each test binary uses what it needs")]
pub fn skip(why: &str) {
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("RRSIS_SKIP_LOG") {
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(log);
        if let Ok(mut file) = file {
            // A lost line only makes the count of skipped tests too low.
            let _ = writeln!(file, "{why}");
        }
    }
}
