//! The fuzz targets on their seeds, on what fuzzing has found, and on mutations of both.
//!
//! `cargo xtask fuzz` runs the same targets with coverage; this is the smoke run of every suite.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use common::{encoded, pattern, read, repository};
use image::ImageFormat;
use rrsis::weights::quantization::Quantization;
use rrsis::weights::shard::pack;

/// Mutations of every file.
const MUTATIONS: u64 = 150;

#[test]
fn images_hold() {
    hold("image", targets::image);
}

#[test]
fn geotiff_keys_hold() {
    hold("geotiff", targets::geotiff);
}

#[test]
fn manifests_and_shards_hold() {
    hold("weights", targets::weights);
}

#[test]
fn expression_files_hold() {
    hold("expressions", targets::expressions);
}

#[test]
fn checkpoints_hold() {
    hold("checkpoint", targets::checkpoint);
}

/// Runs a target on every file of its seeds and findings, and on mutations of each.
fn hold(name: &str, target: fn(&[u8])) {
    let files = files_of("seeds", name);
    assert!(!files.is_empty(), "fuzz/seeds/{name} is empty");
    let mut broken = Vec::new();
    for path in files.iter().chain(&files_of("findings", name)) {
        let whole = read(path);
        if whole.is_empty() {
            continue;
        }
        for mutation in 0..=MUTATIONS {
            let data = mutated(&whole, mutation);
            if catch_unwind(AssertUnwindSafe(|| target(&data))).is_err() {
                broken.push(format!("{} mutation {mutation}", path.display()));
            }
        }
    }
    // Not every target writes files.
    fs::remove_dir_all(targets::scratch(name)).ok();
    assert!(broken.is_empty(), "{broken:#?}");
}

fn files_of(kind: &str, target: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(repository("fuzz").join(kind).join(target)) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The file itself, then always the same mutations of it: bytes changed, cut, repeated, or numbers
/// replaced by those that overflow.
fn mutated(whole: &[u8], mutation: u64) -> Vec<u8> {
    let mut data = whole.to_vec();
    if mutation == 0 {
        return data;
    }
    let mut state = mutation.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for _ in 0..=random(4) {
        // Most of what can go wrong stands at the beginning.
        let reach = if random(2) == 0 {
            data.len().min(64)
        } else {
            data.len()
        };
        let at = random(reach);
        match random(5) {
            0 => data[at] ^= 1 << random(8),
            1 => data[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
            2 => data.truncate(at.max(1)),
            3 => {
                let end = (at + 1 + random(16)).min(data.len());
                let part = data[at..end].to_vec();
                data.splice(at..at, part);
            }
            _ => {
                let number = [u32::MAX, i32::MAX as u32, 0x1_0000, 0][random(4)];
                let end = (at + 4).min(data.len());
                data[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
        }
    }
    data
}

/// Writes the seeds that Rust can write. Those of PyTorch are of `torch.save`.
#[test]
#[ignore = "writes fuzz/seeds"]
fn write_the_seeds() {
    let seeds = repository("fuzz/seeds");
    let put = |target: &str, name: &str, content: &[u8]| {
        let folder = seeds.join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), content).unwrap();
    };
    for (format, end) in [
        (ImageFormat::Png, "png"),
        (ImageFormat::Jpeg, "jpg"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Bmp, "bmp"),
        (ImageFormat::Gif, "gif"),
        (ImageFormat::Tiff, "tif"),
    ] {
        put(
            "image",
            &format!("pattern.{end}"),
            &encoded(&pattern(12, 9), 12, 9, format),
        );
    }
    for name in [
        "floats_degrees",
        "orthophoto_jpeg_tiled",
        "satellite_u16_pixel_deflate",
    ] {
        let file = read(repository("tests/goldens/geotiff").join(format!("{name}.tif")));
        put("image", &format!("{name}.tif"), &file);
        put("geotiff", &format!("{name}.tif"), &file);
    }
    put(
        "weights",
        "manifest.json",
        &read(repository("models/rrsis-small/manifest.json")),
    );
    for (quantization, name) in [
        (Quantization::F32, "f32"),
        (Quantization::F16, "f16"),
        (Quantization::Q8, "q8"),
        (Quantization::Q4, "q4"),
    ] {
        let of = |shape: &[usize]| {
            let count = shape.iter().product();
            TensorData::new(
                (0..count).map(|i: usize| i as f32 - 3.0).collect(),
                shape.to_vec(),
            )
        };
        let parameters = vec![
            (
                "embeddings.word_embeddings.weight".to_owned(),
                of(&[4, 256]),
            ),
            ("layers.0.query.weight".to_owned(), of(&[256, 4])),
            ("layers.0.query.bias".to_owned(), of(&[4])),
        ];
        put(
            "weights",
            &format!("shard_{name}.bpk"),
            &pack(parameters, quantization).unwrap(),
        );
    }
    put(
        "expressions",
        "split.txt",
        b"0001 building along the road\n0002 light-duty vehicle\n0003 all the houses, please\n",
    );
    put(
        "expressions",
        "odd.txt",
        "a\u{202e}b \u{0301} \u{1f697} <b>\n\n  x  \r\n12\t\u{5d0}\u{5d1} \u{4e2d}".as_bytes(),
    );
    let tensor = |name: &str, end: usize| {
        format!(
            "{{\"{name}\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[{},{end}]}}",
            end - 8
        )
    };
    let header = format!(
        "{},{}}}",
        &tensor("module.backbone.norm0.weight", 8)[..],
        &tensor("embeddings.LayerNorm.gamma", 16)[1..]
    );
    let length = (header.len() as u64).to_le_bytes();
    put(
        "checkpoint",
        "two.safetensors",
        &[&[1], &length[..], header.as_bytes(), &[0; 16]].concat(),
    );
    assert!(Path::new(&seeds).is_dir());
}
