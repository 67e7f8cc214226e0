//! `manifest.json`: what a model is, which files it consists of, and what it scores.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::WeightsError;
use super::quantization::Quantization;
use crate::mask::Upsampling;
use crate::network::NetworkConfig;

/// The `format` field of every manifest.
const FORMAT: &str = "rrsis-model";
/// The manifest version this program reads and writes.
const VERSION: u64 = 1;

/// A model directory's table of contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `rrsis-model`.
    pub format: String,
    /// Of the manifest, not of the weights.
    pub version: u64,
    /// Short name, e.g. `rrsis-small`.
    pub name: String,
    /// One or two sentences for people.
    #[serde(default)]
    pub description: String,
    /// Sizes of the network.
    pub config: NetworkConfig,
    /// How an image and an expression become the network's input.
    pub input: InputSpec,
    /// A pixel is foreground where its probability exceeds this.
    pub threshold: f32,
    /// How the network's output gets the size of the image.
    #[serde(default)]
    pub upsampling: Upsampling,
    /// How expressions with a relation are answered.
    #[serde(default)]
    pub relations: Relations,
    /// How the parameters are stored.
    pub quantization: Quantization,
    /// How those of the language encoder are, where it is otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_quantization: Option<Quantization>,
    /// The files, in the order in which the network needs them.
    pub files: Vec<ModelFile>,
    /// Number of parameters of each part.
    pub parameters: ParameterCount,
    /// What the model was made from.
    #[serde(default)]
    pub licenses: Vec<Licence>,
    /// Measured quality and the command that measured it; free form.
    #[serde(default)]
    pub scores: serde_json::Value,
}

/// How an expression with a relation ("building beside the water") is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relations {
    /// As any other expression: as in the paper.
    #[default]
    Whole,
    /// The network is asked for its subject and its reference, too, and the subject's regions at the
    /// reference are added. Three times the work for such an expression.
    Parts,
}

/// How an image and an expression become the network's input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InputSpec {
    /// Side of the square that the image is resized to, in pixels.
    pub size: usize,
    /// Per channel, of values in 0..1.
    pub mean: [f32; 3],
    /// Per channel, of values in 0..1.
    pub std: [f32; 3],
    /// Word pieces an expression is cut or padded to.
    pub max_tokens: usize,
}

impl InputSpec {
    /// ImageNet's statistics, as in the paper.
    pub fn of(config: &NetworkConfig) -> Self {
        Self {
            size: config.image_size,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            max_tokens: config.max_tokens,
        }
    }
}

/// One file of the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelFile {
    /// What it holds.
    pub part: Part,
    /// Name beside the manifest.
    pub file: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256 of the content.
    pub sha256: String,
}

/// The parts that load apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Word pieces (tokenizer.json).
    Tokenizer,
    /// The language encoder.
    Text,
    /// Everything else of the network.
    Vision,
}

impl Part {
    /// Its name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokenizer => "tokenizer",
            Self::Text => "text",
            Self::Vision => "vision",
        }
    }
}

/// Numbers of parameters.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ParameterCount {
    /// Of the language encoder.
    pub text: u64,
    /// Of everything else.
    pub vision: u64,
}

/// Something the model was made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Licence {
    /// What it is.
    pub what: String,
    /// SPDX name where there is one.
    pub license: String,
    /// The words its licence asks for.
    pub attribution: String,
}

impl Manifest {
    /// A manifest without files, scores and licences.
    pub fn new(name: &str, config: NetworkConfig, quantization: Quantization) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: name.to_owned(),
            description: String::new(),
            input: InputSpec::of(&config),
            config,
            threshold: 0.5,
            upsampling: Upsampling::default(),
            relations: Relations::default(),
            quantization,
            text_quantization: None,
            files: Vec::new(),
            parameters: ParameterCount { text: 0, vision: 0 },
            licenses: Vec::new(),
            scores: serde_json::Value::Null,
        }
    }

    /// How the parameters are stored, for people: `q8`, or `q8, the language encoder as q4`.
    pub fn storage(&self) -> String {
        match self.text_quantization {
            Some(text) if text != self.quantization => format!(
                "{}, the language encoder as {}",
                self.quantization.name(),
                text.name()
            ),
            _ => self.quantization.name().to_owned(),
        }
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`WeightsError::Manifest`] where it is not JSON of this form or contradicts itself,
    /// [`WeightsError::ManifestVersion`] where it is of another version.
    pub fn from_json(json: &str) -> Result<Self, WeightsError> {
        let broken = |reason: String| WeightsError::Manifest { reason };
        // The version comes first: a later manifest may well have other fields.
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|error| broken(error.to_string()))?;
        if value.get("format").and_then(|format| format.as_str()) != Some(FORMAT) {
            return Err(broken(format!("its \"format\" is not \"{FORMAT}\"")));
        }
        let version = value.get("version").and_then(|version| version.as_u64());
        if version != Some(VERSION) {
            return Err(WeightsError::ManifestVersion {
                found: version.unwrap_or(0),
                supported: VERSION,
            });
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| broken(error.to_string()))?;
        manifest
            .config
            .validate()
            .map_err(|error| broken(error.to_string()))?;
        for part in [Part::Tokenizer, Part::Text, Part::Vision] {
            let count = manifest.files.iter().filter(|f| f.part == part).count();
            if count != 1 {
                return Err(broken(format!(
                    "it lists {count} files for the {} part instead of one",
                    part.name()
                )));
            }
        }
        if !(manifest.threshold > 0.0 && manifest.threshold < 1.0) {
            return Err(broken(format!(
                "its threshold is {}, but must lie between 0 and 1",
                manifest.threshold
            )));
        }
        if let Some(file) = manifest
            .files
            .iter()
            .find(|file| !is_plain_name(&file.file))
        {
            return Err(broken(format!(
                "\"{}\" is not a plain file name",
                file.file
            )));
        }
        Ok(manifest)
    }

    /// The file of a part.
    ///
    /// # Errors
    /// [`WeightsError::UnknownFile`] where a manifest built by hand lacks it.
    pub fn file_of(&self, part: Part) -> Result<&ModelFile, WeightsError> {
        self.files
            .iter()
            .find(|file| file.part == part)
            .ok_or_else(|| self.unknown(part.name()))
    }

    /// The entry of a file.
    ///
    /// # Errors
    /// [`WeightsError::UnknownFile`], listing the files there are.
    pub fn file_named(&self, name: &str) -> Result<&ModelFile, WeightsError> {
        self.files
            .iter()
            .find(|file| file.file == name)
            .ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> WeightsError {
        let listed: Vec<&str> = self.files.iter().map(|file| file.file.as_str()).collect();
        WeightsError::UnknownFile {
            file: name.to_owned(),
            listed: listed.join(", "),
        }
    }
}

