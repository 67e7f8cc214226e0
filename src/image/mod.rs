//! Images on their way to the network: decode, resize, normalise.

mod decode;
mod encode;
mod georeference;
mod resize;
mod tiff;
mod tiles;

use thiserror::Error;

pub(crate) use decode::decode_dynamic;
pub use decode::{MAX_PIXELS, Picture, decode, decode_picture};
pub(crate) use encode::png;
pub use georeference::Georeference;
pub use tiles::{Tile, TileGrid};

/// An RGB image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row-major, three bytes a pixel: `width * height * 3`.
    pub rgb: Vec<u8>,
}

/// Why an image cannot be used. Each message says what was found and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Nothing in the file.
    #[error("The image file is empty (0 bytes). Choose the file again, or save it anew.")]
    Empty,
    /// The first bytes are those of no format that is read here.
    #[error("This file is not an image that can be read. Use PNG, JPEG, WebP, BMP, GIF or TIFF.")]
    NotAnImage,
    /// The file ends before the image does.
    #[error(
        "The {format} image is cut short: its file ends before its pixels do. \
         Copy or download the file again."
    )]
    Truncated {
        /// Name of the format.
        format: &'static str,
    },
    /// The content contradicts the format.
    #[error("The {format} image is damaged: {reason}. Save or download it anew.")]
    Damaged {
        /// Name of the format.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// A valid image of a kind that is not read here.
    #[error(
        "This kind of {format} image is not supported: {reason}. \
         Save it as an 8-bit RGB PNG or JPEG."
    )]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// More pixels than fit into memory.
    #[error(
        "The image has {width} x {height} pixels; at most {} million pixels can be read. \
         Scale it down or cut a part out of it.",
        MAX_PIXELS / 1_000_000
    )]
    TooLarge {
        /// Pixels a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// No pixels at all.
    #[error("The image has {width} x {height} pixels. It needs at least one pixel each way.")]
    ZeroSize {
        /// Pixels a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// PNG encoding failed.
    #[error("An image of {width} x {height} pixels cannot be written as PNG: {reason}.")]
    Encode {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
        /// What the encoder says.
        reason: String,
    },
    /// The pixel buffer does not fit the size that came with it.
    #[error(
        "{width} x {height} pixels of {channels} bytes take {expected} bytes, but {found} were given."
    )]
    BufferSize {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes a pixel.
        channels: usize,
        /// What the size asks for.
        expected: usize,
        /// What came.
        found: usize,
    },
}

impl Raster {
    /// Wraps row-major RGB bytes, `width * height * 3` of them.
    ///
    /// # Errors
    /// [`ImageError::ZeroSize`], [`ImageError::TooLarge`], [`ImageError::BufferSize`].
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, ImageError> {
        check_buffer(width, height, 3, rgb.len())?;
        Ok(Self { width, height, rgb })
    }

    /// Takes row-major RGBA bytes, `width * height * 4` of them, as a canvas gives them (alpha not
    /// premultiplied). Transparent pixels come to lie on white.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Self, ImageError> {
        check_buffer(width, height, 4, rgba.len())?;
        Ok(Self {
            width,
            height,
            rgb: over_white(rgba),
        })
    }

    /// The image at another size, its aspect ratio not kept, as the official pipeline makes it:
    /// bilinear, with a support that grows with the reduction, each pass rounded to 8 bits.
    pub fn resize_exact(&self, width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: resize::bilinear_rgb(&self.rgb, (self.width, self.height), (width, height)),
        }
    }

    /// Input of the network, `[3, height, width]`: `(value / 255 - mean) / std` for each channel.
    pub fn normalised_chw(&self, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
        let mut planes = Vec::with_capacity(self.rgb.len());
        for channel in 0..3 {
            // 256 values are possible, so each is computed once.
            let table: Vec<f32> = (0..=u8::MAX)
                .map(|value| (f32::from(value) / 255.0 - mean[channel]) / std[channel])
                .collect();
            planes.extend(
                self.rgb
                    .chunks_exact(3)
                    .map(|pixel| table[usize::from(pixel[channel])]),
            );
        }
        planes
    }
}

fn check_buffer(
    width: usize,
    height: usize,
    channels: usize,
    found: usize,
) -> Result<(), ImageError> {
    check_size(width as u64, height as u64)?;
    // Cannot overflow, even in 32 bits: the size is within MAX_PIXELS.
    let expected = width * height * channels;
    if expected == found {
        return Ok(());
    }
    Err(ImageError::BufferSize {
        width,
        height,
        channels,
        expected,
        found,
    })
}

fn check_size(width: u64, height: u64) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::ZeroSize { width, height });
    }
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(ImageError::TooLarge { width, height });
    }
    Ok(())
}

/// RGBA to RGB on a white ground, rounded to nearest.
fn over_white(rgba: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.chunks_exact(4) {
        let alpha = u32::from(pixel[3]);
        for value in &pixel[..3] {
            let mixed = u32::from(*value) * alpha + 255 * (255 - alpha);
            rgb.push(((mixed + 127) / 255) as u8);
        }
    }
    rgb
}
