//! The network against reference numbers of the public PyTorch code.
//!
//! Every folder under `../shared/fixtures/parity` (or `$RRSIS_PARITY_DIR`) holds a configuration,
//! weights under upstream names, and inputs, intermediates and logits of several cases.

mod common;
#[path = "common/formula.rs"]
mod formula;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use rrsis::network::decoder::upsample;
use rrsis::network::{BertConfig, CrossScale, LanguageFeatures, LgceConfig, NetworkConfig, Trace};
use rrsis::weights::import::{Imported, import, read_checkpoint};
use serde_json::Value;

/// Absolute, for logits: fp32 against fp64 differs by 4e-6 in the fixtures; this leaves room for
/// another order of sums.
const LOGITS: f32 = 1e-4;
/// Relative to the largest value of the reference, for intermediates.
const INTERMEDIATES: f32 = 1e-4;
/// The same for V1 to V4, the layer norms of F: where F hardly varies over the channels they amplify
/// rounding, and the public code's own fp32 numbers are up to 1.9e-4 away from fp64.
const NORMED: f32 = 3e-4;
/// Absolute, for low-resolution logits at the paper's size, against fp64.
const FULL_SIZE: f32 = 1e-3;
/// The same against the public code in fp32, which itself is 1.3e-3 away from fp64.
const FULL_SIZE_FP32: f32 = 2e-3;

#[test]
fn the_public_codes_numbers_come_out() {
    let root = std::env::var_os("RRSIS_PARITY_DIR").map_or_else(
        || common::shared_dir().map(|shared| shared.join("fixtures/parity")),
        |root| Some(PathBuf::from(root)),
    );
    let Some(root) = root.filter(|root| root.is_dir()) else {
        return common::skip("reference numbers (fixtures/parity) are not beside this checkout");
    };
    let mut folders = 0;
    for entry in std::fs::read_dir(&root).expect("readable").flatten() {
        if entry.path().join("meta.json").is_file() {
            check_folder(&entry.path());
            folders += 1;
        }
    }
    assert!(folders > 0, "no case under {}", root.display());
}

/// Goldens of the twin in `reference/` (`make_goldens.py`), which know nothing of this code: the
/// paper's network, its ablations and its baseline.
#[test]
fn every_variant_gives_the_twins_numbers() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    for variant in ["paper", "no_fusion", "no_language", "lavt"] {
        let folder = goldens.join(format!("{variant}_tiny"));
        let meta = std::fs::read_to_string(folder.join("meta.json")).expect("meta.json");
        let meta: Value = serde_json::from_str(&meta).expect("JSON");
        let config: NetworkConfig = serde_json::from_value(meta["config"].clone()).expect("config");
        let is = |cross_scale| config.lgce.is_some() && config.cross_scale == cross_scale;
        match variant {
            "lavt" => assert!(config.lgce.is_none()),
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
            compare(&format!("{variant}/{file}"), &expected, &actual);
        }
    }
}

