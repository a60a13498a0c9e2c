//! Named points at which a test makes a task die, fail or wait. They have no effect without the feature `failpoints`,
//! which only tests enable.
//!
//! The environment variable `FAILPOINTS` sets the action of each point, in the syntax of the crate `fail`:
//! `after_cas=3*off->1*return(kill);mid_upsert=1*return(pause 200)`. The actions are `kill` (the process ends at once,
//! as after SIGKILL), `panic` (the step panics), `error` (the step fails with an error of the environment) and
//! `pause MS` (this task waits for MS milliseconds, the others continue).

use crate::Result;

/// Carries out the action that `FAILPOINTS` has for this point.
///
/// # Errors
/// Retry if the action is `error`; fatal if the action is unknown.
///
/// # Panics
/// If the action is `panic`.
#[cfg(feature = "failpoints")]
pub async fn hit(point: &'static str) -> Result<()> {
    use crate::{Error, ErrorType};
    use std::time::Duration;

    let Some(action) = chosen(point) else { return Ok(()) };
    tracing::warn!(point, action, "failpoint {point}: {action}");
    match action.split_once(' ') {
        None if action == "kill" => std::process::abort(),
        None if action == "panic" => panic!("the failpoint {point} panics"),
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

/// The action of a point, if it is to act now.
#[cfg(feature = "failpoints")]
fn chosen(point: &'static str) -> Option<String> {
    static READ: std::sync::Once = std::sync::Once::new();
    // Dropping the scenario would end it.
    READ.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    fail::fail_point!(point, |action| action);
    None
}

/// A limit of this long, or of the time that `FAILPOINTS` has for this point as `return(MS)`, so that a test need not
/// wait for minutes.
#[cfg(feature = "failpoints")]
pub fn limit(point: &'static str, limit: std::time::Duration) -> std::time::Duration {
    chosen(point).and_then(|time| time.parse().ok()).map_or(limit, std::time::Duration::from_millis)
}

/// The limit itself: without the feature, the points are compiled out.
#[cfg(not(feature = "failpoints"))]
pub fn limit(_point: &'static str, limit: std::time::Duration) -> std::time::Duration {
    limit
}

/// Does nothing: without the feature, the points are compiled out.
#[cfg(not(feature = "failpoints"))]
pub fn hit(_point: &'static str) -> std::future::Ready<Result<()>> {
    std::future::ready(Ok(()))
}

/// Awaits `answer`, and hits the point after the request was sent and before the answer is used.
///
/// # Errors
/// The same as those of [`hit`]; the answer is then lost.
pub async fn hit_once_sent<T>(point: &'static str, answer: impl Future<Output = T>) -> Result<T> {
    let mut answer = std::pin::pin!(answer);
    if cfg!(feature = "failpoints") {
        // The first poll sends the request; the answer may be there at once or later.
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(answer.as_mut().poll(context))).await;
        hit(point).await?;
        if let std::task::Poll::Ready(answer) = polled {
            return Ok(answer);
        }
    }
    Ok(answer.await)
}
