//! From the bytes of a file to pixels.

use std::io::Cursor;

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::tiff::TiffImage;
use super::{Georeference, ImageError, Raster, check_size, over_white};
use crate::mask::PixelMargins;

/// Most pixels an image may have: what a browser's 4 GB address space bears beside the network.
pub const MAX_PIXELS: u64 = 120_000_000;

/// Most bytes a decoder may allocate: `MAX_PIXELS` at 16-bit RGBA.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8;

/// An image file: its pixels, and what else the file says.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The pixels, upright, in 8 bits a channel.
    pub raster: Raster,
    /// 1 where a pixel was measured and 0 where it is missing (nodata, transparent, not a number),
    /// row-major; `None` where none is missing or the format cannot say.
    pub measured: Option<Vec<u8>>,
    /// Where it lies, for a GeoTIFF.
    pub georeference: Option<Georeference>,
}

impl Picture {
    /// Takes out of an answer what was not measured: it is in no mask then.
    pub fn clear_missing(&self, margins: &mut PixelMargins) {
        if let Some(measured) = &self.measured {
            for (margin, measured) in margins.data.iter_mut().zip(measured) {
                if *measured == 0 {
                    *margin = PixelMargins::NEVER;
                }
            }
        }
    }
}

/// Decodes a PNG, JPEG, WebP, BMP, GIF (first frame) or TIFF file.
///
/// The result stands upright (EXIF orientation is applied), has 8 bits a channel, and transparent
/// pixels lie on white. 16-bit values of photographs are scaled down; TIFF files of 16 bits, floats
/// or any number of bands are stretched from the 2nd to the 98th percentile.
///
/// # Errors
/// Any of [`ImageError`] but `BufferSize`. The size is checked in the header, before the pixels
/// are allocated; a file that ends too early is an error, never a partly grey image.
pub fn decode(bytes: &[u8]) -> Result<Raster, ImageError> {
    Ok(decode_picture(bytes)?.raster)
}

/// [`decode`] with everything else that the file says.
///
/// # Errors
/// As [`decode`].
pub fn decode_picture(bytes: &[u8]) -> Result<Picture, ImageError> {
    if is_tiff(bytes) {
        let tiff = super::tiff::decode(bytes)?;
        if tiff.orientation == Orientation::NoTransforms {
            return Ok(Picture {
                raster: tiff.raster,
                measured: tiff.measured,
                georeference: tiff.georeference,
            });
        }
        // Coordinates belong to the pixels as they are stored, and are not turned with them.
        return upright(tiff);
    }
    let image = decode_dynamic(bytes)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let rgb = if image.color().has_alpha() {
        over_white(&image.into_rgba8())
    } else {
        image.into_rgb8().into_raw()
    };
    Ok(Picture {
        raster: Raster::new(width, height, rgb)?,
        measured: None,
        georeference: None,
    })
}

/// TIFF or BigTIFF, of either byte order.
fn is_tiff(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]
        .iter()
        .any(|magic| bytes.starts_with(*magic))
}

fn upright(tiff: TiffImage) -> Result<Picture, ImageError> {
    let Raster { width, height, rgb } = tiff.raster;
    let turned = |image: Option<DynamicImage>| {
        image.map(|mut image| {
            image.apply_orientation(tiff.orientation);
            image
        })
    };
    let (columns, rows) = (width as u32, height as u32);
    let colours = ::image::RgbImage::from_raw(columns, rows, rgb).map(DynamicImage::from);
    let measured = tiff
        .measured
        .and_then(|measured| ::image::GrayImage::from_raw(columns, rows, measured));
    let Some(colours) = turned(colours) else {
        return Err(ImageError::ZeroSize {
            width: width as u64,
            height: height as u64,
        });
    };
    let (width, height) = (colours.width() as usize, colours.height() as usize);
    Ok(Picture {
        raster: Raster::new(width, height, colours.into_rgb8().into_raw())?,
        measured: turned(measured.map(DynamicImage::from))
            .map(|image| image.into_luma8().into_raw()),
        georeference: None,
    })
}

/// Decodes a file and keeps its channels and depth, as masks need it.
pub(crate) fn decode_dynamic(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    let format = ::image::guess_format(bytes).map_err(|_| ImageError::NotAnImage)?;
    let Some(name) = format_name(format) else {
        return Err(ImageError::NotAnImage);
    };
    let failed = |error| explain(error, name);

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(u64::from(width), u64::from(height))?;
    // The JPEG decoder fills what is missing with grey and says nothing.
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(ImageError::Truncated { format: name });
    }
    // A damaged EXIF block is no reason to refuse the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn format_name(format: ImageFormat) -> Option<&'static str> {
    Some(match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        _ => return None,
    })
}

/// Says in our words what the decoder found.
fn explain(error: ::image::ImageError, format: &'static str) -> ImageError {
    use ::image::ImageError as Source;
    let reason = error.to_string();
    match error {
        Source::IoError(_) => ImageError::Truncated { format },
        Source::Unsupported(_) => ImageError::Unsupported { format, reason },
        Source::Limits(_) => ImageError::Unsupported {
            format,
            reason: format!("it needs more than {MAX_DECODER_BYTES} bytes of memory"),
        },
        // Some decoders wrap the early end in their own error, and keep only its words.
        _ if mentions_early_end(&reason) => ImageError::Truncated { format },
        _ => ImageError::Damaged { format, reason },
    }
}

fn mentions_early_end(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    [
        "unexpected eof",
        "unexpected end",
        "failed to fill whole buffer",
        "exhausted",
    ]
    .iter()
    .any(|words| reason.contains(words))
}

/// Whether a JPEG file reaches its end-of-image marker.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    while at + 1 < bytes.len() {
        if bytes[at] != 0xFF {
            // Entropy-coded data, or padding between segments.
            at += 1;
            continue;
        }
        match bytes[at + 1] {
            0xD9 => return true,
            // Fill byte.
            0xFF => at += 1,
            // A data byte of 0xFF, a restart marker, or another marker without a length.
            0x00 | 0x01 | 0xD0..=0xD8 => at += 2,
            _ => match bytes.get(at + 2..at + 4) {
                Some(length) => {
                    at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
                }
                None => return false,
            },
        }
    }
    false
}
