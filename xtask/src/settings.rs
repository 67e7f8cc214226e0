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
    /// Target features of every module beyond rustc's defaults, by rustc's names.
    pub target_features: Vec<String>,
    /// The modules by the stem of their files.
    pub module: BTreeMap<String, Module>,
    /// The build profiles by name.
    pub profile: BTreeMap<String, Profile>,
}

/// One `[module.*]` table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Module {
    /// Cargo features of the package `rrsis`; its default ones are left out.
    pub features: Vec<String>,
    /// Target features that single functions have.
    #[serde(default)]
    pub function_features: Vec<String>,
    /// Whether workers may share its memory.
    #[serde(default)]
    pub shared_memory: bool,
    /// Sizes the optimised module must not exceed.
    pub budget: Budget,
}

/// One `[profile.*]` table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// The profile in Cargo.toml.
    pub cargo_profile: String,
    /// Flags for wasm-opt; it is not run when there are none, and no budget is looked at.
    #[serde(default)]
    pub wasm_opt: Vec<String>,
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

    /// The modules called `names`, or all where there are no names.
    pub fn modules<'a>(&'a self, names: &'a [String]) -> Result<Vec<(&'a String, &'a Module)>> {
        if names.is_empty() {
            return Ok(self.module.iter().collect());
        }
        let known = || self.module.keys().cloned().collect::<Vec<_>>().join(", ");
        names
            .iter()
            .map(|name| {
                let module = self.module.get_key_value(name);
                module.with_context(|| {
                    format!("wasm-pack.toml has no module `{name}`; it has {}", known())
                })
            })
            .collect()
    }

    /// The wasm-opt flags that allow what rustc may emit for a module: its default features and ours.
    pub fn wasm_opt_features(&self, module: &Module) -> Vec<String> {
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
            .chain(&module.function_features)
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
        let page = fs::read_to_string(root.join("www/lib/program.js")).unwrap();
        for name in settings.module.keys() {
            assert!(page.contains(&format!("\"{name}\"")), "nobody loads {name}");
        }
        assert!(!settings.profile("web").unwrap().wasm_opt.is_empty());
        let first = fs::read_to_string(root.join("wasm-pack.toml")).unwrap();
        assert!(first.starts_with("# Read by `cargo xtask build`"));
    }

    #[test]
    fn an_unknown_profile_lists_the_known_ones() {
        let settings: Settings = toml::from_str(
            "target-features = [\"simd128\"]\n\
             [module.m]\nfeatures = []\nfunction-features = [\"relaxed-simd\"]\nbudget = { raw = 1, gzip = 1 }\n\
             [profile.a]\ncargo-profile = \"a\"\n",
        )
        .unwrap();
        let error = settings.profile("b").unwrap_err().to_string();
        assert!(
            error.contains("`b`") && error.ends_with("it has a"),
            "{error}"
        );
        let error = settings.modules(&["n".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("`n`") && error.ends_with("it has m"),
            "{error}"
        );
        assert_eq!(settings.modules(&["m".to_owned()]).unwrap().len(), 1);
        let features = settings.wasm_opt_features(&settings.module["m"]);
        for feature in ["--enable-simd", "--enable-relaxed-simd"] {
            assert!(features.iter().any(|one| one == feature), "{features:?}");
        }
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(toml::from_str::<Settings>("target-feature = []\n").is_err());
    }
}
