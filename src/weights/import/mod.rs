//! Checkpoints of the public PyTorch code (and of the twin in `reference/`) to our parameters.
//!
//! The official file is `{'model': ..., 'bert_model': ..., 'epoch', 'args'}`; plain state dicts and
//! `.safetensors` files with the same names are read too. [`names`] holds the table of names.

mod checkpoint;
mod names;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use burn_store::ModuleSnapshot;
use burn_store::bridge;
use burn_store::burn_pack::Tensor as PackTensor;

pub use self::checkpoint::{read_checkpoint, read_language_encoder};
use self::names::{is_dead, upstream_name};
use super::{ParametersError, WeightsError, shard};
use crate::network::{Bert, LgceNetwork, NetworkConfig};

/// Both halves of a network with the parameters of a checkpoint.
#[derive(Debug)]
pub struct Imported {
    /// The language encoder.
    pub text: Bert,
    /// Everything else.
    pub vision: LgceNetwork,
    /// Parameters of the checkpoint that no output of the network depends on, and that were left
    /// out for that reason.
    pub dropped: Vec<String>,
}

/// Builds the network of `config` from parameters under their upstream names.
///
/// `what` names the checkpoint in messages.
///
/// # Errors
/// [`WeightsError::Parameters`] with everything that is missing, unexpected or of another shape.
pub fn import(
    mut tensors: BTreeMap<String, TensorData>,
    config: &NetworkConfig,
    what: &str,
    device: &Device,
) -> Result<Imported, WeightsError> {
    let mut text = Bert::new(&config.bert, device);
    let mut vision = LgceNetwork::new(config, device);
    let mut disagreement = Disagreement::default();
    let advice = advice(&tensors, config);
    let text_parameters = take_parameters(&text, &mut tensors, &mut disagreement);
    let vision_parameters = take_parameters(&vision, &mut tensors, &mut disagreement);
    let (dropped, unexpected): (Vec<_>, Vec<_>) = tensors
        .into_iter()
        .partition(|(name, _)| is_dead(name, config));
    if !(disagreement.is_empty() && unexpected.is_empty()) {
        let error = ParametersError {
            what: what.to_owned(),
            missing: disagreement.missing,
            unexpected: unexpected
                .iter()
                .map(|(name, data)| format!("{name} {:?}", data.shape().to_vec()))
                .collect(),
            mismatched: disagreement.mismatched,
            not_finite: disagreement.not_finite,
            advice,
        };
        return Err(WeightsError::Parameters(Box::new(error)));
    }
    shard::apply(&mut text, text_parameters, what)?;
    shard::apply(&mut vision, vision_parameters, what)?;
    Ok(Imported {
        text,
        vision,
        dropped: dropped.into_iter().map(|(name, _)| name).collect(),
    })
}

/// Every parameter that a checkpoint for `config` needs: its upstream name, and its shape as PyTorch
/// keeps it.
pub fn upstream_parameters(config: &NetworkConfig) -> Vec<(String, Vec<usize>)> {
    let device = Device::flex();
    let text = Bert::new(&config.bert, &device).collect(None, None, false);
    let vision = LgceNetwork::new(config, &device).collect(None, None, false);
    text.into_iter()
        .chain(vision)
        .map(|parameter| {
            let mut shape = parameter.shape.to_vec();
            if is_linear_weight(&parameter.name, &shape) {
                shape.reverse();
            }
            (upstream_name(&parameter.name), shape)
        })
        .collect()
}

/// Whether the public code has a parameter or buffer `name` that no output of the network of
/// `config` depends on, so that an import leaves it out.
pub fn is_unused(name: &str, config: &NetworkConfig) -> bool {
    is_dead(name, config)
}

/// What somebody may have overlooked, in sentences; empty where nothing is obvious.
fn advice(tensors: &BTreeMap<String, TensorData>, config: &NetworkConfig) -> String {
    let has = |start: &str| tensors.keys().any(|name| name.starts_with(start));
    let mut advice = Vec::new();
    if !has("bert_model.") {
        advice.push(
            "The checkpoint has no language encoder (bert_model.*): give the file it was trained \
             with, such as bert-base-uncased's model.safetensors, by --bert FILE.",
        );
    }
    if !has("model.") {
        advice.push(
            "The checkpoint has nothing of the image encoder and decoder (model.backbone.*, \
             model.classifier.*): a language encoder alone goes to --bert FILE.",
        );
    }
    match (&config.lgce, has("model.classifier.msb1.")) {
        (None, true) => advice.push(
            "The checkpoint has the cross-scale enhancement (model.classifier.msb1.*), but the \
             configuration is one without: choose one with \"lgce\".",
        ),
        (Some(_), false) if has("model.") => advice.push(
            "The checkpoint has no cross-scale enhancement (model.classifier.msb1.*), so it is \
             LAVT's: choose a configuration without \"lgce\".",
        ),
        _ => {}
    }
    advice.join("\n")
}

/// What stands between a checkpoint and a network, collected so that it is reported at once.
#[derive(Default)]
struct Disagreement {
    missing: Vec<String>,
    mismatched: Vec<String>,
    not_finite: Vec<String>,
}

impl Disagreement {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.mismatched.is_empty() && self.not_finite.is_empty()
    }
}

/// Moves the parameters of `module` out of `tensors`, in burn's layout.
fn take_parameters<M: Module>(
    module: &M,
    tensors: &mut BTreeMap<String, TensorData>,
    disagreement: &mut Disagreement,
) -> Vec<PackTensor> {
    let mut parameters = Vec::new();
    for wanted in module.collect(None, None, false) {
        let shape = wanted.shape.to_vec();
        let linear = is_linear_weight(&wanted.name, &shape);
        let mut upstream_shape = shape.clone();
        if linear {
            upstream_shape.reverse();
        }
        let upstream = upstream_name(&wanted.name);
        let Some(data) = tensors.remove(&upstream) else {
            disagreement
                .missing
                .push(format!("{upstream} {upstream_shape:?}"));
            continue;
        };
        let found = data.shape().to_vec();
        let data = if linear {
            transposed(data)
        } else {
            data.convert::<f32>()
        };
        if data.shape().to_vec() != shape {
            disagreement.mismatched.push(format!(
                "{upstream}: found {found:?}, needed {upstream_shape:?}"
            ));
            continue;
        }
        let broken = data.as_slice::<f32>().map_or(0, |values| {
            values.iter().filter(|value| !value.is_finite()).count()
        });
        if broken > 0 {
            disagreement.not_finite.push(format!(
                "{upstream} {found:?}: {broken} values are NaN or infinite"
            ));
        }
        parameters.push(bridge::from_data(data, wanted.name.clone(), None));
    }
    parameters
}

fn is_linear_weight(path: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && path.ends_with(".weight") && !path.contains("embeddings")
}

/// PyTorch keeps `[output, input]`, and `[output, input, 1]` for 1x1 convolutions; burn's linear
/// layers want `[input, output]`. Anything else comes back as it is, for the shape check to refuse.
fn transposed(data: TensorData) -> TensorData {
    let data = data.convert::<f32>();
    let (rows, columns) = match data.shape().to_vec()[..] {
        [rows, columns] | [rows, columns, 1] => (rows, columns),
        _ => return data,
    };
    let Ok(values) = data.as_slice::<f32>() else {
        return data;
    };
    let mut output = vec![0.0f32; values.len()];
    for row in 0..rows {
        for column in 0..columns {
            output[column * rows + row] = values[row * columns + column];
        }
    }
    TensorData::new(output, [columns, rows])
}
