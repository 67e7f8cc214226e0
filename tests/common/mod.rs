//! What several tests need: the shared fixtures, and a way to skip where they are absent.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder with fixtures and data beside the checkout, or `$RRSIS_SHARED_DIR`; `None` where
/// there is none.
pub fn shared_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("RRSIS_SHARED_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")),
        PathBuf::from,
    );
    dir.is_dir().then_some(dir)
}

/// A file or folder under [`shared_dir`]. Says that the test is skipped where it is absent.
pub fn shared_path(path: &str) -> Option<PathBuf> {
    let found = shared_dir().map(|root| root.join(path));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        skip(&format!("{test}: shared/{path} is not here"));
    }
    found
}

/// Says why a test (or a part of it) did not run, and tells `cargo xtask test`, which counts it.
pub fn skip(why: &str) {
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("RRSIS_SKIP_LOG") {
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(log);
        if let Ok(mut file) = file {
            // A lost line only makes the count of skipped tests too low.
            let _ = writeln!(file, "{why}");
        }
    }
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The content of a file that must be there.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An RGB drawing of some size with a pixel rule.
pub fn drawn(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| pixel(x, y))
        .collect()
}

/// A drawing with structure at every scale, for encoders.
pub fn pattern(width: usize, height: usize) -> Vec<u8> {
    drawn(width, height, |x, y| {
        [(x * x + 3 * y) as u8, (5 * x + y * y) as u8, (x * y) as u8]
    })
}

/// An RGB drawing as the bytes of a file.
pub fn encoded(rgb: &[u8], width: usize, height: usize, format: image::ImageFormat) -> Vec<u8> {
    let buffer = image::RgbImage::from_raw(width as u32, height as u32, rgb.to_vec())
        .expect("the buffer fits its size");
    let mut file = std::io::Cursor::new(Vec::new());
    buffer
        .write_to(&mut file, format)
        .expect("the image can be encoded");
    file.into_inner()
}
