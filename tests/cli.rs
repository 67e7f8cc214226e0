//! The `rrsis` command: what it writes, what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/command.rs"]
mod command;
mod common;
#[path = "common/thin_model.rs"]
mod thin_model;

use std::fs;
use std::path::Path;
use std::process::Output;

use command::{rrsis, text};
use common::{encoded, pattern};
use image::ImageFormat;
use rrsis::mask::Mask;
use tempfile::TempDir;
use thin_model::write_thin_model;

fn segment(folder: &Path, image: &str, expression: &str) -> Output {
    let options = ["--model", "model", "--device", "cpu", "--out", "mask.png"];
    rrsis(
        folder,
        &[&["segment", image, expression], &options[..]].concat(),
    )
}

/// Ends with code 1, one line that begins with "error:", and no mask.
fn assert_refused(folder: &Path, output: &Output, words: &[&str]) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: "), "{message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    for word in words {
        assert!(message.contains(word), "\"{word}\" is not in: {message}");
    }
    assert!(!folder.join("mask.png").exists());
}

/// A folder with a thin model and an image of 90 x 70 pixels.
fn workplace() -> TempDir {
    let folder = TempDir::new().unwrap();
    write_thin_model(&folder.path().join("model"));
    let image = encoded(&pattern(90, 70), 90, 70, ImageFormat::Png);
    fs::write(folder.path().join("scene.png"), image).unwrap();
    folder
}

#[test]
fn segment_writes_a_mask_of_the_images_own_size() {
    let folder = workplace();
    let output = segment(folder.path(), "scene.png", "building");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("90 x 70"),
        "{}",
        text(&output.stdout)
    );
    let file = fs::read(folder.path().join("mask.png")).unwrap();
    let values = image::load_from_memory(&file).unwrap();
    assert_eq!(values.color(), image::ColorType::L8);
    assert!(
        values
            .as_bytes()
            .iter()
            .all(|value| matches!(value, 0 | 255))
    );
    let mask = Mask::decode(&file, "mask.png").unwrap();
    assert_eq!((mask.width, mask.height), (90, 70));

    // A threshold decides how much is foreground.
    let count = |threshold: &str| {
        let model = [
            "--model",
            "model",
            "--device",
            "cpu",
            "--threshold",
            threshold,
        ];
        let arguments = [
            &["segment", "scene.png", "car", "--out", "t.png"],
            &model[..],
        ]
        .concat();
        assert!(rrsis(folder.path(), &arguments).status.success());
        let file = fs::read(folder.path().join("t.png")).unwrap();
        Mask::decode(&file, "t.png").unwrap().foreground()
    };
    assert_eq!((count("0.000001"), count("0.999999")), (90 * 70, 0));
}

