//! How big a module is, and how big it may be.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::settings::Budget;

/// Sizes of a .wasm file in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    raw: u64,
    gzip: u64,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{} bytes ({:.2} MB), gzipped {} bytes ({:.2} MB)",
            self.raw,
            mega(self.raw),
            self.gzip,
            mega(self.gzip)
        )
    }
}

impl Sizes {
    /// Where the module called `name` is bigger than `wasm-pack.toml` allows, in words.
    pub fn over(self, name: &str, budget: Budget) -> Vec<String> {
        [
            ("", self.raw, budget.raw),
            (" gzipped", self.gzip, budget.gzip),
        ]
        .into_iter()
        .filter(|(_, size, limit)| size > limit)
        .map(|(what, size, limit)| {
            format!(
                "{name}_bg.wasm has {size} bytes{what}, {} over the {limit} allowed",
                size - limit
            )
        })
        .collect()
    }
}

/// Measures the module of a package; the gzipped size is kept beside it.
pub fn of_package(package: &Path, name: &str) -> Result<Sizes> {
    let wasm = package.join(format!("{name}_bg.wasm"));
    let raw = fs::metadata(&wasm)
        .with_context(|| format!("cannot read {}", wasm.display()))?
        .len();
    let note = package.join(".gzip-bytes");
    let known = fs::read_to_string(&note)
        .ok()
        .and_then(|text| text.parse().ok());
    let gzip = match known {
        Some(gzip) => gzip,
        None => {
            let mut encoder = GzEncoder::new(Counter(0), Compression::best());
            encoder.write_all(&fs::read(&wasm)?)?;
            let gzip = encoder.finish()?.0;
            fs::write(&note, gzip.to_string())?;
            gzip
        }
    };
    Ok(Sizes { raw, gzip })
}

/// Counts what is written.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_over_budget_is_said_in_bytes() {
        let sizes = Sizes {
            raw: 1_000,
            gzip: 500,
        };
        let budget = |gzip| Budget { raw: 1_000, gzip };
        assert!(sizes.over("x", budget(500)).is_empty());
        assert_eq!(
            sizes.over("x", budget(499)),
            ["x_bg.wasm has 500 bytes gzipped, 1 over the 499 allowed"]
        );
    }

    #[test]
    fn a_package_is_measured_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x_bg.wasm"), vec![7; 100_000]).unwrap();
        let sizes = of_package(dir.path(), "x").unwrap();
        assert!(sizes.raw == 100_000 && sizes.gzip < 1_000, "{sizes}");
        assert_eq!(of_package(dir.path(), "x").unwrap(), sizes);
    }
}
