//! What is made of masks: other thresholds, numbers, files.

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use super::error::JsResult;
use crate::Error;
use crate::image::Georeference;
use crate::mask::{Connectivity, Feature, Mask, PixelMargins, Regions, feature_collection};
use crate::segmenter::checked_threshold;

/// The step that a result's `pixel_margins` exceed where the probability exceeds `threshold`.
///
/// Masks at other thresholds are drawn where the margins are: those of a large image are many bytes, which
/// would have to come here and go back.
#[wasm_bindgen]
pub fn margin_limit(threshold: f32) -> JsResult<i8> {
    Ok(PixelMargins::limit(checked_threshold(threshold)?))
}

/// Number of connected regions of a mask; pixels that share an edge are connected.
#[wasm_bindgen]
pub fn count_regions(mask: Vec<u8>, width: usize, height: usize) -> JsResult<usize> {
    Ok(Regions::count_in(
        &checked(mask, width, height)?,
        Connectivity::Four,
    ))
}

/// A mask as a GeoTIFF file (0 and 255) at the place of `image`, an encoded GeoTIFF.
#[wasm_bindgen]
pub fn geotiff(mask: Vec<u8>, width: usize, height: usize, image: &[u8]) -> JsResult<Uint8Array> {
    let mask = checked(mask, width, height)?;
    let place = Georeference::of(image).ok_or(Error::Option {
        option: "image",
        value: "a file that does not say where on Earth it lies".to_owned(),
        expected: "a GeoTIFF",
    })?;
    let pixels: Vec<u8> = mask.data.iter().map(|value| value * 255).collect();
    let file = place
        .write_band(width, height, &pixels)
        .map_err(Error::from)?;
    Ok(Uint8Array::from(file.as_slice()))
}

/// Collects masks of one image for a GeoJSON file.
#[wasm_bindgen]
pub struct GeoJson {
    place: Option<Georeference>,
    tolerance: f64,
    found: Vec<(String, Mask, Option<f64>)>,
}

#[wasm_bindgen]
impl GeoJson {
    /// `image`: the encoded image, whose coordinates are used where it is a GeoTIFF; `tolerance`:
    /// pixels by which a line may leave the true outline.
    #[wasm_bindgen(constructor)]
    pub fn new(image: Option<Vec<u8>>, tolerance: f64) -> Self {
        Self {
            place: image.and_then(|image| Georeference::of(&image)),
            tolerance,
            found: Vec::new(),
        }
    }

    /// Adds what was found for an expression; `gsd`: metres a pixel.
    pub fn add(
        &mut self,
        expression: String,
        mask: Vec<u8>,
        width: usize,
        height: usize,
        gsd: Option<f64>,
    ) -> JsResult<()> {
        self.found
            .push((expression, checked(mask, width, height)?, gsd));
        Ok(())
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let features: Vec<Feature<'_>> = self
            .found
            .iter()
            .map(|(expression, mask, gsd)| Feature {
                expression,
                mask,
                gsd: *gsd,
            })
            .collect();
        feature_collection(&features, self.place.as_ref(), self.tolerance).to_string()
    }
}

fn checked(data: Vec<u8>, width: usize, height: usize) -> Result<Mask, Error> {
    if data.len() != width * height || data.iter().any(|value| *value > 1) {
        return Err(Error::Option {
            option: "mask",
            value: format!("{} bytes for {width} x {height} pixels", data.len()),
            expected: "a byte a pixel, 0 or 1",
        });
    }
    Ok(Mask {
        width,
        height,
        data,
    })
}
