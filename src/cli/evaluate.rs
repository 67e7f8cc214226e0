//! `rrsis evaluate`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::arguments::{ModelArguments, progress_bar, read_json, write};
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
    /// Enlarge (above 1) or reduce every image by this factor first; masks are compared at the
    /// original size.
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    scale: Option<f64>,
    /// Ask in other words: a JSON file with a list of wordings for each expression. Only samples
    /// with such an expression are taken, each with the next of its wordings.
    #[arg(long, value_name = "FILE")]
    paraphrases: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
}

fn scale(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(factor) if (0.1..=8.0).contains(&factor) => Ok(factor),
        _ => Err("a number from 0.1 to 8 is needed".to_owned()),
    }
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
    scale: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    paraphrased: Option<&'a Report>,
}

impl Evaluate {
    pub(super) fn run(self) -> Result<()> {
        let mut split = Split::open(&self.data, &self.split)?;
        if let Some(limit) = self.limit {
            split.thin_out(limit as usize);
        }
        let mut paraphrases = match &self.paraphrases {
            Some(file) => {
                let paraphrases = Paraphrases::read(file)?;
                split.triplets.retain(|triplet| paraphrases.has(triplet));
                Some(paraphrases)
            }
            None => None,
        };
        let provenance = Provenance::read(&self.data)?;
        let segmenter = self.model.open()?;
        let options = self.model.options();
        let threshold = options.threshold.unwrap_or(segmenter.manifest().threshold);
        let mut evaluation = Evaluation::default();
        let mut in_other_words = Evaluation::default();
        let mut images = LastImage::new(self.scale.unwrap_or(1.0));
        let bar = progress_bar(split.triplets.len());
        for triplet in &split.triplets {
            let (original, image) = images.of(triplet)?;
            let target = triplet.read_mask(original)?;
            let ignored = if self.count_ignored {
                None
            } else {
                triplet.read_ignored(original)?
            };
            let target = match &ignored {
                Some(ignored) => target.without(ignored),
                None => target,
            };
            let groups = groups(triplet, &provenance, &target);
            let groups: Vec<(&str, &str)> = groups.iter().map(|(t, row)| (*t, &**row)).collect();
            let score = |expression: &str, evaluation: &mut Evaluation| -> Result<()> {
                let result = pollster::block_on(segmenter.segment(image, expression, &options))?;
                let pixels = result.pixels.resized(target.width, target.height);
                let mask = pixels.mask(threshold);
                let prediction = match &ignored {
                    Some(ignored) => mask.without(ignored),
                    None => mask,
                };
                Ok(evaluation.add(&prediction, &target, &groups)?)
            };
            score(&triplet.expression, &mut evaluation)?;
            if let Some(paraphrases) = &mut paraphrases {
                score(&paraphrases.next(triplet), &mut in_other_words)?;
            }
            if let Some(miou) = evaluation.scores().miou() {
                bar.set_message(format!("mIoU {:.2}", miou * 100.0));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();

        let report = evaluation.report();
        let paraphrased = paraphrases.is_some().then(|| in_other_words.report());
        let mut tables = markdown(&report);
        if let Some(report) = &paraphrased {
            tables = format!("{tables}\n\nIn other words:\n\n{}", markdown(report));
        }
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
                threshold,
                resolution: options.resolution.unwrap_or(manifest.input.size),
                scale: self.scale.unwrap_or(1.0),
                paraphrased: paraphrased.as_ref(),
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

/// Wordings by expression, taken in turn.
struct Paraphrases {
    wordings: BTreeMap<String, Vec<String>>,
    taken: BTreeMap<String, usize>,
}

impl Paraphrases {
    fn read(file: &Path) -> Result<Self> {
        let mut wordings: BTreeMap<String, Vec<String>> = read_json(file)?;
        wordings.retain(|_, wordings| !wordings.is_empty());
        Ok(Self {
            wordings,
            taken: BTreeMap::new(),
        })
    }

    fn has(&self, triplet: &Triplet) -> bool {
        self.wordings.contains_key(&triplet.expression)
    }

    fn next(&mut self, triplet: &Triplet) -> String {
        let taken = self.taken.entry(triplet.expression.clone()).or_default();
        let wording = self
            .wordings
            .get(&triplet.expression)
            .and_then(|wordings| wordings.get(*taken % wordings.len()));
        *taken += 1;
        wording.unwrap_or(&triplet.expression).clone()
    }
}

/// The image decoded last, as it is and rescaled: samples of one scene stand together in their list.
struct LastImage {
    scale: f64,
    last: Option<(Vec<u8>, Raster, Option<Raster>)>,
}

impl LastImage {
    fn new(scale: f64) -> Self {
        Self { scale, last: None }
    }

    /// The image as it is, and as the model shall see it.
    fn of(&mut self, triplet: &Triplet) -> Result<(&Raster, &Raster)> {
        let bytes = triplet.read_image()?;
        let last = match self.last.take() {
            Some(last) if last.0 == bytes => last,
            _ => {
                let image = triplet.decode_image(&bytes)?;
                let rescaled = (self.scale != 1.0).then(|| {
                    let side =
                        |length: usize| ((length as f64 * self.scale).round() as usize).max(1);
                    image.resize_exact(side(image.width), side(image.height))
                });
                (bytes, image, rescaled)
            }
        };
        let (_, image, rescaled) = self.last.insert(last);
        Ok((image, rescaled.as_ref().unwrap_or(image)))
    }
}
