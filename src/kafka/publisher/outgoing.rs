//! An event that is ready to be produced: routed, encoded, and known to fit into a record.

use std::sync::Arc;

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
};
use tokio::task::yield_now;
use towpath_api::{ChangeEvent, EVENT_ID_HEADER, Op, Placed, Result};

use super::{
    TRACE_HEADER,
    producer::explain,
    route::{Route, Router},
};
use crate::avro::codec::Encoded;

/// Events to encode before other work gets the thread: about a millisecond.
const ENCODED_AT_ONCE: usize = 50;

pub(super) struct Outgoing {
    pub(super) event: ChangeEvent,
    pub(super) route: Arc<Route>,
    pub(super) encoded: Encoded,
}

impl Outgoing {
    /// Routes and encodes all events of a call before any of them is sent: an event that cannot be published holds back
    /// the others.
    ///
    /// # Errors
    /// Those of [`Router::route`]; poison for an event that does not fit its schema or is too large.
    pub(super) async fn prepare(router: &Router, events: Vec<ChangeEvent>) -> Result<Vec<Self>> {
        let mut with_routes = Vec::with_capacity(events.len());
        for event in events {
            let route = router.route(&event.object).await?;
            route.read[event.op as usize].inc();
            with_routes.push((event, route));
        }
        let mut outgoing = Vec::with_capacity(with_routes.len());
        for (event, route) in with_routes {
            let encoded = route.encoder.encode(&event)?;
            check_size(&route.topic, encoded.key.len() + encoded.value.len(), route.max_bytes)?;
            outgoing.push(Self { event, route, encoded });
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

    /// Returns true if a tombstone follows the change, as after every delete.
    pub(super) fn needs_tombstone(&self) -> bool {
        self.event.op == Op::Delete
    }

    pub(super) fn placed(&self, partition: i32, offset: i64) -> Placed {
        Placed { topic: Arc::clone(&self.route.topic), partition, offset }
    }
}

/// Checks the size of a record before any record of the call is sent.
///
/// # Errors
/// Poison when the record is too large.
pub(super) fn check_size(topic: &str, bytes: usize, max_bytes: usize) -> Result<()> {
    if bytes <= max_bytes {
        return Ok(());
    }
    Err(explain(topic, KafkaError::MessageProduction(Code::MessageSizeTooLarge)))
}
