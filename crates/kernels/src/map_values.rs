//! One function of every value of a slice.

use std::marker::PhantomData;

use crate::simd::{Simd, Task, run};

/// A function of a vector, with its constants.
pub(crate) trait Function<S: Simd> {
    /// # Safety
    /// The processor must have what `S` is for.
    unsafe fn new() -> Self;

    /// # Safety
    /// The processor must have what `S` is for.
    unsafe fn of(&self, x: S::Floats) -> S::Floats;
}

/// A function for every kind of vectors.
pub(crate) trait Family {
    type Of<S: Simd>: Function<S>;
}

/// A polynomial in `x`; coefficients from the highest power down.
///
/// # Safety
/// The processor must have what `S` is for.
#[inline(always)]
pub(crate) unsafe fn polynomial<S: Simd>(coefficients: &[S::Floats], x: S::Floats) -> S::Floats {
    let mut sum = coefficients[0];
    for coefficient in &coefficients[1..] {
        // SAFETY: the caller's promise.
        sum = unsafe { S::mul_add(sum, x, *coefficient) };
    }
    sum
}

/// Replaces every value by the function of it.
pub(crate) fn change<F: Family>(values: &mut [f32]) {
    run(Change(values, PhantomData::<F>));
}

#[cfg(test)]
pub(crate) fn change_portable<F: Family>(values: &mut [f32]) {
    crate::simd::run_portable(Change(values, PhantomData::<F>));
}

struct Change<'a, F>(&'a mut [f32], PhantomData<F>);

impl<F: Family> Task for Change<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        let function = unsafe { F::Of::<S>::new() };
        let mut blocks = self.0.chunks_exact_mut(S::LANES);
        for block in &mut blocks {
            // SAFETY: blocks hold a value for every lane.
            unsafe {
                let value = function.of(S::load(block.as_ptr()));
                S::store(value, block.as_mut_ptr());
            }
        }
        let rest = blocks.into_remainder();
        let mut lanes = [0.0; 8];
        lanes[..rest.len()].copy_from_slice(rest);
        // SAFETY: no vector has more lanes.
        unsafe {
            let value = function.of(S::load(lanes.as_ptr()));
            S::store(value, lanes.as_mut_ptr());
        }
        rest.copy_from_slice(&lanes[..rest.len()]);
    }
}
