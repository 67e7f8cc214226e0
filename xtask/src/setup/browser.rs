//! Where browsers are found.

use std::path::PathBuf;

use crate::workspace::on_path;

/// The first of the programs on the path, else the one at its place on macOS.
pub fn installed(names: &[&str], macos: &str) -> Option<PathBuf> {
    let macos = PathBuf::from(macos);
    names
        .iter()
        .find_map(|name| on_path(name))
        .or_else(|| macos.is_file().then_some(macos))
}
