//! Panics of one part of a task, as errors: a bug that one record or one table meets must not stop the others.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use towpath_api::{Error, ErrorType, Result};

use crate::task::codes;

/// Awaits `work`; `doing` is the verb phrase of its error if it panics. The panic's message is in the log of the
/// process. It may hold a payload, so the error does not repeat it.
///
/// The work must not be continued after a panic: what it had in hand is dropped, and with it its connection.
pub(super) async fn caught<T>(doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        let error = Error::fatal(codes::PANIC, ErrorType::Internal, format!("{doing}, which ended by a bug"));
        Err(error.with_help("report this bug with the log"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_without_its_message() {
        let error = caught::<()>("carry a[0]", async { panic!("a payload") }).await.unwrap_err();
        assert_eq!((error.code, error.chain().as_str()), (codes::PANIC, "carry a[0], which ended by a bug"));
        assert!(error.needs_action());
    }
}
