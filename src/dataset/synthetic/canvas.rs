//! Where a scene is drawn: colours, labels and shadows side by side, in metres.
//!
//! Positions are street coordinates: blocks and roads are straight there. The frame turns and bends
//! them into the image, so that no two scenes have the same directions and roads curve.

use tiny_skia::{FillRule, Mask, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};

use super::random::Random;
use crate::dataset::instance::Outline;
use crate::dataset::scene::LabelMap;

/// A position in street coordinates, in metres.
pub(super) type Point = [f64; 2];
/// Red, green and blue from 0 to 1.
pub(super) type Colour = [f64; 3];

/// From street coordinates to pixels.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    centre: Point,
    turn: (f64, f64),
    bend: [(f64, f64, f64); 2],
    pixels_per_metre: f64,
}

impl Frame {
    pub(super) fn new(size: (usize, usize), gsd_m: f64, random: &mut Random) -> Self {
        let angle = random.between(0.0, std::f64::consts::TAU);
        let mut bend = || {
            let amplitude = if random.chance(0.5) {
                random.between(2.0, 9.0)
            } else {
                0.0
            };
            let wave = std::f64::consts::TAU / random.between(220.0, 420.0);
            (amplitude, wave, random.between(0.0, std::f64::consts::TAU))
        };
        let bend = [bend(), bend()];
        Self {
            centre: [size.0 as f64 / 2.0, size.1 as f64 / 2.0],
            turn: angle.sin_cos(),
            bend,
            pixels_per_metre: 1.0 / gsd_m,
        }
    }

    pub(super) fn pixel(&self, [u, v]: Point) -> Point {
        let bent = |along: f64, (amplitude, wave, phase): (f64, f64, f64)| {
            amplitude * (along * wave + phase).sin()
        };
        let (u, v) = (u + bent(v, self.bend[0]), v + bent(u, self.bend[1]));
        let (sin, cos) = self.turn;
        let scale = self.pixels_per_metre;
        [
            self.centre[0] + (cos * u - sin * v) * scale,
            self.centre[1] + (sin * u + cos * v) * scale,
        ]
    }

    /// The corners and, on long edges, points between them.
    fn outline(&self, corners: &[Point]) -> Vec<Point> {
        const STEP: f64 = 5.0;
        let mut points = Vec::with_capacity(corners.len());
        for (at, from) in corners.iter().enumerate() {
            let to = corners[(at + 1) % corners.len()];
            let length = (to[0] - from[0]).hypot(to[1] - from[1]);
            let steps = (length / STEP).ceil().max(1.0) as usize;
            points.extend((0..steps).map(|step| {
                let share = step as f64 / steps as f64;
                self.pixel([0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * share))
            }));
        }
        points
    }
}

/// The image on its way.
pub(super) struct Canvas {
    pub(super) frame: Frame,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) labels: Vec<u8>,
    colours: Pixmap,
    shade: Mask,
}

impl Canvas {
    /// `None` where the size is none that can be drawn on.
    pub(super) fn new((width, height): (usize, usize), frame: Frame, ground: u8) -> Option<Self> {
        let (w, h) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
        Some(Self {
            frame,
            width,
            height,
            labels: vec![ground; width * height],
            colours: Pixmap::new(w, h)?,
            shade: Mask::new(w, h)?,
        })
    }

    /// Pixels a metre.
    pub(super) fn scale(&self) -> f64 {
        self.frame.pixels_per_metre
    }

    /// Whether a circle of so many metres touches the image.
    pub(super) fn sees(&self, point: Point, radius: f64) -> bool {
        let [x, y] = self.frame.pixel(point);
        let reach = radius * self.scale();
        x > -reach && y > -reach && x < self.width as f64 + reach && y < self.height as f64 + reach
    }

    /// Fills all of it.
    pub(super) fn fill(&mut self, colour: Colour) {
        self.colours.fill(paint_colour(colour, 1.0));
    }

    /// A polygon with its label.
    pub(super) fn area(&mut self, corners: &[Point], colour: Colour, label: u8) {
        self.tint(corners, colour, 1.0);
        self.label(corners, label);
    }

    /// A polygon's label alone.
    pub(super) fn label(&mut self, corners: &[Point], label: u8) {
        let outline = Outline::Polygon(vec![self.frame.outline(corners)]);
        let (width, height) = (self.width, self.height);
        outline.fill(width, height, |at| self.labels[at] = label);
    }

    /// A polygon's colour alone, so opaque.
    pub(super) fn tint(&mut self, corners: &[Point], colour: Colour, opacity: f64) {
        if let Some(path) = self.path(corners) {
            let paint = paint(colour, opacity);
            let still = Transform::identity();
            self.colours
                .fill_path(&path, &paint, FillRule::Winding, still, None);
        }
    }