impl ModelFile {
    /// Describes `content` as a file of a model.
    pub fn describe(part: Part, file: &str, content: &[u8]) -> Self {
        Self {
            part,
            file: file.to_owned(),
            bytes: content.len() as u64,
            sha256: sha256_hex(content),
        }
    }

    /// Checks that `content` is this file.
    ///
    /// # Errors
    /// [`WeightsError::Size`] or [`WeightsError::Hash`].
    pub fn verify(&self, content: &[u8]) -> Result<(), WeightsError> {
        if content.len() as u64 != self.bytes {
            return Err(WeightsError::Size {
                file: self.file.clone(),
                expected: self.bytes,
                found: content.len() as u64,
            });
        }
        let found = sha256_hex(content);
        if found != self.sha256 {
            return Err(WeightsError::Hash {
                file: self.file.clone(),
                expected: self.sha256.clone(),
                found,
            });
        }
        Ok(())
    }
}

fn sha256_hex(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether a name stays in its folder, so that a manifest cannot point elsewhere.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\', ':', '?', '#', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let config = NetworkConfig::rrsis_small();
        let mut manifest = Manifest::new("test", config, Quantization::Q8);
        for (part, file) in [
            (Part::Tokenizer, "tokenizer.json"),
            (Part::Text, "text.bpk"),
            (Part::Vision, "vision.bpk"),
        ] {
            manifest
                .files
                .push(ModelFile::describe(part, file, b"content"));
        }
        manifest
    }

    fn reread(manifest: &Manifest) -> Result<Manifest, WeightsError> {
        Manifest::from_json(&serde_json::to_string(manifest).expect("serialises"))
    }

    #[test]
    fn survives_json() {
        let back = reread(&manifest()).expect("valid");
        assert_eq!(back.config, NetworkConfig::rrsis_small());
        assert_eq!(back.file_of(Part::Text).expect("listed").file, "text.bpk");
    }

    #[test]
    fn a_model_that_does_not_say_how_is_enlarged_as_in_the_paper() {
        let mut value = serde_json::to_value(manifest()).expect("serialises");
        value["upsampling"] = "guided".into();
        let guided = Manifest::from_json(&value.to_string()).expect("valid");
        assert_eq!(guided.upsampling, Upsampling::Guided);
        value.as_object_mut().expect("fields").remove("upsampling");
        let silent = Manifest::from_json(&value.to_string()).expect("valid");
        assert_eq!(silent.upsampling, Upsampling::Bilinear);
    }

    #[test]
    fn a_later_version_is_refused_by_its_number() {
        let mut later = manifest();
        later.version = 2;
        assert!(matches!(
            reread(&later),
            Err(WeightsError::ManifestVersion { found: 2, .. })
        ));
    }

    #[test]
    fn contradictions_are_refused() {
        let mut without_text = manifest();
        without_text.files.remove(1);
        let mut outside = manifest();
        outside.files[0].file = "../secret".into();
        let mut never = manifest();
        never.threshold = f32::NAN;
        for broken in [without_text, outside, never] {
            assert!(matches!(
                reread(&broken),
                Err(WeightsError::Manifest { .. })
            ));
        }
        assert!(matches!(
            Manifest::from_json("<!doctype html><title>404</title>"),
            Err(WeightsError::Manifest { .. })
        ));
    }

    #[test]
    fn a_flipped_bit_and_a_missing_byte_are_noticed() {
        let file = ModelFile::describe(Part::Text, "text.bpk", b"content");
        assert!(file.verify(b"content").is_ok());
        assert!(matches!(
            file.verify(b"Content"),
            Err(WeightsError::Hash { .. })
        ));
        assert!(matches!(
            file.verify(b"conten"),
            Err(WeightsError::Size { found: 6, .. })
        ));
    }
}
