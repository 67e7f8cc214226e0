//! Distances on label maps.
//!
//! Written out here because the crate that has them (`imageproc`) brings linear algebra and font
//! rendering along. The distance transform is that of Felzenszwalb and Huttenlocher, "Distance
//! Transforms of Sampled Functions" (2012): exact, in linear time.

use crate::mask::Mask;

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
