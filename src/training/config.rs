//! What a training run is, apart from where its data are.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TrainingError;
use crate::network::NetworkConfig;

/// A recipe. Its default is the paper's (section V-B and the public code), so a file needs to say
/// only what differs from it; `configs/lgce-swin-b.json` spells it out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Name of the model that comes out.
    pub name: String,
    /// The network: the name of a preset, or its sizes.
    pub network: NetworkChoice,
    /// Split to learn from.
    pub train_split: String,
    /// Split that the best checkpoint is chosen on.
    pub validation_split: String,
    /// Validate on so many samples only, spread evenly over the split; `null` takes all.
    pub validation_limit: Option<usize>,
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples a step. The rest of an epoch that fills no batch is left out, as in the public code.
    pub batch_size: usize,
    /// AdamW and its schedule.
    pub optimizer: OptimizerConfig,
    /// Weights of background and foreground in the cross-entropy.
    pub class_weights: [f64; 2],
    /// BERT's layers below this one learn; its embeddings and the layers from here on do not.
    pub learned_bert_layers: usize,
    /// Random changes to the training samples. The paper has none.
    pub augmentation: AugmentationConfig,
    /// The score that decides which checkpoint is the best.
    pub select_by: SelectBy,
    /// Every random choice follows from it.
    pub seed: u64,
    /// The state is saved at the end of each epoch, and whenever so many minutes have passed.
    pub save_minutes: f64,
}

/// AdamW (decoupled weight decay) with the schedule lr (1 - step / steps)^power.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Learning rate of the first step.
    pub learning_rate: f64,
    /// Of weights; norms and position-bias tables of the image encoder have none.
    pub weight_decay: f64,
    /// Decay of the running means of gradients and of their squares.
    pub betas: [f64; 2],
    /// Added to the root of the mean square.
    pub epsilon: f64,
    /// Exponent of the schedule; 0 keeps the learning rate.
    pub poly_power: f64,
}

/// Random changes to a training sample; image and mask change together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentationConfig {
    /// Mirror left to right, half of the time. Wrong where expressions say "left" or "right".
    pub flip_horizontal: bool,
    /// Mirror top to bottom, half of the time. Wrong where expressions say "top" or "bottom".
    pub flip_vertical: bool,
    /// Turn by 0, 90, 180 or 270 degrees. Wrong where expressions name directions.
    pub rotate: bool,
    /// Largest relative change of brightness, contrast and saturation, from 0 (none) to below 1.
    pub colour: f64,
}

/// Which validation score decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelectBy {
    /// Overall IoU, as in the public code.
    #[default]
    Oiou,
    /// Mean IoU.
    Miou,
}

/// A network by the name of its preset or by its sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum NetworkChoice {
    /// See [`NetworkConfig::preset`].
    Preset(String),
    /// Every size.
    Sizes(NetworkConfig),
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            name: "lgce-swin-b".to_owned(),
            network: NetworkChoice::Preset("lgce-swin-b".to_owned()),
            train_split: "train".to_owned(),
            validation_split: "val".to_owned(),
            validation_limit: None,
            epochs: 40,
            batch_size: 8,
            optimizer: OptimizerConfig::default(),
            class_weights: [0.9, 1.1],
            learned_bert_layers: 10,
            augmentation: AugmentationConfig::default(),
            select_by: SelectBy::default(),
            seed: 0,
            save_minutes: 10.0,
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 5e-5,
            weight_decay: 0.01,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            poly_power: 0.9,
        }
    }
}

// Not derived: an untagged enumeration would hide which key of the sizes is wrong.
impl<'de> Deserialize<'de> for NetworkChoice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match value {
            serde_json::Value::String(name) => Ok(Self::Preset(name)),
            sizes => NetworkConfig::deserialize(sizes)
                .map(Self::Sizes)
                .map_err(|error| serde::de::Error::custom(format!("network: {error}"))),
        }
    }
}

impl TrainingConfig {
    /// The paper's recipe for a network preset.
    ///
    /// # Errors
    /// [`crate::error::ConfigError::UnknownPreset`], listing the known names.
    pub fn preset(name: &str) -> crate::Result<Self> {
        NetworkConfig::preset(name)?;
        Ok(Self {
            name: name.to_owned(),
            network: NetworkChoice::Preset(name.to_owned()),
            ..Self::default()
        })
    }

