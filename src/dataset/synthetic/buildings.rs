//! Buildings: roofs of several materials and shapes.

use std::collections::BTreeMap;

use super::canvas::{Canvas, Colour, Point, scaled, turned, varied};
use super::random::Random;
use crate::dataset::instance::Instance;
use crate::dataset::skyscapes as labels;

/// What the roof is made of, in the words of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Material {
    ClayTiles,
    Concrete,
    Tin,
    Metal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Flat,
    Gabled,
    Hipped,
}

/// A building on a rectangle.
#[derive(Clone, Debug)]
pub(super) struct Building {
    pub(super) centre: Point,
    pub(super) direction: f64,
    pub(super) length: f64,
    pub(super) width: f64,
    height: f64,
    material: Material,
    shape: Shape,
    colour: Colour,
}

/// What stands on a block of houses, and on larger ones.
pub(super) const HOUSES: &[(f64, Material)] = &[
    (0.55, Material::ClayTiles),
    (0.2, Material::Tin),
    (0.15, Material::Concrete),
    (0.1, Material::Metal),
];
pub(super) const SLABS: &[(f64, Material)] = &[
    (0.55, Material::Concrete),
    (0.25, Material::ClayTiles),
    (0.2, Material::Metal),
];
pub(super) const HALLS: &[(f64, Material)] = &[
    (0.45, Material::Metal),
    (0.3, Material::Concrete),
    (0.25, Material::Tin),
];

impl Building {
    /// Sides are metres; `length` lies along the direction.
    pub(super) fn new(
        centre: Point,
        direction: f64,
        [length, width]: [f64; 2],
        height: f64,
        material: Material,
        random: &mut Random,
    ) -> Self {
        let pitched = match material {
            Material::ClayTiles => 1.0,
            Material::Concrete => 0.0,
            Material::Tin => 0.6,
            Material::Metal => 0.35,
        };
        let shape = if width > 22.0 || !random.chance(pitched) {
            Shape::Flat
        } else if random.chance(0.3) {
            Shape::Hipped
        } else {
            Shape::Gabled
        };
        let base = match material {
            Material::ClayTiles => *random.pick(&[
                (0.5, [0.56, 0.30, 0.22]),
                (0.25, [0.44, 0.25, 0.20]),
                (0.25, [0.38, 0.33, 0.31]),
            ]),
            Material::Concrete => *random.pick(&[
                (0.6, [0.62, 0.61, 0.58]),
                (0.25, [0.47, 0.46, 0.45]),
                (0.15, [0.76, 0.74, 0.70]),
            ]),
            Material::Tin => *random.pick(&[
                (0.45, [0.62, 0.66, 0.70]),
                (0.3, [0.36, 0.48, 0.64]),
                (0.25, [0.50, 0.36, 0.28]),
            ]),
            Material::Metal => *random.pick(&[
                (0.5, [0.80, 0.82, 0.83]),
                (0.3, [0.56, 0.59, 0.60]),
                (0.2, [0.34, 0.44, 0.38]),
            ]),
        };
        Self {
            centre,
            direction,
            length,
            width,
            height,
            material,
            shape,
            colour: varied(base, 0.12, random),
        }
    }

    /// Whether a position is within so many metres of it.
    pub(super) fn is_near(&self, point: Point, distance: f64) -> bool {
        let (sin, cos) = self.direction.sin_cos();
        let (x, y) = (point[0] - self.centre[0], point[1] - self.centre[1]);
        let (along, across) = (cos * x + sin * y, cos * y - sin * x);
        along.abs() < self.length / 2.0 + distance && across.abs() < self.width / 2.0 + distance
    }

    pub(super) fn shadow(&self, canvas: &mut Canvas, sun: Point) {
        let corners = turned(self.centre, self.direction, self.length, self.width);
        let cast = corners.map(|[x, y]| [x + sun[0] * self.height, y + sun[1] * self.height]);
        canvas.shadow(&cast);
        for at in 0..4 {
            let next = (at + 1) % 4;
            canvas.shadow(&[corners[at], corners[next], cast[next], cast[at]]);
        }
    }

