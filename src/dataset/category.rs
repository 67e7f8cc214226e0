//! Category expressions: "building", "vehicle".

use super::scene::{LabelMap, Scene};
use crate::mask::Mask;

/// A category and the classes of the label map that it covers: "vehicle" covers cars too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Category {
    /// The expression.
    pub name: &'static str,
    /// Classes that must be annotated for a scene to tell all of the category.
    pub classes: &'static [&'static str],
    /// Classes that belong to it where a scene has them.
    pub also: &'static [&'static str],
}

/// The categories that the unified scenes can tell.
pub const CATEGORIES: [Category; 9] = [
    single("building", &["building"]),
    single("vegetation", &["vegetation"]),
    single("water", &["water"]),
    single("road", &["road"]),
    single("bare land", &["bare land"]),
    single("car", &["car"]),
    single("van", &["van"]),
    single("bus", &["bus"]),
    Category {
        name: "vehicle",
        classes: &["car", "van", "truck", "bus"],
        also: &["trailer"],
    },
];

const fn single(name: &'static str, classes: &'static [&'static str]) -> Category {
    Category {
        name,
        classes,
        also: &[],
    }
}

impl Category {
    /// Whether the scene labels the category throughout, so that its absence means something.
    pub fn is_annotated(&self, scene: &Scene) -> bool {
        self.classes
            .iter()
            .all(|class| scene.annotated.iter().any(|annotated| annotated == class))
    }

    /// The category's pixels: `None` where the scene does not annotate it. What the label map
    /// ignores is not part of the mask.
    pub fn mask(&self, scene: &Scene) -> Option<Mask> {
        if !self.is_annotated(scene) {
            return None;
        }
        let LabelMap { width, height, .. } = scene.labels;
        let wanted: Vec<u8> = self
            .classes
            .iter()
            .chain(self.also)
            .filter_map(|class| scene.classes.index_of(class))
            .collect();
        let is_wanted = |label: &u8| u8::from(wanted.contains(label));
        Some(Mask {
            width,
            height,
            data: scene.labels.data.iter().map(is_wanted).collect(),
        })
    }
}
