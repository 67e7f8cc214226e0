//! `rrsis gallery`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::arguments::{ModelArguments, progress_bar, write};
use crate::dataset::release::{Split, Triplet};
use crate::error::{Error, Result};
use crate::image::Raster;
use crate::mask::Mask;
use crate::metrics::Overlap;

/// Width of a picture on the page, in pixels.
const WIDTH: usize = 320;
/// Colour of what the labels mark, and of what the model marks.
const TARGET: [u8; 3] = [0, 158, 115];
const PREDICTION: [u8; 3] = [213, 94, 0];

#[derive(Debug, Args)]
pub(super) struct Gallery {
    /// Data set in the RefSegRS layout.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which split of it.
    #[arg(long, value_name = "NAME", default_value = "val")]
    split: String,
    /// Directory for the page and its pictures.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many of the best, of the median and of the worst samples to show.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    each: u32,
    /// Take so many samples, spread evenly over the split.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    model: ModelArguments,
}

impl Gallery {
    pub(super) fn run(self) -> Result<()> {
        let mut split = Split::open(&self.data, &self.split)?;
        if let Some(limit) = self.limit {
            split.thin_out(limit as usize);
        }
        let segmenter = self.model.open()?;
        let options = self.model.options();
        std::fs::create_dir_all(&self.out).map_err(|source| Error::Io {
            action: "Making",
            path: self.out.clone(),
            source,
        })?;
        let predict = |triplet: &Triplet| -> Result<(Raster, Mask, Mask)> {
            let image = triplet.decode_image(&triplet.read_image()?)?;
            let mut target = triplet.read_mask(&image)?;
            let result = segmenter.segment(&image, &triplet.expression, &options);
            let mut mask = pollster::block_on(result)?.mask();
            if let Some(ignored) = triplet.read_ignored(&image)? {
                for (index, ignored) in ignored.data.iter().enumerate() {
                    if *ignored == 1 {
                        mask.data[index] = 0;
                        target.data[index] = 0;
                    }
                }
            }
            Ok((image, target, mask))
        };

        let mut scores = Vec::new();
        let bar = progress_bar(split.triplets.len());
        for (index, triplet) in split.triplets.iter().enumerate() {
            let (_, target, mask) = predict(triplet)?;
            // A target that is absent has no overlap to be sorted by.
            if target.foreground() > 0 {
                scores.push((Overlap::between(&mask, &target)?.iou(), index));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));

        let each = (self.each as usize).min(scores.len());
        let middle = (scores.len() - each) / 2;
        let mut page = head(&segmenter.manifest().name, &split.name, scores.len());
        for (title, chosen) in [
            ("Best", &scores[..each]),
            ("Around the median", &scores[middle..middle + each]),
            ("Worst", &scores[scores.len() - each..]),
        ] {
            // Writing to a string cannot fail.
            let _ = write!(page, "<h2>{title}</h2>\n<div>\n");
            for (iou, index) in chosen {
                let triplet = &split.triplets[*index];
                let (image, target, mask) = predict(triplet)?;
                let file = format!("{index:05}.png");
                write(
                    &self.out.join(&file),
                    &sheet(&image, &target, &mask).to_png()?,
                )?;
                let _ = writeln!(
                    page,
                    "<figure><img src=\"{file}\" alt=\"\" loading=\"lazy\"><figcaption>“{}” {:.2}</figcaption></figure>",
                    escape(&triplet.expression),
                    iou
                );
            }
            page.push_str("</div>\n");
        }
        let file = self.out.join("index.html");
        write(&file, page.as_bytes())?;
        println!("{}: {} samples", file.display(), scores.len());
        Ok(())
    }
}

/// Image, image with the target and image with the prediction, side by side.
fn sheet(image: &Raster, target: &Mask, mask: &Mask) -> Raster {
    let width = WIDTH.min(image.width);
    let height = (image.height * width / image.width).max(1);
    let parts = [
        image.resize_exact(width, height),
        marked(image, target, TARGET).resize_exact(width, height),
        marked(image, mask, PREDICTION).resize_exact(width, height),
    ];
    let mut rgb = Vec::with_capacity(width * height * 9);
    for row in 0..height {
        for part in &parts {
            rgb.extend_from_slice(&part.rgb[row * width * 3..][..width * 3]);
        }
    }
    Raster {
        width: width * 3,
        height,
        rgb,
    }
}

/// Half colour, half image where the mask is.
fn marked(image: &Raster, mask: &Mask, colour: [u8; 3]) -> Raster {
    let mut marked = image.clone();
    for (pixel, value) in marked.rgb.chunks_exact_mut(3).zip(&mask.data) {
        if *value == 1 {
            for (byte, colour) in pixel.iter_mut().zip(colour) {
                *byte = byte.midpoint(colour);
            }
        }
    }
    marked
}

fn head(model: &str, split: &str, count: usize) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{model} on {split}</title>\n\
         <style>\n\
         body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2rem; }}\n\
         div {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)); }}\n\
         figure {{ margin: 0; }}\nimg {{ width: 100%; }}\n\
         </style>\n\
         <h1>{model} on {split}</h1>\n\
         <p>{count} samples with a target, sorted by IoU and not picked. Each: the image, what the \
         labels mark, what the model marks.</p>\n",
        model = escape(model),
        split = escape(split),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_the_image_the_target_and_the_prediction() {
        let image = Raster::new(2, 1, vec![100; 6]).expect("sizes agree");
        let mask = |data: &[u8]| Mask {
            width: 2,
            height: 1,
            data: data.to_vec(),
        };
        let sheet = sheet(&image, &mask(&[1, 0]), &mask(&[0, 1]));
        assert_eq!((sheet.width, sheet.height), (6, 1));
        let pixels: Vec<&[u8]> = sheet.rgb.chunks(3).collect();
        let grey: &[u8] = &[100, 100, 100];
        assert_eq!(pixels[0..2], [grey, grey]);
        assert_eq!(pixels[2..4], [&[50, 129, 107], grey]);
        assert_eq!(pixels[4..6], [grey, &[156, 97, 50]]);
    }

    #[test]
    fn text_is_shown_as_text() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