    /// Draws the roof, and tells what it is. `None` where it is outside the image.
    pub(super) fn draw(
        &self,
        canvas: &mut Canvas,
        sun: Point,
        random: &mut Random,
    ) -> Option<Instance> {
        if !canvas.sees(self.centre, self.length.max(self.width)) {
            return None;
        }
        let corners = turned(self.centre, self.direction, self.length, self.width);
        canvas.area(&corners, self.colour, labels::BUILDING);
        match self.shape {
            Shape::Flat => self.draw_flat(canvas, &corners, random),
            Shape::Gabled => self.draw_pitched(canvas, &corners, sun, 0.0),
            Shape::Hipped => self.draw_pitched(canvas, &corners, sun, self.width / 2.0),
        }
        if self.shape != Shape::Flat && random.chance(0.6) {
            let at = self.at([random.between(-0.3, 0.3) * self.length, 0.1 * self.width]);
            canvas.tint(
                &turned(at, self.direction, 0.9, 0.7),
                [0.30, 0.24, 0.22],
                1.0,
            );
        }
        let material = match self.material {
            Material::ClayTiles => "clay tiles",
            Material::Concrete => "concrete",
            Material::Tin => "tin",
            Material::Metal => "metal",
        };
        let shape = match self.shape {
            Shape::Flat => "flat",
            Shape::Gabled => "gabled",
            Shape::Hipped => "hipped",
        };
        Some(Instance {
            class: "building".to_owned(),
            outline: canvas.outline(&corners),
            attributes: BTreeMap::from([
                ("roof_material".to_owned(), material.to_owned()),
                ("roof_shape".to_owned(), shape.to_owned()),
            ]),
        })
    }

    fn at(&self, [along, across]: Point) -> Point {
        let (sin, cos) = self.direction.sin_cos();
        [
            self.centre[0] + cos * along - sin * across,
            self.centre[1] + sin * along + cos * across,
        ]
    }

    /// Two or four faces, each as bright as it faces the sun.
    fn draw_pitched(&self, canvas: &mut Canvas, corners: &[Point; 4], sun: Point, hip: f64) {
        let half = self.length / 2.0;
        let ridge = [self.at([-half + hip, 0.0]), self.at([half - hip, 0.0])];
        let (sin, cos) = self.direction.sin_cos();
        let light = |along: f64, across: f64| {
            // Shadows fall along `sun`: a face that looks the other way is bright.
            let normal = [cos * along - sin * across, sin * along + cos * across];
            1.0 - 0.24 * (normal[0] * sun[0] + normal[1] * sun[1]) / sun[0].hypot(sun[1]).max(0.1)
        };
        let faces: [(Vec<Point>, f64); 4] = [
            (
                vec![corners[0], corners[1], ridge[1], ridge[0]],
                light(0.0, -1.0),
            ),
            (
                vec![corners[2], corners[3], ridge[0], ridge[1]],
                light(0.0, 1.0),
            ),
            (vec![corners[1], corners[2], ridge[1]], light(1.0, 0.0)),
            (vec![corners[3], corners[0], ridge[0]], light(-1.0, 0.0)),
        ];
        for (face, light) in &faces {
            canvas.tint(face, scaled(self.colour, *light), 1.0);
        }
        self.draw_courses(canvas);
        canvas.line(ridge[0], ridge[1], 0.3, scaled(self.colour, 1.2), 0.8);
    }

    fn draw_flat(&self, canvas: &mut Canvas, corners: &[Point; 4], random: &mut Random) {
        if self.material == Material::Concrete {
            // A parapet and what stands on such roofs.
            for at in 0..4 {
                let edge = [corners[at], corners[(at + 1) % 4]];
                canvas.line(edge[0], edge[1], 0.5, scaled(self.colour, 1.22), 0.9);
            }
        } else {
            self.draw_courses(canvas);
        }
        for _ in 0..(self.length * self.width / 90.0).min(14.0) as usize {
            let along = random.between(-0.42, 0.42) * self.length;
            let across = random.between(-0.40, 0.40) * self.width;
            let size = [random.between(0.8, 3.0), random.between(0.8, 2.2)];
            let part = turned(self.at([along, across]), self.direction, size[0], size[1]);
            let shade = turned(
                self.at([along + 0.4, across + 0.4]),
                self.direction,
                size[0],
                size[1],
            );
            canvas.tint(&shade, [0.1, 0.1, 0.12], 0.45);
            let bright = random.between(0.6, 1.35);
            canvas.tint(&part, scaled(self.colour, bright), 1.0);
        }
    }

    /// Rows of tiles, or the ribs of sheets.
    fn draw_courses(&self, canvas: &mut Canvas) {
        let (step, strength) = match self.material {
            Material::ClayTiles => (0.8, 0.16),
            Material::Tin => (1.0, 0.22),
            Material::Metal => (1.8, 0.14),
            Material::Concrete => return,
        };
        let along_ridge = self.material == Material::ClayTiles;
        let (length, other) = if along_ridge {
            (self.width, self.length)
        } else {
            (self.length, self.width)
        };
        let dark = scaled(self.colour, 0.55);
        for course in 1..(length / step) as usize {
            let position = -length / 2.0 + step * course as f64;
            let ends = [-other / 2.0, other / 2.0].map(|end| {
                self.at(if along_ridge {
                    [end, position]
                } else {
                    [position, end]
                })
            });
            canvas.line(ends[0], ends[1], 0.14, dark, strength);
        }
    }
}
