//! Notices a thread that hangs in a call to librdkafka.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use towpath_api::{Error, ErrorType, Result};

use crate::kafka::codes;

/// A call to librdkafka that makes no progress for this long will not return. Every call has a shorter timeout.
pub(super) const WATCHDOG: Duration = Duration::from_secs(80);

/// When a thread last made progress.
pub(super) struct Progress(Mutex<Instant>);

impl Default for Progress {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Progress {
    pub(super) fn made(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Waits for a reply, at most `limit` without progress.
    ///
    /// # Errors
    /// Fatal [`codes::NO_PROGRESS`]: a thread that hangs in librdkafka cannot be ended, so a person has to restart the
    /// process. Fatal when the thread panics.
    pub(super) async fn watch<T>(&self, mut reply: oneshot::Receiver<T>, doing: &str, limit: Duration) -> Result<T> {
        // A process that was frozen finds the limit exceeded at once: the thread gets one more look to show progress.
        let mut exceeded = false;
        loop {
            match tokio::time::timeout(limit / 16, &mut reply).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(gone)) => return Err(Error::fatal(codes::PANIC, ErrorType::Internal, doing).because(gone)),
                Err(_) if self.idle() > limit && exceeded => {
                    let doing = format!("{doing}: a call to librdkafka made no progress for {limit:?}");
                    return Err(Error::fatal(codes::NO_PROGRESS, ErrorType::Internal, doing)
                        .with_help("restart the worker: the thread that hangs ends only with its process"));
                }
                Err(_) => exceeded = self.idle() > limit,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use towpath_api::Reaction;

    use super::*;

    #[tokio::test]
    async fn a_call_without_progress_is_fatal_and_progress_extends_the_limit() {
        let (limit, progress) = (Duration::from_millis(80), Arc::new(Progress::default()));
        let (_reply, reply) = oneshot::channel::<()>();
        let error = progress.watch(reply, "commit", limit).await.unwrap_err();
        assert_eq!((error.reaction, error.code), (Reaction::Fatal, codes::NO_PROGRESS));

        let (send, reply) = oneshot::channel();
        let working = Arc::clone(&progress);
        progress.made();
        std::thread::spawn(move || {
            for _ in 0..12 {
                std::thread::sleep(Duration::from_millis(20));
                working.made();
            }
            send.send(7)
        });
        assert_eq!(progress.watch(reply, "commit", limit).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_is_fatal() {
        let (reply, ended) = oneshot::channel::<()>();
        drop(reply);
        let error = Progress::default().watch(ended, "commit", WATCHDOG).await.unwrap_err();
        assert_eq!(error.reaction, Reaction::Fatal);
    }
}
