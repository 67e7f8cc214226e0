//! 128 bits on WebAssembly, with relaxed SIMD where the module is built for it.

use core::arch::wasm32::*;

use super::{Code, Simd, Task, Weight};

/// `PAIRS`: products of bytes go by way of sums of two.
pub(crate) struct Wasm<const PAIRS: bool>;

/// # Safety
/// The module must be one for browsers that have what it is built with.
#[cfg_attr(feature = "relaxed-simd", target_feature(enable = "relaxed-simd"))]
pub(crate) unsafe fn run<T: Task>(task: T) {
    // SAFETY: passed on.
    unsafe { task.run::<Wasm<false>>() }
}

#[cfg(feature = "relaxed-simd")]
pub(crate) use pairs::{PAIRS, choose_products, run_pairs, undecided};

/// Which way products of bytes go.
///
/// `i32x4.relaxed_dot_i8x16_i7x16_add` is one instruction where the processor has it (VNNI, dot products
/// of ARM). Elsewhere V8 makes five of it, two of them a constant, and sums of two by
/// `i16x8.relaxed_dot_i8x16_i7x16`, with what is left written out, take three, or five for two of them:
/// four products of codes below 128 and weights up to 63 fit 16 bits. A module cannot ask which
/// processor this is, so that both are timed. What comes out is the same.
#[cfg(feature = "relaxed-simd")]
mod pairs {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::choice::second_is_faster;
    use super::{Task, Wasm, run};

    /// Whether sums of two are the faster way here.
    pub(crate) static PAIRS: AtomicBool = AtomicBool::new(false);
    static CHOSEN: AtomicBool = AtomicBool::new(false);

    /// # Safety
    /// As [`run`].
    #[target_feature(enable = "relaxed-simd")]
    pub(crate) unsafe fn run_pairs<T: Task>(task: T) {
        // SAFETY: passed on.
        unsafe { task.run::<Wasm<true>>() }
    }

    /// Whether there is something to choose still.
    pub(crate) fn undecided() -> bool {
        !CHOSEN.load(Ordering::Relaxed)
    }

    /// Times both ways by `trial`, which takes some 0.02 ms, once; `now` gives milliseconds.
    pub(crate) fn choose_products<T: Task>(trial: impl Fn() -> T, now: impl Fn() -> f64) {
        CHOSEN.store(true, Ordering::Relaxed);
        // SAFETY: the module could not be loaded elsewhere.
        let run_way = |way: usize| unsafe {
            match way {
                0 => run(trial()),
                _ => run_pairs(trial()),
            }
        };
        PAIRS.store(second_is_faster(run_way, now), Ordering::Relaxed);
    }
}

/// All lanes by `fold`, half and half.
#[inline(always)]
fn folded(values: v128, fold: fn(v128, v128) -> v128) -> f32 {
    let two = fold(values, i32x4_shuffle::<2, 3, 0, 1>(values, values));
    f32x4_extract_lane::<0>(fold(two, i32x4_shuffle::<1, 0, 3, 2>(two, two)))
}

// SAFETY of all blocks below: the caller's promises are passed on; alignment does not matter.
impl<const PAIRS: bool> Simd for Wasm<PAIRS> {
    const LANES: usize = 4;
    type Floats = v128;
    type Integers = v128;
    type Weights = v128;

