//! A request to the thread of a transactional producer, and its end.

use std::{sync::Arc, time::Duration};

use rdkafka::message::{Headers as _, OwnedHeaders};
use tokio::sync::oneshot;
use towpath_api::{EVENT_ID_HEADER, Error, Result};

use super::outgoing::batch_of_one;

/// The maximum time for which librdkafka retries a record. Shorter than the transaction timeout, so that the outcome of
/// each record is known before the broker ends the transaction.
pub(super) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// After this time the broker aborts the transaction of a dead producer.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(40);

/// A record of a transaction.
pub(super) struct Record {
    pub(super) topic: Arc<str>,
    /// `None` lets the key decide.
    pub(super) partition: Option<i32>,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Option<OwnedHeaders>,
    /// The topic refuses larger batches; `None` if the producer's batches are smaller anyway.
    pub(super) batch_limit: Option<usize>,
}

impl Record {
    /// The id of the event, unless this is the record of a position.
    pub(super) fn event_id(&self) -> Option<String> {
        let headers = self.headers.as_ref()?;
        let id = headers.iter().find(|header| header.key == EVENT_ID_HEADER)?.value?;
        Some(String::from_utf8_lossy(id).into_owned())
    }

    /// The bytes of a batch that contains only this record.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|header| (header.key.len(), header.value.map_or(0, <[u8]>::len)));
        batch_of_one(self.key.len(), self.value.as_ref().map_or(0, Vec::len), headers)
    }
}

/// The end of one transaction.
pub(super) struct Ended {
    /// Partition and offset of each record, in their order.
    pub(super) result: Result<Vec<(i32, i64)>>,
    /// False if the producer is spent.
    pub(super) reusable: bool,
}

impl Ended {
    pub(super) fn spent(error: Error) -> Self {
        Self { result: Err(error), reusable: false }
    }
}

/// The records of one transaction, and the place for its end.
pub(super) struct Request {
    pub(super) records: Vec<Record>,
    pub(super) reply: oneshot::Sender<Ended>,
}
