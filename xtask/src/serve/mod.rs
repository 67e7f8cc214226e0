//! A static file server for `dist/`: the right types, ranges for resumed downloads,
//! and nothing that a plain host would not offer.

mod http;
mod mime;
mod range;
mod resolve;
mod respond;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

/// Listens on 127.0.0.1; port 0 takes a free one.
pub fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let other = port.checked_add(1).unwrap_or(8001);
            anyhow!(
                "port {port} is taken by another program: choose another one, e.g. `--port {other}`"
            )
        }
        _ => {
            anyhow!("cannot listen on 127.0.0.1:{port}: {error}; choose another port with `--port`")
        }
    })
}

/// Serves `root` until the process ends; `isolated`: to pages that are isolated from other origins.
pub fn forever(listener: &TcpListener, root: &Path, isolated: bool) -> Result<()> {
    if !root.join("index.html").is_file() {
        bail!(
            "{} holds no index.html: run without `--no-build` to build it",
            root.display()
        );
    }
    println!(
        "serving {} on {} (Ctrl-C ends it)",
        root.display(),
        url(listener)?
    );
    accept(listener, root, isolated);
    Ok(())
}

/// Serves `root` on a free port from threads of its own; returns the URL, with a final slash.
pub fn in_background(root: PathBuf, isolated: bool) -> Result<String> {
    let listener = bind(0)?;
    let url = url(&listener)?;
    thread::spawn(move || accept(&listener, &root, isolated));
    Ok(url)
}

fn url(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}/", listener.local_addr()?))
}

/// What makes a page one that may share memory between threads.
const ISOLATION: [(&str, &str); 2] = [
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
];

fn accept(listener: &TcpListener, root: &Path, isolated: bool) {
    let root: Arc<Path> = root.into();
    for stream in listener.incoming() {
        let root = Arc::clone(&root);
        let conversation = |stream| {
            move || {
                // A connection that breaks off is the client's affair.
                let _ = http::converse(stream, |request| {
                    let response = respond::respond(request, &root);
                    let headers = ISOLATION.into_iter().filter(|_| isolated);
                    headers.fold(response, |response, (name, value)| {
                        response.with(name, value)
                    })
                });
            }
        };
        let started = stream.and_then(|stream| thread::Builder::new().spawn(conversation(stream)));
        if let Err(error) = started {
            // Out of files or threads: some connection will end soon.
            eprintln!("a connection was lost: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

#[cfg(test)]
mod tests;
