//! One function of every value of a slice.

use crate::simd::{Simd, Task, run};

/// A function of a vector.
pub(crate) trait Function {
    /// # Safety
    /// The processor must have what `S` is for.
    unsafe fn of<S: Simd>(&self, x: S::Floats) -> S::Floats;
}

/// Replaces every value by the function of it.
pub(crate) fn change<F: Function>(values: &mut [f32], function: &F) {
    run(Change { values, function });
}

#[cfg(test)]
pub(crate) fn change_portable<F: Function>(values: &mut [f32], function: &F) {
    crate::simd::run_portable(Change { values, function });
}

struct Change<'a, F> {
    values: &'a mut [f32],
    function: &'a F,
}

impl<F: Function> Task for Change<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut blocks = self.values.chunks_exact_mut(S::LANES);
        for block in &mut blocks {
            // SAFETY: blocks hold a value for every lane.
            unsafe {
                let value = self.function.of::<S>(S::load(block.as_ptr()));
                S::store(value, block.as_mut_ptr());
            }
        }
        let rest = blocks.into_remainder();
        let mut lanes = [0.0; 8];
        lanes[..rest.len()].copy_from_slice(rest);
        // SAFETY: no vector has more lanes.
        unsafe {
            let value = self.function.of::<S>(S::load(lanes.as_ptr()));
            S::store(value, lanes.as_mut_ptr());
        }
        rest.copy_from_slice(&lanes[..rest.len()]);
    }
}
