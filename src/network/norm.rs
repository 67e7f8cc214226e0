//! Normalisation that burn's modules do not offer in this form.

use burn::tensor::Tensor;

/// `InstanceNorm1d` without affine parameters: each channel of each image is brought to zero mean
/// and unit variance over its positions, in evaluation as in training.
///
/// `tokens`: `[batch, positions, channels]`, the same shape comes back.
pub(super) fn instance_norm(tokens: Tensor<3>) -> Tensor<3> {
    const EPSILON: f64 = 1e-5;
    let mean = tokens.clone().mean_dim(1);
    let centred = tokens - mean;
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    centred / (variance + EPSILON).sqrt()
}
