//! Collects the records of one partition into a batch: decodes them, and keeps their bytes in case one must be set aside.

use rdkafka::{
    Message,
    message::{Headers as _, OwnedMessage},
};
use towpath_api::{Arena, Batch, Body, Payload, Record, Result, TopicPartition};

use crate::avro::codec::{Decoded, Decoder};

/// How large a batch may become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Records.
    pub(super) rows: usize,
    /// Bytes of keys, values and headers.
    pub(super) bytes: usize,
}

/// The batch that is being filled, and what decodes into it.
pub(super) struct Collector {
    partition: TopicPartition,
    limits: Limits,
    decoder: Decoder,
    from: i64,
    next: i64,
    records: Vec<Record>,
    arena: Arena,
    /// A record whose schema is not known yet; nothing after it is taken in before it is.
    held: Option<(u32, OwnedMessage)>,
}

impl Collector {
    /// Collects what lies at `offset` and behind it.
    pub(super) fn new(partition: TopicPartition, offset: i64, limits: Limits, decoder: Decoder) -> Self {
        let (records, arena) = (Vec::new(), Arena::default());
        Self { partition, limits, decoder, from: offset, next: offset, records, arena, held: None }
    }

    /// Whether another record may be taken in.
    pub(super) fn has_room(&self) -> bool {
        self.held.is_none() && self.records.len() < self.limits.rows && self.arena.len() < self.limits.bytes
    }

    /// Whether there is nothing to store.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes a record in. One below the next offset was taken in before and is left out.
    pub(super) fn take_in(&mut self, message: &impl Message, detach: impl FnOnce() -> OwnedMessage) {
        if message.offset() < self.next {
            return;
        }
        match self.decoder.decode(message.key(), message.payload()) {
            Decoded::Body(body) => self.push(message, body),
            Decoded::NeedsSchema(id) => self.held = Some((id, detach())),
        }
    }

    /// Fetches the schemas that a record waits for, if one does (its key's, then its value's), and takes that record in.
    ///
    /// # Errors
    /// Retry while the registry is away.
    pub(super) async fn learn(&mut self) -> Result<()> {
        while let Some((id, _)) = &self.held {
            self.decoder.learn(*id).await?;
            if let Some((_, message)) = self.held.take() {
                self.take_in(&message, || message.clone());
            }
        }
        Ok(())
    }

    fn push(&mut self, message: &impl Message, body: Body) {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter().map(|header| (header.key, header.value)));
        let payload = Payload {
            key: message.key().map(|key| self.arena.push(key)),
            value: message.payload().map(|value| self.arena.push(value)),
            headers: self.arena.push_headers(headers),
        };
        let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
        self.records.push(Record { offset: message.offset(), timestamp_ms, body, payload });
        self.next = message.offset() + 1;
    }

    /// Takes the batch out; what comes next goes into another one.
    pub(super) fn take(&mut self) -> Batch {
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(self.limits.rows.min(256)));
        let from = std::mem::replace(&mut self.from, self.next);
        Batch { partition: self.partition.clone(), from, to: self.next, records, arena: std::mem::take(&mut self.arena) }
    }
}
