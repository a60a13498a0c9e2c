//! How metric families are declared: once, with the help text as their documentation.

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};

/// From a change to its row, and the age of a change at the source.
pub(super) const LATENCY_SECONDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0];
/// Polls and transactions.
pub(super) const TRANSACTION_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Records in a batch.
pub(super) const BATCH_RECORDS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];

/// Why the `expect`s below hold: names and labels are constants, and the golden test makes every family.
const CHECKED: &str = "metric names and labels are constants that the tests register";

/// A family that can be made from its constants.
pub(super) trait Family: Collector + Clone + Sized + 'static {
    /// Makes the family; `buckets` matters to histograms only.
    fn make(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Self;

    /// Makes the family and registers it.
    fn register(registry: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Self {
        let family = Self::make(name, help.trim(), labels, buckets);
        registry.register(Box::new(family.clone())).expect(CHECKED);
        family
    }
}

impl Family for IntCounterVec {
    fn make(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Self {
        Self::new(Opts::new(name, help), labels).expect(CHECKED)
    }
}

impl Family for CounterVec {
    fn make(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Self {
        Self::new(Opts::new(name, help), labels).expect(CHECKED)
    }
}

impl Family for IntGaugeVec {
    fn make(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Self {
        Self::new(Opts::new(name, help), labels).expect(CHECKED)
    }
}

impl Family for GaugeVec {
    fn make(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Self {
        Self::new(Opts::new(name, help), labels).expect(CHECKED)
    }
}

impl Family for HistogramVec {
    fn make(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Self {
        Self::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels).expect(CHECKED)
    }
}

/// Declares a struct of metric families. The doc comment of a field is the help text on the wire.
///
/// ```text
/// families! {
///     struct Some {
///         /// Records read from the topic.
///         records_read: IntCounterVec = "towpath_sink_records_read_total" [connector, topic],
///     }
/// }
/// ```
macro_rules! families {
    (
        $(#[$outer:meta])*
        struct $name:ident {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $family:ty = $wire:literal [$($label:ident),*] $(in $buckets:expr)?,
            )+
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone)]
        pub(super) struct $name {
            $($(#[doc = $help])+ pub(super) $field: $family,)+
        }

        impl $name {
            /// Makes every family and registers it.
            pub(super) fn register(registry: &prometheus::Registry) -> Self {
                Self {
                    $($field: <$family as $crate::telemetry::families::Family>::register(
                        registry,
                        $wire,
                        // Each line of the comment begins with a space.
                        concat!($($help),+),
                        &[$(stringify!($label)),*],
                        families!(@buckets $($buckets)?),
                    ),)+
                }
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}
pub(super) use families;
