//! GeoTIFF files as GDAL writes them (`reference/make_geotiffs.py`), and the masks written for them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/command.rs"]
mod command;
mod common;
#[path = "common/thin_model.rs"]
mod thin_model;

use command::rrsis;
use common::{read, repository};
use rrsis::image::{ImageError, Picture, decode, decode_picture};
use rrsis::mask::PixelMargins;

const WIDTH: usize = 70;
const HEIGHT: usize = 50;

fn file(name: &str) -> Vec<u8> {
    read(repository("tests/goldens/geotiff").join(name))
}

fn picture(name: &str) -> Picture {
    let picture = decode_picture(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(
        (picture.raster.width, picture.raster.height),
        (WIDTH, HEIGHT)
    );
    picture
}

fn colour(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
    let at = (y * WIDTH + x) * 3;
    picture.raster.rgb[at..at + 3].try_into().unwrap()
}

fn is_measured(picture: &Picture, x: usize, y: usize) -> bool {
    picture
        .measured
        .as_ref()
        .is_none_or(|measured| measured[y * WIDTH + x] == 1)
}

/// Red and blue grow to the right and green downwards, over the whole range, a few steps at most
/// from the straight line.
fn assert_ramps(picture: &Picture, within: f64, cut: f64) {
    for (x, y) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))) {
        if !is_measured(picture, x, y) {
            continue;
        }
        let share = |at: usize, count: usize| {
            let share = at as f64 / (count - 1) as f64;
            ((share - cut) / (1.0 - 2.0 * cut)).clamp(0.0, 1.0) * 255.0
        };
        let expected = [share(x, WIDTH), share(y, HEIGHT), share(x, WIDTH)];
        for (found, expected) in colour(picture, x, y).iter().zip(expected) {
            let off = (f64::from(*found) - expected).abs();
            assert!(off <= within, "{found} for {expected} at {x}, {y}");
        }
    }
}

#[test]
fn satellite_products_of_16_bits_and_four_bands_are_stretched() {
    for name in [
        "satellite_u16_planar_lzw_tiled.tif",
        "satellite_u16_pixel_deflate.tif",
    ] {
        let picture = picture(name);
        // The corner without data pulls the percentiles a little.
        assert_ramps(&picture, 8.0, 0.02);
        for (x, y, expected) in [(0, 0, false), (11, 9, false), (12, 0, true), (0, 10, true)] {
            assert_eq!(is_measured(&picture, x, y), expected, "{name}: {x}, {y}");
        }
        let place = picture.georeference.unwrap();
        assert_eq!(place.epsg, Some(32633));
        assert_eq!(place.gsd, Some(0.5));
        assert_eq!(place.locate(10.0, 20.0), [500_005.0, 5_299_990.0]);
    }
}

#[test]
fn an_orthophoto_keeps_its_colours() {
    let jpeg = picture("orthophoto_jpeg_tiled.tif");
    assert_ramps(&jpeg, 12.0, 0.0);
    assert!(jpeg.measured.is_none());
    assert_eq!(jpeg.georeference.unwrap().epsg, Some(32633));

    let rgba = picture("orthophoto_rgba.tif");
    assert_ramps(&rgba, 1.0, 0.0);
    assert!(is_measured(&rgba, 59, 0) && !is_measured(&rgba, 60, 0));
}

#[test]
fn floats_with_holes_are_stretched_around_them() {
    let picture = picture("floats_degrees.tif");
    for (x, y, expected) in [
        (5, 5, false),
        (20, 20, false),
        (29, 29, false),
        (30, 30, true),
    ] {
        assert_eq!(is_measured(&picture, x, y), expected, "{x}, {y}");
    }
    // A missing pixel is in no mask, however low the threshold.
    let mut margins = PixelMargins {
        width: WIDTH,
        height: HEIGHT,
        data: vec![127; WIDTH * HEIGHT],
    };
    picture.clear_missing(&mut margins);
    let mask = margins.into_mask(1e-6);
    for (at, value) in mask.data.iter().enumerate() {
        let measured = is_measured(&picture, at % WIDTH, at / WIDTH);
        assert_eq!(*value == 1, measured, "pixel {at}");
    }
    let [dark, middle, bright] = [0, 35, 69].map(|x| colour(&picture, x, 40)[0]);
    assert_eq!((dark, bright), (0, 255));
    assert!((120..=136).contains(&middle), "{middle}");
    let place = picture.georeference.unwrap();
    assert_eq!(place.epsg, Some(4326));
    // A hundred-thousandth of a degree at 60 degrees north.
    let gsd = place.gsd.unwrap();
    assert!((gsd - 0.5566).abs() < 1e-3, "{gsd}");
}

#[test]
fn a_turned_big_endian_bigtiff_of_twelve_bands_is_read() {
    let picture = picture("twelve_bands_turned_bigtiff.tif");
    assert_ramps(&picture, 8.0, 0.02);
    let place = picture.georeference.unwrap();
    assert!((place.gsd.unwrap() - 2.0).abs() < 1e-9);
    let [x, y] = place.locate(1.0, 0.0);
    assert!((x - 500_001.732).abs() < 1e-3 && (y - 5_300_001.0).abs() < 1e-3);
}

#[test]
fn a_mask_of_a_geotiff_lies_where_its_image_lies() {
    let folder = tempfile::tempdir().unwrap();
    thin_model::write_thin_model(&folder.path().join("model"));
    for name in [
        "satellite_u16_pixel_deflate.tif",
        "twelve_bands_turned_bigtiff.tif",
    ] {
        std::fs::write(folder.path().join("scene.tif"), file(name)).unwrap();
        let model = [
            "--model",
            "model",
            "--device",
            "cpu",
            "--threshold",
            "0.0001",
        ];
        let segment = ["segment", "scene.tif", "building", "--out", "mask.tif"];
        let output = rrsis(folder.path(), &[&segment[..], &model[..]].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(String::from_utf8_lossy(&output.stdout).contains("m²"));

        let image = picture(name);
        let mask = read(folder.path().join("mask.tif"));
        let written = decode_picture(&mask).unwrap();
        assert_eq!(written.georeference, image.georeference, "{name}");
        // Everything is marked at this threshold but what was not measured.
        for (pixel, y, x) in written
            .raster
            .rgb
            .chunks(3)
            .enumerate()
            .map(|(index, pixel)| (pixel, index / WIDTH, index % WIDTH))
        {
            let expected = if is_measured(&image, x, y) { 255 } else { 0 };
            assert_eq!(pixel[0], expected, "{name}: {x}, {y}");
        }
    }
}

/// Cut anywhere, with any byte changed: an error in words, or some image, but never a panic.
#[test]
fn broken_files_are_refused_in_words() {
    let mut refused = 0;
    for name in [
        "satellite_u16_planar_lzw_tiled.tif",
        "satellite_u16_pixel_deflate.tif",
        "orthophoto_jpeg_tiled.tif",
        "floats_degrees.tif",
    ] {
        let whole = file(name);
        for part in 1..40 {
            let cut = &whole[..whole.len() * part / 40];
            if let Err(error) = decode(cut) {
                assert!(!matches!(error, ImageError::BufferSize { .. }), "{error}");
                refused += 1;
            }
        }
        for step in 0..120 {
            let mut changed = whole.clone();
            let at = step * 7919 % changed.len();
            changed[at] ^= 0xFF;
            if let Err(error) = decode(&changed) {
                assert!(error.to_string().ends_with('.'), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 200, "only {refused}");
}
