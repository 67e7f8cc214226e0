//! The segmenter for JavaScript: small messages in, small messages out, nothing computed here.
//!
//! Meant to run in a worker. Every rejection is an `Error` with a `code` that scripts can act on
//! and a message for the person in front of the page.

mod crew;
mod error;
mod output;
mod picture;

use js_sys::{Array, Float32Array, Function, Int8Array, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use self::crew::Crew;
use self::error::JsResult;
use crate::image::{Raster, decode_picture};
use crate::mask::PixelMargins;
use crate::network::Precision;
use crate::platform::DeviceChoice;
use crate::segmenter::{SegmentOptions, Segmentation, Segmenter};
use crate::weights::{Manifest, Part};

/// Runs once when the module is instantiated: panics then leave a trace in the console.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// A model on a device; its files arrive through `load`.
#[wasm_bindgen(js_name = Segmenter)]
pub struct WebSegmenter {
    segmenter: Segmenter,
}

#[wasm_bindgen(js_class = Segmenter)]
impl WebSegmenter {
    /// Opens a device ("webgpu" or "cpu", whichever this module is for) for the model of a manifest.
    /// `precision`: how a CPU multiplies, "f32" or "int8" (see `network::Precision`); "f32" unless given.
    /// `threads`: on a CPU, at most as many as the page has started, which is what it takes unless given.
    pub async fn open(
        manifest_json: &str,
        device: &str,
        precision: Option<String>,
        threads: Option<usize>,
    ) -> JsResult<WebSegmenter> {
        let manifest = Manifest::from_json(manifest_json).map_err(crate::Error::from)?;
        let choice = match device {
            "webgpu" => DeviceChoice::Gpu,
            "cpu" => DeviceChoice::Cpu,
            other => {
                return Err(crate::Error::Option {
                    option: "device",
                    value: format!("\"{other}\""),
                    expected: "\"webgpu\" or \"cpu\"",
                }
                .into());
            }
        };
        let precision = match precision.as_deref() {
            None | Some("f32") => Precision::F32,
            Some("int8") => Precision::Int8,
            Some(other) => {
                return Err(crate::Error::Option {
                    option: "precision",
                    value: format!("\"{other}\""),
                    expected: "\"f32\" or \"int8\"",
                }
                .into());
            }
        };
        let mut segmenter = Segmenter::new(manifest, choice)
            .await?
            .with_precision(precision);
        if let Some(threads) = threads {
            segmenter = segmenter.with_threads(threads);
        }
        Ok(WebSegmenter { segmenter })
    }

    /// "webgpu" or "cpu".
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> String {
        match self.segmenter.device_name() {
            "gpu" => "webgpu".to_owned(),
            name => name.to_owned(),
        }
    }

    /// How many threads compute on a CPU.
    #[wasm_bindgen(getter)]
    pub fn threads(&self) -> usize {
        self.segmenter.threads()
    }

    /// Checks one file of the manifest and builds the part it holds.
    pub fn load(&mut self, file: &str, content: Vec<u8>) -> JsResult<()> {
        Ok(self.segmenter.load(file, content)?)
    }

    /// Whether the "tokenizer", "text" or "vision" part has been loaded.
    pub fn is_loaded(&self, part: &str) -> bool {
        [Part::Tokenizer, Part::Text, Part::Vision]
            .into_iter()
            .any(|known| known.name() == part && self.segmenter.is_loaded(known))
    }

    /// One dry run, so that shaders are compiled before somebody waits for a mask.
    pub async fn warm_up(&self, resolution: Option<usize>) -> JsResult<()> {
        Ok(self.segmenter.warm_up(resolution).await?)
    }

    /// The mask of an expression in an encoded image (PNG, JPEG, WebP, BMP, GIF, TIFF).
    ///
    /// After each tile of a large image `on_tile(done, tiles)` is called and its promise awaited;
    /// false stops the work with the code "cancelled". `crew`: other workers that compute tiles.
    pub async fn segment(
        &self,
        image: Vec<u8>,
        expression: &str,
        threshold: Option<f32>,
        resolution: Option<usize>,
        on_tile: Option<Function>,
        crew: Option<Crew>,
    ) -> JsResult<WebSegmentation> {
        let picture = decode_picture(&image).map_err(crate::Error::from)?;
        // The encoded bytes are not needed while the network runs.
        drop(image);
        let options = options(threshold, resolution);
        let mut segmentation = self
            .run(&picture.raster, expression, &options, on_tile, crew)
            .await?;
        picture.clear_missing(&mut segmentation.pixels);
        Ok(WebSegmentation {
            segmentation,
            measured: picture.measured,
        })
    }

    /// The mask of an expression in an image of RGBA pixels.
    pub async fn segment_rgba(
        &self,
        width: usize,
        height: usize,
        rgba: Vec<u8>,
        expression: &str,
        threshold: Option<f32>,
        resolution: Option<usize>,
        on_tile: Option<Function>,
        crew: Option<Crew>,
    ) -> JsResult<WebSegmentation> {
        let raster = Raster::from_rgba(width, height, &rgba).map_err(crate::Error::from)?;
        drop(rgba);
        let options = options(threshold, resolution);
        Ok(WebSegmentation {
            segmentation: self
                .run(&raster, expression, &options, on_tile, crew)
                .await?,
            measured: None,
        })
    }

    /// What the network says of one tile that another worker has handed out (see `crew`), `side` x
    /// `side` pixels of RGB: `side / 4` values a row.
    pub async fn margin(
        &self,
        side: usize,
        rgb: Vec<u8>,
        expression: &str,
    ) -> JsResult<Float32Array> {
        let tile = Raster::new(side, side, rgb).map_err(crate::Error::from)?;
        let margin = self.segmenter.margin_of_tile(tile, expression).await?;
        Ok(Float32Array::from(margin.data.as_slice()))
    }

    async fn run(
        &self,
        raster: &Raster,
        expression: &str,
        options: &SegmentOptions,
        on_tile: Option<Function>,
        crew: Option<Crew>,
    ) -> JsResult<Segmentation> {
        let mut job = self.segmenter.begin(raster, expression, options)?;
        let mut told = 0;
        loop {
            if let Some(crew) = &crew {
                crew.hand_out(&mut job);
            }
            let (before, tiles) = job.progress();
            let more = job.step().await?;
            if let Some(crew) = &crew {
                if !more && job.progress().0 == before {
                    crew.wait().await;
                }
                crew.hand_in(&mut job);
            }
            let (done, _) = job.progress();
            // Even where none was finished: the work may have been cancelled meanwhile.
            for done in done.min(told + 1)..=done.min(tiles - 1) {
                let Some(on_tile) = &on_tile else { break };
                let answer = on_tile
                    .call2(&JsValue::NULL, &done.into(), &tiles.into())
                    .unwrap_or(JsValue::FALSE);
                let answer = JsFuture::from(Promise::resolve(&answer)).await;
                // What throws or rejects does not want more of it either.
                if !answer.is_ok_and(|answer| answer != JsValue::FALSE) {
                    return Err(crate::Error::Cancelled.into());
                }
            }
            if done == tiles {
                return Ok(job.finish());
            }
            told = done;
        }
    }
}

fn options(threshold: Option<f32>, resolution: Option<usize>) -> SegmentOptions {
    SegmentOptions {
        threshold,
        resolution,
        ..SegmentOptions::default()
    }
}

/// A mask and how it came about.
#[wasm_bindgen(js_name = Segmentation)]
pub struct WebSegmentation {
    segmentation: Segmentation,
    measured: Option<Vec<u8>>,
}

#[wasm_bindgen(js_class = Segmentation)]
impl WebSegmentation {
    /// Columns of the mask.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.segmentation.pixels.width
    }

    /// Rows of the mask.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.segmentation.pixels.height
    }

    /// The expression was longer than the network reads.
    #[wasm_bindgen(getter)]
    pub fn truncated(&self) -> bool {
        self.segmentation.truncated
    }

    /// How sure the answer is of every pixel, row-major: foreground minus background logit in steps of
    /// 6 / 127, and -127 where the image holds nothing. See `margin_limit`.
    #[wasm_bindgen(getter)]
    pub fn pixel_margins(&self) -> Int8Array {
        Int8Array::from(self.segmentation.pixels.data.as_slice())
    }

    /// The mask, 0 or 1 a pixel, row-major. It takes the place of the pixels' margins, of which there are
    /// none afterwards.
    pub fn take_mask(&mut self) -> Uint8Array {
        let (threshold, pixels) = (self.segmentation.threshold, &mut self.segmentation.pixels);
        let pixels = PixelMargins {
            data: std::mem::take(&mut pixels.data),
            ..*pixels
        };
        Uint8Array::from(pixels.into_mask(threshold).data.as_slice())
    }

    /// Columns of the map of margins.
    #[wasm_bindgen(getter)]
    pub fn margin_width(&self) -> usize {
        self.segmentation.margin.width
    }

    /// Rows of the map of margins.
    #[wasm_bindgen(getter)]
    pub fn margin_height(&self) -> usize {
        self.segmentation.margin.height
    }

    /// Foreground minus background logit at the network's own resolution, row-major; empty on a
    /// second call.
    pub fn take_margin(&mut self) -> Float32Array {
        let data = std::mem::take(&mut self.segmentation.margin.data);
        Float32Array::from(data.as_slice())
    }

    /// The probability above which a pixel was taken.
    #[wasm_bindgen(getter)]
    pub fn threshold(&self) -> f32 {
        self.segmentation.threshold
    }

    /// 1 where the image holds a measurement, where some of it does not; empty on a second call.
    pub fn take_measured(&mut self) -> Option<Uint8Array> {
        let measured = self.measured.take()?;
        Some(Uint8Array::from(measured.as_slice()))
    }

    /// Milliseconds spent in each step.
    #[wasm_bindgen(getter)]
    pub fn timings(&self) -> Object {
        let timings = self.segmentation.timings;
        let entries = [
            ("preprocess_ms", timings.preprocess_ms),
            ("text_ms", timings.text_ms),
            ("vision_ms", timings.vision_ms),
            ("postprocess_ms", timings.postprocess_ms),
        ];
        Object::from_entries(
            &entries
                .iter()
                .map(|(name, value)| Array::of2(&(*name).into(), &(*value).into()))
                .collect::<Array>(),
        )
        .unwrap_or_default()
    }
}

/// Sets a property of an object of our own making, which cannot fail.
fn set(object: &JsValue, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}
