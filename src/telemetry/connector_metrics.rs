//! The metrics that sources and sinks share: records, errors, retries, dead letters, states.

use std::{sync::Arc, time::SystemTime};

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};
use towpath_api::{ErrorType, families};

use super::{State, epoch::seconds_since_epoch};

/// The step of a source or sink at which an error occurred; the label `stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A source reads from its outside system.
    Poll,
    /// Events or dead letters are written to Kafka.
    Produce,
    /// A sink reads from Kafka.
    Consume,
    /// A sink writes a batch to its store.
    Apply,
}

impl Stage {
    /// The stages of a source.
    pub const SOURCE: &[Self] = &[Self::Poll, Self::Produce];
    /// The stages of a sink.
    pub const SINK: &[Self] = &[Self::Consume, Self::Apply, Self::Produce];

    /// The name of the stage in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Apply => "apply",
        }
    }
}

families! {
    /// The families of [`ConnectorMetrics`] and of the status board.
    pub(super) struct ConnectorFamilies {
        /// 1 for the current state of the connector, 0 for all other states.
        state: IntGaugeVec = "towpath_connector_state" [connector, state],
        /// Tasks of the connector by state.
        tasks: IntGaugeVec = "towpath_connector_tasks" [connector, state],
        /// Time of the newest error of the connector; 0 before the first error.
        last_error: GaugeVec = "towpath_last_error_timestamp_seconds" [connector],
        /// Records that the connector has attempted to process, with any outcome.
        processed: IntCounterVec = "towpath_records_processed_total" [connector],
        /// Errors, including errors that a retry cured.
        errors: IntCounterVec = "towpath_errors_total" [connector, stage, error_type],
        /// Retries after an error.
        retries: IntCounterVec = "towpath_retries_total" [connector, stage],
        /// Dead-lettered records.
        dead_letters: IntCounterVec = "towpath_dlq_records_total" [connector, error_type],
        /// Failed attempts to send dead letters to their topic. The dead letters stay in the store and are sent later.
        dlq_write_failures: IntCounterVec = "towpath_dlq_write_failures_total" [connector],
        /// Records that were lost. Always 0: no record is ever dropped.
        dropped: IntCounterVec = "towpath_records_dropped_total" [connector, reason],
    }
}

impl ConnectorFamilies {
    /// Creates the series of a connector at 0.
    pub(super) fn connector(&self, connector: &str, stages: &[Stage]) -> ConnectorMetrics {
        for state in State::ALL {
            self.state.with_label_values(&[connector, state.as_str()]);
            self.tasks.with_label_values(&[connector, state.as_str()]);
        }
        // No code path drops a record. The series exists so that an alert can watch the promise.
        self.dropped.with_label_values(&[connector, "tolerated"]);
        let errors = stages.iter().map(|stage| {
            let of_type = |kind: ErrorType| self.errors.with_label_values(&[connector, stage.as_str(), kind.as_str()]);
            (*stage, ErrorType::ALL.map(of_type), self.retries.with_label_values(&[connector, stage.as_str()]))
        });
        ConnectorMetrics {
            series: Arc::new(Series {
                stages: errors.collect(),
                processed: self.processed.with_label_values(&[connector]),
                dead_letters: ErrorType::ALL
                    .map(|kind| self.dead_letters.with_label_values(&[connector, kind.as_str()])),
                dlq_write_failures: self.dlq_write_failures.with_label_values(&[connector]),
                last_error: self.last_error.with_label_values(&[connector]),
            }),
        }
    }
}

/// The counters of one connector. Cheap to clone; no method looks up a label.
#[derive(Debug, Clone)]
pub struct ConnectorMetrics {
    series: Arc<Series>,
}

#[derive(Debug)]
struct Series {
    stages: Vec<(Stage, [IntCounter; ErrorType::ALL.len()], IntCounter)>,
    processed: IntCounter,
    dead_letters: [IntCounter; ErrorType::ALL.len()],
    dlq_write_failures: IntCounter,
    last_error: Gauge,
}

impl ConnectorMetrics {
    /// Counts records that were attempted. To be called once per batch, when the attempt ends.
    pub fn processed(&self, records: u64) {
        self.series.processed.inc_by(records);
    }

    /// Counts a failed attempt to send dead letters to their topic.
    pub fn dead_letter_not_written(&self) {
        self.series.dlq_write_failures.inc();
    }

    /// Counts an error, including an error that is retried, and sets the time of the last error.
    ///
    /// An error at a stage that the connector was not created with counts at the first stage.
    pub fn error(&self, stage: Stage, error_type: ErrorType) {
        if let Some((_, errors, _)) = self.stage(stage) {
            errors[error_type as usize].inc();
        }
        self.series.last_error.set(seconds_since_epoch(SystemTime::now()));
    }

    pub fn retry(&self, stage: Stage) {
        if let Some((_, _, retries)) = self.stage(stage) {
            retries.inc();
        }
    }

    pub fn dead_lettered(&self, error_type: ErrorType, records: u64) {
        self.series.dead_letters[error_type as usize].inc_by(records);
    }

    fn stage(&self, stage: Stage) -> Option<&(Stage, [IntCounter; ErrorType::ALL.len()], IntCounter)> {
        self.series.stages.iter().find(|(known, ..)| *known == stage).or_else(|| self.series.stages.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn the_series_of_a_connector_exist_at_zero_before_anything_happens() {
        let metrics = Metrics::new();
        metrics.connector("postgres", Stage::SINK);
        let text = metrics.encode();
        assert!(
            text.contains(r#"towpath_errors_total{connector="postgres",error_type="unavailable",stage="apply"} 0"#)
        );
        assert!(text.contains(r#"towpath_records_dropped_total{connector="postgres",reason="tolerated"} 0"#));
        assert!(text.contains(r#"towpath_connector_state{connector="postgres",state="failed"} 0"#));
        assert!(text.contains(r#"towpath_last_error_timestamp_seconds{connector="postgres"} 0"#));
        assert!(!text.contains(r#"stage="poll""#), "a sink has no poll stage");
    }

    #[test]
    fn each_error_type_counts_in_its_own_series() {
        let metrics = Metrics::new();
        let connector = metrics.connector("postgres", Stage::SINK);
        for (times, kind) in ErrorType::ALL.into_iter().enumerate() {
            for _ in 0..=times {
                connector.error(Stage::Apply, kind);
            }
        }
        let text = metrics.encode();
        for (times, kind) in ErrorType::ALL.into_iter().enumerate() {
            let line = format!(
                "towpath_errors_total{{connector=\"postgres\",error_type=\"{kind}\",stage=\"apply\"}} {}",
                times + 1
            );
            assert!(text.contains(&line), "{line}");
        }
    }
}
