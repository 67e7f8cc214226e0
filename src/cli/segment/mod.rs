//! `rrsis segment`: one image and one expression, or many of both.

mod output;
mod plan;
mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use self::output::{Format, content};
use self::plan::{Plan, Shard, Work, lines};
use self::report::{Report, Results};
use super::arguments::{ModelArguments, progress_bar, read, write};
use crate::error::{Error, Result};
use crate::image::{self, Picture};
use crate::segmenter::{Segmentation, Segmenter};

/// Without `--expression` the last argument is what to find: `rrsis segment town.png building --out
/// mask.png`. Otherwise every argument is an image or a directory of images, `--out` is a directory,
/// and each result is one line of JSON.
#[derive(Debug, Args)]
pub(super) struct Segment {
    /// PNG, JPEG, WebP, BMP, GIF, TIFF or GeoTIFF files, or directories of them.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<OsString>,
    /// What to find, for example "building"; may be given several times.
    #[arg(long, value_name = "TEXT")]
    expression: Vec<String>,
    /// File with an expression on each line.
    #[arg(long, value_name = "FILE")]
    expressions: Option<PathBuf>,
    /// File to write, or with several images or expressions the directory of the results.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// What to write of a mask [default: what the name of the file says, else png].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// By how many pixels outlines in GeoJSON may leave the edges of the pixels, to have fewer corners.
    #[arg(long, value_name = "PIXELS", default_value_t = 1.0)]
    simplify: f64,
    /// Metres a pixel, where the image does not tell: areas need it.
    #[arg(long, value_name = "METRES")]
    gsd: Option<f64>,
    /// File to append the lines of JSON to, instead of standard output.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Compute again what is there already.
    #[arg(long)]
    overwrite: bool,
    /// Only the I-th of N parts of the images, from 1: run each part on another machine.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    model: ModelArguments,
}

impl Segment {
    pub(super) fn run(mut self) -> Result<()> {
        for (option, value) in [("simplify", Some(self.simplify)), ("gsd", self.gsd)] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return Err(Error::Option {
                    option,
                    value: value.to_string(),
                    expected: "a number, 0 or more",
                });
            }
        }
        let mut expressions = std::mem::take(&mut self.expression);
        if let Some(path) = &self.expressions {
            expressions.extend(lines(path)?);
        }
        let many = !expressions.is_empty();
        if !many {
            let last = self.images.pop().filter(|_| !self.images.is_empty());
            let Some(expression) = last.and_then(|last| last.into_string().ok()) else {
                return Err(Error::Option {
                    option: "expression",
                    value: "missing".to_owned(),
                    expected: "what to find, after the image or with --expression",
                });
            };
            expressions.push(expression);
        }
        // Before the model is opened: whoever mistyped hears of it at once.
        for expression in &expressions {
            crate::expression::checked(expression)?;
        }
        let images: Vec<PathBuf> = self.images.iter().map(PathBuf::from).collect();
        match &images[..] {
            [image] if !many && !image.is_dir() => self.one(image, &expressions[0]),
            _ => self.many(&images, expressions),
        }
    }

    /// One file in, one file out, and a line for people.
    fn one(&self, image: &Path, expression: &str) -> Result<()> {
        let format = self.format.or_else(|| Format::of(&self.out));
        let format = format.unwrap_or(Format::Png);
        let picture = image::decode_picture(&read(image)?)?;
        format.check(&picture, &self.out)?;
        let segmenter = self.model.open()?;
        let bar = progress_bar(0);
        let result = self.segment(&segmenter, &picture, expression, &bar)?;
        bar.finish_and_clear();
        if result.truncated {
            let tokens = segmenter.manifest().input.max_tokens;
            eprintln!(
                "note: the model reads {tokens} word pieces; the end of the expression was left out."
            );
        }
        let gsd = self.gsd(&picture);
        let mask = result.mask();
        let file = content(format, &mask, &picture, expression, gsd, self.simplify)?;
        write(&self.out, &file)?;
        let report = Report::new(&result, &mask, gsd, segmenter.device_name());
        println!("{}: {}", self.out.display(), report.for_people());
        Ok(())
    }

    /// A file for each image and expression, and a line of JSON for each file.
    fn many(&self, images: &[PathBuf], expressions: Vec<String>) -> Result<()> {
        if Format::of(&self.out).is_some() && !self.out.is_dir() {
            return Err(Error::Option {
                option: "out",
                value: self.out.display().to_string(),
                expected: "a directory, because there may be several results",
            });
        }
        let format = self.format.unwrap_or(Format::Png);
        let plan = Plan::new(images, expressions, &self.out, format, self.shard)?;
        let mut results = Results::open(self.results.as_deref())?;
        let segmenter = self.model.open()?;
        let bar = progress_bar(plan.count());
        let mut failed = 0;
        for (image, work) in plan.images() {
            let open: Vec<&Work> = work
                .iter()
                .filter(|work| self.overwrite || !work.output.exists())
                .collect();
            bar.inc((work.len() - open.len()) as u64);
            if open.is_empty() {
                continue;
            }
            bar.set_message(image.display().to_string());
            // One image that cannot be read does not stop the others.
            let picture = read(image).and_then(|bytes| Ok(image::decode_picture(&bytes)?));
            for work in open {
                let quiet = ProgressBar::hidden();
                let made = match &picture {
                    Ok(picture) => self.make(&segmenter, picture, work, format, &quiet),
                    Err(error) => Err(error.to_string()),
                };
                failed += usize::from(made.is_err());
                results.add(image, work, made)?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        if failed > 0 {
            return Err(Error::Incomplete {
                failed,
                total: plan.count(),
            });
        }
        Ok(())
    }

    fn make(
        &self,
        segmenter: &Segmenter,
        picture: &Picture,
        work: &Work,
        format: Format,
        bar: &ProgressBar,
    ) -> std::result::Result<Report, String> {
        let gsd = self.gsd(picture);
        let made = || -> Result<Report> {
            format.check(picture, &work.output)?;
            let result = self.segment(segmenter, picture, &work.expression, bar)?;
            let mask = result.mask();
            let expression = &work.expression;
            let file = content(format, &mask, picture, expression, gsd, self.simplify)?;
            write(&work.output, &file)?;
            Ok(Report::new(&result, &mask, gsd, segmenter.device_name()))
        };
        made().map_err(|error| error.to_string())
    }

    fn segment(
        &self,
        segmenter: &Segmenter,
        picture: &Picture,
        expression: &str,
        bar: &ProgressBar,
    ) -> Result<Segmentation> {
        let mut job = segmenter.begin(&picture.raster, expression, &self.model.options())?;
        bar.set_length(job.progress().1 as u64);
        while pollster::block_on(job.step())? {
            bar.inc(1);
        }
        let mut result = job.finish();
        picture.clear_missing(&mut result.pixels);
        Ok(result)
    }

    fn gsd(&self, picture: &Picture) -> Option<f64> {
        let told = picture.georeference.as_ref().and_then(|place| place.gsd);
        self.gsd.filter(|gsd| *gsd > 0.0).or(told)
    }
}
