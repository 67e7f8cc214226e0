//! Numbers of the public PyTorch code.
//!
//! Every folder under `../shared/fixtures/parity` (or `$RRSIS_PARITY_DIR`) holds a configuration,
//! weights under upstream names, and inputs, intermediates and logits of several cases.

use burn::tensor::Device;
use rrsis::network::NetworkConfig;
use rrsis::platform::{ComputeDevice, DeviceChoice};
use rrsis::weights::import::{Imported, import, read_checkpoint};
use serde_json::Value;
use std::path::Path;

use super::common;
use super::compare::{self, Tolerance, compare, run, run_on_cpu};
use super::reference::{config_of, parity_folders};

#[test]
fn the_public_codes_numbers_come_out() {
    for folder in parity_folders() {
        check_folder(&folder, &Device::flex(), &compare::CPU);
    }
}

/// The same on Vulkan, Metal or DX12, through the code that WebGPU runs in a browser.
#[test]
fn the_public_codes_numbers_come_out_on_a_gpu() {
    let folders = parity_folders();
    match pollster::block_on(ComputeDevice::open(DeviceChoice::Gpu)) {
        Ok(gpu) => {
            for folder in folders {
                check_folder(&folder, &gpu.device, &compare::GPU);
            }
        }
        Err(error) => common::skip(&format!("parity on a GPU: {error}")),
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

fn check_folder(folder: &Path, device: &Device, tolerance: &Tolerance) {
    let meta = std::fs::read_to_string(folder.join("meta.json")).expect("meta.json");
    let meta: Value = serde_json::from_str(&meta).expect("JSON");
    let config = config_of(&meta["config"]);
    let network = weights_of(folder, &config, device);
    for case in meta["cases"].as_array().expect("cases") {
        let file = case["file"].as_str().expect("file");
        let expected = read_checkpoint(&folder.join(file)).expect("readable");
        let actual = run(&network, &expected, device);
        let what = format!("{}/{file}", folder.display());
        compare(&what, &expected, &actual, tolerance);
        if *device == Device::flex() {
            for (expected, actual) in run_on_cpu(&network, &config, &expected) {
                compare(&format!("{what}, CPU"), &expected, &actual, tolerance);
            }
        }
    }
}

fn weights_of(folder: &Path, config: &NetworkConfig, device: &Device) -> Imported {
    let tensors = read_checkpoint(&folder.join("weights.safetensors")).expect("readable");
    import(tensors, config, "weights.safetensors", device).unwrap_or_else(|error| panic!("{error}"))
}
