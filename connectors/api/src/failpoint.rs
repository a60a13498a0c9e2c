//! Named points at which a test lets a task die, fail or wait. They do nothing unless the feature `failpoints` is on,
//! which only tests switch on.
//!
//! The environment variable `FAILPOINTS` says what happens where, in the language of crate `fail`:
//! `after_cas=3*off->1*return(kill);mid_upsert=1*return(pause 200)`. The actions are `kill` (the process is gone at
//! once, as after SIGKILL), `error` (the step fails as it would with the environment at fault) and `pause MS` (this
//! task waits, others go on).

use crate::Result;

/// Does what `FAILPOINTS` has for this point.
///
/// # Errors
/// Retry, where the action is `error`.
#[cfg(feature = "failpoints")]
pub async fn hit(point: &'static str) -> Result<()> {
    use crate::{Error, ErrorType};
    use std::{sync::Once, time::Duration};

    static READ: Once = Once::new();
    // Dropped, a scenario would be over.
    READ.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    let chosen = || {
        fail::fail_point!(point, |action| action);
        None
    };
    let Some(action) = chosen() else { return Ok(()) };
    tracing::warn!(point, action, "failpoint {point}: {action}");
    match action.split_once(' ') {
        None if action == "kill" => std::process::abort(),
        None if action == "error" => {
            Err(Error::retry("failpoint.error", ErrorType::Unavailable, format!("pass the failpoint {point}")))
        }
        Some(("pause", time)) if time.parse::<u64>().is_ok() => {
            tokio::time::sleep(Duration::from_millis(time.parse().unwrap_or_default())).await;
            Ok(())
        }
        _ => {
            Err(Error::fatal("failpoint.action", ErrorType::Config, format!("do `{action}` at the failpoint {point}")))
        }
    }
}

/// Nothing: the points are compiled out.
#[cfg(not(feature = "failpoints"))]
pub fn hit(_point: &'static str) -> std::future::Ready<Result<()>> {
    std::future::ready(Ok(()))
}

/// Awaits `answer`, and passes the point once the request is on its way, before the answer is looked at.
///
/// # Errors
/// As [`hit`]; the answer is then lost.
pub async fn hit_once_sent<T>(point: &'static str, answer: impl Future<Output = T>) -> Result<T> {
    let mut answer = std::pin::pin!(answer);
    if cfg!(feature = "failpoints") {
        // The first poll sends the request; whether the answer is here at once does not matter.
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(answer.as_mut().poll(context))).await;
        hit(point).await?;
        if let std::task::Poll::Ready(answer) = polled {
            return Ok(answer);
        }
    }
    Ok(answer.await)
}
