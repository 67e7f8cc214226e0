//! What is fuzzed: everything that reads files or text of strangers, from bytes to what the network gets.
//!
//! A target may fail in words; it must not panic, hang, or take memory without end. `cargo xtask fuzz`
//! runs them with coverage, `tests/fuzz.rs` on the seeds, the findings and mutations of both.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use rrsis::dataset::release::Split;
use rrsis::expression::ExpressionTokenizer;
use rrsis::image::{Georeference, decode_picture};
use rrsis::network::cpu::Source;
use rrsis::weights::Manifest;
use rrsis::weights::import::read_checkpoint;
use rrsis::weights::shard::{Shard, inventory};

/// Words that an expression keeps.
const MAX_TOKENS: usize = 20;

/// An image file to the tensor that the encoder reads.
pub fn image(data: &[u8]) {
    let Ok(picture) = decode_picture(data) else {
        return;
    };
    let raster = &picture.raster;
    assert_eq!(raster.rgb.len(), raster.width * raster.height * 3);
    if let Some(measured) = &picture.measured {
        assert_eq!(measured.len(), raster.width * raster.height);
    }
    let tensor = raster
        .resize_exact(32, 32)
        .normalised_chw([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    assert_eq!(tensor.len(), 3 * 32 * 32);
    assert!(tensor.iter().all(|value| value.is_finite()));
}

/// Tags and keys of a GeoTIFF, what is located by them, and the band that is written with them.
pub fn geotiff(data: &[u8]) {
    let Some(georeference) = Georeference::of(data) else {
        return;
    };
    for [column, row] in [[0.0, 0.0], [0.5, 1e9]] {
        let _ = georeference.locate(column, row);
    }
    let band = georeference
        .write_band(2, 2, &[0, 255, 255, 0])
        .expect("a band of two by two can be written");
    let again = Georeference::of(&band);
    assert!(again.is_some(), "what was written says where it lies");
}

/// A manifest, or a shard of weights.
pub fn weights(data: &[u8]) {
    if let Ok(json) = std::str::from_utf8(data) {
        let _ = Manifest::from_json(json);
    }
    let _ = inventory(data.to_vec(), "fuzzed.bpk");
    if let Ok(mut shard) = Shard::open(data.to_vec(), "fuzzed.bpk") {
        let mut count = 0;
        let (path, table) = ("embeddings.word_embeddings.weight", [4, 256]);
        if shard.rows(path, table, |rows| count += rows.len()) {
            assert_eq!(count, 4 * 256);
        }
    }
}

/// The list of a split, and its expressions as tokens.
pub fn expressions(data: &[u8]) {
    static TOKENIZER: OnceLock<ExpressionTokenizer> = OnceLock::new();
    let tokenizer = TOKENIZER.get_or_init(|| {
        let json = include_bytes!("../models/rrsis-small/tokenizer.json");
        ExpressionTokenizer::from_json(json).expect("the shipped tokenizer can be read")
    });
    let folder = scratch("expressions");
    for inner in ["images", "masks"] {
        fs::create_dir_all(folder.join(inner)).expect("a folder can be made");
    }
    fs::write(folder.join("output_phrase_fuzzed.txt"), data).expect("a file can be written");
    let _ = Split::open(&folder, "fuzzed");
    for line in String::from_utf8_lossy(data).lines().take(4) {
        if let Ok(read) = tokenizer.encode(line, MAX_TOKENS) {
            assert_eq!(read.ids.len(), MAX_TOKENS);
            assert_eq!(read.mask.len(), MAX_TOKENS);
            let vocabulary = tokenizer.vocabulary();
            assert!(read.ids.iter().all(|id| (*id as usize) < vocabulary));
        }
    }
}

/// A checkpoint of PyTorch or safetensors: the first byte says which.
pub fn checkpoint(data: &[u8]) {
    let Some((kind, content)) = data.split_first() else {
        return;
    };
    let end = if kind % 2 == 0 { "pth" } else { "safetensors" };
    let folder = scratch("checkpoint");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let path = folder.join(format!("fuzzed.{end}"));
    fs::write(&path, content).expect("a file can be written");
    let _ = read_checkpoint(&path);
}

/// The folder of a target in this process, in memory where the system has one; it may not be there yet.
pub fn scratch(target: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let root = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    root.join(format!("rrsis-fuzz-{}-{target}", std::process::id()))
}
