//! The exact GELU, x Φ(x).

use crate::map_values::{Function, change};
use crate::simd::Simd;

/// Φ(x) - 1/2 = x P(x²) / Q(x²) up to here, within 2e-8; beyond, Φ is 0 or 1 within as much. Fitted to Φ
/// by least squares whose weights move towards the largest error.
const EDGE: f32 = 5.5;
/// From the highest power of x² down.
const P: [f32; 7] = [
    1.117_574_1e-10,
    -2.208_226e-8,
    3.241_037_6e-6,
    1.703_721_8e-4,
    4.509_153_3e-3,
    3.592_207_7e-2,
    3.989_421_4e-1,
];
const Q: [f32; 5] = [
    6.232_588e-5,
    1.830_633_5e-3,
    2.909_140_8e-2,
    2.567_078_5e-1,
    1.0,
];

/// Replaces each value x by x Φ(x), Φ being the normal distribution; within 2e-7 (1 + |x|).
pub fn gelu(values: &mut [f32]) {
    change(values, &Gelu);
}

struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    unsafe fn of<S: Simd>(&self, x: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe {
            let polynomial = |coefficients: &[f32], square: S::Floats| {
                let mut sum = S::splat(coefficients[0]);
                for coefficient in &coefficients[1..] {
                    sum = S::mul_add(sum, square, S::splat(*coefficient));
                }
                sum
            };
            let square = S::mul(x, x);
            let share = S::div(polynomial(&P, square), polynomial(&Q, square));
            let near = S::mul(x, S::mul_add(x, share, S::splat(0.5)));
            let far = S::at_least(x, S::splat(0.0));
            S::where_less(S::splat(EDGE), S::abs(x), far, near)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map_values::change_portable;

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
        let given: Vec<f32> = (-2003..=2003).map(|i| i as f32 * 0.004).collect();
        for change in [change::<Gelu>, change_portable::<Gelu>] {
            let mut values = given.clone();
            change(&mut values, &Gelu);
            for (x, value) in given.iter().zip(values) {
                let exact = f64::from(*x) * normal(f64::from(*x));
                let off = (f64::from(value) - exact).abs();
                assert!(
                    off < 2e-7 * (1.0 + f64::from(x.abs())),
                    "{x}: {value}, not {exact}"
                );
            }
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
