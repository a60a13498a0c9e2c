//! Runs work until a signal, then limits the time of its drain.

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::signals::Signal;

/// The end of the supervised work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// The work ended by itself, or drained in time.
    Finished(T),
    /// A second signal arrived: the process has to end at once.
    Killed(Signal),
    /// The limit elapsed: the process has to end with unfinished work.
    OutOfTime,
}

/// Waits for `work`. The first signal cancels `stop`. A second signal or the end of `limit` abandons the work. `limit`
/// is polled after the first signal only.
///
/// The work belongs to the caller: dropping it closes clients, for which there is no time after a second signal.
pub(super) async fn supervise<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    stop: &CancellationToken,
    mut next_signal: impl AsyncFnMut() -> Signal,
    limit: impl Future<Output = ()>,
) -> Ended<T> {
    tokio::select! {
        finished = &mut work => return Ended::Finished(finished),
        signal = next_signal() => {
            tracing::info!(
                signal = %signal,
                "{signal}: intake stopped, finishing the work in flight; a second signal ends at once"
            );
        }
    }
    stop.cancel();
    tokio::select! {
        // Biased: work that ends together with the limit counts as finished.
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
