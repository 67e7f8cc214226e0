//! Reading checkpoint files to tensors by name.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use burn_store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};

use crate::weights::WeightsError;

/// Reads a checkpoint: `.safetensors`, or a PyTorch file with `model` and `bert_model`, or a plain
/// state dict. Names come back as upstream writes them, `model.` or `bert_model.` in front.
///
/// # Errors
/// [`WeightsError::Checkpoint`] where the file is none of these.
pub fn read_checkpoint(path: &Path) -> Result<BTreeMap<String, TensorData>, WeightsError> {
    if path.extension().is_some_and(|end| end == "safetensors") {
        return collect(
            path,
            "",
            &mut SafetensorsStore::from_file(path).map_indices_contiguous(false),
        );
    }
    let mut tensors = BTreeMap::new();
    for half in ["model", "bert_model"] {
        // Renumbering layers is for files that are read by burn's own names.
        let mut store = PytorchStore::from_file(path)
            .map_indices_contiguous(false)
            .with_top_level_key(half);
        // A file without this entry may still be a plain state dict, tried below.
        if let Ok(part) = collect(path, &format!("{half}."), &mut store) {
            tensors.extend(part);
        }
    }
    if tensors.is_empty() {
        let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
        tensors = collect(path, "", &mut store)?;
    }
    Ok(tensors)
}

fn collect<S: ModuleStore>(
    path: &Path,
    prefix: &str,
    store: &mut S,
) -> Result<BTreeMap<String, TensorData>, WeightsError> {
    let broken = |reason: String| WeightsError::Checkpoint {
        path: path.display().to_string(),
        reason,
    };
    let tensors = store
        .get_all_tensors()
        .map_err(|error| broken(error.to_string()))?;
    tensors
        .iter()
        .map(|(name, tensor)| {
            let data = bridge::to_data(tensor).map_err(|error| broken(error.to_string()))?;
            Ok((format!("{prefix}{name}"), data))
        })
        .collect()
}
