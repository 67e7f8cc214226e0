//! Intermediate results by name, for comparing a forward pass with reference numbers.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};

/// Collects named intermediates of one forward pass; costs nothing where it is off.
///
/// Names are those of the reference fixtures (`stage1.block0`, `V.3`, `lgce.TL_h`, ...).
#[derive(Default)]
pub struct Trace {
    tensors: Option<BTreeMap<String, TensorData>>,
}

impl Trace {
    /// Records nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Records every intermediate, reading each back at once: for tests on native devices only.
    pub fn on() -> Self {
        Self {
            tensors: Some(BTreeMap::new()),
        }
    }

    /// What was recorded, by name.
    pub fn into_tensors(self) -> BTreeMap<String, TensorData> {
        self.tensors.unwrap_or_default()
    }

    /// Whether anything is recorded.
    pub(super) fn is_on(&self) -> bool {
        self.tensors.is_some()
    }

    pub(super) fn record_values(
        &mut self,
        name: impl FnOnce() -> String,
        values: &[f32],
        shape: &[usize],
    ) {
        if let Some(tensors) = &mut self.tensors {
            let data = TensorData::new(values.to_vec(), shape.to_vec());
            tensors.insert(name(), data);
        }
    }

    pub(super) fn record<const D: usize>(
        &mut self,
        name: impl FnOnce() -> String,
        tensor: &Tensor<D>,
    ) {
        if let Some(tensors) = &mut self.tensors {
            // A copy, because cubecl-wgpu 0.11 uses the memory of what was read back for the next
            // read (tracel-ai/cubecl#901).
            let data = tensor.to_data();
            let copy: Vec<f32> = data.iter::<f32>().collect();
            tensors.insert(name(), TensorData::new(copy, data.shape()));
        }
    }
}
