//! The registry of metrics and its text format.
//!
//! Names, types and labels are API. `tests/fixtures/metrics.txt` holds them, so a test shows every change.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder, process_collector::ProcessCollector};
use towpath_api::families;
use towpath_listener::ListenerMetrics;

use super::{
    connector_metrics::{ConnectorFamilies, ConnectorMetrics, Stage},
    logs,
    sink_metrics::{SinkFamilies, SinkMetrics},
};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The reason why the registration of a family cannot fail.
const VALID: &str = "the registry is new, and the names are constants that the golden test registers";

families! {
    /// Metrics of the process.
    struct ProcessFamilies {
        /// Always 1; the labels are the version and the commit of the build.
        build_info: IntGaugeVec = "towpath_build_info" [version, revision],
        /// Open connections of the management listener.
        rest_connections: IntGauge = "towpath_rest_connections" [],
        /// Connections that the management listener closed: without a request in time, with an answer that was not
        /// read, of a peer that vanished, or displaced by a new connection.
        rest_closed: IntCounterVec = "towpath_rest_connections_closed_total" [reason],
    }
}

/// The metrics of one worker. Cheap to clone; all clones share the registry.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    rest: ListenerMetrics,
    connector: ConnectorFamilies,
    sink: SinkFamilies,
}

impl Metrics {
    /// Creates all families in a new registry.
    #[expect(clippy::missing_panics_doc, reason = "the registration cannot fail, see `VALID`")]
    pub fn new() -> Self {
        let registry = Registry::new();
        let process = ProcessFamilies::register(&registry).expect(VALID);
        process.build_info.with_label_values(&[super::VERSION, super::REVISION]).set(1);
        let rest = ListenerMetrics::new(process.rest_connections, process.rest_closed);
        logs::register_counter(&registry);
        // Fails only if the name is taken, and the registry is new.
        let _ = registry.register(Box::new(ProcessCollector::for_self()));
        let connector = ConnectorFamilies::register(&registry).expect(VALID);
        let sink = SinkFamilies::register(&registry).expect(VALID);
        Self { registry, rest, connector, sink }
    }

    /// The registry, for the metrics of single connectors.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The metrics of the management listener.
    pub fn rest(&self) -> &ListenerMetrics {
        &self.rest
    }

    /// Creates the series that all connectors have, at 0. `stages` is [`Stage::SOURCE`] or [`Stage::SINK`].
    pub fn connector(&self, connector: &str, stages: &[Stage]) -> ConnectorMetrics {
        self.connector.connector(connector, stages)
    }

    /// Creates the further series of a sink, at 0. To be called once per connector: the tasks clone the handle.
    pub fn sink(&self, connector: &str) -> SinkMetrics {
        SinkMetrics::new(&self.sink, connector)
    }

    /// Removes all series of a connector. Handles of the connector count into series that nobody sees.
    pub(super) fn remove_connector(&self, connector: &str) {
        self.connector.remove_connector(connector);
        self.sink.remove_connector(connector);
    }

    /// The families that the status board sets.
    pub(super) fn connector_families(&self) -> &ConnectorFamilies {
        &self.connector
    }

