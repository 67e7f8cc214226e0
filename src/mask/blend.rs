//! Where the positions of a larger grid fall between those of a smaller one.

/// Where an output position falls between two input positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blend {
    /// The input position before it.
    pub(super) before: usize,
    /// The one behind it.
    pub(super) after: usize,
    /// Share of `after`, from 0 to 1.
    pub(super) share: f32,
}

impl Blend {
    fn at(exact: f32, input: usize) -> Self {
        let before = (exact as usize).min(input.saturating_sub(1));
        Self {
            before,
            after: (before + 1).min(input.saturating_sub(1)),
            share: (exact - before as f32).clamp(0.0, 1.0),
        }
    }
}

/// With aligned corners: the first and last positions of both axes coincide.
pub(super) fn aligned(input: usize, output: usize) -> impl Iterator<Item = Blend> {
    let step = match output {
        0 | 1 => 0.0,
        _ => input.saturating_sub(1) as f32 / (output - 1) as f32,
    };
    (0..output).map(move |position| Blend::at(step * position as f32, input))
}

/// Every position the centre of its share of the axis, as images are resized.
pub(super) fn centred(input: usize, output: usize) -> impl Iterator<Item = Blend> {
    let step = input as f32 / output as f32;
    (0..output)
        .map(move |position| Blend::at(((position as f32 + 0.5) * step - 0.5).max(0.0), input))
}

pub(super) fn mix<const N: usize>(before: &[f32; N], after: &[f32; N], share: f32) -> [f32; N] {
    std::array::from_fn(|i| (1.0 - share) * before[i] + share * after[i])
}
