//! What several commands share: arguments about the model, files, progress.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ConfigError, Error, Result};
use crate::files::write_atomic;
use crate::mask::Upsampling;
use crate::network::{NetworkConfig, Precision};
use crate::platform::DeviceChoice;
use crate::segmenter::{SegmentOptions, Segmenter, Tiling};
use crate::weights::manifest::Relations;

/// Which model, on which device, with which settings.
#[derive(Debug, Args)]
pub(super) struct ModelArguments {
    /// Directory of the model.
    #[arg(long, value_name = "DIR", default_value = "models/rrsis-small")]
    model: PathBuf,
    /// Where to compute; `auto` takes a GPU where there is one.
    #[arg(long, value_enum, default_value_t)]
    device: Device,
    /// How the CPU multiplies: `int8` takes weights and activations in 7 bits, which is faster
    /// where the processor has instructions for it and costs a little accuracy.
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionChoice,
    /// How many threads the CPU computes with [default: as many as it runs at once].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Probability above which a pixel is foreground [default: the model's].
    #[arg(long, value_name = "NUMBER")]
    threshold: Option<f32>,
    /// How the network's output gets the size of the image: bilinearly as in the paper, or along the
    /// edges of the image [default: the model's].
    #[arg(long, value_enum)]
    upsampling: Option<UpsamplingChoice>,
    /// How an expression with a relation ("building beside the water") is answered: as a whole as in the
    /// paper, or with its parts asked for, too [default: the model's].
    #[arg(long, value_enum)]
    relations: Option<RelationsChoice>,
    /// Side to which the image is resized for the network, a multiple of 32: coarser is faster
    /// [default: the model's].
    #[arg(long, value_name = "PIXELS")]
    resolution: Option<usize>,
    /// Side of the tiles in which a large image goes through the network; 0 takes it whole
    /// [default: tiles where the image is more than twice as large as the model's input].
    #[arg(long, value_name = "PIXELS")]
    tile: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Device {
    #[default]
    Auto,
    Cpu,
    Gpu,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PrecisionChoice {
    #[default]
    F32,
    Int8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UpsamplingChoice {
    Bilinear,
    Guided,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RelationsChoice {
    Whole,
    Parts,
}

impl ModelArguments {
    /// Opens the model, and says where the GPU was not taken.
    pub(super) fn open(&self) -> Result<Segmenter> {
        let choice = match self.device {
            Device::Auto => DeviceChoice::Auto,
            Device::Cpu => DeviceChoice::Cpu,
            Device::Gpu => DeviceChoice::Gpu,
        };
        let precision = match self.precision {
            PrecisionChoice::F32 => Precision::F32,
            PrecisionChoice::Int8 => Precision::Int8,
        };
        let threads = self.threads.map(usize::from);
        let segmenter = pollster::block_on(Segmenter::open_dir_in(
            &self.model,
            choice,
            precision,
            threads,
        ))?;
        if let Some(reason) = segmenter.fallback() {
            eprintln!("note: computing on the CPU. {reason}");
        }
        Ok(segmenter)
    }

    pub(super) fn options(&self) -> SegmentOptions {
        SegmentOptions {
            threshold: self.threshold,
            upsampling: self.upsampling.map(|choice| match choice {
                UpsamplingChoice::Bilinear => Upsampling::Bilinear,
                UpsamplingChoice::Guided => Upsampling::Guided,
            }),
            relations: self.relations.map(|choice| match choice {
                RelationsChoice::Whole => Relations::Whole,
                RelationsChoice::Parts => Relations::Parts,
            }),
            resolution: self.resolution,
            tiling: match self.tile {
                None => Tiling::Auto,
                Some(0) => Tiling::Whole,
                Some(side) => Tiling::Side(side),
            },
        }
    }
}

/// The content of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Io {
        action: "Reading",
        path: path.to_owned(),
        source,
    })
}

/// Writes a whole file or nothing.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<()> {
    write_atomic(path, content).map_err(|source| unwritable(path, source))
}

/// Writes what serialises as JSON, a whole file or nothing.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut json =
        serde_json::to_string_pretty(value).map_err(|error| unwritable(path, error.into()))?;
    json.push('\n');
    write(path, json.as_bytes())
}

fn unwritable(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action: "Writing",
        path: path.to_owned(),
        source,
    }
}

/// A valid configuration: the file at `argument` where there is one, else the preset of this name.
pub(super) fn network_config(argument: &str) -> Result<NetworkConfig> {
    let path = Path::new(argument);
    let config = if path.is_file() || path.extension().is_some_and(|end| end == "json") {
        read_json(path)?
    } else {
        NetworkConfig::preset(argument)?
    };
    config.validate()?;
    Ok(config)
}

/// Settings from a JSON file. A mistake in it is told with line, column and what was expected.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read(path)?).map_err(|error| {
        ConfigError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        }
        .into()
    })
}

/// A bar on standard error, where that is a terminal.
pub(super) fn progress_bar(total: usize) -> ProgressBar {
    let template = "{bar:30} {pos}/{len} {msg} ({per_sec}, {eta} left)";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total as u64).with_style(style)
}
