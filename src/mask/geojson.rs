//! Masks as GeoJSON (RFC 7946).

use serde_json::{Value, json};

use super::Mask;
use super::polygons::signed_area;
use crate::image::Georeference;

/// A mask and what it shows.
#[derive(Clone, Copy, Debug)]
pub struct Feature<'a> {
    /// What was asked for.
    pub expression: &'a str,
    /// What was found.
    pub mask: &'a Mask,
    /// Metres a pixel, where they are known.
    pub gsd: Option<f64>,
}

/// A feature collection with one polygon for each connected region of each mask.
///
/// Coordinates are those of the image's own coordinate system where it has one, else pixels from
/// the upper left corner of the image. A system other than WGS 84 is named by the member `crs`,
/// which RFC 7946 has dropped, but which GDAL and QGIS write and read.
///
/// `tolerance`: as in [`Mask::polygons`].
pub fn feature_collection(
    features: &[Feature<'_>],
    place: Option<&Georeference>,
    tolerance: f64,
) -> Value {
    let regions: Vec<Value> = features
        .iter()
        .flat_map(|feature| regions(feature, place, tolerance))
        .collect();
    let mut collection = json!({ "type": "FeatureCollection", "features": regions });
    if let Some(code) = place
        .and_then(|place| place.epsg)
        .filter(|code| *code != 4326)
    {
        let name = format!("urn:ogc:def:crs:EPSG::{code}");
        collection["crs"] = json!({ "type": "name", "properties": { "name": name } });
    }
    collection
}

fn regions(feature: &Feature<'_>, place: Option<&Georeference>, tolerance: f64) -> Vec<Value> {
    let polygons = feature.mask.polygons(tolerance);
    polygons
        .into_iter()
        .map(|polygon| {
            let rings: Vec<Value> = polygon
                .rings
                .into_iter()
                .enumerate()
                .map(|(index, ring)| ring_of(ring, index == 0, place))
                .collect();
            let mut properties =
                json!({ "expression": feature.expression, "pixels": polygon.pixels });
            if let Some(gsd) = feature.gsd {
                properties["area_m2"] = json!(polygon.pixels as f64 * gsd * gsd);
            }
            json!({
                "type": "Feature",
                "properties": properties,
                "geometry": { "type": "Polygon", "coordinates": rings },
            })
        })
        .collect()
}

/// Located, closed, and turned as the standard wants it: outer rings counter-clockwise.
fn ring_of(ring: Vec<[f64; 2]>, outer: bool, place: Option<&Georeference>) -> Value {
    let mut points: Vec<[f64; 2]> = match place {
        Some(place) => ring.iter().map(|[x, y]| place.locate(*x, *y)).collect(),
        None => ring,
    };
    if (signed_area(&points) > 0.0) != outer {
        points.reverse();
    }
    points.extend(points.first().copied());
    json!(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Mask {
        let data = "######.##.######"
            .bytes()
            .map(|b| u8::from(b == b'#'))
            .collect();
        Mask {
            width: 4,
            height: 4,
            data,
        }
    }

    #[test]
    fn a_region_is_a_feature_with_its_holes() {
        let mask = ring();
        let feature = Feature {
            expression: "roundabout \"east\"",
            mask: &mask,
            gsd: Some(0.5),
        };
        let collection = feature_collection(&[feature], None, 0.0);
        assert_eq!(
            collection["features"][0]["properties"]["expression"],
            "roundabout \"east\""
        );
        assert_eq!(collection["features"][0]["properties"]["pixels"], 14);
        assert_eq!(collection["features"][0]["properties"]["area_m2"], 3.5);
        let rings = collection["features"][0]["geometry"]["coordinates"]
            .as_array()
            .map(Vec::len);
        assert_eq!(
            rings,
            Some(3),
            "the two missing pixels touch nothing but the inside"
        );
        assert!(collection.get("crs").is_none());
    }

    #[test]
    fn rings_are_closed_and_turn_as_the_standard_says() {
        let mask = ring();
        let feature = Feature {
            expression: "road",
            mask: &mask,
            gsd: None,
        };
        let collection = feature_collection(&[feature], None, 0.0);
        let rings = collection["features"][0]["geometry"]["coordinates"].clone();
        let rings: Vec<Vec<[f64; 2]>> = serde_json::from_value(rings).expect("numbers");
        for (index, ring) in rings.iter().enumerate() {
            assert_eq!(ring.first(), ring.last());
            assert_eq!(signed_area(ring) > 0.0, index == 0);
        }
    }
}
