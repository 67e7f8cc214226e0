//! From partly annotated scenes of many sources to the RefSegRS layout.
//!
//! A scene is asked only for what it annotates: categories whose classes are all in `annotated`,
//! attributes of the single objects that are known to have them or not, relations among annotated
//! classes. Rules, beside those of [`triplets`](super::triplets):
//!
//! - An ignored pixel is never target. It stands in the sample's file in `ignored/`, so that
//!   evaluation and training can leave it out. Rims that are mostly ignored are cut off (there the
//!   scene's image is written anew, as PNG; else it is the original file), and scenes of which more
//!   than [`MAX_IGNORED`] remains ignored are left out.
//! - A building without `roof_material` is ignored by "building with tin roof", and a vehicle without
//!   `tone` by "dark car".
//! - A scene gives a few expressions with an empty mask ([`Rules::max_absent`]), where the absence is
//!   certain.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::DatasetError;
use super::builder::{Builder, SplitSummary};
use super::scene::{Classes, Scene};
use super::triplets::Rules;

/// Largest share of a scene that may be ignored.
pub const MAX_IGNORED: f64 = 0.1;

/// Writes the scenes under `<root>/<split>/<source>/` for each split to `out`, which must not exist
/// yet. `progress` is called with the scenes done and their number.
///
/// # Errors
/// Any of [`DatasetError`]; nothing is left at `out` then.
pub fn build(
    root: &Path,
    out: &Path,
    splits: &[String],
    rules: &Rules,
    mut progress: impl FnMut(usize, usize),
) -> Result<BTreeMap<String, SplitSummary>, DatasetError> {
    let classes = Classes::read(&root.join("classes.json"))?;
    let mut files = Vec::new();
    for split in splits {
        let found = scene_files(&root.join(split))?;
        files.extend(found.into_iter().map(|path| (split, path)));
    }
    let mut builder = Builder::create(out, splits)?;
    for (at, (split, path)) in files.iter().enumerate() {
        progress(at, files.len());
        let scene = Scene::read(path, &scene_name(path), &classes)?;
        let usable = scene
            .trim()
            .filter(|scene| scene.labels.ignored_share() <= MAX_IGNORED);
        builder.add(split, usable, rules)?;
    }
    progress(files.len(), files.len());
    builder.finish(root)
}

/// `<source>/<scene>`.
fn scene_name(path: &Path) -> String {
    let name =
        |path: Option<&std::ffi::OsStr>| path.map(|name| name.to_string_lossy().into_owned());
    let source = name(path.parent().and_then(Path::file_name)).unwrap_or_default();
    let scene = name(path.file_stem()).unwrap_or_default();
    format!("{source}/{scene}").replace(char::is_whitespace, "_")
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
