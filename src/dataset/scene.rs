//! Annotated scenes: an image, a label map, and which classes were labelled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::DatasetError;
use super::instance::Instance;
use crate::image::{Raster, decode, decode_dynamic};
use crate::mask::resized;

/// Label of pixels that nobody knows.
pub const IGNORE: u8 = 255;

/// Share of ignored pixels at which a row or column on the rim of a scene is cut off.
const RIM_SHARE: f64 = 0.75;

/// Class names by label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes(BTreeMap<u8, String>);

/// A class for each pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row-major labels.
    pub data: Vec<u8>,
}

/// A scene and all that is known of it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Its name, as `source/scene`.
    pub name: String,
    /// File of the image.
    pub image_path: PathBuf,
    /// The image.
    pub image: Raster,
    /// It is a part of the file's image, for example because a rim was cut off.
    pub trimmed: bool,
    /// A class for each pixel of the image.
    pub labels: LabelMap,
    /// Names of the labels.
    pub classes: Classes,
    /// The classes that are labelled throughout.
    pub annotated: Vec<String>,
    /// Single objects, as far as they are known.
    pub instances: Vec<Instance>,
    /// Metres on the ground a pixel, where that is known.
    pub gsd_m: Option<f64>,
    /// Where the scene comes from and how it may be used.
    pub origin: Origin,
}

/// Where a scene comes from and how it may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the collection.
    pub source: String,
    /// Its licence.
    pub license: String,
    /// Whom to name.
    pub attribution: String,
}

/// The scene's JSON file, as far as it is read.
#[derive(Deserialize)]
struct SceneFile {
    source: String,
    license: String,
    attribution: String,
    annotated: Vec<String>,
    #[serde(default)]
    gsd_m: Option<f64>,
    #[serde(default)]
    instances: Vec<Instance>,
}

impl Classes {
    /// Classes by label.
    pub fn new(names: impl IntoIterator<Item = (u8, String)>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether a label stands for a class.
    pub fn contains(&self, label: u8) -> bool {
        self.0.contains_key(&label)
    }

    /// Reads `classes.json`, which maps labels to names.
    ///
    /// # Errors
    /// [`DatasetError::Io`], [`DatasetError::Json`].
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let names: BTreeMap<u8, String> = read_json(path)?;
        if names.contains_key(&IGNORE) {
            return Err(DatasetError::Json {
                path: path.to_owned(),
                problem: format!("label {IGNORE} stands for ignored pixels and cannot be a class"),
            });
        }
        Ok(Self(names))
    }

