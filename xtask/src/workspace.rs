//! Where things are: the checkout, the cache that checkouts share, the target directory.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The checkout and the directories outside it that builds use.
pub struct Workspace {
    /// The checkout this command was started in.
    pub root: PathBuf,
    /// `$RRSIS_CACHE_DIR`, else `$XDG_CACHE_HOME/rrsis`, else `~/.cache/rrsis`.
    pub cache: PathBuf,
    /// `$CARGO_TARGET_DIR`, else `target` in the cache, so that clean checkouts share
    /// the builds of the dependencies.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the checkout (cargo names it at run time) and the directories around it.
    pub fn locate() -> Result<Self> {
        let member = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = member
            .parent()
            .filter(|root| root.join("wasm-pack.toml").is_file())
            .with_context(|| format!("{} is not in a checkout of rrsis", member.display()))?
            .to_path_buf();
        let cache = cache_dir()?;
        let target = match non_empty("CARGO_TARGET_DIR") {
            Some(target) => env::current_dir()?.join(target),
            None => cache.join("target"),
        };
        Ok(Self {
            root,
            cache,
            target,
        })
    }

    /// The finished static site.
    pub fn dist(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// The browser tests and the node packages they and the build use.
    pub fn web_tests(&self) -> PathBuf {
        self.root.join("tests").join("web")
    }

    /// Takes the target directory for this checkout, waiting while another one builds.
    ///
    /// Cargo takes the workspace's own crates of two checkouts that share a target directory
    /// for the same ones and compares file times only, so it would call "fresh" what was built
    /// from the other checkout's sources. The crate roots are touched when the directory was
    /// last used by another checkout: that rebuilds our own crates and no dependency.
    pub fn lock_target(&self) -> Result<TargetLock> {
        fs::create_dir_all(&self.target).with_context(|| {
            format!(
                "cannot create the target directory {}",
                self.target.display()
            )
        })?;
        let path = self.target.join(".rrsis-lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        if file.try_lock().is_err() {
            println!(
                "waiting for the build of another checkout in {}",
                self.target.display()
            );
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        let owner = self.target.join(".rrsis-checkout");
        let root = self.root.to_string_lossy();
        if fs::read_to_string(&owner).is_ok_and(|last| last != root) {
            for source in self.crate_roots()? {
                File::options()
                    .append(true)
                    .open(&source)
                    .and_then(|file| file.set_modified(std::time::SystemTime::now()))
                    .with_context(|| format!("cannot touch {}", source.display()))?;
            }
        }
        fs::write(&owner, root.as_bytes())
            .with_context(|| format!("cannot write {}", owner.display()))?;
        Ok(TargetLock { _file: file })
    }

    /// The root source files of the workspace's own crates.
    fn crate_roots(&self) -> Result<Vec<PathBuf>> {
        let mut roots: Vec<PathBuf> = ["src/lib.rs", "src/main.rs", "xtask/src/main.rs"]
            .iter()
            .map(|path| self.root.join(path))
            .filter(|path| path.is_file())
            .collect();
        for entry in fs::read_dir(self.root.join("crates"))? {
            roots.push(entry?.path().join("src").join("lib.rs"));
        }
        let tests = self.root.join("tests");
        if tests.is_dir() {
            for entry in fs::read_dir(&tests)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "rs") {
                    roots.push(path);
                }
            }
        }
        Ok(roots)
    }
}

/// Holds the target directory for this checkout until dropped.
pub struct TargetLock {
    _file: File,
}

fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = non_empty("RRSIS_CACHE_DIR") {
        return Ok(env::current_dir()?.join(dir));
    }
    if let Some(dir) = non_empty("XDG_CACHE_HOME").filter(|dir| dir.is_absolute()) {
        return Ok(dir.join("rrsis"));
    }
    match env::home_dir() {
        Some(home) if home.is_absolute() => Ok(home.join(".cache").join("rrsis")),
        _ => {
            bail!("no home directory: set RRSIS_CACHE_DIR to a directory for downloads and builds")
        }
    }
}

/// An environment variable that is set and not empty, as a path.
pub fn non_empty(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The program `name` on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    {
        file.is_file()
    }
}
