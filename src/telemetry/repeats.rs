//! Suppression of repeated log lines: each key is written at most once per window, with the number of suppressed lines.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// The time for which a key is suppressed after it was written.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The keys that have been written, with their times. Keys are never removed, so the caller must use a bounded set,
/// such as codes and connector names.
#[derive(Debug)]
pub struct Repeats<K> {
    window: Duration,
    seen: HashMap<K, Seen>,
}

#[derive(Debug)]
struct Seen {
    written: Instant,
    suppressed: u64,
}

impl<K: Eq + Hash> Repeats<K> {
    /// Allows each key at most once per `window`.
    pub fn new(window: Duration) -> Self {
        Self { window, seen: HashMap::new() }
    }

    /// Returns the number of lines suppressed since `key` was last written, if `key` may be written at `now`; otherwise
    /// `None`.
    pub fn admit(&mut self, key: K, now: Instant) -> Option<u64> {
        let Some(seen) = self.seen.get_mut(&key) else {
            self.seen.insert(key, Seen { written: now, suppressed: 0 });
            return Some(0);
        };
        if now.duration_since(seen.written) < self.window {
            seen.suppressed += 1;
            return None;
        }
        seen.written = now;
        Some(std::mem::take(&mut seen.suppressed))
    }

    /// Sets the number of suppressed lines of `key`.
    #[cfg(test)]
    pub(super) fn suppress(&mut self, key: K, suppressed: u64) {
        self.seen.insert(key, Seen { written: Instant::now(), suppressed });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_once_per_window_with_the_number_of_suppressed_lines() {
        let mut repeats = Repeats::new(WINDOW);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(repeats.admit("kafka.unavailable", at(0)), Some(0));
        assert_eq!(repeats.admit("kafka.unavailable", at(1)), None);
        assert_eq!(repeats.admit("kafka.unavailable", at(9)), None);
        assert_eq!(repeats.admit("kafka.unavailable", at(10)), Some(2));
        assert_eq!(repeats.admit("kafka.unavailable", at(19)), None);
        assert_eq!(repeats.admit("kafka.unavailable", at(40)), Some(1));
        assert_eq!(repeats.admit("kafka.unavailable", at(60)), Some(0));
    }

    #[test]
    fn one_code_does_not_suppress_another() {
        let mut repeats = Repeats::new(WINDOW);
        let now = Instant::now();
        assert_eq!(repeats.admit("kafka.unavailable", now), Some(0));
        assert_eq!(repeats.admit("postgres.unavailable", now), Some(0));
    }
}
