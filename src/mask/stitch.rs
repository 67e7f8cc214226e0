//! One margin map from those of overlapping tiles.

use super::MarginMap;
use crate::image::{Tile, TileGrid};

/// Collects the margins of tiles on a map of the whole image.
///
/// Where tiles overlap their margins are mixed, each by its distance from the edge of its tile, so
/// that one tile fades into the next and no seam shows.
#[derive(Debug)]
pub(crate) struct Stitch {
    image: [usize; 2],
    overlap: usize,
    width: usize,
    height: usize,
    sums: Vec<f32>,
    weights: Vec<f32>,
}

impl Stitch {
    /// For an image of `width` x `height` pixels; `cell`: pixels between two values of a tile's map.
    pub(crate) fn new(width: usize, height: usize, grid: &TileGrid, cell: f64) -> Self {
        let cells = |length: usize| ((length as f64 / cell).round() as usize).max(2);
        let (columns, rows) = (cells(width), cells(height));
        Self {
            image: [width, height],
            overlap: grid.overlap,
            width: columns,
            height: rows,
            sums: vec![0.0; columns * rows],
            weights: vec![0.0; columns * rows],
        }
    }

    /// Adds the map of one tile.
    pub(crate) fn add(&mut self, tile: Tile, margin: &MarginMap) {
        let [image_width, image_height] = self.image;
        let columns = self.covered(self.width, image_width, tile.x, tile.width, margin.width);
        let rows = self.covered(
            self.height,
            image_height,
            tile.y,
            tile.height,
            margin.height,
        );
        for row in &rows {
            for column in &columns {
                let weight = row.weight * column.weight;
                let index = row.cell * self.width + column.cell;
                self.sums[index] += weight * margin.at(column.position, row.position);
                self.weights[index] += weight;
            }
        }
    }

    /// The map of the whole image.
    pub(crate) fn finish(self) -> MarginMap {
        let mixed = self.sums.iter().zip(&self.weights);
        MarginMap {
            width: self.width,
            height: self.height,
            data: mixed
                .map(|(sum, weight)| match *weight > 0.0 {
                    true => sum / weight,
                    // No tile has come to this place yet.
                    false => MarginMap::UNSEEN,
                })
                .collect(),
        }
    }

    /// The cells of the whole map, along one axis, that a tile covers.
    fn covered(
        &self,
        cells: usize,
        image: usize,
        start: usize,
        length: usize,
        values: usize,
    ) -> Vec<Covered> {
        // Corners are aligned, in the image as in the tile.
        let pixel = |cell: usize| cell as f64 * (image - 1) as f64 / (cells - 1) as f64;
        let last = (length - 1) as f64;
        let fade = self.overlap as f64;
        (0..cells)
            .filter_map(|cell| {
                let inside = pixel(cell) - start as f64;
                if !(0.0..=last).contains(&inside) {
                    return None;
                }
                // The image's own border is nobody's seam.
                let before = if start == 0 { fade } else { inside + 1.0 };
                let after = if start + length == image {
                    fade
                } else {
                    last - inside + 1.0
                };
                let step = if last > 0.0 {
                    (values - 1) as f64 / last
                } else {
                    0.0
                };
                Some(Covered {
                    cell,
                    position: inside * step,
                    weight: (before.min(after) / fade).min(1.0) as f32,
                })
            })
            .collect()
    }
}

struct Covered {
    cell: usize,
    /// In the tile's map.
    position: f64,
    weight: f32,
}

impl MarginMap {
    /// The value at a position between the cells.
    fn at(&self, x: f64, y: f64) -> f32 {
        let split = |position: f64, count: usize| {
            let before = (position as usize).min(count - 1);
            let share = (position - before as f64) as f32;
            (before, (before + 1).min(count - 1), share)
        };
        let (left, right, across) = split(x, self.width);
        let (top, bottom, down) = split(y, self.height);
        let row = |row: usize| {
            let values = &self.data[row * self.width..][..self.width];
            values[left] * (1.0 - across) + values[right] * across
        };
        row(top) * (1.0 - down) + row(bottom) * down
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiles that all see one plane (a x + b y + c) give that plane back, without a seam.
    #[test]
    fn a_plane_seen_through_tiles_is_the_plane() {
        let plane = |x: f64, y: f64| (0.01 * x - 0.02 * y + 3.0) as f32;
        for (width, height) in [(1000, 700), (777, 130), (2000, 2000)] {
            let grid = TileGrid::new(width, height, 300);
            assert!(grid.tiles.len() > 1);
            let mut stitch = Stitch::new(width, height, &grid, 300.0 / 64.0);
            for tile in &grid.tiles {
                let data = (0..64 * 64).map(|index| {
                    let (x, y) = (index % 64, index / 64);
                    plane(
                        tile.x as f64 + x as f64 * (tile.width - 1) as f64 / 63.0,
                        tile.y as f64 + y as f64 * (tile.height - 1) as f64 / 63.0,
                    )
                });
                let margin = MarginMap {
                    width: 64,
                    height: 64,
                    data: data.collect(),
                };
                stitch.add(*tile, &margin);
            }
            let map = stitch.finish();
            for row in 0..map.height {
                for column in 0..map.width {
                    let expected = plane(
                        column as f64 * (width - 1) as f64 / (map.width - 1) as f64,
                        row as f64 * (height - 1) as f64 / (map.height - 1) as f64,
                    );
                    let found = map.data[row * map.width + column];
                    assert!((found - expected).abs() < 1e-3, "{found} for {expected}");
                }
            }
        }
    }

    /// Where two tiles disagree the map goes from one to the other in small steps.
    #[test]
    fn disagreeing_tiles_fade_into_each_other() {
        let grid = TileGrid::new(560, 300, 300);
        assert_eq!(grid.tiles.len(), 2);
        let mut stitch = Stitch::new(560, 300, &grid, 1.0);
        for (tile, value) in grid.tiles.iter().zip([-1.0, 1.0]) {
            let margin = MarginMap {
                width: 2,
                height: 2,
                data: vec![value; 4],
            };
            stitch.add(*tile, &margin);
        }
        let map = stitch.finish();
        let row = &map.data[..map.width];
        assert_eq!((row[0], row[map.width - 1]), (-1.0, 1.0));
        assert!(
            row.windows(2)
                .all(|pair| pair[1] >= pair[0] && pair[1] - pair[0] < 0.1)
        );
    }
}
