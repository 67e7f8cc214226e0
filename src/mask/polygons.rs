//! Outlines of a mask along the edges of its pixels.
//!
//! Written out here: the crates that trace masks follow the middles of pixels (marching squares),
//! which takes half of its area from a region of one pixel. These are the outlines of
//! `gdal_polygonize`.

use std::collections::HashMap;

use super::{Connectivity, Mask, Regions};

/// A closed line through corners of pixels, `[column, row]`, without its first point repeated.
///
/// Its inside lies to the right of its direction as the image is seen: outlines run clockwise,
/// holes counter-clockwise.
pub type Ring = Vec<[f64; 2]>;

/// A connected region of a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    /// The outer ring, then the holes.
    pub rings: Vec<Ring>,
    /// Pixels of the region, whatever became of its outline.
    pub pixels: u64,
}

/// Right, down, left, up, as steps on the corners of pixels.
const STEPS: [[isize; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

impl Mask {
    /// The regions as polygons (pixels that share an edge are connected), in the order of their first pixels.
    ///
    /// `tolerance`: pixels that a line may leave the true outline by; 0 keeps every corner. Around 1
    /// the steps of slanted edges become straight.
    pub fn polygons(&self, tolerance: f64) -> Vec<Polygon> {
        let regions = Regions::find(self, Connectivity::Four);
        let mut polygons = vec![
            Polygon {
                rings: Vec::new(),
                pixels: 0
            };
            regions.count
        ];
        for region in regions.of.iter().filter(|region| **region > 0) {
            polygons[*region as usize - 1].pixels += 1;
        }
        // Every ring has an edge along the top of a pixel, and the first one of a region, row by
        // row, belongs to its outer ring.
        let mut seen = vec![false; self.data.len()];
        for start in 0..self.data.len() {
            if seen[start] || !self.has_top_edge(start) {
                continue;
            }
            let rings = &mut polygons[regions.of[start] as usize - 1].rings;
            for ring in loops(self.trace(start, &mut seen)) {
                // The outer ring may come after a hole that touches it.
                let at = if signed_area(&ring) > 0.0 {
                    0
                } else {
                    rings.len()
                };
                rings.insert(at, simplified(ring, tolerance));
            }
        }
        polygons
    }

    fn is_foreground(&self, x: isize, y: isize) -> bool {
        let inside =
            (0..self.width as isize).contains(&x) && (0..self.height as isize).contains(&y);
        inside && self.data[y as usize * self.width + x as usize] != 0
    }

    fn has_top_edge(&self, at: usize) -> bool {
        self.data[at] != 0 && (at < self.width || self.data[at - self.width] == 0)
    }

    /// Walks around the region with the foreground on the right, from the top edge of a pixel.
    fn trace(&self, start: usize, seen: &mut [bool]) -> Ring {
        let first = [(start % self.width) as isize, (start / self.width) as isize];
        let (mut at, mut heading) = (first, 0);
        let mut ring = Ring::new();
        loop {
            let [x, y] = at;
            if heading == 0 {
                seen[y as usize * self.width + x as usize] = true;
            }
            let [dx, dy] = STEPS[heading];
            at = [x + dx, y + dy];
            // The two pixels ahead of the corner, on the right and on the left of the direction.
            let [x, y] = at;
            let (right, left) = match heading {
                0 => ([x, y], [x, y - 1]),
                1 => ([x - 1, y], [x, y]),
                2 => ([x - 1, y - 1], [x - 1, y]),
                _ => ([x, y - 1], [x - 1, y - 1]),
            };
            let turned = if !self.is_foreground(right[0], right[1]) {
                // Also where only the left one is foreground: it touches at a corner alone.
                (heading + 1) % 4
            } else if self.is_foreground(left[0], left[1]) {
                (heading + 3) % 4
            } else {
                heading
            };
            if turned != heading {
                ring.push([x as f64, y as f64]);
                heading = turned;
            }
            if at == first && heading == 0 {
                return ring;
            }
        }
    }
}

/// A ring that meets itself at corners, cut there: what encloses a gap becomes a hole.
fn loops(ring: Ring) -> Vec<Ring> {
    let (mut done, mut open) = (Vec::new(), Ring::new());
    let mut position = HashMap::new();
    for point in ring {
        let key = point.map(f64::to_bits);
        if let Some(start) = position.get(&key).copied() {
            let closed: Ring = open.drain(start..).collect();
            for passed in &closed {
                position.remove(&passed.map(f64::to_bits));
            }
            done.push(closed);
        }
        position.insert(key, open.len());
        open.push(point);
    }
    done.push(open);
    done
}

/// The ring with fewer corners (Ramer, Douglas and Peucker), or as it was where little would remain.
fn simplified(ring: Ring, tolerance: f64) -> Ring {
    if tolerance <= 0.0 || ring.len() <= 4 {
        return ring;
    }
    // Two corners that stay: the first, and the one farthest from it.
    let far = (0..ring.len())
        .max_by(|a, b| squared(ring[0], ring[*a]).total_cmp(&squared(ring[0], ring[*b])))
        .unwrap_or(0);
    let mut closed = ring.clone();
    closed.push(ring[0]);
    let mut keep = vec![false; closed.len()];
    keep[0] = true;
    keep[far] = true;
    let mut open = vec![(0, far), (far, closed.len() - 1)];
    while let Some((from, to)) = open.pop() {
        let farthest = (from + 1..to)
            .map(|at| (at, distance(closed[at], closed[from], closed[to])))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, _)) = farthest.filter(|(_, off)| *off > tolerance) {
            keep[at] = true;
            open.extend([(from, at), (at, to)]);
        }
    }
    let short: Ring = ring
        .iter()
        .zip(&keep)
        .filter_map(|(point, keep)| keep.then_some(*point))
        .collect();
    let same_side = signed_area(&short) * signed_area(&ring) > 0.0;
    if short.len() >= 3 && same_side {
        short
    } else {
        ring
    }
}

