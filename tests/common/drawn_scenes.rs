//! A data set of drawn scenes that a small network can learn in seconds.

use std::path::Path;

use rrsis::dataset::release::{ImageSource, ReleaseWriter};
use rrsis::mask::Mask;

use super::common::{drawn, encoded};

/// Side of a scene, in pixels.
pub const SIDE: usize = 64;

/// Writes `count` scenes, each with a red building and a blue pond on green, asked for in turn; the
/// splits `train` and `val` hold the same ones.
pub fn write_scenes(out: &Path, count: usize) {
    let mut writer = ReleaseWriter::create(out).expect("new");
    for split in ["train", "val"] {
        for number in 0..count {
            let (column, row) = (number * 13 % 20, number * 7 % 20);
            let building = |x: usize, y: usize| inside(x, y, column, row);
            let pond = |x: usize, y: usize| inside(x, y, 62 - 22 - column, 62 - 22 - row);
            let rgb = drawn(SIDE, SIDE, |x, y| {
                let noise = ((x * 7 + y * 13) % 16) as u8;
                match (building(x, y), pond(x, y)) {
                    (true, _) => [200 + noise, 60, 50],
                    (false, true) => [40, 70, 190 + noise],
                    (false, false) => [70, 130 + noise, 60],
                }
            });
            let file = encoded(&rgb, SIDE, SIDE, image::ImageFormat::Png);
            let asks_for_building = number % 2 == 0;
            let data = (0..SIDE * SIDE)
                .map(|at| (at % SIDE, at / SIDE))
                .map(|(x, y)| {
                    let building = building(x, y);
                    u8::from(if asks_for_building {
                        building
                    } else {
                        pond(x, y) && !building
                    })
                })
                .collect();
            let mask = Mask {
                width: SIDE,
                height: SIDE,
                data,
            };
            let expression = if asks_for_building {
                "building"
            } else {
                "pond"
            };
            let mut image = ImageSource::bytes(file, "png");
            let id = format!("{split}{number}");
            writer
                .add(split, &id, expression, &mut image, &mask)
                .expect("fits");
        }
    }
    writer.finish().expect("complete");
}

/// In the square of 22 pixels at a corner.
fn inside(x: usize, y: usize, left: usize, top: usize) -> bool {
    (left..left + 22).contains(&x) && (top..top + 22).contains(&y)
}
