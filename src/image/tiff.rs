//! TIFF files that photo libraries do not read: many bands, 16 bits, floats, missing pixels.
//!
//! The pixels are decoded by the `tiff` crate, a chunk at a time, so that a large file never lies in
//! memory with all its bands.

use std::io::Cursor;

use ::image::metadata::Orientation;
use ::tiff::decoder::{Decoder, DecodingResult, Limits};
use ::tiff::tags::Tag;
use ::tiff::{ColorType, TiffError};

use super::georeference::Georeference;
use super::{ImageError, Raster, check_size};

/// Shares of a band's values that are cut off below and above when it is stretched to 8 bits, as
/// geographic programs do by default.
const CUT: f64 = 0.02;

/// Values a band that its distribution is estimated from.
const SAMPLED: usize = 1 << 19;

/// Largest chunk, decoded, in bytes; and most that the decoder may hold at once.
const MAX_CHUNK: usize = 512 << 20;

type Reader<'a> = Decoder<Cursor<&'a [u8]>>;

/// A TIFF image, and what else is known of it.
pub(super) struct TiffImage {
    pub(super) raster: Raster,
    /// 1 where a pixel was measured, 0 where it is missing; `None` where none is.
    pub(super) measured: Option<Vec<u8>>,
    pub(super) georeference: Option<Georeference>,
    /// How it must be turned to stand upright.
    pub(super) orientation: Orientation,
}

/// How the samples of a pixel become red, green and blue.
#[derive(Clone, Copy)]
enum Bands {
    Grey { inverted: bool },
    Rgb,
    YCbCr,
    Cmyk,
}

struct Layout {
    width: usize,
    height: usize,
    samples: usize,
    planar: bool,
    bands: Bands,
    /// Sample that holds opacity.
    alpha: Option<usize>,
    /// 8-bit values are colours already.
    is_display: bool,
}

/// Decodes the first image of a TIFF file.
///
/// Three bands or more: the first three are red, green and blue. One or two: grey. 8-bit values stay
/// as they are; others are stretched, band by band, from the 2nd to the 98th percentile.
pub(super) fn decode(bytes: &[u8]) -> Result<TiffImage, ImageError> {
    let mut reader = open(bytes)?;
    let georeference = Georeference::read(&mut reader);
    let nodata = nodata(&mut reader);
    let orientation = reader
        .find_tag_unsigned::<u8>(Tag::Orientation)
        .ok()
        .flatten()
        .and_then(Orientation::from_exif)
        .unwrap_or(Orientation::NoTransforms);
    let layout = layout(&mut reader)?;

    let stretch = if layout.is_display {
        [(0.0, 255.0); 3]
    } else {
        percentiles(&mut reader, &layout, nodata)?
    };
    let mut rgb = vec![0; layout.width * layout.height * 3];
    let mut measured = vec![1; layout.width * layout.height];
    visit(&mut reader, &layout, 1, |index, colour, opaque| {
        let missing = !opaque || colour.iter().any(|value| is_missing(*value, nodata));
        if missing {
            measured[index] = 0;
            return;
        }
        for ((byte, value), (low, high)) in
            rgb[index * 3..][..3].iter_mut().zip(colour).zip(stretch)
        {
            // Not a number and what is out of range end at the borders: `as` saturates.
            *byte = ((value - low) / (high - low) * 255.0).round() as u8;
        }
    })?;
    let missing = measured.contains(&0);
    Ok(TiffImage {
        raster: Raster::new(layout.width, layout.height, rgb)?,
        measured: missing.then_some(measured),
        georeference,
        orientation,
    })
}

fn open(bytes: &[u8]) -> Result<Reader<'_>, ImageError> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_CHUNK;
    limits.intermediate_buffer_size = MAX_CHUNK;
    Ok(Decoder::new(Cursor::new(bytes))
        .map_err(explain)?
        .with_limits(limits))
}

