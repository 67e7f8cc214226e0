//! RefSegRS from SkyScapes-format tiles, as the paper makes it (section III-A).
//!
//! ```text
//! images/<tile>.{png,jpg,tif}     RGB, 5616 x 3744 pixels at 13 cm
//! labels/<tile>.png               8-bit grey, a class index a pixel (see `skyscapes`)
//! objects/<tile>.json             optional: GSD, licence and single objects, as synthetic scenes have
//! ```
//!
//! These folders lie in the given directory, or in folders `train`, `val` and `test` of it, which
//! then are the splits. Without such folders, whole tiles are dealt to the splits by a seed: 49 %, 10 %
//! and 41 %, as the release has its triplets (2172, 431, 1817). No pixel is in two splits.
//!
//! Each tile is cut into squares (1200 pixels, every 600 pixels), which are reduced to 512 x 512:
//! images bilinearly with antialiasing, labels by the nearest pixel. The paper filters
//! uninformative triplets by hand; here the rules of [`Rules::refsegrs`] do it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DatasetError;
use super::builder::{Builder, SplitSummary};
use super::instance::Instance;
use super::scene::{LabelMap, Origin, Scene, crop_image, read_json, read_labels};
use super::skyscapes;
use super::triplets::Rules;
use crate::image::{Raster, decode};

/// Folders of a tile's files.
pub(super) const IMAGES: &str = "images";
pub(super) const LABELS: &str = "labels";
pub(super) const OBJECTS: &str = "objects";

/// The splits, and the share of the tiles that each gets.
pub const SPLITS: [(&str, f64); 3] = [("train", 0.49), ("val", 0.1), ("test", 0.41)];

const IMAGE_EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "tif", "tiff"];

/// How tiles are cut, and what becomes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Width and height that each tile must have.
    pub tile: (usize, usize),
    /// Side of the squares that are cut out.
    pub crop: usize,
    /// From one square to the next.
    pub stride: usize,
    /// Side that the squares are resized to.
    pub size: usize,
    /// Decides which tile goes to which split.
    pub seed: u64,
    /// Which expressions are made.
    pub rules: Rules,
}

impl Default for Settings {
    /// The paper's.
    fn default() -> Self {
        Self {
            tile: skyscapes::TILE,
            crop: 1200,
            stride: 600,
            size: 512,
            seed: 0,
            rules: Rules::refsegrs(),
        }
    }
}

/// What a tile's JSON file tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Objects {
    /// Metres a pixel.
    pub(super) gsd_m: f64,
    /// Whence, and under which licence.
    #[serde(flatten)]
    pub(super) origin: Origin,
    /// Single objects.
    pub(super) instances: Vec<Instance>,
}

/// The files of one tile.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tile {
    split: String,
    name: String,
    image: PathBuf,
    labels: PathBuf,
    objects: Option<PathBuf>,
}

/// Makes the data set from the tiles under `root` at `out`, which must not exist yet. `progress` is
/// called with the tiles done and their number.
///
/// # Errors
/// Any of [`DatasetError`]; nothing is left at `out` then.
pub fn build(
    root: &Path,
    out: &Path,
    settings: &Settings,
    mut progress: impl FnMut(usize, usize),
) -> Result<BTreeMap<String, SplitSummary>, DatasetError> {
    settings.check(root)?;
    let tiles = tiles(root, settings.seed)?;
    let splits: BTreeSet<&String> = tiles.iter().map(|tile| &tile.split).collect();
    let mut builder = Builder::create(out, splits)?;
    for (at, tile) in tiles.iter().enumerate() {
        progress(at, tiles.len());
        let (image, labels, objects) = tile.read(settings)?;
        for [x, y] in settings.positions() {
            let scene = tile.crop(&image, &labels, &objects, [x, y], settings);
            builder.add(&tile.split, Some(scene), &settings.rules)?;
        }
    }
    progress(tiles.len(), tiles.len());
    builder.finish(root)
}

impl Settings {
    fn check(&self, root: &Path) -> Result<(), DatasetError> {
        let wrong = |problem: String| {
            Err(DatasetError::Tile {
                path: root.to_owned(),
                problem,
            })
        };
        if self.crop == 0 || self.stride == 0 || self.size == 0 {
            return wrong("crop, stride and size must be at least 1 pixel".to_owned());
        }
        if self.crop > self.tile.0.min(self.tile.1) {
            return wrong(format!(
                "squares of {} pixels do not fit into tiles of {} x {} pixels",
                self.crop, self.tile.0, self.tile.1
            ));
        }
        Ok(())
    }

    /// Upper left corners of the squares, row by row.
    fn positions(&self) -> impl Iterator<Item = [usize; 2]> {
        let along = |side: usize| (0..=side - self.crop).step_by(self.stride);
        let columns = along(self.tile.0);
        along(self.tile.1).flat_map(move |y| columns.clone().map(move |x| [x, y]))
    }
}

impl Tile {
    fn read(&self, settings: &Settings) -> Result<(Raster, LabelMap, Objects), DatasetError> {
        let path = &self.image;
        let bytes = fs::read(path).map_err(|source| DatasetError::reading(path, source))?;
        let image = decode(&bytes).map_err(|source| DatasetError::Image {
            path: path.clone(),
            source,
        })?;
        if (image.width, image.height) != settings.tile {
            return Err(DatasetError::Tile {
                path: path.clone(),
                problem: format!(
                    "the tile has {} x {} pixels, but {} x {} were expected",
                    image.width, image.height, settings.tile.0, settings.tile.1
                ),
            });
        }
        let labels = read_labels(&self.labels, &skyscapes::classes(), &image)?;
        let objects = match &self.objects {
            Some(path) => read_json(path)?,
            None => Objects {
                gsd_m: skyscapes::GSD_M,
                origin: Origin {
                    source: "skyscapes".to_owned(),
                    license: "that of the tiles".to_owned(),
                    attribution: "SkyScapes, German Aerospace Center (DLR)".to_owned(),
                },
                instances: Vec::new(),
            },
        };
        Ok((image, labels, objects))
    }

