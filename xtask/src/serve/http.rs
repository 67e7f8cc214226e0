//! As much of HTTP/1.1 as a static file server needs: one thread a connection.
//!
//! A thread each, and no pool: a browser keeps idle connections open and pauses downloads,
//! and in a pool those would hold up others.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

/// Heads of requests are small; a bigger one is no browser's.
const LONGEST_HEAD: u64 = 64 * 1024;
const MOST_HEADERS: usize = 100;
/// How long a connection may be idle between requests, or a client take no byte.
const PATIENCE: Duration = Duration::from_secs(120);

/// The head of a request.
pub struct Request {
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    headers: Vec<(String, String)>,
    /// Whether the connection ends with this request.
    last: bool,
}

impl Request {
    /// The value of a header; `name` in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A response with a body of known length.
pub struct Response {
    pub status: u16,
    headers: Vec<(&'static str, String)>,
    length: u64,
    body: Box<dyn Read>,
}

impl Response {
    /// A response whose body gives `length` bytes.
    pub fn new(status: u16, length: u64, body: impl Read + 'static) -> Self {
        Self {
            status,
            headers: Vec::new(),
            length,
            body: Box::new(body),
        }
    }

    /// A short message for people.
    pub fn message(status: u16, text: &'static str) -> Self {
        Self::new(status, text.len() as u64, text.as_bytes())
            .with("Content-Type", "text/plain; charset=utf-8")
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answers the requests of one connection until it ends.
pub fn converse(stream: TcpStream, answer: impl Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = BufWriter::with_capacity(64 * 1024, stream);
    loop {
        let Some(head) = read_head(&mut reader)? else {
            return Ok(());
        };
        let Some(request) = parse(&head) else {
            let response = Response::message(400, "This is not a request.\n");
            return send(&mut writer, response, false, true);
        };
        let response = answer(&request);
        send(
            &mut writer,
            response,
            request.method == "HEAD",
            request.last,
        )?;
        if request.last {
            return Ok(());
        }
    }
}

/// The bytes up to the empty line; `None` when the client has closed the connection.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut limited = reader.take(LONGEST_HEAD);
    loop {
        let start = head.len();
        if limited.read_until(b'\n', &mut head)? == 0 {
            return if head.is_empty() {
                Ok(None)
            } else {
                Ok(Some(head))
            };
        }
        let line = &head[start..];
        if line == b"\r\n" || line == b"\n" {
            return Ok(Some(head));
        }
    }
}

fn parse(head: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    if !parsed.parse(head).ok()?.is_complete() {
        return None;
    }
    let mut request = Request {
        method: parsed.method?.to_owned(),
        target: parsed.path?.to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|header| {
                (
                    header.name.to_owned(),
                    String::from_utf8_lossy(header.value).into_owned(),
                )
            })
            .collect(),
        last: false,
    };
    let connection = request
        .header("Connection")
        .unwrap_or_default()
        .to_ascii_lowercase();
    // A body is never read, so nothing can follow it.
    let body = request
        .header("Content-Length")
        .is_some_and(|length| length != "0")
        || request.header("Transfer-Encoding").is_some();
    request.last = body || parsed.version != Some(1) || connection.contains("close");
    Some(request)
}

fn send(
    writer: &mut impl Write,
    response: Response,
    head_only: bool,
    last: bool,
) -> io::Result<()> {
    write!(
        writer,
        "HTTP/1.1 {} {}\r\n",
        response.status,
        reason(response.status)
    )?;
    write!(
        writer,
        "Date: {}\r\n",
        httpdate::fmt_http_date(SystemTime::now())
    )?;
    for (name, value) in &response.headers {
        // A line break in a value would start a header of its own.
        let value: String = value
            .chars()
            .filter(|character| !character.is_control())
            .collect();
        write!(writer, "{name}: {value}\r\n")?;
    }
    // Always a length, never chunks: the page's progress is in true bytes.
    if response.status != 304 {
        write!(writer, "Content-Length: {}\r\n", response.length)?;
    }
    write!(
        writer,
        "Connection: {}\r\n\r\n",
        if last { "close" } else { "keep-alive" }
    )?;
    if !head_only && response.status != 304 {
        let sent = io::copy(&mut response.body.take(response.length), writer)?;
        if sent < response.length {
            // The client waits for the rest: only the end of the connection tells it.
            writer.flush()?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    writer.flush()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        _ => "Internal Server Error",
    }
}
