//! What the page shows of an image before anything has been computed.

use js_sys::Uint8ClampedArray;
use wasm_bindgen::prelude::*;

use super::error::JsResult;
use crate::image::decode_picture;

/// An image that the browser itself cannot show, small enough for a page.
#[wasm_bindgen]
pub struct Preview {
    size: [usize; 2],
    shown: [usize; 2],
    rgba: Vec<u8>,
    gsd: Option<f64>,
    epsg: Option<u16>,
}

/// Decodes an image and makes it at most `most` pixels wide and high.
#[wasm_bindgen]
pub fn preview(image: &[u8], most: usize) -> JsResult<Preview> {
    let picture = decode_picture(image).map_err(crate::Error::from)?;
    let raster = picture.raster;
    let size = [raster.width, raster.height];
    let scale = (most as f64 / raster.width.max(raster.height) as f64).min(1.0);
    let shown = size.map(|side| ((side as f64 * scale).round() as usize).max(1));
    let small = if shown == size {
        raster
    } else {
        raster.resize_exact(shown[0], shown[1])
    };
    let place = picture.georeference;
    Ok(Preview {
        size,
        shown,
        rgba: small
            .rgb
            .chunks_exact(3)
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255])
            .collect(),
        gsd: place.as_ref().and_then(|place| place.gsd),
        epsg: place.and_then(|place| place.epsg),
    })
}

#[wasm_bindgen]
impl Preview {
    /// Columns of the image.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.size[0]
    }

    /// Rows of the image.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.size[1]
    }

    /// Columns of what is shown.
    #[wasm_bindgen(getter)]
    pub fn shown_width(&self) -> usize {
        self.shown[0]
    }

    /// Rows of what is shown.
    #[wasm_bindgen(getter)]
    pub fn shown_height(&self) -> usize {
        self.shown[1]
    }

    /// Metres a pixel of the image, where its file tells.
    #[wasm_bindgen(getter)]
    pub fn gsd(&self) -> Option<f64> {
        self.gsd
    }

    /// Code of its coordinate system at EPSG, where its file tells.
    #[wasm_bindgen(getter)]
    pub fn epsg(&self) -> Option<u16> {
        self.epsg
    }

    /// What is shown, four bytes a pixel; empty on a second call.
    pub fn take_rgba(&mut self) -> Uint8ClampedArray {
        Uint8ClampedArray::from(std::mem::take(&mut self.rgba).as_slice())
    }
}
