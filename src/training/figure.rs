//! The curves of a run: loss above, validation scores below.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::TrainingError;
use super::log::Entry;

const SIZE: (u32, u32) = (900, 700);
/// Steps are gathered to at most so many points: an SVG holds each.
const POINTS: usize = 500;

type Points = Vec<(f64, f64)>;

/// An SVG of what the log holds; epochs run along the horizontal axes.
///
/// # Errors
/// [`TrainingError::Figure`].
pub fn curves(entries: &[Entry], steps_per_epoch: usize) -> Result<String, TrainingError> {
    let losses = loss_points(entries, steps_per_epoch);
    let score = |pick: fn(&crate::metrics::ScoreReport) -> Option<f64>| -> Points {
        let points = entries.iter().filter_map(|entry| match entry {
            Entry::Validation { epoch, scores, .. } => Some((*epoch as f64, pick(scores)?)),
            Entry::Step { .. } => None,
        });
        points.collect()
    };
    let oiou = score(|scores| scores.oiou);
    let miou = score(|scores| scores.miou);
    let epochs = losses
        .iter()
        .chain(&oiou)
        .map(|(epoch, _)| *epoch)
        .fold(1.0, f64::max);
    let highest = losses.iter().map(|(_, loss)| *loss).fold(0.0, f64::max);
    let highest = if highest > 0.0 { 1.05 * highest } else { 1.0 };

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (upper, lower) = root.split_vertically(SIZE.1 / 2);
        let loss = Curve {
            label: "training loss",
            colour: RGBColor(200, 80, 30),
            points: losses,
        };
        panel(&upper, "Loss", epochs, highest, &[loss])?;
        let scores = [
            Curve {
                label: "oIoU",
                colour: RGBColor(30, 90, 180),
                points: oiou,
            },
            Curve {
                label: "mIoU",
                colour: RGBColor(20, 140, 90),
                points: miou,
            },
        ];
        panel(&lower, "Validation", epochs, 1.0, &scores)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

struct Curve {
    label: &'static str,
    colour: RGBColor,
    points: Points,
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    epochs: f64,
    highest: f64,
    curves: &[Curve],
) -> Result<(), TrainingError> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..epochs, 0.0..highest)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for curve in curves {
        let style = curve.colour.stroke_width(2);
        let line = LineSeries::new(curve.points.iter().copied(), style);
        chart
            .draw_series(line)
            .map_err(failed)?
            .label(curve.label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        // A curve of one point has no line.
        let dots = curve.points.iter().filter(|_| curve.points.len() < 50);
        let dots = dots.map(|point| Circle::new(*point, 3, style.filled()));
        chart.draw_series(dots).map_err(failed)?;
    }
    chart
        .configure_series_labels()
        .border_style(BLACK)
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(failed)
}

/// The mean loss of each group of consecutive steps, at the end of the group.
fn loss_points(entries: &[Entry], steps_per_epoch: usize) -> Points {
    let losses: Points = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Step { step, loss, .. } => {
                Some((*step as f64 / steps_per_epoch as f64, f64::from(*loss)))
            }
            Entry::Validation { .. } => None,
        })
        .collect();
    losses
        .chunks(losses.len().div_ceil(POINTS).max(1))
        .filter_map(|group| {
            let (epoch, _) = group.last()?;
            let mean = group.iter().map(|(_, loss)| loss).sum::<f64>() / group.len() as f64;
            Some((*epoch, mean))
        })
        .collect()
}

fn failed(error: impl std::fmt::Display) -> TrainingError {
    TrainingError::Figure {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize, loss: f32) -> Entry {
        Entry::Step {
            step,
            epoch: 1,
            loss,
            learning_rate: 1e-4,
            samples_per_second: 1.0,
        }
    }

    #[test]
    fn long_runs_are_gathered_to_means() {
        let entries: Vec<Entry> = (1..=2000).map(|at| step(at, (at % 2) as f32)).collect();
        let points = loss_points(&entries, 100);
        assert_eq!(points.len(), POINTS);
        assert!(points.iter().all(|(_, loss)| (loss - 0.5).abs() < 1e-9));
        assert_eq!(points.last().map(|(epoch, _)| *epoch), Some(20.0));
    }

    #[test]
    fn the_figure_names_what_it_shows_even_before_the_first_step() {
        for entries in [vec![], vec![step(1, 0.7), step(2, 0.5)]] {
            let svg = curves(&entries, 2).expect("drawn");
            for word in ["<svg", "Loss", "Validation", "oIoU", "mIoU", "epoch"] {
                assert!(svg.contains(word), "{word}");
            }
        }
    }
}
