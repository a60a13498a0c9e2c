//! Runs something until a signal, then gives it a limited time to drain.

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::signals::Signal;

/// How the supervised work ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// By itself, or drained in time.
    Finished(T),
    /// A second signal came: the process is to end at once.
    Killed(Signal),
    /// The limit ran out: the process is to end with work undone.
    OutOfTime,
}

/// Waits for `work`. The first signal cancels `stop`, a second one or the end of `limit` gives up on the work.
/// `limit` is polled from the first signal on.
///
/// The work belongs to the caller: dropping it may take time (clients are closed), which is not to be had after a
/// second signal.
pub(super) async fn supervise<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    stop: &CancellationToken,
    mut next_signal: impl AsyncFnMut() -> Signal,
    limit: impl Future<Output = ()>,
) -> Ended<T> {
    tokio::select! {
        finished = &mut work => return Ended::Finished(finished),
        signal = next_signal() => {
            tracing::info!(signal = %signal, "{signal}: no more intake, what is in flight is finished; a second signal ends at once");
        }
    }
    stop.cancel();
    tokio::select! {
        // Finished first: work that is done when the limit runs out is done.
        biased;
        finished = &mut work => Ended::Finished(finished),
        signal = next_signal() => Ended::Killed(signal),
        () = limit => Ended::OutOfTime,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        pin::pin,
    };

    use super::*;

    /// Gives the signals of a list, then none.
    fn signals(list: &[Signal]) -> impl AsyncFnMut() -> Signal {
        let mut list = list.iter().copied();
        async move || match list.next() {
            Some(signal) => signal,
            None => pending().await,
        }
    }

    #[tokio::test]
    async fn the_first_signal_drains() {
        let stop = CancellationToken::new();
        let work = pin!(async {
            stop.cancelled().await;
            "drained"
        });
        let ended = supervise(work, &stop, signals(&[Signal::Terminate]), pending()).await;
        assert_eq!(ended, Ended::Finished("drained"));
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once() {
        let stop = CancellationToken::new();
        let work = pin!(pending::<()>());
        let ended = supervise(work, &stop, signals(&[Signal::Terminate, Signal::Interrupt]), pending()).await;
        assert_eq!(ended, Ended::Killed(Signal::Interrupt));
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_drain_that_takes_too_long_is_given_up() {
        let stop = CancellationToken::new();
        let work = pin!(pending::<()>());
        let ended = supervise(work, &stop, signals(&[Signal::Interrupt]), ready(())).await;
        assert_eq!(ended, Ended::OutOfTime);
    }

    #[tokio::test]
    async fn the_limit_does_not_run_before_the_first_signal() {
        let stop = CancellationToken::new();
        let work = pin!(async {
            tokio::task::yield_now().await;
            7
        });
        let ended = supervise(work, &stop, signals(&[]), ready(())).await;
        assert_eq!(ended, Ended::Finished(7));
        assert!(!stop.is_cancelled());
    }
}
