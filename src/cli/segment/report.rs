//! What is said of a result.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::plan::Work;
use crate::error::{Error, Result};
use crate::mask::{Connectivity, Mask, Regions};
use crate::segmenter::Segmentation;

/// Numbers of one mask.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    width: usize,
    height: usize,
    /// Pixels of the foreground, and their share of the image.
    pixels: u64,
    share: f64,
    /// Connected regions; pixels that share an edge are connected.
    regions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    gsd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    area_m2: Option<f64>,
    /// Whether the end of the expression was left out.
    truncated: bool,
    milliseconds: f64,
    device: &'static str,
}

impl Report {
    pub(super) fn new(
        result: &Segmentation,
        mask: &Mask,
        gsd: Option<f64>,
        device: &'static str,
    ) -> Self {
        let pixels = mask.foreground();
        let timings = result.timings;
        let total =
            timings.preprocess_ms + timings.text_ms + timings.vision_ms + timings.postprocess_ms;
        Self {
            width: mask.width,
            height: mask.height,
            pixels,
            share: pixels as f64 / mask.data.len() as f64,
            regions: Regions::count_in(mask, Connectivity::Four),
            gsd,
            area_m2: gsd.map(|gsd| pixels as f64 * gsd * gsd),
            truncated: result.truncated,
            milliseconds: total.round(),
            device,
        }
    }

    pub(super) fn for_people(&self) -> String {
        let area = self
            .area_m2
            .map_or(String::new(), |area| format!(" ({area:.0} m²)"));
        format!(
            "{} x {}, {:.2} % foreground{area} in {} regions, {:.0} ms on the {}",
            self.width,
            self.height,
            self.share * 100.0,
            self.regions,
            self.milliseconds,
            self.device
        )
    }
}

/// Where the lines of JSON go.
pub(super) enum Results {
    Standard(io::Stdout),
    File(std::path::PathBuf, File),
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    image: String,
    expression: &'a str,
    output: String,
    #[serde(flatten)]
    report: Option<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Results {
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Standard(io::stdout()));
        };
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let file = made.and_then(|()| OpenOptions::new().create(true).append(true).open(path));
        match file {
            Ok(file) => Ok(Self::File(path.to_owned(), file)),
            Err(source) => Err(unwritable(path, source)),
        }
    }

    /// One write a line, so that several processes may append to one file.
    pub(super) fn add(
        &mut self,
        image: &Path,
        work: &Work,
        made: std::result::Result<Report, String>,
    ) -> Result<()> {
        let (report, error) = match made {
            Ok(report) => (Some(report), None),
            Err(error) => (None, Some(error)),
        };
        let line = Line {
            image: image.display().to_string(),
            expression: &work.expression,
            output: work.output.display().to_string(),
            report,
            error,
        };
        let mut line = serde_json::to_vec(&line)
            .map_err(|error| unwritable(Path::new("the line of JSON"), error.into()))?;
        line.push(b'\n');
        match self {
            Self::Standard(stdout) => stdout
                .write_all(&line)
                .and_then(|()| stdout.flush())
                .map_err(|source| unwritable(Path::new("standard output"), source)),
            Self::File(path, file) => file
                .write_all(&line)
                .map_err(|source| unwritable(path, source)),
        }
    }
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    Error::Io {
        action: "Writing",
        path: path.to_owned(),
        source,
    }
}
