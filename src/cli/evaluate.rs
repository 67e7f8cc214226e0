//! `rrsis evaluate`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::arguments::{ModelArguments, progress_bar, write};
use super::table::markdown;
use crate::dataset::Provenance;
use crate::dataset::release::{Split, Triplet};
use crate::dataset::stats::{proportion_bin, proportion_label};
use crate::error::Result;
use crate::image::Raster;
use crate::mask::Mask;
use crate::metrics::{Evaluation, Report};

#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Data set in the RefSegRS layout: images, masks, output_phrase_<split>.txt.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which split of it.
    #[arg(long, value_name = "NAME")]
    split: String,
    /// JSON file to write the scores to.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Markdown file to write the tables to.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Count the pixels that the data set ignores as background, as the official evaluation would.
    #[arg(long)]
    count_ignored: bool,
    /// Take so many samples, spread evenly over the split.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    model: ModelArguments,
}

/// The scores and what they were measured with.
#[derive(Serialize)]
struct Scored<'a> {
    #[serde(flatten)]
    report: &'a Report,
    model: &'a str,
    split: &'a str,
    device: &'a str,
    threshold: f32,
    resolution: usize,
}

impl Evaluate {
    pub(super) fn run(self) -> Result<()> {
        let mut split = Split::open(&self.data, &self.split)?;
        if let Some(limit) = self.limit {
            split.thin_out(limit as usize);
        }
        let provenance = Provenance::read(&self.data)?;
        let segmenter = self.model.open()?;
        let options = self.model.options();
        let mut evaluation = Evaluation::default();
        let mut images = LastImage::default();
        let bar = progress_bar(split.triplets.len());
        for triplet in &split.triplets {
            let image = images.of(triplet)?;
            let target = triplet.read_mask(image)?;
            let ignored = if self.count_ignored {
                None
            } else {
                triplet.read_ignored(image)?
            };
            let expression = &triplet.expression;
            let result = pollster::block_on(segmenter.segment(image, expression, &options))?;
            let (prediction, target) = match &ignored {
                Some(ignored) => (result.mask.without(ignored), target.without(ignored)),
                None => (result.mask, target),
            };
            let groups = groups(triplet, &provenance, &target);
            let groups: Vec<(&str, &str)> = groups.iter().map(|(t, row)| (*t, &**row)).collect();
            evaluation.add(&prediction, &target, &groups)?;
            if let Some(miou) = evaluation.scores().miou() {
                bar.set_message(format!("mIoU {:.2}", miou * 100.0));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();

        let report = evaluation.report();
        let tables = markdown(&report);
        println!("{tables}");
        if let Some(file) = &self.markdown {
            write(file, format!("{tables}\n").as_bytes())?;
        }
        if let Some(file) = &self.json {
            let manifest = segmenter.manifest();
            let scored = Scored {
                report: &report,
                model: &manifest.name,
                split: &split.name,
                device: segmenter.device_name(),
                threshold: options.threshold.unwrap_or(manifest.threshold),
                resolution: options.resolution.unwrap_or(manifest.input.size),
            };
            write(
                file,
                format!("{:#}\n", serde_json::json!(scored)).as_bytes(),
            )?;
        }
        Ok(())
    }
}

/// The row of each table that a sample belongs to.
fn groups(
    triplet: &Triplet,
    provenance: &Provenance,
    target: &Mask,
) -> Vec<(&'static str, String)> {
    let mut groups = vec![("expression", triplet.expression.clone())];
    let (kind, category) = match provenance.describe(triplet) {
        Some(found) => (found.kind.name(), found.category),
        None => ("other", "other".to_owned()),
    };
    groups.push(("kind", kind.to_owned()));
    groups.push(("category", category));
    if let Some(source) = provenance.source(triplet) {
        groups.push(("source", source.to_owned()));
    }
    // A sample without target has no proportion.
    if target.foreground() > 0 {
        let proportion = target.foreground() as f64 / target.data.len() as f64;
        groups.push(("foreground", proportion_label(proportion_bin(proportion))));
    }
    groups
}

/// The image decoded last: samples of one scene stand together in their list.
#[derive(Default)]
struct LastImage(Option<(Vec<u8>, Raster)>);

impl LastImage {
    fn of(&mut self, triplet: &Triplet) -> Result<&Raster> {
        let bytes = triplet.read_image()?;
        let last = match self.0.take() {
            Some(last) if last.0 == bytes => last,
            _ => {
                let image = triplet.decode_image(&bytes)?;
                (bytes, image)
            }
        };
        Ok(&self.0.insert(last).1)
    }
}