fn layout(reader: &mut Reader<'_>) -> Result<Layout, ImageError> {
    let (width, height) = reader.dimensions().map_err(explain)?;
    check_size(u64::from(width), u64::from(height))?;
    let colour = reader.colortype().map_err(explain)?;
    let number = |reader: &mut Reader<'_>, tag| reader.find_tag_unsigned::<u16>(tag).ok().flatten();
    let inverted = number(reader, Tag::PhotometricInterpretation) == Some(0);
    let (samples, bands) = match colour {
        ColorType::Gray(_) => (1, Bands::Grey { inverted }),
        ColorType::GrayA(_) => (2, Bands::Grey { inverted }),
        ColorType::RGB(_) => (3, Bands::Rgb),
        ColorType::YCbCr(_) => (3, Bands::YCbCr),
        ColorType::RGBA(_) => (4, Bands::Rgb),
        ColorType::CMYK(_) => (4, Bands::Cmyk),
        ColorType::Multiband { num_samples, .. } => {
            let samples = usize::from(num_samples);
            let bands = match samples {
                0 => return Err(unsupported("it has no bands")),
                1 | 2 => Bands::Grey { inverted },
                _ => Bands::Rgb,
            };
            (samples, bands)
        }
        other => return Err(unsupported(&format!("its colours are {other:?}"))),
    };
    let alpha = match colour {
        ColorType::GrayA(_) | ColorType::RGBA(_) => Some(samples - 1),
        // 1 and 2 are kinds of opacity; 0 is a band of any other meaning.
        ColorType::Multiband { .. } => reader
            .find_tag_unsigned_vec::<u16>(Tag::ExtraSamples)
            .ok()
            .flatten()
            .and_then(|extra| {
                let colours = samples.checked_sub(extra.len())?;
                let place = extra.iter().position(|kind| matches!(kind, 1 | 2))?;
                Some(colours + place)
            }),
        _ => None,
    };
    let format = number(reader, Tag::SampleFormat).unwrap_or(1);
    Ok(Layout {
        width: width as usize,
        height: height as usize,
        samples,
        planar: samples > 1 && number(reader, Tag::PlanarConfiguration) == Some(2),
        bands,
        alpha,
        is_display: colour.bit_depth() == 8 && format == 1,
    })
}

/// Calls `pixel(index, [red, green, blue], is it opaque)` for every `step`-th pixel.
fn visit(
    reader: &mut Reader<'_>,
    layout: &Layout,
    step: usize,
    mut pixel: impl FnMut(usize, [f64; 3], bool),
) -> Result<(), ImageError> {
    let (chunk_width, chunk_height) = reader.chunk_dimensions();
    if chunk_width == 0 || chunk_height == 0 {
        return Err(unsupported("its parts have no size"));
    }
    let across = layout.width.div_ceil(chunk_width as usize);
    let down = layout.height.div_ceil(chunk_height as usize);
    // In a planar file each band has all its chunks in a row.
    let wanted: Vec<usize> = match layout.bands {
        Bands::Grey { .. } => vec![0],
        Bands::Rgb | Bands::YCbCr => vec![0, 1, 2],
        Bands::Cmyk => vec![0, 1, 2, 3],
    };
    let places: Vec<usize> = wanted.iter().copied().chain(layout.alpha).collect();
    for chunk in 0..across * down {
        let index = |plane: usize| u32::try_from(plane * across * down + chunk).unwrap_or(u32::MAX);
        let (width, height) = reader.chunk_data_dimensions(index(0));
        let (width, height) = (width as usize, height as usize);
        let (left, top) = (
            chunk % across * chunk_width as usize,
            chunk / across * chunk_height as usize,
        );
        let planes: Vec<DecodingResult> = if layout.planar {
            places
                .iter()
                .map(|place| reader.read_chunk(index(*place)).map_err(explain))
                .collect::<Result<_, _>>()?
        } else {
            vec![reader.read_chunk(index(0)).map_err(explain)?]
        };
        let value = |at: usize, place: usize| {
            if layout.planar {
                sample(&planes[place], at)
            } else {
                sample(&planes[0], at * layout.samples + places[place])
            }
        };
        for at in (0..width * height).step_by(step) {
            let (x, y) = (left + at % width, top + at / width);
            if x >= layout.width || y >= layout.height {
                continue;
            }
            let colour = match layout.bands {
                Bands::Grey { inverted } => {
                    let grey = value(at, 0);
                    [if inverted { -grey } else { grey }; 3]
                }
                Bands::Rgb => [value(at, 0), value(at, 1), value(at, 2)],
                // ITU-R BT.601, full range: what JPEG means by these.
                Bands::YCbCr => {
                    let (luma, cb, cr) = (value(at, 0), value(at, 1) - 128.0, value(at, 2) - 128.0);
                    [
                        luma + 1.402 * cr,
                        luma - 0.344_136 * cb - 0.714_136 * cr,
                        luma + 1.772 * cb,
                    ]
                }
                Bands::Cmyk => {
                    let white = 255.0 - value(at, 3);
                    [0, 1, 2].map(|ink| (255.0 - value(at, ink)) * white / 255.0)
                }
            };
            let opaque = layout.alpha.is_none() || value(at, places.len() - 1) > 0.0;
            pixel(y * layout.width + x, colour, opaque);
        }
    }
    Ok(())
}

