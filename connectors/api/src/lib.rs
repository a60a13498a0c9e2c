//! The contract that every Towpath connector is written against.
//!
//! A *source* knows one outside system and turns its changes into [`ChangeEvent`]s. A *sink* knows one store and makes
//! [`Batch`]es of records durable there. Neither knows Kafka, a schema registry, the worker or another connector: a
//! connector crate depends on this crate, `towpath-keys` and `towpath-mapping` only, so the compiler keeps connectors
//! apart.
//!
//! ```text
//! outside ─ Source::run ─ Publisher::publish ─ (topic) ─ Sink::apply ─ store
//!                         or Journal::publish, with the source's position
//! ```
//!
//! # Writing a source
//!
//! 1. Declare its keys with `towpath_keys::config_keys!`; validation, documentation and "did you mean" come from that
//!    one place.
//! 2. Describe each object once as an [`Object`]: a name, an Avro record schema with an `id` field, whole or partial
//!    updates.
//! 3. Implement [`Source`] for every [`Publisher`] if the source has no position (a server), or for every [`Journal`]
//!    if it has one (a poller of a log). When `publish` returns `Ok`, the broker has the events for good; a journal has
//!    the position as well, or neither.
//! 4. Implement [`OpenSource`]: the number of tasks, where they run, and how one is opened, afresh after each retry.
//!
//! A poller; a server does the same once for each request, and answers after `publish`:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use towpath_api::{
//!     ChangeEvent, Key, Lifecycle, Object, Op, Publisher, Result, Source, Updates,
//!     apache_avro::{Schema, types::Value},
//! };
//!
//! /// Polls a counter; every reading is a record of its own.
//! struct Counter {
//!     object: Arc<Object>,
//!     reading: i64,
//!     pause: Duration,
//! }
//!
//! impl Counter {
//!     fn new(pause: Duration) -> Self {
//!         let schema = r#"{"type": "record", "name": "reading", "fields": [{"name": "id", "type": "long"}]}"#;
//!         let schema = Schema::parse_str(schema).expect("it is valid");
//!         let object = Object::new("reading", schema, Updates::Whole).expect("it has an id");
//!         Self { object: Arc::new(object), reading: 0, pause }
//!     }
//!
//!     /// Asks the outside what is new. An outside that is away is an `Error::retry`, which the worker waits for.
//!     async fn poll(&self) -> Result<Vec<ChangeEvent>> {
//!         let id = self.reading + 1;
//!         Ok(vec![ChangeEvent {
//!             object: Arc::clone(&self.object),
//!             key: Key::Long(id),
//!             op: Op::Create,
//!             after: Some(vec![("id".to_owned(), Value::Long(id))]),
//!             changed: None,
//!             version: None,
//!             event_id: format!("counter:{id}"), // the same when it is published again
//!             source_time_ms: None,
//!             traceparent: None,
//!         }])
//!     }
//! }
//!
//! impl<P: Publisher> Source<P> for Counter {
//!     async fn run(&mut self, out: &mut P, life: Lifecycle) -> Result<()> {
//!         out.prepare(&self.object).await?;
//!         life.has_started();
//!         while !life.stop().is_cancelled() {
//!             let events = self.poll().await?;
//!             let read = events.len();
//!             out.publish(events).await?;
//!             // Only now: before, nothing is durable.
//!             self.reading += i64::try_from(read).expect("a poll is short");
//!             tokio::select! {
//!                 () = life.stop().cancelled() => {}
//!                 () = tokio::time::sleep(self.pause) => {}
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! // A publisher that only says where events went is enough to test a source.
//! #[derive(Clone)]
//! struct Nowhere;
//! impl Publisher for Nowhere {
//!     async fn prepare(&self, _: &Arc<Object>) -> Result<()> {
//!         Ok(())
//!     }
//!     async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<towpath_api::Placed>> {
//!         Ok(events.iter().map(|_| towpath_api::Placed { topic: "t".into(), partition: 0, offset: 0 }).collect())
//!     }
//! }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let life = Lifecycle::default();
//! let (mut counter, mut nowhere) = (Counter::new(Duration::from_millis(1)), Nowhere);
//! let (ended, ()) = tokio::join!(counter.run(&mut nowhere, life.clone()), async {
//!     life.started().await;
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//!     life.stop().cancel();
//! });
//! assert!(ended.is_ok() && counter.reading > 0);
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
//!         let claim = Claim { partition, epoch, next_offset, anchor: None, target };
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
//!                 Body::Undecodable { code, reason } => {
//!                     store.dead_letters.push((*offset, format!("{code}: {reason}")));
//!                     applied.set_aside(ErrorType::Decode);
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
//!         let claim = Claim { partition: partition.clone(), epoch, next_offset: to, anchor, target: "memory".into() };
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
//! let broken = Body::Undecodable { code: "decode.truncated", reason: "it ends too early".to_owned() };
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
//! 1. `connectors/<name>`: the crate. In each connector the same names: `config.rs` for its keys, `source.rs` or
//!    `sink.rs` for what it implements of this contract, then a file for each further subject, `codes.rs` for its error
//!    codes, `metrics.rs` for its own metrics, if any, declared with [`families!`], and a README of one page.
//! 2. The workspace's `Cargo.toml`: the crate as a member, in `[workspace.dependencies]`, and as a dependency of
//!    `towpath`.
//! 3. `src/plugin/<name>.rs`: a struct with the connector's keys that implements `Class`: its name, how its keys are
//!    read together with those that every source or every sink has, how it is opened, its preflight. A source without a
//!    position is opened as a `PublishingSource`, one with a position as a `JournalingSource`, a sink as a
//!    `SinkConnector`: a few lines each.
//! 4. `src/plugin/mod.rs`: `mod <name>;`, and a line in `plugins!` with the sentence that documents the class.
//! 5. `UPDATE_GOLDEN=1 cargo test --features failpoints --test integration -- the_page_about_the_keys` renders
//!    `docs/configuration.md`.
//!
//! The compiler reports whatever is missing of steps 2 to 4, a test reports step 5.
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
mod record;
mod set_aside;
mod sink;
mod source;
mod streak;

pub use anchor::{Anchor, Beginning};
pub use apache_avro;
pub use applied::Applied;
pub use arena::{Arena, Span};
pub use error::{Error, ErrorType, Reaction, Result};
pub use event::{ChangeEvent, EVENT_ID_HEADER, Key, Op, Version};
pub use object::{KeyType, Object, ObjectError, Updates};
pub use prometheus;
pub use record::{Body, Change, Identity, Payload, Record, RecordKey, RecordOp};
pub use set_aside::SetAside;
pub use sink::{ApplyError, Batch, Claim, OpenSink, Sink, StoredOffset, TopicPartition};
pub use source::{Journal, Lifecycle, OpenSource, Placed, Placement, Position, Publisher, Source};
pub use streak::{DeadLetterStreak, SYSTEMATIC};
