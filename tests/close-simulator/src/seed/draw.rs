//! Random draws in the shapes that a data set needs: shares, heavy tails, moments.
//!
//! A draw depends only on a seed and the number of its stream, so leads can be generated in any order and on any
//! thread.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::{Day, Moment};

pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The `stream`th stream of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        // The step of SplitMix64, so that neighboring streams are uncorrelated.
        let mut mixed = seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self(ChaCha8Rng::seed_from_u64(mixed ^ (mixed >> 31)))
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// A number between two, both inclusive.
    pub fn between(&mut self, first: i64, last: i64) -> i64 {
        self.0.random_range(first..=last.max(first))
    }

    /// Returns true with this probability.
    pub fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// One of several items; `from` is not empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of several words.
    pub fn word(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    /// One of several items, the earlier ones more often, as people and companies divide their work.
    pub fn pick_front<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let unit = self.unit();
        &from[((unit * unit * from.len() as f64) as usize).min(from.len() - 1)]
    }

    /// One of several items by weight.
    pub fn weighted<T: Copy>(&mut self, from: &[(u32, T)]) -> T {
        let total: u32 = from.iter().map(|(weight, _)| weight).sum();
        let mut at = self.0.random_range(0..total.max(1));
        for (weight, item) in from {
            if at < *weight {
                return *item;
            }
            at -= weight;
        }
        from[from.len() - 1].1
    }

    /// A count with many small and a few large values: 1 to `most`, by a power law; a smaller `slope` has a longer
    /// tail.
    pub fn tail(&mut self, slope: f64, most: usize) -> usize {
        let unit = 1.0 - self.unit();
        (unit.powf(-1.0 / slope) as usize).clamp(1, most)
    }

    /// A count around a mean, without a tail.
    pub fn about(&mut self, mean: f64) -> usize {
        (self.unit() * 2.0 * mean + 0.5) as usize
    }

    /// A moment between two, to the millisecond; one in eight is a whole second, as other systems write them.
    pub fn moment(&mut self, from: Moment, to: Moment) -> Moment {
        let at = from.plus_millis(self.between(0, to.millis_since(from).max(0)));
        if self.chance(0.125) { at.to_secs().max(from) } else { at.to_millis().max(from) }
    }

    /// A day around a moment: up to `before` days earlier or `after` days later.
    pub fn day(&mut self, around: Moment, before: i64, after: i64) -> Day {
        around.plus_days(self.between(-before, after)).day(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_long_and_streams_differ() {
        let mut draw = Draw::new(1, 2);
        let counts: Vec<usize> = (0..10_000).map(|_| draw.tail(1.8, 40)).collect();
        assert!(counts.iter().filter(|n| **n == 1).count() > 5_000);
        assert!(counts.iter().any(|n| *n > 30) && counts.iter().all(|n| (1..=40).contains(n)));
        assert_ne!(Draw::new(1, 2).between(0, 1 << 40), Draw::new(1, 3).between(0, 1 << 40));
        assert_eq!(Draw::new(1, 2).between(0, 1 << 40), Draw::new(1, 2).between(0, 1 << 40));
    }
}
