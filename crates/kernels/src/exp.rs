//! The exponential function of eight values at once.

use crate::LANES;

/// Below this a share of e^x may be subnormal.
const LOWEST: f32 = -80.0;
/// 1.5 * 2^23: added and taken away it rounds to the nearest integer, which stands in the low bits of
/// the sum.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts: the first has so few bits that its products with exponents are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Taylor coefficients of e^r on |r| <= ln 2 / 2 from the sixth power down, which leave 2e-8.
const COEFFICIENTS: [f32; 5] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];

/// e^x of each value; within 3e-7 of it for x from -80 to 88. Below it is exactly 0: numbers that small
/// are subnormal, and every product with one takes a hundred times as long.
#[inline(always)]
pub(crate) fn exp(x: [f32; LANES]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for (out, given) in out.iter_mut().zip(x) {
        // Comparisons in this order hand a NaN on.
        let x = if given < LOWEST { LOWEST } else { given };
        let x = if x > 88.3 { 88.3 } else { x };
        let rounded = x * std::f32::consts::LOG2_E + ROUNDER;
        let power = rounded - ROUNDER;
        let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
        let mut sum = COEFFICIENTS[0];
        for coefficient in &COEFFICIENTS[1..] {
            sum = sum * rest + coefficient;
        }
        let fraction = sum * (rest * rest) + rest + 1.0;
        // The exponent goes into its place in the number's bits.
        let scale = rounded.to_bits().wrapping_add(127).wrapping_shl(23);
        let power = fraction * f32::from_bits(scale);
        *out = if given < LOWEST { 0.0 } else { power };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_exact_value_everywhere() {
        let mut worst: f64 = 0.0;
        let mut x = -80.0f32;
        while x < 88.0 {
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp([x; LANES])[3]) / exact - 1.0).abs());
            x += 0.0037;
        }
        assert!(worst < 3e-7, "{worst:e}");
        assert_eq!(exp([0.0; LANES]), [1.0; LANES]);
    }

    #[test]
    fn far_below_it_vanishes_and_a_nan_stays_one() {
        for x in [-100.0, -1e30, f32::NEG_INFINITY] {
            assert_eq!(exp([x; LANES]), [0.0; LANES], "{x}");
        }
        assert!(exp([f32::NAN; LANES])[0].is_nan());
        assert!(exp([f32::INFINITY; LANES])[0] > 1e38);
    }
}
