//! Debian packages, where this runs as root on a system that has apt.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::on_path;

/// Installs Debian packages, or says what the user has to install and why.
///
/// `otherwise` names the way for systems without apt.
pub fn install(packages: &[&str], why: &str, otherwise: &str) -> Result<()> {
    let list = packages.join(" ");
    if on_path("apt-get").is_none() {
        bail!("{why} is missing, and there is no apt-get here to install it: {otherwise}");
    }
    if !is_root() {
        bail!(
            "{why} is missing, and installing it needs root. Run\n\n    sudo apt-get install -y --no-install-recommends {list}\n\nand then this command again (or {otherwise})"
        );
    }
    println!("installing {why}: {list}");
    let failed = |error: anyhow::Error| {
        error.context(format!(
            "apt-get could not install {why} ({list}); {otherwise}"
        ))
    };
    // A fresh machine has no package lists, and an old one lists versions that are gone.
    process::run(apt_get().args(["update", "-qq"])).map_err(failed)?;
    process::run(
        apt_get()
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(packages),
    )
    .map_err(failed)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}
