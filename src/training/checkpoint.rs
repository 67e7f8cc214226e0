//! The state of a run in a file: everything that a run needs to go on as if it had never stopped.
//!
//! One burnpack file: the parameters (`text.` and `vision.` before their paths), the moments of the
//! optimiser (`mean.` and `square.` before those names), and the progress as JSON in its metadata.
//! Random numbers have no state (see [`super::random`]).

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, TensorData};
use burn_store::bridge;
use burn_store::burn_pack::{Reader, Tensor as PackTensor, Writer};
use serde::{Deserialize, Serialize};

use super::TrainingError;
use super::model::{TEXT, VISION, empty};
use super::optimizer::SavedMoments;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::network::NetworkConfig;
use crate::weights::import::Imported;
use crate::weights::shard;

const FORMAT: &str = "rrsis-training-1";
const MEAN: &str = "mean";
const SQUARE: &str = "square";

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps taken.
    pub step: usize,
    /// Epochs after which the validation has been done.
    pub validated_epochs: usize,
    /// The best validation so far.
    pub best: Option<Best>,
    /// Samples of the training split.
    pub samples: usize,
}

/// A validation result that none before it reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// After this epoch, from 1.
    pub epoch: usize,
    /// The score that decides, from 0 to 1.
    pub score: f64,
}

/// A run at the end of a step.
#[derive(Debug)]
pub struct State {
    /// How far it has come.
    pub progress: Progress,
    /// The parameters and running statistics.
    pub network: Imported,
    /// The optimiser's moments by path.
    pub moments: BTreeMap<String, SavedMoments>,
}

impl State {
    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// [`TrainingError::State`] where a parameter cannot be read back, [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut tensors = Vec::new();
        collect(&self.network.text, TEXT, &mut tensors)?;
        collect(&self.network.vision, VISION, &mut tensors)?;
        let mut steps = BTreeMap::new();
        for (name, moments) in &self.moments {
            steps.insert(name, moments.steps);
            for (kind, data) in [(MEAN, &moments.mean), (SQUARE, &moments.square)] {
                let name = format!("{kind}.{name}");
                tensors.push(bridge::from_data(data.clone(), name, None));
            }
        }
        let progress = serde_json::json!(self.progress).to_string();
        let steps = serde_json::json!(steps).to_string();
        let bytes = Writer::new(tensors)
            .with_metadata("format", FORMAT)
            .with_metadata("progress", &progress)
            .with_metadata("optimizer_steps", &steps)
            .into_bytes()
            .map_err(|error| unreadable(path, error))?;
        write_atomic(path, &bytes).map_err(|source| Error::Io {
            action: "Writing",
            path: path.to_owned(),
            source,
        })
    }

    /// Reads what [`Self::write`] wrote, for the network of `config`.
    ///
    /// # Errors
    /// [`TrainingError::State`] where the file is damaged or of another kind,
    /// [`crate::weights::WeightsError`] where its parameters do not fit the network.
    pub fn read(path: &Path, config: &NetworkConfig) -> Result<Self> {
        let refuse = |reason: &dyn std::fmt::Display| Error::from(unreadable(path, reason));
        let reader = Reader::from_file(path).map_err(|error| refuse(&error))?;
        let metadata = reader.metadata().clone();
        let entry = |key: &str| {
            let found = metadata.get(key).map(String::as_str);
            found.ok_or_else(|| refuse(&format!("it has no \"{key}\"")))
        };
        if entry("format")? != FORMAT {
            return Err(refuse(&format!("its format is not {FORMAT}")));
        }
        let progress = serde_json::from_str(entry("progress")?).map_err(|error| refuse(&error))?;
        let steps: BTreeMap<String, u32> =
            serde_json::from_str(entry("optimizer_steps")?).map_err(|error| refuse(&error))?;

        let mut text = Vec::new();
        let mut vision = Vec::new();
        let mut means = BTreeMap::new();
        let mut squares = BTreeMap::new();
        for tensor in reader.into_tensors().map_err(|error| refuse(&error))? {
            let name = tensor.name.clone();
            if tensor.dtype != DType::F32 {
                return Err(refuse(&format!("{name} is of type {:?}", tensor.dtype)));
            }
            let data = bridge::into_data(tensor).map_err(|error| refuse(&error))?;
            let (kind, name) = name
                .split_once('.')
                .ok_or_else(|| refuse(&format!("{name} is unknown")))?;
            let parameter = |data| bridge::from_data(data, name.to_owned(), None);
            match kind {
                TEXT => text.push(parameter(data)),
                VISION => vision.push(parameter(data)),
                MEAN => drop(means.insert(name.to_owned(), data)),
                SQUARE => drop(squares.insert(name.to_owned(), data)),
                _ => return Err(refuse(&format!("{kind}.{name} is unknown"))),
            }
        }
        let mut network = empty(config);
        let what = path.display().to_string();
        let lengths: BTreeMap<String, usize> = [(TEXT, &text), (VISION, &vision)]
            .into_iter()
            .flat_map(|(half, tensors)| tensors.iter().map(move |tensor| (half, tensor)))
            .map(|(half, tensor)| {
                let length = tensor.shape.to_vec().iter().product();
                (format!("{half}.{}", tensor.name), length)
            })
            .collect();
        shard::apply(&mut network.text, text, &what)?;
        shard::apply(&mut network.vision, vision, &what)?;
        let moments = steps
            .into_iter()
            .map(|(name, steps)| {
                let take = |kind: &str, from: &mut BTreeMap<String, TensorData>| {
                    let data = from.remove(&name);
                    let data = data
                        .filter(|data| lengths.get(&name) == Some(&data.shape().num_elements()));
                    data.ok_or_else(|| refuse(&format!("{kind}.{name} is missing or too short")))
                };
                let saved = SavedMoments {
                    steps,
                    mean: take(MEAN, &mut means)?,
                    square: take(SQUARE, &mut squares)?,
                };
                Ok((name.clone(), saved))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            progress,
            network,
            moments,
        })
    }
}

fn collect<M: Module>(module: &M, half: &str, tensors: &mut Vec<PackTensor>) -> Result<()> {
    for (path, data) in shard::parameters_of(module)? {
        tensors.push(bridge::from_data(data, format!("{half}.{path}"), None));
    }
    Ok(())
}

fn unreadable(path: &Path, reason: impl std::fmt::Display) -> TrainingError {
    TrainingError::State {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
