//! The loss of the paper: cross-entropy over pixels, the classes weighted.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

/// Mean over all pixels of -w log p, weighted by w: the sum is divided by the sum of the weights,
/// as in PyTorch's `cross_entropy(..., weight)`.
///
/// `logits`: background and foreground, `[batch, 2, height, width]`; `target`: 1 where the
/// expression refers to the pixel, else 0, `[batch, 1, height, width]`; `class_weights`: of
/// background and foreground. Gives one number.
pub fn weighted_cross_entropy(
    logits: Tensor<4>,
    target: Tensor<4>,
    class_weights: [f64; 2],
) -> Tensor<1> {
    let log_probabilities = log_softmax(logits, 1);
    let background = (target.clone().neg() + 1.0) * class_weights[0];
    let foreground = target * class_weights[1];
    let weights = Tensor::cat(vec![background, foreground], 1);
    (log_probabilities * weights.clone()).sum().neg() / weights.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn two_pixels_by_hand() {
        let device = Device::flex();
        // Pixel 1 is background with p = 1/2, pixel 2 is foreground with p = 3/4.
        let logits = Tensor::<4>::from_data([[[[0.0f32, 0.0]], [[0.0, 3.0f32.ln()]]]], &device);
        let target = Tensor::<4>::from_data([[[[0.0f32, 1.0]]]], &device);
        let loss = weighted_cross_entropy(logits, target, [0.9, 1.1]);
        let loss = loss.into_data().try_into_vec::<f32>().expect("f32")[0];
        let expected = (0.9 * 2.0f32.ln() + 1.1 * (4.0f32 / 3.0).ln()) / 2.0;
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }
}
