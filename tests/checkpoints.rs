//! From checkpoint files to model directories, and what `rrsis inspect` says of those.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/command.rs"]
mod command;
mod common;
#[path = "common/formula.rs"]
mod formula;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use burn::tensor::TensorData;
use command::{rrsis, text};
use common::{read, repository};
use rrsis::network::NetworkConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

type Tensors = BTreeMap<String, TensorData>;

/// A folder with the configuration of a tiny network, and its parameters by formula.
fn workplace() -> (TempDir, Tensors) {
    let folder = TempDir::new().unwrap();
    let meta = read(repository("tests/goldens/paper_tiny/meta.json"));
    let meta: Value = serde_json::from_slice(&meta).unwrap();
    fs::write(
        folder.path().join("tiny.json"),
        meta["config"].to_string().as_bytes(),
    )
    .unwrap();
    let config: NetworkConfig = serde_json::from_value(meta["config"].clone()).unwrap();
    (folder, formula::parameters(&config))
}

/// The format is a header's length, a JSON header, and the values.
fn write_safetensors(path: &Path, tensors: &Tensors) {
    let (mut header, mut values) = (serde_json::Map::new(), Vec::new());
    for (name, data) in tensors {
        let start = values.len();
        values.extend_from_slice(data.as_bytes());
        let entry = json!({
            "dtype": "F32",
            "shape": data.shape().to_vec(),
            "data_offsets": [start, values.len()],
        });
        header.insert(name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], header.as_bytes(), &values].concat()).unwrap();
}

fn import(folder: &Path, checkpoint: &str, out: &str, more: &[&str]) -> Output {
    let options = ["import", checkpoint, "--config", "tiny.json", "--out", out];
    rrsis(folder, &[&options[..], more].concat())
}

fn sizes(folder: &Path, model: &str) -> u64 {
    ["text.bpk", "vision.bpk"]
        .map(|file| fs::metadata(folder.join(model).join(file)).unwrap().len())
        .iter()
        .sum()
}

