//! The buckets of histograms.

/// Buckets for the latency from a change to its row, and for the age of a change at the source.
pub(crate) const LATENCY_SECONDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0];
/// Buckets for the duration of polls and transactions.
pub(crate) const TRANSACTION_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets for the number of records in a batch.
pub(crate) const BATCH_RECORDS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];
