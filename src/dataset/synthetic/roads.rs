//! Roads with sidewalks, bikeways and markings.

use super::canvas::{Canvas, Colour, Point, rectangle, varied};
use super::random::Random;
use crate::dataset::skyscapes as labels;

/// What a road is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lanes, centre lines, crossings.
    Main,
    /// One lane each way.
    Local,
    /// Gravel, without anything beside it.
    Unpaved,
}

/// A road along one axis of the street coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Road {
    /// Position of its centre on the other axis.
    pub(super) at: f64,
    pub(super) kind: Kind,
    /// Half the width of the carriageway.
    pub(super) half: f64,
    /// Width of the bikeways, or 0.
    pub(super) bikeway: f64,
    /// Width of the sidewalks, or 0.
    pub(super) sidewalk: f64,
    /// Lanes each way.
    pub(super) lanes: usize,
}

impl Road {
    /// From the centre to where the blocks begin.
    pub(super) fn reach(&self) -> f64 {
        self.half + self.bikeway + self.sidewalk
    }
}

/// The roads of a scene: across both axes.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// Roads along u, at some v; and along v, at some u.
    pub(super) roads: [Vec<Road>; 2],
    /// They go from minus this to this.
    pub(super) extent: f64,
    asphalt: Colour,
    pavement: Colour,
    red_bikeways: bool,
    gravel: Colour,
}

/// A position along and across an axis as a point.
pub(super) fn point(axis: usize, along: f64, across: f64) -> Point {
    if axis == 0 {
        [along, across]
    } else {
        [across, along]
    }
}

impl Network {
    pub(super) fn plan(extent: f64, random: &mut Random) -> Self {
        let grey = random.between(0.34, 0.52);
        let stone = random.between(0.52, 0.68);
        let mut roads = [Vec::new(), Vec::new()];
        for axis in &mut roads {
            let mut at = -extent + random.between(0.0, 70.0);
            while at < extent {
                axis.push(road(at, random));
                at += random.between(58.0, 125.0);
            }
        }
        Self {
            roads,
            extent,
            asphalt: [
                grey,
                grey * random.about(1.0, 0.03),
                grey * random.about(1.02, 0.05),
            ],
            pavement: [stone, stone * 0.985, stone * 0.95],
            red_bikeways: random.chance(0.6),
            gravel: varied([0.66, 0.58, 0.46], 0.15, random),
        }
    }

    /// Surfaces, then markings.
    pub(super) fn draw(&self, canvas: &mut Canvas, random: &mut Random) {
        let kerb = [0.74, 0.73, 0.70];
        let bikeway = if self.red_bikeways {
            [0.58, 0.37, 0.32]
        } else {
            [0.45, 0.45, 0.46]
        };
        for kind in [Kind::Unpaved, Kind::Local, Kind::Main] {
            self.strips(
                canvas,
                kind,
                |road| road.reach(),
                self.pavement,
                labels::SIDEWALK,
            );
        }
        for kind in [Kind::Local, Kind::Main] {
            let reach = |road: &Road| {
                if road.bikeway > 0.0 {
                    road.half + road.bikeway
                } else {
                    0.0
                }
            };
            self.strips(canvas, kind, reach, bikeway, labels::BIKEWAY);
        }
        self.kerbs(canvas, kerb);
        let gravel = self.gravel;
        self.strips(
            canvas,
            Kind::Unpaved,
            |road| road.half,
            gravel,
            labels::NON_PAVED_ROAD,
        );
        for kind in [Kind::Local, Kind::Main] {
            self.strips(
                canvas,
                kind,
                |road| road.half,
                self.asphalt,
                labels::PAVED_ROAD,
            );
        }
        self.wear(canvas, random);
        for axis in 0..2 {
            for road in &self.roads[axis] {
                if road.kind != Kind::Unpaved {
                    self.mark(canvas, axis, road, random);
                }
            }
        }
    }

    fn strips(
        &self,
        canvas: &mut Canvas,
        kind: Kind,
        half: impl Fn(&Road) -> f64,
        colour: Colour,
        label: u8,
    ) {
        for (axis, roads) in self.roads.iter().enumerate() {
            for road in roads.iter().filter(|road| road.kind == kind) {
                let half = half(road);
                if half > 0.0 {
                    let low = point(axis, -self.extent, road.at - half);
                    let high = point(axis, self.extent, road.at + half);
                    canvas.area(&rectangle(low, high), colour, label);
                }
            }
        }
    }

    fn kerbs(&self, canvas: &mut Canvas, colour: Colour) {
        for (axis, roads) in self.roads.iter().enumerate() {
            for road in roads.iter().filter(|road| road.kind != Kind::Unpaved) {
                let half = road.half + 0.18;
                let low = point(axis, -self.extent, road.at - half);
                let high = point(axis, self.extent, road.at + half);
                canvas.tint(&rectangle(low, high), colour, 0.8);
            }
        }
    }