#[test]
fn every_layout_of_a_checkpoint_gives_the_same_model() {
    let (folder, tensors) = workplace();
    let at = folder.path();
    let renamed = |rename: &dyn Fn(&str) -> Option<String>| -> Tensors {
        tensors
            .iter()
            .filter_map(|(name, data)| Some((rename(name)?, data.clone())))
            .collect()
    };
    write_safetensors(&at.join("official.safetensors"), &tensors);
    let plain = renamed(&|name| {
        Some(match name.strip_prefix("model.") {
            Some(rest) => format!("module.{rest}"),
            None => name.replacen("bert_model.", "text_encoder.", 1),
        })
    });
    write_safetensors(&at.join("plain.safetensors"), &plain);
    let vision = renamed(&|name| name.starts_with("model.").then(|| name.to_owned()));
    write_safetensors(&at.join("vision.safetensors"), &vision);
    let bert = renamed(&|name| Some(format!("bert.{}", name.strip_prefix("bert_model.")?)));
    write_safetensors(&at.join("bert.safetensors"), &bert);

    for (checkpoint, more) in [
        ("official.safetensors", &[][..]),
        ("plain.safetensors", &[]),
        ("vision.safetensors", &["--bert", "bert.safetensors"]),
    ] {
        let output = import(
            at,
            checkpoint,
            "model",
            &[&["--quantize", "f32"], more].concat(),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        let hashes = |manifest: &[u8]| {
            let manifest: Value = serde_json::from_slice(manifest).unwrap();
            manifest["files"].clone()
        };
        let manifest = read(at.join("model/manifest.json"));
        let expected = at.join("expected.json");
        if checkpoint == "official.safetensors" {
            fs::write(&expected, &manifest).unwrap();
        }
        assert_eq!(hashes(&manifest), hashes(&read(&expected)), "{checkpoint}");
    }

    let output = import(at, "vision.safetensors", "none", &[]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("--bert FILE"), "{message}");
    assert!(!at.join("none").exists());
}

#[test]
fn everything_that_disagrees_is_reported_at_once_and_nothing_is_written() {
    let (folder, mut tensors) = workplace();
    let at = folder.path();
    let missing = "model.classifier.conv1_1.bias";
    tensors.remove(missing).unwrap();
    let misshapen = "model.backbone.patch_embed.proj.bias";
    tensors.insert(misshapen.into(), TensorData::from([1.0f32, 2.0, 3.0]));
    tensors.insert("model.head.weight".into(), TensorData::from([[1.0f32]]));
    let broken = "model.classifier.bn1_4.weight";
    let shape = tensors[broken].shape().to_vec();
    let count = shape.iter().product();
    tensors.insert(broken.into(), TensorData::new(vec![f32::NAN; count], shape));
    write_safetensors(&at.join("odd.safetensors"), &tensors);

    let output = import(at, "odd.safetensors", "model", &[]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for words in [
        format!("1 missing:\n    {missing} [2]"),
        "1 unexpected:\n    model.head.weight [1, 1]".to_owned(),
        format!("1 of another shape:\n    {misshapen}: found [3], needed [16]"),
        format!("{broken} [{count}]: {count} values are NaN or infinite"),
    ] {
        assert!(message.contains(&words), "\"{words}\" is not in: {message}");
    }
    assert!(!at.join("model").exists());
}

#[test]
fn parameters_that_no_output_depends_on_are_left_out_and_named() {
    let (folder, mut tensors) = workplace();
    let at = folder.path();
    let unused = [
        "model.classifier.lg_layer1.weight",
        "model.classifier.msb2.msb.blocks.0.0.norm1.weight",
        "model.backbone.layers.3.res_gate.0.weight",
    ];
    for name in unused {
        tensors.insert(name.into(), TensorData::from([[1.0f32]]));
    }
    write_safetensors(&at.join("official.safetensors"), &tensors);
    let output = import(at, "official.safetensors", "model", &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("Left out 3 parameters"), "{said}");
    for name in unused {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn fewer_bits_take_fewer_bytes_and_inspect_tells_them() {
    let (folder, tensors) = workplace();
    let at = folder.path();
    write_safetensors(&at.join("official.safetensors"), &tensors);
    let levels = ["f32", "f16", "q8", "q4"];
    let bytes = levels.map(|level| {
        let output = import(at, "official.safetensors", level, &["--quantize", level]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let card = text(&rrsis(at, &["inspect", level]).stdout);
        assert!(card.contains(&format!("stored as {level}")), "{card}");
        assert!(card.contains("embed_dim: 16"), "{card}");

        let output = rrsis(at, &["inspect", level, "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        let files = all["files"].as_array().unwrap();
        assert_eq!(files.len(), 3);
        let values: u64 = files
            .iter()
            .flat_map(|file| file["stored"].as_array().unwrap())
            .filter(|stored| stored["storage"] != "scales")
            .map(|stored| stored["values"].as_u64().unwrap())
            .sum();
        let parameters = &all["manifest"]["parameters"];
        let counted = parameters["text"].as_u64().unwrap() + parameters["vision"].as_u64().unwrap();
        assert!(values >= counted, "{values} of {counted}");
        sizes(at, level)
    });
    assert!(bytes.is_sorted_by(|more, fewer| more > fewer), "{bytes:?}");

    let image = encoded_scene();
    fs::write(at.join("scene.png"), image).unwrap();
    for level in levels {
        let arguments = ["segment", "scene.png", "car", "--model", level];
        let output = rrsis(
            at,
            &[&arguments[..], &["--device", "cpu", "--out", "mask.png"]].concat(),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

fn encoded_scene() -> Vec<u8> {
    common::encoded(&common::pattern(64, 64), 64, 64, image::ImageFormat::Png)
}

#[test]
fn inspect_names_what_is_damaged_and_what_is_no_model() {
    let (folder, tensors) = workplace();
    let at = folder.path();
    write_safetensors(&at.join("official.safetensors"), &tensors);
    assert!(
        import(at, "official.safetensors", "model", &[])
            .status
            .success()
    );
    let vision = at.join("model/vision.bpk");
    let mut content = read(&vision);
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&vision, content).unwrap();
    fs::remove_file(at.join("model/text.bpk")).unwrap();

    let output = rrsis(at, &["inspect", "model"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for words in ["vision.bpk", "SHA-256", "text.bpk"] {
        assert!(message.contains(words), "\"{words}\" is not in: {message}");
    }
    assert!(text(&output.stdout).contains("DAMAGED"));

    for (path, words) in [
        ("nowhere", "nothing"),
        (".", "manifest.json"),
        ("tiny.json", "file"),
    ] {
        let message = text(&rrsis(at, &["inspect", path]).stderr);
        assert!(message.contains("no model directory"), "{message}");
        assert!(message.contains(words), "{message}");
    }
}
