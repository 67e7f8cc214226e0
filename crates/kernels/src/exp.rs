//! Powers of two of a vector, which softmax and hyperbolic tangents are made of.

use crate::map_values::{Function, polynomial};
use crate::simd::Simd;

/// Below this 2^x is as small as here: too small to count beside 1, and large enough that products with
/// it are no subnormal numbers, each of which takes a hundred times as long.
const VANISHING: f32 = -64.0;
/// 1.5 * 2^23, added and taken away, rounds to the nearest integer, which stands in the low bits of the
/// sum; with 127 more it is what [`Simd::power_of_two`] takes.
const ROUNDER: f32 = 12_582_912.0 + 127.0;
/// Of 2^r on |r| <= 1/2 from the fifth power down, fitted for the smallest relative error: 8e-8.
const COEFFICIENTS: [f32; 6] = [
    1.327_647_2e-3,
    9.675_542e-3,
    5.550_713e-2,
    2.402_212e-1,
    6.931_469_4e-1,
    1.000_000_1,
];

/// The same from the third power down: 7.5e-5, which 7 bits do not show.
const COARSE: [f32; 4] = [5.517_155_3e-2, 2.426_113_6e-1, 6.932_61e-1, 9.999_280_6e-1];

/// 2^x of values up to 127, by a polynomial of so many coefficients.
pub(crate) struct Exp2<S: Simd, const COUNT: usize = 6> {
    vanishing: S::Floats,
    rounder: S::Floats,
    coefficients: [S::Floats; COUNT],
}

/// 2^x within 8e-5 of it.
pub(crate) type CoarseExp2<S> = Exp2<S, 4>;

impl<S: Simd> Function<S> for Exp2<S> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::with(&COEFFICIENTS) }
    }

    /// Within 3e-7 of 2^x.
    #[inline(always)]
    unsafe fn of(&self, x: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { self.power(x) }
    }
}

impl<S: Simd> Function<S> for CoarseExp2<S> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::with(&COARSE) }
    }

    #[inline(always)]
    unsafe fn of(&self, x: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { self.power(x) }
    }
}

impl<S: Simd, const COUNT: usize> Exp2<S, COUNT> {
    #[inline(always)]
    unsafe fn with(coefficients: &[f32; COUNT]) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                vanishing: S::constant(VANISHING),
                rounder: S::constant(ROUNDER),
                coefficients: coefficients.map(|value| S::constant(value)),
            }
        }
    }

    /// Not less than 2^-64. A NaN stays one.
    #[inline(always)]
    unsafe fn power(&self, x: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe {
            let [value, power] = self.factors(x);
            S::mul(value, power)
        }
    }

    /// 2^x and something added to it.
    #[inline(always)]
    pub(crate) unsafe fn power_and(&self, x: S::Floats, added: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe {
            let [value, power] = self.factors(x);
            S::mul_add(value, power, added)
        }
    }

    /// Two numbers whose product is 2^x.
    #[inline(always)]
    unsafe fn factors(&self, x: S::Floats) -> [S::Floats; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let x = S::at_least(x, self.vanishing);
            let rounded = S::add(x, self.rounder);
            let rest = S::sub(x, S::sub(rounded, self.rounder));
            let value = polynomial::<S>(&self.coefficients, rest);
            [value, S::power_of_two(rounded)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map_values::{Family, change, change_portable};

    struct PowersOfTwo;

    impl Family for PowersOfTwo {
        type Of<S: Simd> = Exp2<S>;
    }

    struct CoarsePowersOfTwo;

    impl Family for CoarsePowersOfTwo {
        type Of<S: Simd> = CoarseExp2<S>;
    }

    #[test]
    fn a_coarse_power_is_as_close_as_it_says() {
        let given: Vec<f32> = (0..70_000).map(|step| step as f32 * -0.001 + 7.0).collect();
        for change in [
            change::<CoarsePowersOfTwo>,
            change_portable::<CoarsePowersOfTwo>,
        ] {
            let mut values = given.clone();
            change(&mut values);
            for (x, value) in given.iter().zip(values) {
                let off = (f64::from(value) / f64::from(*x).exp2() - 1.0).abs();
                assert!(off < 8e-5, "{x}: off by {off:e}");
            }
        }
    }

    #[test]
    fn close_to_the_exact_value_and_never_subnormal() {
        let given: Vec<f32> = (0..64_000).map(|step| step as f32 * -0.001).collect();
        for change in [change::<PowersOfTwo>, change_portable::<PowersOfTwo>] {
            let mut values = given.clone();
            change(&mut values);
            for (x, value) in given.iter().zip(values) {
                let off = (f64::from(value) / f64::from(*x).exp2() - 1.0).abs();
                assert!(off < 3e-7, "{x}: off by {off:e}");
            }
            let mut values = [-65.0, -1e30, f32::NEG_INFINITY, f32::NAN];
            change(&mut values);
            assert!(
                values[..3]
                    .iter()
                    .all(|value| (5e-20..6e-20).contains(value))
            );
            assert!(values[3].is_nan());
        }
    }
}
