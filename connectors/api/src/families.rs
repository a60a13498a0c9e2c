//! The declaration of metric families: name, labels and buckets once, with the help text as the documentation.
//!
//! Every family is declared with [`families!`], in the worker as in the connectors. Declare the families of a connector
//! in its `metrics.rs`, register them once per worker, and keep the series of one connector in a handle, so that no
//! label is looked up in a hot loop:
//!
//! ```
//! use towpath_api::{
//!     families,
//!     prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry, Result, TextEncoder},
//! };
//!
//! const SECONDS: &[f64] = &[0.1, 1.0, 10.0];
//!
//! families! {
//!     struct CounterFamilies {
//!         /// Readings of the counter.
//!         readings: IntCounterVec = "towpath_counter_readings_total" [connector],
//!         /// Errors of the counter, by its code.
//!         errors: IntCounterVec = "towpath_counter_errors_total" [connector, code],
//!         /// Duration of one reading.
//!         duration: HistogramVec = "towpath_counter_reading_duration_seconds" [connector] in SECONDS,
//!     }
//! }
//!
//! /// The series of one connector.
//! struct CounterSeries {
//!     readings: IntCounter,
//!     duration: Histogram,
//! }
//!
//! impl CounterFamilies {
//!     /// Creates the series of a connector at 0, so that a rate includes the first reading and the first error.
//!     fn connector(&self, connector: &str) -> CounterSeries {
//!         for code in ["timeout", "refused"] {
//!             self.errors.with_label_values(&[connector, code]);
//!         }
//!         CounterSeries {
//!             readings: self.readings.with_label_values(&[connector]),
//!             duration: self.duration.with_label_values(&[connector]),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let registry = Registry::new();
//! let families = CounterFamilies::register(&registry)?;
//! let series = families.connector("hall");
//! series.readings.inc();
//! series.duration.observe(0.5);
//!
//! let page = TextEncoder::new().encode_to_string(&registry.gather())?;
//! assert!(page.contains("# HELP towpath_counter_readings_total Readings of the counter."));
//! assert!(page.contains(r#"towpath_counter_readings_total{connector="hall"} 1"#));
//! assert!(page.contains(r#"towpath_counter_errors_total{code="timeout",connector="hall"} 0"#));
//!
//! // The connector is closed: its series are removed from all families.
//! families.remove_connector("hall");
//! assert!(registry.gather().is_empty());
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;

use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, Result,
    core::{Collector, MetricVec, MetricVecBuilder},
};

#[doc(inline)]
pub use crate::families;

/// The name, help text, labels and buckets of a family. [`families!`] creates it.
#[derive(Debug, Clone, Copy)]
pub struct Declaration<'a> {
    /// The name on the wire: `towpath_`, then the subject, then a unit, or `_total` for a counter.
    pub name: &'a str,
    /// The help text; spaces at its ends are removed.
    pub help: &'a str,
    /// The names of the labels. Empty for a family that is a single metric.
    pub labels: &'a [&'a str],
    /// The upper bounds of the buckets, ascending. Empty for a family that is not a histogram.
    pub buckets: &'a [f64],
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
pub trait Family: Collector + Clone + Sized + 'static {
    /// Creates the family without registering it.
    ///
    /// # Errors
    /// The name, a label or the buckets are invalid.
    fn create(declaration: &Declaration<'_>) -> Result<Self>;

    /// Creates the family and adds it to `registry`.
    ///
    /// # Errors
    /// The declaration is invalid, or the name is already in `registry`.
    fn register(registry: &Registry, declaration: &Declaration<'_>) -> Result<Self> {
        let family = Self::create(declaration)?;
        registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    /// Removes all series in which the label `connector` has this value. A family without this label keeps its series.
    fn remove_connector(&self, connector: &str);
}

/// Options that a vector of metrics is created from.
trait FromDeclaration {
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

/// Declares a struct of metric families with `register` and `remove_connector`.
///
/// Each field is `name: type = "name on the wire" [labels],`, and its doc comment is the help text on the wire. A
/// histogram ends with `in buckets`, a `&[f64]`. A type without `Vec` has no labels. The fields and methods have the
/// visibility of the struct. A connector's families have the label `connector`: `remove_connector` finds series by it.
///
/// See [the module](mod@crate::families) for an example.
#[macro_export]
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
            $vis fn register(registry: &$crate::prometheus::Registry) -> $crate::prometheus::Result<Self> {
                Ok(Self {
                    $($field: <$family as $crate::families::Family>::register(
                        registry,
                        &$crate::families::Declaration {
                            name: $wire,
                            // Each line of the comment begins with a space.
                            help: ::core::concat!($($help),+),
                            labels: &[$(::core::stringify!($label)),*],
                            buckets: $crate::families!(@buckets $($buckets)?),
                        },
                    )?,)+
                })
            }

            /// Removes all series in which the label `connector` has this value.
            #[allow(dead_code, reason = "some families have no label `connector`")]
            $vis fn remove_connector(&self, connector: &str) {
                $($crate::families::Family::remove_connector(&self.$field, connector);)+
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}

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
