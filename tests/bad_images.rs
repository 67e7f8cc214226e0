//! Files that are no usable images: a clear message, never a panic, never a half-grey picture.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{encoded, pattern};
use image::{ExtendedColorType, ImageEncoder, ImageFormat};
use rrsis::image::{ImageError, MAX_PIXELS, decode};

const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
];

/// A sentence for a person: it begins with a capital and ends with a full stop.
fn assert_sentence(error: &ImageError) {
    let message = error.to_string();
    assert!(
        message.starts_with(char::is_uppercase) && message.ends_with('.'),
        "{message}"
    );
}

#[test]
fn an_empty_file() {
    let error = decode(&[]).unwrap_err();
    assert!(matches!(error, ImageError::Empty));
    assert_sentence(&error);
}

#[test]
fn a_file_that_is_no_image() {
    for bytes in [
        &b"hello"[..],
        b"%PDF-1.7 ...",
        b"<svg></svg>",
        &[0; 4096],
        b"\x89",
    ] {
        let error = decode(bytes).unwrap_err();
        assert!(matches!(error, ImageError::NotAnImage), "{error}");
        assert_sentence(&error);
    }
}

#[test]
fn every_format_cut_short_anywhere() {
    let (width, height) = (96, 64);
    let rgb = pattern(width, height);
    for format in FORMATS {
        let whole = encoded(&rgb, width, height, format);
        assert!(decode(&whole).is_ok(), "{format:?}");
        for share in [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97] {
            let cut = (whole.len() as f64 * share) as usize;
            match decode(&whole[..cut]) {
                Err(error) => assert_sentence(&error),
                Ok(_) => panic!(
                    "{format:?} cut at {cut} of {} bytes was decoded",
                    whole.len()
                ),
            }
        }
    }
}

#[test]
fn a_jpeg_cut_in_its_pixels_says_so() {
    let whole = encoded(&pattern(256, 256), 256, 256, ImageFormat::Jpeg);
    let error = decode(&whole[..whole.len() / 2]).unwrap_err();
    assert!(
        matches!(error, ImageError::Truncated { format: "JPEG" }),
        "{error}"
    );
    // A download that broke off and was filled up with zeros.
    let mut filled = whole[..whole.len() / 2].to_vec();
    filled.resize(whole.len(), 0);
    assert!(decode(&filled).is_err());
    // Bytes after the end are harmless: phones put previews there.
    let mut longer = whole;
    longer.extend([0; 100]);
    assert!(decode(&longer).is_ok());
}

#[test]
fn a_png_cut_in_its_pixels_says_so() {
    let whole = encoded(&pattern(256, 256), 256, 256, ImageFormat::Png);
    let error = decode(&whole[..whole.len() / 2]).unwrap_err();
    assert!(
        matches!(error, ImageError::Truncated { format: "PNG" }),
        "{error}"
    );
}

#[test]
fn flipped_bytes_never_panic() {
    let (width, height) = (48, 48);
    let rgb = pattern(width, height);
    for format in FORMATS {
        let whole = encoded(&rgb, width, height, format);
        // Deterministic noise: every seventh position, four ways.
        for at in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            for value in [0x00, 0x01, 0x7f, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                if let Err(error) = decode(&broken) {
                    assert_sentence(&error);
                }
            }
        }
    }
}

#[test]
fn a_header_that_promises_too_much_is_refused_before_allocation() {
    // 65,500 x 65,500 pixels in a PNG header, and no pixel behind it.
    let mut png = encoded(&[0, 0, 0], 1, 1, ImageFormat::Png);
    png[16..20].copy_from_slice(&65_500u32.to_be_bytes());
    png[20..24].copy_from_slice(&65_500u32.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let error = decode(&png).unwrap_err();
    assert!(
        matches!(
            error,
            ImageError::TooLarge {
                width: 65_500,
                height: 65_500
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("{} million", MAX_PIXELS / 1_000_000))
    );
    assert_sentence(&error);
}

#[test]
fn an_image_20000_pixels_wide_is_fine() {
    let (width, height) = (20_000, 40);
    let mut file = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 60)
        .write_image(
            &vec![90; width * height * 3],
            width as u32,
            height as u32,
            ExtendedColorType::Rgb8,
        )
        .unwrap();
    let raster = decode(&file).unwrap();
    assert_eq!((raster.width, raster.height), (width, height));
    let small = raster.resize_exact(512, 512);
    assert!(small.rgb.iter().all(|value| value.abs_diff(90) <= 2));
}

#[test]
fn an_image_of_one_pixel_is_fine() {
    let raster = decode(&encoded(&[9, 8, 7], 1, 1, ImageFormat::Png)).unwrap();
    assert_eq!(raster.resize_exact(64, 64).rgb, [9, 8, 7].repeat(64 * 64));
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
