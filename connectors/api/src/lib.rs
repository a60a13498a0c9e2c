//! The contract that every Towpath connector is written against.
//!
//! A *source* knows one outside system and turns its changes into [`ChangeEvent`]s. A *sink* knows one store and makes
//! [`Batch`]es of records durable there. Neither knows Kafka, a schema registry, the worker or another connector: of
//! this workspace a connector crate depends on this crate, `towpath-keys` and `towpath-mapping` only, so the compiler
//! keeps connectors apart.
//!
//! ```text
//! outside ─ Source::run ─ Publisher::publish ─ (topic) ─ Sink::apply ─ store
//!                         or Journal::publish, with the source's position
//! ```
//!
//! # Writing a source
//!
//! 1. Declare its keys with `towpath_keys::config_keys!`, and implement `Check` for the struct (empty if no check goes
//!    across keys). Validation, documentation and "did you mean" come from that one place.
//! 2. Describe each object once as an [`Object`]: a name, an Avro record schema with an `id` field, whole or partial
//!    updates.
//! 3. Implement [`Source`] for every [`Journal`] if the source has a position in its outside system (a poller of a
//!    log), or for every [`Publisher`] if it has none (a server, which answers each client after `publish`). When
//!    `publish` returns `Ok`, the broker has the events for good; a journal has the position as well.
//! 4. Implement [`OpenSource`]: the number of tasks, where they run, and how one is opened, afresh after each retry.
//!    So a source keeps no state across an error: `run` begins with [`Journal::position`].
//!
//! Three further means, for sources that need them:
//!
//! * A new version of an object's schema is a new [`Object`] of the same name, which [`Journal::prepare`] registers;
//!   events of both may be mixed. The registry accepts it only if it can read what all earlier versions wrote.
//! * [`Journal::records`] reads back what is published: to compare it, or to know which events are in the topics.
//! * A source with parts that wait on their own, such as its endpoints, reports them with [`Lifecycle::part_waits`] and
//!   [`Lifecycle::part_works`]: the state shows them, and the run continues.
//!
//! A poller:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use towpath_api::{
//!     ChangeEvent, Error, ErrorType, Journal, Key, Lifecycle, Object, Op, OpenSource, Placed, Placement, Position,
//!     PublishedRecords, Result, Source, Updates,
//!     apache_avro::{Schema, types::Value},
//!     serde_json::{Map, Value as Json},
//! };
//!
//! /// Polls a counter; every reading is a record.
//! struct Counter {
//!     object: Arc<Object>,
//!     pause: Duration,
//! }
//!
//! impl Counter {
//!     /// Asks the outside system for the reading after `last`. If it is away, this returns an `Error::retry`.
//!     async fn poll(&self, last: i64) -> Result<i64> {
//!         Ok(last + 1)
//!     }
//!
//!     fn event(&self, reading: i64) -> ChangeEvent {
//!         ChangeEvent {
//!             object: Arc::clone(&self.object),
//!             key: Key::Long(reading),
//!             op: Op::Create,
//!             after: Some(vec![("id".to_owned(), Value::Long(reading))]),
//!             changed: None,
//!             version: None,
//!             event_id: format!("counter:{reading}"), // the same when it is published again
//!             source_time_ms: None,
//!             traceparent: None,
//!         }
//!     }
//! }
//!
//! /// The last reading in a stored position; 0 before the first.
//! fn last_reading(position: Option<Position>) -> Result<i64> {
//!     let Some(Position(position)) = position else { return Ok(0) };
//!     let unreadable = || Error::fatal("counter.position", ErrorType::Decode, "read the stored position");
//!     position.get("reading").and_then(Json::as_i64).ok_or_else(unreadable)
//! }
//!
//! impl<J: Journal> Source<J> for Counter {
//!     async fn run(&mut self, out: &mut J, life: Lifecycle) -> Result<()> {
//!         out.prepare(&self.object).await?;
//!         let mut last = last_reading(out.position().await?)?;
//!         life.has_started();
//!         while !life.stop().is_cancelled() {
//!             let reading = self.poll(last).await?;
//!             let position = Position(Map::from_iter([("reading".to_owned(), reading.into())]));
//!             out.publish(&[self.event(reading)], position).await?;
//!             // Only now: before, neither the event nor the position is durable.
//!             last = reading;
//!             tokio::select! {
//!                 () = life.stop().cancelled() => {}
//!                 () = tokio::time::sleep(self.pause) => {}
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! /// Opens the one task of a counter.
//! struct OpenCounter {
//!     pause: Duration,
//! }
//!
//! impl OpenSource for OpenCounter {
//!     type Source = Counter;
//!
//!     fn placement(&self) -> Placement {
//!         Placement::OneWorker
//!     }
//!
//!     fn tasks(&self, _max: u32) -> u32 {
//!         1
//!     }
//!
//!     async fn open(&self, _task: u32) -> Result<Counter> {
//!         let schema = r#"{"type": "record", "name": "reading", "fields": [{"name": "id", "type": "long"}]}"#;
//!         let schema = Schema::parse_str(schema).expect("it is valid");
//!         let object = Object::new("reading", schema, Updates::Whole).expect("it has an id");
//!         Ok(Counter { object: Arc::new(object), pause: self.pause })
//!     }
//! }
//!
//! // A journal in memory is enough to test a source.
//! #[derive(Default)]
//! struct Memory {
//!     events: i64,
//!     position: Option<Position>,
//! }
//! impl Journal for Memory {
//!     async fn prepare(&mut self, _: &Arc<Object>) -> Result<()> {
//!         Ok(())
//!     }
//!     async fn position(&mut self) -> Result<Option<Position>> {
//!         Ok(self.position.clone())
//!     }
//!     fn records(&self) -> Arc<dyn PublishedRecords> {
//!         unimplemented!("a counter reads nothing back")
//!     }
//!     async fn check(&mut self, _: &ChangeEvent) -> Result<()> {
//!         Ok(())
//!     }
//!     async fn publish(&mut self, events: &[ChangeEvent], position: Position) -> Result<Vec<Placed>> {
//!         let placed = |offset| Placed { topic: "t".into(), partition: 0, offset };
//!         let first = self.events;
//!         self.events += i64::try_from(events.len()).expect("a poll is short");
//!         self.position = Some(position);
//!         Ok((first..self.events).map(placed).collect())
//!     }
//! }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let mut journal = Memory::default();
//! for _ in 0..2 {
//!     let life = Lifecycle::default();
//!     let mut counter = OpenCounter { pause: Duration::from_millis(1) }.open(0).await.unwrap();
//!     let (ended, ()) = tokio::join!(counter.run(&mut journal, life.clone()), async {
//!         life.started().await;
//!         tokio::time::sleep(Duration::from_millis(20)).await;
//!         life.stop().cancel();
//!     });
//!     assert!(ended.is_ok());
//! }
//! // The second instance has continued at the position of the first.
//! assert_eq!(last_reading(journal.position).unwrap(), journal.events);
//! # });
//! ```
//!
//! # Writing a sink
//!
//! 1. Declare its keys in the same way.
//! 2. Implement [`Sink`]: `claim` takes a partition over, `apply` stores rows and the next offset together or not at
//!    all.
//! 3. Implement [`OpenSink`]: it connects, once for each connection that the worker wants and afresh after each retry.
//!
//! A store in memory, where the lock is the transaction:
//!
//! ```
//! use std::{collections::HashMap, sync::{Arc, Mutex}};
//! use towpath_api::{
//!     Anchor, Applied, ApplyError, Arena, Batch, Beginning, Body, Change, Claim, Error, ErrorType, Identity, OpenSink,
//!     Record, RecordKey, Result, Sink, StoredOffset, TopicPartition, Version,
//!     apache_avro::{schema::Schema, types::Value},
//! };
//!
//! #[derive(Default)]
//! struct Store {
//!     claims: HashMap<TopicPartition, Claim>,
//!     /// A deleted row keeps its version, so that nothing older brings it back.
//!     rows: HashMap<(Arc<str>, Identity), (Version, Option<HashMap<String, Value>>)>,
//!     dead_letters: Vec<(i64, String)>,
//! }
//!
//! impl Store {
//!     fn change(&mut self, topic: &Arc<str>, offset: i64, change: &Change, applied: &mut Applied) {
//!         let version = change.version.unwrap_or(Version { ts: 0, seq: offset, rank: 0 });
//!         let Some(key) = &change.key else {
//!             applied.filtered += 1;
//!             return;
//!         };
//!         let at = (Arc::clone(topic), key.identity.clone());
//!         let (stored, row) = self.rows.remove(&at).unzip();
//!         let row = row.flatten();
//!         if stored.is_some_and(|stored| stored >= version) {
//!             applied.stale += 1;
//!             self.rows.insert(at, (stored.unwrap_or(version), row));
//!             return;
//!         }
//!         let (Some(after), Schema::Record(schema)) = (&change.after, &*change.schema) else {
//!             applied.deleted += 1;
//!             self.rows.insert(at, (version, None));
//!             return;
//!         };
//!         if row.is_some() { applied.updated += 1 } else { applied.inserted += 1 }
//!         // A partial update leaves the other fields as they are.
//!         let mut fields = row.filter(|_| change.changed.is_some()).unwrap_or_default();
//!         for (position, (field, value)) in schema.fields.iter().zip(after).enumerate() {
//!             let carries = |changed: &Vec<u16>| changed.iter().any(|carried| usize::from(*carried) == position);
//!             if change.changed.as_ref().is_none_or(carries) {
//!                 fields.insert(field.name.clone(), value.clone());
//!             }
//!         }
//!         self.rows.insert(at, (version, Some(fields)));
//!     }
//! }
//!
//! /// Each partition borrows a sink for one call; what they share is the store.
//! #[derive(Clone, Default)]
//! struct OpenMemory(Arc<Mutex<Store>>);
//! struct MemorySink(Arc<Mutex<Store>>);
//!
//! impl OpenSink for OpenMemory {
//!     type Sink = MemorySink;
//!
//!     async fn open(&self) -> Result<MemorySink> {
//!         Ok(MemorySink(Arc::clone(&self.0)))
//!     }
//! }
//!
//! impl Sink for MemorySink {
//!     async fn claim(
//!         &mut self,
//!         partition: &TopicPartition,
//!         beginning: &Beginning,
//!         previous: Option<&Claim>,
//!     ) -> Result<Claim> {
//!         let mut store = self.0.lock().unwrap();
//!         let stored = store.claims.get(partition);
//!         let (epoch, next_offset) = stored.map_or((0, beginning.earliest), |claim| (claim.epoch, claim.next_offset));
//!         if previous.is_some_and(|mine| mine.epoch != epoch) {
//!             return Err(Error::fenced("memory.fenced", format!("claim {partition}")));
//!         }
//!         let (partition, epoch, target) = (partition.clone(), epoch + 1, "memory".into());
//!         let streak = Default::default();
//!         let claim = Claim { partition, epoch, next_offset, anchor: None, target, streak };
//!         store.claims.insert(claim.partition.clone(), claim.clone());
//!         Ok(claim)
//!     }
//!
//!     async fn apply(&mut self, claim: &Claim, batch: &Batch) -> Result<Applied, ApplyError> {
//!         let mut store = self.0.lock().unwrap();
//!         // First of all: is the partition still ours, and is this the batch that follows?
//!         match store.claims.get_mut(&batch.partition) {
//!             Some(stored) if stored.epoch != claim.epoch => {
//!                 return Err(Error::fenced("memory.fenced", format!("apply a batch of {}", batch.partition)).into());
//!             }
//!             Some(stored) if stored.next_offset == batch.from => stored.next_offset = batch.to,
//!             _ => return Err(Error::retry("memory.offset_moved", ErrorType::Conflict, "apply a batch").into()),
//!         }
//!         let mut applied = Applied::default();
//!         for Record { offset, body, .. } in &batch.records {
//!             match body {
//!                 Body::Change(change) => store.change(&batch.partition.topic, *offset, change, &mut applied),
//!                 Body::Tombstone(_) => applied.tombstones += 1,
//!                 Body::Filtered => applied.filtered += 1,
//!                 Body::Undecodable { code, reason, .. } => {
//!                     store.dead_letters.push((*offset, format!("{code}: {reason}")));
//!                     applied.add_dead_letter(ErrorType::Decode);
//!                 }
//!             }
//!         }
//!         Ok(applied)
//!     }
//!
//!     async fn positions(&mut self) -> Result<Vec<StoredOffset>> {
//!         let stored = |claim: &Claim| StoredOffset {
//!             partition: claim.partition.clone(),
//!             next_offset: claim.next_offset,
//!             epoch: claim.epoch,
//!             anchor: None,
//!             owner: "memory".to_owned(),
//!         };
//!         Ok(self.0.lock().unwrap().claims.values().map(stored).collect())
//!     }
//!
//!     async fn seek(&mut self, partition: &TopicPartition, to: i64, anchor: Option<Anchor>) -> Result<()> {
//!         let mut store = self.0.lock().unwrap();
//!         let epoch = store.claims.get(partition).map_or(0, |claim| claim.epoch) + 1;
//!         let (target, streak) = ("memory".into(), Default::default());
//!         let claim = Claim { partition: partition.clone(), epoch, next_offset: to, anchor, target, streak };
//!         store.claims.insert(partition.clone(), claim);
//!         Ok(())
//!     }
//! }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut sink = OpenMemory::default().open().await.unwrap();
//! let partition = TopicPartition { topic: "acme.readings".into(), partition: 0 };
//! let beginning = Beginning { earliest: 5, cluster_id: None };
//! let claim = sink.claim(&partition, &beginning, None).await.unwrap();
//! assert_eq!(claim.next_offset, 5);
//! let record = |offset, body| Record { offset, timestamp_ms: 0, body, payload: Default::default() };
//! let schema = r#"{"type": "record", "name": "reading", "fields": [{"name": "id", "type": "long"}]}"#;
//! let change = Change {
//!     key: Some(RecordKey { identity: Identity::Long(1), schema: Arc::new(Schema::parse_str(schema).unwrap()) }),
//!     op: towpath_api::RecordOp::Create,
//!     schema: Arc::new(Schema::parse_str(schema).unwrap()),
//!     after: Some(vec![Value::Long(1)]),
//!     changed: None,
//!     version: None,
//!     source_time_ms: None,
//! };
//! let reason = "it ends too early".to_owned();
//! let broken = Body::Undecodable { code: "decode.truncated", reason, of_key: false };
//! let records = vec![record(5, Body::Change(Box::new(change))), record(6, broken)];
//! let batch = Batch { partition, from: 5, to: 7, anchor: None, records, arena: Arena::default() };
//! let applied = sink.apply(&claim, &batch).await.unwrap();
//! assert_eq!((applied.inserted, applied.total()), (1, 2));
//! // The same batch once more changes nothing.
//! assert_eq!(sink.apply(&claim, &batch).await.unwrap_err().error.code, "memory.offset_moved");
//! # });
//! ```
//!
//! # Making it known
//!
//! 1. `connectors/<name>`: the crate, with `[lints] workspace = true`. In each connector the same names: `config.rs`
//!    for its keys, `source.rs` or `sink.rs` for what it implements of this contract, then a file for each further
//!    subject, `codes.rs` for its error codes, and a README of one page. Of this workspace it depends on
//!    `towpath-api`, `towpath-keys` and `towpath-mapping` only; outside it, on whatever it needs.
//! 2. The workspace's `Cargo.toml`: the crate as a member, in `[workspace.dependencies]`, and as a dependency of
//!    `towpath`.
//! 3. `src/plugin/<name>.rs`: a struct with the connector's keys that implements `Class`, a few lines for each method.
//!    A source without a position is opened as a `PublishingSource`, one with a position as a `JournalingSource`, a
//!    sink as a `SinkConnector`. `read` combines the connector's keys with those of every connector and of every source
//!    or sink; a check across them is `impl Check for Across<…>`, where a source calls `check_topics` with the names of
//!    its objects. A key of every connector that means nothing to the class gets a warning (`without_effect`).
//! 4. `src/plugin/mod.rs`: `mod <name>;`, and a line in `plugins!` with the sentence that documents the class.
//! 5. `docs/configuration.md`, rendered by a test: `UPDATE_GOLDEN=1 cargo test --features failpoints --test integration
//!    the_configuration_page`.
//! 6. `make check`: formatting, lints and the house rules.
//!
//! The compiler reports each method that a class lacks, and warns about a class without its line in `plugins!`; a test
//! reports a page that was not rendered.
//!
//! # Guarantees of the contract
//!
//! * Nothing is acknowledged before it is durable, so a future of this crate's traits may be dropped at any await. One
//!   is exempt: [`Sink::apply`] is awaited to its end while the process lives, unless the store is silent for minutes.
//! * An [`Error`] says what to do about it ([`Reaction`]), not where it came from.
//! * After an error a retry starts from a fresh instance and the stored offset; there is no half-broken state.
//! * An offset is the next one to read; ranges are half open, `[from, to)`.

