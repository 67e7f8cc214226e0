//! From the bytes of a file to pixels.

use std::io::Cursor;

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{ImageError, Raster, check_size, over_white};

/// Most pixels an image may have: what a browser's 4 GB address space bears beside the network.
pub const MAX_PIXELS: u64 = 120_000_000;

/// Most bytes a decoder may allocate: `MAX_PIXELS` at 16-bit RGBA.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8;

/// Decodes a PNG, JPEG, WebP, BMP, GIF (first frame) or TIFF file.
///
/// The result stands upright (EXIF orientation is applied), has 8 bits a channel (16-bit values
/// are scaled down), and transparent pixels lie on white.
///
/// # Errors
/// Any of [`ImageError`] but `BufferSize`. The size is checked in the header, before the pixels
/// are allocated; a file that ends too early is an error, never a partly grey image.
pub fn decode(bytes: &[u8]) -> Result<Raster, ImageError> {
    let image = decode_dynamic(bytes)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let rgb = if image.color().has_alpha() {
        over_white(&image.into_rgba8())
    } else {
        image.into_rgb8().into_raw()
    };
    Raster::new(width, height, rgb)
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