    /// The labels, for people: "0-13".
    fn labels(&self) -> String {
        let (first, last) = (self.0.keys().next(), self.0.keys().next_back());
        match (first, last) {
            (Some(first), Some(last)) if self.0.len() == usize::from(last - first) + 1 => {
                format!("{first}-{last}")
            }
            _ => self
                .0
                .keys()
                .map(u8::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// Label of a class.
    pub fn index_of(&self, name: &str) -> Option<u8> {
        let found = self.0.iter().find(|(_, class)| class.as_str() == name);
        found.map(|(label, _)| *label)
    }
}

impl LabelMap {
    /// Share of ignored pixels, from 0 to 1.
    pub fn ignored_share(&self) -> f64 {
        share(self.data.iter())
    }

    /// The part of it at x, y with a width and height, which must lie inside.
    pub fn crop(&self, part: [usize; 4]) -> Self {
        Self {
            width: part[2],
            height: part[3],
            data: cut(&self.data, self.width, 1, part),
        }
    }

    /// The map at another size, each pixel the nearest one.
    pub fn resize_nearest(&self, width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: resized(&self.data, [self.width, self.height], [width, height]),
        }
    }

    /// The part that remains (x, y, width, height) when rows and columns on the rim that are mostly
    /// ignored are cut off, the worst first. `None` where nothing would remain.
    fn known_part(&self) -> Option<[usize; 4]> {
        let (mut left, mut top, mut right, mut bottom) = (0, 0, self.width, self.height);
        while left < right && top < bottom {
            let row = |y: usize| share(self.data[y * self.width..][left..right].iter());
            let column = |x: usize| share((top..bottom).map(|y| &self.data[y * self.width + x]));
            let rims = [row(top), row(bottom - 1), column(left), column(right - 1)];
            let worst = (0..4).rev().max_by(|a, b| rims[*a].total_cmp(&rims[*b]))?;
            if rims[worst] < RIM_SHARE {
                return Some([left, top, right - left, bottom - top]);
            }
            match worst {
                0 => top += 1,
                1 => bottom -= 1,
                2 => left += 1,
                _ => right -= 1,
            }
        }
        None
    }
}

/// The part of an image at x, y with a width and height, which must lie inside.
pub(super) fn crop_image(image: &Raster, part: [usize; 4]) -> Raster {
    Raster {
        width: part[2],
        height: part[3],
        rgb: cut(&image.rgb, image.width, 3, part),
    }
}

fn cut(data: &[u8], stride: usize, channels: usize, [x, y, width, height]: [usize; 4]) -> Vec<u8> {
    data.chunks_exact(stride * channels)
        .skip(y)
        .take(height)
        .flat_map(|row| row[x * channels..(x + width) * channels].iter().copied())
        .collect()
}

fn share<'a>(labels: impl ExactSizeIterator<Item = &'a u8>) -> f64 {
    let total = labels.len();
    labels.filter(|label| **label == IGNORE).count() as f64 / total as f64
}

impl Scene {
    /// Reads a scene by its JSON file, with the image (.jpg) and label map (.png) beside it.
    ///
    /// # Errors
    /// Any of [`DatasetError`]'s about files.
    pub fn read(path: &Path, name: &str, classes: &Classes) -> Result<Self, DatasetError> {
        let file: SceneFile = read_json(path)?;
        let image_path = path.with_extension("jpg");
        let bytes =
            fs::read(&image_path).map_err(|source| DatasetError::reading(&image_path, source))?;
        let image = decode(&bytes).map_err(|source| DatasetError::Image {
            path: image_path.clone(),
            source,
        })?;
        let labels = read_labels(&path.with_extension("png"), classes, &image)?;
        if let Some(class) = file
            .annotated
            .iter()
            .find(|class| classes.index_of(class).is_none())
        {
            return Err(DatasetError::Json {
                path: path.to_owned(),
                problem: format!("\"annotated\" names \"{class}\", which is no known class"),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            image_path,
            image,
            trimmed: false,
            labels,
            classes: classes.clone(),
            annotated: file.annotated,
            instances: file.instances,
            gsd_m: file.gsd_m,
            origin: Origin {
                source: file.source,
                license: file.license,
                attribution: file.attribution,
            },
        })
    }

    /// Cuts off the rim as far as it is mostly ignored. `None` where nothing remains.
    pub fn trim(mut self) -> Option<Self> {
        let [x, y, width, height] = self.labels.known_part()?;
        if (width, height) == (self.labels.width, self.labels.height) {
            return Some(self);
        }
        self.image = crop_image(&self.image, [x, y, width, height]);
        self.labels = self.labels.crop([x, y, width, height]);
        for instance in &mut self.instances {
            instance.outline.shift(-(x as f64), -(y as f64));
        }
        self.trimmed = true;
        Some(self)
    }
}

pub(super) fn read_labels(
    path: &Path,
    classes: &Classes,
    image: &Raster,
) -> Result<LabelMap, DatasetError> {
    let bytes = fs::read(path).map_err(|source| DatasetError::reading(path, source))?;
    let labels = decode_dynamic(&bytes).map_err(|source| DatasetError::Image {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |problem: String| DatasetError::Labels {
        path: path.to_owned(),
        problem,
    };
    if labels.color() != ::image::ColorType::L8 {
        let found = labels.color();
        return Err(wrong(format!(
            "a label map is 8-bit grey with a class index a pixel, but this is {found:?}"
        )));
    }
    let (width, height) = (labels.width() as usize, labels.height() as usize);
    if (width, height) != (image.width, image.height) {
        return Err(DatasetError::Size {
            path: path.to_owned(),
            found: (width, height),
            image: (image.width, image.height),
        });
    }
    let data = labels.into_luma8().into_raw();
    let unknown = |label: &u8| *label != IGNORE && !classes.contains(*label);
    if let Some(at) = data.iter().position(unknown) {
        let (label, x, y) = (data[at], at % width, at / width);
        return Err(wrong(format!(
            "label {label} at column {x}, row {y} is no known class; known are {}, and {IGNORE} for \
             unknown pixels",
            classes.labels()
        )));
    }
    Ok(LabelMap {
        width,
        height,
        data,
    })
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, DatasetError> {
    let bytes = fs::read(path).map_err(|source| DatasetError::reading(path, source))?;
    serde_json::from_slice(&bytes).map_err(|error| DatasetError::Json {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}
