//! `rrsis segment`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{ModelArguments, progress_bar, read, write};
use crate::error::{Error, Result};
use crate::image::Georeference;
use crate::mask::Mask;
use crate::{expression, image};

#[derive(Debug, Args)]
pub(super) struct Segment {
    /// PNG, JPEG, WebP, BMP, GIF, TIFF or GeoTIFF file.
    image: PathBuf,
    /// What to find, for example "building".
    expression: String,
    /// File to write: 255 where the expression refers to the pixel, else 0; as large as the image.
    /// PNG, or for a GeoTIFF also a GeoTIFF (.tif) at the same place.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    model: ModelArguments,
}

impl Segment {
    pub(super) fn run(self) -> Result<()> {
        // Before the model is opened: whoever mistyped hears of it at once.
        expression::checked(&self.expression)?;
        let picture = image::decode_picture(&read(&self.image)?)?;
        let segmenter = self.model.open()?;
        let options = self.model.options();
        let mut job = segmenter.begin(&picture.raster, &self.expression, &options)?;
        let bar = progress_bar(job.progress().1);
        while pollster::block_on(job.step())? {
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut result = job.finish();
        picture.clear_missing(&mut result.mask);
        if result.truncated {
            let tokens = segmenter.manifest().input.max_tokens;
            eprintln!(
                "note: the model reads {tokens} word pieces; the end of the expression was left out."
            );
        }
        write(
            &self.out,
            &self.file(&result.mask, picture.georeference.as_ref())?,
        )?;

        let mask = &result.mask;
        let share = mask.foreground() as f64 / mask.data.len() as f64;
        let gsd = picture.georeference.as_ref().and_then(|place| place.gsd);
        let area = gsd.map_or(String::new(), |gsd| {
            format!(" ({:.0} m²)", mask.foreground() as f64 * gsd * gsd)
        });
        let timings = result.timings;
        let total =
            timings.preprocess_ms + timings.text_ms + timings.vision_ms + timings.postprocess_ms;
        println!(
            "{}: {} x {}, {:.2} % foreground{}, {:.0} ms on the {}",
            self.out.display(),
            mask.width,
            mask.height,
            share * 100.0,
            area,
            total,
            segmenter.device_name()
        );
        Ok(())
    }

    /// A GeoTIFF where the name asks for one and the image has a place, else a PNG or plain TIFF.
    fn file(&self, mask: &Mask, place: Option<&Georeference>) -> Result<Vec<u8>> {
        let extension = self
            .out
            .extension()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if extension != "tif" && extension != "tiff" {
            return Ok(mask.to_png()?);
        }
        let Some(place) = place else {
            return Err(Error::Option {
                option: "out",
                value: self.out.display().to_string(),
                expected: "a name that ends in .png, because the image is no GeoTIFF",
            });
        };
        let pixels: Vec<u8> = mask.data.iter().map(|value| value * 255).collect();
        Ok(place.write_band(mask.width, mask.height, &pixels)?)
    }
}
