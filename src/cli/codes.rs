//! The error codes of the command line.

/// The drain took longer than its limit, and the process ends with unfinished work.
pub(super) const DRAIN_TIMEOUT: &str = "worker.drain_timeout";
