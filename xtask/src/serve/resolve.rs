//! From the path in a URL to a file under the root, and to no other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A regular file inside the root.
    File(PathBuf),
    /// A directory named without its final slash: relative URLs in its page need the slash.
    AddSlash,
    /// No such file, or none that may be served.
    NotFound,
}

/// Resolves the path of a request (`/a%20b/c.js?query`) under `root`.
///
/// Symbolic links are followed as long as they stay inside the root.
pub fn resolve(root: &Path, target: &str) -> io::Result<Resolved> {
    let Some(relative) = relative_path(target) else {
        return Ok(Resolved::NotFound);
    };
    let root = root.canonicalize()?;
    let Some(path) = inside(&root, &root.join(relative))? else {
        return Ok(Resolved::NotFound);
    };
    let meta = fs::metadata(&path)?;
    if meta.is_dir() {
        if !path_of(target).ends_with('/') {
            return Ok(Resolved::AddSlash);
        }
        let index = inside(&root, &path.join("index.html"))?.filter(|index| index.is_file());
        return Ok(index.map_or(Resolved::NotFound, Resolved::File));
    }
    // A file has no pages below it.
    let servable = meta.is_file() && !path_of(target).ends_with('/');
    Ok(if servable {
        Resolved::File(path)
    } else {
        Resolved::NotFound
    })
}

/// The path in a request target, without query.
pub fn path_of(target: &str) -> &str {
    // Proxies send the whole URL.
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find('/').map_or("/", |start| &rest[start..])
        }
        _ => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}

/// The decoded path relative to the root; `None` when a part of it names something else than
/// an entry of the directory before it.
fn relative_path(target: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    // Split before decoding: an encoded slash belongs to a name, and no file name has one.
    for segment in path_of(target).split('/') {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        match name.as_ref() {
            "" | "." => {}
            ".." => return None,
            name if name.contains(['/', '\\', '\0']) => return None,
            // `C:` would replace the path before it on Windows.
            name if cfg!(windows) && name.contains(':') => return None,
            name => relative.push(name),
        }
    }
    Some(relative)
}

/// The real path, when it exists and lies inside `root` (itself a real path).
fn inside(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    match path.canonicalize() {
        Ok(real) => Ok(real.starts_with(root).then_some(real)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename => Ok(None),
            _ => Err(error),
        },
    }
}