#![warn(missing_docs)]

mod anchor;
mod applied;
mod arena;
mod error;
mod event;
pub mod failpoint;
pub mod families;
pub mod json;
mod object;
mod published;
mod record;
mod sink;
mod snapshots;
mod source;
mod stored_dead_letter;
mod streak;
mod view;

pub use anchor::{Anchor, Beginning, OTHER_CLUSTER};
pub use apache_avro;
pub use applied::Applied;
pub use arena::{Arena, Span};
pub use error::{Error, ErrorType, Reaction, Result};
pub use event::{ChangeEvent, EVENT_ID_HEADER, Key, Op, Version};
pub use object::{KeyType, Object, ObjectError, Updates};
pub use prometheus;
pub use published::{Depth, Published, PublishedRecords, Reading};
pub use record::{Body, Change, Identity, Payload, Record, RecordKey, RecordOp};
pub use serde_json;
pub use sink::{ApplyError, Batch, Claim, OpenSink, Sink, StoredOffset, Superseded, TopicPartition, WaitingRecord};
pub use snapshots::{
    Asking, ObjectProgress, ObjectState, SnapshotApproval, SnapshotControl, SnapshotProgress, SnapshotRefused,
    SnapshotRequest, SnapshotState, SnapshotStatus,
};
pub use source::{
    Journal, Lifecycle, OpenSource, Parts, Placed, Placement, Position, Publisher, Source, delay_of_preparing,
};
pub use stored_dead_letter::StoredDeadLetter;
pub use streak::{DeadLetterStreak, SYSTEMATIC};
pub use view::{StandardView, ViewHome, ViewTable};
