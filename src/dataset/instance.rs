//! Single objects of a scene.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An object: what it is, where, and what it is like.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "InstanceFile", into = "InstanceFile")]
pub struct Instance {
    /// Name of its class.
    pub class: String,
    /// Where it is.
    pub outline: Outline,
    /// What is known of it: `roof_material` is `tin`. What is missing is unknown.
    pub attributes: BTreeMap<String, String>,
}

/// Where an object is, in pixels from the upper left corner of the image.
#[derive(Clone, Debug, PartialEq)]
pub enum Outline {
    /// A polygon, and holes in it.
    Polygon(Vec<Vec<[f64; 2]>>),
    /// Left, top, right, bottom.
    Box([f64; 4]),
}

/// An instance in a scene's JSON.
#[derive(Clone, Deserialize, Serialize)]
struct InstanceFile {
    class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    polygon: Option<Vec<[f64; 2]>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holes: Vec<Vec<[f64; 2]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bbox: Option<[f64; 4]>,
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
}

impl TryFrom<InstanceFile> for Instance {
    type Error = String;

    fn try_from(file: InstanceFile) -> Result<Self, String> {
        let outline = match (file.polygon, file.bbox) {
            (Some(polygon), _) => {
                Outline::Polygon(std::iter::once(polygon).chain(file.holes).collect())
            }
            (None, Some(bbox)) => Outline::Box(bbox),
            (None, None) => {
                return Err(format!(
                    "an instance of \"{}\" has neither \"polygon\" nor \"bbox\"",
                    file.class
                ));
            }
        };
        // Only words can be part of an expression: flags and positions are left out.
        let words = file.attributes.into_iter().filter_map(|(key, value)| {
            let value = value.as_str()?.to_owned();
            Some((key, value))
        });
        Ok(Self {
            class: file.class,
            outline,
            attributes: words.collect(),
        })
    }
}

impl From<Instance> for InstanceFile {
    fn from(instance: Instance) -> Self {
        let (polygon, holes, bbox) = match instance.outline {
            Outline::Polygon(mut rings) => {
                let holes = rings.split_off(rings.len().min(1));
                (rings.pop(), holes, None)
            }
            Outline::Box(bbox) => (None, Vec::new(), Some(bbox)),
        };
        Self {
            class: instance.class,
            polygon,
            holes,
            bbox,
            attributes: instance
                .attributes
                .into_iter()
                .map(|(key, value)| (key, value.into()))
                .collect(),
        }
    }
}

impl Outline {
    /// Moves it.
    pub fn shift(&mut self, x: f64, y: f64) {
        self.map(|point| [point[0] + x, point[1] + y]);
    }

    /// Multiplies its positions.
    pub fn scale(&mut self, x: f64, y: f64) {
        self.map(|point| [point[0] * x, point[1] * y]);
    }

    fn map(&mut self, change: impl Fn([f64; 2]) -> [f64; 2]) {
        match self {
            Self::Polygon(rings) => {
                for point in rings.iter_mut().flatten() {
                    *point = change(*point);
                }
            }
            Self::Box([left, top, right, bottom]) => {
                [*left, *top] = change([*left, *top]);
                [*right, *bottom] = change([*right, *bottom]);
            }
        }
    }

    /// Calls `visit` with the index of each pixel whose centre lies inside.
    pub fn fill(&self, width: usize, height: usize, mut visit: impl FnMut(usize)) {
        let [_, top, _, bottom] = self.bounds();
        for y in rows(top, bottom, height) {
            let crossings = self.crossings(y as f64 + 0.5);
            for pair in crossings.chunks_exact(2) {
                for x in rows(pair[0], pair[1], width) {
                    visit(y * width + x);
                }
            }
        }
    }

    /// Left, top, right, bottom; empty outlines are nowhere.
    pub fn bounds(&self) -> [f64; 4] {
        match self {
            Self::Box(bounds) => *bounds,
            Self::Polygon(rings) => rings.iter().flatten().fold(
                [
                    f64::INFINITY,
                    f64::INFINITY,
                    f64::NEG_INFINITY,
                    f64::NEG_INFINITY,
                ],
                |[left, top, right, bottom], [x, y]| {
                    [left.min(*x), top.min(*y), right.max(*x), bottom.max(*y)]
                },
            ),
        }
    }

    /// Where a horizontal line enters and leaves it.
    fn crossings(&self, y: f64) -> Vec<f64> {
        let rings = match self {
            Self::Box([left, top, right, bottom]) => {
                let inside = (*top..*bottom).contains(&y);
                return if inside {
                    vec![*left, *right]
                } else {
                    Vec::new()
                };
            }
            Self::Polygon(rings) => rings,
        };
        let mut crossings: Vec<f64> = rings
            .iter()
            .flat_map(|ring| ring.iter().zip(ring.iter().cycle().skip(1)))
            .filter(|(from, to)| (from[1] <= y) != (to[1] <= y))
            .map(|(from, to)| from[0] + (y - from[1]) / (to[1] - from[1]) * (to[0] - from[0]))
            .collect();
        crossings.sort_by(f64::total_cmp);
        crossings
    }
}

/// Pixels whose centres lie between two positions.
fn rows(from: f64, to: f64, count: usize) -> std::ops::Range<usize> {
    // A cast saturates, so what lies outside the image is cut off.
    let first = (from - 0.5).ceil().max(0.0) as usize;
    let end = (to - 0.5).ceil().max(0.0) as usize;
    first..end.min(count).max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(outline: &Outline) -> Vec<usize> {
        let mut found = Vec::new();
        outline.fill(5, 4, |at| found.push(at));
        found
    }

    #[test]
    fn polygons_with_holes_and_boxes_are_filled() {
        let square = vec![[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0]];
        let hole = vec![[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]];
        let outline = Outline::Polygon(vec![square, hole]);
        assert_eq!(filled(&outline), [0, 1, 2, 3, 5, 7, 8, 10, 11, 12, 13]);
        assert_eq!(filled(&Outline::Box([3.2, -5.0, 99.0, 1.9])), [3, 4, 8, 9]);
        assert_eq!(
            filled(&Outline::Box([7.0, 7.0, 9.0, 9.0])),
            Vec::<usize>::new()
        );
        assert_eq!(filled(&Outline::Polygon(Vec::new())), Vec::<usize>::new());
    }

    #[test]
    fn instances_come_back_as_they_were_written() {
        let json = r#"{"class":"building","polygon":[[0.0,0.0],[4.0,0.0],[4.0,3.0]],
            "holes":[[[1.0,1.0],[2.0,1.0],[2.0,2.0]]],
            "attributes":{"roof_material":"tin","truncated":true}}"#;
        let instance: Instance = serde_json::from_str(json).expect("an instance");
        assert_eq!(instance.attributes["roof_material"], "tin");
        assert_eq!(instance.attributes.len(), 1);
        let written = serde_json::to_string(&instance).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Instance>(&written).expect("an instance"),
            instance
        );
        assert!(serde_json::from_str::<Instance>(r#"{"class":"car"}"#).is_err());
    }
}
