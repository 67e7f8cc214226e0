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

    /// How many there are, without the map of them: row by row, so that a hundred million pixels take
    /// little more memory than two rows.
    pub fn count_in(mask: &Mask, connectivity: Connectivity) -> usize {
        let reach = usize::from(connectivity == Connectivity::Eight);
        // Each run of pixels gets a name; names that turn out to be of one region share a root.
        let mut parents: Vec<u32> = Vec::new();
        let (mut above, mut below) = (Vec::<Run>::new(), Vec::<Run>::new());
        let mut count = 0;
        for row in mask.data.chunks_exact(mask.width.max(1)) {
            below.clear();
            let mut first = 0;
            for (start, end) in runs(row) {
                while above.get(first).is_some_and(|run| run.end + reach <= start) {
                    first += 1;
                }
                let touching = above[first..]
                    .iter()
                    .take_while(|run| run.start < end + reach);
                let mut name = None;
                for run in touching {
                    let other = root(&mut parents, run.name);
                    match name {
                        None => name = Some(other),
                        Some(own) if own != other => {
                            parents[other.max(own) as usize] = other.min(own);
                            name = Some(other.min(own));
                            count -= 1;
                        }
                        Some(_) => {}
                    }
                }
                let name = name.unwrap_or_else(|| {
                    count += 1;
                    parents.push(parents.len() as u32);
                    parents.len() as u32 - 1
                });
                below.push(Run { start, end, name });
            }
            std::mem::swap(&mut above, &mut below);
        }
        count
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

/// Pixels of the mask side by side in a row.
struct Run {
    start: usize,
    /// One behind the last.
    end: usize,
    name: u32,
}

fn runs(row: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + row[at..].iter().position(|value| *value != 0)?;
        let length = row[start..].iter().position(|value| *value == 0);
        at = length.map_or(row.len(), |length| start + length);
        Some((start, at))
    })
}

/// The name that stands for all of a region; the way to it is shortened.
fn root(parents: &mut [u32], mut name: u32) -> u32 {
    while parents[name as usize] != name {
        let parent = parents[name as usize];
        parents[name as usize] = parents[parent as usize];
        name = parent;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Masks of every density, from few islands to a sponge.
    #[test]
    fn counting_row_by_row_is_counting_the_map() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        for (width, height) in [(1, 1), (1, 40), (40, 1), (37, 53), (64, 64)] {
            for density in [0, 3, 20, 35, 45, 50, 55, 65, 80, 97, 100] {
                let data = (0..width * height).map(|_| u8::from(random() % 100 < density));
                let mask = Mask {
                    width,
                    height,
                    data: data.collect(),
                };
                for connectivity in [Connectivity::Four, Connectivity::Eight] {
                    let found = Regions::find(&mask, connectivity).count;
                    assert_eq!(Regions::count_in(&mask, connectivity), found);
                }
            }
        }
    }

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
