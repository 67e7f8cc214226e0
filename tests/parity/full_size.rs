//! The paper's network at the paper's size: 480 x 480, Swin-B and BERT-base, weights by formula.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use rrsis::network::{CrossScale, NetworkConfig};
use rrsis::weights::import::{import, read_checkpoint};

use super::common::{repository, shared_dir, skip};
use super::compare::{CPU, largest_difference, run, run_on_cpu};
use super::formula;

/// Absolute, for low-resolution logits, against fp64.
const FULL_SIZE: f32 = 1e-3;
/// The same against the public code in fp32, which itself is 1.3e-3 away from fp64.
const FULL_SIZE_FP32: f32 = 2e-3;

/// The paper's network at its own size: every file under `../shared/fixtures/full_size` (or
/// `$RRSIS_FULL_SIZE_DIR`); the first word of its name is the variant.
#[test]
fn the_full_size_networks_numbers_come_out() {
    let root = std::env::var_os("RRSIS_FULL_SIZE_DIR").map_or_else(
        || shared_dir().map(|shared| shared.join("fixtures/full_size")),
        |root| Some(PathBuf::from(root)),
    );
    let Some(root) = root.filter(|root| root.is_dir()) else {
        return skip("reference numbers (fixtures/full_size) are not beside this checkout");
    };
    let mut files = 0;
    for entry in std::fs::read_dir(&root).expect("readable").flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            check_full_size(&path, CrossScale::Upstream, FULL_SIZE_FP32);
            files += 1;
        }
    }
    assert!(files > 0, "no case under {}", root.display());
}

/// The same in fp64, computed by the twin in `reference/` (`make_goldens.py --full`).
#[test]
fn the_full_size_networks_are_close_to_fp64() {
    let folder = repository("tests/goldens/full_size");
    for (file, cross_scale) in [
        ("lgce_swin_b_upstream.safetensors", CrossScale::Upstream),
        ("lgce_swin_b_paper.safetensors", CrossScale::Paper),
    ] {
        check_full_size(&folder.join(file), cross_scale, FULL_SIZE);
    }
}

fn check_full_size(path: &Path, cross_scale: CrossScale, tolerance: f32) {
    // One at a time: such a network takes gigabytes.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let name = path.file_stem().expect("name").to_string_lossy();
    let config = NetworkConfig {
        cross_scale,
        lgce: match name.split('_').next() {
            Some("lgce") => NetworkConfig::lgce_swin_b().lgce,
            Some("lavt") => None,
            _ => panic!("{name} begins with neither lgce nor lavt"),
        },
        ..NetworkConfig::lgce_swin_b()
    };
    let device = Device::flex();
    let expected = read_checkpoint(path).expect("readable");
    let network = import(formula::parameters(&config), &config, "formula", &device)
        .unwrap_or_else(|error| panic!("{error}"));
    let tensor = |ours: &str, theirs: &str| {
        let Some(data) = expected.get(ours).or_else(|| expected.get(theirs)) else {
            panic!("{name} holds neither {ours} nor {theirs}");
        };
        data.clone()
    };
    let case = BTreeMap::from([
        ("in.image".to_owned(), pattern(480, 480)),
        (
            "in.input_ids".to_owned(),
            tensor("in.input_ids", "input_ids"),
        ),
        (
            "in.attention_mask".to_owned(),
            tensor("in.attention_mask", "attention_mask"),
        ),
    ]);
    let actual = run(&network, &case, &device);
    let difference =
        |ours: &str, theirs: &str| largest_difference(&actual[ours], &expected[theirs]);
    let logits = difference("dec.logits_lowres", "logits_lowres");
    let expected_logits = &expected["logits_lowres"];
    println!("{name}: logits off by {logits:e}");
    assert!(logits <= tolerance, "{name}: logits off by {logits:e}");
    for (_, actual) in run_on_cpu(&network, &config, &case) {
        let logits = largest_difference(&actual["dec.logits_lowres"], expected_logits);
        println!("{name}, CPU: logits off by {logits:e}");
        assert!(logits <= tolerance, "{name}, CPU: logits off by {logits:e}");
    }
    if expected.contains_key("bert_last_hidden") {
        let words = difference("bert.last_hidden_state", "bert_last_hidden");
        assert!(
            words <= CPU.logits,
            "{name}: word features off by {words:e}"
        );
    }
}

/// The image of the full-size fixtures, a formula of x and y, normalised: `[1, 3, height, width]`.
fn pattern(height: usize, width: usize) -> TensorData {
    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const STD: [f32; 3] = [0.229, 0.224, 0.225];
    let mut values = Vec::with_capacity(3 * height * width);
    for channel in 0..3 {
        for y in 0..height {
            for x in 0..width {
                let value = [x * x + 3 * y, 5 * x + y * y, x * y][channel] % 256;
                values.push((value as f32 / 255.0 - MEAN[channel]) / STD[channel]);
            }
        }
    }
    TensorData::new(values, [1, 3, height, width])
}
