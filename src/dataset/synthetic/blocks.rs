//! What fills the blocks between the roads: houses, slabs, shops with parking areas, parks, waste land.

use std::f64::consts::{FRAC_PI_2, PI};

use super::buildings::{Building, HALLS, HOUSES, SLABS};
use super::canvas::{Canvas, Colour, Point, blob, circle, rectangle, varied};
use super::random::Random;
use super::roads::{Kind as RoadKind, Network, point};
use super::trees::Tree;
use super::vehicles::{FREIGHT, Kind as VehicleKind, PARKED, TRAFFIC, Vehicle};
use crate::dataset::skyscapes as labels;

/// What stands on the ground.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    pub(super) buildings: Vec<Building>,
    pub(super) vehicles: Vec<Vehicle>,
    pub(super) trees: Vec<Tree>,
}

#[derive(Clone, Copy)]
enum Use {
    Houses,
    Slabs,
    Shops,
    Park,
    Waste,
}

/// A block, from its lower to its upper corner, in street coordinates.
#[derive(Clone, Copy, Debug)]
struct Block {
    low: Point,
    high: Point,
}

/// Plans a scene's ground and objects, and draws the ground.
pub(super) struct Planner<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) random: Random,
    pub(super) objects: Objects,
    pub(super) lawn: Colour,
}

impl Block {
    fn size(&self) -> [f64; 2] {
        [self.high[0] - self.low[0], self.high[1] - self.low[1]]
    }

    /// The axis along which it is longer.
    fn long_axis(&self) -> usize {
        usize::from(self.size()[1] > self.size()[0])
    }

    fn centre(&self) -> Point {
        [0, 1].map(|axis| (self.low[axis] + self.high[axis]) / 2.0)
    }

    /// Without a margin; `None` where nothing remains.
    fn inside(&self, margin: f64) -> Option<Self> {
        let block = Self {
            low: self.low.map(|value| value + margin),
            high: self.high.map(|value| value - margin),
        };
        (block.size()[0] > 1.0 && block.size()[1] > 1.0).then_some(block)
    }

    /// Its lower part along an axis, and the rest.
    fn split(&self, axis: usize, length: f64) -> [Self; 2] {
        let mut parts = [*self; 2];
        parts[0].high[axis] = self.low[axis] + length;
        parts[1].low[axis] = self.low[axis] + length;
        parts
    }

    fn corners(&self) -> [Point; 4] {
        rectangle(self.low, self.high)
    }

    fn somewhere(&self, random: &mut Random) -> Point {
        [0, 1].map(|axis| random.between(self.low[axis], self.high[axis]))
    }
}

/// Direction of an axis in radians.
fn direction(axis: usize) -> f64 {
    if axis == 0 { 0.0 } else { FRAC_PI_2 }
}

