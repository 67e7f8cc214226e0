//! The exponential function of a vector.

use crate::simd::Simd;

/// Below this a share of e^x may be subnormal.
const LOWEST: f32 = -80.0;
const HIGHEST: f32 = 88.3;
/// 1.5 * 2^23: added and taken away it rounds to the nearest integer, which stands in the low bits of
/// the sum.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts: the first has so few bits that its products with exponents are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Taylor coefficients of e^r on |r| <= ln 2 / 2 from the sixth power down, which leave 2e-8.
const COEFFICIENTS: [f32; 5] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];

/// e^x of each value; within 3e-7 of it for x from -80 to 88. Below it is exactly 0: numbers that small
/// are subnormal, and every product with one takes a hundred times as long. A NaN stays one.
///
/// # Safety
/// The processor must have what `S` is for.
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(given: S::Floats) -> S::Floats {
    // SAFETY: the caller's promise.
    unsafe {
        let lowest = S::splat(LOWEST);
        let x = S::at_most(S::at_least(given, lowest), S::splat(HIGHEST));
        let rounded = S::mul_add(x, S::splat(std::f32::consts::LOG2_E), S::splat(ROUNDER));
        let power = S::sub(rounded, S::splat(ROUNDER));
        let rest = S::mul_add(power, S::splat(-LN_2_HIGH), x);
        let rest = S::mul_add(power, S::splat(-LN_2_LOW), rest);
        let mut sum = S::splat(COEFFICIENTS[0]);
        for coefficient in &COEFFICIENTS[1..] {
            sum = S::mul_add(sum, rest, S::splat(*coefficient));
        }
        let fraction = S::mul_add(sum, S::mul(rest, rest), rest);
        let fraction = S::add(fraction, S::splat(1.0));
        let value = S::mul(fraction, S::power_of_two(rounded));
        S::where_less(given, lowest, S::splat(0.0), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map_values::{Function, change, change_portable};

    struct Exp;

    impl Function for Exp {
        #[inline(always)]
        unsafe fn of<S: Simd>(&self, x: S::Floats) -> S::Floats {
            // SAFETY: the caller's promise.
            unsafe { exp::<S>(x) }
        }
    }

    #[test]
    fn close_to_the_exact_value_everywhere() {
        let given: Vec<f32> = (0..45_000)
            .map(|step| step as f32 * 0.0037 - 80.0)
            .collect();
        for change in [change::<Exp>, change_portable::<Exp>] {
            let mut values = given.clone();
            change(&mut values, &Exp);
            for (x, value) in given.iter().zip(values) {
                let off = (f64::from(value) / f64::from(*x).exp() - 1.0).abs();
                assert!(off < 3e-7, "{x}: off by {off:e}");
            }
            let mut values = [0.0];
            change(&mut values, &Exp);
            assert_eq!(values, [1.0]);
        }
    }

    #[test]
    fn far_below_it_vanishes_and_a_nan_stays_one() {
        for change in [change::<Exp>, change_portable::<Exp>] {
            let mut values = [-100.0, -1e30, f32::NEG_INFINITY, f32::NAN, f32::INFINITY];
            change(&mut values, &Exp);
            assert_eq!(values[..3], [0.0; 3]);
            assert!(values[3].is_nan());
            assert!(values[4] > 1e38);
        }
    }
}
