//! The `rrsis` command: parses and prints, never computes.
//!
//! Results go to standard output, notes, progress and errors to standard error. The exit code is 0,
//! 1 where the work failed, and 2 where the command line makes no sense.

mod arguments;
mod complexity;
mod dataset;
mod evaluate;
mod gallery;
mod import;
mod inspect;
mod segment;
mod table;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Result;

/// Referring remote sensing image segmentation: an image and an expression in, a mask out.
#[derive(Debug, Parser)]
#[command(name = "rrsis", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the mask of what an expression refers to in an image.
    Segment(segment::Segment),
    /// Score a model on a data set in the RefSegRS layout.
    Evaluate(evaluate::Evaluate),
    /// Draw the best, the median and the worst results on a data set as a page.
    Gallery(gallery::Gallery),
    /// Turn a PyTorch checkpoint into a model directory.
    Import(import::Import),
    /// Print what a model directory holds, and check it.
    Inspect(inspect::Inspect),
    /// Count a network's parameters, multiply-accumulates and FLOPs, block by block.
    Complexity(complexity::ComplexityCommand),
    /// Train a network on a data set in the RefSegRS layout, by the paper's recipe.
    Train(Box<train::Train>),
    /// Make a data set in the RefSegRS layout.
    #[command(subcommand)]
    Dataset(dataset::Dataset),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // A wrong command line ends here, with clap's message and exit code 2.
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(self) -> Result<()> {
        match self {
            Self::Segment(command) => command.run(),
            Self::Evaluate(command) => command.run(),
            Self::Gallery(command) => command.run(),
            Self::Import(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Complexity(command) => command.run(),
            Self::Train(command) => command.run(),
            Self::Dataset(command) => command.run(),
        }
    }
}
