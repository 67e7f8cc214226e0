//! `cargo xtask bench`: how long a mask takes in headless Chromium.
//!
//! Tests never look at times: machines are noisy. Here sites take turns in one browser, and what is
//! printed are medians with their spread.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::workspace::Workspace;
use crate::{build, process, serve, setup};

/// What to measure.
pub struct Settings {
    /// What to build; none measures `dist/` as it is.
    pub build: Option<build::Selection>,
    /// Other built sites to take turns with.
    pub against: Vec<PathBuf>,
    /// "cpu" or "webgpu".
    pub device: String,
    /// Masks a site.
    pub runs: u32,
    /// Threads of a CPU, on both sides; several numbers take turns.
    pub threads: Vec<u32>,
    /// Side of the images, in pixels, where they are not samples as they are.
    pub side: Option<u32>,
    /// Side that the image is resized to, where it is not the model's.
    pub resolution: Option<u32>,
    /// Folder of the model under `models/` of the sites.
    pub site_model: String,
    /// Folder with the network in ONNX, and the model directory with the same weights.
    pub onnx: Option<(PathBuf, PathBuf)>,
    /// Where to write all numbers.
    pub json: Option<PathBuf>,
}

/// Builds the site, runs `tests/web/bench.mjs` and prints a table.
pub fn run(workspace: &Workspace, settings: &Settings) -> Result<()> {
    let node = setup::node(workspace)?;
    let chromium = setup::chromium()?;
    match &settings.build {
        Some(selection) => build::site(workspace, selection, &workspace.dist())?,
        None if workspace.dist().join("index.html").is_file() => {}
        None => bail!(
            "{} holds no site: leave --no-build out",
            workspace.dist().display()
        ),
    }

    if settings.onnx.is_some() && settings.threads.len() > 1 {
        bail!("--onnx compares with one number of --threads at a time");
    }
    let mut checkouts = vec![("this checkout".to_owned(), workspace.dist())];
    for other in &settings.against {
        let other =
            fs::canonicalize(other).with_context(|| format!("cannot find {}", other.display()))?;
        checkouts.push((other.display().to_string(), other));
    }
    let mut sites = Vec::new();
    for (name, dist) in &checkouts {
        for &threads in &settings.threads {
            let one = settings.threads == [1];
            // Pages that are not isolated have several threads for large images only.
            for isolated in [false, true] {
                if isolated != (threads > 1) && (isolated || settings.side.is_none()) {
                    continue;
                }
                let name = match (one, isolated) {
                    (true, _) => name.clone(),
                    (_, true) => format!("{name}, {threads} threads, isolated"),
                    (_, false) => format!("{name}, {threads} threads"),
                };
                let url = serve::in_background(dist.clone(), isolated)?;
                sites.push(json!({ "name": name, "url": url, "dist": dist, "threads": threads }));
            }
        }
    }
    let script = match settings.onnx {
        Some(_) => "bench-onnx.mjs",
        None => "bench.mjs",
    };
    let mut command = Command::new(&node.program);
    command
        .current_dir(&workspace.root)
        .arg(workspace.web_tests().join(script))
        .env("RRSIS_BENCH_SITES", json!(sites).to_string())
        .env("RRSIS_BENCH_DEVICE", &settings.device)
        .env("RRSIS_BENCH_SITE_MODEL", &settings.site_model)
        .env("RRSIS_BENCH_RUNS", settings.runs.to_string())
        .env(
            "RRSIS_SITE_URL",
            sites[0]["url"].as_str().unwrap_or_default(),
        )
        .env("RRSIS_DIST", workspace.dist())
        .env("CHROMIUM", chromium)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some((onnx, model)) = &settings.onnx {
        for (name, folder) in [("RRSIS_BENCH_ONNX", onnx), ("RRSIS_BENCH_MODEL", model)] {
            let folder = fs::canonicalize(folder)
                .with_context(|| format!("cannot find {}", folder.display()))?;
            command.env(name, folder);
        }
        command
            .env("RRSIS_BENCH_THREADS", settings.threads[0].to_string())
            .env("RRSIS_CACHE_DIR", &workspace.cache);
    }
    if let Some(side) = settings.side {
        command.env("RRSIS_BENCH_SIDE", side.to_string());
    }
    if let Some(resolution) = settings.resolution {
        command.env("RRSIS_BENCH_RESOLUTION", resolution.to_string());
    }
    let line = process::shown(&command);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    let measured: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{line}` printed no JSON"))?;
    print!(
        "{}",
        match settings.onnx {
            Some(_) => against_onnx(&measured),
            None => table(&measured),
        }
    );
    if let Some(file) = &settings.json {
        fs::write(file, format!("{measured:#}\n"))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The numbers as Markdown.
fn table(measured: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut table = format!(
        "Chromium {}, {}, {} at {} x {}, {} masks each, in turns\n\n",
        text(&measured["chromium"]),
        text(&measured["device"]),
        text(&measured["sample"]),
        text(&measured["resolution"]),
        text(&measured["resolution"]),
        text(&measured["runs"]),
    );
    table += "| site | device | program | raw (MB) | gzipped (MB) | model (MB) | first mask, nothing kept (s) | first mask, weights kept (s) | mask, median (s) | least to most (s) | network alone (s) | next expression (s) | most memory of the page (MB) |\n";
    table += "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for site in measured["sites"].as_array().into_iter().flatten() {
        let number = |name: &str, scale: f64| site[name].as_f64().unwrap_or(f64::NAN) / scale;
        table += &format!(
            "| {} | {} | {} | {:.1} | {:.2} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} to {:.2} | {:.2} | {:.2} | {} |\n",
            text(&site["name"]),
            text(&site["device"]),
            text(&site["program"]),
            number("program_bytes", 1e6),
            number("program_gzip_bytes", 1e6),
            number("model_bytes", 1e6),
            number("first_mask_cold_ms", 1e3),
            number("first_mask_warm_ms", 1e3),
            number("mask_median_ms", 1e3),
            number("mask_least_ms", 1e3),
            number("mask_most_ms", 1e3),
            number("network_median_ms", 1e3),
            number("next_expression_median_ms", 1e3),
            scaled(&site["peak_memory_bytes"], 1e6, 0),
        );
    }
    table
}

/// The numbers of both runtimes as Markdown, a column a side. Where outputs disagree there is no ratio.
fn against_onnx(measured: &Value) -> String {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let sides: Vec<&Value> = measured["sides"].as_array().into_iter().flatten().collect();
    let mut table = format!(
        "Chromium {}, onnxruntime-web {}, {} x {} pixels, {} masks each, in turns, threads of the CPU: {}\n\n",
        text(&measured["chromium"]),
        text(&measured["onnxruntime_web"]),
        text(&measured["size"]),
        text(&measured["size"]),
        text(&measured["runs"]),
        text(&measured["threads"]),
    );
    let mut row = |head: &str, cell: &dyn Fn(&Value) -> String| {
        let cells: Vec<String> = sides.iter().map(|side| cell(side)).collect();
        table += &format!("| {head} | {} |\n", cells.join(" | "));
    };
    row("", &|side| text(&side["name"]));
    row("---", &|_| "---:".to_owned());
    for (head, name) in [
        ("weights (MB)", "weights_bytes"),
        ("program, gzipped (MB)", "program_gzip_bytes"),
        ("fetched by the first start (MB)", "fetched_cold_bytes"),
        ("fetched by the second start (MB)", "fetched_warm_bytes"),
    ] {
        row(head, &|side| scaled(&side[name], 1e6, 1));
    }
    for (head, name) in [
        ("ready, nothing kept (s)", "ready_cold_ms"),
        ("first mask, nothing kept (s)", "first_mask_cold_ms"),
        ("first mask, files kept (s)", "first_mask_warm_ms"),
        ("mask of another image, median (s)", "mask_median_ms"),
        ("network alone, median (s)", "network_median_ms"),
        (
            "another expression on it, median (s)",
            "next_expression_median_ms",
        ),
    ] {
        let spread = name
            .strip_suffix("_median_ms")
            .filter(|name| *name != "network");
        row(head, &|side| {
            let seconds = |name: &str| scaled(&side[name], 1e3, 2);
            match spread {
                Some(of) => format!(
                    "{} ({} to {})",
                    seconds(name),
                    seconds(&format!("{of}_least_ms")),
                    seconds(&format!("{of}_most_ms")),
                ),
                None => seconds(name),
            }
        });
    }
    let cores = text(&measured["cores"]);
    row(&format!("cores busy meanwhile, of {cores}"), &|side| {
        scaled(&side["busy_cores_median"], 1.0, 1)
    });
    row("most memory of the page (MB)", &|side| {
        scaled(&side["peak_memory_bytes"], 1e6, 0)
    });
    let alone = measured["page_alone_bytes"].as_f64();
    row("less what the page holds without a network (MB)", &|side| {
        let own = alone.and_then(|alone| Some(side["peak_memory_bytes"].as_f64()? - alone));
        scaled(&json!(own), 1e6, 0)
    });
    row(
        "greatest difference from the first side (logits)",
        &|side| {
            side["greatest_difference"]
                .as_f64()
                .map_or_else(|| "?".to_owned(), |difference| format!("{difference:.1e}"))
        },
    );
    row("IoU of the masks with the first side's", &|side| {
        scaled(&side["mask_iou"], 1.0, 4)
    });
    for (head, name) in [
        ("time over the first side's, another image", "times_ours"),
        (
            "time over the first side's, another expression",
            "next_times_ours",
        ),
    ] {
        row(head, &|side| {
            side[name].as_f64().map_or_else(
                || "outputs disagree".to_owned(),
                |ratio| format!("{ratio:.2}"),
            )
        });
    }
    table
}

/// A number in units of `unit`, or a question mark where it is not known.
fn scaled(value: &Value, unit: f64, digits: usize) -> String {
    value.as_f64().map_or_else(
        || "?".to_owned(),
        |value| format!("{:.digits$}", value / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ratio_where_outputs_disagree() {
        let side = |name: &str, ratio: Value| {
            json!({
                "name": name, "weights_bytes": 146_000_000, "program_gzip_bytes": 5_000_000,
                "first_mask_cold_ms": 5000, "mask_median_ms": 1500, "mask_least_ms": 1400,
                "mask_most_ms": 1600, "greatest_difference": 0.00004, "mask_iou": 1,
                "peak_memory_bytes": 350_000_000,
                "times_ours": ratio, "next_times_ours": ratio,
            })
        };
        let measured = json!({
            "chromium": "1", "onnxruntime_web": "2", "size": 512, "runs": 3, "threads": 1, "cores": 2,
            "page_alone_bytes": 130_000_000,
            "sides": [side("ours", json!(1)), side("other", Value::Null)],
        });
        let table = against_onnx(&measured);
        for row in [
            "|  | ours | other |",
            "| --- | ---: | ---: |",
            "| weights (MB) | 146.0 | 146.0 |",
            "| mask of another image, median (s) | 1.50 (1.40 to 1.60) | 1.50 (1.40 to 1.60) |",
            "| cores busy meanwhile, of 2 | ? | ? |",
            "| most memory of the page (MB) | 350 | 350 |",
            "| less what the page holds without a network (MB) | 220 | 220 |",
            "| greatest difference from the first side (logits) | 4.0e-5 | 4.0e-5 |",
            "| time over the first side's, another image | 1.00 | outputs disagree |",
            "| time over the first side's, another expression | 1.00 | outputs disagree |",
        ] {
            assert!(table.lines().any(|line| line == row), "{row}\n{table}");
        }
    }

    #[test]
    fn a_row_a_site_in_seconds_and_megabytes() {
        let measured = json!({
            "chromium": "1", "device": "cpu", "sample": "a.jpg", "resolution": 512, "runs": 3,
            "sites": [{
                "name": "here", "device": "cpu", "program": "a.wasm", "program_bytes": 22_000_000,
                "program_gzip_bytes": 5_500_000, "model_bytes": 37_700_000,
                "first_mask_cold_ms": 4800, "first_mask_warm_ms": 3500, "mask_median_ms": 3250,
                "mask_least_ms": 3100, "mask_most_ms": 3400, "network_median_ms": 3200, "next_expression_median_ms": 2900,
                "peak_memory_bytes": 420_000_000,
            }],
        });
        let table = table(&measured);
        let expected = "| here | cpu | a.wasm | 22.0 | 5.50 | 37.7 | 4.80 | 3.50 | 3.25 | 3.10 to 3.40 | 3.20 | 2.90 | 420 |";
        assert_eq!(table.lines().last(), Some(expected));
    }
}
