//! Randomness by section, and exact shares of a total.

use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// A generator of its own for each part of a customer, so that the parts can be made in any order.
///
/// The key is the seed followed by the first 24 bytes of the name.
pub(crate) fn section(seed: u64, name: &str) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    for (slot, byte) in key[8..].iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    ChaCha8Rng::from_seed(key)
}

/// The generator of one member of a section; `section` itself must not have been drawn from.
pub(crate) fn member(section: &ChaCha8Rng, index: u32) -> ChaCha8Rng {
    let mut generator = section.clone();
    generator.set_stream(u64::from(index) + 1);
    generator
}

/// Splits `total` rows over `members` people in proportion to weights drawn from `choices`; adds up exactly.
pub(crate) fn quotas(generator: &mut ChaCha8Rng, total: u64, members: usize, choices: &[u32]) -> Vec<u32> {
    let mut weights: Vec<u32> = (0..members).map(|_| choices.choose(generator).copied().unwrap_or(1)).collect();
    if weights.iter().all(|&weight| weight == 0) {
        weights.fill(1);
    }
    let mut share = Share::new(total, weights.iter().map(|&weight| u64::from(weight)).sum());
    weights.iter().map(|&weight| share.take(weight)).collect()
}

/// A total handed out piece by piece in proportion to weights: after all weights exactly the total is gone.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    total: u64,
    weight_total: u64,
    weight_seen: u64,
    given: u64,
}

impl Share {
    pub(crate) fn new(total: u64, weight_total: u64) -> Self {
        Self { total, weight_total, weight_seen: 0, given: 0 }
    }

    /// What falls to the next weight.
    pub(crate) fn take(&mut self, weight: u32) -> u32 {
        self.weight_seen += u64::from(weight);
        let until = u128::from(self.total) * u128::from(self.weight_seen) / u128::from(self.weight_total.max(1));
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        let piece = until.saturating_sub(self.given);
        self.given = until;
        u32::try_from(piece).unwrap_or(u32::MAX)
    }

    /// The largest piece a weight can get.
    pub(crate) fn largest_piece(&self, weight: u32) -> u64 {
        let exact = u128::from(self.total) * u128::from(weight);
        u64::try_from(exact.div_ceil(u128::from(self.weight_total.max(1)))).unwrap_or(u64::MAX)
    }
}
