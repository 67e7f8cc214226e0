//! Random numbers that are the same on every machine and with every version: SplitMix64 (Steele et
//! al., 2014). The crates for it promise no such thing, and a data set is named by its seed.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of a seed; `purpose` keeps the streams of one seed apart.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut random = Self(seed ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly between two values.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// About `mean`, as the sum of four: never further than two `spread`s off.
    pub(super) fn about(&mut self, mean: f64, spread: f64) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit() - 0.5).sum();
        mean + sum * spread
    }

    /// True so often.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// One of them, as often as its weight says.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [(f64, T)]) -> &'a T {
        let total: f64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.unit() * total;
        for (weight, choice) in choices {
            left -= weight;
            if left < 0.0 {
                return choice;
            }
        }
        // Rounding may leave a crumb. The tables of choices are constants and not empty.
        &choices[choices.len() - 1].1
    }
}

/// The finalizer of SplitMix64.
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_never_changes() {
        let mut random = Random::new(7, 1);
        let drawn: Vec<u64> = (0..2).map(|_| (random.unit() * 1e6) as u64).collect();
        let mut again = Random::new(7, 1);
        assert_eq!(drawn[0], (again.unit() * 1e6) as u64);
        assert_ne!(drawn[0], drawn[1]);
        assert_ne!(drawn[0], (Random::new(7, 2).unit() * 1e6) as u64);
    }
}
