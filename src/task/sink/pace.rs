//! Limits the write rate of a connector. All tasks and partitions of a connector share one [`Pace`] and take turns.
//!
//! A batch waits for its permits before it is applied, so writes never exceed the limit. Meanwhile the next batch is
//! collected; when it is full, reading stops. Without limits there are no waits and no locks.

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

use super::adaptive::Adaptive;
use crate::{config::DeliveryConfig, telemetry::SinkMetrics};

/// The maximum size of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rows: usize,
    /// Bytes of keys, values and headers.
    pub(crate) bytes: usize,
}

impl Limits {
    /// The memory at which a batch ends: its bytes and their decoded values. Small records take several times their
    /// bytes.
    pub(crate) fn memory(self) -> usize {
        self.bytes.saturating_mul(2)
    }
}

/// The pace of one connector. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pace {
    shared: Arc<Limiters>,
}

struct Limiters {
    limits: Limits,
    rows: Option<Rate>,
    bytes: Option<Rate>,
    adaptive: Option<Adaptive>,
    /// Fair, so that small batches cannot overtake a large batch forever.
    turn: Mutex<()>,
    metrics: SinkMetrics,
}

impl Pace {
    /// Combines the rates of `config` with `limits`, the maximum size of a batch.
    pub(crate) fn new(config: &DeliveryConfig, mut limits: Limits, metrics: SinkMetrics) -> Self {
        let rows = config.write_rows_per_second.map(|rate| Rate::new(u64::from(rate)));
        let bytes = config.write_bytes_per_second.map(|rate| Rate::new(rate.as_u64()));
        limits.rows = rows.as_ref().map_or(limits.rows, |rate| limits.rows.min(rate.portion()));
        limits.bytes = bytes.as_ref().map_or(limits.bytes, |rate| limits.bytes.min(rate.portion()));
        let adaptive = config.write_latency_target.map(Adaptive::new);
        metrics.batch_limit(limits.rows);
        Self { shared: Arc::new(Limiters { limits, rows, bytes, adaptive, turn: Mutex::default(), metrics }) }
    }

    /// The current maximum size of a batch.
    pub(super) fn limits(&self) -> Limits {
        let Limiters { limits, adaptive, .. } = &*self.shared;
        adaptive.as_ref().map_or(*limits, |adaptive| Limits {
            rows: adaptive.part_of(limits.rows),
            bytes: adaptive.part_of(limits.bytes),
        })
    }

    /// Waits until the batch may be written. Returns false if `stop` was cancelled first.
    pub(super) async fn admit(&self, batch: &Batch, stop: &CancellationToken) -> bool {
        let Limiters { rows, bytes, adaptive, turn, metrics, .. } = &*self.shared;
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

    /// Notes how long a transaction took.
    pub(super) fn observe(&self, took: Duration) {
        let Limiters { limits, adaptive, metrics, .. } = &*self.shared;
        if let Some(adaptive) = adaptive {
            adaptive.observe(took);
            metrics.batch_limit(adaptive.part_of(limits.rows));
        }
    }
}

/// A limit per second, of rows or bytes.
struct Rate {
    limiter: DefaultDirectRateLimiter,
    /// Rows or bytes per permit of the limiter, chosen so that nanoseconds are fine enough for its steps.
    unit: u64,
    /// Maximum permits of a batch.
    portion: NonZeroU32,
}

/// A batch holds at most a twentieth of a second's worth.
const PORTIONS: u64 = 20;
/// Burst allowance in portions: a store may stall for two of them and still reach the full rate.
const KEPT: u64 = 3;
/// The limiter's rate in thousandths of the limit: with the burst, any ten seconds are within it, 9.85 + 0.15.
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

    /// The largest amount that is not split.
    fn portion(&self) -> usize {
        usize::try_from(u64::from(self.portion.get()) * self.unit).unwrap_or(usize::MAX)
    }

    async fn take(&self, amount: usize) {
        let mut units = (amount as u64).div_ceil(self.unit);
        while let Some(part) = u32::try_from(units.min(u64::from(self.portion.get()))).ok().and_then(NonZeroU32::new) {
            match self.limiter.check_n(part) {
                Ok(Ok(())) => units -= u64::from(part.get()),
                Ok(Err(too_early)) => tokio::time::sleep(too_early.wait_time_from(DefaultClock::default().now())).await,
                // No part exceeds the burst.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_a_twentieth_of_a_second_and_at_least_one_row() {
        assert_eq!([1, 19, 20, 5_000].map(|rate| Rate::new(rate).portion()), [1, 1, 1, 250]);
        let gigabytes = Rate::new(4 << 30);
        assert!((190 << 20..=215 << 20).contains(&gigabytes.portion()), "{}", gigabytes.portion());
    }

    #[tokio::test]
    async fn takers_that_share_a_limit_nearly_reach_it_and_never_exceed_it() {
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
        // The initial burst exceeds the limit.
        assert!(taken - 1_500.0 <= 10_000.0 * seconds, "{taken} in {seconds} s");
        assert!(taken >= 0.8 * 10_000.0 * seconds, "{taken} in {seconds} s");
    }
}
