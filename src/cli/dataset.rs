//! `rrsis dataset`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::arguments::progress_bar;
use crate::dataset::unified;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub(super) enum Dataset {
    /// From annotated scenes: <split>/<source>/<scene>.{jpg,png,json} and classes.json.
    Unified(Unified),
}

#[derive(Debug, Args)]
pub(super) struct Unified {
    /// Directory of the scenes.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Directory to write, which must not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Which splits.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "train,val"
    )]
    splits: Vec<String>,
}

impl Dataset {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Unified(command) => command.run(),
        }
    }
}

impl Unified {
    fn run(self) -> Result<()> {
        let bar = progress_bar(0).with_message("scenes");
        let summaries = unified::build(&self.data, &self.out, &self.splits, |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        for (split, summary) in summaries {
            println!(
                "{split}: {} expressions with a target and {} without, from {} scenes; \
                 {} scenes left out",
                summary.present, summary.absent, summary.scenes, summary.left_out
            );
        }
        Ok(())
    }
}
