//! Decoding, resizing and normalising, against the official pipeline.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{drawn, encoded, pattern, read, shared_path};
use image::ImageFormat;
use rrsis::image::{ImageError, Raster, decode};
use rrsis::mask::Mask;

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// The three images of shared/fixtures/preprocess.
const FIXTURES: [&str; 3] = ["sq512", "rect300x417", "up200"];

/// Golden: shared/fixtures/preprocess, `*_resized480.png` by PIL 13 (bilinear, antialiased).
#[test]
fn resizing_equals_pil_to_the_byte() {
    let Some(folder) = shared_path("fixtures/preprocess") else {
        return;
    };
    for name in FIXTURES {
        let image = decode(&read(folder.join(format!("{name}_image.png")))).unwrap();
        let golden = decode(&read(folder.join(format!("{name}_resized480.png")))).unwrap();
        let resized = image.resize_exact(480, 480);
        let different = resized
            .rgb
            .iter()
            .zip(&golden.rgb)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(different, 0, "{name}: bytes that differ from PIL's");
    }
}

/// Golden: shared/fixtures/preprocess, `*_normalised_rows.safetensors` by torchvision 0.20.1: rows 0,
/// 239 and 479 of the normalised image, as (3 channels, 3 rows, 480).
#[test]
fn normalised_rows_equal_torchvision() {
    let Some(folder) = shared_path("fixtures/preprocess") else {
        return;
    };
    for name in FIXTURES {
        let image = decode(&read(folder.join(format!("{name}_image.png")))).unwrap();
        let planes = image.resize_exact(480, 480).normalised_chw(MEAN, STD);
        let bytes = read(folder.join(format!("{name}_normalised_rows.safetensors")));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let view = tensors.tensor("rows_0_239_479").unwrap();
        assert_eq!(view.shape(), [3, 3, 480]);
        for (at, golden) in view.data().chunks_exact(4).enumerate() {
            let golden = f32::from_le_bytes(golden.try_into().unwrap());
            let (channel, row, x) = (at / 1440, [0, 239, 479][at / 480 % 3], at % 480);
            let ours = planes[(channel * 480 + row) * 480 + x];
            assert!(
                (ours - golden).abs() < 1e-6,
                "{name} [{channel},{row},{x}]: {ours} {golden}"
            );
        }
    }
}

/// Golden: shared/fixtures/preprocess, `*_target480.png` by PIL 13 (nearest).
#[test]
fn resizing_a_mask_equals_pil_nearest() {
    let Some(folder) = shared_path("fixtures/preprocess") else {
        return;
    };
    for name in FIXTURES {
        let mask = |kind: &str| {
            let file = format!("{name}_{kind}.png");
            Mask::decode(&read(folder.join(&file)), &file).unwrap()
        };
        let (ours, golden) = (mask("mask").resize_nearest(480, 480), mask("target480"));
        let different = ours
            .data
            .iter()
            .zip(&golden.data)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(different, 0, "{name}: pixels that differ from PIL's");
    }
}

#[test]
fn resizing_keeps_a_flat_colour_flat() {
    let flat = Raster::new(37, 19, drawn(37, 19, |_, _| [200, 3, 255])).unwrap();
    for (width, height) in [(1, 1), (37, 19), (64, 64), (5, 100)] {
        let resized = flat.resize_exact(width, height);
        assert_eq!(
            resized.rgb,
            drawn(width, height, |_, _| [200, 3, 255]),
            "{width}x{height}"
        );
    }
}

#[test]
fn reducing_averages_over_the_whole_cell() {
    // Columns 0 and 255 alternate: without antialiasing the result would be one of the two.
    let stripes = Raster::new(64, 64, drawn(64, 64, |x, _| [(x % 2 * 255) as u8; 3])).unwrap();
    let reduced = stripes.resize_exact(8, 8);
    let inner = &reduced.rgb[(8 + 1) * 3..(8 + 7) * 3];
    assert!(
        inner.iter().all(|value| value.abs_diff(128) <= 2),
        "{inner:?}"
    );
}

