//! The static site: page, packages and models in one directory that any host can serve.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Builds the site beside `destination` and puts it there when it is complete.
pub fn assemble(workspace: &Workspace, packages: &[PathBuf], destination: &Path) -> Result<()> {
    let page = workspace.root.join("www");
    if !page.join("index.html").is_file() {
        bail!(
            "{} has no index.html: is the checkout complete?",
            page.display()
        );
    }
    let unfinished = beside(destination, "new");
    remove(&unfinished)?;
    copy(&page, &unfinished)?;
    for package in packages {
        copy(package, &unfinished.join("pkg"))?;
    }
    let models = workspace.root.join("models");
    if models.is_dir() {
        copy(&models, &unfinished.join("models"))?;
    } else {
        println!(
            "note: {} is missing, so the site has no model",
            models.display()
        );
    }
    replace(&unfinished, destination)?;
    println!(
        "site: {} ({:.1} MB)",
        destination.display(),
        bytes(destination)? as f64 / 1e6
    );
    Ok(())
}

fn replace(unfinished: &Path, destination: &Path) -> Result<()> {
    let old = beside(destination, "old");
    remove(&old)?;
    if destination.exists() {
        fs::rename(destination, &old)
            .with_context(|| format!("cannot move {} away", destination.display()))?;
    }
    fs::rename(unfinished, destination)
        .with_context(|| format!("cannot move the site to {}", destination.display()))?;
    remove(&old)
}

/// `dist` -> `.dist.new`
fn beside(destination: &Path, suffix: &str) -> PathBuf {
    let name = destination
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    destination.with_file_name(format!(".{name}.{suffix}"))
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

/// Copies a directory with all below it, but for hidden entries, and keeps the files' times:
/// a server's validators then change only with the files.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // Links are followed: the site must not depend on the checkout.
        if source.is_dir() {
            copy(&source, &target)?;
            continue;
        }
        fs::copy(&source, &target)
            .and_then(|_| fs::metadata(&source)?.modified())
            .and_then(|time| {
                fs::File::options()
                    .write(true)
                    .open(&target)?
                    .set_modified(time)
            })
            .with_context(|| format!("cannot copy {} to {}", source.display(), target.display()))?;
    }
    Ok(())
}

fn bytes(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() {
            bytes(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn workspace(root: &Path) -> Workspace {
        Workspace {
            root: root.to_path_buf(),
            cache: root.join("cache"),
            target: root.join("target"),
        }
    }

    #[test]
    fn the_site_replaces_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for sub in ["www/samples", "one", "two", "models/small", "dist/stale"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        for file in [
            "www/index.html",
            "www/samples/a.png",
            "www/.hidden",
            "one/one.js",
            "one/.gzip-bytes",
            "two/two.js",
            "models/small/manifest.json",
        ] {
            fs::write(root.join(file), file).unwrap();
        }
        let packages = [root.join("one"), root.join("two")];
        assemble(&workspace(root), &packages, &root.join("dist")).unwrap();
        let dist = root.join("dist");
        for file in [
            "index.html",
            "samples/a.png",
            "pkg/one.js",
            "pkg/two.js",
            "models/small/manifest.json",
        ] {
            assert!(dist.join(file).is_file(), "{file}");
        }
        for absent in ["stale", ".hidden", "pkg/.gzip-bytes"] {
            assert!(!dist.join(absent).exists(), "{absent}");
        }
        assert!(!root.join(".dist.new").exists() && !root.join(".dist.old").exists());
        let time = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(
            time(dist.join("index.html")),
            time(root.join("www/index.html"))
        );
    }

    #[test]
    fn without_a_page_the_old_site_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("dist")).unwrap();
        let error = assemble(&workspace(dir.path()), &[], &dir.path().join("dist")).unwrap_err();
        assert!(error.to_string().contains("index.html"));
        assert!(dir.path().join("dist").is_dir());
    }
}
