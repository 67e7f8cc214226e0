//! Bar charts as SVG. A plotting crate would bring far more than rectangles and text.

use std::fmt::Write;

/// A horizontal bar chart.
#[derive(Clone, Debug)]
pub struct Bars<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// What is counted.
    pub axis: &'a str,
    /// Name and length of each bar, from top to bottom.
    pub bars: Vec<(String, u64)>,
}

const ROW: usize = 22;
const TOP: usize = 44;
const CHART: f64 = 420.0;
const RIGHT: f64 = 70.0;
/// Width of a letter, about.
const LETTER: f64 = 6.9;

impl Bars<'_> {
    /// The chart, with the numbers beside the bars.
    pub fn svg(&self) -> String {
        let longest = self.bars.iter().map(|(name, _)| name.chars().count()).max();
        let left = longest.unwrap_or(0) as f64 * LETTER + 24.0;
        let most = self.bars.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let (width, height) = (left + CHART + RIGHT, TOP + ROW * self.bars.len() + 30);
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height}\" \
             width=\"{width:.0}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"16\" y=\"26\" font-size=\"16\">{}</text>\n",
            escaped(self.title)
        );
        for (at, (name, count)) in self.bars.iter().enumerate() {
            let y = TOP + ROW * at;
            let length = CHART * *count as f64 / most.max(1) as f64;
            let _ = write!(
                svg,
                "<text x=\"{:.0}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
                 <rect x=\"{left:.0}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"#2f6f9f\"/>\n\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"#444\">{count}</text>\n",
                left - 8.0,
                y + 15,
                escaped(name),
                y + 3,
                ROW - 6,
                left + length + 6.0,
                y + 15,
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{left:.0}\" y=\"{}\" fill=\"#444\">{}</text>\n</svg>",
            height - 10,
            escaped(self.axis)
        );
        svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let bars = vec![("car & van".to_owned(), 40), ("bus".to_owned(), 10)];
        let svg = Bars {
            title: "a < b",
            axis: "samples",
            bars,
        }
        .svg();
        assert!(svg.contains("width=\"420.0\"") && svg.contains("width=\"105.0\""));
        assert!(svg.contains("car &amp; van") && svg.contains("a &lt; b"));
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn no_bars_make_an_empty_chart() {
        let svg = Bars {
            title: "none",
            axis: "samples",
            bars: Vec::new(),
        }
        .svg();
        assert_eq!(svg.matches("<rect").count(), 1);
    }
}
