//! Metrics of all publishers of a process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use towpath_api::{Op, families};

use crate::telemetry::{Held, buckets::LATENCY_SECONDS};

families! {
    struct SourceFamilies {
        /// Events that a source has handed over, by what happened.
        read: IntCounterVec = "towpath_source_records_read_total" [connector, object, op],
        /// Records that Kafka has acknowledged, tombstones included.
        written: IntCounterVec = "towpath_source_records_written_total" [connector, topic],
        /// Events that were read and are not acknowledged yet.
        active: IntGaugeVec = "towpath_source_records_active" [connector],
        /// From the change at the source to the broker's acknowledgement.
        change_age: HistogramVec = "towpath_source_change_age_seconds" [connector] in LATENCY_SECONDS,
        /// Errors of the Kafka client by its code.
        errors: IntCounterVec = "towpath_kafka_errors_total" [connector, code],
    }
}

/// The metric families of all publishers of a process.
#[derive(Debug, Clone)]
pub struct SourceMetrics(SourceFamilies);

impl SourceMetrics {
    /// Creates the families and registers them.
    ///
    /// # Errors
    /// The families are registered already.
    pub fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
        SourceFamilies::register(registry).map(Self)
    }

    /// Removes the series of a connector. Call it after the connector's tasks have ended: a publisher that is in use
    /// would create some of the series again.
    pub fn remove_connector(&self, connector: &str) {
        self.0.remove_connector(connector);
    }

    /// The series of one connector.
    pub(crate) fn connector(self, connector: &str) -> ConnectorSeries {
        let Self(families) = self;
        // The codes of outages exist from the start, so that a rate includes the first error.
        for code in ["MessageTimedOut", "BrokerTransportFailure", "QueueFull"] {
            families.errors.with_label_values(&[connector, code]);
        }
        ConnectorSeries {
            connector: connector.to_owned(),
            active: families.active.with_label_values(&[connector]),
            change_age: families.change_age.with_label_values(&[connector]),
            families,
        }
    }
}

/// The series of one connector.
#[derive(Debug)]
pub(crate) struct ConnectorSeries {
    families: SourceFamilies,
    connector: String,
    active: IntGauge,
    change_age: Histogram,
}

impl ConnectorSeries {
    /// The counter of acknowledged records of a topic.
    pub(crate) fn written(&self, topic: &str) -> IntCounter {
        self.families.written.with_label_values(&[&self.connector, topic])
    }

    /// The counters of the events of an object, in the order of [`Op::ALL`].
    pub(crate) fn read(&self, object: &str) -> [IntCounter; Op::ALL.len()] {
        Op::ALL.map(|op| self.families.read.with_label_values(&[&self.connector, object, op.as_str()]))
    }

    pub(super) fn error(&self, code: &str) {
        self.families.errors.with_label_values(&[&self.connector, code]).inc();
    }

    /// Observes the age of a change that was acknowledged now; 0 if the source's clock is ahead.
    pub(super) fn acknowledged(&self, source_time_ms: Option<i64>) {
        let Some(time_ms) = source_time_ms else { return };
        let then = Duration::from_millis(u64::try_from(time_ms).unwrap_or(0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.change_age.observe(now.saturating_sub(then).as_secs_f64());
    }

    /// Counts events as active until the returned value is dropped, as it is with a dropped call.
    pub(super) fn active(&self, events: usize) -> Held {
        Held::new(&self.active, events)
    }
}
