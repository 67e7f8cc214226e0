//! Which of two ways is faster, by trying.

/// Turns of each way; the first ones may be run by what an engine compiled in a hurry.
const TURNS: usize = 6;
/// How long a turn is, in milliseconds.
const LENGTH: f64 = 3.0;
/// So many trials are not timed: a clock that stands still for so long is of no use.
const MOST: usize = 2000;
/// Less is noise.
const GAIN: f64 = 1.1;

/// Whether the second way is faster, by its best turn; false where the clock cannot tell.
///
/// `trial(way)` takes some 0.02 ms, `now` gives milliseconds.
pub(super) fn second_is_faster(trial: impl Fn(usize), now: impl Fn() -> f64) -> bool {
    let mut best = [0.0f64; 2];
    for turn in 0..2 * TURNS {
        let way = turn % 2;
        let once = || {
            trial(way);
            now()
        };
        // Clocks of browsers are coarse: from one tick to another.
        let before = now();
        let Some(start) = (0..MOST).map(|_| once()).find(|start| *start > before) else {
            return false;
        };
        let Some((count, end)) = (1..MOST)
            .map(|count| (count, once()))
            .find(|(_, end)| end - start >= LENGTH)
        else {
            return false;
        };
        best[way] = best[way].max(count as f64 / (end - start));
    }
    best[1] > GAIN * best[0]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A clock of which a trial takes so long, and that shows whole ticks.
    fn chosen(milliseconds: [f64; 2], tick: f64) -> (bool, usize) {
        let (time, trials) = (Cell::new(0.0), Cell::new(0));
        let trial = |way: usize| {
            trials.set(trials.get() + 1);
            // In a hurry at first.
            let factor = if trials.get() < 100 { 5.0 } else { 1.0 };
            time.set(time.get() + factor * milliseconds[way]);
        };
        let second = second_is_faster(trial, || (time.get() / tick).floor() * tick);
        (second, trials.get())
    }

    #[test]
    fn the_faster_way_is_taken_where_it_is_clearly_faster() {
        for tick in [0.005, 0.1, 1.0] {
            assert!(chosen([0.02, 0.015], tick).0, "{tick}");
            assert!(!chosen([0.015, 0.02], tick).0, "{tick}");
            assert!(!chosen([0.02, 0.0195], tick).0, "{tick}");
        }
    }

    #[test]
    fn a_clock_that_stands_still_ends_it_soon() {
        let (second, trials) = chosen([0.02, 0.005], 1e9);
        assert!(!second && trials <= MOST);
    }
}
