//! The scores, against the official evaluation.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use common::{read, shared_path};
use rrsis::mask::Mask;
use rrsis::metrics::{Evaluation, Overlap, PRECISION_THRESHOLDS, Report, Scores};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    pairs: Vec<Pair>,
    aggregate_all50: Aggregate,
    aggregate_random_only: Aggregate,
}

#[derive(Deserialize)]
#[allow(non_snake_case)]
struct Pair {
    name: String,
    shape: [usize; 2],
    pred_rle: Vec<usize>,
    gt_rle: Vec<usize>,
    I: u64,
    U: u64,
    test_iou: f64,
}

#[derive(Deserialize)]
#[allow(non_snake_case)]
struct Aggregate {
    n: u64,
    oIoU_percent: f64,
    mIoU_percent: f64,
    precision_percent: BTreeMap<String, f64>,
}

/// Run lengths over row-major pixels, zeros first.
fn from_runs([height, width]: [usize; 2], runs: &[usize]) -> Mask {
    let data: Vec<u8> = runs
        .iter()
        .enumerate()
        .flat_map(|(at, run)| std::iter::repeat_n((at % 2) as u8, *run))
        .collect();
    assert_eq!(data.len(), width * height);
    Mask {
        width,
        height,
        data,
    }
}

fn mask(width: usize, data: &[u8]) -> Mask {
    Mask {
        width,
        height: data.len() / width,
        data: data.to_vec(),
    }
}

fn close(ours: f64, golden: f64, what: &str) {
    assert!(
        (ours - golden).abs() < 1e-10,
        "{what}: {ours}, official {golden}"
    );
}

/// Golden: shared/fixtures/metrics.json, from the official train and test code.
#[test]
fn scores_equal_the_official_evaluation() {
    let Some(path) = shared_path("fixtures/metrics.json") else {
        return;
    };
    let fixture: Fixture = serde_json::from_slice(&read(path)).unwrap();
    assert_eq!(fixture.pairs.len(), 50);
    let (mut all, mut random) = (Scores::default(), Scores::default());
    for pair in &fixture.pairs {
        let prediction = from_runs(pair.shape, &pair.pred_rle);
        let target = from_runs(pair.shape, &pair.gt_rle);
        let overlap = Overlap::between(&prediction, &target).unwrap();
        assert_eq!(
            (overlap.intersection, overlap.union),
            (pair.I, pair.U),
            "{}",
            pair.name
        );
        // The JSON reader may be off by the last bit.
        let difference = (overlap.iou() - pair.test_iou).abs();
        assert!(
            difference <= f64::EPSILON,
            "{}: {} {}",
            pair.name,
            overlap.iou(),
            pair.test_iou
        );
        all.add(overlap);
        if pair.name.starts_with("random") {
            random.add(overlap);
        }
    }
    for (scores, golden) in [
        (all, fixture.aggregate_all50),
        (random, fixture.aggregate_random_only),
    ] {
        assert_eq!(scores.n(), golden.n);
        close(scores.oiou().unwrap() * 100.0, golden.oIoU_percent, "oIoU");
        close(scores.miou().unwrap() * 100.0, golden.mIoU_percent, "mIoU");
        let precision = scores.precision().unwrap();
        for (at, threshold) in PRECISION_THRESHOLDS.iter().enumerate() {
            let golden = golden.precision_percent[&threshold.to_string()];
            close(precision[at] * 100.0, golden, &format!("Pr@{threshold}"));
        }
    }
}

#[test]
fn an_empty_union_is_an_iou_of_zero() {
    let nothing = Mask::empty(4, 4);
    assert_eq!(Overlap::between(&nothing, &nothing).unwrap().iou(), 0.0);
}

#[test]
fn an_iou_on_the_threshold_reaches_it() {
    let mut scores = Scores::default();
    scores.add(Overlap {
        intersection: 6,
        union: 10,
    });
    assert_eq!(scores.precision(), Some([1.0, 1.0, 0.0, 0.0, 0.0]));
}

#[test]
fn overall_iou_weighs_pixels_and_mean_iou_weighs_samples() {
    let mut scores = Scores::default();
    scores.add(Overlap {
        intersection: 90,
        union: 100,
    });
    scores.add(Overlap {
        intersection: 0,
        union: 100,
    });
    scores.add(Overlap {
        intersection: 1,
        union: 1,
    });
    close(scores.oiou().unwrap(), 91.0 / 201.0, "oIoU");
    close(scores.miou().unwrap(), 1.9 / 3.0, "mIoU");
}

#[test]
fn samples_without_target_stay_out_of_the_official_scores() {
    let mut evaluation = Evaluation::default();
    let target = mask(2, &[1, 1, 0, 0]);
    evaluation
        .add(&target, &target, &[("expression", "car")])
        .unwrap();
    // 1,000 pixels: none predicted is empty, one (0.1 %) is not fewer than 0.1 %.
    let nothing = Mask::empty(100, 10);
    let mut one = nothing.clone();
    one.data[7] = 1;
    evaluation
        .add(&nothing, &nothing, &[("expression", "ship")])
        .unwrap();
    evaluation
        .add(&one, &nothing, &[("expression", "ship")])
        .unwrap();

    let report = evaluation.report();
    assert_eq!(
        (report.scores.n, report.scores.miou, report.scores.oiou),
        (1, Some(1.0), Some(1.0))
    );
    assert_eq!(
        (
            report.scores.no_target.n,
            report.scores.no_target.empty_rate
        ),
        (2, Some(0.5))
    );
    let ship = &report.by["expression"]["ship"];
    assert_eq!((ship.n, ship.miou, ship.no_target.n), (0, None, 2));
    let car = &report.by["expression"]["car"];
    assert_eq!(
        (car.n, car.miou, car.no_target.empty_rate),
        (1, Some(1.0), None)
    );
}

#[test]
fn the_report_has_the_documented_json() {
    let mut evaluation = Evaluation::default();
    let (prediction, target) = (mask(2, &[1, 0, 0, 0]), mask(2, &[1, 1, 0, 0]));
    evaluation
        .add(&prediction, &target, &[("expression", "car")])
        .unwrap();
    let report = evaluation.report();
    let json = serde_json::to_value(&report).unwrap();
    let row = serde_json::json!({
        "oiou": 0.5, "miou": 0.5, "n": 1,
        "precision": {"0.5": 1.0, "0.6": 0.0, "0.7": 0.0, "0.8": 0.0, "0.9": 0.0},
        "no_target": {"n": 0, "empty_rate": null},
    });
    let mut expected = row.clone();
    expected["by"] = serde_json::json!({"expression": {"car": row}});
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn masks_of_two_sizes_are_not_compared() {
    let error = Overlap::between(&Mask::empty(4, 2), &Mask::empty(2, 4)).unwrap_err();
    assert!(error.to_string().contains("4 x 2"), "{error}");
    let mut evaluation = Evaluation::default();
    assert!(
        evaluation
            .add(&Mask::empty(4, 2), &Mask::empty(2, 4), &[])
            .is_err()
    );
    assert_eq!(evaluation.report().scores.no_target.n, 0);
}