fn squared(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// From a point to the line between two others.
fn distance(point: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let length = squared(from, to);
    if length == 0.0 {
        return squared(point, from).sqrt();
    }
    let along = (point[0] - from[0]) * (to[0] - from[0]) + (point[1] - from[1]) * (to[1] - from[1]);
    let share = (along / length).clamp(0.0, 1.0);
    let foot = [
        from[0] + share * (to[0] - from[0]),
        from[1] + share * (to[1] - from[1]),
    ];
    squared(point, foot).sqrt()
}

/// Area of a ring; positive where it runs from the first axis to the second.
pub(super) fn signed_area(ring: &[[f64; 2]]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    let twice: f64 = ring
        .iter()
        .zip(next)
        .map(|(a, b)| a[0] * b[1] - b[0] * a[1])
        .sum();
    twice / 2.0
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let data = rows.concat().bytes().map(|b| u8::from(b == b'#')).collect();
        Mask {
            width: rows[0].len(),
            height: rows.len(),
            data,
        }
    }

    /// The pixels whose centres are inside, by the even-odd rule.
    fn filled(polygons: &[Polygon], width: usize, height: usize) -> Vec<u8> {
        let inside = |x: f64, y: f64| {
            let rings = polygons.iter().flat_map(|p| &p.rings);
            let crossings = rings.map(|ring| {
                let next = ring.iter().cycle().skip(1);
                let crossed = ring.iter().zip(next).filter(|(a, b)| {
                    (a[1] > y) != (b[1] > y)
                        && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
                });
                crossed.count()
            });
            crossings.sum::<usize>() % 2
        };
        (0..width * height)
            .map(|at| inside((at % width) as f64 + 0.5, (at / width) as f64 + 0.5) as u8)
            .collect()
    }

    /// A pattern without symmetry, with holes, and pixels that touch at corners.
    fn speckled() -> Mask {
        let (width, height) = (41, 29);
        let mut state = 12345_u32;
        let data = (0..width * height)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                u8::from(state >> 30 != 0)
            })
            .collect();
        Mask {
            width,
            height,
            data,
        }
    }

    #[test]
    fn a_pixel_is_a_square() {
        let polygons = mask(&["...", ".#.", "..."]).polygons(0.0);
        let square: Ring = vec![[2.0, 1.0], [2.0, 2.0], [1.0, 2.0], [1.0, 1.0]];
        assert_eq!(
            polygons,
            [Polygon {
                rings: vec![square],
                pixels: 1
            }]
        );
    }

    #[test]
    fn holes_are_kept_and_regions_that_touch_at_a_corner_are_apart() {
        let polygons = mask(&["###.", "#.#.", "###.", "...#"]).polygons(0.0);
        assert_eq!(polygons.len(), 2);
        assert_eq!(polygons[0].rings.len(), 2);
        assert_eq!(signed_area(&polygons[0].rings[0]), 9.0);
        assert_eq!(signed_area(&polygons[0].rings[1]), -1.0);
        assert_eq!((polygons[0].pixels, polygons[1].pixels), (8, 1));
    }

    #[test]
    fn filling_the_outlines_gives_the_mask() {
        let mask = speckled();
        let polygons = mask.polygons(0.0);
        assert!(polygons.iter().any(|p| p.rings.len() > 1));
        assert_eq!(filled(&polygons, mask.width, mask.height), mask.data);
        for polygon in &polygons {
            let area: f64 = polygon.rings.iter().map(|ring| signed_area(ring)).sum();
            assert_eq!(area, polygon.pixels as f64);
            assert!(signed_area(&polygon.rings[0]) > 0.0);
            assert!(
                polygon.rings[1..]
                    .iter()
                    .all(|hole| signed_area(hole) < 0.0)
            );
            for ring in &polygon.rings {
                let points: HashSet<_> = ring.iter().map(|p| p.map(f64::to_bits)).collect();
                assert_eq!(points.len(), ring.len(), "a ring meets itself: {ring:?}");
            }
        }
    }

    #[test]
    fn a_slanted_edge_becomes_straight() {
        let rows: Vec<String> = (0..20)
            .map(|y| format!("{:.<20}", "#".repeat(y + 1)))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let mask = mask(&rows);
        let exact = &mask.polygons(0.0)[0].rings[0];
        let simple = &mask.polygons(1.0)[0].rings[0];
        assert_eq!(exact.len(), 42);
        assert!(simple.len() <= 5, "{simple:?}");
        let area = signed_area(simple);
        assert!((area - 210.0).abs() < 15.0, "{area}");
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(Mask::empty(3, 2).polygons(1.0).is_empty());
    }
}