/// A value as a number, NaN where the chunk is shorter than it says.
fn sample(values: &DecodingResult, at: usize) -> f64 {
    macro_rules! take {
        ($($kind:ident),*) => {
            match values {
                $(DecodingResult::$kind(values) => values.get(at).map(|value| *value as f64),)*
                DecodingResult::F16(values) => values.get(at).map(|value| value.to_f64()),
            }
        };
    }
    take!(U8, U16, U32, U64, F32, F64, I8, I16, I32, I64).unwrap_or(f64::NAN)
}

fn is_missing(value: f64, nodata: Option<f64>) -> bool {
    !value.is_finite() || nodata.is_some_and(|nodata| value == nodata || value == -nodata)
}

/// Between which values each band is stretched.
fn percentiles(
    reader: &mut Reader<'_>,
    layout: &Layout,
    nodata: Option<f64>,
) -> Result<[(f64, f64); 3], ImageError> {
    let step = (layout.width * layout.height).div_ceil(SAMPLED).max(1);
    // Odd, so that it does not walk down a column of a chunk whose width is a power of two.
    let step = step | 1;
    let mut values: [Vec<f64>; 3] = Default::default();
    visit(reader, layout, step, |_, colour, opaque| {
        if opaque && !colour.iter().any(|value| is_missing(*value, nodata)) {
            for (band, value) in values.iter_mut().zip(colour) {
                band.push(value);
            }
        }
    })?;
    Ok(values.map(|mut band| {
        band.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (share * band.len().saturating_sub(1) as f64).round() as usize;
            band.get(place).copied().unwrap_or(0.0)
        };
        let (low, high) = (at(CUT), at(1.0 - CUT));
        // One value everywhere is neither dark nor bright.
        if high > low {
            (low, high)
        } else {
            (low - 1.0, low + 1.0)
        }
    }))
}

/// The value that stands for "not measured", by GDAL's tag.
fn nodata(reader: &mut Reader<'_>) -> Option<f64> {
    let text = reader.get_tag_ascii_string(Tag::GdalNodata).ok()?;
    text.trim_matches(['\0', ' ']).parse().ok()
}

fn unsupported(reason: &str) -> ImageError {
    ImageError::Unsupported {
        format: "TIFF",
        reason: reason.to_owned(),
    }
}

fn explain(error: TiffError) -> ImageError {
    let reason = error.to_string();
    match error {
        TiffError::IoError(_) => ImageError::Truncated { format: "TIFF" },
        TiffError::LimitsExceeded | TiffError::IntSizeError => unsupported(&format!(
            "one of its parts takes more than {} MB of memory",
            MAX_CHUNK >> 20
        )),
        TiffError::UnsupportedError(_) | TiffError::UsageError(_) => unsupported(&reason),
        TiffError::FormatError(_) => ImageError::Damaged {
            format: "TIFF",
            reason,
        },
    }
}
