//! Parameters before training: read from a file, or drawn as the public code draws them.
//!
//! Linear layers of Swin and of the enhancement module: truncated normal of deviation 0.02, biases
//! 0. BERT: normal of deviation 0.02, biases 0. Everything else (convolutions, and the pixel-word
//! attention, whose projections are convolutions there): uniform within 1 / sqrt(inputs), weights
//! and biases. Norms: 1 and 0.

use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use burn_store::bridge;

use super::model::empty;
use super::random::{Purpose, Random, label};
use crate::error::{Error, Result};
use crate::network::NetworkConfig;
use crate::network::cpu::Source;
use crate::weights::import::{Imported, import, read_checkpoint};
use crate::weights::shard::Shard;
use crate::weights::{Manifest, Part, WeightsError, shard};

/// An untrained network; the same seed gives the same one, on every machine.
///
/// # Errors
/// [`WeightsError`] where a parameter cannot be made.
pub fn untrained(config: &NetworkConfig, seed: u64) -> Result<Imported> {
    let mut network = empty(config);
    fill(&mut network.text, seed, |_, _| Distribution::Normal)?;
    fill(&mut network.vision, seed, vision)?;
    Ok(network)
}

/// The network in a checkpoint file of the official layout, or in a model directory.
///
/// # Errors
/// [`WeightsError`] where something cannot be read, is damaged, or does not fit the network of
/// `config`; [`Error::Io`].
pub fn read(path: &Path, config: &NetworkConfig) -> Result<Imported> {
    if !path.is_dir() {
        let what = path.display().to_string();
        return Ok(import(
            read_checkpoint(path)?,
            config,
            &what,
            &Device::flex(),
        )?);
    }
    let content = |name: &str| {
        let path = path.join(name);
        std::fs::read(&path).map_err(|source| Error::Io {
            action: "Reading",
            path,
            source,
        })
    };
    let manifest = Manifest::from_json(&String::from_utf8_lossy(&content("manifest.json")?))?;
    let shard = |part: Part| -> Result<_> {
        let entry = manifest.file_of(part)?;
        let content = content(&entry.file)?;
        entry.verify(&content)?;
        Ok(Shard::open(
            content,
            &path.join(&entry.file).display().to_string(),
        )?)
    };
    let network = empty(config);
    let (mut text, mut vision) = (shard(Part::Text)?, shard(Part::Vision)?);
    let network = Imported {
        text: text.fill(network.text, ""),
        vision: vision.fill(network.vision, ""),
        ..network
    };
    text.finish()?;
    vision.finish()?;
    Ok(network)
}

/// How weights and, if so, biases of a layer are drawn.
#[derive(Clone, Copy)]
enum Distribution {
    /// Deviation 0.02; biases 0.
    Normal,
    /// The same, cut at two deviations.
    TruncatedNormal,
    /// Within 1 / sqrt(inputs), biases too.
    Uniform { inputs: usize },
}

fn vision(path: &str, weight: &[usize]) -> Distribution {
    if weight.len() == 4 {
        let inputs = weight[1..].iter().product();
        Distribution::Uniform { inputs }
    } else if path.contains(".pwam.") {
        Distribution::Uniform { inputs: weight[0] }
    } else {
        Distribution::TruncatedNormal
    }
}

fn fill<M: Module>(
    module: &mut M,
    seed: u64,
    distribution: impl Fn(&str, &[usize]) -> Distribution,
) -> std::result::Result<(), WeightsError> {
    let parameters = shard::parameters_of(module)?;
    let shapes: HashMap<String, Vec<usize>> = parameters
        .into_iter()
        .map(|(path, data)| (path, data.shape().to_vec()))
        .collect();
    let filled = shapes
        .iter()
        .map(|(path, shape)| {
            // A bias is drawn by the shape of the weight beside it.
            let weight = path
                .strip_suffix("bias")
                .and_then(|layer| shapes.get(&format!("{layer}weight")))
                .unwrap_or(shape);
            let mut random = Random::new(seed, Purpose::Parameter, &[label(path)]);
            let count = shape.iter().product();
            let values = draw(path, count, distribution(path, weight), &mut random);
            bridge::from_data(TensorData::new(values, shape.clone()), path.clone(), None)
        })
        .collect();
    shard::apply(module, filled, "untrained network")
}

fn draw(path: &str, count: usize, distribution: Distribution, random: &mut Random) -> Vec<f32> {
    const DEVIATION: f64 = 0.02;
    let constant = match path.rsplit('.').next() {
        Some("gamma" | "running_var") => Some(1.0),
        Some("beta" | "running_mean") => Some(0.0),
        Some("bias") if !matches!(distribution, Distribution::Uniform { .. }) => Some(0.0),
        _ => None,
    };
    if let Some(value) = constant {
        return vec![value; count];
    }
    let mut one = || match distribution {
        Distribution::Normal => DEVIATION * random.normal(),
        Distribution::TruncatedNormal => loop {
            let value = random.normal();
            if value.abs() <= 2.0 {
                break DEVIATION * value;
            }
        },
        Distribution::Uniform { inputs } => random.symmetric((inputs as f64).powf(-0.5)),
    };
    (0..count).map(|_| one() as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn each_kind_of_parameter_has_its_spread_and_follows_from_the_seed() {
        let config = NetworkConfig {
            embed_dim: 16,
            depths: [1, 1, 1, 1],
            num_heads: [1, 2, 4, 8],
            window: 4,
            decoder_hidden: 16,
            ..NetworkConfig::rrsis_small()
        };
        let parameters = |seed| -> BTreeMap<String, Vec<f32>> {
            let network = untrained(&config, seed).expect("drawn");
            shard::parameters_of(&network.vision)
                .expect("readable")
                .into_iter()
                .map(|(path, data)| (path, data.try_into_vec().expect("f32")))
                .collect()
        };
        let (one, two) = (parameters(1), parameters(2));
        assert_eq!(one, parameters(1));
        let largest = |path: &str| {
            assert_ne!(one[path], two[path], "{path}");
            one[path].iter().fold(0.0f32, |most, x| most.max(x.abs()))
        };
        // Truncated at two deviations, and several hundred values come close.
        let linear = largest("swin.stages.0.blocks.0.mlp.fc1.weight");
        assert!((0.035..=0.04).contains(&linear), "{linear}");
        // 3 x 4 x 4 inputs; 16 inputs.
        let convolution = largest("swin.patch_embed.proj.weight");
        assert!(
            (0.13..=1.0 / 48.0f32.sqrt()).contains(&convolution),
            "{convolution}"
        );
        let attention = largest("swin.stages.0.pwam.query.bias");
        assert!((0.1..=0.25).contains(&attention), "{attention}");
        assert!(
            one["swin.stages.0.blocks.0.mlp.fc1.bias"]
                .iter()
                .all(|x| *x == 0.0)
        );
        assert!(
            one["decoder.levels.0.norm1.gamma"]
                .iter()
                .all(|x| *x == 1.0)
        );
        assert!(
            one["decoder.levels.0.norm1.running_var"]
                .iter()
                .all(|x| *x == 1.0)
        );
    }
}
