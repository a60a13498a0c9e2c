//! The declaration of metric families: name, labels and buckets once, with the help text as the documentation.
//!
//! Every family of this package is declared with [`families!`].

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, Result,
    core::{Collector, MetricVec, MetricVecBuilder},
};

/// Buckets for the latency from a change to its row, and for the age of a change at the source.
pub(crate) const LATENCY_SECONDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0];
/// Buckets for the duration of polls and transactions.
pub(crate) const TRANSACTION_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets for the number of records in a batch.
pub(crate) const BATCH_RECORDS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];

/// The name, help text, labels and buckets of a family.
pub(crate) struct Declaration<'a> {
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    /// Empty for a family that is a single metric.
    pub(crate) labels: &'a [&'a str],
    /// Empty for a family that is not a histogram.
    pub(crate) buckets: &'a [f64],
}

impl Declaration<'_> {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help.trim())
    }

    fn histogram_opts(&self) -> HistogramOpts {
        HistogramOpts::from(self.opts()).buckets(self.buckets.to_vec())
    }
}

/// A type of metric that [`families!`] can declare.
pub(crate) trait Family: Collector + Clone + Sized + 'static {
    fn create(declaration: &Declaration<'_>) -> Result<Self>;

    /// Creates the family and adds it to `registry`.
    ///
    /// # Errors
    /// The name is invalid, or is already in `registry`.
    fn register(registry: &Registry, declaration: &Declaration<'_>) -> Result<Self> {
        let family = Self::create(declaration)?;
        registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    /// Removes all series in which the label `connector` has this value.
    fn remove_connector(&self, connector: &str);
}

/// Types of options that a vector of metrics is created from.
pub(crate) trait FromDeclaration {
    fn from_declaration(declaration: &Declaration<'_>) -> Self;
}

impl FromDeclaration for Opts {
    fn from_declaration(declaration: &Declaration<'_>) -> Self {
        declaration.opts()
    }
}

impl FromDeclaration for HistogramOpts {
    fn from_declaration(declaration: &Declaration<'_>) -> Self {
        declaration.histogram_opts()
    }
}

macro_rules! vectors {
    ($($vector:ident($opts:ident)),*) => {
        $(impl Family for prometheus::$vector {
            fn create(declaration: &Declaration<'_>) -> Result<Self> {
                Self::new($opts::from_declaration(declaration), declaration.labels)
            }

            fn remove_connector(&self, connector: &str) {
                remove_series(self, connector);
            }
        })*
    };
}

macro_rules! single_metrics {
    ($($metric:ident($opts:ident)),*) => {
        $(impl Family for $metric {
            fn create(declaration: &Declaration<'_>) -> Result<Self> {
                $metric::with_opts($opts::from_declaration(declaration))
            }

            fn remove_connector(&self, _: &str) {}
        })*
    };
}

vectors!(CounterVec(Opts), GaugeVec(Opts), IntCounterVec(Opts), IntGaugeVec(Opts), HistogramVec(HistogramOpts));
single_metrics!(Counter(Opts), Gauge(Opts), IntCounter(Opts), IntGauge(Opts), Histogram(HistogramOpts));

fn remove_series<B: MetricVecBuilder>(vector: &MetricVec<B>, connector: &str) {
    for family in vector.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> =
                metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
            if labels.get("connector") == Some(&connector) {
                // Fails only if the series has been removed in the meantime.
                let _ = vector.remove(&labels);
            }
        }
    }
}

/// Seconds since 1970, the unit of Prometheus; 0 for an earlier time.
pub(crate) fn seconds_since_epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Declares a struct of metric families with `register` and `remove_connector`. The doc comment of a field is the help
/// text on the wire. A histogram needs buckets; a type without `Vec` has no labels.
///
/// ```text
/// families! {
///     pub(super) struct SomeFamilies {
///         /// Records read from the topic.
///         records_read: IntCounterVec = "towpath_sink_records_read_total" [connector, topic],
///         /// Duration of one request.
///         duration: HistogramVec = "towpath_request_duration_seconds" [connector] in LATENCY_SECONDS,
///         /// Requests in flight.
///         in_flight: IntGauge = "towpath_requests_active" [],
///     }
/// }
/// ```
macro_rules! families {
    (
        $(#[$outer:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $family:ty = $wire:literal [$($label:ident),*] $(in $buckets:expr)?,
            )+
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $($(#[doc = $help])+ $vis $field: $family,)+
        }

        impl $name {
            /// Creates all families and adds them to `registry`.
            ///
            /// # Errors
            /// One of the names is already in `registry`.
            $vis fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
                Ok(Self {
                    $($field: <$family as $crate::telemetry::families::Family>::register(
                        registry,
                        &$crate::telemetry::families::Declaration {
                            name: $wire,
                            // Each line of the comment begins with a space.
                            help: concat!($($help),+),
                            labels: &[$(stringify!($label)),*],
                            buckets: $crate::telemetry::families::families!(@buckets $($buckets)?),
                        },
                    )?,)+
                })
            }

            /// Removes all series in which the label `connector` has this value.
            #[allow(dead_code, reason = "some families have no label `connector`")]
            $vis fn remove_connector(&self, connector: &str) {
                $($crate::telemetry::families::Family::remove_connector(&self.$field, connector);)+
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}
pub(crate) use families;

#[cfg(test)]
mod tests {
    use prometheus::{HistogramVec, IntCounterVec, IntGauge};

    use super::*;

    families! {
        struct Sample {
            /// Records
            /// that were read.
            read: IntCounterVec = "towpath_read_total" [connector, topic],
            /// Duration.
            duration: HistogramVec = "towpath_duration_seconds" [connector] in &[1.0, 2.0],
            /// Requests.
            active: IntGauge = "towpath_requests_active" [],
        }
    }

    #[test]
    fn a_declared_family_has_its_help_labels_and_buckets() {
        let registry = Registry::new();
        let sample = Sample::register(&registry).unwrap();
        sample.read.with_label_values(&["postgres", "acme.deals"]).inc();
        sample.duration.with_label_values(&["postgres"]).observe(1.5);
        sample.active.set(3);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "# HELP towpath_read_total Records that were read.",
            r#"towpath_read_total{connector="postgres",topic="acme.deals"} 1"#,
            r#"towpath_duration_seconds_bucket{connector="postgres",le="2"} 1"#,
            "towpath_requests_active 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(Sample::register(&registry).is_err(), "the names are taken");
    }

    #[test]
    fn only_the_series_of_the_removed_connector_go() {
        let registry = Registry::new();
        let sample = Sample::register(&registry).unwrap();
        for connector in ["postgres", "webhook"] {
            sample.read.with_label_values(&[connector, "acme.deals"]).inc();
            sample.read.with_label_values(&[connector, "acme.agents"]).inc();
            sample.duration.with_label_values(&[connector]).observe(1.5);
        }
        sample.active.set(3);
        sample.remove_connector("postgres");
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(!text.contains("postgres"), "{text}");
        assert!(text.contains(r#"towpath_read_total{connector="webhook",topic="acme.agents"} 1"#));
        assert!(text.contains(r#"towpath_duration_seconds_count{connector="webhook"} 1"#));
        assert!(text.contains("towpath_requests_active 3"));
    }
}
