//! One request, one response.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tiny_http::{Header, Method, Request, Response, StatusCode};

use super::mime::content_type;
use super::range::{Part, part};
use super::resolve::{Resolved, path_of, resolve};

type Body = Box<dyn Read + Send>;

/// Answers `request` from the files under `root`.
pub fn respond(request: Request, root: &Path) {
    let response = answer(&request, root).unwrap_or_else(|error| {
        eprintln!("{} {}: {error}", request.method(), request.url());
        message(500, "The file cannot be read.\n")
    });
    // A length is always sent: the page's progress is in true bytes.
    let _ = request.respond(response.with_chunked_threshold(usize::MAX));
}

fn answer(request: &Request, root: &Path) -> io::Result<Response<Body>> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return Ok(with(message(405, "Only GET and HEAD are served.\n"), "Allow", "GET, HEAD"));
    }
    let path = match resolve(root, request.url())? {
        Resolved::File(path) => path,
        Resolved::AddSlash => {
            // Two slashes at the start would name another host.
            let location = format!("/{}/", path_of(request.url()).trim_start_matches('/'));
            return Ok(with(message(301, ""), "Location", &location));
        }
        Resolved::NotFound => return Ok(message(404, "Not found.\n")),
    };
    let mut file = File::open(&path)?;
    let meta = file.metadata()?;
    let length = meta.len();
    let version = Version::of(&meta);
    if version.is_known_to(request) {
        return Ok(version.describe(Response::new(StatusCode(304), Vec::new(), empty(), None, None)));
    }
    let part = match header(request, "Range") {
        Some(range) if version.allows_range(request) => part(range, length),
        _ => Part::Whole,
    };
    let (status, first, count) = match part {
        Part::Whole => (200, 0, length),
        Part::Bytes { first, last } => (206, first, last - first + 1),
        Part::Unsatisfiable => {
            return Ok(with(message(416, "The range starts past the end of the file.\n"), "Content-Range", &format!("bytes */{length}")));
        }
    };
    file.seek(SeekFrom::Start(first))?;
    let body: Body = Box::new(file.take(count));
    let count = usize::try_from(count).map_err(io::Error::other)?;
    let mut response = Response::new(StatusCode(status), Vec::new(), body, Some(count), None);
    response = with(response, "Content-Type", content_type(&path));
    response = with(response, "Accept-Ranges", "bytes");
    if status == 206 {
        response = with(response, "Content-Range", &format!("bytes {first}-{}/{length}", first + count as u64 - 1));
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
        Self { tag: format!("\"{:x}-{:x}\"", meta.len(), since.as_nanos()), modified }
    }

    fn date(&self) -> String {
        httpdate::fmt_http_date(self.modified)
    }

    /// Whether the client's copy is this version (RFC 9110, section 13.2.2).
    fn is_known_to(&self, request: &Request) -> bool {
        if let Some(tags) = header(request, "If-None-Match") {
            return tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.tag);
        }
        header(request, "If-Modified-Since")
            .and_then(|date| httpdate::parse_http_date(date).ok())
            // The header has whole seconds.
            .is_some_and(|date| self.modified < date + Duration::from_secs(1))
    }

    /// Whether a range may be sent: the client's first half must be of this version.
    fn allows_range(&self, request: &Request) -> bool {
        header(request, "If-Range").is_none_or(|version| version == self.tag || version == self.date())
    }

    fn describe(&self, response: Response<Body>) -> Response<Body> {
        let response = with(response, "ETag", &self.tag);
        let response = with(response, "Last-Modified", &self.date());
        // Kept, but asked for again each time: a rebuild shows at once.
        with(response, "Cache-Control", "no-cache")
    }
}

fn header<'r>(request: &'r Request, name: &'static str) -> Option<&'r str> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
}

fn message(status: u16, text: &str) -> Response<Body> {
    let body: Body = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
    let response = Response::new(StatusCode(status), Vec::new(), body, Some(text.len()), None);
    with(response, "Content-Type", "text/plain; charset=utf-8")
}

fn empty() -> Body {
    Box::new(io::empty())
}

/// Adds a header; a value that is not ASCII is left out.
fn with(response: Response<Body>, name: &str, value: &str) -> Response<Body> {
    match Header::from_bytes(name, value) {
        Ok(header) => response.with_header(header),
        Err(()) => response,
    }
}
