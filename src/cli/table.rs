//! Tables for people, in Markdown.

use crate::metrics::{PRECISION_THRESHOLDS, Report, ScoreReport};

/// All scores in percent: a table with a row over all samples and a row for each expression, then
/// the report's other tables.
pub(super) fn markdown(report: &Report) -> String {
    let all = row("all", &report.scores);
    let rows_of = |name: &str| {
        let table = report.by.get(name).into_iter().flatten();
        table.map(|(name, scores)| row(name, scores))
    };
    let first = std::iter::once(all).chain(rows_of(EXPRESSION)).collect();
    let mut tables = vec![table(EXPRESSION, first)];
    for name in report.by.keys().filter(|name| *name != EXPRESSION) {
        let mut rows: Vec<_> = rows_of(name).collect();
        // "5-10 %" comes before "10-20 %"; names without a number stay as they are.
        rows.sort_by(|a, b| leading_number(&a[0]).total_cmp(&leading_number(&b[0])));
        tables.push(table(name, rows));
    }
    tables.join("\n\n")
}

fn leading_number(name: &str) -> f64 {
    let end = name.find(|c: char| !c.is_ascii_digit() && c != '.');
    name[..end.unwrap_or(name.len())].parse().unwrap_or(0.0)
}

const EXPRESSION: &str = "expression";

fn table(name: &str, rows: Vec<Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(header(name)).chain(rows).collect();
    aligned(&rows)
}

/// A Markdown table whose columns line up: the first row is the header, the first column words, the
/// others numbers.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                // A rule needs three characters.
                .max(3)
        })
        .collect();
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
        })
        .collect();
    let lines: Vec<String> = rows
        .iter()
        .take(1)
        .chain([&rule])
        .chain(rows.iter().skip(1))
        .map(|row| line(row, &widths))
        .collect();
    lines.join("\n")
}

fn header(name: &str) -> Vec<String> {
    let mut cells: Vec<String> = [name, "n", "oIoU", "mIoU"].map(String::from).into();
    cells.extend(PRECISION_THRESHOLDS.map(|threshold| format!("Pr@{threshold}")));
    cells.extend(["no target", "left empty"].map(String::from));
    cells
}

fn row(name: &str, scores: &ScoreReport) -> Vec<String> {
    // A bar would end the cell.
    let mut cells = vec![name.replace('|', "/"), scores.n.to_string()];
    cells.push(percent(scores.oiou));
    cells.push(percent(scores.miou));
    cells.extend(scores.precision.values().copied().map(percent));
    cells.push(scores.no_target.n.to_string());
    cells.push(percent(scores.no_target.empty_rate));
    cells
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.2}", share * 100.0))
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        })
        .collect();
    format!("| {} |", padded.join(" | "))
}

/// 1234567 as 1,234,567.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Mask;
    use crate::metrics::Evaluation;

    #[test]
    fn each_row_has_every_score_in_percent() {
        let mask = |data: &[u8]| Mask {
            width: 2,
            height: 2,
            data: data.to_vec(),
        };
        let mut evaluation = Evaluation::default();
        let (half, target, empty) = (mask(&[1, 0, 0, 0]), mask(&[1, 1, 0, 0]), mask(&[0; 4]));
        for (prediction, target, name) in [(&half, &target, "car"), (&empty, &empty, "bare land")] {
            evaluation
                .add(
                    prediction,
                    target,
                    &[("expression", name), ("kind", "category")],
                )
                .expect("the sizes agree");
        }
        let table = markdown(&evaluation.report());
        let expected = "\
| expression |   n |  oIoU |  mIoU | Pr@0.5 | Pr@0.6 | Pr@0.7 | Pr@0.8 | Pr@0.9 | no target | left empty |
| ---------- | --: | ----: | ----: | -----: | -----: | -----: | -----: | -----: | --------: | ---------: |
| all        |   1 | 50.00 | 50.00 | 100.00 |   0.00 |   0.00 |   0.00 |   0.00 |         1 |     100.00 |
| bare land  |   0 |     - |     - |      - |      - |      - |      - |      - |         1 |     100.00 |
| car        |   1 | 50.00 | 50.00 | 100.00 |   0.00 |   0.00 |   0.00 |   0.00 |         0 |          - |

| kind     |   n |  oIoU |  mIoU | Pr@0.5 | Pr@0.6 | Pr@0.7 | Pr@0.8 | Pr@0.9 | no target | left empty |
| -------- | --: | ----: | ----: | -----: | -----: | -----: | -----: | -----: | --------: | ---------: |
| category |   1 | 50.00 | 50.00 | 100.00 |   0.00 |   0.00 |   0.00 |   0.00 |         1 |     100.00 |";
        assert_eq!(table, expected);
    }

    #[test]
    fn digits_come_in_threes() {
        let numbers = [0, 7, 999, 1000, 123_456, 1_234_567];
        let texts = ["0", "7", "999", "1,000", "123,456", "1,234,567"];
        assert_eq!(numbers.map(thousands), texts);
    }
}
