//! `rrsis dataset`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use super::arguments::{progress_bar, write};
use crate::dataset::triplets::Rules;
use crate::dataset::{SplitSummary, refsegrs, skyscapes, stats, synthetic, unified};
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub(super) enum Dataset {
    /// From annotated scenes: <split>/<source>/<scene>.{jpg,png,json} and classes.json.
    Unified(Unified),
    /// From SkyScapes-format tiles, as the paper makes RefSegRS: images, labels, perhaps objects.
    Refsegrs(Refsegrs),
    /// Draw synthetic scenes as SkyScapes-format tiles.
    Synthetic(Synthetic),
    /// Count a data set in the RefSegRS layout, and draw the paper's figures of it.
    Stats(Stats),
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
    /// Keep relations that select all of their subject.
    #[arg(long)]
    keep_all_selected: bool,
}

#[derive(Debug, Args)]
pub(super) struct Refsegrs {
    /// Directory of the tiles: images/<tile>.png, labels/<tile>.png, in it or in train, val and test.
    #[arg(long, value_name = "DIR")]
    tiles: PathBuf,
    /// Directory to write, which must not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Size of each tile.
    #[arg(long, value_names = ["WIDTH", "HEIGHT"], num_args = 2,
        default_values_t = [skyscapes::TILE.0, skyscapes::TILE.1])]
    tile_size: Vec<usize>,
    /// Side of the squares that are cut out, in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 1200)]
    crop: usize,
    /// From one square to the next, in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 600)]
    stride: usize,
    /// Side to which the squares are reduced, in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 512)]
    size: usize,
    /// Decides which tile goes to which split.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Take the words that the paper does not have: vegetation, parking area, roofs, colours.
    #[arg(long)]
    extended: bool,
    /// Expressions without target a square, at most so many of each kind.
    #[arg(long, value_name = "N", default_value_t = 0)]
    absent: usize,
    /// Keep relations that select all of their subject.
    #[arg(long)]
    keep_all_selected: bool,
}

#[derive(Debug, Args)]
pub(super) struct Synthetic {
    /// Directory to write, which must not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many scenes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: usize,
    /// Seed of the first scene; the next ones follow.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Size of a scene in pixels.
    #[arg(long, value_names = ["WIDTH", "HEIGHT"], num_args = 2, default_values_t = [1200, 1200])]
    size: Vec<usize>,
    /// Metres a pixel.
    #[arg(long, value_name = "METRES", default_value_t = skyscapes::GSD_M)]
    gsd: f64,
}

#[derive(Debug, Args)]
pub(super) struct Stats {
    /// The data set.
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Directory for the figures (SVG) and the numbers (JSON).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Which splits [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    splits: Vec<String>,
}

/// Bars in a figure of expressions or words.
const MOST: usize = 40;

impl Dataset {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Unified(command) => command.run(),
            Self::Refsegrs(command) => command.run(),
            Self::Synthetic(command) => command.run(),
            Self::Stats(command) => command.run(),
        }
    }
}

impl Unified {
    fn run(self) -> Result<()> {
        let mut rules = Rules::unified();
        if self.keep_all_selected {
            rules.max_selected_share = 1.0;
        }
        let bar = progress_bar(0).with_message("scenes");
        let progress = follow(&bar);
        let summaries = unified::build(&self.data, &self.out, &self.splits, &rules, progress)?;
        bar.finish_and_clear();
        print(&summaries);
        Ok(())
    }
}

impl Refsegrs {
    fn run(self) -> Result<()> {
        let mut rules = Rules {
            extended: self.extended,
            max_absent: [self.absent; 3],
            ..Rules::refsegrs()
        };
        if self.keep_all_selected {
            rules.max_selected_share = 1.0;
        }
        let settings = refsegrs::Settings {
            tile: (self.tile_size[0], self.tile_size[1]),
            crop: self.crop,
            stride: self.stride,
            size: self.size,
            seed: self.seed,
            rules,
        };
        let bar = progress_bar(0).with_message("tiles");
        let summaries = refsegrs::build(&self.tiles, &self.out, &settings, follow(&bar))?;
        bar.finish_and_clear();
        print(&summaries);
        Ok(())
    }
}

impl Synthetic {
    fn run(self) -> Result<()> {
        let settings = synthetic::Settings {
            seed: self.seed,
            size: (self.size[0], self.size[1]),
            gsd_m: self.gsd,
        };
        let bar = progress_bar(self.count).with_message("scenes");
        synthetic::write(&self.out, self.count, &settings, |done| {
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        println!("{} scenes in {}", self.count, self.out.display());
        Ok(())
    }
}

impl Stats {
    fn run(self) -> Result<()> {
        let bar = progress_bar(0).with_message("samples");
        let statistics = stats::count(&self.data, &self.splits, follow(&bar))?;
        bar.finish_and_clear();
        println!("{}", statistics.markdown());
        if let Some(out) = &self.out {
            let json = format!("{:#}\n", serde_json::json!(statistics));
            for (name, content) in [
                ("foreground.svg", statistics.proportion_figure()),
                ("expressions.svg", statistics.expression_figure(MOST)),
                ("words.svg", statistics.word_figure(MOST)),
                ("statistics.json", json),
            ] {
                write(&out.join(name), content.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn follow(bar: &ProgressBar) -> impl FnMut(usize, usize) {
    |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    }
}

fn print(summaries: &BTreeMap<String, SplitSummary>) {
    for (split, summary) in summaries {
        println!(
            "{split}: {} expressions with a target and {} without, from {} scenes; \
             {} scenes left out",
            summary.present, summary.absent, summary.scenes, summary.left_out
        );
    }
}
