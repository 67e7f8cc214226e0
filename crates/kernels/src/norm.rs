//! Layer and instance normalisation of rows of channels.

use crate::simd::{Simd, Task, run};
use crate::team::Team;

/// Layer normalisation with its parameters.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// A factor for every channel.
    pub gamma: Vec<f32>,
    /// What is added to every channel.
    pub beta: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm {
    /// `out` becomes `rows`, each normalised over its channels.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn forward(&self, rows: &[f32], out: &mut [f32]) {
        assert_eq!(rows.len(), out.len(), "rows");
        assert_eq!(self.gamma.len(), self.beta.len(), "channels");
        run(Normalise {
            norm: self,
            rows,
            out,
        });
    }
}

struct Normalise<'a> {
    norm: &'a LayerNorm,
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl Task for Normalise<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let LayerNorm {
            ref gamma,
            ref beta,
            epsilon,
        } = *self.norm;
        let channels = gamma.len();
        let whole = channels / S::LANES * S::LANES;
        let rows = self.rows.chunks_exact(channels);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(channels)) {
            let (rest, count) = (&row[whole..], channels as f32);
            // SAFETY: `whole` values of every slice, all of `channels`.
            unsafe {
                let value = |at: usize| S::load(row.as_ptr().add(at));
                let sum = total::<S>(whole, value);
                let mean = (sum + rest.iter().sum::<f32>()) / count;
                let middle = S::splat(mean);
                let squares = total::<S>(whole, |at| {
                    let off = S::sub(value(at), middle);
                    S::mul(off, off)
                });
                let of_rest: f32 = rest
                    .iter()
                    .map(|value| (value - mean) * (value - mean))
                    .sum();
                let variance = (squares + of_rest) / count;
                let scale = 1.0 / (variance + epsilon).sqrt();
                let factor = S::splat(scale);
                for at in (0..whole).step_by(S::LANES) {
                    let value = S::mul(S::sub(S::load(row.as_ptr().add(at)), middle), factor);
                    let value = S::mul_add(
                        value,
                        S::load(gamma.as_ptr().add(at)),
                        S::load(beta.as_ptr().add(at)),
                    );
                    S::store(value, out.as_mut_ptr().add(at));
                }
                for at in whole..channels {
                    out[at] = (row[at] - mean) * scale * gamma[at] + beta[at];
                }
            }
        }
    }
}

/// The sum of the lanes of `value` of every multiple of their number below `whole`.
///
/// # Safety
/// The processor must have what `S` is for.
#[inline(always)]
unsafe fn total<S: Simd>(whole: usize, value: impl Fn(usize) -> S::Floats) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        // Several, so that no step waits for the one before.
        let mut sums = [S::splat(0.0); 4];
        let block = sums.len() * S::LANES;
        let many = whole / block * block;
        for first in (0..many).step_by(block) {
            for (chain, sum) in sums.iter_mut().enumerate() {
                *sum = S::add(*sum, value(first + chain * S::LANES));
            }
        }
        for at in (many..whole).step_by(S::LANES) {
            sums[0] = S::add(sums[0], value(at));
        }
        S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])))
    }
}

/// Brings every channel of the rows to zero mean and unit variance over all rows, in place.
///
/// # Panics
/// Where `values` is not whole rows of `channels`.
pub fn instance_norm(values: &mut [f32], channels: usize, team: &Team) {
    /// PyTorch's.
    const EPSILON: f32 = 1e-5;
    let mean = mean(values, channels, team);
    let variance = mean_over_rows(values, channels, team, |value, channel| {
        let off = value - mean[channel];
        off * off
    });
    let scale: Vec<f32> = variance
        .into_iter()
        .map(|variance| 1.0 / (variance + EPSILON).sqrt())
        .collect();
    team.each_part(values, SHARE * channels, |_, values| {
        for row in values.chunks_exact_mut(channels) {
            for ((value, mean), scale) in row.iter_mut().zip(&mean).zip(&scale) {
                *value = (*value - mean) * scale;
            }
        }
    });
}

/// Takes the mean over all rows away from every channel, in place.
///
/// # Panics
/// Where `values` is not whole rows of `channels`.
pub fn centre(values: &mut [f32], channels: usize, team: &Team) {
    let mean = mean(values, channels, team);
    team.each_part(values, SHARE * channels, |_, values| {
        for row in values.chunks_exact_mut(channels) {
            for (value, mean) in row.iter_mut().zip(&mean) {
                *value -= mean;
            }
        }
    });
}

