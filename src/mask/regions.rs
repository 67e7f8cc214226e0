//! Connected regions of a mask.
//!
//! Written out here because the crate that has them (`imageproc`) brings linear algebra and font
//! rendering along, into the browser too.

use super::Mask;

/// Which neighbours of a pixel belong to its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Those that share an edge with it, as `gdal_polygonize` has it by default.
    Four,
    /// Those that touch at a corner, too.
    Eight,
}

/// The connected regions of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    /// For each pixel its region, from 1; 0 outside the mask.
    pub of: Vec<u32>,
    /// Number of regions.
    pub count: usize,
}

impl Regions {
    /// Finds them, in the order of their first pixels.
    pub fn find(mask: &Mask, connectivity: Connectivity) -> Self {
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
                        if connectivity == Connectivity::Four && nx != x && ny != y {
                            continue;
                        }
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
    fn regions_touch_at_edges_or_at_corners_too() {
        let mask = mask(&["#..#", ".#.#", "...."]);
        let regions = Regions::find(&mask, Connectivity::Eight);
        assert_eq!(regions.count, 2);
        assert_eq!(regions.of, [1, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 0]);
        let regions = Regions::find(&mask, Connectivity::Four);
        assert_eq!(regions.count, 3);
        assert_eq!(regions.of, [1, 0, 0, 2, 0, 3, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn the_outline_leaves_out_the_inside_and_the_edge_of_the_image() {
        let mask = mask(&["###.", "###.", "###.", "...."]);
        let regions = Regions::find(&mask, Connectivity::Eight);
        let outline: Vec<usize> = (0..16).filter(|at| regions.is_outline(*at, 4)).collect();
        assert_eq!(outline, [2, 6, 8, 9, 10]);
    }
}
