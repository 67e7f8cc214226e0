//! The server over real connections, and the resolving of paths.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::mime::content_type;
use super::resolve::{Resolved, resolve};
use super::{bind, in_background};

/// A site with a page, a big file and a name with a space; beside it a file to keep secret.
fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("dist");
    fs::create_dir_all(root.join("pkg")).unwrap();
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::write(root.join("index.html"), "<p>page").unwrap();
    fs::write(root.join("pkg/rrsis_cpu_bg.wasm"), b"\0asm").unwrap();
    fs::write(root.join("a b%.json"), "{}").unwrap();
    let big: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    fs::write(root.join("text.bpk"), big).unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    dir
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

fn ask(site: &str, method: &str, target: &str, headers: &str) -> Reply {
    let address = site.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    let end = raw
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply {
        status,
        head,
        body: raw[end + 4..].to_vec(),
    }
}

#[test]
fn types_are_what_browsers_want() {
    for (name, expected) in [
        ("pkg/rrsis_cpu_bg.wasm", "application/wasm"),
        ("worker.js", "text/javascript; charset=utf-8"),
        ("x.MJS", "text/javascript; charset=utf-8"),
        ("manifest.json", "application/json"),
        ("text.bpk", "application/octet-stream"),
        ("rrsis-segment.d.ts", "text/plain; charset=utf-8"),
        ("LICENSE", "application/octet-stream"),
    ] {
        assert_eq!(content_type(Path::new(name)), expected, "{name}");
    }
}

#[test]
fn names_are_decoded_once() {
    let dir = site();
    let root = dir.path().join("dist");
    let file = |name: &str| Resolved::File(root.canonicalize().unwrap().join(name));
    assert_eq!(
        resolve(&root, "/a%20b%25.json?x=1#y").unwrap(),
        file("a b%.json")
    );
    assert_eq!(resolve(&root, "/").unwrap(), file("index.html"));
    assert_eq!(
        resolve(&root, "http://host/pkg/./rrsis_cpu_bg.wasm").unwrap(),
        file("pkg/rrsis_cpu_bg.wasm")
    );
    assert_eq!(resolve(&root, "/pkg").unwrap(), Resolved::AddSlash);
    for target in [
        "/a%2520b%25.json",
        "/empty/",
        "/index.html/",
        "/index.html/x",
        "/none",
        "/%ff",
        "/pkg/",
    ] {
        assert_eq!(
            resolve(&root, target).unwrap(),
            Resolved::NotFound,
            "{target}"
        );
    }
    let long = format!("/{}", "a".repeat(5000));
    assert_eq!(resolve(&root, &long).unwrap(), Resolved::NotFound);
}