#[test]
fn a_long_expression_is_cut_with_a_note() {
    let folder = workplace();
    let output = segment(folder.path(), "scene.png", &"car on the road ".repeat(20));
    assert!(output.status.success());
    assert!(
        text(&output.stderr).contains("20 word pieces"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_very_wide_image_is_segmented() {
    let folder = workplace();
    let image = encoded(&vec![120; 20_000 * 30 * 3], 20_000, 30, ImageFormat::Png);
    fs::write(folder.path().join("wide.png"), image).unwrap();
    let output = segment(folder.path(), "wide.png", "road");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("20000 x 30"));
}

#[test]
fn bad_images_and_expressions_are_refused_in_a_sentence() {
    let folder = workplace();
    let path = folder.path();
    fs::write(path.join("empty.png"), b"").unwrap();
    fs::write(path.join("text.png"), b"not an image").unwrap();
    let whole = encoded(&pattern(64, 64), 64, 64, ImageFormat::Jpeg);
    fs::write(path.join("cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    for (image, words) in [
        ("absent.png", &["absent.png", "No such file"][..]),
        ("empty.png", &["0 bytes"]),
        ("text.png", &["not an image", "PNG, JPEG"]),
        ("cut.jpg", &["cut short"]),
        (".", &["mask.png", "a directory"]),
    ] {
        assert_refused(path, &segment(path, image, "building"), words);
    }
    let long = "x".repeat(10_000);
    for (expression, word) in [("", "empty"), (" \u{200b}", "empty"), (&long, "10000")] {
        assert_refused(path, &segment(path, "scene.png", expression), &[word]);
    }
}

#[test]
fn a_damaged_or_missing_model_is_refused() {
    let folder = workplace();
    let path = folder.path();
    let vision = path.join("model/vision.bpk");
    let mut bytes = fs::read(&vision).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&vision, &bytes).unwrap();
    assert_refused(path, &segment(path, "scene.png", "car"), &["vision.bpk"]);
    fs::remove_file(&vision).unwrap();
    assert_refused(path, &segment(path, "scene.png", "car"), &["vision.bpk"]);
    fs::remove_dir_all(path.join("model")).unwrap();
    assert_refused(path, &segment(path, "scene.png", "car"), &["manifest.json"]);
}

/// Runs `rrsis segment` on the CPU with the thin model.
fn segment_many(folder: &Path, arguments: &[&str]) -> Output {
    let model = ["--model", "model", "--device", "cpu"];
    rrsis(folder, &[&["segment"], arguments, &model[..]].concat())
}

fn json_lines(text: &str) -> Vec<serde_json::Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn many_images_and_expressions_give_a_file_and_a_line_each() {
    let folder = workplace();
    let path = folder.path();
    fs::create_dir_all(path.join("images/north")).unwrap();
    fs::copy(path.join("scene.png"), path.join("images/a.png")).unwrap();
    fs::copy(path.join("scene.png"), path.join("images/north/a.png")).unwrap();
    fs::write(path.join("images/notes.txt"), "no image").unwrap();
    fs::write(path.join("images/broken.jpg"), "no image either").unwrap();
    fs::write(path.join("ask.txt"), "building\n\n car, on the road \n").unwrap();
    let ask = ["images", "--expressions", "ask.txt", "--out", "out"];
    let output = segment_many(path, &ask);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("2 of 6 results"),
        "{}",
        text(&output.stderr)
    );
    let lines = json_lines(&text(&output.stdout));
    assert_eq!(lines.len(), 6);
    let (failed, made): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.get("error").is_some());
    assert_eq!((failed.len(), made.len()), (2, 4));
    assert!(
        failed
            .iter()
            .all(|line| line["image"] == "images/broken.jpg")
    );
    for line in &made {
        let file = path.join(line["output"].as_str().unwrap());
        let mask = Mask::decode(&fs::read(&file).unwrap(), "mask").unwrap();
        assert_eq!(line["pixels"], mask.foreground());
        assert_eq!(
            (line["width"].as_u64(), line["height"].as_u64()),
            (Some(90), Some(70))
        );
    }
    let outputs: Vec<_> = made
        .iter()
        .map(|line| line["output"].as_str().unwrap())
        .collect();
    assert_eq!(outputs[0], "out/a-building.png");
    assert!(
        outputs[1].starts_with("out/a-car-on-the-road-"),
        "{outputs:?}"
    );
    assert!(outputs[2].starts_with("out/north/a-"), "{outputs:?}");

    // What is there is not computed again; what is missing is, and only that.
    fs::remove_file(path.join("images/broken.jpg")).unwrap();
    fs::remove_file(path.join(outputs[1])).unwrap();
    let output = segment_many(
        path,
        &[&ask[..], &["--results", "log/lines.jsonl"]].concat(),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    let lines = json_lines(&fs::read_to_string(path.join("log/lines.jsonl")).unwrap());
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["output"], outputs[1]);
    let output = segment_many(
        path,
        &[&ask[..], &["--overwrite", "--shard", "2/2"]].concat(),
    );
    assert_eq!(json_lines(&text(&output.stdout)).len(), 2);
}