    /// Reads a JSON file; what it leaves out is as in the paper.
    ///
    /// # Errors
    /// [`TrainingError::Config`] naming the file, the line and what was expected there;
    /// [`TrainingError::Setting`], or a [`crate::error::ConfigError`], where a value makes no
    /// sense.
    pub fn read(path: &Path) -> crate::Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| crate::Error::Io {
            action: "Reading",
            path: path.to_owned(),
            source,
        })?;
        let config: Self =
            serde_json::from_slice(&bytes).map_err(|error| TrainingError::Config {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        config.validate()?;
        Ok(config)
    }

    /// The network's sizes.
    ///
    /// # Errors
    /// [`crate::error::ConfigError`] where there is no such preset or no such network.
    pub fn network(&self) -> crate::Result<NetworkConfig> {
        let config = match &self.network {
            NetworkChoice::Preset(name) => NetworkConfig::preset(name)?,
            NetworkChoice::Sizes(sizes) => sizes.clone(),
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] naming the key, its value and what is needed; a
    /// [`crate::error::ConfigError`] for the network.
    pub fn validate(&self) -> crate::Result<()> {
        self.network()?;
        let optimizer = &self.optimizer;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let share = |value: f64| (0.0..1.0).contains(&value);
        let checks = [
            (
                "epochs",
                self.epochs.to_string(),
                (1..=100_000).contains(&self.epochs),
                "1 to 100000",
            ),
            (
                "batch_size",
                self.batch_size.to_string(),
                (1..=65_536).contains(&self.batch_size),
                "1 to 65536",
            ),
            (
                "validation_limit",
                format!("{:?}", self.validation_limit),
                self.validation_limit != Some(0),
                "null or at least 1",
            ),
            (
                "class_weights",
                format!("{:?}", self.class_weights),
                self.class_weights.iter().all(|weight| positive(*weight)),
                "two positive numbers",
            ),
            (
                "optimizer.learning_rate",
                optimizer.learning_rate.to_string(),
                positive(optimizer.learning_rate),
                "a positive number",
            ),
            (
                "optimizer.weight_decay",
                optimizer.weight_decay.to_string(),
                not_negative(optimizer.weight_decay),
                "0 or a positive number",
            ),
            (
                "optimizer.betas",
                format!("{:?}", optimizer.betas),
                optimizer.betas.iter().all(|beta| share(*beta)),
                "two numbers from 0 to below 1",
            ),
            (
                "optimizer.epsilon",
                optimizer.epsilon.to_string(),
                positive(optimizer.epsilon),
                "a positive number",
            ),
            (
                "optimizer.poly_power",
                optimizer.poly_power.to_string(),
                not_negative(optimizer.poly_power),
                "0 or a positive number",
            ),
            (
                "augmentation.colour",
                self.augmentation.colour.to_string(),
                share(self.augmentation.colour),
                "0 to below 1",
            ),
            (
                "save_minutes",
                self.save_minutes.to_string(),
                positive(self.save_minutes),
                "a positive number",
            ),
        ];
        for (key, value, valid, expected) in checks {
            if !valid {
                return Err(TrainingError::Setting {
                    key,
                    value,
                    expected,
                }
                .into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> crate::Result<TrainingConfig> {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("recipe.json");
        std::fs::write(&path, json).expect("writable");
        TrainingConfig::read(&path)
    }

    #[test]
    fn an_empty_file_is_the_papers_recipe() {
        assert_eq!(read("{}").expect("valid"), TrainingConfig::default());
    }

    #[test]
    fn the_example_in_configs_is_the_papers_recipe_spelled_out() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/lgce-swin-b.json");
        let example = TrainingConfig::read(Path::new(path)).expect("valid");
        assert_eq!(example, TrainingConfig::default());
        let spelled: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
        let every = serde_json::to_value(TrainingConfig::default()).expect("JSON");
        let keys = |value: &serde_json::Value| {
            let keys = value.as_object().expect("object").keys();
            keys.cloned().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(keys(&spelled), keys(&every));
    }

    #[test]
    fn a_wrong_key_preset_or_value_is_named() {
        for (json, words) in [
            (r#"{"epoch": 3}"#, &["recipe.json", "epoch", "line 1"][..]),
            (
                r#"{"optimizer": {"lr": 1}}"#,
                &["recipe.json", "lr", "learning_rate"],
            ),
            (
                r#"{"network": {"embed": 1}}"#,
                &["recipe.json", "network", "embed"],
            ),
            (r#"{"network": "swin-z"}"#, &["swin-z", "lgce-no-fusion"]),
            (r#"{"select_by": "loss"}"#, &["recipe.json", "loss", "oiou"]),
            (r#"{"batch_size": 0}"#, &["batch_size", "0", "1 to"]),
            (
                r#"{"optimizer": {"betas": [0.9, 1.0]}}"#,
                &["betas", "below 1"],
            ),
            ("{", &["recipe.json"]),
        ] {
            let message = read(json).expect_err(json).to_string();
            for word in words {
                assert!(message.contains(word), "\"{word}\" is not in: {message}");
            }
        }
    }

    #[test]
    fn survives_json() {
        let config = TrainingConfig {
            network: NetworkChoice::Sizes(NetworkConfig::rrsis_small()),
            validation_limit: Some(10),
            ..TrainingConfig::default()
        };
        let json = serde_json::to_string(&config).expect("serialises");
        assert_eq!(
            serde_json::from_str::<TrainingConfig>(&json).expect("parses"),
            config
        );
    }
}
