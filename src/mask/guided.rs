//! Margins of pixels that follow the edges of the image.
//!
//! He, Sun and Tang, "Guided Image Filtering" (TPAMI 2013), equations 19 to 21, with coefficients at the
//! resolution of the network's output as in He and Sun, "Fast Guided Filter" (2015). Around each cell
//! the margin is fitted as a linear function of the colour, and that function is then asked for the
//! colours of the pixels; bilinear enlargement knows of an edge only which cells it crosses.

use super::blend::{centred, mix};
use super::{MarginMap, PixelMargins};
use crate::image::Raster;

/// What a slope costs, of colours from 0 to 1 (the papers' epsilon): a variance above it is an edge.
const REGULARISATION: f32 = 1e-3;
/// Cells of a window, which reaches one cell to every side: with more, thin things are smoothed away.
const WINDOW: usize = 9;

/// The colour of a cell, from 0 to 1, and its margin.
type Sample = ([f32; 3], f32);

/// A linear function of the colour: its slopes in red, green and blue, and its constant.
type Fit = [f32; 4];

/// Such a function, and the least and greatest margin of its window.
///
/// A colour that no cell of a window has (a light roof in a dark block) would get a margin that none has:
/// specks in the middle of what is certain.
type Bounded = [f32; 6];

impl MarginMap {
    /// Margins of the pixels of `image`, all of which this map is about.
    pub fn guided_by(&self, image: &Raster) -> PixelMargins {
        let fits = self.bounded_fits(image);
        let columns: Vec<_> = centred(self.width, image.width).collect();
        let rows: Vec<_> = centred(self.height, image.height).collect();
        let mut mixed = vec![Bounded::default(); self.width];
        let row_of_pixels = |y: usize, out: &mut [f32]| {
            let at = rows[y];
            let before = &fits[at.before * self.width..][..self.width];
            let after = &fits[at.after * self.width..][..self.width];
            for ((fit, before), after) in mixed.iter_mut().zip(before).zip(after) {
                *fit = mix(before, after, at.share);
            }
            let pixels = image.rgb[3 * y * image.width..].chunks_exact(3);
            for ((margin, at), rgb) in out.iter_mut().zip(&columns).zip(pixels) {
                let fit = mix(&mixed[at.before], &mixed[at.after], at.share);
                *margin = margin_of(fit, colour(rgb));
            }
        };
        PixelMargins {
            width: image.width,
            height: image.height,
            data: averaged(row_of_pixels, image.width, image.height),
        }
    }

    /// The function of each cell: equations 19 to 21.
    fn bounded_fits(&self, image: &Raster) -> Vec<Bounded> {
        let guide = image.resize_exact(self.width, self.height);
        let colours: Vec<[f32; 3]> = guide.rgb.chunks_exact(3).map(colour).collect();
        // What is certain anyhow must not tilt the functions beside it.
        let range = PixelMargins::RANGE;
        let margins: Vec<f32> = self.data.iter().map(|m| m.max(-range).min(range)).collect();
        let fits: Vec<Fit> = windows(self.width, self.height)
            .map(|window| fit(window.map(|cell| (colours[cell], margins[cell]))))
            .collect();
        windows(self.width, self.height)
            .map(|window| {
                let [red, green, blue, constant] = mean(window.map(|cell| fits[cell]));
                let of_window = window.map(|cell| margins[cell]);
                let least = of_window.into_iter().fold(f32::INFINITY, f32::min);
                let greatest = of_window.into_iter().fold(f32::NEG_INFINITY, f32::max);
                [red, green, blue, constant, least, greatest]
            })
            .collect()
    }
}

/// The margin of a pixel of this colour.
fn margin_of([red, green, blue, constant, least, greatest]: Bounded, [r, g, b]: [f32; 3]) -> f32 {
    let margin = red * r + green * g + blue * b + constant;
    margin.max(least).min(greatest)
}

