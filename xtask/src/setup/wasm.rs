//! A Rust toolchain with a standard library for wasm32.
//!
//! The toolchain that runs this command gets the target from rustup. Where rustup cannot
//! download, Debian's `rustc-web` brings a recent compiler and the sources of its standard
//! library, which is then built once into the cache; the compiler finds it with `--sysroot`.
//! `RRSIS_WASM_TOOLCHAIN=debian` takes that way in any case.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{WASM_TARGET, apt};
use crate::process;
use crate::workspace::{Workspace, non_empty, on_path};

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
/// burn 0.22 needs this one or newer.
const OLDEST_RUSTC: (u32, u32) = (1, 95);

/// How cargo is called for the browser build.
pub struct WasmToolchain {
    /// What was found, for people.
    pub description: String,
    cargo: OsString,
    /// Set with Debian's compiler only.
    debian: Option<Debian>,
}

struct Debian {
    sysroot: PathBuf,
    linker: PathBuf,
}

impl WasmToolchain {
    /// `cargo COMMAND --target wasm32-unknown-unknown` with the given target features.
    pub fn cargo(
        &self,
        workspace: &Workspace,
        command: &str,
        target_features: &[String],
    ) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(&workspace.root)
            .env("CARGO_TARGET_DIR", &workspace.target)
            // They would replace the flags of .cargo/config.toml.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .arg(command)
            .args(["--target", WASM_TARGET]);
        let mut flags: Vec<String> = Vec::new();
        if !target_features.is_empty() {
            let enabled: Vec<String> = target_features
                .iter()
                .map(|feature| format!("+{feature}"))
                .collect();
            flags.extend([
                "-C".to_owned(),
                format!("target-feature={}", enabled.join(",")),
            ]);
        }
        if let Some(debian) = &self.debian {
            clear_rustup(&mut cargo);
            cargo.env("RUSTC", DEBIAN_RUSTC);
            flags.extend(["--sysroot".to_owned(), debian.sysroot.display().to_string()]);
            cargo.args([
                "--config",
                &format!(
                    "target.{WASM_TARGET}.linker={:?}",
                    debian.linker.display().to_string()
                ),
            ]);
        }
        // Cargo appends these to the list in .cargo/config.toml.
        cargo.args([
            "--config",
            &format!("target.{WASM_TARGET}.rustflags={flags:?}"),
        ]);
        cargo
    }
}

/// Finds a toolchain for wasm32, or installs what one needs.
pub fn wasm_toolchain(workspace: &Workspace) -> Result<WasmToolchain> {
    let rustc = non_empty("RUSTC").unwrap_or_else(|| PathBuf::from("rustc"));
    let rustc_sysroot = || -> Result<PathBuf> {
        Ok(process::output(
            Command::new(&rustc)
                .current_dir(&workspace.root)
                .args(["--print", "sysroot"]),
        )?
        .into())
    };
    let native = |description: String| WasmToolchain {
        description,
        cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        debian: None,
    };
    if non_empty("RRSIS_WASM_TOOLCHAIN").is_some_and(|choice| choice == Path::new("debian")) {
        return debian_ready(workspace).unwrap_or_else(|| install_debian(workspace));
    }
    let sysroot = rustc_sysroot()?;
    if has_target(&sysroot) {
        return Ok(native(format!("of the toolchain {}", sysroot.display())));
    }
    if let Some(debian) = debian_ready(workspace) {
        return debian;
    }
    let mut rustup_said = String::from("rustup is not installed");
    if on_path("rustup").is_some() {
        println!("adding the target {WASM_TARGET} with rustup");
        match process::output(Command::new("rustup").current_dir(&workspace.root).args([
            "target",
            "add",
            WASM_TARGET,
        ])) {
            Ok(_) if has_target(&rustc_sysroot()?) => {
                return Ok(native(format!("of the toolchain {}", sysroot.display())));
            }
            Ok(_) => {
                rustup_said = format!(
                    "rustup added it to another toolchain than {}",
                    sysroot.display()
                )
            }
            Err(error) => rustup_said = error.to_string(),
        }
        println!("rustup could not; taking Debian's compiler and building the standard library");
    }
    install_debian(workspace).with_context(|| {
        format!("no standard library for {WASM_TARGET}: {rustup_said}; and Debian's packages did not help")
    })
}

