//! The vectors that products are made of: one trait, an implementation for each kind of processor, and
//! the choice between them.
//!
//! On WebAssembly the choice is made when the module is compiled, because a browser without relaxed SIMD
//! refuses the whole module; elsewhere it is made where the program runs.

#[cfg(target_arch = "x86_64")]
mod avx;
#[cfg(any(test, all(target_arch = "wasm32", feature = "relaxed-simd")))]
mod choice;
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

/// How integers are stored for products: bytes, four neighbours along the inner dimension summed up by
/// one instruction.
#[cfg(not(all(
    target_arch = "wasm32",
    target_feature = "simd128",
    not(feature = "relaxed-simd")
)))]
mod stored {
    pub(crate) const GROUP: usize = 4;
    pub(crate) type Weight = i8;
    pub(crate) type Code = u8;
}

/// WebAssembly without relaxed SIMD has no product of bytes: 16 bits, two neighbours.
#[cfg(all(
    target_arch = "wasm32",
    target_feature = "simd128",
    not(feature = "relaxed-simd")
))]
mod stored {
    pub(crate) const GROUP: usize = 2;
    pub(crate) type Weight = i16;
    pub(crate) type Code = i16;
}

/// Neighbours in one sum; a weight, -127 to 127; a quantised activation, 0 to 127.
pub(crate) use stored::{Code, GROUP, Weight};

/// The bits of a code.
pub(crate) const CODE: u32 = 127;

/// Vectors of [`Simd::LANES`] floats and as many 32-bit integers.
///
/// # Safety
/// Every function may be called only where the processor has what the implementation is for; loads and
/// stores need memory for all lanes, of any alignment.
pub(crate) trait Simd {
    /// Floats of a vector.
    const LANES: usize;
    /// Floats.
    type Floats: Copy;
    /// 32-bit integers.
    type Integers: Copy;
    /// [`GROUP`] weights for every lane.
    type Weights: Copy;