/// Means of 3 x 3 pixels, as steps: single pixels of another colour, of which roofs and trees are full,
/// would be specks and holes along every edge. `row`: writes the margins of a row.
fn averaged(mut row: impl FnMut(usize, &mut [f32]), width: usize, height: usize) -> Vec<i8> {
    let mut data = Vec::with_capacity(width * height);
    let mut kept: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0.0; width]);
    let mut columns = vec![0.0; width];
    for y in 0..height {
        // The next one; the first time, the first one as well.
        for at in y + usize::from(y > 0)..(y + 2).min(height) {
            row(at, &mut kept[at % 3]);
        }
        let [above, below] = [y.saturating_sub(1), (y + 1).min(height - 1)].map(|y| &kept[y % 3]);
        let of_three = above.iter().zip(&kept[y % 3]).zip(below);
        for (sum, ((above, own), below)) in columns.iter_mut().zip(of_three) {
            *sum = above + own + below;
        }
        data.extend((0..width).map(|x| {
            let [left, right] = [x.saturating_sub(1), (x + 1).min(width - 1)];
            PixelMargins::step((columns[left] + columns[x] + columns[right]) / 9.0)
        }));
    }
    data
}

/// The mean of the functions whose windows a cell lies in.
fn mean(fits: [Fit; WINDOW]) -> Fit {
    std::array::from_fn(|i| fits.iter().map(|fit| fit[i]).sum::<f32>() / WINDOW as f32)
}

/// The cells around each cell, row-major; beyond an edge the cell on it stands again.
fn windows(width: usize, height: usize) -> impl Iterator<Item = [usize; WINDOW]> {
    let around = |at: usize, most: usize| [at.saturating_sub(1), at, (at + 1).min(most - 1)];
    (0..height).flat_map(move |y| {
        let rows = around(y, height);
        (0..width).map(move |x| {
            let columns = around(x, width);
            std::array::from_fn(|i| rows[i / 3] * width + columns[i % 3])
        })
    })
}

/// Least squares over a window, with a cost of slopes.
fn fit(window: [Sample; WINDOW]) -> Fit {
    let mean =
        |value: &dyn Fn(&Sample) -> f32| window.iter().map(value).sum::<f32>() / WINDOW as f32;
    let [r, g, b] = std::array::from_fn(|channel| mean(&|(colour, _)| colour[channel]));
    let margin = mean(&|(_, margin)| *margin);
    // Upper triangle of the covariance of the colours, and that with the margin.
    let [mut rr, mut rg, mut rb, mut gg, mut gb, mut bb] = [0.0; 6];
    let [mut rm, mut gm, mut bm] = [0.0; 3];
    for (colour, value) in window {
        let [dr, dg, db] = [colour[0] - r, colour[1] - g, colour[2] - b];
        let dm = value - margin;
        rr += dr * dr;
        rg += dr * dg;
        rb += dr * db;
        gg += dg * dg;
        gb += dg * db;
        bb += db * db;
        rm += dr * dm;
        gm += dg * dm;
        bm += db * dm;
    }
    let cost = REGULARISATION * WINDOW as f32;
    let [rr, gg, bb] = [rr + cost, gg + cost, bb + cost];
    // L D L^T, which holds for every symmetric matrix with positive eigenvalues.
    let (l_g, l_b) = (rg / rr, rb / rr);
    let d_g = gg - l_g * rg;
    let cross = gb - l_g * rb;
    let l_bg = cross / d_g;
    let d_b = bb - l_b * rb - l_bg * cross;
    let y_g = gm - l_g * rm;
    let y_b = bm - l_b * rm - l_bg * y_g;
    let blue = y_b / d_b;
    let green = y_g / d_g - l_bg * blue;
    let red = rm / rr - l_g * green - l_b * blue;
    [red, green, blue, margin - red * r - green * g - blue * b]
}

fn colour(rgb: &[u8]) -> [f32; 3] {
    std::array::from_fn(|channel| f32::from(rgb[channel]) / 255.0)
}
