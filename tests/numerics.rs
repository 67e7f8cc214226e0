//! Images and expressions that show nothing in particular: numbers all the same.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{drawn, repository};
use rrsis::image::Raster;
use rrsis::platform::DeviceChoice;
use rrsis::segmenter::{SegmentOptions, Segmenter, Tiling};

fn open(device: DeviceChoice) -> rrsis::Result<Segmenter> {
    pollster::block_on(Segmenter::open_dir(
        &repository("models/rrsis-small"),
        device,
    ))
}

fn images() -> Vec<(&'static str, Raster)> {
    let image = |width, height, pixel: fn(usize, usize) -> [u8; 3]| {
        Raster::new(width, height, drawn(width, height, pixel)).unwrap()
    };
    vec![
        ("black", image(64, 64, |_, _| [0; 3])),
        ("white", image(64, 64, |_, _| [255; 3])),
        ("one colour", image(70, 50, |_, _| [12, 200, 99])),
        (
            "saturated",
            image(64, 64, |x, y| {
                if (x ^ y) & 1 == 0 {
                    [255, 0, 255]
                } else {
                    [0, 255, 0]
                }
            }),
        ),
        ("one pixel", image(1, 1, |_, _| [77, 1, 200])),
        ("a line", image(1, 300, |_, y| [y as u8; 3])),
        (
            "noise",
            image(97, 61, |x, y| {
                [
                    (x * 7919 + y * 104_729) as u8,
                    (x * y * 31) as u8,
                    (x * x + y) as u8,
                ]
            }),
        ),
    ]
}

const EXPRESSIONS: [&str; 6] = [
    "building",
    "qwxyz blorf",
    "建物 и дорога",
    "🚗🚗🚗",
    "the the the the the the the the the the the the the the the the the the the the the the",
    "?",
];

#[test]
fn no_image_and_no_expression_gives_anything_but_numbers() {
    let segmenter = open(DeviceChoice::Cpu).unwrap();
    let options = SegmentOptions {
        resolution: Some(64),
        ..SegmentOptions::default()
    };
    for (name, image) in images() {
        for expression in EXPRESSIONS {
            // What is not a number is an error of `segment` itself.
            let result = pollster::block_on(segmenter.segment(&image, expression, &options));
            let result = result.unwrap_or_else(|error| panic!("{name}, {expression}: {error}"));
            assert!(result.margin.data.iter().all(|margin| margin.is_finite()));
            assert_eq!(
                (result.mask().width, result.mask().height),
                (image.width, image.height)
            );
            assert!(result.mask().data.iter().all(|value| *value <= 1));
        }
    }
}

#[test]
fn a_thing_in_tiles_is_the_thing_in_the_whole() {
    let segmenter = open(DeviceChoice::Cpu).unwrap();
    // Read as it is in the sample, once in one piece and once in four, each at the same scale.
    let bytes = common::read(repository("www/samples/rotterdam-quay.jpg"));
    let image = rrsis::image::decode(&bytes).unwrap();
    let side = image.width.max(image.height);
    let run = |tiling, resolution| {
        let options = SegmentOptions {
            tiling,
            resolution: Some(resolution),
            ..SegmentOptions::default()
        };
        pollster::block_on(segmenter.segment(&image, "water", &options))
            .unwrap()
            .mask()
    };
    let whole = run(Tiling::Whole, 512);
    let tiles = run(Tiling::Side(side * 3 / 4), 384);
    let both = whole
        .data
        .iter()
        .zip(&tiles.data)
        .filter(|(a, b)| **a == 1 && **b == 1)
        .count();
    let any = whole
        .data
        .iter()
        .zip(&tiles.data)
        .filter(|(a, b)| **a == 1 || **b == 1)
        .count();
    assert!(any > 10_000, "the quay has water");
    let overlap = both as f64 / any as f64;
    assert!(overlap > 0.9, "IoU {overlap}");
}

/// Not on images of one colour: instance normalisation divides by a spread that is all rounding there,
/// on every device its own.
#[test]
fn cpu_and_gpu_give_the_same_masks_of_20_real_images() {
    let Ok(gpu) = open(DeviceChoice::Gpu) else {
        common::skip("no graphics adapter");
        return;
    };
    let cpu = open(DeviceChoice::Cpu).unwrap();
    let options = SegmentOptions {
        resolution: Some(128),
        ..SegmentOptions::default()
    };
    let (mut both, mut any, mut compared) = (0, 0, 0);
    for name in [
        "rotterdam-quay",
        "rotterdam-streets",
        "yellowstone-road",
        "florida-trees",
    ] {
        let bytes = common::read(repository(&format!("www/samples/{name}.jpg")));
        let image = rrsis::image::decode(&bytes).unwrap();
        for (part, expression) in ["building", "vegetation", "water", "road", "vegetation"]
            .into_iter()
            .enumerate()
        {
            let side = image.width.min(image.height) / 2;
            let (left, top) = (
                part * (image.width - side) / 4,
                part * (image.height - side) / 4,
            );
            let pixel = |x: usize, y: usize| {
                let at = 3 * ((top + y) * image.width + left + x);
                [image.rgb[at], image.rgb[at + 1], image.rgb[at + 2]]
            };
            let crop = Raster::new(side, side, drawn(side, side, pixel)).unwrap();
            let run = |segmenter: &Segmenter| {
                pollster::block_on(segmenter.segment(&crop, expression, &options))
                    .unwrap_or_else(|error| panic!("{name}: {error}"))
                    .mask()
            };
            let (a, b) = (run(&cpu), run(&gpu));
            for (a, b) in a.data.iter().zip(&b.data) {
                both += usize::from(a & b);
                any += usize::from(a | b);
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 20);
    let overlap = both as f64 / any as f64;
    assert!(
        any > 100_000 && overlap >= 0.99,
        "IoU {overlap} of {any} pixels"
    );
}
