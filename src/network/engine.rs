//! The network as its device computes it: by burn's operations, or by [`super::cpu`] on a plain CPU.
//!
//! Both forms compute the same function; what differs is stated once, here, so that nobody else asks
//! what kind of device there is.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};
use rrsis_kernels::{Precision, Team};

use super::bert::Bert;
use super::config::NetworkConfig;
use super::cpu::{CpuBert, CpuNetwork, ImageTokens, Source, Words, Workspace};
use super::kernels::is_plain_cpu;
use super::model::{ImageFeatures, LanguageFeatures, LgceNetwork};
use super::trace::Trace;
use crate::mask::MarginMap;

/// The language encoder.
#[derive(Debug)]
pub enum TextEngine {
    /// By operations on this device.
    Operations(Box<Bert>, Device),
    /// On a plain CPU.
    Cpu(Box<CpuBert>),
}

/// What it gives for an expression.
#[derive(Clone, Debug)]
pub enum Language {
    /// On the device.
    Operations(LanguageFeatures),
    /// In memory.
    Cpu(Words),
}

/// The vision side.
#[derive(Debug)]
pub enum VisionEngine {
    /// By operations on this device.
    Operations(Box<LgceNetwork>, Device),
    /// On a plain CPU, with what it writes in between.
    Cpu(Box<CpuNetwork>, Box<Mutex<Workspace>>),
}

/// What of an image does not depend on the expression.
#[derive(Clone, Debug)]
pub enum Stem {
    /// On the device.
    Operations(ImageFeatures),
    /// In memory.
    Cpu(Arc<ImageTokens>),
}

impl TextEngine {
    /// `bert`, built from `config`, for the device that it is on, with what parameters it lacks from `source`;
    /// `precision` matters on CPUs only.
    pub fn new(
        bert: Bert,
        config: &NetworkConfig,
        device: &Device,
        precision: Precision,
        source: &mut impl Source,
    ) -> Self {
        if is_plain_cpu(device) {
            Self::Cpu(Box::new(CpuBert::new(bert, config, precision, source)))
        } else {
            Self::Operations(Box::new(source.fill(bert, "")), device.clone())
        }
    }

    /// Word features. `ids`: word pieces; `mask`: 1 on real ones, 0 on padding.
    pub fn forward(&self, ids: &[i32], mask: &[u8]) -> Language {
        match self {
            Self::Operations(bert, device) => {
                let count = ids.len();
                let ids = TensorData::new(ids.to_vec(), [1, count]);
                let ids = Tensor::<2, Int>::from_data(ids, device);
                let mask: Vec<f32> = mask.iter().map(|bit| f32::from(*bit)).collect();
                let mask = Tensor::<2>::from_data(TensorData::new(mask, [1, count]), device);
                let words = bert.forward(ids, mask.clone(), &mut Trace::off());
                Language::Operations(LanguageFeatures { words, mask })
            }
            Self::Cpu(bert) => Language::Cpu(bert.forward(ids, mask, &mut Trace::off())),
        }
    }
}

impl VisionEngine {
    /// `network`, built from `config`, for the device that it is on, with what parameters it lacks from
    /// `source`; `precision` and `team` matter on CPUs only.
    pub fn new(
        network: LgceNetwork,
        config: &NetworkConfig,
        device: &Device,
        (precision, team): (Precision, Team),
        source: &mut impl Source,
    ) -> Self {
        if is_plain_cpu(device) {
            let network = CpuNetwork::new(network, config, precision, source);
            let workspace = Mutex::new(Workspace::new(team));
            Self::Cpu(Box::new(network), Box::new(workspace))
        } else {
            let mut network = source.fill(network, "");
            if !device.is_autodiff() {
                network.swin.keep_position_biases(device);
            }
            Self::Operations(Box::new(network), device.clone())
        }
    }

    /// The part of the work that every expression on the same image shares.
    ///
    /// `image`: normalised RGB, `[3, height, width]`.
    pub fn encode_image(&self, image: Vec<f32>, [height, width]: [usize; 2]) -> Stem {
        let mut trace = Trace::off();
        match self {
            Self::Operations(network, device) => {
                let image = TensorData::new(image, [1, 3, height, width]);
                let image = Tensor::<4>::from_data(image, device);
                Stem::Operations(network.encode_image(image, &mut trace))
            }
            Self::Cpu(network, workspace) => {
                // What a panic elsewhere left in the workspace is written over.
                let mut workspace = workspace.lock().unwrap_or_else(PoisonError::into_inner);
                let size = [height, width];
                let tokens = network.encode_image(&image, size, &mut workspace, &mut trace);
                Stem::Cpu(Arc::new(tokens))
            }
        }
    }

    /// Foreground minus background logit at a quarter of the image's size.
    ///
    /// The only read from a device is this map.
    ///
    /// # Errors
    /// Why the device failed.
    ///
    /// # Panics
    /// Where `stem` or `language` come from an engine of the other kind.
    pub async fn forward(&self, stem: &Stem, language: &Language) -> Result<MarginMap, String> {
        let mut trace = Trace::off();
        match (self, stem, language) {
            (
                Self::Operations(network, _),
                Stem::Operations(stem),
                Language::Operations(language),
            ) => {
                let logits = network.forward(stem.clone(), language, &mut trace);
                let [_, _, height, width] = logits.dims();
                let margin = logits.clone().narrow(1, 1, 1) - logits.narrow(1, 0, 1);
                let data = margin
                    .into_data_async()
                    .await
                    .map_err(|error| cause(&error.to_string()))?
                    .convert::<f32>()
                    .try_into_vec::<f32>()
                    .map_err(|error| format!("{error:?}"))?;
                Ok(MarginMap {
                    width,
                    height,
                    data,
                })
            }
            (Self::Cpu(network, workspace), Stem::Cpu(stem), Language::Cpu(words)) => {
                let mut workspace = workspace.lock().unwrap_or_else(PoisonError::into_inner);
                let logits = network.forward(stem, words, &mut workspace, &mut trace);
                let (background, foreground) = logits.values.split_at(logits.values.len() / 2);
                let margins = foreground.iter().zip(background);
                Ok(MarginMap {
                    width: logits.width,
                    height: logits.height,
                    data: margins.map(|(fore, back)| fore - back).collect(),
                })
            }
            _ => panic!("features of another device"),
        }
    }
}

/// What a device says of its failure, in a line: the last of its causes, without the calls that led there.
fn cause(report: &str) -> String {
    let causes = report.split("Backtrace:").next().unwrap_or_default();
    causes
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && *line != "Caused by:")
        .unwrap_or(report)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::cause;

    #[test]
    fn a_failure_is_told_by_its_last_cause() {
        let report = "An error happened during execution\nCaused by:\n  the staging buffer could not be mapped: lost\n\
                      Backtrace:\nNo backtrace available";
        assert_eq!(
            cause(report),
            "the staging buffer could not be mapped: lost"
        );
        assert_eq!(cause("lost"), "lost");
        assert_eq!(cause(""), "");
    }
}