/// Each ablation is one: it does not compute the same function as the paper's network.
#[test]
fn the_variants_differ() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let logits = ["paper", "no_fusion", "no_language", "lavt"].map(|variant| {
        let case = goldens.join(format!("{variant}_tiny/case0.safetensors"));
        let case = read_checkpoint(&case).expect("readable");
        case["logits"].clone().try_into_vec::<f32>().expect("f32")
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/paper_tiny");
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
        run(&network, &case, &device)["logits"]
            .clone()
            .try_into_vec::<f32>()
            .expect("f32")
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

/// The paper's network at its own size: every file under `../shared/fixtures/full_size` (or
/// `$RRSIS_FULL_SIZE_DIR`); the first word of its name is the variant.
#[test]
fn the_full_size_networks_numbers_come_out() {
    let root = std::env::var_os("RRSIS_FULL_SIZE_DIR").map_or_else(
        || common::shared_dir().map(|shared| shared.join("fixtures/full_size")),
        |root| Some(PathBuf::from(root)),
    );
    let Some(root) = root.filter(|root| root.is_dir()) else {
        return common::skip("reference numbers (fixtures/full_size) are not beside this checkout");
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/full_size");
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
    let difference = |ours: &str, theirs: &str| {
        let values = |data: &TensorData| {
            let data = data.clone().convert::<f32>();
            data.try_into_vec::<f32>().expect("f32")
        };
        let (ours, theirs) = (values(&actual[ours]), values(&expected[theirs]));
        assert_eq!(ours.len(), theirs.len());
        ours.iter()
            .zip(&theirs)
            .map(|(a, b)| (a - b).abs())
            // A NaN must fail too.
            .fold(0.0f32, |largest, d| if d <= largest { largest } else { d })
    };
    let logits = difference("dec.logits_lowres", "logits_lowres");
    println!("{name}: logits off by {logits:e}");
    assert!(logits <= tolerance, "{name}: logits off by {logits:e}");
    if expected.contains_key("bert_last_hidden") {
        let words = difference("bert.last_hidden_state", "bert_last_hidden");
        assert!(words <= LOGITS, "{name}: word features off by {words:e}");
    }
}

#[test]
fn the_official_checkpoint_layout_gives_the_same_parameters() {
    let Some(folder) = common::shared_dir().map(|dir| dir.join("fixtures/parity/tiny16")) else {
        return common::skip("reference numbers (fixtures/parity) are not beside this checkout");
    };
    let plain = read_checkpoint(&folder.join("weights.safetensors")).expect("readable");
    let official = read_checkpoint(&folder.join("checkpoint.pth")).expect("readable");
    for (name, data) in &plain {
        let Some(other) = official.get(name) else {
            panic!("{name} is missing from checkpoint.pth");
        };
        assert_eq!(data, other, "{name}");
    }
}

fn check_folder(folder: &Path) {
    let meta: Value = serde_json::from_str(
        &std::fs::read_to_string(folder.join("meta.json")).expect("meta.json"),
    )
    .expect("JSON");
    let config = config_of(&meta["config"]);
    let device = Device::flex();
    let tensors = read_checkpoint(&folder.join("weights.safetensors")).expect("readable");
    let network = import(tensors, &config, "weights.safetensors", &device)
        .unwrap_or_else(|error| panic!("{error}"));
    for case in meta["cases"].as_array().expect("cases") {
        let file = case["file"].as_str().expect("file");
        let expected = read_checkpoint(&folder.join(file)).expect("readable");
        let actual = run(&network, &expected, &device);
        compare(&format!("{}/{file}", folder.display()), &expected, &actual);
    }
}

/// The fixture's own description of a configuration.
fn config_of(meta: &Value) -> NetworkConfig {
    let number = |value: &Value| value.as_u64().expect("number") as usize;
    let four = |value: &Value| std::array::from_fn(|index| number(&value[index]));
    let embed_dim = number(&meta["embed_dim"]);
    NetworkConfig {
        embed_dim,
        depths: four(&meta["depths"]),
        num_heads: four(&meta["num_heads"]),
        window: number(&meta["window"]),
        mlp_ratio: 4.0,
        bert: BertConfig {
            vocab_size: number(&meta["bert"]["vocab_size"]),
            hidden_size: number(&meta["bert"]["hidden_size"]),
            num_hidden_layers: number(&meta["bert"]["num_hidden_layers"]),
            num_attention_heads: number(&meta["bert"]["num_attention_heads"]),
            intermediate_size: number(&meta["bert"]["intermediate_size"]),
            max_position_embeddings: number(&meta["bert"]["max_position_embeddings"]),
            layer_norm_eps: 1e-12,
        },
        lgce: Some(LgceConfig {
            depths: [number(&meta["msb_depth"][0]), number(&meta["msb_depth"][1])],
            heads: [number(&meta["msb_heads"][0]), number(&meta["msb_heads"][1])],
            mlp_ratio: meta["msb_mlp_ratio"].as_f64().expect("number"),
            language_guidance: true,
        }),
        decoder_hidden: embed_dim * 4,
        cross_scale: CrossScale::Upstream,
        max_tokens: 20,
        image_size: 480,
    }
}

/// All intermediates of a forward pass on a case's inputs, and the logits at the image's size.
fn run(
    network: &Imported,
    case: &BTreeMap<String, TensorData>,
    device: &Device,
) -> BTreeMap<String, TensorData> {
    let mut trace = Trace::on();
    let image = Tensor::<4>::from_data(case["in.image"].clone(), device);
    let ids = Tensor::<2, Int>::from_data(case["in.input_ids"].clone().convert::<i32>(), device);
    let mask = Tensor::<2>::from_data(case["in.attention_mask"].clone().convert::<f32>(), device);
    let words = network.text.forward(ids, mask.clone(), &mut trace);
    let language = LanguageFeatures { words, mask };
    let [_, _, height, width] = image.dims();
    let features = network.vision.encode_image(image, &mut trace);
    let logits = network.vision.forward(features, &language, &mut trace);
    let logits = upsample(logits, [height, width]);
    let mut tensors = trace.into_tensors();
    tensors.insert("logits".into(), logits.into_data());
    tensors
}

/// Intermediates relative to their scale, logits absolutely.
fn compare(
    what: &str,
    expected: &BTreeMap<String, TensorData>,
    actual: &BTreeMap<String, TensorData>,
) {
    let mut compared = 0;
    let mut failures = Vec::new();
    for (name, actual) in actual {
        let Some(expected) = expected.get(name) else {
            continue;
        };
        assert_eq!(
            expected.shape().to_vec(),
            actual.shape().to_vec(),
            "{what}: {name}"
        );
        let expected = expected
            .clone()
            .convert::<f32>()
            .try_into_vec::<f32>()
            .expect("f32");
        let actual = actual
            .clone()
            .convert::<f32>()
            .try_into_vec::<f32>()
            .expect("f32");
        let largest = expected
            .iter()
            .fold(0.0f32, |largest, v| largest.max(v.abs()));
        let tolerance = match name.as_str() {
            "logits" => LOGITS,
            name if name.starts_with("V.")
                || name.ends_with("norm_out")
                || name.starts_with("dec.conv") && name.ends_with(".in") =>
            {
                NORMED * largest
            }
            _ => INTERMEDIATES * largest,
        };
        let difference = expected
            .iter()
            .zip(&actual)
            .fold(0.0f32, |largest, (a, b)| largest.max((a - b).abs()));
        compared += 1;
        // A NaN must fail too.
        if difference.is_nan() || difference > tolerance {
            failures.push(format!("{name}: off by {difference:e} at scale {largest}"));
        }
    }
    println!("{what}: {compared} tensors compared");
    assert!(
        actual.contains_key("logits") && compared > 5,
        "{what}: only {compared}"
    );
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
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
