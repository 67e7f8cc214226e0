//! Bilinear resizing with antialiasing, to the bit as the official preprocessing does it.
//!
//! That is Pillow's: a triangle filter whose support grows with the reduction, first along rows,
//! then along columns, in fixed point with 22 fraction bits, each pass rounded to 8 bits. The
//! crate `fast_image_resize` has the same filter, but takes the columns of 8-bit images first and
//! has 16-bit coefficients: one value in five comes out one off. The pipeline's goldens are exact,
//! so this is written out here.

/// Fraction bits of a coefficient: 32 less 8 for the value and 2 against overflow.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// What one output position along an axis is made of.
struct Tap {
    /// First input position.
    start: usize,
    /// Weights of the input positions from `start` on, in fixed point; their sum is about 1.
    weights: Vec<i32>,
}

/// Resizes row-major RGB bytes; both sizes are (width, height), and not 0.
pub(super) fn bilinear_rgb(rgb: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let rows = if from.0 == to.0 {
        rgb.to_vec()
    } else {
        resize_rows(rgb, from, to.0)
    };
    if from.1 == to.1 {
        rows
    } else {
        resize_columns(&rows, to.0, from.1, to.1)
    }
}

/// The triangle filter's weights for each output position.
fn taps(input: usize, output: usize) -> Vec<Tap> {
    let scale = input as f64 / output as f64;
    // Enlarging interpolates between two neighbours; reducing averages over `2 * scale` of them.
    let support = scale.max(1.0);
    (0..output)
        .map(|position| {
            let centre = (position as f64 + 0.5) * scale;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let exact: Vec<f64> = (start..end)
                .map(|at| (1.0 - ((at as f64 - centre + 0.5) / support).abs()).max(0.0))
                .collect();
            let sum: f64 = exact.iter().sum();
            let fixed = |weight: f64| (weight / sum * f64::from(1 << PRECISION_BITS)).round();
            Tap {
                start,
                weights: exact.into_iter().map(|w| fixed(w) as i32).collect(),
            }
        })
        .collect()
}

/// Rounds an accumulated value, which starts at one half, to 8 bits.
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn resize_rows(rgb: &[u8], (width, height): (usize, usize), new_width: usize) -> Vec<u8> {
    let taps = taps(width, new_width);
    let mut out = Vec::with_capacity(new_width * height * 3);
    for row in rgb.chunks_exact(width * 3) {
        for tap in &taps {
            let mut sum = [HALF; 3];
            let pixels = row[tap.start * 3..].chunks_exact(3);
            for (pixel, weight) in pixels.zip(&tap.weights) {
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out.extend(sum.map(to_byte));
        }
    }
    out
}

fn resize_columns(rgb: &[u8], width: usize, height: usize, new_height: usize) -> Vec<u8> {
    let stride = width * 3;
    let mut out = Vec::with_capacity(stride * new_height);
    let mut sums = vec![HALF; stride];
    for tap in taps(height, new_height) {
        sums.fill(HALF);
        let rows = rgb[tap.start * stride..].chunks_exact(stride);
        for (row, weight) in rows.zip(&tap.weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|sum| to_byte(*sum)));
    }
    out
}
