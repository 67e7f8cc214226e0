//! Masks from the network's output and from files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::encoded;
use image::{ExtendedColorType, ImageEncoder, ImageFormat};
use rrsis::image::Raster;
use rrsis::mask::{Connectivity, MarginMap, Mask, MaskError, PixelMargins, Regions, Upsampling};

fn map(width: usize, data: &[f32]) -> MarginMap {
    MarginMap {
        width,
        height: data.len() / width,
        data: data.to_vec(),
    }
}

fn grey_file(width: u32, values: &[u8], tiff: bool) -> Vec<u8> {
    let height = values.len() as u32 / width;
    let mut file = std::io::Cursor::new(Vec::new());
    if tiff {
        image::codecs::tiff::TiffEncoder::new(&mut file)
            .write_image(values, width, height, ExtendedColorType::L8)
            .unwrap();
    } else {
        image::codecs::png::PngEncoder::new(&mut file)
            .write_image(values, width, height, ExtendedColorType::L8)
            .unwrap();
    }
    file.into_inner()
}

#[test]
fn enlarging_aligns_the_corners() {
    // From -1 to 1 over 5 pixels: -1, -0.5, 0, 0.5, 1. The tie at 0 is background.
    let margin = map(2, &[-1.0, 1.0, -1.0, 1.0]);
    let mask = margin.bilinear(5, 3).mask(0.5);
    assert_eq!((mask.width, mask.height), (5, 3));
    assert_eq!(mask.data, [[0, 0, 0, 1, 1]; 3].concat());
}

#[test]
fn a_threshold_is_a_probability() {
    // sigmoid(0.5) = 0.622, sigmoid(1) = 0.731.
    let margin = map(2, &[-1.0, 1.0, -1.0, 1.0]);
    assert_eq!(margin.bilinear(5, 1).mask(0.7).data, [0, 0, 0, 0, 1]);
    assert_eq!(margin.bilinear(5, 1).mask(0.3).data, [0, 1, 1, 1, 1]);
    let probabilities = margin.probabilities();
    assert!((probabilities[1] - 0.731_058_6).abs() < 1e-6);
    assert!((probabilities[0] + probabilities[1] - 1.0).abs() < 1e-6);
}

#[test]
fn one_value_covers_any_size_and_nan_is_background() {
    assert_eq!(map(1, &[2.0]).bilinear(3, 2).mask(0.5).foreground(), 6);
    assert_eq!(map(1, &[f32::NAN]).bilinear(3, 2).mask(0.5).foreground(), 0);
}

#[test]
fn a_reduction_keeps_the_corners() {
    let margin = map(3, &[1.0, -1.0, 1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0]);
    assert_eq!(margin.bilinear(2, 2).mask(0.5).data, [1, 1, 1, 0]);
}

#[test]
fn a_threshold_is_met_to_a_step_and_certainty_stays_certain() {
    let pixels = map(4, &[-30.0, -0.02, 0.02, 30.0]).bilinear(4, 1);
    assert_eq!(pixels.data, [-127, 0, 1, 127]);
    assert_eq!(pixels.mask(0.5).data, [0, 0, 1, 1]);
    assert_eq!(pixels.mask(0.49).data, [0, 1, 1, 1]);
    assert_eq!(pixels.mask(1e-6).data, [0, 1, 1, 1]);
    assert_eq!(pixels.mask(1.0 - 1e-6).data, [0; 4]);
    for threshold in [0.05_f32, 0.3, 0.6, 0.9] {
        let limit = (threshold / (1.0 - threshold)).ln();
        let [below, above] = [limit - PixelMargins::STEP, limit + PixelMargins::STEP];
        let mask = map(2, &[below, above]).bilinear(2, 1).mask(threshold);
        assert_eq!(mask.data, [0, 1], "{threshold}");
    }
}

/// Foreground left of a column, at `cells` x `cells`: what a network says that sees each cell's mean.
fn seen_left_of(column: usize, side: usize, cells: usize) -> MarginMap {
    let cell = side as f32 / cells as f32;
    let row = (0..cells).map(|x| (column as f32 / cell - x as f32).clamp(0.0, 1.0) * 8.0 - 4.0);
    map(cells, &row.collect::<Vec<_>>().repeat(cells))
}

/// A grey picture, `left` up to a column and `right` from it on.
fn two_tones(column: usize, side: usize, [left, right]: [u8; 2]) -> Raster {
    let row = (0..side).flat_map(|x| [if x < column { left } else { right }; 3]);
    Raster::new(side, side, row.collect::<Vec<u8>>().repeat(side)).unwrap()
}

#[test]
fn a_guided_mask_ends_where_the_image_changes() {
    for column in 26..38 {
        let seen = seen_left_of(column, 64, 16);
        for tones in [[40, 200], [150, 90]] {
            let pixels = seen.upsampled(&two_tones(column, 64, tones), Upsampling::Guided);
            assert_eq!((pixels.width, pixels.height), (64, 64));
            let mask = pixels.mask(0.5);
            for row in mask.data.chunks_exact(64) {
                let edge = row.iter().filter(|value| **value == 1).count();
                assert_eq!(edge, column, "{tones:?}");
                assert!(row[..column].iter().all(|value| *value == 1));
            }
        }
    }
}

