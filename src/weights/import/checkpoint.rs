//! Reading checkpoint files to tensors by their official names.
//!
//! The official names begin with `model.` (image encoder, enhancement, decoder) or `bert_model.`.
//! Checkpoints in the wild carry other beginnings:
//!
//! | name in the file | comes from | official name |
//! |---|---|---|
//! | `backbone.*`, `classifier.*` | a plain state dict | `model.backbone.*`, ... |
//! | `module.*`, `model.module.*` | distributed training | the same without `module.` |
//! | `state_dict.*`, `model_state_dict.*` | trainers that wrap it | the same without |
//! | `text_encoder.*` | LAVT in one piece | `bert_model.*` |
//! | `bert.*`, `embeddings.*`, `encoder.*`, `pooler.*` | a language model's own file | `bert_model.*` |
//! | `*.LayerNorm.gamma`, `beta` | BERT's first release | `weight`, `bias` |

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use burn::tensor::TensorData;
use burn_store::burn_pack::Tensor as PackTensor;
use burn_store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};

use crate::weights::WeightsError;

/// What a trainer keeps beside the parameters.
const TRAINING_STATE: [&str; 4] = ["optimizer.", "lr_scheduler.", "scheduler.", "scaler."];

/// Reads a checkpoint: `.safetensors`, or a PyTorch file with `model` and `bert_model`, or a plain
/// state dict. Names come back as the official checkpoint has them, `model.` or `bert_model.` in
/// front; names that fit nowhere come back as they are.
///
/// # Errors
/// [`WeightsError::Checkpoint`] where the file is none of these, holds no tensors, or holds one
/// parameter twice.
pub fn read_checkpoint(path: &Path) -> Result<BTreeMap<String, TensorData>, WeightsError> {
    let broken = |reason: String| WeightsError::Checkpoint {
        path: path.display().to_string(),
        reason,
    };
    let found = if path.extension().is_some_and(|end| end == "safetensors") {
        // Renumbering layers is for files that are read by burn's own names.
        let mut store = SafetensorsStore::from_file(path).map_indices_contiguous(false);
        all_tensors(&mut store)
    } else {
        // Nested dictionaries come back with their keys joined: `model.backbone...`.
        let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
        all_tensors(&mut store)
    };
    let mut tensors = BTreeMap::new();
    for (name, tensor) in found.map_err(broken)? {
        if TRAINING_STATE.iter().any(|state| name.starts_with(state)) {
            continue;
        }
        let data = bridge::into_data(tensor).map_err(|error| broken(format!("{name}: {error}")))?;
        match tensors.entry(official_name(&name)) {
            Entry::Vacant(place) => place.insert(data),
            Entry::Occupied(place) => {
                return Err(broken(format!(
                    "it holds {} twice, once as {name}",
                    place.key()
                )));
            }
        };
    }
    if tensors.is_empty() {
        return Err(broken("it holds no tensors".to_owned()));
    }
    Ok(tensors)
}

/// Replaces the language encoder of `tensors` by that of another file, such as `pytorch_model.bin`
/// or `model.safetensors` of bert-base-uncased.
///
/// # Errors
/// [`WeightsError::Checkpoint`] where the file cannot be read or has no language encoder.
pub fn read_language_encoder(
    path: &Path,
    tensors: &mut BTreeMap<String, TensorData>,
) -> Result<(), WeightsError> {
    let mut encoder = read_checkpoint(path)?;
    // A language model's heads are no part of its encoder.
    encoder.retain(|name, _| name.starts_with("bert_model."));
    if encoder.is_empty() {
        return Err(WeightsError::Checkpoint {
            path: path.display().to_string(),
            reason: "it holds no parameters of a BERT encoder (bert_model.*, bert.*, embeddings.*, encoder.*)".to_owned(),
        });
    }
    tensors.retain(|name, _| !name.starts_with("bert_model."));
    tensors.append(&mut encoder);
    Ok(())
}

fn all_tensors<S: ModuleStore>(store: &mut S) -> Result<Vec<(String, PackTensor)>, String> {
    let tensors = store.get_all_tensors().map_err(|error| error.to_string())?;
    Ok(tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect())
}

/// The name that the official checkpoint has for `name`.
fn official_name(name: &str) -> String {
    let mut rest = name;
    for wrapper in ["state_dict.", "model_state_dict.", "module."] {
        rest = rest.strip_prefix(wrapper).unwrap_or(rest);
    }
    let half = |name: &str| {
        let starts = |beginnings: &[&str]| beginnings.iter().any(|start| name.starts_with(start));
        if starts(&["backbone.", "classifier."]) {
            Some("model.")
        } else if starts(&["embeddings.", "encoder.", "pooler."]) {
            Some("bert_model.")
        } else {
            None
        }
    };
    let mut stem = rest;
    let mut given = None;
    for (beginning, official) in [
        ("model.", "model."),
        ("bert_model.", "bert_model."),
        ("text_encoder.", "bert_model."),
        ("bert.", "bert_model."),
    ] {
        if let Some(after) = rest.strip_prefix(beginning) {
            stem = after.strip_prefix("module.").unwrap_or(after);
            given = Some(official);
            break;
        }
    }
    // LAVT in one piece keeps the language encoder inside the model.
    let (given, stem) = match stem.strip_prefix("text_encoder.") {
        Some(inside) if given == Some("model.") => (Some("bert_model."), inside),
        _ => (given, stem),
    };
    let Some(prefix) = given.or_else(|| half(stem)) else {
        return name.to_owned();
    };
    let official = format!("{prefix}{stem}");
    if prefix == "bert_model." {
        for (old, new) in [
            (".LayerNorm.gamma", ".LayerNorm.weight"),
            (".LayerNorm.beta", ".LayerNorm.bias"),
        ] {
            if let Some(layer) = official.strip_suffix(old) {
                return format!("{layer}{new}");
            }
        }
    }
    official
}

#[cfg(test)]
mod tests {
    use super::official_name;

    #[test]
    fn every_way_of_writing_a_name_leads_to_the_official_one() {
        for (found, official) in [
            ("model.backbone.norm0.weight", "model.backbone.norm0.weight"),
            ("backbone.norm0.weight", "model.backbone.norm0.weight"),
            (
                "module.backbone.norm0.weight",
                "model.backbone.norm0.weight",
            ),
            (
                "model.module.backbone.norm0.weight",
                "model.backbone.norm0.weight",
            ),
            (
                "module.model.classifier.conv1_1.bias",
                "model.classifier.conv1_1.bias",
            ),
            (
                "state_dict.classifier.conv1_1.bias",
                "model.classifier.conv1_1.bias",
            ),
            (
                "bert_model.module.encoder.layer.0.output.dense.bias",
                "bert_model.encoder.layer.0.output.dense.bias",
            ),
            (
                "model.text_encoder.encoder.layer.0.output.dense.bias",
                "bert_model.encoder.layer.0.output.dense.bias",
            ),
            (
                "text_encoder.embeddings.LayerNorm.weight",
                "bert_model.embeddings.LayerNorm.weight",
            ),
            (
                "bert.embeddings.LayerNorm.gamma",
                "bert_model.embeddings.LayerNorm.weight",
            ),
            (
                "encoder.layer.3.output.LayerNorm.beta",
                "bert_model.encoder.layer.3.output.LayerNorm.bias",
            ),
            // Fits nowhere: reported as it stands in the file.
            ("cls.predictions.bias", "cls.predictions.bias"),
            ("module.head.weight", "module.head.weight"),
        ] {
            assert_eq!(official_name(found), official, "{found}");
        }
    }
}
