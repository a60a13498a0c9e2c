//! The error codes of the command line.

/// The drain took longer than its limit, and the process ends with unfinished work.
pub(super) const DRAIN_TIMEOUT: &str = "worker.drain_timeout";
/// The given URL is not the URL of a worker.
pub(super) const WORKER_URL: &str = "cli.worker_url";
/// The worker does not answer.
pub(super) const WORKER_UNREACHABLE: &str = "cli.worker_unreachable";
/// The worker refuses the request.
pub(super) const WORKER_REFUSED: &str = "cli.worker_refused";
