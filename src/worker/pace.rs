//! How fast a connector may write. One [`Pace`] belongs to all tasks and partitions of a connector, which take turns at
//! it.
//!
//! A batch is paid for before it is applied, so nothing is written that the limit does not allow. While it waits, the
//! next batch is collected, and then the reading stops by itself. Without limits nothing here waits or locks.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use towpath_api::Batch;

use super::{adaptive::Adaptive, collect::Limits};
use crate::{config::DeliveryConfig, telemetry::SinkMetrics};

/// The pace of one connector. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pace {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    rows: Option<Rate>,
    bytes: Option<Rate>,
    adaptive: Option<Adaptive>,
    /// Whose turn it is: in the order in which they came, so that small batches do not overtake a large one for ever.
    turn: Mutex<()>,
    metrics: SinkMetrics,
}

impl Pace {
    /// For the limits of `config`; `limits` are those of a batch.
    pub(super) fn new(config: &DeliveryConfig, mut limits: Limits, metrics: SinkMetrics) -> Self {
        let rows = config.write_rows_per_second.map(|rate| Rate::new(u64::from(rate)));
        let bytes = config.write_bytes_per_second.map(|rate| Rate::new(rate.as_u64()));
        limits.rows = rows.as_ref().map_or(limits.rows, |rate| limits.rows.min(rate.portion()));
        limits.bytes = bytes.as_ref().map_or(limits.bytes, |rate| limits.bytes.min(rate.portion()));
        let adaptive = config.write_latency_target.map(Adaptive::new);
        metrics.batch_limit(limits.rows);
        Self { shared: Arc::new(Shared { limits, rows, bytes, adaptive, turn: Mutex::default(), metrics }) }
    }

    /// How large a batch may become at present.
    pub(super) fn limits(&self) -> Limits {
        let Shared { limits, adaptive, .. } = &*self.shared;
        adaptive.as_ref().map_or(*limits, |adaptive| Limits {
            rows: adaptive.part_of(limits.rows),
            bytes: adaptive.part_of(limits.bytes),
        })
    }

    /// Waits until the batch may be written. Returns false when `stop` came first.
    pub(super) async fn admit(&self, batch: &Batch, stop: &CancellationToken) -> bool {
        let Shared { rows, bytes, adaptive, turn, metrics, .. } = &*self.shared;
        if rows.is_none() && bytes.is_none() && adaptive.is_none() {
            return true;
        }
        let begun = Instant::now();
        let waited = async {
            let _turn = turn.lock().await;
            if let Some(rate) = rows {
                rate.take(batch.records.len()).await;
            }
            if let Some(rate) = bytes {
                rate.take(batch.arena.len()).await;
            }
            if let Some(adaptive) = adaptive {
                adaptive.rest().await;
            }
        };
        let admitted = tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = waited => true,
        };
        metrics.rate_limit_waited(begun.elapsed());
        admitted
    }

    /// Takes note of a transaction of so long.
    pub(super) fn observe(&self, took: Duration) {
        let Shared { limits, adaptive, metrics, .. } = &*self.shared;
        if let Some(adaptive) = adaptive {
            adaptive.observe(took);
            metrics.batch_limit(adaptive.part_of(limits.rows));
        }
    }
}

/// What is allowed in a second, of rows or bytes.
struct Rate {
    limiter: DefaultDirectRateLimiter,
    /// How many of what is limited the limiter counts as one, so that nanoseconds are fine enough for its steps.
    unit: u64,
    /// How many units a batch may have.
    portion: NonZeroU32,
}

/// A batch holds a twentieth of a second's worth at most.
const PORTIONS: u64 = 20;
/// So many portions are kept for whoever comes late: a store may stall for two of them without anything of the limit
/// being lost.
const KEPT: u64 = 3;
/// The limiter's own rate, in thousandths of the limit: with what is kept, any ten seconds are within it, 9.85 + 0.15.
const RATE: u64 = 985;

impl Rate {
    fn new(per_second: u64) -> Self {
        let unit = (per_second / 1_000_000).max(1);
        let units = (per_second / unit).max(1);
        let period = Duration::from_nanos((1_000_000_000 * 1_000 / RATE / units).max(1));
        let at_least_one = |units| u32::try_from(units).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let kept = at_least_one(units * KEPT / PORTIONS);
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(kept);
        Self { limiter: DefaultDirectRateLimiter::direct(quota), unit, portion: at_least_one(units / PORTIONS) }
    }

    /// The largest amount that is not waited for in parts.
    fn portion(&self) -> usize {
        usize::try_from(u64::from(self.portion.get()) * self.unit).unwrap_or(usize::MAX)
    }

    async fn take(&self, amount: usize) {
        let mut units = (amount as u64).div_ceil(self.unit);
        while let Some(part) = u32::try_from(units.min(u64::from(self.portion.get()))).ok().and_then(NonZeroU32::new) {
            match self.limiter.check_n(part) {
                Ok(Ok(())) => units -= u64::from(part.get()),
                Ok(Err(too_early)) => tokio::time::sleep(too_early.wait_time_from(DefaultClock::default().now())).await,
                // No part is larger than what is kept.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_a_twentieth_of_a_second_and_a_single_row_always() {
        assert_eq!([1, 19, 20, 5_000].map(|rate| Rate::new(rate).portion()), [1, 1, 1, 250]);
        let gigabytes = Rate::new(4 << 30);
        assert!((190 << 20..=215 << 20).contains(&gigabytes.portion()), "{}", gigabytes.portion());
    }

    #[tokio::test]
    async fn what_takes_turns_is_held_to_the_limit_together_and_nearly_reaches_it() {
        let rate = Arc::new(Rate::new(10_000));
        let begun = Instant::now();
        let takers = (1..=4).map(|taker| {
            let rate = Arc::clone(&rate);
            tokio::spawn(async move {
                for _ in 0..60 / taker {
                    rate.take(50 * taker).await;
                }
            })
        });
        futures::future::join_all(takers.collect::<Vec<_>>()).await;
        let (seconds, taken) = (begun.elapsed().as_secs_f64(), 12_000.0);
        // What is kept at the beginning is over the limit by itself.
        assert!(taken - 1_500.0 <= 10_000.0 * seconds, "{taken} in {seconds} s");
        assert!(taken >= 0.8 * 10_000.0 * seconds, "{taken} in {seconds} s");
    }
}
