//! A segmentation tile by tile.

use std::collections::BTreeMap;

use super::{Question, Segmentation, Segmenter, Timings};
use crate::error::Result;
use crate::image::{Raster, Tile, TileGrid};
use crate::mask::{MarginMap, Stitch, Upsampling};
use crate::platform::now_ms;

/// Pixels of the network's input between two values of its map.
const CELL: usize = 4;

/// A segmentation under way: see [`Segmenter::begin`].
#[derive(Debug)]
pub struct Job<'a> {
    pub(super) segmenter: &'a Segmenter,
    pub(super) image: &'a Raster,
    pub(super) side: usize,
    pub(super) threshold: f32,
    pub(super) upsampling: Upsampling,
    pub(super) grid: TileGrid,
    pub(super) question: Question,
    /// Tiles that nobody computes yet, the next one last.
    pub(super) open: Vec<usize>,
    /// How many tiles are part of `margin`, the first ones of the grid.
    pub(super) placed: usize,
    /// What came before the tile that is to be placed next: sums of floats depend on their order, and
    /// masks shall not depend on who was faster.
    pub(super) early: BTreeMap<usize, MarginMap>,
    pub(super) margin: Margin,
    pub(super) timings: Timings,
}

/// What has been computed of an image.
#[derive(Debug)]
pub(super) enum Margin {
    Nothing,
    Whole(MarginMap),
    Tiles(Stitch),
}

impl Job<'_> {
    /// How many tiles are done, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.placed + self.early.len(), self.grid.tiles.len())
    }

    /// Computes the next tile. False where none is left.
    ///
    /// # Errors
    /// As [`Segmenter::segment`].
    pub async fn step(&mut self) -> Result<bool> {
        let start = now_ms();
        let Some((tile, image)) = self.hand_out() else {
            return Ok(false);
        };
        let prepared = now_ms();
        let margin = self.segmenter.run_vision(image, &self.question).await?;
        self.timings.preprocess_ms += prepared - start;
        self.timings.vision_ms += now_ms() - prepared;
        self.hand_in(tile, Some(margin));
        Ok(!self.open.is_empty())
    }

    /// How many tiles nobody computes yet.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The next tile and what the network reads of it, square, for another segmenter
    /// ([`Segmenter::margin_of_tile`]). `None` where none is left.
    pub fn hand_out(&mut self) -> Option<(usize, Raster)> {
        let number = self.open.pop()?;
        Some((number, self.input(self.grid.tiles[number])))
    }

    /// What the network says of a tile that was handed out; `None`: it was not computed after all.
    ///
    /// False where the map is not one of such a tile: then somebody has to compute it again.
    pub fn hand_in(&mut self, tile: usize, margin: Option<MarginMap>) -> bool {
        let out = (self.placed..self.grid.tiles.len()).contains(&tile)
            && !self.early.contains_key(&tile)
            && !self.open.contains(&tile);
        if !out {
            return false;
        }
        let cells = self.side / CELL;
        let fits = |map: &MarginMap| {
            (map.width, map.height, map.data.len()) == (cells, cells, cells * cells)
        };
        let Some(margin) = margin.filter(fits) else {
            self.open.push(tile);
            return false;
        };
        self.early.insert(tile, margin);
        while let Some(margin) = self.early.remove(&self.placed) {
            self.place(margin);
        }
        true
    }

    fn place(&mut self, margin: MarginMap) {
        let tile = self.grid.tiles[self.placed];
        self.placed += 1;
        if self.grid.tiles.len() == 1 {
            self.margin = Margin::Whole(margin);
            return;
        }
        if let Margin::Nothing = self.margin {
            let cell = tile.width.max(tile.height) as f64 / margin.width as f64;
            let (width, height) = (self.image.width, self.image.height);
            self.margin = Margin::Tiles(Stitch::new(width, height, &self.grid, cell));
        }
        if let Margin::Tiles(stitch) = &mut self.margin {
            stitch.add(tile, &margin);
        }
    }

    /// The mask, after the last step; before it, what is not computed yet is background.
    pub fn finish(self) -> Segmentation {
        let start = now_ms();
        let margin = match self.margin {
            Margin::Whole(margin) => margin,
            Margin::Tiles(stitch) => stitch.finish(),
            Margin::Nothing => MarginMap {
                width: 1,
                height: 1,
                data: vec![MarginMap::UNSEEN],
            },
        };
        let pixels = margin.upsampled(self.image, self.upsampling);
        Segmentation {
            pixels,
            margin,
            threshold: self.threshold,
            truncated: self.question.truncated,
            timings: Timings {
                postprocess_ms: now_ms() - start,
                ..self.timings
            },
        }
    }

    /// What the network reads of a tile, `side` x `side`.
    fn input(&self, tile: Tile) -> Raster {
        if (tile.width, tile.height) == (self.image.width, self.image.height) {
            self.image.resize_exact(self.side, self.side)
        } else {
            self.image.cut(tile).resize_exact(self.side, self.side)
        }
    }
}