    unsafe fn splat(value: f32) -> Self::Floats;
    /// As [`Self::splat`], for what a loop takes in every turn: made before it, kept in a register or on
    /// the stack.
    #[inline(always)]
    unsafe fn constant(value: f32) -> Self::Floats {
        // SAFETY: passed on.
        unsafe { Self::splat(value) }
    }
    unsafe fn load(from: *const f32) -> Self::Floats;
    /// One value in all lanes.
    unsafe fn load_splat(from: *const f32) -> Self::Floats;
    unsafe fn store(values: Self::Floats, to: *mut f32);
    unsafe fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn sub(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn div(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn abs(a: Self::Floats) -> Self::Floats;
    /// `value`, or `low` where that is larger; a NaN in `value` stays one.
    unsafe fn at_least(value: Self::Floats, low: Self::Floats) -> Self::Floats;
    /// `value`, or `high` where that is smaller; a NaN in `value` stays one.
    unsafe fn at_most(value: Self::Floats, high: Self::Floats) -> Self::Floats;
    /// `yes` where `a < b`, else `no`.
    unsafe fn where_less(
        a: Self::Floats,
        b: Self::Floats,
        yes: Self::Floats,
        no: Self::Floats,
    ) -> Self::Floats;
    /// 2 to the power of n - 127 for the integer n, 1 to 254, in the low bits of each float.
    unsafe fn power_of_two(bits: Self::Floats) -> Self::Floats;
    unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a b + c`, rounded once or twice.
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// The sum of all lanes.
    unsafe fn sum(values: Self::Floats) -> f32;
    /// The smallest of all lanes; any number where one is a NaN.
    unsafe fn lowest(values: Self::Floats) -> f32;
    /// The largest of all lanes; any number where one is a NaN.
    unsafe fn highest(values: Self::Floats) -> f32;

    unsafe fn zeros() -> Self::Integers;
    unsafe fn load_weights(from: *const Weight) -> Self::Weights;
    /// [`GROUP`] activations, the same in all lanes.
    unsafe fn load_codes(from: *const Code) -> Self::Weights;
    /// What [`Self::dot`] takes along: made before its loop.
    unsafe fn along() -> Self::Integers;
    /// Adds to each lane the product of its weights with its activations.
    unsafe fn dot(
        sums: Self::Integers,
        weights: Self::Weights,
        codes: Self::Weights,
        along: Self::Integers,
    ) -> Self::Integers;
    /// As [`Self::dot`] twice. Weights are from -63 to 63, activations from 0 to 127.
    #[inline(always)]
    unsafe fn dot_twice(
        sums: Self::Integers,
        weights: [Self::Weights; 2],
        codes: [Self::Weights; 2],
        along: Self::Integers,
    ) -> Self::Integers {
        // SAFETY: passed on.
        unsafe {
            let sums = Self::dot(sums, weights[0], codes[0], along);
            Self::dot(sums, weights[1], codes[1], along)
        }
    }
    /// Whether [`Self::dot`] goes by way of sums of two in 16 bits, so that [`Self::dot_four`] does less than
    /// [`Self::dot`] four times.
    const PAIRED: bool = false;
    /// As [`Self::dot`] four times, of weights whose products fit 16 bits together: see [`crate::tall`].
    #[inline(always)]
    unsafe fn dot_four(
        sums: Self::Integers,
        [a, b, c, d]: [Self::Weights; 4],
        codes: [Self::Weights; 4],
        along: Self::Integers,
    ) -> Self::Integers {
        // SAFETY: passed on.
        unsafe {
            let sums = Self::dot_twice(sums, [a, b], [codes[0], codes[1]], along);
            Self::dot_twice(sums, [c, d], [codes[2], codes[3]], along)
        }
    }
    unsafe fn to_floats(values: Self::Integers) -> Self::Floats;
    /// What [`Self::store_codes`] takes along: made before its loop.
    #[inline(always)]
    unsafe fn picker() -> Self::Floats {
        // SAFETY: passed on.
        unsafe { Self::constant(f32::from_bits(CODE)) }
    }
    /// Stores the lowest 7 bits of each float, a code a lane; the 8th is 0.
    unsafe fn store_codes(bits: Self::Floats, picker: Self::Floats, to: *mut Code);
    /// As [`Self::store_codes`] of one after the other.
    #[inline(always)]
    unsafe fn store_many_codes(bits: [Self::Floats; 4], picker: Self::Floats, to: *mut Code) {
        for (index, bits) in bits.into_iter().enumerate() {
            // SAFETY: passed on.
            unsafe { Self::store_codes(bits, picker, to.add(index * Self::LANES)) }
        }
    }
}

/// What to compute, generic over the vectors: see [`run`].
pub(crate) trait Task {
    /// # Safety
    /// The processor must have what `S` is for.
    unsafe fn run<S: Simd>(self);
}

/// Runs a task on the best vectors there are.
#[inline]
pub(crate) fn run<T: Task>(task: T) {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    // SAFETY: the module could not be loaded elsewhere.
    unsafe {
        wasm::run(task);
    }
    #[cfg(target_arch = "x86_64")]
    if avx::available() {
        // SAFETY: the processor was asked.
        unsafe { avx::run(task) };
        return;
    }
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    // SAFETY: arrays need nothing.
    unsafe {
        task.run::<portable::Portable>();
    }
}

/// As [`run`], for products of integers, of which WebAssembly has two ways: see [`choose_products`].
#[inline]
pub(crate) fn run_integers<T: Task>(task: T) {
    #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
    if wasm::PAIRS.load(std::sync::atomic::Ordering::Relaxed) {
        // SAFETY: the module could not be loaded elsewhere.
        unsafe { wasm::run_pairs(task) };
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if avx::available() {
        // SAFETY: the processor was asked.
        unsafe { avx::run_integers(task) };
        return;
    }
    run(task);
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
pub(crate) use wasm::{choose_products, undecided};

/// Whether there is something to choose still: no, there is one way only.
#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub(crate) fn undecided() -> bool {
    false
}

/// There is one way only.
#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub(crate) fn choose_products<T: Task>(_trial: impl Fn() -> T, _now: impl Fn() -> f64) {}

/// Runs a task on arrays, which every processor has.
#[cfg(test)]
pub(crate) fn run_portable<T: Task>(task: T) {
    // SAFETY: arrays need nothing.
    unsafe { task.run::<portable::Portable>() }
}

/// Floats of the vectors that [`run`] takes.
#[inline]
pub(crate) fn lanes() -> usize {
    #[cfg(target_arch = "x86_64")]
    if avx::available() {
        return avx::LANES;
    }
    portable::Portable::LANES
}
