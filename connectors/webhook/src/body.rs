//! Reading a body whose sender is not known yet.
//!
//! Memory follows the bytes that have arrived: an announced length reserves nothing.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::{task::consume_budget, time::timeout};

use crate::{budget::Charge, discard::discard_rest, reply::Refusal};

/// Time for a body to arrive: a slow client must not hold memory.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes to reserve for a body that does not arrive in one piece.
const FIRST: usize = 1024;

/// Reads the body, at most `max` bytes. A body that arrives in one piece is not copied.
pub(crate) async fn read_body(mut body: Incoming, max: usize, charge: &mut Charge) -> Result<Bytes, Refusal> {
    let reading = read(&mut body, max, charge);
    match timeout(BODY_DEADLINE, reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(refusal)) => {
            discard_rest(body);
            Err(refusal)
        }
        Err(_) => Err(Refusal::too_slow()),
    }
}

async fn read(body: &mut Incoming, max: usize, charge: &mut Charge) -> Result<Bytes, Refusal> {
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::ended_early())?.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > max {
            return Err(Refusal::body_too_large(max));
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        // A piece is copied even if it is small: it would hold the whole read buffer of its connection.
        if length > whole.capacity() {
            let capacity = length.max(whole.capacity() * 2).max(FIRST).min(max);
            if !charge.grow_to(capacity) {
                return Err(Refusal::no_memory());
            }
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&data);
        // A body in pieces of one byte must not hold its thread.
        consume_budget().await;
    }
    Ok(whole.into())
}
