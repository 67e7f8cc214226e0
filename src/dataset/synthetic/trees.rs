//! Trees, singly and in groups.

use super::canvas::{Canvas, Colour, Point, circle, scaled, varied};
use super::random::Random;
use crate::dataset::skyscapes as labels;

/// A crown.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) centre: Point,
    pub(super) radius: f64,
    colour: Colour,
}

impl Tree {
    pub(super) fn new(centre: Point, radius: f64, random: &mut Random) -> Self {
        let colour = *random.pick(&[
            (0.45, [0.20, 0.31, 0.14]),
            (0.3, [0.26, 0.35, 0.16]),
            (0.15, [0.15, 0.25, 0.15]),
            (0.07, [0.37, 0.37, 0.17]),
            (0.03, [0.36, 0.22, 0.16]),
        ]);
        Self {
            centre,
            radius,
            colour: varied(colour, 0.16, random),
        }
    }

    pub(super) fn shadow(&self, canvas: &mut Canvas, sun: Point) {
        let height = self.radius * 1.5;
        for step in [0.25, 0.5, 0.75, 1.0] {
            let by = height * step;
            let centre = [self.centre[0] + sun[0] * by, self.centre[1] + sun[1] * by];
            canvas.shadow(&circle(centre, self.radius * 0.95));
        }
    }

    /// A heap of leaves: clumps that are brighter towards the sun.
    pub(super) fn draw(&self, canvas: &mut Canvas, sun: Point, random: &mut Random) {
        if !canvas.sees(self.centre, self.radius * 2.0) {
            return;
        }
        let core = circle(self.centre, self.radius * 0.85);
        canvas.area(&core, scaled(self.colour, 0.6), labels::TREE);
        let sun_length = sun[0].hypot(sun[1]).max(0.1);
        let clumps = (8.0 + self.radius * 4.0) as usize;
        for clump in 0..clumps {
            // From the rim to the top, which is brightest.
            let inwards = clump as f64 / clumps as f64;
            let distance = self.radius * (0.82 - 0.7 * inwards) * random.between(0.7, 1.0);
            let angle = random.between(0.0, std::f64::consts::TAU);
            let offset = [angle.cos() * distance, angle.sin() * distance];
            let centre = [self.centre[0] + offset[0], self.centre[1] + offset[1]];
            let towards = -(offset[0] * sun[0] + offset[1] * sun[1]) / (sun_length * self.radius);
            let light = 0.72 + 0.35 * inwards + 0.3 * towards;
            let leaves = circle(centre, self.radius * random.between(0.2, 0.34));
            let colour = varied(scaled(self.colour, light), 0.1, random);
            canvas.area(&leaves, colour, labels::TREE);
        }
    }
}
