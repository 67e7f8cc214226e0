//! Masks from the network's output and from files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::encoded;
use image::{ExtendedColorType, ImageEncoder, ImageFormat};
use rrsis::mask::{MarginMap, Mask, MaskError};

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
    let mask = margin.upsample_to_mask(5, 3, 0.5);
    assert_eq!((mask.width, mask.height), (5, 3));
    assert_eq!(mask.data, [[0, 0, 0, 1, 1]; 3].concat());
}

#[test]
fn a_threshold_is_a_probability() {
    // sigmoid(0.5) = 0.622, sigmoid(1) = 0.731.
    let margin = map(2, &[-1.0, 1.0, -1.0, 1.0]);
    assert_eq!(margin.upsample_to_mask(5, 1, 0.7).data, [0, 0, 0, 0, 1]);
    assert_eq!(margin.upsample_to_mask(5, 1, 0.3).data, [0, 1, 1, 1, 1]);
    let probabilities = margin.probabilities();
    assert!((probabilities[1] - 0.731_058_6).abs() < 1e-6);
    assert!((probabilities[0] + probabilities[1] - 1.0).abs() < 1e-6);
}

#[test]
fn one_value_covers_any_size_and_nan_is_background() {
    assert_eq!(map(1, &[2.0]).upsample_to_mask(3, 2, 0.5).foreground(), 6);
    assert_eq!(
        map(1, &[f32::NAN]).upsample_to_mask(3, 2, 0.5).foreground(),
        0
    );
}

#[test]
fn a_reduction_keeps_the_corners() {
    let margin = map(3, &[1.0, -1.0, 1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0]);
    assert_eq!(margin.upsample_to_mask(2, 2, 0.5).data, [1, 1, 1, 0]);
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
