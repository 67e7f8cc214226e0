//! What goes through every value of two or three maps.

use crate::exp::Exp2;
use crate::map_values::Function;
use crate::simd::{Simd, Task, run};

/// `values` times `factors`, in place.
///
/// # Panics
/// Where the lengths differ.
pub fn multiply(values: &mut [f32], factors: &[f32]) {
    assert_eq!(values.len(), factors.len(), "factors");
    for (value, factor) in values.iter_mut().zip(factors) {
        *value *= factor;
    }
}

/// Adds to `values`, rows of as many as there are `factors`, `seen` times these.
///
/// # Panics
/// Where the lengths do not fit.
pub fn add_products(values: &mut [f32], seen: &[f32], factors: &[f32]) {
    assert!(
        values.len() == seen.len() && values.len().is_multiple_of(factors.len()),
        "{} values, {} seen, {} factors",
        values.len(),
        seen.len(),
        factors.len()
    );
    let rows = seen.chunks_exact(factors.len());
    for (values, seen) in values.chunks_exact_mut(factors.len()).zip(rows) {
        for ((value, seen), factor) in values.iter_mut().zip(seen).zip(factors) {
            *value += seen * factor;
        }
    }
}

/// Adds `tanh(steps) * added` to the values.
///
/// # Panics
/// Where the lengths differ.
pub fn add_gated(values: &mut [f32], steps: &[f32], added: &[f32]) {
    assert!(
        values.len() == steps.len() && values.len() == added.len(),
        "{} values, {} steps, {} to add",
        values.len(),
        steps.len(),
        added.len()
    );
    run(AddGated {
        values,
        steps,
        added,
    });
}

struct AddGated<'a> {
    values: &'a mut [f32],
    steps: &'a [f32],
    added: &'a [f32],
}

impl Task for AddGated<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let count = self.values.len();
        let mut at = 0;
        // SAFETY: the caller's promise.
        let tanh = unsafe { Tanh::<S>::new() };
        // SAFETY: all three have `count` values.
        unsafe {
            while at + S::LANES <= count {
                let gate = tanh.of(S::load(self.steps.as_ptr().add(at)));
                let to = self.values.as_mut_ptr().add(at);
                let added = S::load(self.added.as_ptr().add(at));
                S::store(S::mul_add(gate, added, S::load(to)), to);
                at += S::LANES;
            }
        }
        let mut lanes = [0.0; 8];
        lanes[..count - at].copy_from_slice(&self.steps[at..]);
        // SAFETY: no vector has more lanes.
        unsafe { S::store(tanh.of(S::load(lanes.as_ptr())), lanes.as_mut_ptr()) };
        let rest = self.values[at..].iter_mut().zip(&self.added[at..]);
        for ((value, added), gate) in rest.zip(lanes) {
            *value += gate * added;
        }
    }
}

struct Tanh<S: Simd> {
    powers: Exp2<S>,
    to_twos: S::Floats,
    one: S::Floats,
}

impl<S: Simd> Tanh<S> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                powers: Exp2::new(),
                to_twos: S::constant(-2.0 * std::f32::consts::LOG2_E),
                one: S::constant(1.0),
            }
        }
    }

    /// Within 2e-7.
    #[inline(always)]
    unsafe fn of(&self, x: S::Floats) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe {
            let power = self.powers.of(S::mul(S::abs(x), self.to_twos));
            let size = S::div(S::sub(self.one, power), S::add(self.one, power));
            let zero = S::splat(0.0);
            S::where_less(x, zero, S::sub(zero, size), size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_the_same_factors() {
        let mut values = [1.0, 2.0, 3.0, 4.0];
        add_products(&mut values, &[1.0, 1.0, 2.0, 2.0], &[10.0, -1.0]);
        assert_eq!(values, [11.0, 1.0, 23.0, 2.0]);
    }

    #[test]
    fn gates_are_hyperbolic_tangents() {
        let steps: Vec<f32> = (-2003..2000).map(|step| step as f32 * 0.01).collect();
        let mut values = vec![1.0; steps.len()];
        add_gated(&mut values, &steps, &vec![-2.0; steps.len()]);
        for (step, value) in steps.iter().zip(values) {
            let expected = 1.0 - 2.0 * f64::from(*step).tanh();
            assert!(
                (f64::from(value) - expected).abs() < 1e-6,
                "{step}: {value}"
            );
        }
        let mut one = [3.0];
        add_gated(&mut one, &[f32::NAN], &[1.0]);
        assert!(one[0].is_nan());
    }
}
