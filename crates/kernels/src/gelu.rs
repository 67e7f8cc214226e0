//! The GELU, x Φ(x): exact, and as close as products of integers need it.

use crate::map_values::{Family, Function, change, polynomial};
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
    change::<Exact>(values);
}

/// As [`gelu`], within 6e-4 and half as long: for what is multiplied as integers of 7 bits, whose steps
/// are larger.
pub(crate) fn gelu_for_codes(values: &mut [f32]) {
    change::<ForCodes>(values);
}

/// Φ(x) - 1/2 is about x R(x²) up to here, where it is 1/2; beyond, Φ is taken as 0 or 1. Fitted for the
/// smallest error of x Φ(x).
const NEAR_EDGE: f32 = 3.6;
/// From the highest power of x² down.
const R: [f32; 6] = [
    -4.434_407_7e-7,
    2.517_122_6e-5,
    -5.940_944_5e-4,
    7.705_444_5e-3,
    -6.221_107_8e-2,
    3.961_609_3e-1,
];

struct Exact;

impl Family for Exact {
    type Of<S: Simd> = Gelu<S>;
}

struct ForCodes;

impl Family for ForCodes {
    type Of<S: Simd> = GeluForCodes<S>;
}

struct Gelu<S: Simd> {
    p: [S::Floats; P.len()],
    q: [S::Floats; Q.len()],
    edge: S::Floats,
    half: S::Floats,
}

impl<S: Simd> Function<S> for Gelu<S> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                p: P.map(|value| S::constant(value)),
                q: Q.map(|value| S::constant(value)),
                edge: S::constant(EDGE),
                half: S::constant(0.5),
            }
        }
    }

    #[inline(always)]
    unsafe fn of(&self, x: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe {
            let square = S::mul(x, x);
            let share = S::div(
                polynomial::<S>(&self.p, square),
                polynomial::<S>(&self.q, square),
            );
            let near = S::mul(x, S::mul_add(x, share, self.half));
            let far = S::at_least(x, S::splat(0.0));
            S::where_less(self.edge, S::abs(x), far, near)
        }
    }
}

struct GeluForCodes<S: Simd> {
    r: [S::Floats; R.len()],
    low: S::Floats,
    high: S::Floats,
    half: S::Floats,
}

impl<S: Simd> Function<S> for GeluForCodes<S> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                r: R.map(|value| S::constant(value)),
                low: S::constant(-NEAR_EDGE),
                high: S::constant(NEAR_EDGE),
                half: S::constant(0.5),
            }
        }
    }

    #[inline(always)]
    unsafe fn of(&self, x: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe {
            let near = S::at_most(S::at_least(x, self.low), self.high);
            let sum = polynomial::<S>(&self.r, S::mul(near, near));
            S::mul(x, S::mul_add(near, sum, self.half))
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
        for change in [change::<Exact>, change_portable::<Exact>] {
            let mut values = given.clone();
            change(&mut values);
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
    fn for_codes_it_is_close_everywhere() {
        let given: Vec<f32> = (-4006..=4006).map(|i| i as f32 * 0.002).collect();
        for change in [change::<ForCodes>, change_portable::<ForCodes>] {
            let mut values = given.clone();
            change(&mut values);
            for (x, value) in given.iter().zip(values) {
                let exact = f64::from(*x) * normal(f64::from(*x));
                let off = (f64::from(value) - exact).abs();
                assert!(off < 6e-4, "{x}: {value}, not {exact}");
            }
            let mut values = [1e4, -1e4, 0.0, f32::NAN, f32::INFINITY];
            change(&mut values);
            assert!((values[0] / 1e4 - 1.0).abs() < 1e-6 && values[1].abs() < 1e-2);
            assert_eq!(values[2], 0.0);
            assert!(values[3].is_nan() && values[4] == f32::INFINITY);
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
