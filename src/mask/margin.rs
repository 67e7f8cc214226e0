//! The network's low-resolution output, and its enlargement to an image's size.

use super::PixelMargins;
use super::blend::{aligned, mix};

/// Foreground logit minus background logit, at the resolution of the decoder's output.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginMap {
    /// Values a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row-major: `width * height` values.
    pub data: Vec<f32>,
}

impl MarginMap {
    /// Stands where the network has not looked: background beyond doubt, and finite.
    pub(crate) const UNSEEN: f32 = -30.0;

    /// Margins of the pixels of an image of `width` x `height`, bilinearly with aligned corners, as the
    /// paper's decoder enlarges both logits.
    ///
    /// The softmax over two classes is the sigmoid of their difference: a margin of 0 is a probability
    /// of one half.
    pub fn bilinear(&self, width: usize, height: usize) -> PixelMargins {
        let columns: Vec<_> = aligned(self.width, width).collect();
        let mut data = Vec::with_capacity(width * height);
        let mut row = vec![[0.0]; self.width];
        for at in aligned(self.height, height) {
            let before = &self.data[at.before * self.width..][..self.width];
            let after = &self.data[at.after * self.width..][..self.width];
            for ((value, before), after) in row.iter_mut().zip(before).zip(after) {
                *value = mix(&[*before], &[*after], at.share);
            }
            data.extend(columns.iter().map(|column| {
                let [margin] = mix(&row[column.before], &row[column.after], column.share);
                PixelMargins::step(margin)
            }));
        }
        PixelMargins {
            width,
            height,
            data,
        }
    }

    /// Probability of the foreground, at the map's own resolution.
    pub fn probabilities(&self) -> Vec<f32> {
        self.data
            .iter()
            .map(|margin| 1.0 / (1.0 + (-margin).exp()))
            .collect()
    }
}