    /// Encodes all metrics in Prometheus's text format 0.0.4.
    pub fn encode(&self) -> String {
        // Fails only for a family without a name or a metric, and `gather` never returns such a family.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, path::Path};

    use prometheus::proto::{MetricFamily, MetricType};
    use towpath_api::TopicPartition;

    use super::*;
    use crate::telemetry::{PartitionMetrics, WaitingPartition};

    /// The labels that a family may have. Each is a closed set, or a name from the configuration or the topics.
    const LABELS: [&str; 24] = [
        "connector",
        "object",
        "topic",
        "partition",
        "table",
        "op",
        "state",
        "stage",
        "error_type",
        "reason",
        "outcome",
        "code",
        "client",
        "endpoint_group",
        "channel",
        "event",
        "kind",
        "change",
        "handler",
        "version",
        "revision",
        "level",
        "operation",
        "le",
    ];

    /// The endings of names that are not counters: a unit, or a noun in the plural for a number of things.
    const UNITS: [&str; 11] = [
        "_active",
        "_connections",
        "_seconds",
        "_bytes",
        "_ratio",
        "_info",
        "_records",
        "_partitions",
        "_tasks",
        "_state",
        "_fds",
    ];

    fn everything() -> (Metrics, (PartitionMetrics, WaitingPartition)) {
        let metrics = Metrics::new();
        metrics.connector("postgres", Stage::SINK);
        let partition = TopicPartition { topic: "acme.transactions".into(), partition: 0 };
        let sink = metrics.sink("postgres");
        let handle = sink.partition(&partition, "acme.transactions", "transactions");
        handle.lag(0);
        (metrics, (handle, sink.waiting(&partition.topic)))
    }

    fn type_name(family: &MetricFamily) -> &'static str {
        match family.get_field_type() {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY => "summary",
            MetricType::UNTYPED => "untyped",
        }
    }

    fn labels(family: &MetricFamily) -> Vec<&str> {
        let first = family.get_metric().first().expect("gather returns no empty family");
        first.get_label().iter().map(prometheus::proto::LabelPair::name).collect()
    }

    #[test]
    fn names_types_and_labels_are_those_of_the_golden_file() {
        let (metrics, _handle) = everything();
        let mut found = String::new();
        for family in metrics.registry.gather() {
            writeln!(found, "{} {} {}", family.name(), type_name(&family), labels(&family).join(","))
                .expect("a string takes everything");
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        let found: Vec<_> = found.lines().map(str::trim_end).collect();
        let golden: Vec<_> = golden.lines().map(str::trim_end).collect();
        assert_eq!(
            found, golden,
            "names, types and labels are API; if the change is intended, run this test with UPDATE_GOLDEN=1 and \
             describe it in CHANGELOG.md"
        );
    }

    #[test]
    fn names_follow_the_conventions() {
        let (metrics, _handle) = everything();
        for family in metrics.registry.gather() {
            let name = family.name();
            let own = name.strip_prefix("towpath_");
            assert!(own.is_some() || name.starts_with("process_"), "{name} does not begin with towpath_ or process_");
            assert_eq!(name, name.to_lowercase());
            for forbidden in ["_ms", "_millis", "_ns", "_mb", "_percent", "_milliseconds", "_minutes"] {
                assert!(!name.contains(forbidden), "{name} is not in a base unit");
            }
            assert!(!family.help().is_empty(), "{name} has no help");
            let is_counter = family.get_field_type() == MetricType::COUNTER;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}: counters, and only counters, end in _total");
            if own.is_some() && !is_counter {
                assert!(UNITS.iter().any(|unit| name.ends_with(unit)), "{name} does not end in a unit");
            }
            for label in labels(&family) {
                assert!(LABELS.contains(&label), "{name} has the label {label}");
            }
        }
    }

    #[test]
    fn three_connectors_with_72_partitions_stay_within_the_budget_of_series() {
        let metrics = Metrics::new();
        metrics.connector("webhook", Stage::SOURCE);
        metrics.connector("close", Stage::SOURCE);
        metrics.connector("postgres", Stage::SINK);
        let sink = metrics.sink("postgres");
        let mut handles = Vec::new();
        for topic in 0..12 {
            for partition in 0..6 {
                let name = format!("acme.object{topic}");
                let partition = TopicPartition { topic: name.as_str().into(), partition };
                let waiting = sink.waiting(&partition.topic);
                handles.push((sink.partition(&partition, &name, &format!("object{topic}")), waiting));
            }
        }
        let series = metrics.encode().lines().filter(|line| !line.starts_with('#')).count();
        assert!(series < 1500, "{series} series");
    }
}
