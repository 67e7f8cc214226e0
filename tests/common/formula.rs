//! Parameters that are a formula of their name, so that goldens need no weight file.
//!
//! The formula is that of `reference/make_goldens.py`.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use rrsis::network::NetworkConfig;
use rrsis::weights::import::upstream_parameters;

/// All parameters of `config` under their upstream names.
pub fn parameters(config: &NetworkConfig) -> BTreeMap<String, TensorData> {
    upstream_parameters(config)
        .into_iter()
        .map(|(name, shape)| {
            let data = TensorData::new(values(&name, &shape), shape);
            (name, data)
        })
        .collect()
}

fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let (offset, scale) = if name.ends_with("running_mean") {
        (0.0, 0.1)
    } else if name.ends_with("running_var") {
        (1.0, 0.2)
    } else if name.ends_with("relative_position_bias_table") {
        (0.0, 0.5)
    } else if name.ends_with("bias") {
        (0.0, 0.05)
    } else if shape.len() == 1 {
        (1.0, 0.2)
    } else {
        let fan_in: usize = shape[1..].iter().product();
        (0.0, (3.0 / fan_in as f64).sqrt())
    };
    let seed = fnv1a(name);
    (0..shape.iter().product::<usize>())
        .map(|index| (offset + scale * noise(seed, index as u64)) as f32)
        .collect()
}

/// FNV-1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// In -1..1: the finaliser of SplitMix64.
fn noise(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 40) as f64 / f64::from(1 << 24) * 2.0 - 1.0
}
