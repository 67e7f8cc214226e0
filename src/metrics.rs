//! Scores of referring segmentation: oIoU, mIoU and Pr@X, section V-B of the paper, computed as the
//! official evaluation does.
//!
//! One place decides what counts. [`Scores`] is the official rule over whatever it is given: an
//! empty union is an IoU of 0, and Pr@X counts an IoU of exactly X. [`Evaluation`] gives it the
//! samples that have a target; a sample whose target is empty would be 0 whatever the network does,
//! so it goes into [`NoTargetReport`] instead, and `n` counts the samples with a target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mask::Mask;

/// The X of Pr@X.
pub const PRECISION_THRESHOLDS: [f64; 5] = [0.5, 0.6, 0.7, 0.8, 0.9];

/// Largest share of predicted pixels (exclusive) at which a prediction counts as empty.
pub const EMPTY_SHARE: f64 = 0.001;

/// Two masks that cannot be compared.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "The prediction has {} x {} pixels, its target {} x {}. Both must have the size of the image.",
    prediction.0, prediction.1, target.0, target.1
)]
pub struct SizeMismatch {
    /// Width and height.
    pub prediction: (usize, usize),
    /// Width and height.
    pub target: (usize, usize),
}

/// How far a prediction covers its target, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// In both.
    pub intersection: u64,
    /// In either.
    pub union: u64,
}

impl Overlap {
    /// Compares two masks of one size.
    ///
    /// # Errors
    /// [`SizeMismatch`].
    pub fn between(prediction: &Mask, target: &Mask) -> Result<Self, SizeMismatch> {
        let sizes = [prediction, target].map(|mask| (mask.width, mask.height));
        if sizes[0] != sizes[1] {
            return Err(SizeMismatch {
                prediction: sizes[0],
                target: sizes[1],
            });
        }
        let mut overlap = Self::default();
        for (predicted, wanted) in prediction.data.iter().zip(&target.data) {
            overlap.intersection += u64::from(predicted & wanted);
            overlap.union += u64::from(predicted | wanted);
        }
        Ok(overlap)
    }

    /// Intersection over union, from 0 to 1; 0 where the union is empty.
    pub fn iou(self) -> f64 {
        ratio(self.intersection, self.union).unwrap_or(0.0)
    }
}

/// The official scores, sample by sample, in constant memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    n: u64,
    sum: Overlap,
    iou_sum: f64,
    hits: [u64; PRECISION_THRESHOLDS.len()],
}

impl Scores {
    /// Takes one sample in.
    pub fn add(&mut self, overlap: Overlap) {
        let iou = overlap.iou();
        self.n += 1;
        self.sum.intersection += overlap.intersection;
        self.sum.union += overlap.union;
        self.iou_sum += iou;
        for (hits, threshold) in self.hits.iter_mut().zip(PRECISION_THRESHOLDS) {
            *hits += u64::from(iou >= threshold);
        }
    }

    /// Samples so far.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Overall IoU: summed intersections over summed unions. `None` before the first sample.
    pub fn oiou(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum.iou())
    }

    /// Mean IoU. `None` before the first sample.
    pub fn miou(&self) -> Option<f64> {
        (self.n > 0).then(|| self.iou_sum / self.n as f64)
    }

    /// Share of samples whose IoU reaches each of [`PRECISION_THRESHOLDS`]. `None` before the first
    /// sample.
    pub fn precision(&self) -> Option<[f64; PRECISION_THRESHOLDS.len()]> {
        (self.n > 0).then(|| self.hits.map(|hits| hits as f64 / self.n as f64))
    }
}

/// Scores over a set of samples, with tables by whatever the samples are grouped by.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    all: Group,
    tables: BTreeMap<String, BTreeMap<String, Group>>,
}

/// What one row of a table gathers.
#[derive(Clone, Debug, Default)]
struct Group {
    scores: Scores,
    no_target: u64,
    no_target_empty: u64,
}

impl Evaluation {
    /// Takes one sample in. `groups` says which row it belongs to in which table, for example
    /// `[("expression", "building")]`.
    ///
    /// # Errors
    /// [`SizeMismatch`]; the sample is not counted then.
    pub fn add(
        &mut self,
        prediction: &Mask,
        target: &Mask,
        groups: &[(&str, &str)],
    ) -> Result<(), SizeMismatch> {
        let overlap = Overlap::between(prediction, target)?;
        let sample = if target.foreground() > 0 {
            Sample::Target(overlap)
        } else {
            let pixels = target.data.len() as f64;
            Sample::NoTarget {
                empty: (prediction.foreground() as f64) < EMPTY_SHARE * pixels,
            }
        };
        self.all.add(sample);
        for (table, row) in groups {
            let table = self.tables.entry((*table).to_owned()).or_default();
            table.entry((*row).to_owned()).or_default().add(sample);
        }
        Ok(())
    }

    /// The scores over all samples so far.
    pub fn scores(&self) -> &Scores {
        &self.all.scores
    }

    /// The scores so far, with all tables.
    pub fn report(&self) -> Report {
        let rows = |table: &BTreeMap<String, Group>| {
            table
                .iter()
                .map(|(row, group)| (row.clone(), group.report()))
                .collect()
        };
        Report {
            scores: self.all.report(),
            by: self
                .tables
                .iter()
                .map(|(name, table)| (name.clone(), rows(table)))
                .collect(),
        }
    }
}

#[derive(Clone, Copy)]
enum Sample {
    Target(Overlap),
    NoTarget { empty: bool },
}

impl Group {
    fn add(&mut self, sample: Sample) {
        match sample {
            Sample::Target(overlap) => self.scores.add(overlap),
            Sample::NoTarget { empty } => {
                self.no_target += 1;
                self.no_target_empty += u64::from(empty);
            }
        }
    }

    fn report(&self) -> ScoreReport {
        let precision = self.scores.precision();
        ScoreReport {
            oiou: self.scores.oiou(),
            miou: self.scores.miou(),
            precision: PRECISION_THRESHOLDS
                .iter()
                .enumerate()
                .map(|(at, threshold)| (threshold.to_string(), precision.map(|all| all[at])))
                .collect(),
            n: self.scores.n(),
            no_target: NoTargetReport {
                n: self.no_target,
                empty_rate: ratio(self.no_target_empty, self.no_target),
            },
        }
    }
}

/// What `rrsis evaluate` writes: the scores over all samples, and tables of them by group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Over all samples.
    #[serde(flatten)]
    pub scores: ScoreReport,
    /// Name of the table, then of the row: for example `by.expression.building`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by: BTreeMap<String, BTreeMap<String, ScoreReport>>,
}

/// Scores from 0 to 1; `None` (`null`) where there is no sample to compute them from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreReport {
    /// Overall IoU.
    pub oiou: Option<f64>,
    /// Mean IoU.
    pub miou: Option<f64>,
    /// Pr@X by X, as "0.5".
    pub precision: BTreeMap<String, Option<f64>>,
    /// Samples with a target.
    pub n: u64,
    /// Samples without.
    pub no_target: NoTargetReport,
}

/// Samples whose target is empty: the expression names nothing in the image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoTargetReport {
    /// How many.
    pub n: u64,
    /// Share of them for which fewer than 0.1 % of the pixels are predicted.
    pub empty_rate: Option<f64>,
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
