//! What tests of several kernels need.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Runs what must not ask for memory: in browsers a thread that helps shares an allocator with the one
/// that it helps, and nothing guards it.
pub(crate) fn without_allocating(work: impl FnOnce()) {
    let before = ALLOCATIONS.get();
    work();
    assert_eq!(ALLOCATIONS.get(), before, "a helper allocates");
}

/// The system's allocator, which counts.
struct Counting;

// SAFETY: passes everything on to the system's allocator.
#[allow(unsafe_code, reason = "an allocator is unsafe by definition")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Repeatable numbers, about evenly spread from -2 to 2.
pub(crate) fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

/// Each value within `tolerance` of what is expected, relative to the largest of these and at least 1.
#[track_caller]
pub(crate) fn assert_close(values: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(values.len(), expected.len());
    let largest = expected
        .iter()
        .fold(1.0f64, |most, value| most.max(value.abs()));
    for (index, (value, expected)) in values.iter().zip(expected).enumerate() {
        let off = (f64::from(*value) - expected).abs();
        assert!(
            off <= tolerance * largest,
            "{index}: {value}, not {expected} (off by {off:e})"
        );
    }
}
