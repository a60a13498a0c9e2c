//! Collects the records of one partition into a batch: decodes them, and keeps their bytes in case one must be set
//! aside.

use std::time::Instant;

use rdkafka::{
    Message,
    message::{Headers as _, OwnedMessage},
};
use towpath_api::{Arena, Batch, Body, Payload, Record, Result, Span, TopicPartition};

use super::{
    anchor,
    budget::{Part, Share},
    deletes::Deletes,
    pace::Pace,
};
use crate::avro::codec::{Decoded, Decoder, SchemaHeaders, SchemaId};

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
    pace: Pace,
    share: Share,
    decoder: Decoder,
    from: i64,
    next: i64,
    records: Vec<Record>,
    /// When the first of them was taken in.
    since: Option<Instant>,
    deletes: Deletes,
    arena: Arena,
    /// A record whose schema is not known yet; nothing after it is taken in before it is.
    held: Option<(SchemaId, OwnedMessage)>,
}

impl Collector {
    /// Collects what lies at `offset` and behind it.
    pub(super) fn new(partition: TopicPartition, offset: i64, pace: Pace, share: Share, decoder: Decoder) -> Self {
        let (records, arena) = (Vec::new(), Arena::default());
        let deletes = Deletes::default();
        Self {
            partition,
            pace,
            share,
            decoder,
            from: offset,
            next: offset,
            records,
            deletes,
            since: None,
            arena,
            held: None,
        }
    }

    /// Whether another record may be taken in.
    pub(super) fn has_room(&self) -> bool {
        let in_budget = || self.records.is_empty() || self.share.has_room();
        let limits = self.pace.limits();
        self.held.is_none() && self.records.len() < limits.rows && self.arena.len() < limits.bytes && in_budget()
    }

    /// Whether there is nothing to store.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When the first record of the batch was taken in.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Takes a record in. One below the next offset was taken in before and is left out.
    pub(super) fn take_in(&mut self, message: &impl Message, detach: impl FnOnce() -> OwnedMessage) {
        if message.offset() < self.next {
            return;
        }
        let before = self.arena.len();
        let headers = copy_headers(message, &mut self.arena);
        match self.decoder.decode_with(message.key(), message.payload(), schema_headers(&self.arena, headers)) {
            Decoded::Body(body) => self.push(message, body, headers),
            // The copy of its headers stays behind; there is one for each schema.
            Decoded::NeedsSchema(id) => self.held = Some((id, detach())),
        }
        self.share.add(self.arena.len() - before);
    }

    /// Fetches the schemas that a record waits for, if one does (its key's, then its value's), and takes that record
    /// in.
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

    /// Takes note of the record that was applied last: the first one to come may be its tombstone.
    ///
    /// # Errors
    /// Retry while the registry is away.
    pub(super) async fn remember(&mut self, message: &impl Message) -> Result<()> {
        let mut arena = Arena::default();
        let headers = copy_headers(message, &mut arena);
        loop {
            match self.decoder.decode_with(message.key(), message.payload(), schema_headers(&arena, headers)) {
                Decoded::Body(body) => {
                    self.deletes.settle(body);
                    return Ok(());
                }
                Decoded::NeedsSchema(id) => self.decoder.learn(id).await?,
            }
        }
    }

    fn push(&mut self, message: &impl Message, body: Body, headers: Span) {
        let payload = Payload {
            key: message.key().map(|key| self.arena.push(key)),
            value: message.payload().map(|value| self.arena.push(value)),
            headers,
        };
        let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
        let body = self.deletes.settle(body);
        self.records.push(Record { offset: message.offset(), timestamp_ms, body, payload });
        self.next = message.offset() + 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Takes the batch out; what comes next goes into another one. The part of the memory is to be dropped with the
    /// batch.
    pub(super) fn take(&mut self) -> (Batch, Part) {
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(self.pace.limits().rows.min(256)));
        self.since = None;
        let from = std::mem::replace(&mut self.from, self.next);
        let arena = std::mem::take(&mut self.arena);
        let mut batch = Batch { partition: self.partition.clone(), from, to: self.next, anchor: None, records, arena };
        batch.anchor = anchor::of(&batch);
        (batch, self.share.take())
    }
}

/// Copies the headers of a record, in their order.
fn copy_headers(message: &impl Message, arena: &mut Arena) -> Span {
    let headers =
        message.headers().into_iter().flat_map(|headers| headers.iter().map(|header| (header.key, header.value)));
    arena.push_headers(headers)
}

/// The ids of schemas among the headers of a record. They are looked for in the copy, since librdkafka takes its time
/// for each header.
fn schema_headers(arena: &Arena, headers: Span) -> SchemaHeaders<'_> {
    let mut found = SchemaHeaders::default();
    for (name, value) in arena.headers(headers) {
        match name {
            SchemaHeaders::KEY => found.key = value,
            SchemaHeaders::VALUE => found.value = value,
            _ => {}
        }
    }
    found
}
