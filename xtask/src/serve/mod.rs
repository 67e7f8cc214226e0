//! A static file server for `dist/`: the right types, ranges for resumed downloads,
//! and nothing that a plain host would not offer.

mod mime;
mod range;
mod resolve;
mod respond;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow, bail};
use tiny_http::Server;

/// Listens on 127.0.0.1; port 0 takes a free one.
pub fn bind(port: u16) -> Result<Server> {
    Server::http((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        let taken = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse);
        if taken {
            let other = port.checked_add(1).unwrap_or(8001);
            anyhow!("port {port} is taken by another program: choose another one, e.g. `--port {other}`")
        } else {
            anyhow!("cannot listen on 127.0.0.1:{port}: {error}")
        }
    })
}

/// The address of a server as a URL that ends in a slash.
pub fn url(server: &Server) -> String {
    match server.server_addr().to_ip() {
        Some(SocketAddr::V4(address)) => format!("http://{address}/"),
        _ => String::from("http://127.0.0.1/"),
    }
}

/// Serves `root` until the process ends.
pub fn forever(server: Server, root: &Path) -> Result<()> {
    if !root.join("index.html").is_file() {
        bail!("{} holds no index.html: run without `--no-build` to build it", root.display());
    }
    println!("serving {} on {} (Ctrl-C ends it)", root.display(), url(&server));
    accept(&Arc::new(server), root);
    Ok(())
}

/// Serves `root` on a free port from threads of its own; returns the URL.
pub fn in_background(root: PathBuf) -> Result<String> {
    let server = Arc::new(bind(0)?);
    let url = url(&server);
    thread::spawn(move || accept(&server, &root));
    Ok(url)
}

/// One thread a request, so that a slow download holds up nobody.
fn accept(server: &Arc<Server>, root: &Path) {
    let root = Arc::new(root.to_path_buf());
    for request in server.incoming_requests() {
        let root = Arc::clone(&root);
        thread::spawn(move || respond::respond(request, &root));
    }
}

#[cfg(test)]
mod tests;
