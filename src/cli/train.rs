//! `rrsis train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::arguments::read;
use crate::error::Result;
use crate::platform::{ComputeDevice, DeviceChoice};
use crate::training::{Event, Start, TrainingConfig, TrainingError, TrainingRun, train};

#[derive(Debug, Args)]
pub(super) struct Train {
    /// JSON file with a training configuration (see configs/lgce-swin-b.json), or the name of a
    /// network preset for the paper's recipe with it [default: lgce-swin-b, or with --resume that
    /// of the run].
    #[arg(long, value_name = "FILE|PRESET")]
    config: Option<String>,
    /// Data set in the RefSegRS layout: images, masks, output_phrase_<split>.txt.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Directory for the state, the best model, the log and the figure.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Continue the run in the output directory.
    #[arg(long, conflicts_with = "init")]
    resume: bool,
    /// Checkpoint in the official layout to start from (checkpoint.pth or .safetensors), or a model
    /// directory; without it the parameters are drawn at random.
    #[arg(long, value_name = "CHECKPOINT|DIR")]
    init: Option<PathBuf>,
    /// Seed of every random choice [default: the configuration's].
    #[arg(long, value_name = "NUMBER", conflicts_with = "resume")]
    seed: Option<u64>,
    /// tokenizer.json of the language encoder; BERT-base's and MiniLM's are the same.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "models/rrsis-small/tokenizer.json",
        conflicts_with = "resume"
    )]
    tokenizer: PathBuf,
    /// Where to compute; `cuda` needs a build with that feature.
    #[arg(long, value_enum, default_value_t)]
    device: Device,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Device {
    #[default]
    Cpu,
    Gpu,
    Cuda,
}

impl Train {
    pub(super) fn run(self) -> Result<()> {
        let mut config = self.config()?;
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        let tokenizer = if self.resume {
            TrainingRun::tokenizer_of(&self.out)?
        } else {
            read(&self.tokenizer)?
        };
        let choice = match self.device {
            Device::Cpu => DeviceChoice::Cpu,
            Device::Gpu => DeviceChoice::Gpu,
            Device::Cuda => DeviceChoice::Cuda,
        };
        let run = TrainingRun {
            config,
            data: self.data,
            out: self.out,
            tokenizer,
            start: match self.init {
                _ if self.resume => Start::Resume,
                Some(checkpoint) => Start::Checkpoint(checkpoint),
                None => Start::Untrained,
            },
            device: pollster::block_on(ComputeDevice::open(choice))?,
        };
        let stop = stop_on_interrupt()?;
        let mut display = Display::default();
        let outcome = train(&run, &stop, &mut |event| display.show(&event));
        display.bar.finish_and_clear();
        let outcome = outcome?;

        let out = run.out.display();
        let step = outcome.progress.step;
        if outcome.interrupted {
            println!(
                "Interrupted after step {step} of {}; the state is saved in {out}. Go on with the \
                 same command and --resume.",
                outcome.steps
            );
        } else {
            println!("Finished all {step} steps; everything is in {out}.");
        }
        if let Some(best) = outcome.progress.best {
            println!(
                "Best validation so far: {:.2} % after epoch {}, in {out}/best.",
                best.score * 100.0,
                best.epoch
            );
        }
        Ok(())
    }

    fn config(&self) -> Result<TrainingConfig> {
        match &self.config {
            None if self.resume => TrainingRun::config_of(&self.out),
            None => Ok(TrainingConfig::default()),
            Some(argument) => {
                let path = Path::new(argument);
                // What looks like a file's name is one, so that a missing file is called that.
                if path.is_file() || path.extension().is_some() {
                    TrainingConfig::read(path)
                } else {
                    TrainingConfig::preset(argument)
                }
            }
        }
    }
}

/// Set by SIGINT and SIGTERM; a second one ends the process at once.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nFinishing the step, then saving. Interrupt again to stop at once.");
    })
    .map_err(|error| TrainingError::Signal {
        reason: error.to_string(),
    })?;
    Ok(stop)
}

/// What the person in front of the screen sees.
struct Display {
    bar: ProgressBar,
    batch_size: u64,
}

impl Default for Display {
    fn default() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            batch_size: 1,
        }
    }
}

impl Display {
    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin {
                step,
                steps,
                batch_size,
                samples,
            } => {
                let [training, validation] = samples;
                eprintln!("{training} training samples, {validation} validation samples");
                if *step > 0 {
                    eprintln!("resuming after step {step} of {steps}");
                }
                self.batch_size = *batch_size as u64;
                let template = "{bar:25} {pos}/{len} samples {msg} ({per_sec}, {eta} left)";
                let style = ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                let position = *step as u64 * self.batch_size;
                self.bar = ProgressBar::new(*steps as u64 * self.batch_size)
                    .with_style(style)
                    .with_position(position);
                // What was done before says nothing about the speed now.
                self.bar.reset_eta();
            }
            Event::Step { step, epoch, loss } => {
                self.bar.set_position(*step as u64 * self.batch_size);
                self.bar
                    .set_message(format!("epoch {epoch} loss {loss:.4}"));
            }
            Event::Validating { done, total } => {
                self.bar.set_message(format!("validating {done}/{total}"));
            }
            Event::Validated {
                epoch,
                scores,
                best,
            } => {
                let percent = |score: Option<f64>| {
                    score.map_or_else(|| "-".to_owned(), |score| format!("{:.2}", score * 100.0))
                };
                self.bar.suspend(|| {
                    println!(
                        "epoch {epoch}: oIoU {}, mIoU {}{}",
                        percent(scores.oiou),
                        percent(scores.miou),
                        if *best { ", the best so far" } else { "" }
                    );
                });
            }
        }
    }
}
