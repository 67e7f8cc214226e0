//! A training run from its first step or its last saved one to its end or an interrupt.
//!
//! The output directory holds
//!
//! ```text
//! config.json      the configuration
//! tokenizer.json   the language encoder's
//! state.bpk        the state at the last save: enough to go on
//! best/            the best model so far, as a model directory
//! log.jsonl        every step and validation
//! curves.svg       loss and scores
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::TrainingError;
use super::checkpoint::{Best, Progress, State};
use super::config::TrainingConfig;
use super::data::{Batch, Samples};
use super::figure::curves;
use super::init;
use super::log::{Entry, Log};
use super::loss::weighted_cross_entropy;
use super::model::{LearningNetwork, scalar};
use super::optimizer::{AdamW, poly_learning_rate};
use super::validation::{deciding, validate};
use crate::dataset::release::Split;
use crate::error::{Error, Result};
use crate::expression::ExpressionTokenizer;
use crate::files::write_atomic;
use crate::metrics::{Report, ScoreReport};
use crate::network::NetworkConfig;
use crate::platform::ComputeDevice;
use crate::segmenter::Segmenter;
use crate::weights::Manifest;
use crate::weights::export::write_model_dir;
use crate::weights::manifest::InputSpec;
use crate::weights::quantization::Quantization;

/// Everything that a run needs.
#[derive(Clone, Debug)]
pub struct TrainingRun {
    /// The recipe.
    pub config: TrainingConfig,
    /// Data set in the RefSegRS layout.
    pub data: PathBuf,
    /// Directory to write.
    pub out: PathBuf,
    /// Content of the language encoder's `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// Where the parameters come from.
    pub start: Start,
    /// Where to compute.
    pub device: ComputeDevice,
}

/// Where the parameters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the seed.
    Untrained,
    /// From a checkpoint in the official layout, or a model directory.
    Checkpoint(PathBuf),
    /// From the state in the output directory.
    Resume,
}

/// What a run tells whoever watches it.
#[derive(Debug)]
pub enum Event<'a> {
    /// It begins, or goes on after `step` of `steps` steps.
    Begin {
        /// Steps taken before.
        step: usize,
        /// Steps in all.
        steps: usize,
        /// Samples a step.
        batch_size: usize,
        /// Samples of both splits.
        samples: [usize; 2],
    },
    /// A step has been taken.
    Step {
        /// From 1.
        step: usize,
        /// From 1.
        epoch: usize,
        /// Before the step.
        loss: f32,
    },
    /// So many of the validation samples are done.
    Validating {
        /// Done.
        done: usize,
        /// In all.
        total: usize,
    },
    /// A validation is over.
    Validated {
        /// Epochs finished.
        epoch: usize,
        /// Its scores.
        scores: &'a ScoreReport,
        /// Whether it is the best so far, and has been written.
        best: bool,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How far it has come.
    pub progress: Progress,
    /// Steps of the whole run; fewer have been taken where it was interrupted.
    pub steps: usize,
    /// Whether it was interrupted; its state is saved all the same.
    pub interrupted: bool,
}

/// Trains until the last epoch has been validated, or until `stop` is set: then the step that is
/// under way is finished and the state saved.
///
/// # Errors
/// [`TrainingError`] where the configuration, the directories or the state do not fit each other,
/// or the loss is no number any more; [`crate::dataset::DatasetError`] where the data cannot be
/// used; [`crate::weights::WeightsError`] where a checkpoint does not fit the network.
pub fn train(
    run: &TrainingRun,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    run.config.validate()?;
    let network = run.config.network()?;
    let input = InputSpec::of(&network);
    let tokenizer = ExpressionTokenizer::from_json(&run.tokenizer)?;
    if !run.data.is_dir() {
        return Err(TrainingError::NoData {
            data: run.data.clone(),
            split: run.config.train_split.clone(),
        }
        .into());
    }
    let train_split = Split::open(&run.data, &run.config.train_split)?;
    let mut validation = Split::open(&run.data, &run.config.validation_split)?;
    if let Some(limit) = run.config.validation_limit {
        validation.thin_out(limit);
    }
    let samples = Samples::new(train_split, &tokenizer, input, &run.config)?;
    let state = match &run.start {
        Start::Resume => run.resumed(&network, &samples)?,
        Start::Untrained | Start::Checkpoint(_) => run.begun(&network, &samples)?,
    };
    let log = Log::reopen(
        &run.path(LOG),
        state.progress.step,
        state.progress.validated_epochs,
    )?;
    let device = run.device.device.clone().autodiff();
    let learned_bert_layers = run.config.learned_bert_layers;
    Trainer {
        optimizer: AdamW::load(run.config.optimizer.clone(), state.moments, &device),
        learning: LearningNetwork::new(state.network, learned_bert_layers, &device),
        progress: state.progress,
        saved: Instant::now(),
        run,
        network,
        tokenizer,
        validation,
        log,
        device,
        stop,
        observe,
    }
    .run(&samples)
}

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const STATE: &str = "state.bpk";
const BEST: &str = "best";
const LOG: &str = "log.jsonl";
const CURVES: &str = "curves.svg";

