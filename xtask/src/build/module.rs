//! From the library's source to the files of `pkg/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use super::assemble;
use crate::process;
use crate::settings::{Module, Profile, Settings};
use crate::setup::{Node, WASM_TARGET, WasmToolchain, hex};
use crate::workspace::Workspace;

/// Finished packages kept in the cache: a few branches, two profiles each, every module.
const KEPT: usize = 24;

/// Part of a package's name; raised when the way from cargo's output to the package changes.
const RECIPE: u32 = 3;

/// What makes the linker give a module memory that is shared, up to 2 GiB of it.
///
/// The standard library that rustc brings was compiled for one thread, which the linker would refuse:
/// src/platform/threads.rs tells why that is enough. wasm-bindgen asks for the exports.
const SHARED_MEMORY: [&str; 9] = [
    "--shared-memory",
    "--import-memory",
    "--max-memory=2147483648",
    "--no-check-features",
    "--export=__wasm_init_tls",
    "--export=__tls_size",
    "--export=__tls_align",
    "--export=__tls_base",
    "--export=__heap_base",
];

/// What every module of a build has in common.
pub struct Builder<'a> {
    pub workspace: &'a Workspace,
    pub settings: &'a Settings,
    pub profile: &'a Profile,
    pub toolchain: &'a WasmToolchain,
    pub node: &'a Node,
}

impl Builder<'_> {
    /// Compiles the library as the module called `name` and returns the directory that holds its
    /// package.
    ///
    /// Packages are kept in the cache under a hash of all that goes into them, so wasm-bindgen
    /// and wasm-opt run only when cargo's output has changed.
    pub fn package(&self, name: &str, module: &Module) -> Result<PathBuf> {
        let wasm = self.compile(name, module)?;
        let packages = self.workspace.cache.join("packages");
        let package = packages.join(self.key(name, module, &wasm)?);
        if package.is_dir() {
            return Ok(package);
        }
        let unfinished = packages.join(format!("unfinished-{}", std::process::id()));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)
            .with_context(|| format!("cannot create {}", unfinished.display()))?;
        let wasm = match module.shared_memory {
            true => with_thread_locals(&wasm).context("the linker's output cannot be changed")?,
            false => wasm,
        };
        self.bind(name, wasm, &unfinished)?;
        self.optimise(name, module, &unfinished)?;
        self.start(name, &unfinished)?;
        // Another checkout may have finished the same package meanwhile.
        if package.is_dir() {
            fs::remove_dir_all(&unfinished)?;
        } else {
            fs::rename(&unfinished, &package)
                .with_context(|| format!("cannot move the package to {}", package.display()))?;
        }
        prune(&packages)?;
        Ok(package)
    }

    /// Cargo's .wasm file, read while no other checkout can replace it.
    fn compile(&self, name: &str, module: &Module) -> Result<Vec<u8>> {
        let _lock = self.workspace.lock_target()?;
        let start = Instant::now();
        let profile = &self.profile.cargo_profile;
        let features = &self.settings.target_features;
        // Not for what it depends on, which all modules have in common.
        let link_arguments = match module.shared_memory {
            true => &SHARED_MEMORY[..],
            false => &[],
        };
        let mut cargo = self.toolchain.cargo(self.workspace, "rustc", features);
        cargo
            .args(["--package", "rrsis", "--lib", "--profile", profile])
            .args(["--crate-type", "cdylib"])
            .args(["--no-default-features", "--features"])
            .arg(module.features.join(","))
            .arg("--")
            .args(
                link_arguments
                    .iter()
                    .map(|link| format!("-Clink-arg={link}")),
            );
        process::run(&mut cargo)?;
        println!("{name}: compiled in {:.1} s", start.elapsed().as_secs_f32());
        let wasm = self.workspace.target.join(WASM_TARGET).join(profile);
        let wasm = wasm.join("rrsis.wasm");
        fs::read(&wasm).with_context(|| format!("cargo left no {}", wasm.display()))
    }

    /// Names a package by everything that goes into it.
    fn key(&self, name: &str, module: &Module, wasm: &[u8]) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(wasm);
        hash.update(format!(
            "{RECIPE} {name} {:?} {:?}",
            self.settings.wasm_opt_features(module),
            self.profile.wasm_opt
        ));
        // The versions of wasm-bindgen and of wasm-opt.
        for lock in ["Cargo.lock", "tests/web/package-lock.json"] {
            let path = self.workspace.root.join(lock);
            let content =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            hash.update(content);
        }
        let mut key = hex(&hash.finalize());
        key.truncate(24);
        Ok(key)
    }

    /// wasm-bindgen: the JavaScript module, its types, and the .wasm with its glue worked in.
    fn bind(&self, name: &str, wasm: Vec<u8>, into: &Path) -> Result<()> {
        let start = Instant::now();
        let mut bindgen = Bindgen::new();
        bindgen
            .input_bytes(name, wasm)
            .out_name(name)
            .typescript(true)
            // Names of functions make a readable trace; they ship nowhere.
            .remove_name_section(!self.profile.wasm_opt.is_empty())
            .remove_producers_section(true)
            .web(true)
            .and_then(|bindgen| bindgen.generate(into))
            .context("wasm-bindgen cannot work on the compiled library")?;
        println!(
            "{name}: wasm-bindgen took {:.1} s",
            start.elapsed().as_secs_f32()
        );
        Ok(())
    }

    /// wasm-opt, in place.
    ///
    /// Always the node package's: it is one version everywhere. Native ones are twice as fast, but
    /// systems ship some that break the module (see [`Self::start`]).
    fn optimise(&self, name: &str, module: &Module, package: &Path) -> Result<()> {
        if self.profile.wasm_opt.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let wasm = package.join(format!("{name}_bg.wasm"));
        let smaller = package.join("optimised.wasm");
        println!(
            "{name}: wasm-opt {} (takes minutes, once for each change)",
            self.profile.wasm_opt.join(" ")
        );
        process::run(
            Command::new(&self.node.program)
                .arg(&self.node.wasm_opt)
                .args(&self.profile.wasm_opt)
                .args(self.settings.wasm_opt_features(module))
                .arg(&wasm)
                .arg("-o")
                .arg(&smaller),
        )?;
        fs::rename(&smaller, &wasm)
            .with_context(|| format!("wasm-opt left no {}", smaller.display()))?;
        println!(
            "{name}: wasm-opt took {:.1} s",
            start.elapsed().as_secs_f32()
        );
        Ok(())
    }

    /// Starts the module as a page does, so that a package that no browser could start is never kept.
    ///
    /// wasm-opt can break what it makes smaller: before version 110 it exported the wrong table.
    fn start(&self, name: &str, package: &Path) -> Result<()> {
        // Node 20 has relaxed SIMD behind a flag; later ones do not mind it.
        const SCRIPT: &str = "
            import { readFileSync } from 'node:fs';
            import { pathToFileURL } from 'node:url';
            import { setFlagsFromString } from 'node:v8';
            setFlagsFromString('--experimental-wasm-relaxed-simd');
            const [script, wasm] = process.argv.slice(1);
            const { default: init } = await import(pathToFileURL(script));
            await init({ module_or_path: readFileSync(wasm) });";
        // As it will lie in the site: one module imports from beside its folder.
        let site = package.join("start");
        let pkg = site.join("pkg");
        fs::create_dir_all(&pkg)?;
        let files = [format!("{name}.js"), format!("{name}_bg.wasm")];
        for file in &files {
            fs::copy(package.join(file), pkg.join(file))?;
        }
        assemble::copy(&self.workspace.root.join("www/lib"), &site.join("lib"))?;
        let mut command = Command::new(&self.node.program);
        command
            .args(["--input-type=module", "--eval", SCRIPT])
            .args(files.iter().map(|file| pkg.join(file)));
        process::output(&mut command)
            .with_context(|| format!("the finished module {name} does not start"))?;
        fs::remove_dir_all(&site)?;
        Ok(())
    }
}

