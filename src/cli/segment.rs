//! `rrsis segment`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{ModelArguments, progress_bar, read, write};
use crate::error::Result;
use crate::{expression, image};

#[derive(Debug, Args)]
pub(super) struct Segment {
    /// PNG, JPEG, WebP, BMP, GIF or TIFF file.
    image: PathBuf,
    /// What to find, for example "building".
    expression: String,
    /// PNG file to write: 255 where the expression refers to the pixel, else 0; as large as the
    /// image.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    model: ModelArguments,
}

impl Segment {
    pub(super) fn run(self) -> Result<()> {
        // Before the model is opened: whoever mistyped hears of it at once.
        expression::checked(&self.expression)?;
        let image = image::decode(&read(&self.image)?)?;
        let segmenter = self.model.open()?;
        let options = self.model.options();
        let mut job = segmenter.begin(&image, &self.expression, &options)?;
        let bar = progress_bar(job.progress().1);
        while pollster::block_on(job.step())? {
            bar.inc(1);
        }
        bar.finish_and_clear();
        let result = job.finish();
        if result.truncated {
            let tokens = segmenter.manifest().input.max_tokens;
            eprintln!(
                "note: the model reads {tokens} word pieces; the end of the expression was left out."
            );
        }
        write(&self.out, &result.mask.to_png()?)?;

        let mask = &result.mask;
        let share = mask.foreground() as f64 / mask.data.len() as f64;
        let timings = result.timings;
        let total =
            timings.preprocess_ms + timings.text_ms + timings.vision_ms + timings.postprocess_ms;
        println!(
            "{}: {} x {}, {:.2} % foreground, {:.0} ms on the {}",
            self.out.display(),
            mask.width,
            mask.height,
            share * 100.0,
            total,
            segmenter.device_name()
        );
        Ok(())
    }
}