impl TrainingRun {
    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The configuration of the run in `out`, for resuming it.
    ///
    /// # Errors
    /// [`TrainingError::NothingToResume`], or as [`TrainingConfig::read`].
    pub fn config_of(out: &Path) -> Result<TrainingConfig> {
        let path = out.join(CONFIG);
        if path.is_file() {
            TrainingConfig::read(&path)
        } else {
            Err(TrainingError::NothingToResume {
                out: out.to_owned(),
                missing: path,
            }
            .into())
        }
    }

    /// The tokenizer of the run in `out`.
    ///
    /// # Errors
    /// [`TrainingError::NothingToResume`], [`Error::Io`].
    pub fn tokenizer_of(out: &Path) -> Result<Vec<u8>> {
        let path = out.join(TOKENIZER);
        std::fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => TrainingError::NothingToResume {
                out: out.to_owned(),
                missing: path,
            }
            .into(),
            _ => Error::Io {
                action: "Reading",
                path,
                source,
            },
        })
    }

    fn begun(&self, network: &NetworkConfig, samples: &Samples) -> Result<State> {
        let path = self.path(STATE);
        if path.exists() {
            return Err(TrainingError::Exists {
                out: self.out.clone(),
            }
            .into());
        }
        let parameters = match &self.start {
            Start::Checkpoint(path) => init::read(path, network)?,
            Start::Untrained | Start::Resume => init::untrained(network, self.config.seed)?,
        };
        let state = State {
            progress: Progress {
                samples: samples.count(),
                ..Progress::default()
            },
            network: parameters,
            moments: Default::default(),
        };
        let config = format!("{:#}\n", serde_json::json!(self.config));
        self.write(CONFIG, config.as_bytes())?;
        self.write(TOKENIZER, &self.tokenizer)?;
        // Last: with it the run counts as begun.
        state.write(&path)?;
        Ok(state)
    }

    fn resumed(&self, network: &NetworkConfig, samples: &Samples) -> Result<State> {
        let path = self.path(STATE);
        if !path.is_file() {
            return Err(TrainingError::NothingToResume {
                out: self.out.clone(),
                missing: path,
            }
            .into());
        }
        let begun_with = Self::config_of(&self.out)?;
        if begun_with != self.config {
            return Err(TrainingError::OtherConfig {
                out: self.out.clone(),
                file: self.path(CONFIG),
                difference: difference(&begun_with, &self.config),
            }
            .into());
        }
        let state = State::read(&path, network)?;
        if state.progress.samples != samples.count() {
            return Err(TrainingError::OtherData {
                out: self.out.clone(),
                data: self.data.clone(),
                expected: state.progress.samples,
                found: samples.count(),
            }
            .into());
        }
        Ok(state)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name);
        write_atomic(&path, content).map_err(|source| Error::Io {
            action: "Writing",
            path,
            source,
        })
    }
}

/// The keys in which two configurations differ, with both values.
fn difference(begun_with: &TrainingConfig, now: &TrainingConfig) -> String {
    let (old, new) = (serde_json::json!(begun_with), serde_json::json!(now));
    let keys = old.as_object().into_iter().flatten();
    let differing: Vec<String> = keys
        .filter(|(key, value)| new.get(key) != Some(value))
        .map(|(key, value)| format!("{key} was {value} and is {}", new[key.as_str()]))
        .collect();
    differing.join(", ")
}

/// A run under way.
struct Trainer<'a> {
    run: &'a TrainingRun,
    network: NetworkConfig,
    tokenizer: ExpressionTokenizer,
    validation: Split,
    learning: LearningNetwork,
    optimizer: AdamW,
    progress: Progress,
    log: Log,
    device: burn::tensor::Device,
    saved: Instant,
    stop: &'a AtomicBool,
    observe: &'a mut dyn FnMut(Event<'_>),
}

