//! Overlapping squares that cover a large image.

use super::Raster;

/// A part of an image, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Tiles of one size, evenly spread, each overlapping its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileGrid {
    /// Row by row.
    pub tiles: Vec<Tile>,
    /// At least so many pixels are shared by neighbours.
    pub overlap: usize,
}

impl TileGrid {
    /// One tile: the whole image.
    pub fn whole(width: usize, height: usize) -> Self {
        let tile = Tile {
            x: 0,
            y: 0,
            width,
            height,
        };
        Self {
            tiles: vec![tile],
            overlap: 0,
        }
    }

    /// Tiles of `side` pixels that share an eighth of it with the next; an axis that is shorter has
    /// one tile of its own length.
    pub fn new(width: usize, height: usize, side: usize) -> Self {
        let side = side.max(8);
        let overlap = side / 8;
        let mut tiles = Vec::new();
        for (y, tile_height) in starts(height, side, overlap) {
            for (x, tile_width) in starts(width, side, overlap) {
                tiles.push(Tile {
                    x,
                    y,
                    width: tile_width,
                    height: tile_height,
                });
            }
        }
        Self { tiles, overlap }
    }
}

/// First positions and length of the tiles along an axis.
fn starts(length: usize, side: usize, overlap: usize) -> Vec<(usize, usize)> {
    if length <= side {
        return vec![(0, length)];
    }
    let count = (length - overlap).div_ceil(side - overlap);
    let span = length - side;
    // The first tile begins and the last one ends with the image.
    (0..count)
        .map(|index| ((index * span + (count - 1) / 2) / (count - 1), side))
        .collect()
}

impl Raster {
    /// The pixels of a tile, which must lie inside the image.
    pub(crate) fn cut(&self, tile: Tile) -> Self {
        let mut rgb = Vec::with_capacity(tile.width * tile.height * 3);
        for row in tile.y..tile.y + tile.height {
            let start = (row * self.width + tile.x) * 3;
            rgb.extend_from_slice(&self.rgb[start..][..tile.width * 3]);
        }
        Self {
            width: tile.width,
            height: tile.height,
            rgb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_pixel_and_overlap_their_neighbours() {
        for (width, height, side) in [
            (1000, 1000, 300),
            (769, 40, 768),
            (10_000, 3_001, 768),
            (768, 768, 768),
            (9, 9, 8),
        ] {
            let grid = TileGrid::new(width, height, side);
            for (length, along) in [
                (width, (|tile| (tile.x, tile.width)) as fn(&Tile) -> _),
                (height, |tile| (tile.y, tile.height)),
            ] {
                let mut ranges: Vec<(usize, usize)> = grid.tiles.iter().map(along).collect();
                ranges.sort_unstable();
                ranges.dedup();
                assert_eq!(ranges[0].0, 0);
                let last = ranges[ranges.len() - 1];
                assert_eq!(last.0 + last.1, length, "{width} x {height} by {side}");
                for pair in ranges.windows(2) {
                    let shared = pair[0].0 + pair[0].1 - pair[1].0;
                    assert!(shared >= grid.overlap, "{pair:?} share {shared}");
                }
            }
        }
    }

    #[test]
    fn a_small_image_is_one_tile() {
        assert_eq!(
            TileGrid::new(700, 500, 768).tiles,
            TileGrid::whole(700, 500).tiles
        );
    }

    #[test]
    fn a_cut_holds_the_tiles_pixels() {
        let rgb = (0..5 * 4 * 3).map(|value| value as u8).collect();
        let image = Raster::new(5, 4, rgb).expect("sizes agree");
        let part = image.cut(Tile {
            x: 2,
            y: 1,
            width: 2,
            height: 2,
        });
        assert_eq!(part.rgb, [21, 22, 23, 24, 25, 26, 36, 37, 38, 39, 40, 41]);
    }
}