    #[inline(always)]
    unsafe fn splat(value: f32) -> v128 {
        f32x4_splat(value)
    }
    /// V8 makes a constant that it knows anew at each use, by up to four instructions: so that it must not
    /// know.
    #[inline(always)]
    unsafe fn constant(value: f32) -> v128 {
        f32x4_splat(std::hint::black_box(value))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> v128 {
        unsafe { v128_load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load_splat(from: *const f32) -> v128 {
        unsafe { v128_load32_splat(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(values: v128, to: *mut f32) {
        unsafe { v128_store(to.cast(), values) }
    }
    #[inline(always)]
    unsafe fn add(a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }
    #[inline(always)]
    unsafe fn abs(a: v128) -> v128 {
        f32x4_abs(a)
    }
    #[inline(always)]
    unsafe fn at_least(value: v128, low: v128) -> v128 {
        f32x4_pmax(value, low)
    }
    #[inline(always)]
    unsafe fn at_most(value: v128, high: v128) -> v128 {
        f32x4_pmin(value, high)
    }
    #[inline(always)]
    unsafe fn where_less(a: v128, b: v128, yes: v128, no: v128) -> v128 {
        v128_bitselect(yes, no, f32x4_lt(a, b))
    }
    #[inline(always)]
    unsafe fn power_of_two(bits: v128) -> v128 {
        i32x4_shl(bits, 23)
    }
    #[inline(always)]
    unsafe fn mul(a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
    #[inline(always)]
    unsafe fn mul_add(a: v128, b: v128, c: v128) -> v128 {
        #[cfg(feature = "relaxed-simd")]
        return f32x4_relaxed_madd(a, b, c);
        #[cfg(not(feature = "relaxed-simd"))]
        f32x4_add(f32x4_mul(a, b), c)
    }

    #[inline(always)]
    unsafe fn sum(values: v128) -> f32 {
        folded(values, f32x4_add)
    }
    #[inline(always)]
    unsafe fn lowest(values: v128) -> f32 {
        folded(values, f32x4_pmin)
    }
    #[inline(always)]
    unsafe fn highest(values: v128) -> f32 {
        folded(values, f32x4_pmax)
    }

    #[inline(always)]
    unsafe fn zeros() -> v128 {
        i32x4_splat(0)
    }
    #[inline(always)]
    unsafe fn load_weights(from: *const Weight) -> v128 {
        unsafe { v128_load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load_codes(from: *const Code) -> v128 {
        unsafe { v128_load32_splat(from.cast()) }
    }
    #[inline(always)]
    unsafe fn along() -> v128 {
        match PAIRS {
            true => i16x8_splat(std::hint::black_box(1)),
            false => i16x8_splat(1),
        }
    }
    #[inline(always)]
    unsafe fn dot(sums: v128, weights: v128, codes: v128, along: v128) -> v128 {
        // What the second factor leaves open does not concern codes below 128; two products fit 16 bits.
        #[cfg(feature = "relaxed-simd")]
        return match PAIRS {
            true => {
                let pairs = i16x8_relaxed_dot_i8x16_i7x16(weights, codes);
                i32x4_add(sums, i32x4_dot_i16x8(pairs, along))
            }
            false => i32x4_relaxed_dot_i8x16_i7x16_add(weights, codes, sums),
        };
        #[cfg(not(feature = "relaxed-simd"))]
        {
            let _ = along;
            i32x4_add(sums, i32x4_dot_i16x8(weights, codes))
        }
    }
    #[cfg(feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn dot_twice(sums: v128, weights: [v128; 2], codes: [v128; 2], along: v128) -> v128 {
        if PAIRS {
            let pairs = i16x8_relaxed_dot_i8x16_i7x16(weights[0], codes[0]);
            let more = i16x8_relaxed_dot_i8x16_i7x16(weights[1], codes[1]);
            return i32x4_add(sums, i32x4_dot_i16x8(i16x8_add(pairs, more), along));
        }
        let sums = i32x4_relaxed_dot_i8x16_i7x16_add(weights[0], codes[0], sums);
        i32x4_relaxed_dot_i8x16_i7x16_add(weights[1], codes[1], sums)
    }
    const PAIRED: bool = PAIRS;
    #[cfg(feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn dot_four(sums: v128, weights: [v128; 4], codes: [v128; 4], along: v128) -> v128 {
        let [a, b, c, d] = weights;
        let pairs = [
            i16x8_relaxed_dot_i8x16_i7x16(a, codes[0]),
            i16x8_relaxed_dot_i8x16_i7x16(b, codes[1]),
            i16x8_relaxed_dot_i8x16_i7x16(c, codes[2]),
            i16x8_relaxed_dot_i8x16_i7x16(d, codes[3]),
        ];
        let eights = i16x8_add(i16x8_add(pairs[0], pairs[1]), i16x8_add(pairs[2], pairs[3]));
        i32x4_add(sums, i32x4_dot_i16x8(eights, along))
    }
    #[inline(always)]
    unsafe fn to_floats(values: v128) -> v128 {
        f32x4_convert_i32x4(values)
    }
    /// Where the lowest byte of each lane is. Narrowing would do as well, but of it Rust and LLVM make
    /// limits and shuffles, for each of which V8 takes several instructions.
    #[cfg(feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn picker() -> v128 {
        i32x4_splat(std::hint::black_box(0x0c08_0400))
    }
    #[cfg(feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn store_codes(bits: v128, picker: v128, to: *mut Code) {
        let codes = i8x16_relaxed_swizzle(bits, picker);
        unsafe { v128_store32_lane::<0>(codes, to.cast()) }
    }
    #[cfg(feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn store_many_codes(bits: [v128; 4], picker: v128, to: *mut Code) {
        // All lanes of each are its codes.
        let [a, b, c, d] = [
            i8x16_relaxed_swizzle(bits[0], picker),
            i8x16_relaxed_swizzle(bits[1], picker),
            i8x16_relaxed_swizzle(bits[2], picker),
            i8x16_relaxed_swizzle(bits[3], picker),
        ];
        let pairs = [
            i32x4_shuffle::<0, 4, 1, 5>(a, b),
            i32x4_shuffle::<0, 4, 1, 5>(c, d),
        ];
        unsafe { v128_store(to.cast(), i64x2_shuffle::<0, 2>(pairs[0], pairs[1])) }
    }
    #[cfg(not(feature = "relaxed-simd"))]
    #[inline(always)]
    unsafe fn store_codes(bits: v128, picker: v128, to: *mut Code) {
        let codes = v128_and(bits, picker);
        let words = i16x8_narrow_i32x4(codes, codes);
        unsafe { v128_store64_lane::<0>(words, to.cast()) }
    }
}