/// The mean of every channel over all rows.
///
/// # Panics
/// Where `values` is not whole rows of `channels`.
pub fn mean(values: &[f32], channels: usize, team: &Team) -> Vec<f32> {
    mean_over_rows(values, channels, team, |value, _| value)
}

/// Rows that a thread takes at a time.
const SHARE: usize = 1024;

/// Rows are summed up a part at a time, so that sums of many rows keep their digits.
#[inline(always)]
fn mean_over_rows(
    values: &[f32],
    channels: usize,
    team: &Team,
    of: impl Fn(f32, usize) -> f32 + Sync,
) -> Vec<f32> {
    const PART: usize = 128;
    assert!(
        channels > 0 && values.len().is_multiple_of(channels),
        "{} values in rows of {channels}",
        values.len()
    );
    let count = values.len() / channels;
    // The sums of each share, and of a part of it: the same shares whoever takes them.
    let mut sums = vec![0.0f64; count.div_ceil(SHARE) * channels];
    let mut parts: Vec<Vec<f32>> = Vec::new();
    team.prepare(&mut parts, |part| part.resize(channels, 0.0));
    team.share_parts(&mut parts, &mut sums, channels, |part, share, sums| {
        let values = &values[share * SHARE * channels..];
        let values = &values[..values.len().min(SHARE * channels)];
        for rows in values.chunks(PART * channels) {
            part.fill(0.0);
            for row in rows.chunks_exact(channels) {
                for (channel, (sum, value)) in part.iter_mut().zip(row).enumerate() {
                    *sum += of(*value, channel);
                }
            }
            for (total, sum) in sums.iter_mut().zip(part.iter()) {
                *total += f64::from(*sum);
            }
        }
    });
    (0..channels)
        .map(|channel| {
            let total: f64 = sums.iter().skip(channel).step_by(channels).sum();
            (total / count.max(1) as f64) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

    fn exact(values: impl Iterator<Item = f32> + Clone, epsilon: f64) -> Vec<f64> {
        let values = values.map(f64::from);
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let variance = values
            .clone()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / count;
        values
            .map(|value| (value - mean) / (variance + epsilon).sqrt())
            .collect()
    }

    #[test]
    fn layer_norm_is_the_definition() {
        for channels in [1, 7, 8, 48, 193] {
            let rows: Vec<f32> = numbers(3 * channels, 1).iter().map(|x| x + 5.0).collect();
            let norm = LayerNorm {
                gamma: numbers(channels, 2),
                beta: numbers(channels, 3),
                epsilon: 1e-5,
            };
            let mut out = vec![0.0; rows.len()];
            norm.forward(&rows, &mut out);
            for (row, out) in rows.chunks(channels).zip(out.chunks(channels)) {
                let expected: Vec<f64> = exact(row.iter().copied(), 1e-5)
                    .into_iter()
                    .zip(norm.gamma.iter().zip(&norm.beta))
                    .map(|(x, (gamma, beta))| x * f64::from(*gamma) + f64::from(*beta))
                    .collect();
                assert_close(out, &expected, 2e-5);
            }
        }
    }

    #[test]
    fn channels_are_normalised_over_rows() {
        let (rows, channels) = (2500, 9);
        let given: Vec<f32> = numbers(rows * channels, 4)
            .iter()
            .map(|x| x + 3.0)
            .collect();
        for team in teams() {
            normalised_over_rows(&given, [rows, channels], &team);
        }
    }

    fn normalised_over_rows(given: &[f32], [rows, channels]: [usize; 2], team: &Team) {
        let mut values = given.to_vec();
        instance_norm(&mut values, channels, team);
        let mut centred = given.to_vec();
        centre(&mut centred, channels, team);
        for channel in 0..channels {
            let column = |of: &[f32]| -> Vec<f32> {
                of.iter().skip(channel).step_by(channels).copied().collect()
            };
            assert_close(
                &column(&values),
                &exact(column(given).into_iter(), 1e-5),
                1e-5,
            );
            let mean = column(given).iter().map(|x| f64::from(*x)).sum::<f64>() / rows as f64;
            let expected: Vec<f64> = column(given).iter().map(|x| f64::from(*x) - mean).collect();
            assert_close(&column(&centred), &expected, 1e-5);
        }
    }
}
