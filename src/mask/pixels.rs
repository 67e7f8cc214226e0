//! How sure the answer is of every pixel, from which masks are drawn at any threshold.

use super::{MarginMap, Mask};

/// Foreground logit minus background logit of every pixel of an image, in steps of [`Self::STEP`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelMargins {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row-major steps, rounded up and from -127 to 127: what lies beyond is as good as certain.
    pub data: Vec<i8>,
}

impl PixelMargins {
    /// The largest margin that is told from a larger one: a probability of 0.9975.
    pub const RANGE: f32 = 6.0;
    /// The margin of one step: the probability moves by 0.012 at most.
    pub const STEP: f32 = Self::RANGE / 127.0;

    /// Background beyond doubt: in no mask, at whatever threshold.
    pub const NEVER: i8 = -127;

    /// Foreground wherever the probability exceeds `threshold`, to a step; a tie is background.
    pub fn mask(&self, threshold: f32) -> Mask {
        self.clone().into_mask(threshold)
    }

    /// The same in the memory of the margins, of which a large image has much.
    pub fn into_mask(self, threshold: f32) -> Mask {
        let limit = Self::limit(threshold);
        let data = self.data.into_iter().map(|step| u8::from(step > limit));
        Mask {
            width: self.width,
            height: self.height,
            // In place: a vector's elements of the same size are.
            data: data.collect(),
        }
    }

    /// The step that foreground exceeds.
    pub fn limit(threshold: f32) -> i8 {
        let limit = ((threshold / (1.0 - threshold)).ln() / Self::STEP).floor();
        // Steps are rounded up: one is above the limit's own only where the margin is.
        limit.clamp(f32::from(Self::NEVER), 127.0) as i8
    }

    /// The same at another size, bilinearly.
    pub fn resized(self, width: usize, height: usize) -> Self {
        if (self.width, self.height) == (width, height) {
            return self;
        }
        let data = self.data.iter().map(|step| f32::from(*step) * Self::STEP);
        let map = MarginMap {
            width: self.width,
            height: self.height,
            data: data.collect(),
        };
        map.bilinear(width, height)
    }

    /// The step that stands for a margin. NaN is background, as it is in every comparison.
    pub(super) fn step(margin: f32) -> i8 {
        (margin / Self::STEP).ceil().max(-127.0).min(127.0) as i8
    }
}
