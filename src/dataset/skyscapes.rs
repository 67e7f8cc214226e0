//! The label maps of SkyScapes-Dense (Azimi et al., "SkyScapes: Fine-Grained Semantic Understanding of
//! Aerial Scenes", ICCV 2019), from which the paper makes RefSegRS.
//!
//! A label map is an 8-bit grey PNG whose value is the index into [`CLASSES`]; other codings (for
//! example colours) are refused with a message that says so.

use super::scene::Classes;

/// Width and height of a tile.
pub const TILE: (usize, usize) = (5616, 3744);

/// Metres on the ground a pixel.
pub const GSD_M: f64 = 0.13;

/// The 20 classes; a label is an index.
pub const CLASSES: [&str; 20] = [
    "low vegetation",
    "paved road",
    "non-paved road",
    "paved parking place",
    "non-paved parking place",
    "bikeway",
    "sidewalk",
    "entrance/exit",
    "danger area",
    "lane marking",
    "building",
    "car",
    "trailer",
    "van",
    "truck",
    "large truck",
    "bus",
    "clutter",
    "impervious surface",
    "tree",
];

/// The classes by label.
pub fn classes() -> Classes {
    Classes::new((0..).zip(CLASSES.map(String::from)))
}

/// Label of a class of [`CLASSES`], which stands for its name in the code.
macro_rules! labels {
    ($($name:ident = $index:literal),* $(,)?) => {
        $(#[doc = concat!("Label ", stringify!($index), ".")] pub const $name: u8 = $index;)*
    };
}

labels! {
    LOW_VEGETATION = 0, PAVED_ROAD = 1, NON_PAVED_ROAD = 2, PAVED_PARKING = 3, NON_PAVED_PARKING = 4,
    BIKEWAY = 5, SIDEWALK = 6, ENTRANCE = 7, DANGER_AREA = 8, LANE_MARKING = 9, BUILDING = 10, CAR = 11,
    TRAILER = 12, VAN = 13, TRUCK = 14, LARGE_TRUCK = 15, BUS = 16, CLUTTER = 17, IMPERVIOUS = 18,
    TREE = 19,
}
