//! Deciding a spatial relation: connected regions of the subject, filtered by a buffer around them
//! or around the reference (section III-B of the paper).
//!
//! The annotation may have unknown pixels, so a region is *selected*, *not selected* or *uncertain*:
//! uncertain where the unknown pixels, were they the reference, would turn the decision.

use super::nearest::Nearest;
use super::vocabulary::Test;
use crate::mask::{Connectivity, Mask, Regions};

/// Metres a pixel that are assumed where a scene does not tell. A coarse value makes the buffers
/// narrow, and so errs towards regions that touch.
pub const UNKNOWN_GSD_M: f64 = 1.0;

/// Narrowest buffer, in pixels: at its edge a label is one or two pixels off.
pub const MIN_BUFFER: f64 = 2.0;

/// A mask with its regions and distances.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The mask.
    pub mask: Mask,
    /// Its connected regions.
    pub regions: Regions,
    /// The nearest pixel of it.
    pub nearest: Nearest,
}

/// What lies around the subject and the reference. All masks have one size.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What stands on the ground or hides it (vehicles, trees): it does not count as ground.
    pub covering: &'a Mask,
    /// Pixels of which nobody knows what they are.
    pub unknown: &'a Mask,
    /// The nearest of them.
    pub nearest_unknown: &'a Nearest,
    /// Metres a pixel.
    pub gsd_m: f64,
}

/// The regions of the subject that stand in the relation, and those that may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// They do.
    pub selected: Mask,
    /// Nobody knows.
    pub uncertain: Mask,
}

/// What was counted for one region.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// Pixels for the relation.
    for_it: u64,
    /// Pixels that would be for it if the unknown were the reference.
    perhaps: u64,
    /// All pixels that count.
    all: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Selected,
    Not,
    Uncertain,
}

impl Shape {
    /// Analyses a mask.
    pub fn new(mask: Mask) -> Self {
        Self {
            regions: Regions::find(&mask, Connectivity::Eight),
            nearest: Nearest::find(&mask),
            mask,
        }
    }
}

/// Tries each region of the subject against the reference.
pub fn select(subject: &Shape, reference: &Shape, around: Surroundings, test: Test) -> Selection {
    let pixels = |metres: f64| (metres / around.gsd_m).max(MIN_BUFFER);
    let verdicts: Vec<Verdict> = match test {
        Test::Surrounded { ring, share } => {
            let tallies = in_ring(subject, reference, around, pixels(ring));
            tallies.iter().map(|tally| tally.share(share)).collect()
        }
        Test::Near { buffer, share } => {
            let tallies = near(subject, reference, around, pixels(buffer));
            tallies.iter().map(|tally| tally.share(share)).collect()
        }
        Test::Has { buffer, area } => {
            let least = (area / around.gsd_m.powi(2)).max(MIN_BUFFER * MIN_BUFFER);
            let tallies = around_it(subject, reference, around, pixels(buffer));
            tallies.iter().map(|tally| tally.area(least)).collect()
        }
    };
    let having = |verdict: Verdict| Mask {
        width: subject.mask.width,
        height: subject.mask.height,
        data: subject
            .regions
            .of
            .iter()
            .map(|region| u8::from(*region > 0 && verdicts[*region as usize - 1] == verdict))
            .collect(),
    };
    Selection {
        selected: having(Verdict::Selected),
        uncertain: having(Verdict::Uncertain),
    }
}

/// The ground in a ring around each region; where two rings meet, a pixel belongs to the nearer one.
fn in_ring(subject: &Shape, reference: &Shape, around: Surroundings, ring: f64) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); subject.regions.count];
    for at in 0..subject.mask.data.len() {
        if subject.mask.data[at] != 0 || !subject.nearest.within(at, ring) {
            continue;
        }
        let is_reference = reference.mask.data[at] != 0;
        let is_unknown = around.unknown.data[at] != 0;
        if around.covering.data[at] != 0 && !is_reference && !is_unknown {
            continue;
        }
        let region = subject.regions.of[subject.nearest.index[at] as usize];
        tallies[region as usize - 1].count(is_reference, is_unknown);
    }
    tallies
}

/// The outline of each region.
fn near(subject: &Shape, reference: &Shape, around: Surroundings, buffer: f64) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); subject.regions.count];
    for at in 0..subject.mask.data.len() {
        if subject.regions.is_outline(at, subject.mask.width) {
            let region = subject.regions.of[at];
            let is_near = reference.nearest.within(at, buffer);
            tallies[region as usize - 1].count(is_near, around.nearest_unknown.within(at, buffer));
        }
    }
    tallies
}

/// The reference in each region and around it.
fn around_it(subject: &Shape, reference: &Shape, around: Surroundings, buffer: f64) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); subject.regions.count];
    for at in 0..subject.mask.data.len() {
        let is_reference = reference.mask.data[at] != 0;
        let is_unknown = around.unknown.data[at] != 0;
        if (is_reference || is_unknown) && subject.nearest.within(at, buffer) {
            let region = subject.regions.of[subject.nearest.index[at] as usize];
            tallies[region as usize - 1].count(is_reference, is_unknown);
        }
    }
    tallies
}

impl Tally {
    fn count(&mut self, for_it: bool, unknown: bool) {
        self.all += 1;
        self.for_it += u64::from(for_it);
        self.perhaps += u64::from(for_it || unknown);
    }

    fn share(self, least: f64) -> Verdict {
        let share = |part: u64| part as f64 / self.all as f64;
        if self.all == 0 {
            // Nothing but other objects around it, or it fills the image.
            Verdict::Uncertain
        } else {
            verdict(share(self.for_it) >= least, share(self.perhaps) >= least)
        }
    }

    fn area(self, least: f64) -> Verdict {
        let enough = |part: u64| part as f64 >= least;
        verdict(enough(self.for_it), enough(self.perhaps))
    }
}

fn verdict(certain: bool, possible: bool) -> Verdict {
    match (certain, possible) {
        (true, _) => Verdict::Selected,
        (false, true) => Verdict::Uncertain,
        (false, false) => Verdict::Not,
    }
}
