//! Random numbers that are a function of the seed and of what they are for.
//!
//! There is no state to save: the order of an epoch is a function of seed and epoch, the
//! augmentation of a sample one of seed, epoch and sample. A run that continues at some step
//! therefore draws what the uninterrupted run would have drawn.

/// What a stream of random numbers is for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A parameter before training; its path.
    Parameter = 1,
    /// The order of the samples; the epoch.
    Order = 2,
    /// How a sample is changed; epoch and sample.
    Augmentation = 3,
}

/// SplitMix64: small, of full period, and good enough to shuffle with.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed` for a purpose and what distinguishes it there.
    pub(super) fn new(seed: u64, purpose: Purpose, labels: &[u64]) -> Self {
        let mut random = Self {
            state: seed ^ ((purpose as u64) << 56),
        };
        for label in labels {
            random.state = random.next().wrapping_add(*label);
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform from 0 (inclusive) to 1 (exclusive).
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform from `-bound` to `bound`.
    pub(super) fn symmetric(&mut self, bound: f64) -> f64 {
        (2.0 * self.uniform() - 1.0) * bound
    }

    /// One of the numbers below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // The bias of at most bound / 2^53 is of no consequence.
        ((self.uniform() * bound as f64) as usize).min(bound - 1)
    }

    /// Heads or tails.
    pub(super) fn flip(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// Standard normal, by the polar method.
    pub(super) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.symmetric(1.0), self.symmetric(1.0));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * square.ln() / square).sqrt();
            }
        }
    }

    /// The numbers below `count` in random order.
    pub(super) fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for end in (1..count).rev() {
            order.swap(end, self.below(end + 1));
        }
        order
    }
}

/// A label for a name (FNV-1a).
pub(super) fn label(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epochs_order_holds_every_sample_once_and_differs_from_the_next() {
        let order = |seed, epoch| Random::new(seed, Purpose::Order, &[epoch]).permutation(100);
        let mut sorted = order(1, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
    }

    #[test]
    fn the_normal_numbers_have_mean_0_and_variance_1() {
        let mut random = Random::new(3, Purpose::Parameter, &[]);
        let drawn: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }
}
