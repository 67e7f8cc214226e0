//! One request, one response.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::http::{Request, Response};
use super::mime::content_type;
use super::range::{Part, part};
use super::resolve::{Resolved, path_of, resolve};

/// Answers `request` from the files under `root`.
pub fn respond(request: &Request, root: &Path) -> Response {
    answer(request, root).unwrap_or_else(|error| {
        eprintln!("{} {}: {error}", request.method, request.target);
        Response::message(500, "The file cannot be read.\n")
    })
}

fn answer(request: &Request, root: &Path) -> io::Result<Response> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Ok(
            Response::message(405, "Only GET and HEAD are served.\n").with("Allow", "GET, HEAD")
        );
    }
    let path = match resolve(root, &request.target)? {
        Resolved::File(path) => path,
        Resolved::AddSlash => {
            // Two slashes at the start would name another host.
            let location = format!("/{}/", path_of(&request.target).trim_start_matches('/'));
            return Ok(Response::message(301, "").with("Location", location));
        }
        Resolved::NotFound => return Ok(Response::message(404, "Not found.\n")),
    };
    let mut file = File::open(&path)?;
    let meta = file.metadata()?;
    let length = meta.len();
    let version = Version::of(&meta);
    if version.is_known_to(request) {
        return Ok(version.describe(Response::new(304, 0, io::empty())));
    }
    let part = match request.header("Range") {
        Some(range) if version.allows_range(request) => part(range, length),
        _ => Part::Whole,
    };
    let (status, first, count) = match part {
        Part::Whole => (200, 0, length),
        Part::Bytes { first, last } => (206, first, last - first + 1),
        Part::Unsatisfiable => {
            return Ok(
                Response::message(416, "The range starts past the end of the file.\n")
                    .with("Content-Range", format!("bytes */{length}")),
            );
        }
    };
    file.seek(SeekFrom::Start(first))?;
    let mut response = Response::new(status, count, file.take(count))
        .with("Content-Type", content_type(&path))
        .with("Accept-Ranges", "bytes");
    if status == 206 {
        response = response.with(
            "Content-Range",
            format!("bytes {first}-{}/{length}", first + count - 1),
        );
    }
    Ok(version.describe(response))
}

/// Which version of a file this is.
struct Version {
    tag: String,
    modified: SystemTime,
}

impl Version {
    fn of(meta: &Metadata) -> Self {
        let modified = meta.modified().unwrap_or(UNIX_EPOCH);
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            tag: format!("\"{:x}-{:x}\"", meta.len(), since.as_nanos()),
            modified,
        }
    }

    fn date(&self) -> String {
        httpdate::fmt_http_date(self.modified)
    }

    /// Whether the client's copy is this version (RFC 9110, section 13.2.2).
    fn is_known_to(&self, request: &Request) -> bool {
        if let Some(tags) = request.header("If-None-Match") {
            return tags
                .split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.tag);
        }
        request
            .header("If-Modified-Since")
            .and_then(|date| httpdate::parse_http_date(date).ok())
            // The header has whole seconds.
            .is_some_and(|date| self.modified < date + Duration::from_secs(1))
    }

    /// Whether a range may be sent: the client's first half must be of this version.
    fn allows_range(&self, request: &Request) -> bool {
        request
            .header("If-Range")
            .is_none_or(|version| version == self.tag || version == self.date())
    }

    fn describe(&self, response: Response) -> Response {
        response
            .with("ETag", self.tag.clone())
            .with("Last-Modified", self.date())
            // Kept, but asked for again each time: a rebuild shows at once.
            .with("Cache-Control", "no-cache")
    }
}