impl Planner<'_> {
    /// Fills every block that the image sees.
    pub(super) fn fill(&mut self, network: &Network) {
        for low in between(network, 1) {
            for high in between(network, 0) {
                let block = Block {
                    low: [low[0], high[0]],
                    high: [low[1], high[1]],
                };
                let size = block.size();
                let radius = size[0].hypot(size[1]) / 2.0;
                if size[0] < 12.0 || size[1] < 12.0 || !self.canvas.sees(block.centre(), radius) {
                    continue;
                }
                let r#use = *self.random.pick(&[
                    (0.34, Use::Houses),
                    (0.2, Use::Slabs),
                    (0.26, Use::Shops),
                    (0.12, Use::Park),
                    (0.08, Use::Waste),
                ]);
                match r#use {
                    Use::Houses => self.houses(block),
                    Use::Slabs => self.slabs(block),
                    Use::Shops => self.shops(block),
                    Use::Park => self.park(block),
                    Use::Waste => self.waste(block),
                }
            }
        }
    }

    fn houses(&mut self, block: Block) {
        let axis = block.long_axis();
        let depth = block.size()[1 - axis];
        let rows = if depth > 36.0 {
            block.split(1 - axis, depth / 2.0).map(Some)
        } else {
            [Some(block), None]
        };
        for (side, row) in rows.into_iter().enumerate() {
            let mut rest = row;
            while let Some(row) = rest {
                let length = self.random.between(14.0, 21.0);
                if row.size()[axis] < 12.0 {
                    break;
                }
                let [lot, after] = row.split(axis, length.min(row.size()[axis]));
                self.house(lot, axis, side);
                rest = Some(after);
            }
        }
    }

    /// One house; `side` tells on which side of the block the street is.
    fn house(&mut self, lot: Block, axis: usize, side: usize) {
        let lawn = varied(self.lawn, 0.18, &mut self.random);
        self.canvas
            .area(&lot.corners(), lawn, labels::LOW_VEGETATION);
        let [length, depth] = [lot.size()[axis], lot.size()[1 - axis]];
        let house = [
            self.random.between(8.5, 13.0).min(length - 3.0),
            self.random.between(7.5, 10.5).min(depth - 5.0),
        ];
        if house[0] < 5.0 || house[1] < 5.0 {
            return;
        }
        let setback = self.random.between(3.5, 6.5).min(depth - house[1]) + house[1] / 2.0;
        let street = if side == 0 {
            lot.low[1 - axis]
        } else {
            lot.high[1 - axis]
        };
        let inwards = if side == 0 { 1.0 } else { -1.0 };
        let along = lot.low[axis] + length * self.random.between(0.42, 0.58);
        let centre = point(axis, along, street + inwards * setback);
        let turned = self.random.chance(0.3);
        let heading = direction(axis) + if turned { FRAC_PI_2 } else { 0.0 };
        let sides = if turned {
            [house[1], house[0].min(depth - 5.0)]
        } else {
            house
        };
        let material = *self.random.pick(HOUSES);
        let height = self.random.between(4.0, 8.0);
        let building = Building::new(centre, heading, sides, height, material, &mut self.random);

        // Drive, and a car on it.
        let drive = lot.low[axis]
            + if self.random.chance(0.5) {
                1.8
            } else {
                length - 1.8
            };
        let reach = street + inwards * self.random.between(5.0, 11.0).min(depth - 2.0);
        let stone = varied([0.60, 0.58, 0.54], 0.12, &mut self.random);
        let corners = rectangle(
            point(axis, drive - 1.5, street),
            point(axis, drive + 1.5, reach),
        );
        self.canvas.area(&corners, stone, labels::IMPERVIOUS);
        if self.random.chance(0.5) {
            let heading = direction(1 - axis) + if self.random.chance(0.5) { PI } else { 0.0 };
            let kind = *self.random.pick(PARKED);
            let at = point(axis, drive, street + inwards * 3.4);
            let car = Vehicle::new(kind, at, heading, &mut self.random);
            self.park_at(car);
        }
        // Terrace behind the house.
        let behind = street + inwards * (setback + house[1] / 2.0 + 1.5);
        if self.random.chance(0.6) && depth > setback + house[1] / 2.0 + 4.0 {
            let patio = rectangle(
                point(axis, along - 3.0, behind - 1.6),
                point(axis, along + 3.0, behind + 1.6),
            );
            self.canvas.area(&patio, stone, labels::IMPERVIOUS);
        }
        self.objects.buildings.push(building);
        self.garden(lot, axis, [street, inwards], drive);
    }

    /// Hedges, beds and trees.
    fn garden(&mut self, lot: Block, axis: usize, [street, inwards]: [f64; 2], drive: f64) {
        let depth = lot.size()[1 - axis];
        let hedges = [
            (
                [lot.low[axis], drive - 2.0],
                [street + inwards * 0.2, street + inwards * 1.2],
            ),
            (
                [lot.high[axis] - 0.9, lot.high[axis]],
                [street + inwards * 8.0, street + inwards * (depth - 0.5)],
            ),
        ];
        for (along, across) in hedges {
            if self.random.chance(0.45) && along[1] > along[0] {
                let hedge = rectangle(
                    point(axis, along[0], across[0]),
                    point(axis, along[1], across[1]),
                );
                self.canvas
                    .area(&hedge, [0.22, 0.31, 0.15], labels::LOW_VEGETATION);
            }
        }
        if self.random.chance(0.35) && depth > 24.0 {
            let along = lot.low[axis] + self.random.between(1.5, lot.size()[axis] - 7.0);
            let across = street + inwards * (depth - self.random.between(6.0, 9.0));
            for row in 0..5 {
                let bed = along + 1.1 * f64::from(row);
                let bed = rectangle(
                    point(axis, bed, across),
                    point(axis, bed + 0.7, across + inwards * 4.5),
                );
                let soil = varied([0.40, 0.34, 0.22], 0.25, &mut self.random);
                self.canvas.area(&bed, soil, labels::LOW_VEGETATION);
            }
        }
        let trees = lot.size()[0] * lot.size()[1] / self.random.between(90.0, 400.0);
        for _ in 0..trees as usize {
            let at = lot.somewhere(&mut self.random);
            let radius = self.random.between(0.8, 1.9) * self.random.between(1.0, 2.2);
            self.tree(at, radius);
        }
    }

    fn slabs(&mut self, block: Block) {
        let lawn = varied(self.lawn, 0.15, &mut self.random);
        self.canvas
            .area(&block.corners(), lawn, labels::LOW_VEGETATION);
        let axis = block.long_axis();
        let depth = block.size()[1 - axis];
        let mut rest = block;
        if depth > 34.0 {
            let [parking, others] = block.split(1 - axis, 12.0);
            self.parking(parking, axis, PARKED, true);
            rest = others;
        }
        let mut across = rest.low[1 - axis] + 4.0;
        while across + 12.0 < rest.high[1 - axis] {
            let width = self.random.between(10.0, 13.5);
            let mut along = rest.low[axis] + self.random.between(3.0, 10.0);
            while along + 18.0 < rest.high[axis] {
                let length = self
                    .random
                    .between(20.0, 46.0)
                    .min(rest.high[axis] - along - 3.0);
                let centre = point(axis, along + length / 2.0, across + width / 2.0);
                let height = self.random.between(9.0, 20.0);
                let material = *self.random.pick(SLABS);
                let sides = [length, width];
                let slab = Building::new(
                    centre,
                    direction(axis),
                    sides,
                    height,
                    material,
                    &mut self.random,
                );
                self.objects.buildings.push(slab);
                // A path along the house.
                let path = rectangle(
                    point(axis, along - 2.0, across + width + 2.0),
                    point(axis, along + length + 2.0, across + width + 3.8),
                );
                self.canvas
                    .area(&path, [0.63, 0.61, 0.57], labels::SIDEWALK);
                along += length + self.random.between(8.0, 16.0);
            }
            across += width + self.random.between(16.0, 26.0);
        }
        let count = (rest.size()[0] * rest.size()[1] / 220.0) as usize;
        for _ in 0..count {
            let at = rest.somewhere(&mut self.random);
            let radius = self.random.between(1.8, 4.6);
            self.tree(at, radius);
        }
    }

    fn shops(&mut self, block: Block) {
        let concrete = varied([0.57, 0.56, 0.54], 0.1, &mut self.random);
        self.canvas
            .area(&block.corners(), concrete, labels::IMPERVIOUS);
        let axis = block.long_axis();
        let size = block.size();
        let share = self.random.between(0.35, 0.55);
        let [hall, parking] = block.split(axis, size[axis] * share);
        let hall_sides = [hall.size()[axis] - 8.0, hall.size()[1 - axis] - 10.0];
        if hall_sides[0] > 8.0 && hall_sides[1] > 8.0 {
            let height = self.random.between(5.0, 11.0);
            let material = *self.random.pick(HALLS);
            let centre = hall.centre();
            let hall = Building::new(
                centre,
                direction(axis),
                hall_sides,
                height,
                material,
                &mut self.random,
            );
            self.objects.buildings.push(hall);
        }
        // Trucks at the far end of the hall.
        if self.random.chance(0.5) && hall.size()[1 - axis] > 24.0 {
            for at in 0..3 {
                if self.random.chance(0.6) {
                    let kind = *self.random.pick(FREIGHT);
                    let place = point(
                        axis,
                        hall.low[axis] + 2.6,
                        hall.low[1 - axis] + 9.0 + 12.0 * at as f64,
                    );
                    let truck = Vehicle::new(kind, place, direction(1 - axis), &mut self.random);
                    let fits = place[1 - axis] + truck.length() / 2.0 < hall.high[1 - axis];
                    if fits && truck.length() < 11.0 {
                        self.park_at(truck);
                    }
                }
            }
        }
        let paved = self.random.chance(0.82);
        if let Some(parking) = parking.inside(2.5) {
            // The way in, from the street on the far side.
            let middle = parking.centre()[1 - axis];
            let entrance = rectangle(
                point(axis, parking.high[axis], middle - 3.5),
                point(axis, parking.high[axis] + 2.5, middle + 3.5),
            );
            self.canvas
                .area(&entrance, [0.46, 0.45, 0.44], labels::ENTRANCE);
            self.parking(parking, axis, PARKED, paved);
        }
        for _ in 0..4 {
            let mut at = block.somewhere(&mut self.random);
            at[1 - axis] = if self.random.chance(0.5) {
                block.low[1 - axis] + 1.3
            } else {
                block.high[1 - axis] - 1.3
            };
            self.canvas
                .area(&circle(at, 1.2), self.lawn, labels::LOW_VEGETATION);
            let radius = self.random.between(1.4, 2.6);
            self.tree(at, radius);
        }
    }

    /// Rows of stalls along `axis`, with aisles between.
    fn parking(&mut self, area: Block, axis: usize, kinds: &[(f64, VehicleKind)], paved: bool) {
        let (ground, label) = if paved {
            let grey = self.random.between(0.33, 0.5);
            ([grey, grey, grey * 1.02], labels::PAVED_PARKING)
        } else {
            let gravel = varied([0.63, 0.57, 0.47], 0.1, &mut self.random);
            (gravel, labels::NON_PAVED_PARKING)
        };
        self.canvas.area(&area.corners(), ground, label);
        const STALL: [f64; 2] = [2.6, 5.2];
        const AISLE: f64 = 6.2;
        let occupied = self.random.between(0.25, 0.92);
        let [length, depth] = [area.size()[axis], area.size()[1 - axis]];
        let line = 0.14_f64.max(1.0 / self.canvas.scale());
        let mut across = 0.3;
        let mut row = 0;
        while across + STALL[1] < depth {
            let near = area.low[1 - axis] + across;
            let stalls = ((length - 1.0) / STALL[0]) as usize;
            for stall in 0..=stalls {
                let along = area.low[axis] + 0.5 + STALL[0] * stall as f64;
                if paved {
                    let low = point(axis, along - line / 2.0, near);
                    let high = point(axis, along + line / 2.0, near + STALL[1]);
                    self.canvas.area(
                        &rectangle(low, high),
                        [0.84, 0.84, 0.82],
                        labels::LANE_MARKING,
                    );
                }
                let centre = point(axis, along + STALL[0] / 2.0, near + STALL[1] / 2.0);
                if stall == stalls {
                    continue;
                }
                if stall % 9 == 8 && row % 2 == 0 && depth > 20.0 {
                    // An island with a tree.
                    let island = rectangle(
                        point(axis, along + 0.2, near + 0.2),
                        point(axis, along + STALL[0] - 0.2, near + STALL[1] - 0.2),
                    );
                    self.canvas.area(&island, self.lawn, labels::LOW_VEGETATION);
                    let radius = self.random.between(1.4, 2.6);
                    self.tree(centre, radius);
                } else if self.random.chance(occupied) {
                    let kind = *self.random.pick(kinds);
                    let turn = if self.random.chance(0.6) { 0.0 } else { PI };
                    let heading = direction(1 - axis) + turn + self.random.about(0.0, 0.03);
                    let car = Vehicle::new(kind, centre, heading, &mut self.random);
                    let shift = self.random.about(0.0, 0.25);
                    let centre = point(axis, centre[axis], centre[1 - axis] + shift);
                    self.park_at(car.moved(centre));
                }
            }
            // Two rows back to back, then an aisle.
            across += STALL[1] + if row % 2 == 0 { AISLE } else { 0.2 };
            row += 1;
        }
        // Buses and trucks where there is room left at the end.
        if depth - across > 3.5 - STALL[1] && length > 30.0 && self.random.chance(0.2) {
            let heavy = *self.random.pick(&[
                (0.5, VehicleKind::Bus),
                (0.3, VehicleKind::Truck),
                (0.2, VehicleKind::LargeTruck),
            ]);
            let at = point(axis, area.low[axis] + 14.0, area.high[1 - axis] - 2.2);
            if depth - across + AISLE > 4.0 {
                let vehicle = Vehicle::new(heavy, at, direction(axis), &mut self.random);
                self.park_at(vehicle);
            }
        }
    }

    fn park(&mut self, block: Block) {
        let lawn = varied(self.lawn, 0.12, &mut self.random);
        self.canvas
            .area(&block.corners(), lawn, labels::LOW_VEGETATION);
        let [u0, v0] = block.low;
        let [u1, v1] = block.high;
        // Two paths, one of them for bicycles.
        for (label, colour, width) in [
            (
                labels::SIDEWALK,
                [0.70, 0.65, 0.54],
                self.random.between(1.6, 3.0),
            ),
            (
                labels::BIKEWAY,
                [0.48, 0.46, 0.45],
                self.random.between(1.8, 2.6),
            ),
        ] {
            let (a, b) = (self.random.between(v0, v1), self.random.between(v0, v1));
            let mut before = [u0, a];
            for step in 1..=24 {
                let share = f64::from(step) / 24.0;
                let smooth = share * share * (3.0 - 2.0 * share);
                let next = [u0 + (u1 - u0) * share, a + (b - a) * smooth];
                let (dx, dy) = (next[0] - before[0], next[1] - before[1]);
                let centre = [before[0] + dx / 2.0, before[1] + dy / 2.0];
                let piece = super::canvas::turned(centre, dy.atan2(dx), dx.hypot(dy) + 0.4, width);
                self.canvas.area(&piece, colour, label);
                before = next;
            }
        }
        for _ in 0..(block.size()[0] * block.size()[1] / 500.0) as usize {
            // Groups of trees.
            let middle = block.somewhere(&mut self.random);
            for _ in 0..*self.random.pick(&[(0.4, 1), (0.3, 3), (0.3, 7)]) {
                let at = middle.map(|value| self.random.about(value, 7.0));
                let inside =
                    at[0] > u0 + 2.0 && at[0] < u1 - 2.0 && at[1] > v0 + 2.0 && at[1] < v1 - 2.0;
                if inside {
                    let radius = self.random.between(1.8, 5.2);
                    self.tree(at, radius);
                }
            }
        }
    }

    fn waste(&mut self, block: Block) {
        let soil = varied([0.56, 0.47, 0.35], 0.15, &mut self.random);
        self.canvas.area(&block.corners(), soil, labels::CLUTTER);
        for _ in 0..14 {
            let at = block.somewhere(&mut self.random);
            let radius = self.random.between(2.0, 8.0);
            let green = varied(self.lawn, 0.2, &mut self.random);
            let inside = block.inside(radius).is_some_and(|inner| {
                (0..2).all(|axis| at[axis] > inner.low[axis] && at[axis] < inner.high[axis])
            });
            if inside {
                let patch = blob(at, radius, &mut self.random);
                self.canvas.area(&patch, green, labels::LOW_VEGETATION);
            }
        }
        let axis = block.long_axis();
        if block.size()[axis] > 30.0 && block.size()[1 - axis] > 24.0 {
            let [part, _] = block.split(axis, 26.0);
            if let Some(part) = part.inside(4.0) {
                self.parking(part, axis, FREIGHT_AND_CARS, false);
            }
        }
        for _ in 0..5 {
            let at = block.somewhere(&mut self.random);
            let radius = self.random.between(1.5, 3.5);
            self.tree(at, radius);
        }
    }

    /// Puts a vehicle on the ground if there is room for it.
    fn park_at(&mut self, vehicle: Vehicle) {
        let taken = self
            .objects
            .vehicles
            .iter()
            .any(|other| vehicle.touches(other));
        if !taken {
            self.objects.vehicles.push(vehicle);
        }
    }

    fn tree(&mut self, at: Point, radius: f64) {
        let blocked = self
            .objects
            .buildings
            .iter()
            .any(|b| b.is_near(at, radius * 0.6));
        if !blocked {
            let tree = Tree::new(at, radius, &mut self.random);
            self.objects.trees.push(tree);
        }
    }

    /// Trees along the streets, traffic, cars at the kerb. After the roads are drawn.
    pub(super) fn line_roads(&mut self, network: &Network) {
        for axis in 0..2 {
            for road in &network.roads[axis] {
                let alley = road.sidewalk > 2.2 && self.random.chance(0.5);
                let at_kerb = road.kind == RoadKind::Local && self.random.chance(0.6);
                let busy = self.random.between(14.0, 60.0);
                for [from, to] in network.stretches(axis) {
                    if alley {
                        let mut along = from + 10.0;
                        while along < to - 8.0 {
                            for side in [-1.0, 1.0] {
                                let at = point(axis, along, road.at + side * (road.reach() - 0.7));
                                if self.random.chance(0.75) {
                                    let radius = self.random.between(1.4, 2.8);
                                    self.tree(at, radius);
                                }
                            }
                            along += self.random.between(8.0, 14.0);
                        }
                    }
                    for side in [-1.0, 1.0] {
                        self.traffic(axis, [from, to], side, road, busy);
                        if at_kerb && road.half > 2.8 {
                            self.kerbside(axis, [from, to], side, road);
                        }
                    }
                }
            }
        }
    }

    fn traffic(
        &mut self,
        axis: usize,
        [from, to]: [f64; 2],
        side: f64,
        road: &super::roads::Road,
        gap: f64,
    ) {
        let lane = road.half / road.lanes as f64;
        for at in 0..road.lanes {
            let across = road.at + side * lane * (at as f64 + 0.5);
            let mut along = from + self.random.between(4.0, gap + 8.0);
            while along < to - 6.0 {
                let kind = *self.random.pick(TRAFFIC);
                let heading = direction(axis) + if side > 0.0 { PI } else { 0.0 };
                let shift = self.random.about(0.0, 0.2);
                let vehicle = Vehicle::new(
                    kind,
                    point(axis, along, across + shift),
                    heading,
                    &mut self.random,
                );
                let length = vehicle.length();
                if along + length / 2.0 < to && along - length / 2.0 > from {
                    self.park_at(vehicle);
                }
                along += length + 3.0 + self.random.between(2.0, gap);
            }
        }
    }

    fn kerbside(
        &mut self,
        axis: usize,
        [from, to]: [f64; 2],
        side: f64,
        road: &super::roads::Road,
    ) {
        let across = road.at + side * (road.half + 0.05);
        let mut along = from + 12.0;
        while along < to - 12.0 {
            if self.random.chance(0.45) {
                let heading = direction(axis) + if side > 0.0 { PI } else { 0.0 };
                let kind = *self.random.pick(PARKED);
                let at = point(axis, along, across - side * 1.0);
                let blocked = road.half < 3.0;
                if !blocked {
                    let car = Vehicle::new(kind, at, heading, &mut self.random);
                    self.park_at(car);
                }
            }
            along += self.random.between(5.8, 8.0);
        }
    }
}

const FREIGHT_AND_CARS: &[(f64, VehicleKind)] = &[
    (0.6, VehicleKind::Car),
    (0.25, VehicleKind::Van),
    (0.15, VehicleKind::Trailer),
];

/// The spans between the roads across an axis.
fn between(network: &Network, axis: usize) -> Vec<[f64; 2]> {
    let roads = &network.roads[axis];
    let mut spans = Vec::new();
    let mut from = -network.extent;
    for road in roads {
        spans.push([from, road.at - road.reach()]);
        from = road.at + road.reach();
    }
    spans.push([from, network.extent]);
    spans
}
