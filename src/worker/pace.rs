//! How fast a connector may write. One [`Pace`] belongs to all tasks and partitions of a connector, which take turns at it.
//!
//! A batch is paid for before it is applied, so nothing is written that the limit does not allow. While it waits, the next batch is collected,
//! and then the reading stops by itself. Without limits nothing here waits or locks.

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
        limits.rows = rows.as_ref().map_or(limits.rows, |rate| limits.rows.min(rate.at_once()));
        limits.bytes = bytes.as_ref().map_or(limits.bytes, |rate| limits.bytes.min(rate.at_once()));
        let adaptive = config.write_latency_target.map(Adaptive::new);
        metrics.batch_limit(limits.rows);
        Self { shared: Arc::new(Shared { limits, rows, bytes, adaptive, turn: Mutex::default(), metrics }) }
    }

    /// How large a batch may become at present.
    pub(super) fn limits(&self) -> Limits {
        let Shared { limits, adaptive, .. } = &*self.shared;
        adaptive
            .as_ref()
            .map_or(*limits, |adaptive| Limits { rows: adaptive.part_of(limits.rows), bytes: adaptive.part_of(limits.bytes) })
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
    /// How many units may go at once.
    burst: NonZeroU32,
}

/// The part of a second that may go at once. It is also how long a store may stall without anything of the limit being lost.
const BURST: u64 = 10;

impl Rate {
    fn new(per_second: u64) -> Self {
        let unit = (per_second / 1_000_000).max(1);
        let units = (per_second / unit).max(1);
        // A hundredth less than the limit, so that with what may go at once any ten seconds are within it.
        let period = Duration::from_nanos((1_000_000_000 * 100 / 99 / units).max(1));
        let burst = u32::try_from(units / BURST).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
        Self { limiter: DefaultDirectRateLimiter::direct(quota), unit, burst }
    }

    /// The largest amount that need not be waited for in parts.
    fn at_once(&self) -> usize {
        usize::try_from(u64::from(self.burst.get()) * self.unit).unwrap_or(usize::MAX)
    }

    async fn take(&self, amount: usize) {
        let mut units = (amount as u64).div_ceil(self.unit);
        while let Some(part) = u32::try_from(units.min(u64::from(self.burst.get()))).ok().and_then(NonZeroU32::new) {
            match self.limiter.check_n(part) {
                Ok(Ok(())) => units -= u64::from(part.get()),
                Ok(Err(too_early)) => tokio::time::sleep(too_early.wait_time_from(DefaultClock::default().now())).await,
                // No part is larger than what may go at once.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_second_may_go_at_once_and_a_single_row_always() {
        assert_eq!([1, 9, 10, 5_000].map(|rate| Rate::new(rate).at_once()), [1, 1, 1, 500]);
        let gigabytes = Rate::new(4 << 30);
        assert!((380 << 20..=430 << 20).contains(&gigabytes.at_once()), "{}", gigabytes.at_once());
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
        // What may go at once at the beginning is over the limit by itself.
        assert!(taken - 1_000.0 <= 10_000.0 * seconds, "{taken} in {seconds} s");
        assert!(taken >= 0.8 * 10_000.0 * seconds, "{taken} in {seconds} s");
    }
}
