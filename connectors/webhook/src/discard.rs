//! Draining bodies that are refused before they were read.
//!
//! Many clients write the whole body before they read the answer. If the server closed the connection with bytes
//! unread, the kernel would reset it and the client would see a broken pipe instead of the answer. So the answer is
//! sent, and the rest of the body is read and dropped beside it. After the limits below the connection is closed.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{
    body::{Body, Bytes, Incoming},
    header::{EXPECT, HeaderMap},
};
use tokio::time::timeout;

/// Maximum bytes to drain: as much as the greatest `body.max.bytes`, so a refused body costs no more than an accepted
/// one could. Nothing is buffered.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Maximum time to drain: within the deadline of a connection when the worker stops (9 s), and far below what would let
/// slow clients hold connections.
const DEADLINE: Duration = Duration::from_secs(5);

/// Drains a body of which nothing was read, in the background. A client that waits for `100 Continue` has not sent its
/// body and will not, so there is nothing to drain.
pub(crate) fn discard(headers: &HeaderMap, body: Incoming) {
    let waits = headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !waits {
        discard_rest(body);
    }
}

/// Drains the rest of a body in the background. Reading its beginning has sent `100 Continue` to a client that waited.
pub(crate) fn discard_rest(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(timeout(DEADLINE, async move {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > MAX_BYTES {
                break;
            }
        }
    }));
}