#[test]
fn without_edges_a_guided_mask_is_a_smooth_one() {
    let grey = two_tones(0, 40, [120, 120]);
    let flat = map(10, &[1.5; 100]).upsampled(&grey, Upsampling::Guided);
    assert!(flat.data.iter().all(|step| *step == flat.data[0]));
    assert!((f32::from(flat.data[0]) * PixelMargins::STEP - 1.5).abs() <= PixelMargins::STEP);

    let seen = seen_left_of(20, 40, 10);
    let [guided, bilinear] = [Upsampling::Guided, Upsampling::Bilinear]
        .map(|how| seen.upsampled(&grey, how).mask(0.5).foreground());
    assert_eq!(guided, 20 * 40);
    assert!(guided.abs_diff(bilinear) <= 40, "{guided} and {bilinear}");
}

#[test]
fn colours_make_no_specks_where_the_answer_is_certain() {
    // Foreground on the left, and on both sides pixels of the other side's colour.
    let mut image = two_tones(32, 64, [60, 180]);
    for (x, y, tone) in [(10, 10, 255), (11, 40, 180), (50, 20, 0), (52, 45, 60)] {
        image.rgb[3 * (y * 64 + x)..][..3].fill(tone);
    }
    let mask = seen_left_of(32, 64, 16)
        .upsampled(&image, Upsampling::Guided)
        .mask(0.5);
    for row in mask.data.chunks_exact(64) {
        assert_eq!(row, [vec![1; 32], vec![0; 32]].concat());
    }
}

#[test]
fn single_pixels_of_another_colour_are_no_specks_along_an_edge() {
    let mut image = two_tones(32, 64, [60, 180]);
    for (x, y, tone) in [(29, 10, 180), (30, 41, 180), (34, 20, 60), (35, 47, 60)] {
        image.rgb[3 * (y * 64 + x)..][..3].fill(tone);
    }
    let mask = seen_left_of(32, 64, 16)
        .upsampled(&image, Upsampling::Guided)
        .mask(0.5);
    let ground = Mask {
        data: mask.data.iter().map(|value| 1 - value).collect(),
        ..mask.clone()
    };
    let regions = |mask| Regions::count_in(mask, Connectivity::Four);
    assert_eq!((regions(&mask), regions(&ground)), (1, 1));
}

#[test]
fn guided_margins_of_the_smallest_maps_and_images() {
    let dot = Raster::new(1, 1, vec![9, 99, 200]).unwrap();
    let line = Raster::new(3, 1, vec![0, 0, 0, 128, 128, 128, 255, 255, 255]).unwrap();
    for (map, image, expected) in [
        (map(1, &[2.0]), &dot, vec![1]),
        (map(1, &[f32::NAN]), &line, vec![0, 0, 0]),
        (map(1, &[-30.0]), &line, vec![0, 0, 0]),
        (map(4, &[3.0; 8]), &dot, vec![1]),
        (map(3, &[-4.0, 0.1, 4.0]), &line, vec![0, 1, 1]),
    ] {
        let mask = map.upsampled(image, Upsampling::Guided).mask(0.5);
        assert_eq!(mask.data, expected, "{map:?}");
    }
}

#[test]
fn margins_take_another_size_bilinearly() {
    let pixels = map(2, &[-1.0, 1.0, -1.0, 1.0]).bilinear(2, 2);
    assert_eq!(pixels.clone().resized(2, 2), pixels);
    let larger = pixels.resized(5, 1);
    assert_eq!((larger.width, larger.height), (5, 1));
    assert_eq!(larger.mask(0.6).data, [0, 0, 0, 1, 1]);
}

#[test]
fn a_mask_written_as_png_comes_back() {
    let mask = Mask {
        width: 3,
        height: 2,
        data: vec![0, 1, 1, 0, 0, 1],
    };
    let png = mask.to_png().unwrap();
    let values = image::load_from_memory(&png).unwrap();
    assert_eq!(values.color(), image::ColorType::L8);
    assert_eq!(values.as_bytes(), [0, 255, 255, 0, 0, 255]);
    assert_eq!(Mask::decode(&png, "mask.png").unwrap(), mask);
}

#[test]
fn files_with_0_and_1_or_0_and_255_are_read_alike() {
    for tiff in [false, true] {
        for one in [1, 255] {
            let file = grey_file(2, &[0, one, one, 0], tiff);
            assert_eq!(
                Mask::decode(&file, "m").unwrap().data,
                [0, 1, 1, 0],
                "{tiff} {one}"
            );
        }
        let file = grey_file(2, &[0; 4], tiff);
        assert_eq!(Mask::decode(&file, "m").unwrap().foreground(), 0);
    }
}

#[test]
fn other_values_are_refused_by_place_and_name() {
    for values in [[0, 1, 7, 0], [0, 1, 255, 0]] {
        let error = Mask::decode(&grey_file(2, &values, false), "masks/5.png").unwrap_err();
        match &error {
            MaskError::Value {
                file,
                value,
                x: 0,
                y: 1,
            } => {
                assert_eq!(
                    (file.as_str(), *value),
                    ("masks/5.png", u16::from(values[2]))
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(error.to_string().contains("masks/5.png"), "{error}");
    }
}

#[test]
fn coloured_and_unreadable_masks_are_refused() {
    let coloured = encoded(&[0, 0, 0, 255, 0, 0], 2, 1, ImageFormat::Png);
    assert!(matches!(
        Mask::decode(&coloured, "m"),
        Err(MaskError::Coloured { x: 1, y: 0, .. })
    ));
    assert!(matches!(
        Mask::decode(b"no image", "m"),
        Err(MaskError::Image { .. })
    ));
}
