//! The exact GELU, x Φ(x).

use crate::LANES;
use crate::exp::exp;

/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: erfc(z) = t (...) e^(-z²) with
/// t = 1 / (1 + p z), within 1.5e-7 for z >= 0.
const P: f32 = 0.327_591_1;
const COEFFICIENTS: [f32; 5] = [
    1.061_405_4,
    -1.453_152,
    1.421_413_7,
    -0.284_496_74,
    0.254_829_6,
];

/// Replaces each value x by x Φ(x), Φ being the normal distribution; within 2e-7 (1 + |x|).
pub fn gelu(values: &mut [f32]) {
    let mut blocks = values.chunks_exact_mut(LANES);
    for block in &mut blocks {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(block);
        block.copy_from_slice(&of_lanes(lanes));
    }
    let rest = blocks.into_remainder();
    let mut lanes = [0.0; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    let lanes = of_lanes(lanes);
    rest.copy_from_slice(&lanes[..rest.len()]);
}

#[inline(always)]
fn of_lanes(x: [f32; LANES]) -> [f32; LANES] {
    let bell = exp(x.map(|x| -0.5 * x * x));
    let mut out = [0.0; LANES];
    for lane in 0..LANES {
        let t = 1.0 / (1.0 + P * std::f32::consts::FRAC_1_SQRT_2 * x[lane].abs());
        let mut sum = COEFFICIENTS[0];
        for coefficient in &COEFFICIENTS[1..] {
            sum = sum * t + coefficient;
        }
        // Φ of -|x|, without a difference of nearly equal numbers.
        let tail = 0.5 * sum * t * bell[lane];
        let share = if x[lane] > 0.0 { 1.0 - tail } else { tail };
        out[lane] = x[lane] * share;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ by the series of the error function, in f64.
    fn normal(x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while term.abs() > 1e-18 && n < 400.0 {
            term *= x * x / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn close_to_the_exact_value_everywhere() {
        let mut values: Vec<f32> = (-2003..=2003).map(|i| i as f32 * 0.004).collect();
        let given = values.clone();
        gelu(&mut values);
        for (x, value) in given.into_iter().zip(values) {
            let exact = f64::from(x) * normal(f64::from(x));
            let off = (f64::from(value) - exact).abs();
            assert!(
                off < 2e-7 * (1.0 + f64::from(x.abs())),
                "{x}: {value}, not {exact}"
            );
        }
    }

    #[test]
    fn far_values_and_no_value() {
        let mut values = [1e30, -1e30, 0.0, f32::NAN, 40.0, -40.0, 3.0];
        gelu(&mut values);
        assert_eq!(values[..3], [1e30, 0.0, 0.0]);
        assert!(values[3].is_nan());
        assert_eq!(values[4], 40.0);
        assert!(values[5].abs() < 1e-30);
        gelu(&mut []);
    }
}