    /// Tyre tracks, patches and cracks.
    fn wear(&self, canvas: &mut Canvas, random: &mut Random) {
        for (axis, roads) in self.roads.iter().enumerate() {
            for road in roads {
                let lane = road.half / road.lanes as f64;
                for at in 0..2 * road.lanes {
                    let centre = road.at - road.half + lane * (at as f64 + 0.5);
                    for track in [-0.8, 0.8] {
                        let low = point(axis, -self.extent, centre + track - 0.3);
                        let high = point(axis, self.extent, centre + track + 0.3);
                        canvas.tint(&rectangle(low, high), [0.2, 0.2, 0.2], 0.07);
                    }
                }
                for _ in 0..(self.extent / 12.0) as usize {
                    let along = random.between(-self.extent, self.extent);
                    let across = road.at + random.between(-0.8, 0.8) * road.half;
                    let size = [random.between(1.0, 9.0), random.between(0.6, 2.2)];
                    let low = point(axis, along, across);
                    let high = point(axis, along + size[0], across + size[1]);
                    let shade = random.between(0.15, 0.6);
                    canvas.tint(
                        &rectangle(low, high),
                        [shade; 3],
                        random.between(0.05, 0.22),
                    );
                }
            }
        }
    }

    /// The stretches of a road between the carriageways that cross it.
    pub(super) fn stretches(&self, axis: usize) -> Vec<[f64; 2]> {
        let crossing = &self.roads[1 - axis];
        let mut stretches = Vec::new();
        let mut from = -self.extent;
        for road in crossing {
            stretches.push([from, road.at - road.half]);
            from = road.at + road.half;
        }
        stretches.push([from, self.extent]);
        stretches.retain(|[from, to]| to - from > 12.0);
        stretches
    }

    fn mark(&self, canvas: &mut Canvas, axis: usize, road: &Road, random: &mut Random) {
        let width = 0.22_f64.max(1.3 / canvas.scale());
        let fresh = random.between(0.72, 0.92);
        let white = [fresh, fresh, fresh * 0.97];
        let solid_centre = random.chance(0.5);
        let crossings = road.kind == Kind::Main || random.chance(0.4);
        for [from, to] in self.stretches(axis) {
            let (from, to) = (from + 1.0, to - 1.0);
            let mut stripe = |a: f64, b: f64, across: f64, width: f64| {
                let low = point(axis, a, across - width / 2.0);
                let high = point(axis, b, across + width / 2.0);
                if canvas.sees(point(axis, (a + b) / 2.0, across), b - a) {
                    canvas.area(&rectangle(low, high), white, labels::LANE_MARKING);
                }
            };
            let (begin, end) = if crossings {
                (from + 6.0, to - 6.0)
            } else {
                (from + 2.0, to - 2.0)
            };
            let lane = road.half / road.lanes as f64;
            for at in 1..2 * road.lanes {
                let across = road.at - road.half + lane * at as f64;
                if at == road.lanes && road.kind == Kind::Main && solid_centre {
                    stripe(begin, end, across - 0.2, width);
                    stripe(begin, end, across + 0.2, width);
                    continue;
                }
                let (dash, gap) = if road.kind == Kind::Main {
                    (4.0, 8.0)
                } else {
                    (3.0, 6.0)
                };
                let mut along = begin;
                while along < end {
                    stripe(along, (along + dash).min(end), across, width);
                    along += dash + gap;
                }
            }
            if road.kind == Kind::Main {
                for side in [-1.0, 1.0] {
                    stripe(begin, end, road.at + side * (road.half - 0.4), width);
                }
            }
            if crossings {
                // Stop lines before the zebra crossings; traffic keeps right, so on one side each.
                stripe(
                    begin - 0.5,
                    begin,
                    road.at + road.half * 0.5,
                    road.half * 0.9,
                );
                stripe(end, end + 0.5, road.at - road.half * 0.5, road.half * 0.9);
                let bars = (road.half * 2.0 / 1.1) as usize;
                for bar in 0..bars {
                    let across = road.at - road.half + 1.1 * (bar as f64 + 0.5);
                    stripe(from + 0.6, from + 3.8, across, 0.5);
                    stripe(to - 3.8, to - 0.6, across, 0.5);
                }
            }
            // A hatched area where the lanes part, now and then.
            if road.kind == Kind::Main && random.chance(0.2) && to - from > 50.0 {
                let low = point(axis, begin, road.at - 0.9);
                let high = point(axis, begin + 14.0, road.at + 0.9);
                canvas.area(&rectangle(low, high), self.asphalt, labels::DANGER_AREA);
                for bar in 0..7 {
                    let along = begin + 2.0 * bar as f64;
                    let ends = [
                        point(axis, along, road.at - 0.8),
                        point(axis, along + 1.6, road.at + 0.8),
                    ];
                    canvas.line(ends[0], ends[1], 0.4, white, 1.0);
                }
            }
        }
    }
}

fn road(at: f64, random: &mut Random) -> Road {
    let kind = *random.pick(&[
        (0.3, Kind::Main),
        (0.55, Kind::Local),
        (0.15, Kind::Unpaved),
    ]);
    let (lanes, lane) = match kind {
        Kind::Main => (
            *random.pick(&[(0.6, 1), (0.4, 2)]),
            random.between(3.3, 3.9),
        ),
        Kind::Local => (1, random.between(2.6, 3.3)),
        Kind::Unpaved => (1, random.between(1.6, 2.4)),
    };
    let paved = kind != Kind::Unpaved;
    let bikeway = match kind {
        Kind::Main if random.chance(0.65) => random.between(1.6, 2.4),
        Kind::Local if random.chance(0.12) => random.between(1.5, 2.0),
        _ => 0.0,
    };
    Road {
        at,
        kind,
        half: lane * lanes as f64 + if kind == Kind::Main { 0.6 } else { 0.0 },
        bikeway,
        sidewalk: if paved && random.chance(0.88) {
            random.between(1.8, 3.4)
        } else {
            0.0
        },
        lanes,
    }
}
