//! What a data set holds, as numbers and figures: the share of the image that targets cover (Fig. 7 of
//! the paper) and what the expressions say (Fig. 3).

mod figure;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::release::Split;
use super::vocabulary::ExpressionKind;
use super::{DatasetError, Provenance};
use crate::mask::Mask;

pub use figure::Bars;

/// Upper ends of the bins of the foreground proportion; the last holds the whole image.
pub const PROPORTION_BINS: [f64; 9] = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// Words that say nothing alone.
const FILLERS: [&str; 8] = ["a", "along", "beside", "in", "of", "on", "the", "with"];

/// The statistics of some splits.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Samples by split.
    pub splits: BTreeMap<String, SplitStatistics>,
    /// How often each expression occurs.
    pub expressions: BTreeMap<String, u64>,
    /// How often each word occurs, but for words such as "the".
    pub words: BTreeMap<String, u64>,
    /// Samples with a target by kind of expression; "other" where that cannot be told.
    pub kinds: BTreeMap<String, u64>,
    /// Samples with a target by category.
    pub categories: BTreeMap<String, u64>,
    /// Samples with a target by bin of [`PROPORTION_BINS`].
    pub proportions: [u64; PROPORTION_BINS.len()],
}

/// One split in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SplitStatistics {
    /// Scenes, where the data set tells.
    pub scenes: u64,
    /// Samples with a target.
    pub present: u64,
    /// Samples without.
    pub absent: u64,
    /// Mean number of words of an expression.
    pub mean_words: f64,
    /// Mean share of the image that a target covers.
    pub mean_proportion: f64,
}

/// The bin of a foreground proportion from 0 to 1.
pub fn proportion_bin(proportion: f64) -> usize {
    PROPORTION_BINS
        .iter()
        .position(|end| proportion <= *end)
        .unwrap_or(PROPORTION_BINS.len() - 1)
}

/// Name of a bin: "1-2 %".
pub fn proportion_label(bin: usize) -> String {
    let percent = |share: f64| format!("{}", (share * 1e6).round() / 1e4);
    let end = percent(PROPORTION_BINS[bin]);
    match bin.checked_sub(1) {
        None => format!("0-{end} %"),
        Some(before) => format!("{}-{end} %", percent(PROPORTION_BINS[before])),
    }
}

/// Counts a data set's splits; all of them where none is named. `progress` is called with the samples
/// done and their number.
///
/// # Errors
/// Any of [`DatasetError`]'s about files.
pub fn count(
    root: &Path,
    splits: &[String],
    mut progress: impl FnMut(usize, usize),
) -> Result<Statistics, DatasetError> {
    let names = if splits.is_empty() {
        Split::names(root)?
    } else {
        splits.to_vec()
    };
    let opened = names
        .iter()
        .map(|name| Split::open(root, name))
        .collect::<Result<Vec<_>, _>>()?;
    if opened.is_empty() {
        // Says which files were expected.
        Split::open(root, "train")?;
    }
    let provenance = Provenance::read(root)?;
    let total = opened.iter().map(|split| split.triplets.len()).sum();
    let mut done = 0;
    let mut statistics = Statistics::default();
    for split in &opened {
        let mut counted = SplitStatistics::default();
        let mut scenes = std::collections::BTreeSet::new();
        for triplet in &split.triplets {
            progress(done, total);
            done += 1;
            scenes.extend(provenance.samples.get(&triplet.id).map(|s| &s.scene));
            counted.mean_words += statistics.count_words(&triplet.expression);
            let mask = read_mask(&triplet.mask)?;
            let proportion = mask.foreground() as f64 / mask.data.len() as f64;
            if mask.foreground() == 0 {
                counted.absent += 1;
                continue;
            }
            counted.present += 1;
            counted.mean_proportion += proportion;
            statistics.proportions[proportion_bin(proportion)] += 1;
            let (kind, category) = match provenance.describe(triplet) {
                Some(found) => (found.kind.name(), found.category),
                None => ("other", "other".to_owned()),
            };
            *statistics.kinds.entry(kind.to_owned()).or_default() += 1;
            *statistics.categories.entry(category).or_default() += 1;
        }
        counted.scenes = scenes.len() as u64;
        counted.mean_words /= split.triplets.len() as f64;
        counted.mean_proportion /= counted.present.max(1) as f64;
        statistics.splits.insert(split.name.clone(), counted);
    }
    progress(total, total);
    Ok(statistics)
}

fn read_mask(path: &Path) -> Result<Mask, DatasetError> {
    let bytes = std::fs::read(path).map_err(|source| DatasetError::reading(path, source))?;
    Ok(Mask::decode(&bytes, &path.display().to_string())?)
}

impl Statistics {
    /// Counts an expression and its words, and tells how many words it has.
    fn count_words(&mut self, expression: &str) -> f64 {
        *self.expressions.entry(expression.to_owned()).or_default() += 1;
        for word in expression.split_whitespace() {
            if !FILLERS.contains(&word) {
                *self.words.entry(word.to_owned()).or_default() += 1;
            }
        }
        expression.split_whitespace().count() as f64
    }

    /// Fig. 7: how many targets cover which share of their image.
    pub fn proportion_figure(&self) -> String {
        let bars = self.proportions.iter().enumerate();
        Bars {
            title: "Foreground proportion of the targets",
            axis: "samples",
            bars: bars
                .map(|(bin, count)| (proportion_label(bin), *count))
                .collect(),
        }
        .svg()
    }

    /// Fig. 3, left: the most frequent expressions.
    pub fn expression_figure(&self, most: usize) -> String {
        Bars {
            title: "Expressions",
            axis: "samples",
            bars: most_frequent(&self.expressions, most),
        }
        .svg()
    }

    /// Fig. 3, right: the most frequent words.
    pub fn word_figure(&self, most: usize) -> String {
        Bars {
            title: "Words of the expressions",
            axis: "occurrences",
            bars: most_frequent(&self.words, most),
        }
        .svg()
    }

    /// A table for people, in Markdown.
    pub fn markdown(&self) -> String {
        let mut lines = vec![
            "| split | scenes | with target | without | words | foreground |".to_owned(),
            "| :---- | -----: | ----------: | ------: | ----: | ---------: |".to_owned(),
        ];
        for (name, split) in &self.splits {
            lines.push(format!(
                "| {name} | {} | {} | {} | {:.2} | {:.2} % |",
                split.scenes,
                split.present,
                split.absent,
                split.mean_words,
                split.mean_proportion * 100.0
            ));
        }
        let kinds = ExpressionKind::ALL.map(ExpressionKind::name);
        let kinds = kinds.into_iter().chain(["other"]).filter_map(|kind| {
            let count = self.kinds.get(kind)?;
            Some(format!("{kind} {count}"))
        });
        lines.push(String::new());
        lines.push(format!(
            "By kind: {}.",
            kinds.collect::<Vec<_>>().join(", ")
        ));
        lines.push(format!(
            "{} different expressions of {} different words.",
            self.expressions.len(),
            self.words.len()
        ));
        lines.join("\n")
    }
}

fn most_frequent(counts: &BTreeMap<String, u64>, most: usize) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = counts.clone().into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(most);
    counts
}
