//! Training runs on drawn scenes: learning, continuing, stopping, and refusing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/command.rs"]
mod command;
mod common;
#[path = "common/drawn_scenes.rs"]
mod drawn_scenes;
#[path = "common/thin_model.rs"]
mod thin_model;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use command::{rrsis, text};
use drawn_scenes::write_scenes;
use rrsis::mask::Mask;
use rrsis::metrics::Overlap;
use rrsis::network::{BertConfig, NetworkConfig};
use rrsis::platform::{ComputeDevice, DeviceChoice};
use rrsis::training::checkpoint::State;
use rrsis::training::config::{AugmentationConfig, NetworkChoice, OptimizerConfig};
use rrsis::training::log::Entry;
use rrsis::training::{Event, Outcome, Start, TrainingConfig, TrainingRun, train};
use rrsis::weights::shard::parameters_of;
use tempfile::TempDir;

const SAMPLES: usize = 8;
const BATCH: usize = 4;

/// Every block exists, nothing takes long.
fn tiny() -> NetworkConfig {
    NetworkConfig {
        embed_dim: 16,
        depths: [1, 1, 1, 1],
        num_heads: [1, 2, 4, 8],
        window: 4,
        bert: BertConfig {
            hidden_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 32,
            ..BertConfig::minilm_l6()
        },
        cnn: thin_model::thin().cnn,
        decoder_hidden: 16,
        image_size: 64,
        ..NetworkConfig::rrsis_small()
    }
}

fn recipe(epochs: usize) -> TrainingConfig {
    TrainingConfig {
        name: "tiny".into(),
        network: NetworkChoice::Sizes(tiny()),
        epochs,
        batch_size: BATCH,
        optimizer: OptimizerConfig {
            learning_rate: 2e-3,
            ..OptimizerConfig::default()
        },
        seed: 1,
        ..TrainingConfig::default()
    }
}

/// A folder with the drawn scenes in `data`.
fn workplace() -> TempDir {
    let folder = TempDir::new().unwrap();
    write_scenes(&folder.path().join("data"), SAMPLES);
    folder
}

fn run_in(folder: &Path, out: &str, config: TrainingConfig, start: Start) -> TrainingRun {
    TrainingRun {
        config,
        data: folder.join("data"),
        out: folder.join(out),
        tokenizer: common::read(common::repository("models/rrsis-small/tokenizer.json")),
        start,
        device: pollster::block_on(ComputeDevice::open(DeviceChoice::Cpu)).unwrap(),
    }
}

