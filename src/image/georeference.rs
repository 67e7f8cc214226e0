//! Where on Earth a GeoTIFF lies, kept as the file says it.

use std::io::{Cursor, Read, Seek};

use ::tiff::decoder::Decoder;
use ::tiff::encoder::{TiffEncoder, colortype::Gray8};
use ::tiff::tags::Tag;

use super::ImageError;

/// Projected, geographic or other: key 1024 of the GeoTIFF specification.
const MODEL_TYPE: u16 = 1024;
/// Unit of projected coordinates: key 3076.
const LINEAR_UNIT: u16 = 3076;
/// Code of the projected system: key 3072; of the geographic one: key 2048.
const PROJECTED: u16 = 3072;
const GEOGRAPHIC: u16 = 2048;

/// Metres a degree of latitude.
const METRES_A_DEGREE: f64 = 111_320.0;

/// From pixels to coordinates, and in which system those are.
#[derive(Clone, Debug, PartialEq)]
pub struct Georeference {
    /// `[a, b, c, d, e, f]`: x = a column + b row + c, y = d column + e row + f, at the upper left
    /// corner of a pixel.
    pub transform: [f64; 6],
    /// Code of the coordinate system at EPSG.
    pub epsg: Option<u16>,
    /// Metres a pixel; `None` where the unit is unknown.
    pub gsd: Option<f64>,
    scale: Vec<f64>,
    tie_points: Vec<f64>,
    matrix: Vec<f64>,
    keys: Vec<u16>,
    doubles: Vec<f64>,
    text: String,
}

impl Georeference {
    /// Where the image of an encoded TIFF file lies; `None` where it does not tell, or is no TIFF.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut reader = Decoder::new(Cursor::new(bytes)).ok()?;
        Self::read(&mut reader)
    }

    /// What the tags of a file say; `None` where they say nothing, or nonsense.
    pub(super) fn read<R: Read + Seek>(reader: &mut Decoder<R>) -> Option<Self> {
        let mut numbers = |tag| reader.get_tag_f64_vec(tag).unwrap_or_default();
        let scale = numbers(Tag::ModelPixelScaleTag);
        let tie_points = numbers(Tag::ModelTiepointTag);
        let matrix = numbers(Tag::ModelTransformationTag);
        let doubles = numbers(Tag::GeoDoubleParamsTag);
        let keys = reader
            .get_tag_u16_vec(Tag::GeoKeyDirectoryTag)
            .unwrap_or_default();
        let text = reader
            .get_tag_ascii_string(Tag::GeoAsciiParamsTag)
            .map(|text| ascii(&text))
            .unwrap_or_default();

        let transform = if let [a, b, _, c, d, e, _, f, ..] = matrix[..] {
            [a, b, c, d, e, f]
        } else if let ([across, down, ..], [column, row, _, x, y, ..]) =
            (&scale[..], &tie_points[..])
        {
            [
                *across,
                0.0,
                x - column * across,
                0.0,
                -down,
                y + row * down,
            ]
        } else {
            return None;
        };
        if !transform.iter().all(|value| value.is_finite())
            || (transform[0] == 0.0 && transform[1] == 0.0)
        {
            return None;
        }
        let key = |wanted: u16| {
            // Four numbers a key, after four of a header: key, where, count, value.
            let mut entries = keys.chunks_exact(4).skip(1);
            entries
                .find(|entry| entry[0] == wanted && entry[1] == 0)
                .map(|entry| entry[3])
        };
        // 32767: the system is described by hand and has no code.
        let epsg = key(PROJECTED)
            .or_else(|| key(GEOGRAPHIC))
            .filter(|code| *code != 32_767);
        let [a, _, _, d, _, f] = transform;
        let units = a.hypot(d);
        let gsd = match key(MODEL_TYPE) {
            Some(1) => match key(LINEAR_UNIT) {
                None | Some(9001) => Some(units),
                Some(9002) => Some(units * 0.3048),
                Some(9003) => Some(units * 1200.0 / 3937.0),
                Some(_) => None,
            },
            Some(2) if f.abs() <= 90.0 => {
                Some(units * METRES_A_DEGREE * f.to_radians().cos().max(0.01))
            }
            _ => None,
        };
        Some(Self {
            transform,
            epsg,
            gsd,
            scale,
            tie_points,
            matrix,
            keys,
            doubles,
            text,
        })
    }

    /// Coordinates of a position in the image, in pixels from its upper left corner.
    pub fn locate(&self, column: f64, row: f64) -> [f64; 2] {
        let [a, b, c, d, e, f] = self.transform;
        [a * column + b * row + c, d * column + e * row + f]
    }

    /// A single 8-bit band as a GeoTIFF file at the same place.
    ///
    /// # Errors
    /// [`ImageError::Encode`] where `pixels` does not fit the size.
    pub fn write_band(
        &self,
        width: usize,
        height: usize,
        pixels: &[u8],
    ) -> Result<Vec<u8>, ImageError> {
        let failed = |reason: String| ImageError::Encode {
            width,
            height,
            reason,
        };
        if pixels.len() != width * height {
            return Err(failed(format!("it has {} bytes", pixels.len())));
        }
        self.encode(width as u32, height as u32, pixels)
            .map_err(|error| failed(error.to_string()))
    }

    fn encode(&self, width: u32, height: u32, pixels: &[u8]) -> ::tiff::TiffResult<Vec<u8>> {
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut file)?
            .with_compression(::tiff::encoder::Compression::Deflate(Default::default()));
        let mut image = encoder.new_image::<Gray8>(width, height)?;
        for (tag, values) in [
            (Tag::ModelPixelScaleTag, &self.scale),
            (Tag::ModelTiepointTag, &self.tie_points),
            (Tag::ModelTransformationTag, &self.matrix),
            (Tag::GeoDoubleParamsTag, &self.doubles),
        ] {
            if !values.is_empty() {
                image.encoder().write_tag(tag, &values[..])?;
            }
        }
        if !self.keys.is_empty() {
            image
                .encoder()
                .write_tag(Tag::GeoKeyDirectoryTag, &self.keys[..])?;
        }
        if !self.text.is_empty() {
            image
                .encoder()
                .write_tag(Tag::GeoAsciiParamsTag, &self.text[..])?;
        }
        image.write_data(pixels)?;
        Ok(file.into_inner())
    }
}

/// The same number of bytes, those that no ASCII tag may hold as question marks: keys say by numbers of
/// bytes which part of the text is theirs.
fn ascii(text: &str) -> String {
    let allowed = |byte: u8| byte.is_ascii() && byte != 0;
    text.bytes()
        .map(|byte| if allowed(byte) { char::from(byte) } else { '?' })
        .collect()
}
