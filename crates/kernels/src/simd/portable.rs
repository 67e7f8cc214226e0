//! Arrays, for processors without an implementation of their own, and for tests.

use super::{Code, GROUP, Simd, Weight};

pub(crate) struct Portable;

impl Simd for Portable {
    const LANES: usize = 4;
    type Floats = [f32; 4];
    type Integers = [i32; 4];
    type Weights = [[i32; GROUP]; 4];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: passed on.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_splat(from: *const f32) -> Self::Floats {
        // SAFETY: passed on.
        [unsafe { *from }; 4]
    }
    #[inline(always)]
    unsafe fn store(values: Self::Floats, to: *mut f32) {
        // SAFETY: passed on.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(values) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }
    #[inline(always)]
    unsafe fn div(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] / b[lane])
    }
    #[inline(always)]
    unsafe fn abs(a: Self::Floats) -> Self::Floats {
        a.map(f32::abs)
    }
    #[inline(always)]
    unsafe fn at_least(value: Self::Floats, low: Self::Floats) -> Self::Floats {
        // SAFETY: arrays need nothing.
        unsafe { Self::where_less(value, low, low, value) }
    }
    #[inline(always)]
    unsafe fn at_most(value: Self::Floats, high: Self::Floats) -> Self::Floats {
        // SAFETY: arrays need nothing.
        unsafe { Self::where_less(high, value, high, value) }
    }
    #[inline(always)]
    unsafe fn where_less(
        a: Self::Floats,
        b: Self::Floats,
        yes: Self::Floats,
        no: Self::Floats,
    ) -> Self::Floats {
        std::array::from_fn(|lane| {
            if a[lane] < b[lane] {
                yes[lane]
            } else {
                no[lane]
            }
        })
    }
    #[inline(always)]
    unsafe fn power_of_two(bits: Self::Floats) -> Self::Floats {
        bits.map(|value| f32::from_bits(value.to_bits() << 23))
    }
    #[inline(always)]
    unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    unsafe fn sum(values: Self::Floats) -> f32 {
        values.iter().sum()
    }
    #[inline(always)]
    unsafe fn lowest(values: Self::Floats) -> f32 {
        values.into_iter().fold(f32::INFINITY, f32::min)
    }
    #[inline(always)]
    unsafe fn highest(values: Self::Floats) -> f32 {
        values.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn zeros() -> Self::Integers {
        [0; 4]
    }
    #[inline(always)]
    unsafe fn load_weights(from: *const Weight) -> Self::Weights {
        // SAFETY: passed on.
        let values = unsafe { from.cast::<[[Weight; GROUP]; 4]>().read_unaligned() };
        values.map(|group| group.map(i32::from))
    }
    #[inline(always)]
    unsafe fn load_codes(from: *const Code) -> Self::Weights {
        // SAFETY: passed on.
        let values = unsafe { from.cast::<[Code; GROUP]>().read_unaligned() };
        [values.map(i32::from); 4]
    }
    #[inline(always)]
    unsafe fn along() -> Self::Integers {
        [0; 4]
    }
    #[inline(always)]
    unsafe fn dot(
        sums: Self::Integers,
        weights: Self::Weights,
        codes: Self::Weights,
        _along: Self::Integers,
    ) -> Self::Integers {
        std::array::from_fn(|lane| {
            let pairs = weights[lane].iter().zip(&codes[lane]);
            sums[lane] + pairs.map(|(weight, code)| weight * code).sum::<i32>()
        })
    }
    #[inline(always)]
    unsafe fn to_floats(values: Self::Integers) -> Self::Floats {
        values.map(|value| value as f32)
    }
    #[inline(always)]
    unsafe fn store_codes(bits: Self::Floats, picker: Self::Floats, to: *mut Code) {
        let codes: [Code; 4] =
            std::array::from_fn(|lane| (bits[lane].to_bits() & picker[lane].to_bits()) as Code);
        // SAFETY: passed on.
        unsafe { to.cast::<[Code; 4]>().write_unaligned(codes) }
    }
}