#[test]
fn nothing_outside_the_root_is_served() {
    let dir = site();
    let root = dir.path().join("dist");
    for target in [
        "/../secret",
        "/pkg/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/..\\secret",
        "/..%5csecret",
        "/pkg/..",
        "/index.html%00",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
    ] {
        assert_eq!(
            resolve(&root, target).unwrap(),
            Resolved::NotFound,
            "{target}"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_the_root_only() {
    use std::os::unix::fs::symlink;
    let dir = site();
    let root = dir.path().join("dist");
    symlink(dir.path().join("secret"), root.join("out")).unwrap();
    symlink(dir.path(), root.join("up")).unwrap();
    symlink(root.join("index.html"), root.join("in")).unwrap();
    assert_eq!(resolve(&root, "/out").unwrap(), Resolved::NotFound);
    assert_eq!(resolve(&root, "/up/secret").unwrap(), Resolved::NotFound);
    assert!(matches!(resolve(&root, "/in").unwrap(), Resolved::File(_)));
}

#[test]
fn a_file_comes_whole_with_its_length() {
    let dir = site();
    let site = in_background(dir.path().join("dist"), false).unwrap();
    let reply = ask(&site, "GET", "/text.bpk", "");
    assert_eq!((reply.status, reply.body.len()), (200, 3_000_000));
    assert_eq!(reply.header("content-length"), Some("3000000"));
    assert_eq!(reply.header("transfer-encoding"), None);
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert_eq!(reply.header("cross-origin-opener-policy"), None);
    let head = ask(&site, "HEAD", "/text.bpk", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("3000000"));
    assert_eq!(
        ask(&site, "GET", "/", "").header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[test]
fn a_download_can_be_resumed() {
    let dir = site();
    let site = in_background(dir.path().join("dist"), false).unwrap();
    let first = ask(&site, "GET", "/text.bpk", "Range: bytes=0-9\r\n");
    assert_eq!(
        (first.status, first.header("content-range")),
        (206, Some("bytes 0-9/3000000"))
    );
    assert_eq!(first.body, (0..10).collect::<Vec<u8>>());
    let tag = first.header("etag").unwrap();
    let rest = ask(
        &site,
        "GET",
        "/text.bpk",
        &format!("Range: bytes=251-\r\nIf-Range: {tag}\r\n"),
    );
    assert_eq!(
        (rest.status, rest.body.len(), rest.body[0]),
        (206, 3_000_000 - 251, 0)
    );
    // The file changed since: all of it, not a second half that does not fit.
    let other = ask(
        &site,
        "GET",
        "/text.bpk",
        "Range: bytes=251-\r\nIf-Range: \"other\"\r\n",
    );
    assert_eq!((other.status, other.body.len()), (200, 3_000_000));
    let past = ask(&site, "GET", "/text.bpk", "Range: bytes=3000000-\r\n");
    assert_eq!(
        (past.status, past.header("content-range")),
        (416, Some("bytes */3000000"))
    );
}

#[test]
fn a_known_version_is_not_sent_again() {
    let dir = site();
    let site = in_background(dir.path().join("dist"), false).unwrap();
    let reply = ask(&site, "GET", "/pkg/rrsis_cpu_bg.wasm", "");
    assert_eq!(reply.header("content-type"), Some("application/wasm"));
    let (tag, date) = (
        reply.header("etag").unwrap(),
        reply.header("last-modified").unwrap(),
    );
    for headers in [
        format!("If-None-Match: {tag}\r\n"),
        format!("If-Modified-Since: {date}\r\n"),
    ] {
        let again = ask(&site, "GET", "/pkg/rrsis_cpu_bg.wasm", &headers);
        assert_eq!((again.status, again.body.len()), (304, 0), "{headers}");
    }
    assert_eq!(
        ask(
            &site,
            "GET",
            "/pkg/rrsis_cpu_bg.wasm",
            "If-None-Match: \"other\"\r\n"
        )
        .status,
        200
    );
}

#[test]
fn other_requests_are_refused() {
    let dir = site();
    let site = in_background(dir.path().join("dist"), false).unwrap();
    let post = ask(&site, "POST", "/", "Content-Length: 0\r\n");
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(ask(&site, "GET", "/../secret", "").status, 404);
    let redirect = ask(&site, "GET", "//pkg", "");
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (301, Some("/pkg/"))
    );
}

#[test]
fn a_connection_takes_request_after_request() {
    let dir = site();
    let site = in_background(dir.path().join("dist"), false).unwrap();
    let mut stream =
        TcpStream::connect(site.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    let request = "GET /pkg/rrsis_cpu_bg.wasm HTTP/1.1\r\nHost: x\r\n";
    write!(
        stream,
        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n{request}\r\n{request}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    let text = String::from_utf8_lossy(&raw);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
    assert_eq!(text.matches("\0asm").count(), 2, "{text}");
}

#[test]
fn what_is_no_request_gets_an_answer() {
    let dir = site();
    let site = in_background(dir.path().join("dist"), false).unwrap();
    let mut stream =
        TcpStream::connect(site.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    stream.write_all(b"\x16\x03\x01 hello\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
}

#[test]
fn a_stalled_download_holds_up_nobody() {
    let dir = site();
    let site = in_background(dir.path().join("dist"), false).unwrap();
    let address = site
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let stalled: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            write!(stream, "GET /text.bpk HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(ask(&site, "GET", "/", "").status, 200);
    drop(stalled);
}

#[test]
fn a_taken_port_names_the_flag() {
    let listener = bind(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = bind(port).err().unwrap().to_string();
    assert!(
        error.contains(&port.to_string()) && error.contains("--port"),
        "{error}"
    );
}