    /// A line of so many metres.
    pub(super) fn line(
        &mut self,
        from: Point,
        to: Point,
        width: f64,
        colour: Colour,
        opacity: f64,
    ) {
        let mut builder = PathBuilder::new();
        let ([x0, y0], [x1, y1]) = (self.frame.pixel(from), self.frame.pixel(to));
        builder.move_to(x0 as f32, y0 as f32);
        builder.line_to(x1 as f32, y1 as f32);
        if let Some(path) = builder.finish() {
            let stroke = Stroke {
                width: (width * self.scale()).max(0.4) as f32,
                ..Stroke::default()
            };
            let paint = paint(colour, opacity);
            let still = Transform::identity();
            self.colours
                .stroke_path(&path, &paint, &stroke, still, None);
        }
    }

    /// Adds a polygon to the shadows.
    pub(super) fn shadow(&mut self, corners: &[Point]) {
        if let Some(path) = self.path(corners) {
            let still = Transform::identity();
            self.shade.fill_path(&path, FillRule::Winding, true, still);
        }
    }

    /// Darkens what lies in the shadows so far, and begins anew.
    pub(super) fn cast_shadows(&mut self, darkness: f64) {
        let shade = self.shade.data_mut();
        let pixels = self.colours.data_mut().chunks_exact_mut(4);
        for (pixel, shade) in pixels.zip(shade) {
            let share = f64::from(*shade) / 255.0 * darkness;
            // The sky's light remains, and it is blue.
            for (value, part) in pixel.iter_mut().zip([1.0, 0.96, 0.86]) {
                *value = (f64::from(*value) * (1.0 - share * part)).round() as u8;
            }
            *shade = 0;
        }
    }

    /// The corners in pixels, for annotations.
    pub(super) fn outline(&self, corners: &[Point]) -> Outline {
        let rounded = |value: f64| (value * 10.0).round() / 10.0;
        let points = corners
            .iter()
            .map(|corner| self.frame.pixel(*corner).map(rounded));
        Outline::Polygon(vec![points.collect()])
    }

    /// Red, green and blue bytes, and the labels.
    pub(super) fn finish(self) -> (Vec<u8>, LabelMap) {
        let pixels = self.colours.data().chunks_exact(4);
        let rgb = pixels.flat_map(|p| [p[0], p[1], p[2]]).collect();
        let labels = LabelMap {
            width: self.width,
            height: self.height,
            data: self.labels,
        };
        (rgb, labels)
    }

    fn path(&self, corners: &[Point]) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for (at, [x, y]) in self.frame.outline(corners).into_iter().enumerate() {
            if at == 0 {
                builder.move_to(x as f32, y as f32);
            } else {
                builder.line_to(x as f32, y as f32);
            }
        }
        builder.close();
        builder.finish()
    }
}

fn paint(colour: Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(paint_colour(colour, opacity));
    paint
}

fn paint_colour(colour: Colour, opacity: f64) -> tiny_skia::Color {
    let [r, g, b] = colour.map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8);
    let alpha = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    tiny_skia::Color::from_rgba8(r, g, b, alpha)
}

/// A rectangle between two corners.
pub(super) fn rectangle([u0, v0]: Point, [u1, v1]: Point) -> [Point; 4] {
    [[u0, v0], [u1, v0], [u1, v1], [u0, v1]]
}

/// A rectangle about a centre; `length` lies along the direction.
pub(super) fn turned(centre: Point, direction: f64, length: f64, width: f64) -> [Point; 4] {
    let (sin, cos) = direction.sin_cos();
    [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)].map(|(along, across)| {
        let (a, b) = (along * length, across * width);
        [centre[0] + cos * a - sin * b, centre[1] + sin * a + cos * b]
    })
}

/// A circle, near enough.
pub(super) fn circle(centre: Point, radius: f64) -> Vec<Point> {
    const CORNERS: usize = 14;
    (0..CORNERS)
        .map(|at| {
            let (sin, cos) = (at as f64 / CORNERS as f64 * std::f64::consts::TAU).sin_cos();
            [centre[0] + cos * radius, centre[1] + sin * radius]
        })
        .collect()
}

/// A patch of no regular shape that stays within the radius.
pub(super) fn blob(centre: Point, radius: f64, random: &mut Random) -> Vec<Point> {
    let waves = [2.0, 3.0, 5.0].map(|turns| (turns, random.between(0.0, 6.3)));
    (0..36)
        .map(|at| {
            let angle = f64::from(at) / 36.0 * std::f64::consts::TAU;
            let wave: f64 = waves
                .iter()
                .map(|(turns, phase)| (turns * angle + phase).sin())
                .sum();
            let distance = radius * (0.68 + 0.1 * wave);
            [
                centre[0] + angle.cos() * distance,
                centre[1] + angle.sin() * distance,
            ]
        })
        .collect()
}

/// Brighter or darker.
pub(super) fn scaled(colour: Colour, factor: f64) -> Colour {
    colour.map(|value| (value * factor).clamp(0.0, 1.0))
}

/// A little off in brightness and hue.
pub(super) fn varied(colour: Colour, spread: f64, random: &mut Random) -> Colour {
    let brightness = random.about(1.0, spread);
    colour.map(|value| (value * brightness * random.about(1.0, spread * 0.3)).clamp(0.0, 1.0))
}
