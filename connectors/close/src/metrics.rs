//! Metrics of the Close source.
//!
//! Labels are names from the catalogue and closed sets, `_unknown` for other names: no text of Close becomes a series.
//! The series of one connector are in [`Series`], which `series` has.

mod series;
#[cfg(test)]
mod tests;

use prometheus::{CounterVec, GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec, Registry};
use towpath_api::families;

pub(crate) use series::{Difference, EventOutcome, MisfitKind, Series};

/// The label of an event type that the catalogue lacks.
pub(crate) const UNKNOWN: &str = "_unknown";
/// Buckets from an answer out of a cache to a request that timed out.
const REQUEST_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Buckets from one page of the log to a backlog.
const POLL_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

families! {
    struct CloseFamilies {
        /// Requests to the source by endpoint group and status, `error` without an answer
        requests: IntCounterVec = "towpath_source_http_requests_total" [connector, endpoint_group, code],
        /// Time from a request to the end of its answer
        request_duration: HistogramVec = "towpath_source_http_request_duration_seconds" [connector, endpoint_group]
            in REQUEST_SECONDS,
        /// Time that requests waited for the allowance: paced within the budget, throttled after a 429, or backing off
        wait: CounterVec = "towpath_source_ratelimit_wait_seconds_total" [connector, endpoint_group, lane, reason],
        /// Requests that one window allows, as announced
        limit: IntGaugeVec = "towpath_source_ratelimit_limit_requests" [connector, endpoint_group],
        /// Requests left in the window, as announced
        remaining: IntGaugeVec = "towpath_source_ratelimit_remaining_requests" [connector, endpoint_group],
        /// End of the window, as announced
        reset: GaugeVec = "towpath_source_ratelimit_reset_timestamp_seconds" [connector, endpoint_group],
        /// Share of the allowance that the connector may use
        budget: GaugeVec = "towpath_source_ratelimit_budget_ratio" [connector],
        /// Rows in answers of Close, and those of them that were published
        rows: IntCounterVec = "towpath_close_rows_total" [connector, object, outcome],
        /// Events in the event log: read, published, already published, of objects that are not selected, or unknown
        events: IntCounterVec = "towpath_close_events_total" [connector, object_type, outcome],
        /// Values kept in `_extra`, since no field has their name or their type
        misfits: IntCounterVec = "towpath_close_misfit_fields_total" [connector, object, reason],
        /// Records that were not published
        skipped: IntCounterVec = "towpath_source_records_skipped_total" [connector, object, reason],
        /// Fields that were left out of records that are too large for their topic
        omitted: IntCounterVec = "towpath_close_omitted_fields_total" [connector, object],
        /// 1 while a snapshot reads the object
        snapshot_running: IntGaugeVec = "towpath_snapshot_running" [connector, object],
        /// Objects of the snapshot
        snapshot_objects: IntGaugeVec = "towpath_snapshot_objects" [connector],
        /// Objects that the snapshot has not finished
        snapshot_remaining: IntGaugeVec = "towpath_snapshot_objects_remaining" [connector],
        /// Records that snapshots and comparisons read
        snapshot_records: IntCounterVec = "towpath_snapshot_records_total" [connector, object],
        /// Records that the snapshot expects; absent if unknown
        snapshot_expected: IntGaugeVec = "towpath_snapshot_expected_records" [connector, object],
        /// Start of the snapshot
        snapshot_start: GaugeVec = "towpath_snapshot_start_timestamp_seconds" [connector],
        /// Last page of the snapshot
        snapshot_progress: GaugeVec = "towpath_snapshot_last_progress_timestamp_seconds" [connector],
        /// End of the last complete snapshot
        snapshot_completed: GaugeVec = "towpath_snapshot_last_completed_timestamp_seconds" [connector],
        /// Time, by the source's clock, up to which its log is published
        log_position: GaugeVec = "towpath_close_log_position_timestamp_seconds" [connector],
        /// Age of the log position at the last poll, by the source's clock
        log_lag: GaugeVec = "towpath_close_log_lag_seconds" [connector],
        /// Newest change of the object, by the source's clock
        last_event: GaugeVec = "towpath_source_last_event_timestamp_seconds" [connector, object],
        /// Last successful poll
        last_poll: GaugeVec = "towpath_source_last_poll_timestamp_seconds" [connector, object],
        /// Last time that nothing was left to read
        caught_up: GaugeVec = "towpath_source_caught_up_timestamp_seconds" [connector, object],
        /// One poll, with its waits
        poll_duration: HistogramVec = "towpath_source_poll_duration_seconds" [connector] in POLL_SECONDS,
        /// Differences between the source and the topics that comparisons found
        differences: IntCounterVec = "towpath_close_compare_differences_total" [connector, object, kind],
        /// Last comparison, complete or not
        compared: GaugeVec = "towpath_reconcile_last_run_timestamp_seconds" [connector, object],
        /// Last complete comparison
        compared_whole: GaugeVec = "towpath_reconcile_last_success_timestamp_seconds" [connector, object],
        /// Readings of the organization's fields and types
        renewals: IntCounterVec = "towpath_close_structure_renewals_total" [connector],
        /// Changes of an object's schema
        schema_changes: IntCounterVec = "towpath_schema_changes_total" [connector, object, change],
        /// Notices by way, event and outcome
        notices: IntCounterVec = "towpath_notifications_total" [connector, channel, event, outcome],
        /// Posts to the webhook that wakes the reading of the event log
        doorbell: IntCounterVec = "towpath_close_doorbell_posts_total" [connector, outcome],
    }
}

/// The metric families of all Close sources of a worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CloseMetrics(CloseFamilies);

impl CloseMetrics {
    /// Creates the families and registers them with `registry`.
    ///
    /// # Errors
    /// A name is already registered.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        CloseFamilies::register(registry).map(Self)
    }

    /// Families that nobody collects, for tests.
    #[cfg(test)]
    pub(crate) fn unregistered() -> Self {
        Self::register(&Registry::new()).expect("an empty registry has no names")
    }

    /// Removes the series of a connector. Call it after the connector's source has stopped.
    pub fn remove_connector(&self, connector: &str) {
        self.0.remove_connector(connector);
    }

    /// The series of one connector, at the values that an earlier run left.
    pub(crate) fn of(&self, connector: &str) -> Series {
        Series::new(self.0.clone(), connector)
    }
}
