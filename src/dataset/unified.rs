//! From annotated scenes to the RefSegRS layout.
//!
//! Rules, beside those of the generators of expressions:
//!
//! - The layout has no ignored pixels, and an ignored pixel is never target. Rims that are mostly
//!   ignored are cut off (there the scene's image is written anew, as PNG; else it is the original
//!   file), and scenes of which more than [`MAX_IGNORED`] remains ignored are left out.
//! - An expression needs [`MIN_TARGET_PIXELS`] target pixels.
//! - A scene gives up to [`MAX_ABSENT`] expressions with an empty mask: categories that it annotates
//!   and has no pixel of. No more than [`MAX_IGNORED_ABSENT`] of it may be ignored, for a target
//!   could hide there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::DatasetError;
use super::category::CATEGORIES;
use super::release::{ImageSource, ReleaseWriter};
use super::scene::{Classes, Origin, Scene};
use crate::mask::Mask;

/// Largest share of a scene that may be ignored.
pub const MAX_IGNORED: f64 = 0.1;
/// Largest share of a scene that may be ignored where an expression is said to have no target.
pub const MAX_IGNORED_ABSENT: f64 = 0.01;
/// Fewest pixels of a target.
pub const MIN_TARGET_PIXELS: u64 = 64;
/// Most expressions without target a scene.
pub const MAX_ABSENT: usize = 2;

/// What an expression says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpressionKind {
    /// Its class alone: "building".
    Category,
}

/// An expression that fits a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// What is said.
    pub expression: String,
    /// What kind of expression it is.
    pub kind: ExpressionKind,
    /// What is meant; without foreground where the scene has no such thing.
    pub mask: Mask,
}

/// What became of the scenes of one split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitSummary {
    /// Scenes that gave expressions.
    pub scenes: usize,
    /// Scenes left out, mostly because too much of them is ignored.
    pub left_out: usize,
    /// Samples with a target.
    pub present: usize,
    /// Samples without.
    pub absent: usize,
}

/// Where the samples come from: `provenance.json` beside the layout.
#[derive(Default, Serialize)]
struct Provenance {
    scenes: BTreeMap<String, Origin>,
    samples: BTreeMap<String, SampleOrigin>,
}

#[derive(Serialize)]
struct SampleOrigin {
    scene: String,
    kind: ExpressionKind,
    trimmed: bool,
    absent: bool,
}

/// Writes the scenes under `<root>/<split>/<source>/` for each split to `out`, which must not exist
/// yet. `progress` is called with the scenes done and their number.
///
/// # Errors
/// Any of [`DatasetError`]; nothing is left at `out` then.
pub fn build(
    root: &Path,
    out: &Path,
    splits: &[String],
    mut progress: impl FnMut(usize, usize),
) -> Result<BTreeMap<String, SplitSummary>, DatasetError> {
    let classes = Classes::read(&root.join("classes.json"))?;
    let mut files = Vec::new();
    for split in splits {
        let found = scene_files(&root.join(split))?;
        files.extend(found.into_iter().map(|path| (split, path)));
    }
    let mut writer = ReleaseWriter::create(out)?;
    let mut provenance = Provenance::default();
    let mut summaries: BTreeMap<String, SplitSummary> = BTreeMap::new();
    for (at, (split, path)) in files.iter().enumerate() {
        progress(at, files.len());
        let scene = Scene::read(path, &scene_name(path), &classes)?;
        let summary = summaries.entry((*split).clone()).or_default();
        let usable = scene
            .trim()
            .filter(|scene| scene.labels.ignored_share() <= MAX_IGNORED);
        let referrals = usable.as_ref().map(referrals).unwrap_or_default();
        let Some(scene) = usable.filter(|_| !referrals.is_empty()) else {
            summary.left_out += 1;
            continue;
        };
        summary.scenes += 1;
        let mut image = image_source(&scene)?;
        for referral in &referrals {
            let id = sample_id(&scene.name, &referral.expression);
            let absent = referral.mask.foreground() == 0;
            writer.add(split, &id, &referral.expression, &mut image, &referral.mask)?;
            *(if absent {
                &mut summary.absent
            } else {
                &mut summary.present
            }) += 1;
            let origin = SampleOrigin {
                scene: scene.name.clone(),
                kind: referral.kind,
                trimmed: scene.trimmed,
                absent,
            };
            provenance.samples.insert(id, origin);
        }
        provenance.scenes.insert(scene.name, scene.origin);
    }
    progress(files.len(), files.len());
    for split in splits {
        let empty = summaries
            .get(split)
            .is_none_or(|summary| summary.present == 0);
        if empty {
            return Err(DatasetError::Nothing {
                root: root.to_owned(),
                split: split.clone(),
            });
        }
    }
    let json = serde_json::to_vec_pretty(&provenance).map_err(|error| DatasetError::Json {
        path: out.join("provenance.json"),
        problem: error.to_string(),
    })?;
    writer.add_file("provenance.json", &json)?;
    writer.finish()?;
    Ok(summaries)
}

/// All expressions of a scene, those with a target first.
pub fn referrals(scene: &Scene) -> Vec<Referral> {
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for category in CATEGORIES {
        let Some(mask) = category.mask(scene) else {
            continue;
        };
        let referral = Referral {
            expression: category.name.to_owned(),
            kind: ExpressionKind::Category,
            mask,
        };
        match referral.mask.foreground() {
            0 => absent.push(referral),
            MIN_TARGET_PIXELS.. => present.push(referral),
            // A few pixels on the edge: neither there nor absent.
            _ => {}
        }
    }
    if scene.labels.ignored_share() <= MAX_IGNORED_ABSENT {
        // Another choice for each scene, but the same one in each run.
        absent.sort_by_cached_key(|referral| {
            Sha256::digest(sample_id(&scene.name, &referral.expression)).to_vec()
        });
        present.extend(absent.into_iter().take(MAX_ABSENT));
    }
    present
}

/// `dubai/t1_p5_x0y0` and "bare land" make `dubai-t1_p5_x0y0-bare_land`.
fn sample_id(scene: &str, expression: &str) -> String {
    format!(
        "{}-{}",
        scene.replace('/', "-"),
        expression.replace(' ', "_")
    )
}

/// `<source>/<scene>`.
fn scene_name(path: &Path) -> String {
    let name =
        |path: Option<&std::ffi::OsStr>| path.map(|name| name.to_string_lossy().into_owned());
    let source = name(path.parent().and_then(Path::file_name)).unwrap_or_default();
    let scene = name(path.file_stem()).unwrap_or_default();
    format!("{source}/{scene}").replace(char::is_whitespace, "_")
}

fn image_source(scene: &Scene) -> Result<ImageSource, DatasetError> {
    if !scene.trimmed {
        return Ok(ImageSource::file(&scene.image_path));
    }
    let png = scene.image.to_png().map_err(|source| DatasetError::Image {
        path: scene.image_path.clone(),
        source,
    })?;
    Ok(ImageSource::bytes(png, "png"))
}

/// The JSON files of a split's scenes, in the order of their names.
fn scene_files(split: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut files = Vec::new();
    for source in children(split)?.into_iter().filter(|path| path.is_dir()) {
        files.extend(children(&source)?.into_iter().filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        }));
    }
    files.sort();
    Ok(files)
}

fn children(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let failed = |source| DatasetError::reading(path, source);
    fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}