    fn crop(
        &self,
        image: &Raster,
        labels: &LabelMap,
        objects: &Objects,
        [x, y]: [usize; 2],
        settings: &Settings,
    ) -> Scene {
        let Settings { crop, size, .. } = *settings;
        let part = [x, y, crop, crop];
        let scale = size as f64 / crop as f64;
        let instances = objects.instances.iter().filter_map(|instance| {
            let [left, top, right, bottom] = instance.outline.bounds();
            let inside = left < (x + crop) as f64
                && right > x as f64
                && top < (y + crop) as f64
                && bottom > y as f64;
            inside.then(|| {
                let mut instance = instance.clone();
                instance.outline.shift(-(x as f64), -(y as f64));
                instance.outline.scale(scale, scale);
                instance
            })
        });
        let name = self.name.replace(char::is_whitespace, "_");
        Scene {
            name: if (crop, crop) == settings.tile {
                name
            } else {
                format!("{name}-x{x}y{y}")
            },
            image_path: self.image.clone(),
            image: crop_image(image, part).resize_exact(size, size),
            trimmed: true,
            labels: labels.crop(part).resize_nearest(size, size),
            classes: skyscapes::classes(),
            annotated: skyscapes::CLASSES.map(String::from).to_vec(),
            instances: instances.collect(),
            gsd_m: Some(objects.gsd_m / scale),
            origin: objects.origin.clone(),
        }
    }
}

/// All tiles in the order of their splits and names.
fn tiles(root: &Path, seed: u64) -> Result<Vec<Tile>, DatasetError> {
    let folders: Vec<&str> = SPLITS
        .into_iter()
        .map(|(split, _)| split)
        .filter(|split| root.join(split).is_dir())
        .collect();
    let mut tiles = Vec::new();
    if folders.is_empty() {
        tiles = tiles_in(root, "")?;
        deal(&mut tiles, root, seed)?;
    }
    for split in folders {
        tiles.extend(tiles_in(&root.join(split), split)?);
    }
    let mut names = BTreeSet::new();
    for tile in &tiles {
        if !names.insert(&tile.name) {
            return Err(DatasetError::Tile {
                path: tile.image.clone(),
                problem: "another tile has this name, and a tile must be in one split only"
                    .to_owned(),
            });
        }
    }
    Ok(tiles)
}

/// The tiles of a folder; each image has its labels.
fn tiles_in(folder: &Path, split: &str) -> Result<Vec<Tile>, DatasetError> {
    let images = stems(&folder.join(IMAGES), &IMAGE_EXTENSIONS)?;
    let labels = stems(&folder.join(LABELS), &["png"])?;
    let without = |path: &Path, missing: &str| DatasetError::Tile {
        path: path.to_owned(),
        problem: format!("there is no {} for it", folder.join(missing).display()),
    };
    if let Some((name, path)) = labels.iter().find(|(name, _)| !images.contains_key(*name)) {
        return Err(without(path, &format!("{IMAGES}/{name}.png or .jpg")));
    }
    if images.is_empty() {
        return Err(DatasetError::Tile {
            path: folder.join(IMAGES),
            problem: "no image is there; expected <tile>.png, .jpg or .tif, and the label maps \
                      beside it in labels/<tile>.png"
                .to_owned(),
        });
    }
    images
        .into_iter()
        .map(|(name, image)| {
            let labels = labels
                .get(&name)
                .ok_or_else(|| without(&image, &format!("{LABELS}/{name}.png")))?;
            let objects = folder.join(OBJECTS).join(format!("{name}.json"));
            Ok(Tile {
                split: split.to_owned(),
                labels: labels.clone(),
                objects: objects.is_file().then_some(objects),
                name,
                image,
            })
        })
        .collect()
}

/// Files by their name without extension.
fn stems(folder: &Path, extensions: &[&str]) -> Result<BTreeMap<String, PathBuf>, DatasetError> {
    let failed = |source| DatasetError::reading(folder, source);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned());
        if let (Some(stem), Some(extension)) = (stem, extension)
            && extensions.contains(&extension.as_str())
        {
            found.insert(stem, path);
        }
    }
    Ok(found)
}

/// Deals whole tiles to the splits: each gets its share, and one at least.
fn deal(tiles: &mut [Tile], root: &Path, seed: u64) -> Result<(), DatasetError> {
    let count = tiles.len();
    if count < SPLITS.len() {
        return Err(DatasetError::Tile {
            path: root.to_owned(),
            problem: format!(
                "{count} tiles cannot be dealt to the splits train, val and test; at least three \
                 are needed, or folders of these names with the tiles of each"
            ),
        });
    }
    let key = |tile: &Tile| Sha256::digest(format!("{seed} {}", tile.name)).to_vec();
    tiles.sort_by_cached_key(key);
    let rounded = |share: f64| ((share * count as f64).round() as usize).max(1);
    let (val, test) = (rounded(SPLITS[1].1), rounded(SPLITS[2].1));
    for (at, tile) in tiles.iter_mut().enumerate() {
        let split = if at < val {
            1
        } else if at < val + test {
            2
        } else {
            0
        };
        tile.split = SPLITS[split].0.to_owned();
    }
    tiles.sort_by_key(|tile| {
        let split = SPLITS.iter().position(|(split, _)| *split == tile.split);
        (split, tile.name.clone())
    });
    Ok(())
}
