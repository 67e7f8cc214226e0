//! From the network's low-resolution output to a mask of the image's size.

use super::Mask;

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

/// Where an output position falls between two input positions.
struct Blend {
    before: usize,
    after: usize,
    /// Share of `after`, from 0 to 1.
    share: f32,
}

impl MarginMap {
    /// Stands where the network has not looked: background beyond doubt, and finite.
    pub(crate) const UNSEEN: f32 = -30.0;

    /// Foreground wherever the probability, at `width` x `height`, exceeds `threshold`.
    ///
    /// The margin is enlarged bilinearly with aligned corners, as the paper's decoder does it with
    /// both logits. The softmax over two classes is the sigmoid of their difference, so the
    /// comparison takes place on the margin itself; a tie is background.
    pub fn upsample_to_mask(&self, width: usize, height: usize, threshold: f32) -> Mask {
        let limit = (threshold / (1.0 - threshold)).ln();
        let columns = blends(self.width, width);
        let mut data = Vec::with_capacity(width * height);
        let mut row = vec![0.0; self.width];
        for at in blends(self.height, height) {
            let before = &self.data[at.before * self.width..][..self.width];
            let after = &self.data[at.after * self.width..][..self.width];
            for ((value, before), after) in row.iter_mut().zip(before).zip(after) {
                *value = mix(*before, *after, at.share);
            }
            data.extend(columns.iter().map(|column| {
                let margin = mix(row[column.before], row[column.after], column.share);
                u8::from(margin > limit)
            }));
        }
        Mask {
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

fn mix(before: f32, after: f32, share: f32) -> f32 {
    (1.0 - share) * before + share * after
}

/// Bilinear positions with aligned corners: the first and last positions of both axes coincide.
fn blends(input: usize, output: usize) -> Vec<Blend> {
    let step = if output > 1 {
        (input - 1) as f32 / (output - 1) as f32
    } else {
        0.0
    };
    (0..output)
        .map(|position| {
            let exact = step * position as f32;
            let before = (exact as usize).min(input - 1);
            Blend {
                before,
                after: (before + 1).min(input - 1),
                share: exact - before as f32,
            }
        })
        .collect()
}
