//! The segmentation decoder: upsampling, and convolutions with their batch normalisation folded in.

use burn::nn::BatchNorm;
use rrsis_kernels::{Conv3x3, Matrix, Piece, Precision, Write};

use super::parameters::{of, values};
use super::source::Source;
use super::{Logits, Workspace, grown};
use crate::network::config::NetworkConfig;
use crate::network::decoder;
use crate::network::trace::Trace;

#[derive(Debug)]
pub(super) struct Decoder {
    /// For V3, V2 and V1, in this order.
    levels: Vec<[Conv3x3; 2]>,
    /// To background and foreground, in f32.
    classifier: Matrix,
    bias: Vec<f32>,
}

impl Decoder {
    pub(super) fn new(
        decoder: decoder::Decoder,
        config: &NetworkConfig,
        precision: Precision,
        source: &mut impl Source,
    ) -> Self {
        let hidden = config.decoder_hidden;
        let levels = source
            .fill_each(decoder.levels, "decoder.levels")
            .zip([2, 1, 0])
            .map(|(level, stage)| {
                let coarse = match stage {
                    2 => config.stage_channels(3),
                    _ => hidden,
                };
                let maps = [coarse, config.stage_channels(stage)];
                [
                    convolution(&of(&level.conv1.weight), &maps, &level.norm1, precision),
                    convolution(&of(&level.conv2.weight), &[hidden], &level.norm2, precision),
                ]
            })
            .collect();
        let classifier = source.fill(decoder.classifier, "decoder.classifier");
        let weights = of(&classifier.weight);
        Self {
            levels,
            classifier: Matrix::pack(hidden, 2, |input, output| weights[output * hidden + input]),
            bias: classifier.bias.as_ref().map(of).unwrap_or_default(),
        }
    }

    /// Logits from the workspace's maps V1 to V4.
    pub(super) fn forward(&self, workspace: &mut Workspace, trace: &mut Trace) -> Logits {
        let Workspace {
            team,
            conv,
            wide,
            maps,
            upsampled,
            convolved: [between, features],
            lines,
            ..
        } = workspace;
        let [v1, v2, v3, v4] = &*maps;
        for (index, ([conv1, conv2], skip)) in self.levels.iter().zip([v3, v2, v1]).enumerate() {
            let coarse = if index == 0 { v4 } else { &*features };
            upsampled.upsample(coarse, [skip.height, skip.width], lines, team);
            conv1.forward(&[upsampled, skip], between, conv);
            conv2.forward(&[between], features, conv);
            if trace.is_on() {
                let (height, width) = (features.height, features.width);
                let pixels: Vec<f32> = (0..height).flat_map(|y| features.row(y).to_vec()).collect();
                let planes = planes(&pixels, features.channels);
                let shape = [1, features.channels, height, width];
                trace.record_values(|| format!("dec.relu2_{}", 4 - index), &planes, &shape);
            }
        }
        let (height, width) = (features.height, features.width);
        let pixels = grown(wide, 2 * height * width);
        team.each_part(pixels, 2 * width, |y, out| {
            let row = Piece::whole(features.row(y), features.channels);
            self.classifier
                .product(&[row], width, &self.bias, Write::Set, out, 2);
        });
        let logits = Logits {
            values: planes(pixels, 2),
            height,
            width,
        };
        let shape = [1, 2, height, width];
        trace.record_values(|| "dec.logits_lowres".to_owned(), &logits.values, &shape);
        logits
    }
}

/// Channels last to channels first.
fn planes(pixels: &[f32], channels: usize) -> Vec<f32> {
    (0..channels)
        .flat_map(|channel| pixels.iter().skip(channel).step_by(channels).copied())
        .collect()
}

/// A convolution and the batch normalisation after it, by its running statistics.
fn convolution(weights: &[f32], maps: &[usize], norm: &BatchNorm, precision: Precision) -> Conv3x3 {
    let mean = values(norm.running_mean.value_sync());
    let variance = values(norm.running_var.value_sync());
    let factor: Vec<f32> = of(&norm.gamma)
        .iter()
        .zip(&variance)
        .map(|(gamma, variance)| gamma / (variance + norm.epsilon as f32).sqrt())
        .collect();
    let shift: Vec<f32> = of(&norm.beta)
        .iter()
        .zip(&mean)
        .zip(&factor)
        .map(|((beta, mean), factor)| beta - mean * factor)
        .collect();
    Conv3x3::new(weights, maps, &factor, &shift, precision)
}
