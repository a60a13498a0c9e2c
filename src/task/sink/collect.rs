//! Collects the records of one partition into a batch: decodes them, and keeps their bytes for dead letters.

use std::time::Instant;

use rdkafka::{
    Message,
    message::{BorrowedMessage, OwnedMessage},
};
use towpath_api::{Arena, Batch, Body, Change, Payload, Record, Result, Span, TopicPartition, WaitingRecord};

use super::{
    anchor,
    budget::{Part, Share},
    deletes::Deletes,
    pace::Pace,
};
use crate::{
    avro::codec::{Decoded, Decoder, Place, SchemaHeaders, SchemaId},
    kafka::headers,
};

/// The memory of a record besides its bytes and values.
const RECORD: usize = size_of::<Record>() + size_of::<Change>();

/// A record that is borrowed from the client's queue or owned.
pub(super) trait Detach: Message {
    /// Copies the record out of the client's queue. Expensive: only for a record that has to wait.
    fn to_owned_message(&self) -> OwnedMessage;
}

impl Detach for BorrowedMessage<'_> {
    fn to_owned_message(&self) -> OwnedMessage {
        self.detach()
    }
}

impl Detach for OwnedMessage {
    fn to_owned_message(&self) -> OwnedMessage {
        self.clone()
    }
}

/// The next batch, and the decoder that fills it.
pub(super) struct Collector {
    partition: TopicPartition,
    /// The partition as errors name it.
    name: String,
    pace: Pace,
    share: Share,
    decoder: Decoder,
    from: i64,
    next: i64,
    records: Vec<Record>,
    /// The time at which the batch's first record was accepted.
    since: Option<Instant>,
    deletes: Deletes,
    arena: Arena,
    /// A record whose schema is not known yet; no later record is accepted before this one.
    held: Option<(SchemaId, OwnedMessage)>,
}