#[test]
fn normalising_follows_the_formula_plane_by_plane() {
    let raster = Raster::new(2, 1, vec![0, 128, 255, 10, 20, 30]).unwrap();
    let planes = raster.normalised_chw(MEAN, STD);
    let expected = |value: f32, c: usize| (value / 255.0 - MEAN[c]) / STD[c];
    let order = [
        (0.0, 0),
        (10.0, 0),
        (128.0, 1),
        (20.0, 1),
        (255.0, 2),
        (30.0, 2),
    ];
    assert_eq!(
        planes,
        order.map(|(value, channel)| expected(value, channel))
    );
}

#[test]
fn lossless_formats_come_back_as_they_were() {
    let (width, height) = (31, 17);
    let rgb = pattern(width, height);
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ] {
        let raster = decode(&encoded(&rgb, width, height, format)).unwrap();
        assert_eq!((raster.width, raster.height), (width, height), "{format:?}");
        assert!(raster.rgb == rgb, "{format:?}");
    }
}

#[test]
fn jpeg_and_gif_come_back_nearly_as_they_were() {
    let (width, height) = (32, 16);
    let rgb = drawn(width, height, |x, _| {
        if x < 16 {
            [250, 250, 250]
        } else {
            [10, 10, 10]
        }
    });
    for format in [ImageFormat::Jpeg, ImageFormat::Gif] {
        let raster = decode(&encoded(&rgb, width, height, format)).unwrap();
        assert!(
            raster.rgb.iter().zip(&rgb).all(|(a, b)| a.abs_diff(*b) < 8),
            "{format:?}"
        );
    }
}

#[test]
fn transparent_pixels_lie_on_white() {
    let rgba = [[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]].concat();
    let expected = [[10, 20, 30], [255, 255, 255], [127, 127, 127]].concat();
    assert_eq!(Raster::from_rgba(3, 1, &rgba).unwrap().rgb, expected);

    let buffer = image::RgbaImage::from_raw(3, 1, rgba).unwrap();
    let mut file = std::io::Cursor::new(Vec::new());
    buffer.write_to(&mut file, ImageFormat::Png).unwrap();
    assert_eq!(decode(&file.into_inner()).unwrap().rgb, expected);
}

#[test]
fn grey_and_sixteen_bit_images_become_8_bit_rgb() {
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 1, vec![0u16, 32896, 65535]);
    let mut file = std::io::Cursor::new(Vec::new());
    deep.unwrap().write_to(&mut file, ImageFormat::Png).unwrap();
    let raster = decode(&file.into_inner()).unwrap();
    assert_eq!(raster.rgb, [[0; 3], [128; 3], [255; 3]].concat());
}

#[test]
fn exif_orientation_is_applied() {
    // A landscape picture, left half white, whose EXIF says "rotate 90 degrees clockwise" (6).
    let (width, height) = (32, 16);
    let rgb = drawn(width, height, |x, _| [if x < 16 { 255 } else { 0 }; 3]);
    let plain = encoded(&rgb, width, height, ImageFormat::Jpeg);
    let raster = decode(&with_exif_orientation(&plain, 6)).unwrap();
    assert_eq!((raster.width, raster.height), (height, width));
    assert!(raster.rgb[0] > 200, "what was left is on top now");
    assert!(raster.rgb[raster.rgb.len() - 1] < 50);
}

#[test]
fn a_buffer_that_does_not_fit_its_size_is_refused() {
    assert!(matches!(
        Raster::new(4, 4, vec![0; 47]),
        Err(ImageError::BufferSize {
            expected: 48,
            found: 47,
            ..
        })
    ));
    assert!(matches!(
        Raster::from_rgba(4, 4, &[0; 48]),
        Err(ImageError::BufferSize { expected: 64, .. })
    ));
    assert!(matches!(
        Raster::new(0, 4, vec![]),
        Err(ImageError::ZeroSize { .. })
    ));
    assert!(matches!(
        Raster::from_rgba(usize::MAX, usize::MAX, &[]),
        Err(ImageError::TooLarge { .. })
    ));
}

/// Puts an EXIF segment with nothing but an orientation after the start-of-image marker.
fn with_exif_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    tiff.extend([
        0x12,
        0x01,
        3,
        0,
        1,
        0,
        0,
        0,
        orientation,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]);
    let length = (tiff.len() + 2) as u16;
    let mut file = jpeg[..2].to_vec();
    file.extend([0xFF, 0xE1]);
    file.extend(length.to_be_bytes());
    file.extend(tiff);
    file.extend(&jpeg[2..]);
    file
}
