//! Masks: what the network gives, what a file holds.

mod blend;
mod coco;
mod file;
mod geojson;
mod guided;
mod margin;
mod pixels;
mod polygons;
mod regions;
mod stitch;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use coco::CocoRle;
pub use geojson::{Feature, feature_collection};
pub use margin::MarginMap;
pub use pixels::PixelMargins;
pub use polygons::{Polygon, Ring};
pub use regions::{Connectivity, Regions};
pub(crate) use stitch::Stitch;

use crate::image::{ImageError, Raster};

/// A binary mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row-major, 1 where the expression refers to the pixel, else 0: `width * height` bytes.
    pub data: Vec<u8>,
}

/// How the network's output gets the size of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upsampling {
    /// Bilinearly, as in the paper.
    #[default]
    Bilinear,
    /// Along the edges of the image ([`MarginMap::guided_by`]).
    Guided,
}

impl MarginMap {
    /// Margins of the pixels of `image`, all of which this map is about.
    pub fn upsampled(&self, image: &Raster, how: Upsampling) -> PixelMargins {
        match how {
            Upsampling::Bilinear => self.bilinear(image.width, image.height),
            Upsampling::Guided => self.guided_by(image),
        }
    }
}

/// Why a mask cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The file is no image.
    #[error("The mask {file} cannot be read. {source}")]
    Image {
        /// Which file.
        file: String,
        /// What is wrong with it.
        source: ImageError,
    },
    /// A pixel is neither background nor foreground.
    #[error(
        "The mask {file} holds the value {value} at column {x}, row {y}. \
         A mask holds either only 0 and 1, or only 0 and 255."
    )]
    Value {
        /// Which file.
        file: String,
        /// The value.
        value: u16,
        /// Column, from 0.
        x: usize,
        /// Row, from 0.
        y: usize,
    },
    /// A pixel has a colour.
    #[error(
        "The mask {file} is coloured at column {x}, row {y}. \
         A mask is grey: 0 and 1, or 0 and 255."
    )]
    Coloured {
        /// Which file.
        file: String,
        /// Column, from 0.
        x: usize,
        /// Row, from 0.
        y: usize,
    },
    /// PNG encoding failed.
    #[error(transparent)]
    Encode(#[from] ImageError),
}

impl Mask {
    /// A mask without foreground.
    pub fn empty(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0; width * height],
        }
    }

    /// Number of foreground pixels.
    pub fn foreground(&self) -> u64 {
        self.data.iter().map(|value| u64::from(*value)).sum()
    }

    /// The mask without the pixels of another one of its size.
    pub fn without(&self, other: &Self) -> Self {
        let data = self.data.iter().zip(&other.data);
        Self {
            data: data.map(|(value, taken)| value & !taken & 1).collect(),
            ..*self
        }
    }

    /// The mask at another size by nearest neighbour, as the official pipeline resizes targets.
    pub fn resize_nearest(&self, width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: resized(&self.data, [self.width, self.height], [width, height]),
        }
    }
}

/// A map of other columns and rows, each value that of the nearest cell.
pub(crate) fn resized<T: Copy>(
    values: &[T],
    [width, height]: [usize; 2],
    [columns, rows]: [usize; 2],
) -> Vec<T> {
    let columns: Vec<usize> = nearest(width, columns).collect();
    nearest(height, rows)
        .flat_map(|y| columns.iter().map(move |x| values[y * width + x]))
        .collect()
}

/// Input position whose cell holds the centre of each output position.
fn nearest(input: usize, output: usize) -> impl Iterator<Item = usize> {
    let scale = input as f64 / output as f64;
    // Pillow adds up the steps, and where a centre falls on the edge of a cell the rounding of the
    // sum decides.
    std::iter::successors(Some(scale / 2.0), move |centre| Some(centre + scale))
        .take(output)
        .map(move |centre| (centre as usize).min(input.saturating_sub(1)))
}
