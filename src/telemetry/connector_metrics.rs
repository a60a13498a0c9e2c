//! What every connector counts, source or sink: attempts, errors, retries, dead letters, states.

use std::{sync::Arc, time::SystemTime};

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};
use towpath_api::ErrorType;

use super::{
    State,
    families::{families, seconds_since_epoch},
};

/// Where on its way a record was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the metric conventions; each says what it is")]
pub enum Stage {
    Poll,
    Decode,
    Validate,
    Encode,
    Produce,
    Consume,
    Apply,
    Commit,
}

impl Stage {
    /// The stages of a source.
    pub const SOURCE: &[Self] = &[Self::Poll, Self::Decode, Self::Validate, Self::Encode, Self::Produce];
    /// The stages of a sink.
    pub const SINK: &[Self] = &[Self::Consume, Self::Decode, Self::Apply, Self::Commit, Self::Produce];

    /// The word used as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Decode => "decode",
            Self::Validate => "validate",
            Self::Encode => "encode",
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Apply => "apply",
            Self::Commit => "commit",
        }
    }
}

/// Why a record was dropped for good. The promise is that none ever is; the series exist so that an alert can watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// `errors.tolerance=all` without a place for dead letters.
    Tolerated,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 1] = [Self::Tolerated];

    /// The word used as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tolerated => "tolerated",
        }
    }
}

families! {
    /// The families behind [`ConnectorMetrics`] and the status board.
    pub(super) struct ConnectorFamilies {
        /// 1 for the present state of the connector, 0 for the others.
        state: IntGaugeVec = "towpath_connector_state" [connector, state],
        /// Tasks of the connector by state.
        tasks: IntGaugeVec = "towpath_connector_tasks" [connector, state],
        /// When the newest error of the connector happened; 0 when none has.
        last_error: GaugeVec = "towpath_last_error_timestamp_seconds" [connector],
        /// Records that the connector has tried to process, whatever became of them.
        processed: IntCounterVec = "towpath_records_processed_total" [connector],
        /// Errors, including those that a retry cured.
        errors: IntCounterVec = "towpath_errors_total" [connector, stage, error_type],
        /// Attempts made again after an error.
        retries: IntCounterVec = "towpath_retries_total" [connector, stage],
        /// Records set aside as dead letters.
        dead_letters: IntCounterVec = "towpath_dlq_records_total" [connector, error_type],
        /// Failed attempts to send dead letters to their topic. They are in the store, and are sent again.
        dlq_write_failures: IntCounterVec = "towpath_dlq_write_failures_total" [connector],
        /// Records dropped for good. The promise is that this stays 0.
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
                dropped: DropReason::ALL.map(|reason| self.dropped.with_label_values(&[connector, reason.as_str()])),
                last_error: self.last_error.with_label_values(&[connector]),
            }),
        }
    }
}

/// The counters of one connector, resolved once. Cheap to clone.
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
    dropped: [IntCounter; DropReason::ALL.len()],
    last_error: Gauge,
}

impl ConnectorMetrics {
    /// Counts `records` attempts, once per batch, when the attempt ends.
    pub fn processed(&self, records: u64) {
        self.series.processed.inc_by(records);
    }

    /// Counts a failed attempt to send dead letters to their topic.
    pub fn dead_letter_not_written(&self) {
        self.series.dlq_write_failures.inc();
    }

    /// Counts an error, also one that a retry is going to cure, and notes its time.
    ///
    /// A stage that the connector was not created with is counted at its first one: a count is worth more than its
    /// label.
    pub fn error(&self, stage: Stage, error_type: ErrorType) {
        if let Some((_, errors, _)) = self.stage(stage) {
            errors[error_type as usize].inc();
        }
        self.series.last_error.set(seconds_since_epoch(SystemTime::now()));
    }

    /// Counts an attempt made again.
    pub fn retry(&self, stage: Stage) {
        if let Some((_, _, retries)) = self.stage(stage) {
            retries.inc();
        }
    }

    /// Counts records set aside.
    pub fn dead_lettered(&self, error_type: ErrorType, records: u64) {
        self.series.dead_letters[error_type as usize].inc_by(records);
    }

    /// Counts records that are gone for good.
    pub fn dropped(&self, reason: DropReason, records: u64) {
        self.series.dropped[reason as usize].inc_by(records);
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
