//! `wasm-pack.toml`: the settings of the browser build.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Stem of the generated files.
    pub out_name: String,
    /// Target features beyond rustc's defaults, by rustc's names.
    pub target_features: Vec<String>,
    /// The build profiles by name.
    pub profile: BTreeMap<String, Profile>,
}

/// One `[profile.*]` table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// The profile in Cargo.toml.
    pub cargo_profile: String,
    /// Cargo features of the package `rrsis`.
    pub features: Vec<String>,
    /// Whether the package's default features come on top.
    pub default_features: bool,
    /// Flags for wasm-opt; it is not run when there are none.
    #[serde(default)]
    pub wasm_opt: Vec<String>,
    /// Sizes the module must not exceed.
    pub budget: Option<Budget>,
}

/// Limits in bytes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Bytes of the .wasm file.
    pub raw: u64,
    /// Bytes of the same file gzipped at level 9.
    pub gzip: u64,
}

impl Settings {
    /// Reads `wasm-pack.toml` in `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("wasm-pack.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| {
            format!(
                "{} is not as xtask/src/settings.rs wants it",
                path.display()
            )
        })
    }

    /// The profile called `name`, or an error that lists those there are.
    pub fn profile(&self, name: &str) -> Result<&Profile> {
        self.profile.get(name).with_context(|| {
            let known: Vec<&str> = self.profile.keys().map(String::as_str).collect();
            format!(
                "wasm-pack.toml has no profile `{name}`; it has {}",
                known.join(", ")
            )
        })
    }

    /// The wasm-opt flags that allow what rustc may emit: its default features and ours.
    pub fn wasm_opt_features(&self) -> Vec<String> {
        const RUSTC_DEFAULTS: [&str; 6] = [
            "bulk-memory",
            "multivalue",
            "mutable-globals",
            "nontrapping-float-to-int",
            "reference-types",
            "sign-ext",
        ];
        let ours = self
            .target_features
            .iter()
            .map(|feature| match feature.as_str() {
                "simd128" => "simd",
                "atomics" => "threads",
                other => other,
            });
        RUSTC_DEFAULTS
            .into_iter()
            .chain(ours)
            .map(|feature| format!("--enable-{feature}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_repository_s_own_file_is_valid() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let settings = Settings::read(root).unwrap();
        assert_eq!(settings.out_name, "rrsis");
        assert!(
            settings.profile("web").unwrap().budget.is_some(),
            "what ships has a size budget"
        );
        let first = fs::read_to_string(root.join("wasm-pack.toml")).unwrap();
        assert!(first.starts_with("# Read by `cargo xtask build`"));
    }

    #[test]
    fn an_unknown_profile_lists_the_known_ones() {
        let settings: Settings = toml::from_str(
            "out-name = \"x\"\ntarget-features = [\"simd128\"]\n[profile.a]\ncargo-profile = \"a\"\nfeatures = []\ndefault-features = true\n",
        ).unwrap();
        let error = settings.profile("b").unwrap_err().to_string();
        assert!(
            error.contains("`b`") && error.ends_with("it has a"),
            "{error}"
        );
        assert!(
            settings
                .wasm_opt_features()
                .contains(&"--enable-simd".to_owned())
        );
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(toml::from_str::<Settings>("out-name = \"x\"\ntarget-feature = []\n").is_err());
    }
}
