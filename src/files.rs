//! Files and directories that are there as a whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file beside its place and renames it when it is complete, so that nobody ever finds half
/// of it. Missing parent directories are made.
///
/// # Errors
/// What the system says; the file that was there before is then untouched.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let partial = partial_path(path)?;
    let written = fs::File::create(&partial).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let result = written.and_then(|()| fs::rename(&partial, path));
    if result.is_err() {
        // The first error is the one to tell.
        fs::remove_file(&partial).ok();
    }
    result
}

/// A directory that takes its name when it is complete. Until then its files lie in a sibling, which
/// is removed where the work ends early.
#[derive(Debug)]
pub struct PartialDirectory {
    partial: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl PartialDirectory {
    /// Begins the directory `target`, which must not exist yet, or be empty.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where something is there; else what the system says.
    pub fn create(target: &Path) -> io::Result<Self> {
        if target.exists() && !(target.is_dir() && fs::read_dir(target)?.next().is_none()) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something is there already; remove it or choose another directory",
            ));
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let partial = partial_path(target)?;
        if partial.exists() {
            // Left by a process of the same number that was killed.
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir(&partial)?;
        Ok(Self {
            partial,
            target: target.to_owned(),
            finished: false,
        })
    }

    /// Where its files go for now.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the directory its name.
    ///
    /// # Errors
    /// What the system says; nothing is left behind then.
    pub fn finish(mut self) -> io::Result<()> {
        if self.target.is_dir() {
            // Empty, or it fails and says so.
            fs::remove_dir(&self.target)?;
        }
        fs::rename(&self.partial, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for PartialDirectory {
    fn drop(&mut self) {
        if !self.finished {
            fs::remove_dir_all(&self.partial).ok();
        }
    }
}

/// A hidden sibling that no other process uses.
fn partial_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "this path has no name at its end",
        )
    })?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".partial-{}", std::process::id()));
    Ok(path.with_file_name(partial))
}
