//! Vehicles: cars, vans, trucks, long trucks, buses, trailers.

use std::collections::BTreeMap;

use super::canvas::{Canvas, Colour, Point, scaled, turned};
use super::random::Random;
use crate::dataset::instance::Instance;
use crate::dataset::skyscapes as labels;

/// What a vehicle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Car,
    Van,
    Truck,
    LargeTruck,
    Bus,
    Trailer,
}

/// A vehicle and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Vehicle {
    kind: Kind,
    centre: Point,
    /// Where its front points, in radians.
    direction: f64,
    length: f64,
    width: f64,
    height: f64,
    colour: Colour,
    colour_name: &'static str,
}

/// On a road.
pub(super) const TRAFFIC: &[(f64, Kind)] = &[
    (0.70, Kind::Car),
    (0.12, Kind::Van),
    (0.06, Kind::Truck),
    (0.04, Kind::LargeTruck),
    (0.06, Kind::Bus),
    (0.02, Kind::Trailer),
];

/// In a parking area.
pub(super) const PARKED: &[(f64, Kind)] =
    &[(0.86, Kind::Car), (0.11, Kind::Van), (0.03, Kind::Trailer)];

/// At a warehouse.
pub(super) const FREIGHT: &[(f64, Kind)] = &[
    (0.40, Kind::Truck),
    (0.35, Kind::LargeTruck),
    (0.25, Kind::Trailer),
];

const CAR_COLOURS: &[(f64, (&str, Colour))] = &[
    (0.24, ("white", [0.90, 0.90, 0.89])),
    (0.22, ("silver", [0.68, 0.69, 0.71])),
    (0.22, ("black", [0.08, 0.08, 0.09])),
    (0.12, ("grey", [0.34, 0.35, 0.37])),
    (0.09, ("blue", [0.12, 0.20, 0.46])),
    (0.08, ("red", [0.58, 0.09, 0.08])),
    (0.02, ("green", [0.10, 0.28, 0.17])),
    (0.02, ("yellow", [0.82, 0.66, 0.14])),
];

const HEAVY_COLOURS: &[(f64, (&str, Colour))] = &[
    (0.50, ("white", [0.88, 0.88, 0.86])),
    (0.15, ("silver", [0.66, 0.67, 0.68])),
    (0.12, ("blue", [0.16, 0.27, 0.52])),
    (0.11, ("red", [0.62, 0.13, 0.11])),
    (0.06, ("yellow", [0.84, 0.68, 0.16])),
    (0.06, ("green", [0.16, 0.36, 0.22])),
];

impl Kind {
    pub(super) fn label(self) -> u8 {
        match self {
            Self::Car => labels::CAR,
            Self::Van => labels::VAN,
            Self::Truck => labels::TRUCK,
            Self::LargeTruck => labels::LARGE_TRUCK,
            Self::Bus => labels::BUS,
            Self::Trailer => labels::TRAILER,
        }
    }
}

impl Vehicle {
    pub(super) fn new(kind: Kind, centre: Point, direction: f64, random: &mut Random) -> Self {
        let (length, width, height) = match kind {
            Kind::Car => (random.about(4.4, 0.35), random.about(1.82, 0.07), 1.5),
            Kind::Van => (random.about(5.4, 0.35), random.about(2.05, 0.06), 2.2),
            Kind::Truck => (random.about(8.0, 0.8), 2.5, 3.2),
            Kind::LargeTruck => (random.about(16.2, 0.6), 2.55, 3.8),
            Kind::Bus => (random.about(12.2, 0.9), 2.6, 3.2),
            Kind::Trailer => (random.about(5.6, 0.9), random.about(2.2, 0.1), 2.2),
        };
        let palette = match kind {
            Kind::Car | Kind::Van => CAR_COLOURS,
            _ => HEAVY_COLOURS,
        };
        let (colour_name, colour) = *random.pick(palette);
        let brightness = random.about(1.0, 0.08);
        Self {
            kind,
            centre,
            direction,
            length,
            width,
            height,
            colour: scaled(colour, brightness),
            colour_name,
        }
    }

    pub(super) fn length(&self) -> f64 {
        self.length
    }

    /// Whether it would touch another one.
    pub(super) fn touches(&self, other: &Self) -> bool {
        let apart = [0, 1].map(|axis| other.centre[axis] - self.centre[axis]);
        let reach = (self.length + other.length) / 2.0 + 0.5;
        if apart[0].hypot(apart[1]) > reach {
            return false;
        }
        // Its corners and sides in the frame of the other, both ways.
        let is_inside = |one: &Self, two: &Self| {
            one.body()
                .into_iter()
                .chain([
                    one.at([0.0, one.width / 2.0]),
                    one.at([0.0, -one.width / 2.0]),
                ])
                .chain([one.centre])
                .any(|[x, y]| {
                    let (x, y) = (x - two.centre[0], y - two.centre[1]);
                    let (sin, cos) = two.direction.sin_cos();
                    let (along, across) = (cos * x + sin * y, cos * y - sin * x);
                    along.abs() < two.length / 2.0 + 0.4 && across.abs() < two.width / 2.0 + 0.2
                })
        };
        is_inside(self, other) || is_inside(other, self)
    }

    /// The same vehicle elsewhere.
    pub(super) fn moved(mut self, centre: Point) -> Self {
        self.centre = centre;
        self
    }

    pub(super) fn shadow(&self, canvas: &mut Canvas, sun: Point) {
        // As a hull of the body and its shifted copy: two copies and what is between.
        for step in [0.35, 0.7, 1.0] {
            let by = self.height * step * 0.8;
            let centre = [self.centre[0] + sun[0] * by, self.centre[1] + sun[1] * by];
            canvas.shadow(&turned(centre, self.direction, self.length, self.width));
        }
    }

