//! Limits writes by the latency of the store: a little more after each fast transaction, much less after a slow
//! transaction (additive increase, multiplicative decrease).

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The share of full speed, in thousandths, that a fast transaction adds.
const STEP: u32 = 20;
/// The minimum share: a hundredth.
const LEAST: u32 = 10;
const FULL: u32 = 1_000;
/// The longest pause between two transactions.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The current share of full speed.
///
/// With a share of `s`, batches have `s` times their usual size, and pauses keep the store busy for `s` of the time.
pub(super) struct Adaptive {
    target: Duration,
    /// In thousandths.
    share: AtomicU32,
    /// The next transaction waits until then.
    rest_until: Mutex<Option<Instant>>,
}

impl Adaptive {
    /// Starts at full speed; a transaction should take at most `target`.
    pub(super) fn new(target: Duration) -> Self {
        Self { target, share: AtomicU32::new(FULL), rest_until: Mutex::default() }
    }

    /// The current part of a limit, at least 1.
    pub(super) fn part_of(&self, limit: usize) -> usize {
        (limit.saturating_mul(self.share.load(Ordering::Relaxed) as usize) / FULL as usize).max(1)
    }

    /// Notes how long a transaction took.
    pub(super) fn observe(&self, took: Duration) {
        let share = self.share.load(Ordering::Relaxed);
        let share = if took > self.target { (share * 7 / 10).max(LEAST) } else { (share + STEP).min(FULL) };
        // Partitions that finish at the same time may overwrite each other's step; the next one corrects it.
        self.share.store(share, Ordering::Relaxed);
        let rest = took.mul_f64(f64::from(FULL) / f64::from(share) - 1.0).min(LONGEST_REST);
        let until = (!rest.is_zero()).then(|| Instant::now() + rest);
        *self.rest_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Waits until the pause after the last transaction is over.
    pub(super) async fn rest(&self) {
        let until = self.rest_until.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The duration of a transaction in a store that needs `of_a_row` per row.
    fn transaction(adaptive: &Adaptive, of_a_row: Duration) -> Duration {
        let rows = u32::try_from(adaptive.part_of(5_000)).unwrap();
        Duration::from_millis(2) + of_a_row * rows
    }

    #[test]
    fn a_slow_store_gets_shorter_batches_and_a_fast_one_full_ones_again() {
        let target = Duration::from_millis(100);
        let adaptive = Adaptive::new(target);
        let slow = Duration::from_micros(100);
        for _ in 0..20 {
            adaptive.observe(transaction(&adaptive, slow));
        }
        let takes: Vec<_> = (0..50)
            .map(|_| {
                let took = transaction(&adaptive, slow);
                adaptive.observe(took);
                took
            })
            .collect();
        let average = takes.iter().sum::<Duration>() / 50;
        assert!(average < target && average > target / 2, "{average:?}");
        assert!(takes.iter().max().unwrap() < &(target + target / 5), "{takes:?}");
        for _ in 0..50 {
            adaptive.observe(transaction(&adaptive, Duration::from_micros(10)));
        }
        assert_eq!(adaptive.part_of(5_000), 5_000);
    }

    #[test]
    fn a_store_that_stays_slow_still_gets_some_records() {
        let adaptive = Adaptive::new(Duration::from_millis(1));
        for _ in 0..100 {
            adaptive.observe(Duration::from_mins(5));
        }
        assert_eq!((adaptive.part_of(5_000), adaptive.part_of(1)), (50, 1));
    }
}
