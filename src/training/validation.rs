//! Scores on the validation split, by the same way through as `rrsis evaluate`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::config::SelectBy;
use crate::dataset::release::Split;
use crate::error::Result;
use crate::metrics::{Evaluation, Report};
use crate::segmenter::{SegmentOptions, Segmenter};

/// Scores `segmenter` on `split`; `None` where `stop` was set before the end. `progress` is told
/// how many samples are done.
///
/// # Errors
/// Whatever reading or segmenting a sample gives.
pub(super) fn validate(
    segmenter: &Segmenter,
    split: &Split,
    stop: &AtomicBool,
    mut progress: impl FnMut(usize),
) -> Result<Option<Report>> {
    let mut evaluation = Evaluation::default();
    let options = SegmentOptions::default();
    for (done, triplet) in split.triplets.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let image = triplet.decode_image(&triplet.read_image()?)?;
        let target = triplet.read_mask(&image)?;
        let expression = &triplet.expression;
        let result = pollster::block_on(segmenter.segment(&image, expression, &options))?;
        evaluation.add(&result.mask(), &target, &[])?;
        progress(done + 1);
    }
    Ok(Some(evaluation.report()))
}

/// The score that decides; 0 where no sample has a target.
pub(super) fn deciding(report: &Report, by: SelectBy) -> f64 {
    let score = match by {
        SelectBy::Oiou => report.scores.oiou,
        SelectBy::Miou => report.scores.miou,
    };
    score.unwrap_or(0.0)
}
