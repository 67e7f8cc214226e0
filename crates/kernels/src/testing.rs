//! What tests of several kernels need.

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
