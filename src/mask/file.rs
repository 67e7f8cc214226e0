//! Mask files: PNG or TIFF in, PNG out.

use ::image::{DynamicImage, ExtendedColorType};

use super::{Mask, MaskError};
use crate::image::{decode_dynamic, png};

impl Mask {
    /// Reads a mask from the bytes of a PNG or TIFF file with the values 0 and 1, or 0 and 255.
    ///
    /// `file` names it in errors.
    ///
    /// # Errors
    /// [`MaskError::Image`], [`MaskError::Value`], [`MaskError::Coloured`].
    pub fn decode(bytes: &[u8], file: &str) -> Result<Self, MaskError> {
        let image = decode_dynamic(bytes).map_err(|source| MaskError::Image {
            file: file.to_owned(),
            source,
        })?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let values = grey_values(image).map_err(|at| MaskError::Coloured {
            file: file.to_owned(),
            x: at % width,
            y: at / width,
        })?;
        // Whichever of 1 and 255 comes first says which of the two kinds this file is.
        let one = values
            .iter()
            .copied()
            .find(|value| *value != 0)
            .unwrap_or(1);
        let allowed = |value: u16| value == 0 || value == one;
        let wrong = values
            .iter()
            .position(|value| !allowed(*value) || !matches!(*value, 0 | 1 | 255));
        if let Some(at) = wrong {
            return Err(MaskError::Value {
                file: file.to_owned(),
                value: values[at],
                x: at % width,
                y: at / width,
            });
        }
        Ok(Self {
            width,
            height,
            data: values
                .into_iter()
                .map(|value| u8::from(value != 0))
                .collect(),
        })
    }

    /// The mask as an 8-bit grey PNG with the values 0 and 255.
    ///
    /// # Errors
    /// [`MaskError::Encode`] where `data` does not fit the size or a side is 0.
    pub fn to_png(&self) -> Result<Vec<u8>, MaskError> {
        let grey: Vec<u8> = self
            .data
            .iter()
            .map(|value| u8::from(*value != 0) * 255)
            .collect();
        Ok(png(
            &grey,
            (self.width, self.height),
            ExtendedColorType::L8,
        )?)
    }
}

/// One value a pixel as it stands in the file; 16-bit white counts as 255. An error is the index of
/// the first coloured pixel.
fn grey_values(image: DynamicImage) -> Result<Vec<u16>, usize> {
    let sixteen_bits = image.color().bytes_per_pixel() / image.color().channel_count() > 1;
    let channels: Vec<[u16; 3]> = if sixteen_bits {
        let narrow = |value: u16| if value == u16::MAX { 255 } else { value };
        let pixels = image.into_rgb16();
        pixels.pixels().map(|pixel| pixel.0.map(narrow)).collect()
    } else {
        let pixels = image.into_rgb8();
        pixels
            .pixels()
            .map(|pixel| pixel.0.map(u16::from))
            .collect()
    };
    match channels.iter().position(|[r, g, b]| r != g || g != b) {
        Some(at) => Err(at),
        None => Ok(channels.into_iter().map(|[value, _, _]| value).collect()),
    }
}
