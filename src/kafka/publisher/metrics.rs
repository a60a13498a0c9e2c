//! What all publishers of a process count.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use towpath_api::Op;

use crate::telemetry::Held;

/// The families of metrics that publishers count in, one for a process.
#[derive(Debug, Clone)]
pub struct SourceMetrics {
    read: IntCounterVec,
    written: IntCounterVec,
    active: IntGaugeVec,
    change_age: HistogramVec,
    errors: IntCounterVec,
}

impl SourceMetrics {
    /// Creates the families.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
        let age = HistogramOpts::new(
            "towpath_source_change_age_seconds",
            "From the change at the source to the broker's acknowledgement.",
        )
        .buckets(vec![0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0]);
        let metrics = Self {
            read: IntCounterVec::new(
                Opts::new(
                    "towpath_source_records_read_total",
                    "Events that a source has handed over, by what happened.",
                ),
                &["connector", "object", "op"],
            )?,
            written: IntCounterVec::new(
                Opts::new(
                    "towpath_source_records_written_total",
                    "Records that Kafka has acknowledged, tombstones included.",
                ),
                &["connector", "topic"],
            )?,
            active: IntGaugeVec::new(
                Opts::new("towpath_source_records_active", "Events that were read and are not acknowledged yet."),
                &["connector"],
            )?,
            change_age: HistogramVec::new(age, &["connector"])?,
            errors: IntCounterVec::new(
                Opts::new("towpath_kafka_errors_total", "Errors of the Kafka client by its code."),
                &["connector", "code"],
            )?,
        };
        registry.register(Box::new(metrics.read.clone()))?;
        registry.register(Box::new(metrics.written.clone()))?;
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.change_age.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }

    /// The series of one connector.
    pub(super) fn connector(self, connector: &str) -> ConnectorSeries {
        // What outages bring exists from the start, so that a rate can be taken of the first one.
        for code in ["MessageTimedOut", "BrokerTransportFailure", "QueueFull"] {
            self.errors.with_label_values(&[connector, code]);
        }
        ConnectorSeries {
            connector: connector.to_owned(),
            active: self.active.with_label_values(&[connector]),
            change_age: self.change_age.with_label_values(&[connector]),
            families: self,
        }
    }
}

/// The series of one connector.
#[derive(Debug)]
pub(super) struct ConnectorSeries {
    families: SourceMetrics,
    connector: String,
    active: IntGauge,
    change_age: Histogram,
}

impl ConnectorSeries {
    /// The counter of acknowledged records of a topic.
    pub(super) fn written(&self, topic: &str) -> IntCounter {
        self.families.written.with_label_values(&[&self.connector, topic])
    }

    /// The counters of the events of an object, in the order of [`Op::ALL`].
    pub(super) fn read(&self, object: &str) -> [IntCounter; Op::ALL.len()] {
        Op::ALL.map(|op| self.families.read.with_label_values(&[&self.connector, object, op.as_str()]))
    }

    pub(super) fn error(&self, code: &str) {
        self.families.errors.with_label_values(&[&self.connector, code]).inc();
    }

    /// Observes a change that was acknowledged now; one from a clock that is ahead of ours has age 0.
    pub(super) fn acknowledged(&self, source_time_ms: Option<i64>) {
        let Some(time_ms) = source_time_ms else { return };
        let then = Duration::from_millis(u64::try_from(time_ms).unwrap_or(0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.change_age.observe(now.saturating_sub(then).as_secs_f64());
    }

    /// Counts events as active for as long as the answer lives, also when the call is dropped.
    pub(super) fn active(&self, events: usize) -> Held {
        Held::new(&self.active, events)
    }
}
