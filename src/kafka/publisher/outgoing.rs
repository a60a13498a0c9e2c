//! An event that is ready to be produced: routed, encoded, and known to fit into a record.

use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};
use tokio::task::yield_now;
use towpath_api::{ChangeEvent, EVENT_ID_HEADER, Error, ErrorType, Op, Placed, Result};

use super::{
    TRACE_HEADER,
    route::{Route, Router},
};
use crate::{avro::codec::Encoded, kafka::codes};

/// Events to encode before other work gets the thread: about a millisecond.
const ENCODED_AT_ONCE: usize = 50;

pub(super) struct Outgoing<'a> {
    pub(super) event: &'a ChangeEvent,
    pub(super) route: Arc<Route>,
    pub(super) encoded: Encoded,
}

impl<'a> Outgoing<'a> {
    /// Routes and encodes all events of a call before any of them is sent: an event that cannot be published holds back
    /// the others.
    ///
    /// # Errors
    /// Those of [`Router::route`]; poison for an event that does not fit its schema or is too large.
    pub(super) async fn prepare(router: &Router, events: &'a [ChangeEvent]) -> Result<Vec<Self>> {
        let mut with_routes = Vec::with_capacity(events.len());
        for event in events {
            let route = router.route(&event.object).await?;
            route.read[event.op as usize].inc();
            with_routes.push((event, route));
        }
        let mut outgoing = Vec::with_capacity(with_routes.len());
        for (event, route) in with_routes {
            let encoded = route.encoder.encode(event)?;
            let next = Self { event, route, encoded };
            check_size(&next.route.topic, next.size(), next.route.max_bytes)?;
            outgoing.push(next);
            // Thousands of events must not hold the thread: others serve probes and sinks on it.
            if outgoing.len().is_multiple_of(ENCODED_AT_ONCE) {
                yield_now().await;
            }
        }
        Ok(outgoing)
    }

    pub(super) fn headers(&self) -> OwnedHeaders {
        let id = Header { key: EVENT_ID_HEADER, value: Some(self.event.event_id.as_bytes()) };
        let headers = OwnedHeaders::new_with_capacity(2).insert(id);
        match &self.event.traceparent {
            Some(trace) => headers.insert(Header { key: TRACE_HEADER, value: Some(trace.as_bytes()) }),
            None => headers,
        }
    }

    /// The bytes of a batch that contains only this change.
    pub(super) fn size(&self) -> usize {
        let trace = self.event.traceparent.as_deref().map(|trace| (TRACE_HEADER, trace));
        let headers = [Some((EVENT_ID_HEADER, &*self.event.event_id)), trace];
        let headers = headers.into_iter().flatten().map(|(name, value)| (name.len(), value.len()));
        batch_of_one(self.encoded.key.len(), self.encoded.value.len(), headers)
    }

    /// Returns true if a tombstone follows the change, as after every delete.
    pub(super) fn needs_tombstone(&self) -> bool {
        self.event.op == Op::Delete
    }

    pub(super) fn placed(&self, partition: i32, offset: i64) -> Placed {
        Placed { topic: Arc::clone(&self.route.topic), partition, offset }
    }
}

/// The bytes before the records of a batch.
const BATCH_HEADER: usize = 61;

/// The bytes of an uncompressed batch of one record: the size that `max.message.bytes` of a topic limits.
pub(super) fn batch_of_one(key: usize, value: usize, headers: impl Iterator<Item = (usize, usize)>) -> usize {
    let bytes = |length: usize| varint(length) + length;
    let (count, headers) =
        headers.fold((0, 0), |(count, sum), (name, value)| (count + 1, sum + bytes(name) + bytes(value)));
    // Attributes, and the deltas of timestamp and offset, which are 0.
    let record = 3 + bytes(key) + bytes(value) + varint(count) + headers;
    BATCH_HEADER + bytes(record)
}

/// The bytes of a length as a signed varint.
fn varint(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros() + 1).max(1);
    bits.div_ceil(7) as usize
}

/// Checks the size of a record before any record of the call is sent.
///
/// # Errors
/// Poison when the record is too large.
pub(super) fn check_size(topic: &str, bytes: usize, max_bytes: usize) -> Result<()> {
    if bytes <= max_bytes {
        return Ok(());
    }
    let doing = format!(
        "publish to topic `{topic}`: a record needs a request of {bytes} bytes, and {max_bytes} are allowed. Nothing \
         of the call was published"
    );
    let help = "shorten the record, or raise `max.message.bytes` of the topic or `kafka.message.max.bytes`";
    Err(Error::poison(codes::RECORD_TOO_LARGE, ErrorType::TooLarge, doing).with_help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_one_has_the_size_of_the_protocol() {
        // Lengths are zigzag varints: 63 is the last length of one byte, 8,191 the last of two.
        for (length, bytes) in [(0, 1), (63, 1), (64, 2), (8_191, 2), (8_192, 3), (1_048_575, 3), (1_048_576, 4)] {
            assert_eq!(varint(length), bytes, "{length}");
        }
        assert_eq!(batch_of_one(0, 0, [].into_iter()), 61 + 1 + 6);
        assert_eq!(batch_of_one(10, 100, [(2, 3)].into_iter()), 61 + 2 + 3 + 11 + 102 + 1 + 3 + 4);
    }

    #[test]
    fn a_record_is_refused_above_its_limit_only() {
        assert!(check_size("t", 100, 100).is_ok());
        let error = check_size("t", 101, 100).unwrap_err();
        assert_eq!((error.reaction, error.code), (towpath_api::Reaction::Poison, codes::RECORD_TOO_LARGE));
    }
}
