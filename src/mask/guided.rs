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

/// A linear function of the colour: its slopes in red, green and blue, and its constant.
type Fit = [f32; 4];

impl MarginMap {
    /// Margins of the pixels of `image`, all of which this map is about.
    pub fn guided_by(&self, image: &Raster) -> PixelMargins {
        let fits = smoothed(&self.fits(image), self.width, self.height);
        let columns: Vec<_> = centred(self.width, image.width).collect();
        let mut row = vec![Fit::default(); self.width];
        let mut data = Vec::with_capacity(image.width * image.height);
        let pixels = image.rgb.chunks_exact(3 * image.width.max(1));
        for (at, pixels) in centred(self.height, image.height).zip(pixels) {
            let before = &fits[at.before * self.width..][..self.width];
            let after = &fits[at.after * self.width..][..self.width];
            for ((fit, before), after) in row.iter_mut().zip(before).zip(after) {
                *fit = mix(before, after, at.share);
            }
            data.extend(columns.iter().zip(pixels.chunks_exact(3)).map(|(at, rgb)| {
                let [red, green, blue, constant] = mix(&row[at.before], &row[at.after], at.share);
                let [r, g, b] = colour(rgb);
                PixelMargins::step(red * r + green * g + blue * b + constant)
            }));
        }
        PixelMargins {
            width: image.width,
            height: image.height,
            data,
        }
    }

    /// The function that fits best around each cell: equations 19 and 20.
    fn fits(&self, image: &Raster) -> Vec<Fit> {
        let guide = image.resize_exact(self.width, self.height);
        let colours: Vec<[f32; 3]> = guide.rgb.chunks_exact(3).map(colour).collect();
        // What is certain anyhow must not tilt the functions beside it.
        let range = PixelMargins::RANGE;
        let margins: Vec<f32> = self.data.iter().map(|m| m.max(-range).min(range)).collect();
        windows(self.width, self.height)
            .map(|window| fit(window.map(|cell| (colours[cell], margins[cell]))))
            .collect()
    }
}

/// The mean of the functions whose windows a cell lies in: equation 21.
fn smoothed(fits: &[Fit], width: usize, height: usize) -> Vec<Fit> {
    windows(width, height)
        .map(|window| {
            let mut mean = Fit::default();
            for cell in window {
                for (sum, value) in mean.iter_mut().zip(fits[cell]) {
                    *sum += value / WINDOW as f32;
                }
            }
            mean
        })
        .collect()
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
fn fit(window: [([f32; 3], f32); WINDOW]) -> Fit {
    let mean = |value: &dyn Fn(&([f32; 3], f32)) -> f32| {
        window.iter().map(value).sum::<f32>() / WINDOW as f32
    };
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