/// A module with shared memory as wasm-bindgen 0.2.130 wants it.
///
/// Ours has no thread locals, so the linker gives them an alignment of 0, for which wasm-bindgen's start
/// function then asks the allocator, which refuses. No bytes of an alignment of 1 are fine.
fn with_thread_locals(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = walrus::ModuleConfig::new()
        .strict_validate(false)
        .parse(wasm)?;
    let global = |module: &walrus::Module, name: &str| {
        let export = module.exports.iter().find(|export| export.name == name);
        match export.map(|export| export.item) {
            Some(walrus::ExportItem::Global(id)) => Ok(id),
            _ => bail!("there is no global `{name}`"),
        }
    };
    let value = |module: &walrus::Module, id| match module.globals.get(id).kind {
        walrus::GlobalKind::Local(walrus::ConstExpr::Value(walrus::ir::Value::I32(value))) => value,
        _ => -1,
    };
    let (size, align) = (
        global(&module, "__tls_size")?,
        global(&module, "__tls_align")?,
    );
    if value(&module, size) != 0 {
        bail!("it has thread locals, which helpers must not have: see src/platform/threads.rs");
    }
    let one = walrus::ConstExpr::Value(walrus::ir::Value::I32(1));
    module.globals.get_mut(align).kind = walrus::GlobalKind::Local(one);
    Ok(module.emit_wasm())
}

/// Removes all but the newest packages.
fn prune(packages: &Path) -> Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(packages)? {
        let entry = entry?;
        if !entry
            .file_name()
            .to_string_lossy()
            .starts_with("unfinished-")
        {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    found.sort();
    for (_, path) in found.iter().rev().skip(KEPT) {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}