impl Collector {
    /// Collects the records from `offset` on.
    pub(super) fn new(partition: TopicPartition, offset: i64, pace: Pace, share: Share, decoder: Decoder) -> Self {
        let (records, arena) = (Vec::new(), Arena::default());
        let deletes = Deletes::default();
        Self {
            name: partition.to_string(),
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

    /// Returns true if another record may be accepted.
    pub(super) fn has_room(&self) -> bool {
        let in_budget = || self.records.is_empty() || self.share.has_room();
        let limits = self.pace.limits();
        let is_small = self.arena.len() < limits.bytes && self.share.collected() < limits.memory();
        self.held.is_none() && self.records.len() < limits.rows && is_small && in_budget()
    }

    /// Returns true if there is nothing to store.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The time at which the batch's first record was accepted.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Accepts a record. Skips records before the next offset, which were accepted before.
    pub(super) fn accept(&mut self, message: &impl Detach) {
        if message.offset() < self.next {
            return;
        }
        let before = self.arena.len();
        let headers = self.arena.push_headers(message.headers().into_iter().flat_map(headers::read));
        let (key, value, schemas) = (message.key(), message.payload(), schema_headers(&self.arena, headers));
        match self.decoder.decode_sized(key, value, schemas, timestamp_ms(message)) {
            (Decoded::Body(body), memory) => {
                self.push(message, body, headers);
                self.share.add(memory + RECORD);
            }
            // The copy of its headers stays in the arena; this happens once per schema.
            (Decoded::NeedsSchema(id), _) => self.held = Some((id, message.to_owned_message())),
        }
        self.share.add(self.arena.len() - before);
    }

    /// Fetches the schemas that a held record needs (its key's, then its value's), and accepts the record.
    ///
    /// # Errors
    /// Retry while the registry is unavailable, or while the schema is waited for.
    pub(super) async fn learn(&mut self) -> Result<()> {
        while let Some((id, message)) = &self.held {
            let (offset, timestamp_ms) = (message.offset(), timestamp_ms(message));
            self.decoder.learn_for(*id, Place { partition: &self.name, offset, timestamp_ms }).await?;
            if let Some((_, message)) = self.held.take() {
                self.accept(&message);
            }
        }
        Ok(())
    }

    /// Notes the record that was applied last: the first new record may be its tombstone.
    ///
    /// # Errors
    /// Retry while the registry is unavailable.
    pub(super) async fn remember(&mut self, message: &impl Message) -> Result<()> {
        let mut arena = Arena::default();
        let headers = arena.push_headers(message.headers().into_iter().flat_map(headers::read));
        loop {
            match self.decoder.decode_with(message.key(), message.payload(), schema_headers(&arena, headers)) {
                Decoded::Body(body) => {
                    self.deletes.settle(body);
                    // A record was applied, or is a dead letter: its schema is not waited for.
                    self.decoder.forget_refusals();
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
        let timestamp_ms = timestamp_ms(message);
        let body = self.deletes.settle(body);
        self.records.push(Record { offset: message.offset(), timestamp_ms, body, payload });
        self.next = message.offset() + 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// The first offset of the next record.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Skips offsets without records: the next record is at `offset` or later. To be called while the batch is empty.
    pub(super) fn skip_to(&mut self, offset: i64) {
        self.next = self.next.max(offset);
    }

    /// Puts records that waited before the records of a batch.
    ///
    /// # Errors
    /// Retry while the registry is unavailable, or while a schema is waited for.
    pub(super) async fn put_first(&mut self, waiting: Vec<WaitingRecord>, batch: &mut Batch) -> Result<()> {
        let mut records = Vec::with_capacity(waiting.len());
        // A delete and its tombstone wait together.
        let mut deletes = Deletes::default();
        for record in waiting {
            let payload = record.copy_into(&mut batch.arena);
            let WaitingRecord { offset, timestamp_ms, key, value, .. } = record;
            let body = loop {
                let schemas = schema_headers(&batch.arena, payload.headers);
                match self.decoder.decode_sized(key.as_deref(), value.as_deref(), schemas, timestamp_ms).0 {
                    Decoded::Body(body) => break body,
                    Decoded::NeedsSchema(id) => {
                        self.decoder.learn_for(id, Place { partition: &self.name, offset, timestamp_ms }).await?;
                    }
                }
            };
            let body = deletes.settle(body);
            records.push(Record { offset, timestamp_ms, body, payload });
        }
        batch.records.splice(..0, records);
        Ok(())
    }

    /// Takes the batch; later records go into the next batch. The returned part of the memory budget is to be dropped
    /// with the batch.
    pub(super) fn take(&mut self) -> (Batch, Part) {
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(self.pace.limits().rows.min(256)));
        self.since = None;
        let from = std::mem::replace(&mut self.from, self.next);
        let arena = std::mem::take(&mut self.arena);
        let mut batch = Batch { partition: self.partition.clone(), from, to: self.next, anchor: None, records, arena };
        batch.anchor = anchor::of_batch(&batch);
        (batch, self.share.take())
    }
}

/// The time of a record; 0 if it has none.
fn timestamp_ms(message: &impl Message) -> i64 {
    message.timestamp().to_millis().unwrap_or(0)
}

/// The schema ids among the headers of a record. Reads the copy: each header costs a call into librdkafka.
fn schema_headers(arena: &Arena, headers: Span) -> SchemaHeaders<'_> {
    let mut found = SchemaHeaders::default();
    for (name, value) in arena.headers(headers) {
        match name {
            SchemaHeaders::KEY => found.key = value,
            SchemaHeaders::VALUE => found.value = value,
            _ if name.starts_with(SchemaHeaders::APICURIO_KEY) => found.of_apicurio.0 = true,
            _ if name.starts_with(SchemaHeaders::APICURIO_VALUE) => found.of_apicurio.1 = true,
            _ => {}
        }
    }
    found
}
