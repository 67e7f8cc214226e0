//! Where the samples of a data set come from, and what each is about: `provenance.json` beside the
//! release layout.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DatasetError;
use super::release::Triplet;
use super::scene::{Origin, read_json};
use super::vocabulary::{Description, ExpressionKind, describe};

/// Name of the file.
pub(super) const FILE: &str = "provenance.json";

/// The file's content. Data sets of others have none, or one of another shape: then it is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The scenes by name.
    #[serde(default)]
    pub scenes: BTreeMap<String, Origin>,
    /// The samples by id.
    #[serde(default)]
    pub samples: BTreeMap<String, SampleOrigin>,
}

/// What is known of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleOrigin {
    /// Name of its scene.
    pub scene: String,
    /// Name of the collection that the scene belongs to.
    #[serde(default)]
    pub source: String,
    /// What its expression says.
    pub kind: ExpressionKind,
    /// What its expression is about.
    #[serde(default)]
    pub category: String,
    /// A rim of the scene was cut off.
    #[serde(default)]
    pub trimmed: bool,
    /// The scene has no such thing: the mask is empty.
    pub absent: bool,
}

impl Provenance {
    /// Reads the file beside a data set; empty where there is none.
    ///
    /// # Errors
    /// [`DatasetError::Io`], [`DatasetError::Json`].
    pub fn read(root: &Path) -> Result<Self, DatasetError> {
        let path = root.join(FILE);
        if path.is_file() {
            read_json(&path)
        } else {
            Ok(Self::default())
        }
    }

    /// Kind and category of a sample: as written, else read off its expression.
    pub fn describe(&self, sample: &Triplet) -> Option<Description> {
        match self.samples.get(&sample.id) {
            Some(origin) if !origin.category.is_empty() => Some(Description {
                kind: origin.kind,
                category: origin.category.clone(),
            }),
            _ => describe(&sample.expression),
        }
    }

    /// The collection that a sample comes from.
    pub fn source(&self, sample: &Triplet) -> Option<&str> {
        let source = &self.samples.get(&sample.id)?.source;
        (!source.is_empty()).then_some(source)
    }
}
