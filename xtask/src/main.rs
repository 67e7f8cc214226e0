//! `cargo xtask`: everything that is done to this repository beyond plain cargo.
//!
//! | command | what it does |
//! |---|---|
//! | `setup` | installs what is missing: wasm32 standard library, node packages, Chromium |
//! | `build` | compiles the browser module and assembles the static site in `dist/` |
//! | `serve` | builds, then serves `dist/` on 127.0.0.1 |
//! | `test` | runs every test, those in the browser too |
//! | `bench` | measures masks in the browser, beside other builds of the site |
//! | `count` | counts the instructions of a start and of a mask |
//! | `fuzz` | looks for what breaks the readers of files and text |
//! | `wasm-cargo` | plain cargo for wasm32, with the flags of the browser build |

mod bench;
mod build;
mod count;
mod fuzz;
mod process;
mod serve;
mod settings;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set up, build, serve and test rrsis")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing for building and testing (safe to run again)
    Setup,
    /// Build the static site in dist/
    Build {
        #[command(flatten)]
        selection: build::Selection,
    },
    /// Set up, build and serve dist/ on 127.0.0.1
    Serve {
        #[arg(long, default_value_t = 8000)]
        port: u16,
        /// Isolate the page from other origins, so that several threads may compute on a CPU
        #[arg(long)]
        isolated: bool,
        /// Serve dist/ as it is
        #[arg(long)]
        no_build: bool,
        #[command(flatten)]
        selection: build::Selection,
    },
    /// Set up and run every test; the last line counts them
    Test {
        /// Run only tests whose name contains this
        #[arg(long)]
        filter: Option<String>,
        /// Leave the browser tests (and the wasm build) out
        #[arg(long)]
        no_browser: bool,
        #[command(flatten)]
        selection: build::Selection,
    },
    /// Build the site and measure how long masks take in headless Chromium
    Bench {
        /// Built site to take turns with, such as the dist/ of another checkout; several are allowed
        #[arg(long, value_name = "DIR")]
        against: Vec<std::path::PathBuf>,
        /// cpu or webgpu
        #[arg(long, default_value = "cpu", value_parser = ["cpu", "webgpu"])]
        device: String,
        /// Masks a site
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
        /// Threads of a CPU, on both sides; several, as in 1,2, take turns
        #[arg(long, default_values_t = [1], value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
        threads: Vec<u32>,
        /// Draw square images of so many pixels a side from the samples: large ones are computed in tiles
        #[arg(long, conflicts_with = "onnx")]
        side: Option<u32>,
        /// Side that the image is resized to [default: the model's]
        #[arg(long)]
        resolution: Option<u32>,
        /// Folder of the model under the site's models/
        #[arg(long, default_value = "rrsis-small", conflicts_with = "onnx")]
        site_model: String,
        /// Compare with onnxruntime-web on the CPU: folder that reference/export_onnx.py wrote
        #[arg(long, value_name = "DIR", requires = "model")]
        onnx: Option<std::path::PathBuf>,
        /// Model directory with the weights of --onnx (`rrsis import --quantize f32`)
        #[arg(long, value_name = "DIR", requires = "onnx")]
        model: Option<std::path::PathBuf>,
        /// File for all numbers
        #[arg(long, value_name = "FILE")]
        json: Option<std::path::PathBuf>,
        /// Measure dist/ as it is
        #[arg(long)]
        no_build: bool,
        #[command(flatten)]
        selection: build::Selection,
    },
    /// Build the site and count the instructions of WebAssembly that a start and a mask take, in Node
    Count {
        /// Count in dist/ as it is
        #[arg(long)]
        no_build: bool,
        #[command(flatten)]
        selection: build::Selection,
    },
    /// Fuzz what reads files and text of strangers (needs cargo-fuzz); stops at the first finding
    Fuzz {
        /// Targets [default: all of them]
        #[arg(value_parser = fuzz::TARGETS)]
        targets: Vec<String>,
        /// Minutes a target
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        minutes: u32,
    },
    /// Run cargo with the wasm32 toolchain, e.g. `cargo xtask wasm-cargo check --lib`
    WasmCargo {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Setup => setup::everything(&workspace)?,
        Command::Build { selection } => build::site(&workspace, &selection, &workspace.dist())?,
        Command::Serve {
            port,
            isolated,
            no_build,
            selection,
        } => {
            // Said before a build of minutes, not after it.
            let listener = serve::bind(port)?;
            if !no_build {
                build::site(&workspace, &selection, &workspace.dist())?;
            }
            serve::forever(&listener, &workspace.dist(), isolated)?;
        }
        Command::Test {
            filter,
            no_browser,
            selection,
        } => {
            return test::everything(&workspace, filter.as_deref(), no_browser, &selection);
        }
        Command::Bench {
            against,
            device,
            runs,
            threads,
            side,
            resolution,
            site_model,
            onnx,
            model,
            json,
            no_build,
            selection,
        } => bench::run(
            &workspace,
            &bench::Settings {
                build: (!no_build).then_some(selection),
                against,
                device,
                runs,
                threads,
                side,
                resolution,
                site_model,
                onnx: onnx.zip(model),
                json,
            },
        )?,
        Command::Count {
            no_build,
            selection,
        } => count::run(&workspace, (!no_build).then_some(&selection))?,
        Command::Fuzz { targets, minutes } => fuzz::run(&workspace, &targets, minutes)?,
        Command::WasmCargo { arguments } => build::wasm_cargo(&workspace, &arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
