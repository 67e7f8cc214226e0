//! Connected regions and distances on label maps.
//!
//! Written out here because the crate that has both (`imageproc`) brings linear algebra and font
//! rendering along; the two algorithms are short. The distance transform is that of Felzenszwalb and
//! Huttenlocher, "Distance Transforms of Sampled Functions" (2012): exact, in linear time.

use crate::mask::Mask;

/// The connected regions of a mask; pixels that touch at a corner are connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    /// For each pixel its region, from 1; 0 outside the mask.
    pub of: Vec<u32>,
    /// Number of regions.
    pub count: usize,
}

impl Regions {
    /// Finds them.
    pub fn find(mask: &Mask) -> Self {
        let (width, height) = (mask.width, mask.height);
        let mut of = vec![0; mask.data.len()];
        let (mut count, mut open) = (0, Vec::new());
        for start in 0..of.len() {
            if mask.data[start] == 0 || of[start] != 0 {
                continue;
            }
            count += 1;
            of[start] = count;
            open.push(start);
            while let Some(at) = open.pop() {
                let (x, y) = (at % width, at / width);
                for ny in y.saturating_sub(1)..(y + 2).min(height) {
                    for nx in x.saturating_sub(1)..(x + 2).min(width) {
                        let next = ny * width + nx;
                        if mask.data[next] != 0 && of[next] == 0 {
                            of[next] = count;
                            open.push(next);
                        }
                    }
                }
            }
        }
        let count = count as usize;
        Self { of, count }
    }

    /// The pixels of a region that have a neighbour (of four) outside the regions: its outline. The
    /// edge of the image is no outline.
    pub fn is_outline(&self, at: usize, width: usize) -> bool {
        let x = at % width;
        let outside = |at: usize| self.of.get(at).is_some_and(|region| *region == 0);
        self.of[at] != 0
            && ((x > 0 && outside(at - 1))
                || (x + 1 < width && outside(at + 1))
                || (at >= width && outside(at - width))
                || outside(at + width))
    }
}

/// For each pixel the nearest pixel of a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// Square of the distance to it, in pixels; infinite where the mask is empty.
    pub squared: Vec<f32>,
    /// Its index.
    pub index: Vec<u32>,
}

impl Nearest {
    /// Finds it for every pixel.
    pub fn find(mask: &Mask) -> Self {
        let (width, height) = (mask.width, mask.height);
        let columns = nearest_rows(mask);
        let mut squared = vec![f32::INFINITY; width * height];
        let mut index = vec![0; width * height];
        let mut envelope = Envelope::default();
        for y in 0..height {
            envelope.clear();
            for x in 0..width {
                if let Some(row) = columns[y * width + x] {
                    envelope.add(x, row.abs_diff(y as u32), row);
                }
            }
            let out = y * width..(y + 1) * width;
            envelope.read(&mut squared[out.clone()], &mut index[out], width);
        }
        Self { squared, index }
    }

    /// Whether the mask is within `distance` pixels of a pixel.
    pub fn within(&self, at: usize, distance: f64) -> bool {
        f64::from(self.squared[at]) <= distance * distance
    }
}

/// For each pixel the row of the nearest mask pixel in its own column.
fn nearest_rows(mask: &Mask) -> Vec<Option<u32>> {
    let (width, height) = (mask.width, mask.height);
    let mut rows: Vec<Option<u32>> = vec![None; width * height];
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            rows[at] = if mask.data[at] != 0 {
                Some(y as u32)
            } else if y > 0 {
                rows[at - width]
            } else {
                None
            };
        }
    }
    for y in (0..height.saturating_sub(1)).rev() {
        for x in 0..width {
            let at = y * width + x;
            let below = rows[at + width];
            let nearer = match (rows[at], below) {
                (Some(above), Some(below)) => below.abs_diff(y as u32) < above.abs_diff(y as u32),
                (None, Some(_)) => true,
                _ => false,
            };
            if nearer {
                rows[at] = below;
            }
        }
    }
    rows
}

/// Lower envelope of the parabolas `(x - centre)^2 + height^2` of one row.
#[derive(Default)]
struct Envelope {
    /// Centre, height squared, row of the source, and from where on it is the lowest.
    parabolas: Vec<(f64, f64, u32, f64)>,
}

impl Envelope {
    fn clear(&mut self) {
        self.parabolas.clear();
    }

    fn add(&mut self, x: usize, distance: u32, row: u32) {
        let (centre, height) = (x as f64, f64::from(distance).powi(2));
        let mut from = f64::NEG_INFINITY;
        while let Some((other, other_height, _, other_from)) = self.parabolas.last() {
            let crossing = ((height + centre * centre) - (other_height + other * other))
                / (2.0 * (centre - other));
            if crossing > *other_from {
                from = crossing;
                break;
            }
            self.parabolas.pop();
        }
        self.parabolas.push((centre, height, row, from));
    }

    fn read(&self, squared: &mut [f32], index: &mut [u32], width: usize) {
        let mut at = 0;
        for x in 0..squared.len() {
            while self
                .parabolas
                .get(at + 1)
                .is_some_and(|next| next.3 <= x as f64)
            {
                at += 1;
            }
            if let Some((centre, height, row, _)) = self.parabolas.get(at) {
                squared[x] = ((x as f64 - centre).powi(2) + height) as f32;
                index[x] = row * width as u32 + *centre as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let data = rows.concat().bytes().map(|b| u8::from(b == b'#')).collect();
        Mask {
            width: rows[0].len(),
            height: rows.len(),
            data,
        }
    }

    #[test]
    fn regions_touch_at_corners_too() {
        let regions = Regions::find(&mask(&["#..#", ".#.#", "...."]));
        assert_eq!(regions.count, 2);
        assert_eq!(regions.of, [1, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn the_outline_leaves_out_the_inside_and_the_edge_of_the_image() {
        let mask = mask(&["###.", "###.", "###.", "...."]);
        let regions = Regions::find(&mask);
        let outline: Vec<usize> = (0..16).filter(|at| regions.is_outline(*at, 4)).collect();
        assert_eq!(outline, [2, 6, 8, 9, 10]);
    }

    #[test]
    fn distances_are_exact() {
        // Against every pixel of the mask, on a pattern without symmetry.
        let mut mask = Mask::empty(23, 17);
        for at in [5, 77, 78, 130, 301, 390] {
            mask.data[at] = 1;
        }
        let nearest = Nearest::find(&mask);
        for at in 0..mask.data.len() {
            let squared = |other: usize| {
                (at % 23).abs_diff(other % 23).pow(2) + (at / 23).abs_diff(other / 23).pow(2)
            };
            let sources = (0..mask.data.len()).filter(|other| mask.data[*other] == 1);
            let expected = sources.map(squared).min().expect("there are sources");
            assert_eq!(nearest.squared[at] as usize, expected, "pixel {at}");
            assert_eq!(squared(nearest.index[at] as usize), expected, "pixel {at}");
        }
    }

    #[test]
    fn an_empty_mask_is_infinitely_far() {
        let nearest = Nearest::find(&Mask::empty(3, 2));
        assert!((0..6).all(|at| !nearest.within(at, 1e9)));
    }
}
