//! What is written of a mask.

use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

use crate::error::{Error, Result};
use crate::image::Picture;
use crate::mask::{CocoRle, Feature, Mask, feature_collection};

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// 255 where the expression refers to the pixel, else 0; as large as the image.
    Png,
    /// The same at the place of a GeoTIFF image.
    Geotiff,
    /// Outlines of the connected regions, in the coordinates of a GeoTIFF image, else in pixels.
    Geojson,
    /// Run lengths as pycocotools reads them.
    CocoRle,
}

impl Format {
    /// What the ending of a name asks for.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_ascii_lowercase();
        match ending.to_str()? {
            "png" => Some(Self::Png),
            "tif" | "tiff" => Some(Self::Geotiff),
            "geojson" => Some(Self::Geojson),
            "json" => Some(Self::CocoRle),
            _ => None,
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Geotiff => "tif",
            Self::Geojson => "geojson",
            Self::CocoRle => "json",
        }
    }

    /// Whether this can be made of a picture; before anything is computed.
    pub(super) fn check(self, picture: &Picture, out: &Path) -> Result<()> {
        if self == Self::Geotiff && picture.georeference.is_none() {
            return Err(Error::Option {
                option: "out",
                value: out.display().to_string(),
                expected: "a name that ends in .png, because the image is no GeoTIFF",
            });
        }
        Ok(())
    }
}

/// The bytes of a file.
pub(super) fn content(
    format: Format,
    mask: &Mask,
    picture: &Picture,
    expression: &str,
    gsd: Option<f64>,
    tolerance: f64,
) -> Result<Vec<u8>> {
    let place = picture.georeference.as_ref();
    Ok(match (format, place) {
        (Format::Geotiff, Some(place)) => {
            let pixels: Vec<u8> = mask.data.iter().map(|value| value * 255).collect();
            place.write_band(mask.width, mask.height, &pixels)?
        }
        (Format::Png | Format::Geotiff, _) => mask.to_png()?,
        (Format::Geojson, place) => {
            let feature = Feature {
                expression,
                mask,
                gsd,
            };
            let mut text = feature_collection(&[feature], place, tolerance).to_string();
            text.push('\n');
            text.into_bytes()
        }
        (Format::CocoRle, _) => {
            let rle = CocoRle::from(mask);
            let mut text = json!({ "expression": expression, "segmentation": rle }).to_string();
            text.push('\n');
            text.into_bytes()
        }
    })
}
