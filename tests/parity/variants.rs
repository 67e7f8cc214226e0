//! Numbers of the twin in `reference/` (`make_goldens.py`), which knows nothing of this code: the
//! paper's network, its ablations and its baseline.

use burn::tensor::{Device, TensorData};
use rrsis::network::{CrossScale, NetworkConfig};
use rrsis::weights::import::{import, read_checkpoint};
use serde_json::Value;

use super::common::repository;
use super::compare::{CPU, compare, floats, run, run_on_cpu};
use super::formula;

#[test]
fn every_variant_gives_the_twins_numbers() {
    let goldens = repository("tests/goldens");
    for variant in ["paper", "no_fusion", "no_language", "lavt", "cnn"] {
        let folder = goldens.join(format!("{variant}_tiny"));
        let meta = std::fs::read_to_string(folder.join("meta.json")).expect("meta.json");
        let meta: Value = serde_json::from_str(&meta).expect("JSON");
        let config: NetworkConfig = serde_json::from_value(meta["config"].clone()).expect("config");
        let is = |cross_scale| config.lgce.is_some() && config.cross_scale == cross_scale;
        match variant {
            "lavt" => assert!(config.lgce.is_none()),
            "cnn" => assert!(config.cnn.is_some() && is(CrossScale::Paper)),
            "no_fusion" => assert!(is(CrossScale::None)),
            _ => assert!(is(CrossScale::Paper)),
        }
        let device = Device::flex();
        let network = import(formula::parameters(&config), &config, "formula", &device)
            .unwrap_or_else(|error| panic!("{error}"));
        for case in meta["cases"].as_array().expect("cases") {
            let file = case["file"].as_str().expect("file");
            let expected = read_checkpoint(&folder.join(file)).expect("readable");
            let actual = run(&network, &expected, &device);
            compare(&format!("{variant}/{file}"), &expected, &actual, &CPU);
            for (expected, actual) in run_on_cpu(&network, &config, &expected) {
                compare(&format!("{variant}/{file}, CPU"), &expected, &actual, &CPU);
            }
        }
    }
}

/// Each ablation is one: it does not compute the same function as the paper's network.
#[test]
fn the_variants_differ() {
    let goldens = repository("tests/goldens");
    let logits = ["paper", "no_fusion", "no_language", "lavt", "cnn"].map(|variant| {
        let case = goldens.join(format!("{variant}_tiny/case0.safetensors"));
        let case = read_checkpoint(&case).expect("readable");
        floats(&case["logits"])
    });
    for (index, one) in logits.iter().enumerate() {
        for other in &logits[index + 1..] {
            let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
            assert!(differences.fold(0.0, f32::max) > 1e-2);
        }
    }
}

/// In the public code the exchange between scales has no effect on the output at all.
#[test]
fn the_papers_fusion_changes_the_output_and_upstreams_does_not() {
    let folder = repository("tests/goldens/paper_tiny");
    let meta = std::fs::read_to_string(folder.join("meta.json")).expect("meta.json");
    let meta: Value = serde_json::from_str(&meta).expect("JSON");
    let config: NetworkConfig = serde_json::from_value(meta["config"].clone()).expect("config");
    let case = read_checkpoint(&folder.join("case0.safetensors")).expect("readable");
    let device = Device::flex();
    let logits = |cross_scale: CrossScale, fusion: f32| {
        let config = NetworkConfig {
            cross_scale,
            ..config.clone()
        };
        let mut parameters = formula::parameters(&config);
        for (name, data) in &mut parameters {
            if name.contains(".msb.fusion.") && name.ends_with("attn.proj.weight") {
                let shape = data.shape().to_vec();
                let values = data.clone().try_into_vec::<f32>().expect("f32");
                let values: Vec<f32> = values.iter().map(|value| value * fusion).collect();
                *data = TensorData::new(values, shape);
            }
        }
        let network = import(parameters, &config, "formula", &device)
            .unwrap_or_else(|error| panic!("{error}"));
        floats(&run(&network, &case, &device)["logits"])
    };
    let difference = |cross_scale| {
        let (weak, strong) = (logits(cross_scale, 0.5), logits(cross_scale, 1.0));
        weak.iter()
            .zip(&strong)
            .fold(0.0f32, |largest, (a, b)| largest.max((a - b).abs()))
    };
    assert!(difference(CrossScale::Paper) > 1e-3);
    assert_eq!(difference(CrossScale::Upstream), 0.0);
}
