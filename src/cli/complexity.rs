//! `rrsis complexity`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{network_config, write_json};
use super::table::{aligned, thousands};
use crate::complexity::{Complexity, Cost};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct ComplexityCommand {
    /// Preset or JSON file with a network configuration.
    #[arg(long, value_name = "PRESET|FILE")]
    config: String,
    /// Write both countings, block by block, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl ComplexityCommand {
    pub(super) fn run(self) -> Result<()> {
        let config = network_config(&self.config)?;
        let complexity = Complexity::of(&config);
        println!(
            "{}: {size} x {size} pixels, {} word pieces, batch 1\n",
            self.config,
            config.max_tokens,
            size = config.image_size,
        );
        println!("{}\n", blocks(&complexity));
        println!("{}", table_iv(&complexity));
        if let Some(path) = &self.json {
            write_json(path, &complexity)?;
        }
        Ok(())
    }
}

/// Each block under both countings, and the sums.
fn blocks(complexity: &Complexity) -> String {
    let header = [
        "block",
        "parameters (paper)",
        "MACs (paper)",
        "FLOPs (paper)",
        "parameters",
        "MACs",
        "FLOPs",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    let (paper, actual) = (&complexity.paper, &complexity.actual);
    let only_paper = paper
        .blocks
        .iter()
        .filter(|block| !actual.blocks.iter().any(|other| other.name == block.name));
    for block in actual.blocks.iter().chain(only_paper) {
        let (counted, real) = (paper.block(&block.name), actual.block(&block.name));
        rows.push(row(&block.name, &[counted, real]));
    }
    rows.push(row("in all", &[paper.total, actual.total]));
    aligned(&rows)
}

fn row(name: &str, costs: &[Cost]) -> Vec<String> {
    let mut cells = vec![name.to_owned()];
    for cost in costs {
        cells.extend([cost.parameters, cost.macs, cost.flops].map(thousands));
    }
    cells
}

/// The paper's rows, and this network under both countings in the same units.
fn table_iv(complexity: &Complexity) -> String {
    let header = ["", "GFLOPs", "parameters (M)", "GMACs"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for row in complexity.table_iv {
        let name = format!("Table IV, {}", row.method);
        rows.push(scaled(&name, row.gflops, row.mparameters, row.gmacs));
    }
    for (name, cost) in [
        ("this network, the paper's counting", complexity.paper.total),
        (
            "this network, all that it computes",
            complexity.actual.total,
        ),
    ] {
        let giga = |count: u64| count as f64 / 1e9;
        rows.push(scaled(
            name,
            giga(cost.flops),
            cost.parameters as f64 / 1e6,
            giga(cost.macs),
        ));
    }
    aligned(&rows)
}

fn scaled(name: &str, gflops: f64, mparameters: f64, gmacs: f64) -> Vec<String> {
    let mut cells = vec![name.to_owned()];
    cells.extend([gflops, mparameters, gmacs].map(|value| format!("{value:.2}")));
    cells
}
