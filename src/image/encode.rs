//! From pixels to a PNG file, for images and masks.

use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

use super::{ImageError, Raster};

impl Raster {
    /// The image as an 8-bit RGB PNG.
    ///
    /// # Errors
    /// [`ImageError::Encode`] where `rgb` does not fit the size.
    pub fn to_png(&self) -> Result<Vec<u8>, ImageError> {
        png(
            &self.rgb,
            (self.width, self.height),
            ExtendedColorType::Rgb8,
        )
    }
}

/// Row-major pixels of `colour` as a PNG file.
pub(crate) fn png(
    pixels: &[u8],
    (width, height): (usize, usize),
    colour: ExtendedColorType,
) -> Result<Vec<u8>, ImageError> {
    let failed = |reason: String| ImageError::Encode {
        width,
        height,
        reason,
    };
    let expected = width * height * usize::from(colour.bits_per_pixel()) / 8;
    if pixels.len() != expected {
        let found = pixels.len();
        return Err(failed(format!(
            "it has {found} bytes instead of {expected}"
        )));
    }
    let side = |length: usize| u32::try_from(length).map_err(|error| failed(error.to_string()));
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(pixels, side(width)?, side(height)?, colour)
        .map_err(|error| failed(error.to_string()))?;
    Ok(file)
}
