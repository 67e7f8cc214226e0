//! Writing the triplets of scenes, with where they come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::DatasetError;
use super::provenance::{FILE, Provenance, SampleOrigin};
use super::release::{ImageSource, ReleaseWriter};
use super::scene::Scene;
use super::triplets::{Rules, referrals, sample_id};

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

/// A data set on its way.
#[derive(Debug)]
pub(super) struct Builder {
    out: PathBuf,
    writer: ReleaseWriter,
    provenance: Provenance,
    summaries: BTreeMap<String, SplitSummary>,
}

impl Builder {
    /// Begins at `out`, where nothing may be yet. Each of the splits must get samples.
    pub(super) fn create<'a>(
        out: &Path,
        splits: impl IntoIterator<Item = &'a String>,
    ) -> Result<Self, DatasetError> {
        Ok(Self {
            out: out.to_owned(),
            writer: ReleaseWriter::create(out)?,
            provenance: Provenance::default(),
            summaries: splits
                .into_iter()
                .map(|split| (split.clone(), SplitSummary::default()))
                .collect(),
        })
    }

    /// Adds the triplets of a scene; `None` is a scene that cannot be used.
    pub(super) fn add(
        &mut self,
        split: &str,
        scene: Option<Scene>,
        rules: &Rules,
    ) -> Result<(), DatasetError> {
        let summary = self.summaries.entry(split.to_owned()).or_default();
        let found = scene.map(|scene| (referrals(&scene, rules), scene));
        let Some((referrals, scene)) = found.filter(|(referrals, _)| !referrals.is_empty()) else {
            summary.left_out += 1;
            return Ok(());
        };
        summary.scenes += 1;
        let mut image = image_source(&scene)?;
        for referral in referrals {
            let id = sample_id(&scene.name, &referral.expression);
            self.writer.add_ignoring(
                split,
                &id,
                &referral.expression,
                &mut image,
                &referral.mask,
                &referral.ignore,
            )?;
            let absent = referral.mask.foreground() == 0;
            summary.present += usize::from(!absent);
            summary.absent += usize::from(absent);
            let origin = SampleOrigin {
                scene: scene.name.clone(),
                source: scene.origin.source.clone(),
                kind: referral.kind,
                category: referral.category.to_owned(),
                trimmed: scene.trimmed,
                absent,
            };
            self.provenance.samples.insert(id, origin);
        }
        self.provenance.scenes.insert(scene.name, scene.origin);
        Ok(())
    }

    /// Gives the data set its name. `root` is where the scenes are.
    pub(super) fn finish(
        self,
        root: &Path,
    ) -> Result<BTreeMap<String, SplitSummary>, DatasetError> {
        let empty = self
            .summaries
            .iter()
            .find(|(_, summary)| summary.present == 0);
        if let Some((split, _)) = empty {
            return Err(DatasetError::Nothing {
                root: root.to_owned(),
                split: split.clone(),
            });
        }
        let json =
            serde_json::to_vec_pretty(&self.provenance).map_err(|error| DatasetError::Json {
                path: self.out.join(FILE),
                problem: error.to_string(),
            })?;
        self.writer.add_file(FILE, &json)?;
        self.writer.finish()?;
        Ok(self.summaries)
    }
}

/// The scene's file where its image is that file's, else its pixels as PNG.
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