#[test]
fn killed_at_any_moment_it_leaves_whole_files_and_goes_on_to_the_same_ones() {
    let folder = workplace();
    let path = folder.path();
    for name in ["a", "b", "c", "d"] {
        fs::create_dir_all(path.join("images")).unwrap();
        fs::copy(
            path.join("scene.png"),
            path.join(format!("images/{name}.png")),
        )
        .unwrap();
    }
    fs::write(path.join("ask.txt"), "building\nroad\nwater\ncar\nbus\n").unwrap();
    let ask = |out| ["images", "--expressions", "ask.txt", "--out", out];
    assert!(segment_many(path, &ask("whole")).status.success());
    let masks = |out: &str| {
        let mut found = std::collections::BTreeMap::new();
        for entry in fs::read_dir(path.join(out)).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with(".png") && !name.starts_with('.') {
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
        found
    };
    let whole = masks("whole");
    assert_eq!(whole.len(), 20);
    let mut interrupted = 0;
    for milliseconds in (20..).step_by(30).take(40) {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_rrsis"))
            .current_dir(path)
            .args(["segment", "--model", "model", "--device", "cpu"])
            .args(ask("killed"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = masks("killed");
        for (name, file) in &found {
            assert_eq!(
                Some(file),
                whole.get(name),
                "{name} after {milliseconds} ms"
            );
        }
        interrupted += usize::from(found.len() < whole.len());
        if found.len() == whole.len() {
            break;
        }
    }
    assert!(interrupted > 0);
    assert!(segment_many(path, &ask("killed")).status.success());
    assert_eq!(masks("killed"), whole);
}

#[test]
fn outlines_and_run_lengths_hold_the_mask() {
    let folder = workplace();
    let path = folder.path();
    let ask = ["scene.png", "--expression", "building", "--out", "out"];
    let output = segment_many(path, &ask);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mask = fs::read(path.join("out/scene-building.png")).unwrap();
    let pixels = Mask::decode(&mask, "mask").unwrap().foreground();

    let outlines = [
        &ask[..],
        &["--format", "geojson", "--gsd", "2", "--simplify", "0"],
    ]
    .concat();
    let output = segment_many(path, &outlines);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line = &json_lines(&text(&output.stdout))[0];
    assert_eq!(line["area_m2"], 4.0 * pixels as f64);
    let file = fs::read(path.join("out/scene-building.geojson")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let features = file["features"].as_array().unwrap();
    assert_eq!(line["regions"], features.len());
    let sum: u64 = features
        .iter()
        .map(|f| f["properties"]["pixels"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, pixels);

    let output = segment_many(path, &[&ask[..], &["--format", "coco-rle"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let file = fs::read(path.join("out/scene-building.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["segmentation"]["size"], serde_json::json!([70, 90]));
    assert!(!file["segmentation"]["counts"].as_str().unwrap().is_empty());

    let output = segment_many(path, &[&ask[..], &["--format", "geotiff"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("no GeoTIFF"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn options_out_of_range_are_refused() {
    let folder = workplace();
    for option in [["--threshold", "2"], ["--resolution", "100"]] {
        let model = ["--model", "model", "--device", "cpu", option[0], option[1]];
        let arguments = [
            &["segment", "scene.png", "car", "--out", "mask.png"],
            &model[..],
        ]
        .concat();
        let output = rrsis(folder.path(), &arguments);
        assert_refused(folder.path(), &output, &[&option[0][2..], option[1]]);
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        &["segment"][..],
        &["segment", "a.png", "car"],
        &[
            "segment", "a.png", "car", "--out", "m.png", "--device", "abacus",
        ],
        &["evaluate", "--data", "x"],
        &["evaluate", "--data", "x", "--split", "val", "--limit", "0"],
        &["no-such-command"],
    ] {
        let output = rrsis(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn evaluate_prints_a_table_and_writes_the_scores() {
    let folder = workplace();
    let path = folder.path();
    for name in ["data/images", "data/masks"] {
        fs::create_dir_all(path.join(name)).unwrap();
    }
    let mut half = Mask::empty(90, 70);
    half.data[..45 * 70].fill(1);
    for (id, mask) in [("1", &half), ("2", &half), ("3", &Mask::empty(90, 70))] {
        fs::copy(
            path.join("scene.png"),
            path.join(format!("data/images/{id}.png")),
        )
        .unwrap();
        fs::write(
            path.join(format!("data/masks/{id}.png")),
            mask.to_png().unwrap(),
        )
        .unwrap();
    }
    let phrases = "1 building\n2 road\n3 ship\n";
    fs::write(path.join("data/output_phrase_val.txt"), phrases).unwrap();

    // At this threshold everything is foreground: IoU 0.5 with half of the image.
    let arguments = [
        "evaluate",
        "--data",
        "data",
        "--split",
        "val",
        "--model",
        "model",
        "--device",
        "cpu",
        "--threshold",
        "0.000001",
        "--json",
        "scores/val.json",
        "--markdown",
        "scores/val.md",
    ];
    let output = rrsis(path, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.starts_with("| expression"), "{table}");
    let written = fs::read_to_string(path.join("scores/val.md")).unwrap();
    assert_eq!(written, table);
    assert!(table.contains("| ship"), "{table}");

    let scores: serde_json::Value =
        serde_json::from_slice(&fs::read(path.join("scores/val.json")).unwrap()).unwrap();
    assert_eq!(scores["n"], 2);
    assert_eq!(
        (&scores["oiou"], &scores["miou"]),
        (&0.5.into(), &0.5.into())
    );
    assert_eq!(
        (&scores["precision"]["0.5"], &scores["precision"]["0.6"]),
        (&1.0.into(), &0.0.into())
    );
    assert_eq!(
        scores["no_target"],
        serde_json::json!({"n": 1, "empty_rate": 0.0})
    );
    let by = &scores["by"];
    assert_eq!(by["expression"]["road"]["n"], 1);
    // Kind and category are read off the expressions: "ship" is in no vocabulary.
    assert_eq!(
        (&by["kind"]["category"]["n"], &by["kind"]["other"]["n"]),
        (&2.into(), &0.into())
    );
    assert_eq!(by["category"]["building"]["miou"], 0.5);
    assert_eq!(by["foreground"]["20-50 %"]["n"], 2);
    assert!(
        by["source"].is_null(),
        "nothing tells where the samples come from"
    );
    assert_eq!(
        (&scores["model"], &scores["split"]),
        (&"thin".into(), &"val".into())
    );

    // With the wrong half ignored, the other half is right.
    fs::create_dir(path.join("data/ignored")).unwrap();
    let mut other = Mask::empty(90, 70);
    other.data[45 * 70..].fill(1);
    for id in ["1", "2"] {
        let file = path.join(format!("data/ignored/{id}.png"));
        fs::write(file, other.to_png().unwrap()).unwrap();
    }
    fs::write(
        path.join("data/provenance.json"),
        r#"{"samples": {"1": {"scene": "s", "source": "drone", "kind": "attribute", "category": "roof", "absent": false}}}"#,
    )
    .unwrap();
    let read = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(path.join("scores/val.json")).unwrap()).unwrap()
    };
    assert!(rrsis(path, &arguments).status.success());
    let scores = read();
    assert_eq!(scores["miou"], 1.0);
    assert_eq!(scores["by"]["source"]["drone"]["n"], 1);
    assert_eq!(scores["by"]["kind"]["attribute"]["n"], 1);
    assert_eq!(scores["by"]["category"]["roof"]["n"], 1);
    let counting: Vec<&str> = arguments.into_iter().chain(["--count-ignored"]).collect();
    assert!(rrsis(path, &counting).status.success());
    assert_eq!(read()["miou"], 0.5);

    // At another scale everything is foreground still, and is compared at the mask's own size.
    for factor in ["0.5", "3"] {
        let scaled: Vec<&str> = arguments.into_iter().chain(["--scale", factor]).collect();
        let output = rrsis(path, &scaled);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(read()["scale"].as_f64(), factor.parse().ok());
        assert!(read()["miou"].as_f64().unwrap() >= 0.5);
    }

    fs::write(path.join("words.json"), r#"{"road": ["street", "lane"]}"#).unwrap();
    let reworded: Vec<&str> = arguments
        .into_iter()
        .chain(["--paraphrases", "words.json"])
        .collect();
    let output = rrsis(path, &reworded);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("In other words"));
    assert_eq!(
        (&read()["n"], &read()["paraphrased"]["n"]),
        (&1.into(), &1.into())
    );
    fs::write(path.join("words.json"), r#"{"road": "street"}"#).unwrap();
    assert_refused(path, &rrsis(path, &reworded), &["words.json", "line 1"]);

    let arguments = ["--model", "model", "--device", "cpu", "--each", "1"];
    let output = rrsis(
        path,
        &[
            &["gallery", "--data", "data", "--out", "page"],
            &arguments[..],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = fs::read_to_string(path.join("page/index.html")).unwrap();
    assert!(
        page.contains("“building”") || page.contains("“road”"),
        "{page}"
    );
    assert_eq!(page.matches("<figure>").count(), 3);
    let pictures = fs::read_dir(path.join("page")).unwrap().count() - 1;
    assert!((1..=3).contains(&pictures), "{pictures}");

    let output = rrsis(
        path,
        &[
            "evaluate", "--data", "data", "--split", "test", "--model", "model",
        ],
    );
    assert_refused(path, &output, &["Its splits: val."]);
    fs::write(path.join("data/output_phrase_val.txt"), "1 building\n2\n").unwrap();
    let output = rrsis(
        path,
        &[
            "evaluate", "--data", "data", "--split", "val", "--model", "model",
        ],
    );
    assert_refused(path, &output, &["output_phrase_val.txt", "line 2"]);
}

#[test]
fn dataset_unified_says_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let output = rrsis(
        folder.path(),
        &["dataset", "unified", "--data", "scenes", "--out", "set"],
    );
    assert_refused(folder.path(), &output, &["classes.json"]);
    assert!(!folder.path().join("set").exists());
}

#[test]
fn synthetic_scenes_become_triplets_and_figures() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let run = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = rrsis(path, &arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    run("dataset synthetic --out tiles --count 3 --seed 1 --size 260 200 --gsd 0.4");
    let made = run(
        "dataset refsegrs --tiles tiles --out set --tile-size 260 200 --crop 200 --stride 60 --size 128",
    );
    assert!(
        made.contains("train: ") && made.contains("test: "),
        "{made}"
    );
    let counted = run("dataset stats set --out figures");
    assert!(counted.contains("| train |"), "{counted}");
    for figure in ["foreground.svg", "expressions.svg", "words.svg"] {
        let svg = fs::read_to_string(path.join("figures").join(figure)).unwrap();
        assert!(
            svg.contains("</svg>") && svg.matches("<rect").count() > 3,
            "{figure}"
        );
    }
    // Tiles of the paper's size are expected where no other is named.
    let output = rrsis(
        path,
        &["dataset", "refsegrs", "--tiles", "tiles", "--out", "other"],
    );
    assert_refused(path, &output, &["260 x 200", "5616 x 3744"]);
    assert!(!path.join("other").exists());
}
