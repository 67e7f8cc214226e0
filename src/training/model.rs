//! The network while it learns.

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Int, Tensor};

use super::TrainingError;
use super::data::Batch;
use super::optimizer::AdamW;
use crate::error::Result;
use crate::network::decoder::upsample;
use crate::network::{Bert, LanguageFeatures, LgceNetwork, NetworkConfig, Trace};
use crate::weights::import::Imported;

/// Path prefix of the language encoder's parameters.
pub(super) const TEXT: &str = "text";
/// Path prefix of all other parameters.
pub(super) const VISION: &str = "vision";

/// Both halves of the network on a device that records gradients.
#[derive(Clone, Debug)]
pub struct LearningNetwork {
    text: Bert,
    vision: LgceNetwork,
}

impl LearningNetwork {
    /// Takes over a network with parameters, to `device`. BERT's embeddings and its layers from
    /// `learned_bert_layers` on do not learn.
    ///
    /// BERT has no dropout here, so it computes in training what it computes in evaluation, as the
    /// paper's stays in evaluation mode.
    pub fn new(network: Imported, learned_bert_layers: usize, device: &Device) -> Self {
        let inner = device.clone().without_autodiff();
        let mut learns = Learns {
            path: vec![TEXT.to_owned()],
            bert_layers: learned_bert_layers,
        };
        Self {
            text: network.text.to_device(&inner).train().map(&mut learns),
            vision: network.vision.to_device(&inner).train(),
        }
    }

    /// Everything learns, BERT's embeddings too: for comparing gradients with another code's.
    pub fn all_learning(network: Imported, device: &Device) -> Self {
        let inner = device.clone().without_autodiff();
        Self {
            text: network.text.to_device(&inner).train(),
            vision: network.vision.to_device(&inner).train(),
        }
    }

    /// The same network with its batch normalisation as in evaluation, by the running statistics,
    /// while gradients are still recorded.
    #[must_use]
    pub fn with_fixed_statistics(self) -> Self {
        Self {
            vision: self.vision.map(&mut FixedStatistics),
            ..self
        }
    }

    /// Logits (background, foreground) at the size of the images: `[batch, 2, height, width]`.
    ///
    /// `images`: normalised RGB `[batch, 3, height, width]`; `ids`, `mask`: word pieces and 1 on
    /// real ones, `[batch, words]`.
    pub fn forward(&self, images: Tensor<4>, ids: Tensor<2, Int>, mask: Tensor<2>) -> Tensor<4> {
        let mut trace = Trace::off();
        let [_, _, height, width] = images.dims();
        let words = self.text.forward(ids, mask.clone(), &mut trace);
        let language = LanguageFeatures { words, mask };
        let features = self.vision.encode_image(images, &mut trace);
        let logits = self.vision.forward(features, &language, &mut trace);
        upsample(logits, [height, width])
    }

    /// As [`Self::forward`], for a batch.
    pub fn logits(&self, batch: &Batch, device: &Device) -> Tensor<4> {
        self.forward(batch.images(device), batch.ids(device), batch.mask(device))
    }

    /// One step of the optimiser; the gradients are used up.
    #[must_use]
    pub fn step(self, optimizer: &mut AdamW, gradients: &mut Gradients, rate: f64) -> Self {
        Self {
            text: optimizer.step(self.text, TEXT, gradients, rate, decays),
            vision: optimizer.step(self.vision, VISION, gradients, rate, decays),
        }
    }

    /// The network as it is now, for inference and for files.
    pub fn snapshot(&self) -> Imported {
        Imported {
            text: self.text.valid(),
            vision: self.vision.valid(),
            dropped: Vec::new(),
        }
    }

    /// The gradient of every parameter that has one, by path, read back from the device: for
    /// comparing them with another code's.
    pub fn gradients(
        &self,
        gradients: &mut Gradients,
    ) -> std::collections::BTreeMap<String, burn::tensor::TensorData> {
        let mut reader = Reader {
            path: vec![TEXT.to_owned()],
            gradients,
            found: Default::default(),
        };
        self.text.visit(&mut reader);
        reader.path = vec![VISION.to_owned()];
        self.vision.visit(&mut reader);
        reader.found
    }
}

/// Whether weight decay applies to the parameter at `path`. As in the public code it spares the
/// norms and the position-bias tables of the image encoder, and nothing else.
pub fn decays(path: &str) -> bool {
    let in_swin = path.starts_with("vision.swin.");
    !(in_swin && (path.contains("norm") || path.ends_with("relative_position_bias_table")))
}

/// One number from the device.
pub(super) fn scalar(tensor: Tensor<1>, what: &'static str) -> Result<f32> {
    let failed = |reason: String| TrainingError::ReadBack { what, reason };
    let values = tensor
        .inner()
        .try_into_data()
        .map_err(|error| failed(error.to_string()))?
        .convert::<f32>()
        .try_into_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))?;
    let first = values.first().copied();
    Ok(first.ok_or_else(|| failed("it is empty".to_owned()))?)
}

/// Freezes what of BERT does not learn.
struct Learns {
    path: Vec<String>,
    bert_layers: usize,
}

impl ModuleMapper for Learns {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let layer = match &self.path[..] {
            [_, list, index, ..] if list == "layers" => index.parse::<usize>().ok(),
            _ => None,
        };
        let learns = layer.is_some_and(|layer| layer < self.bert_layers);
        param.set_require_grad(learns)
    }
}

/// Turns training off in batch normalisation.
struct FixedStatistics;

impl ModuleMapper for FixedStatistics {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(false)
    }
}

struct Reader<'a> {
    path: Vec<String>,
    gradients: &'a mut Gradients,
    found: std::collections::BTreeMap<String, burn::tensor::TensorData>,
}

impl burn::module::ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            self.found.insert(self.path.join("."), gradient.into_data());
        }
    }
}

/// A network of `config` on the CPU, its parameters still to be filled.
pub(super) fn empty(config: &NetworkConfig) -> Imported {
    let device = Device::flex();
    Imported {
        text: Bert::new(&config.bert, &device),
        vision: LgceNetwork::new(config, &device),
        dropped: Vec::new(),
    }
}