impl Trainer<'_> {
    fn run(mut self, samples: &Samples) -> Result<Outcome> {
        let per_epoch = samples.steps_per_epoch();
        let steps = per_epoch * self.run.config.epochs;
        (self.observe)(Event::Begin {
            step: self.progress.step,
            steps,
            batch_size: self.run.config.batch_size,
            samples: [samples.count(), self.validation.triplets.len()],
        });
        let finished = std::thread::scope(|scope| -> Result<bool> {
            let mut batches = samples.batches(self.progress.step..steps, scope);
            loop {
                let epochs = self.progress.step / per_epoch;
                if self.progress.validated_epochs < epochs && !self.validate(epochs, per_epoch)? {
                    return Ok(false);
                }
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(self.progress.step == steps);
                }
                let started = Instant::now();
                let Some(batch) = batches.next() else {
                    return Ok(true);
                };
                self.step(&batch?, steps, per_epoch, started)?;
                let minutes = self.saved.elapsed().as_secs_f64() / 60.0;
                if minutes >= self.run.config.save_minutes {
                    self.save()?;
                }
            }
        })?;
        self.save()?;
        self.draw(per_epoch)?;
        Ok(Outcome {
            progress: self.progress,
            steps,
            interrupted: !finished,
        })
    }

    fn step(
        &mut self,
        batch: &Batch,
        steps: usize,
        per_epoch: usize,
        started: Instant,
    ) -> Result<()> {
        let config = &self.run.config;
        let learning_rate = poly_learning_rate(&config.optimizer, self.progress.step, steps);
        let logits = self.learning.logits(batch, &self.device);
        let targets = batch.targets(&self.device);
        let loss = weighted_cross_entropy(logits, targets, config.class_weights);
        let mut gradients = loss.backward();
        let loss = scalar(loss, "the loss")?;
        let step = self.progress.step + 1;
        if !loss.is_finite() {
            return Err(TrainingError::Diverged { step, loss }.into());
        }
        let learning = self.learning.clone();
        self.learning = learning.step(&mut self.optimizer, &mut gradients, learning_rate);
        let epoch = self.progress.step / per_epoch + 1;
        self.progress.step = step;
        self.log.add(Entry::Step {
            step,
            epoch,
            loss,
            learning_rate,
            samples_per_second: batch.size() as f64 / started.elapsed().as_secs_f64(),
        })?;
        (self.observe)(Event::Step { step, epoch, loss });
        Ok(())
    }

    /// Scores the network after `epoch` epochs and keeps it where it is the best; false where an
    /// interrupt came first.
    fn validate(&mut self, epoch: usize, per_epoch: usize) -> Result<bool> {
        let snapshot = self.learning.snapshot();
        let (name, network) = (&self.run.config.name, self.network.clone());
        let mut manifest = Manifest::new(name, network, Quantization::F32);
        let segmenter = Segmenter::assemble(
            manifest.clone(),
            self.run.device.clone(),
            self.tokenizer.clone(),
            snapshot.text.clone(),
            snapshot.vision.clone(),
        );
        let total = self.validation.triplets.len();
        let observe = &mut self.observe;
        let progress = |done| observe(Event::Validating { done, total });
        let Some(report) = validate(&segmenter, &self.validation, self.stop, progress)? else {
            return Ok(false);
        };
        let score = deciding(&report, self.run.config.select_by);
        let best = self.progress.best.is_none_or(|best| score > best.score);
        if best {
            manifest.description = format!(
                "Trained with `rrsis train` on the split \"{}\"; epoch {epoch} of {}, the best on \
                 the split \"{}\".",
                self.run.config.train_split, self.run.config.epochs, self.validation.name
            );
            manifest.scores = self.scores(&report, epoch);
            let out = self.run.path(BEST);
            write_model_dir(&snapshot, &self.run.tokenizer, manifest, &out)?;
            self.progress.best = Some(Best { epoch, score });
        }
        self.progress.validated_epochs = epoch;
        self.log.add(Entry::Validation {
            step: self.progress.step,
            epoch,
            best,
            scores: report.scores.clone(),
        })?;
        (self.observe)(Event::Validated {
            epoch,
            scores: &report.scores,
            best,
        });
        self.save()?;
        self.draw(per_epoch)?;
        Ok(true)
    }

    fn scores(&self, report: &Report, epoch: usize) -> serde_json::Value {
        serde_json::json!({
            "split": self.validation.name,
            "samples": self.validation.triplets.len(),
            "epoch": epoch,
            "scores": report.scores,
        })
    }

    fn save(&mut self) -> Result<()> {
        let state = State {
            progress: self.progress.clone(),
            network: self.learning.snapshot(),
            moments: self.optimizer.save(),
        };
        state.write(&self.run.path(STATE))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn draw(&self, per_epoch: usize) -> Result<()> {
        let svg = curves(self.log.entries(), per_epoch)?;
        self.run.write(CURVES, svg.as_bytes())
    }
}
