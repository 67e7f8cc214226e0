//! Counting tests from what the runners print.

use std::fmt;

use anyhow::Result;

/// Tests of one runner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Count {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Tests that ran or were skipped.
    pub fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }
}

/// The sum over all runners; shown as `N passed, N failed, N skipped`.
#[derive(Debug, Default)]
pub struct Summary {
    sum: Count,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count {
            passed,
            failed,
            skipped,
        } = self.sum;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Summary {
    /// Adds what a runner counted. One that could not run is one failed test.
    pub fn add(&mut self, runner: &str, counted: Result<Count>) {
        let count = match counted {
            Ok(count) => count,
            Err(error) => {
                println!("{runner} broke, which counts as one failed test: {error:#}");
                Count {
                    failed: 1,
                    ..Count::default()
                }
            }
        };
        println!(
            "{runner}: {} passed, {} failed, {} skipped",
            count.passed, count.failed, count.skipped
        );
        self.sum.add(count);
    }

    /// Takes the tests that reported themselves as skipped, one a line, out of the passed ones.
    pub fn mark_skipped(&mut self, log: &str) {
        let reported = log.lines().filter(|line| !line.trim().is_empty());
        let count = reported
            .inspect(|line| println!("skipped: {}", line.trim()))
            .count() as u64;
        let moved = count.min(self.sum.passed);
        self.sum.passed -= moved;
        self.sum.skipped += moved;
    }

    /// Whether something ran and nothing failed.
    pub fn succeeded(&self) -> bool {
        self.sum.failed == 0 && self.sum.total() > 0
    }
}

/// Reads one line of libtest's output:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
pub fn libtest(line: &str) -> Option<Count> {
    let (_, counts) = line
        .trim()
        .strip_prefix("test result: ")?
        .split_once(". ")?;
    let number = |what: &str| {
        counts
            .split("; ")
            .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
    };
    Some(Count {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("ignored")?,
    })
}

/// Reads the TAP that node's test runner writes; `None` when it broke off before its totals.
pub fn node_tap(text: &str) -> Option<Count> {
    let total = |what: &str| {
        text.lines().rev().find_map(|line| {
            line.strip_prefix("# ")?
                .strip_prefix(what)?
                .trim()
                .parse::<u64>()
                .ok()
        })
    };
    // Node 20 reports tests that the name filter left out as skipped.
    let left_out = text
        .lines()
        .filter(|line| line.ends_with("# SKIP test name does not match pattern"))
        .count() as u64;
    Some(Count {
        passed: total("pass ")?,
        failed: total("fail ")? + total("cancelled ")?,
        skipped: (total("skipped ")? + total("todo ")?).saturating_sub(left_out),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(passed: u64, failed: u64, skipped: u64) -> Count {
        Count {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn libtest_results_are_read() {
        let line = "test result: ok. 31 passed; 0 failed; 2 ignored; 0 measured; 5 filtered out; finished in 1.20s";
        assert_eq!(libtest(line), Some(count(31, 0, 2)));
        let line = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(libtest(line), Some(count(1, 2, 0)));
        for line in [
            "test a ... ok",
            "running 3 tests",
            "",
            "test result: ",
            "test result: ok. many passed",
        ] {
            assert_eq!(libtest(line), None, "{line}");
        }
    }

    #[test]
    fn node_totals_are_read() {
        let tap = "TAP version 13\n# Subtest: a\nok 1 - a\n1..1\n# tests 7\n# suites 0\n# pass 3\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 1\n# duration_ms 12.5\n";
        assert_eq!(node_tap(tap), Some(count(3, 2, 2)));
        assert_eq!(node_tap("TAP version 13\n# Subtest: a\n"), None);
    }

    #[test]
    fn tests_the_filter_left_out_are_not_skipped_ones() {
        let tap = "ok 1 - a # SKIP test name does not match pattern\nok 2 - b # SKIP no adapter\nok 3 - c\n# pass 1\n# fail 0\n# cancelled 0\n# skipped 2\n# todo 0\n";
        assert_eq!(node_tap(tap), Some(count(1, 0, 1)));
    }

    #[test]
    fn tests_that_report_a_skip_do_not_count_as_passed() {
        let mut summary = Summary::default();
        summary.add("a", Ok(count(10, 0, 1)));
        summary.mark_skipped("no shared directory\n\nno data\n");
        assert_eq!(summary.to_string(), "8 passed, 0 failed, 3 skipped");
        assert!(summary.succeeded());
    }

    #[test]
    fn a_broken_or_empty_run_fails() {
        let mut broken = Summary::default();
        broken.add("a", Ok(count(3, 0, 0)));
        broken.add("b", Err(anyhow::anyhow!("cannot start")));
        assert_eq!(broken.to_string(), "3 passed, 1 failed, 0 skipped");
        assert!(!broken.succeeded());
        assert!(!Summary::default().succeeded());
    }
}