/// Whether the standard library for wasm32 lies in `sysroot`.
fn has_target(sysroot: &Path) -> bool {
    let lib = sysroot.join("lib/rustlib").join(WASM_TARGET).join("lib");
    fs::read_dir(lib).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

/// Debian's compiler, when it is installed and the cache holds its standard library.
fn debian_ready(workspace: &Workspace) -> Option<Result<WasmToolchain>> {
    let version = Version::of_debian_rustc()?;
    let sysroot = std_sysroot(workspace, &version);
    (has_target(&sysroot) && version.recent() && Path::new(DEBIAN_CARGO).is_file()).then(|| {
        Ok(WasmToolchain {
            description: format!(
                "in {} for Debian's rustc {}",
                sysroot.display(),
                version.release
            ),
            cargo: DEBIAN_CARGO.into(),
            debian: Some(Debian {
                sysroot,
                linker: linker(&version)?,
            }),
        })
    })
}

fn install_debian(workspace: &Workspace) -> Result<WasmToolchain> {
    let otherwise = format!("or make `rustup target add {WASM_TARGET}` work");
    let usable = |version: &Version| {
        version.recent()
            && Path::new(DEBIAN_CARGO).is_file()
            && Path::new(DEBIAN_STD_SOURCES).is_file()
    };
    if !Version::of_debian_rustc().is_some_and(|version| usable(&version)) {
        apt::install(
            &["rustc-web", "cargo-web", "rust-web-src"],
            "a Rust compiler with the sources of its standard library",
            &otherwise,
        )?;
    }
    let Some(version) = Version::of_debian_rustc().filter(usable) else {
        let (major, minor) = OLDEST_RUSTC;
        bail!("Debian's packages bring no Rust {major}.{minor} with sources; {otherwise}");
    };
    if linker(&version).is_err() {
        let package = format!("lld-{}", version.llvm);
        apt::install(&[&package], "the linker for wasm32", &otherwise)?;
    }
    build_std(workspace, &version)?;
    match debian_ready(workspace) {
        Some(toolchain) => toolchain,
        None => bail!(
            "the standard library was built, but is not in {}",
            std_sysroot(workspace, &version).display()
        ),
    }
}

/// Builds the standard library of Debian's compiler for wasm32 into the cache (half a minute).
fn build_std(workspace: &Workspace, version: &Version) -> Result<()> {
    println!(
        "building the standard library for {WASM_TARGET} once, for rustc {}",
        version.release
    );
    let sysroot = std_sysroot(workspace, version);
    let work = workspace
        .cache
        .join("wasm-std")
        .join(format!("build-{}", std::process::id()));
    let package = work.join("package");
    fs::create_dir_all(&package).with_context(|| format!("cannot create {}", package.display()))?;
    // Cargo builds the standard library only for a package that uses it.
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"uses-std\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n",
    )?;
    fs::write(package.join("lib.rs"), "")?;
    let mut cargo = Command::new(DEBIAN_CARGO);
    clear_rustup(&mut cargo);
    process::run(
        cargo
            .current_dir(&package)
            .env("RUSTC", DEBIAN_RUSTC)
            // build-std is not stable; the sources and the compiler are of one package.
            .env("RUSTC_BOOTSTRAP", "1")
            // Cargo leaves bitcode out without LTO, and the shipped build's LTO wants it.
            .env("CARGO_ENCODED_RUSTFLAGS", "-Cembed-bitcode=yes")
            .env("CARGO_TARGET_DIR", work.join("target"))
            .args([
                "build",
                "--release",
                "--quiet",
                "--target",
                WASM_TARGET,
                "-Zbuild-std=std,panic_abort",
            ]),
    )?;
    let built = work.join("target").join(WASM_TARGET).join("release/deps");
    let unfinished = work.join("sysroot");
    let lib = unfinished.join("lib/rustlib").join(WASM_TARGET).join("lib");
    fs::create_dir_all(&lib)?;
    for entry in fs::read_dir(&built).with_context(|| format!("cannot list {}", built.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.ends_with(".rlib") && !name.starts_with("libuses_std") {
            fs::copy(&path, lib.join(name))
                .with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    // Another checkout may have been quicker; what it built is the same.
    if !has_target(&sysroot) {
        let _ = fs::remove_dir_all(&sysroot);
        fs::rename(&unfinished, &sysroot).with_context(|| {
            format!("cannot move the standard library to {}", sysroot.display())
        })?;
    }
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

fn std_sysroot(workspace: &Workspace, version: &Version) -> PathBuf {
    workspace.cache.join("wasm-std").join(&version.release)
}

/// LLVM's linker for wasm, of the compiler's LLVM version where there is one.
fn linker(version: &Version) -> Result<PathBuf> {
    on_path(&format!("wasm-ld-{}", version.llvm))
        .or_else(|| on_path("wasm-ld"))
        .with_context(|| {
            format!(
                "wasm-ld-{} is missing: install the package lld-{}",
                version.llvm, version.llvm
            )
        })
}

/// Takes out what rustup and `cargo run` put into the environment for their own toolchain.
fn clear_rustup(command: &mut Command) {
    for name in [
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTDOC",
        "CARGO",
    ] {
        command.env_remove(name);
    }
}

/// What `rustc -vV` says.
struct Version {
    release: String,
    llvm: String,
}

impl Version {
    fn of_debian_rustc() -> Option<Self> {
        let mut rustc = Command::new(DEBIAN_RUSTC);
        clear_rustup(&mut rustc);
        Self::parse(&process::output(rustc.arg("-vV")).ok()?)
    }

    fn parse(said: &str) -> Option<Self> {
        let field = |name: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        let llvm = field("LLVM version:")?.split('.').next()?.to_owned();
        Some(Self {
            release: field("release:")?.to_owned(),
            llvm,
        })
    }

    fn recent(&self) -> bool {
        let mut parts = self.release.split('.').map(|part| part.parse::<u32>().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor)) => (major, minor) >= OLDEST_RUSTC,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_compiler_s_version_is_read() {
        let version = Version::parse(
            "rustc 1.96.0 (ac68faa20)\nhost: x86_64\nrelease: 1.96.0\nLLVM version: 22.1.8\n",
        )
        .unwrap();
        assert_eq!(
            (version.release.as_str(), version.llvm.as_str()),
            ("1.96.0", "22")
        );
        assert!(version.recent());
    }

    #[test]
    fn an_old_compiler_is_not_taken() {
        let version = Version::parse("release: 1.63.0\nLLVM version: 14.0.6").unwrap();
        assert!(!version.recent());
        assert!(Version::parse("garbage").is_none());
    }
}