/// Runs until the end, or until `last` steps are taken.
fn train_until(run: &TrainingRun, last: Option<usize>) -> Outcome {
    let stop = AtomicBool::new(false);
    train(run, &stop, &mut |event| {
        if let Event::Step { step, .. } = event
            && Some(step) == last
        {
            stop.store(true, Ordering::Relaxed);
        }
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// Every number in the saved state: parameters, running statistics, moments.
fn numbers(out: &Path) -> Vec<(String, Vec<f32>)> {
    let state = State::read(&out.join("state.bpk"), &tiny()).unwrap();
    let mut all = parameters_of(&state.network.text).unwrap();
    all.extend(parameters_of(&state.network.vision).unwrap());
    for (path, moments) in state.moments {
        all.push((format!("mean.{path}"), moments.mean));
        all.push((format!("square.{path}"), moments.square));
    }
    all.into_iter()
        .map(|(path, data)| (path, data.try_into_vec::<f32>().unwrap()))
        .collect()
}

fn log(out: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(out.join("log.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn losses(out: &Path) -> Vec<f32> {
    let losses = log(out).into_iter().filter_map(|entry| match entry {
        Entry::Step { loss, .. } => Some(loss),
        Entry::Validation { .. } => None,
    });
    losses.collect()
}

#[test]
fn a_run_that_stops_and_continues_ends_as_one_that_does_not() {
    let folder = workplace();
    let mut config = recipe(3);
    config.augmentation = AugmentationConfig {
        flip_horizontal: true,
        flip_vertical: true,
        rotate: true,
        colour: 0.2,
    };
    let straight = run_in(folder.path(), "straight", config.clone(), Start::Untrained);
    let outcome = train_until(&straight, None);
    assert!(!outcome.interrupted);
    assert_eq!(outcome.progress.step, 3 * SAMPLES / BATCH);

    // Within an epoch, then at the end of one before its validation.
    let mut broken = run_in(folder.path(), "broken", config, Start::Untrained);
    for stop in [1, 4] {
        let outcome = train_until(&broken, Some(stop));
        assert!(outcome.interrupted);
        assert_eq!(outcome.progress.step, stop);
        broken.start = Start::Resume;
    }
    assert_eq!(train_until(&broken, None).progress, outcome.progress);

    let (straight, broken) = (numbers(&straight.out), numbers(&broken.out));
    assert!(straight.len() > 200);
    for ((path, a), (other, b)) in straight.iter().zip(&broken) {
        assert_eq!(path, other);
        assert_eq!(a, b, "{path}");
    }
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    assert_eq!(losses(&straight), losses(&broken));
    let best = |out: &Path| fs::read(out.join("best/vision.bpk")).unwrap();
    assert_eq!(best(&straight), best(&broken));
}

#[test]
fn a_log_beyond_the_saved_state_is_taken_back() {
    let folder = workplace();
    let mut run = run_in(folder.path(), "out", recipe(2), Start::Untrained);
    train_until(&run, Some(1));
    let log_file = run.out.join("log.jsonl");
    let mut text = fs::read_to_string(&log_file).unwrap();
    // As if the process had been killed two steps later, in the middle of a line.
    let line = text
        .lines()
        .next()
        .unwrap()
        .replace("\"step\":1", "\"step\":2");
    text.push_str(&format!("{line}\n{{\"kind\":\"st"));
    fs::write(&log_file, text).unwrap();
    run.start = Start::Resume;
    train_until(&run, None);
    let steps: Vec<usize> = log(&run.out)
        .iter()
        .filter_map(|entry| match entry {
            Entry::Step { step, .. } => Some(*step),
            Entry::Validation { .. } => None,
        })
        .collect();
    assert_eq!(steps, [1, 2, 3, 4]);
}

#[test]
fn a_tiny_network_learns_a_few_scenes_by_heart_and_the_commands_agree() {
    let folder = workplace();
    let at = folder.path();
    fs::write(
        at.join("recipe.json"),
        serde_json::to_vec(&recipe(60)).unwrap(),
    )
    .unwrap();
    let arguments = [
        "train",
        "--config",
        "recipe.json",
        "--data",
        "data",
        "--out",
        "run",
    ];
    let tokenizer = common::repository("models/rrsis-small/tokenizer.json");
    let tokenizer = ["--tokenizer", tokenizer.to_str().unwrap()];
    let output = rrsis(at, &[&arguments[..], &tokenizer].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Finished all 120 steps"));

    let run = at.join("run");
    let losses = losses(&run);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..4]), mean(&losses[116..]));
    assert!(last < 0.3 * first, "the loss went from {first} to {last}");
    let svg = fs::read_to_string(run.join("curves.svg")).unwrap();
    assert!(svg.contains("oIoU") && svg.contains("polyline"), "{svg}");

    // The best model segments and scores by the ordinary commands.
    let model = ["--model", "run/best", "--device", "cpu"];
    let scored = [
        "evaluate",
        "--data",
        "data",
        "--split",
        "val",
        "--json",
        "scores.json",
    ];
    assert!(rrsis(at, &[&scored[..], &model].concat()).status.success());
    let scores: serde_json::Value =
        serde_json::from_slice(&fs::read(at.join("scores.json")).unwrap()).unwrap();
    let mut best = log(&run).into_iter().filter_map(|entry| match entry {
        Entry::Validation {
            best: true, scores, ..
        } => scores.oiou,
        _ => None,
    });
    assert_eq!(
        scores["oiou"].as_f64(),
        best.next_back(),
        "validation is evaluation"
    );
    assert!(scores["miou"].as_f64().unwrap() > 0.7, "{scores}");

    let one = [
        "segment",
        "data/images/val0.png",
        "building",
        "--out",
        "mask.png",
    ];
    assert!(rrsis(at, &[&one[..], &model].concat()).status.success());
    let read = |path: &str| Mask::decode(&fs::read(at.join(path)).unwrap(), path).unwrap();
    let iou = Overlap::between(&read("mask.png"), &read("data/masks/val0.png"))
        .unwrap()
        .iou();
    assert!(iou > 0.7, "{iou}");

    // A finished run that is resumed has nothing left to do.
    let again = rrsis(at, &[&arguments[..], &["--resume"]].concat());
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("Finished all 120 steps"));
}

#[test]
fn it_starts_from_a_checkpoint_in_the_official_layout() {
    let Some(folder) = common::shared_path("fixtures/parity/tiny16") else {
        return;
    };
    // Of another network: everything that does not fit is named, and no run is begun.
    let place = workplace();
    let start = Start::Checkpoint(folder.join("checkpoint.pth"));
    let run = run_in(place.path(), "out", recipe(1), start);
    let error = train(&run, &AtomicBool::new(false), &mut |_| ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("checkpoint.pth") && error.contains("of another shape"),
        "{error}"
    );
    assert!(!run.out.exists());
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_says_so() {
    let folder = workplace();
    let at = folder.path();
    fs::write(
        at.join("recipe.json"),
        serde_json::to_vec(&recipe(10_000)).unwrap(),
    )
    .unwrap();
    let tokenizer = common::repository("models/rrsis-small/tokenizer.json");
    for signal in ["-INT", "-TERM"] {
        let out = format!("run{signal}");
        let child = Command::new(env!("CARGO_BIN_EXE_rrsis"))
            .args([
                "train",
                "--config",
                "recipe.json",
                "--data",
                "data",
                "--out",
                &out,
            ])
            .arg("--tokenizer")
            .arg(&tokenizer)
            .current_dir(at)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its first steps are in the log.
        let log_file = at.join(&out).join("log.jsonl");
        let begun = || fs::metadata(&log_file).is_ok_and(|file| file.len() > 0);
        for _ in 0..600 {
            if begun() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert!(begun(), "no step within a minute");
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains("the state is saved"),
            "{}",
            text(&output.stdout)
        );
        let state = State::read(&at.join(&out).join("state.bpk"), &tiny()).unwrap();
        assert_eq!(state.progress.step, losses(&at.join(&out)).len());
        assert!(state.progress.step > 0);
    }
}

#[test]
fn what_cannot_be_trained_or_resumed_is_refused_by_name() {
    let folder = workplace();
    let at = folder.path();
    let error = |run: &TrainingRun| {
        train(run, &AtomicBool::new(false), &mut |_| ())
            .unwrap_err()
            .to_string()
    };
    let assert_names = |message: String, words: &[&str]| {
        for word in words {
            assert!(message.contains(word), "\"{word}\" is not in: {message}");
        }
    };

    let mut run = run_in(at, "out", recipe(1), Start::Untrained);
    run.data = at.join("nowhere");
    assert_names(error(&run), &["nowhere", "output_phrase_train.txt"]);

    run.data = at.join("data");
    run.config.validation_split = "test".into();
    assert_names(
        error(&run),
        &["test", "output_phrase_test.txt", "train, val"],
    );

    run.config = recipe(1);
    fs::write(at.join("data/output_phrase_empty.txt"), "\n").unwrap();
    run.config.train_split = "empty".into();
    assert_names(error(&run), &["output_phrase_empty.txt", "no line"]);

    run.config = recipe(1);
    run.config.batch_size = SAMPLES + 1;
    assert_names(error(&run), &["train", "8 samples", "9", "batch_size"]);

    run.config = recipe(1);
    run.start = Start::Resume;
    assert_names(error(&run), &["out", "state.bpk", "without --resume"]);
    assert!(
        !run.out.exists(),
        "nothing that was refused leaves anything behind"
    );

    run.start = Start::Untrained;
    train_until(&run, Some(1));
    assert_names(error(&run), &["out", "--resume"]);

    run.start = Start::Resume;
    run.config.optimizer.learning_rate = 1.0;
    assert_names(error(&run), &["config.json", "optimizer", "0.002", "1.0"]);

    run.config = recipe(1);
    let phrases = at.join("data/output_phrase_train.txt");
    let lines = fs::read_to_string(&phrases).unwrap();
    let fewer: Vec<&str> = lines.lines().skip(1).collect();
    fs::write(&phrases, fewer.join("\n")).unwrap();
    assert_names(error(&run), &["8 samples", "7", "data"]);
    fs::write(&phrases, lines).unwrap();

    let state = run.out.join("state.bpk");
    let good = fs::read(&state).unwrap();
    fs::write(&state, &good[..good.len() / 2]).unwrap();
    assert_names(error(&run), &["state.bpk"]);
    fs::write(&state, good).unwrap();
    assert!(!train_until(&run, None).interrupted);
}

#[test]
fn the_command_names_a_wrong_configuration() {
    let folder = workplace();
    let at = folder.path();
    fs::write(at.join("recipe.json"), "{\"epoch\": 1}").unwrap();
    for (config, words) in [
        ("recipe.json", &["recipe.json", "epoch", "epochs"][..]),
        ("missing.json", &["missing.json"]),
        ("swin-z", &["swin-z", "lgce-no-fusion"]),
    ] {
        let output = rrsis(
            at,
            &[
                "train", "--config", config, "--data", "data", "--out", "out",
            ],
        );
        assert_eq!(output.status.code(), Some(1));
        let message = text(&output.stderr);
        for word in words {
            assert!(message.contains(word), "\"{word}\" is not in: {message}");
        }
        assert!(!at.join("out").exists());
    }
}
