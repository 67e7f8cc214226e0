//! `rrsis inspect`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::table::{aligned, thousands};
use crate::error::Result;
use crate::weights::inspect::Inspection;
use crate::weights::{Manifest, WeightsError};

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Model directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> Result<()> {
        let inspection = Inspection::of(&self.directory)?;
        if self.json {
            println!("{:#}", serde_json::json!(inspection));
        } else {
            print!("{}", card(&inspection));
        }
        if inspection.is_whole() {
            return Ok(());
        }
        let problems: Vec<&str> = inspection
            .files
            .iter()
            .filter_map(|file| file.problem.as_deref())
            .collect();
        Err(WeightsError::Damaged {
            path: self.directory.display().to_string(),
            problems: problems.join("\n  "),
        }
        .into())
    }
}

fn card(inspection: &Inspection) -> String {
    let Inspection { manifest, files } = inspection;
    let mut card = format!("{}\n", manifest.name);
    if !manifest.description.is_empty() {
        card += &format!("{}\n", manifest.description);
    }
    card += &format!("\nConfiguration\n{}", settings(manifest));
    card += &format!(
        "\nParameters\n  {} text, {} vision, {} in all\n",
        thousands(manifest.parameters.text),
        thousands(manifest.parameters.vision),
        thousands(manifest.parameters.text + manifest.parameters.vision),
    );

    card += &format!("\nFiles, stored as {}\n", manifest.storage());
    let header = ["part", "file", "bytes", "checked"].map(String::from);
    let mut rows = vec![header.to_vec()];
    let mut bytes = 0;
    for file in files {
        let described = &file.described;
        bytes += described.bytes;
        rows.push(vec![
            described.part.name().to_owned(),
            described.file.clone(),
            thousands(described.bytes),
            if file.problem.is_none() {
                format!("SHA-256 {}... agrees", short(&described.sha256))
            } else {
                "DAMAGED".to_owned()
            },
        ]);
    }
    rows.push(
        ["all", "", &thousands(bytes), ""]
            .map(String::from)
            .to_vec(),
    );
    card += &format!("{}\n", aligned(&rows));
    for file in files.iter().filter(|file| !file.stored.is_empty()) {
        card += &format!("  {}:", file.described.file);
        for (index, stored) in file.stored.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(
                card,
                "{} {} values in {} ({} tensors, {} bytes)",
                if index == 0 { "" } else { "," },
                thousands(stored.values),
                stored.storage,
                stored.tensors,
                thousands(stored.bytes),
            );
        }
        card.push('\n');
    }

    card += "\nLicences\n";
    if manifest.licenses.is_empty() {
        card += "  none given\n";
    }
    for licence in &manifest.licenses {
        card += &format!(
            "  {}: {} ({})\n",
            licence.what, licence.license, licence.attribution
        );
    }
    card += "\nScores\n";
    match &manifest.scores {
        Value::Null => card += "  none measured\n",
        scores => outline(scores, 1, &mut card),
    }
    card
}

/// Network, input and threshold, whatever fields they have.
fn settings(manifest: &Manifest) -> String {
    let mut text = String::new();
    outline(&serde_json::json!(manifest.config), 1, &mut text);
    let input = serde_json::json!({
        "input": manifest.input,
        "threshold": manifest.threshold,
        "upsampling": manifest.upsampling,
        "relations": manifest.relations,
    });
    outline(&input, 1, &mut text);
    text
}

/// JSON as indented lines: objects nest, lists of plain values stay on a line.
fn outline(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if value.is_object() {
                    text.push_str(&format!("{indent}{name}\n"));
                    outline(value, depth + 1, text);
                } else {
                    text.push_str(&format!("{indent}{name}: {}\n", plain(value)));
                }
            }
        }
        other => text.push_str(&format!("{indent}{}\n", plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(plain).collect();
            values.join(", ")
        }
        // 0.485 as f32 is 0.48500001430511475 in f64: the digits that were meant are enough.
        Value::Number(number) if number.is_f64() => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| (number as f32).to_string()),
        other => other.to_string(),
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