    /// Draws it, and tells what it is. `None` where it is outside the image.
    pub(super) fn draw(&self, canvas: &mut Canvas, random: &mut Random) -> Option<Instance> {
        if !canvas.sees(self.centre, self.length) {
            return None;
        }
        let body = self.body();
        canvas.area(&body, scaled(self.colour, 0.86), self.kind.label());
        match self.kind {
            Kind::Car | Kind::Van => self.draw_car(canvas),
            Kind::Truck | Kind::LargeTruck => self.draw_truck(canvas, random),
            Kind::Bus => self.draw_bus(canvas),
            Kind::Trailer => self.draw_trailer(canvas, random),
        }
        let [r, g, b] = self.colour;
        let brightness = 0.3 * r + 0.59 * g + 0.11 * b;
        let mut attributes = BTreeMap::from([("colour".to_owned(), self.colour_name.to_owned())]);
        if !(0.3..=0.6).contains(&brightness) {
            let tone = if brightness > 0.6 { "light" } else { "dark" };
            attributes.insert("tone".to_owned(), tone.to_owned());
        }
        Some(Instance {
            class: labels::CLASSES[usize::from(self.kind.label())].to_owned(),
            outline: canvas.outline(&body),
            attributes,
        })
    }

    /// The outline, with its corners cut.
    fn body(&self) -> Vec<Point> {
        let (l, w) = (self.length / 2.0, self.width / 2.0);
        let cut = (self.width * 0.18).min(0.4);
        let corners = [
            [-l + cut, -w],
            [l - cut, -w],
            [l, -w + cut],
            [l, w - cut],
            [l - cut, w],
            [-l + cut, w],
            [-l, w - cut],
            [-l, -w + cut],
        ];
        corners.map(|corner| self.at(corner)).to_vec()
    }

    /// A position along and across it.
    fn at(&self, [along, across]: Point) -> Point {
        let (sin, cos) = self.direction.sin_cos();
        [
            self.centre[0] + cos * along - sin * across,
            self.centre[1] + sin * along + cos * across,
        ]
    }

    /// A part of it, from one share of its length to another, so wide.
    fn part(&self, from: f64, to: f64, width: f64) -> [Point; 4] {
        let (a, b) = (from * self.length / 2.0, to * self.length / 2.0);
        let w = width * self.width / 2.0;
        [[a, -w], [b, -w], [b, w], [a, w]].map(|corner| self.at(corner))
    }

    fn draw_car(&self, canvas: &mut Canvas) {
        let glass = [0.10, 0.12, 0.15];
        let (front, back) = if self.kind == Kind::Van {
            (0.62, -0.95)
        } else {
            (0.34, -0.72)
        };
        canvas.tint(&self.part(front, 0.96, 0.86), self.colour, 1.0);
        canvas.tint(&self.part(back, front, 0.9), glass, 0.9);
        let roof = if self.kind == Kind::Van {
            (-0.9, 0.42)
        } else {
            (-0.5, 0.1)
        };
        canvas.tint(
            &self.part(roof.0, roof.1, 0.78),
            scaled(self.colour, 1.08),
            1.0,
        );
        if self.kind == Kind::Car {
            canvas.tint(&self.part(-0.97, -0.72, 0.84), self.colour, 1.0);
        }
    }

    fn draw_truck(&self, canvas: &mut Canvas, random: &mut Random) {
        let cab = 2.2 / self.length * 2.0;
        canvas.tint(&self.part(1.0 - cab, 0.98, 0.94), self.colour, 1.0);
        canvas.tint(&self.part(0.9, 0.98, 0.8), [0.12, 0.13, 0.16], 0.8);
        canvas.tint(
            &self.part(0.94 - cab, 1.0 - cab, 0.9),
            [0.15, 0.15, 0.15],
            0.9,
        );
        let load = *random.pick(&[
            (0.6, [0.86, 0.86, 0.84]),
            (0.2, [0.55, 0.56, 0.58]),
            (0.1, [0.42, 0.36, 0.28]),
            (0.1, [0.30, 0.38, 0.52]),
        ]);
        canvas.tint(&self.part(-0.99, 0.94 - cab, 0.98), load, 1.0);
        canvas.tint(&self.part(-0.99, 0.94 - cab, 0.06), scaled(load, 0.85), 0.7);
    }

    fn draw_bus(&self, canvas: &mut Canvas) {
        canvas.tint(&self.part(-0.98, 0.95, 0.9), scaled(self.colour, 1.05), 1.0);
        canvas.tint(&self.part(0.95, 1.0, 0.85), [0.1, 0.11, 0.14], 0.8);
        for hatch in [-0.6, -0.1, 0.45] {
            canvas.tint(
                &self.part(hatch, hatch + 0.14, 0.4),
                scaled(self.colour, 0.75),
                0.9,
            );
        }
    }

    fn draw_trailer(&self, canvas: &mut Canvas, random: &mut Random) {
        let load = *random.pick(&[
            (0.5, self.colour),
            (0.3, [0.45, 0.38, 0.30]),
            (0.2, [0.30, 0.31, 0.33]),
        ]);
        canvas.tint(&self.part(-0.95, 0.92, 0.9), load, 1.0);
        let hitch = [[self.length / 2.0, 0.0], [self.length / 2.0 + 1.0, 0.0]].map(|p| self.at(p));
        canvas.line(hitch[0], hitch[1], 0.15, [0.2, 0.2, 0.2], 0.9);
    }
}
