//! Towpath carries changes into Kafka and on into Postgres.
//!
//! It is one process beside Kafka. Sources turn changes of outside systems into events, the publisher writes events to
//! Avro topics keyed by record id, sinks carry topics into stores. Every acknowledged event is in the store exactly
//! once, in the version that its source holds; `docs/guarantees.md` states each guarantee with its limits and its test.
//!
//! This crate is the runtime between connectors. It knows no protocol of theirs, and they know neither Kafka nor each
//! other. The contract is [`towpath_api`]; the connectors are [`towpath_webhook`] and [`towpath_postgres`].
//!
//! # Rooms
//!
//! Each room uses only rooms below it in this table. `dev/house` checks that.
//!
//! | room | subject | a new line of code belongs here if it is |
//! |---|---|---|
//! | [`cli`] | commands, signals, exit codes | a command or its output |
//! | [`worker`] | starts connectors, holds a handle per task, drains | about what runs in this process, whatever it is |
//! | [`plugin`] | the connector classes, one file each | about one class: its keys together, its placement, preflight, start |
//! | [`task`] | one source task, one sink task | on the way of an event between Kafka and a connector |
//! | [`rest`] | the management listener | a route, or the shape of its answer |
//! | [`kafka`] | clients, topics, publisher, journal, consumer | a call of Kafka, or the meaning of its errors |
//! | [`config`] | files into typed configs, problems into text | a key of the worker, of all sources or of all sinks |
//! | [`avro`] | envelope and key schemas, codec, registry | about bytes of keys and values, or their schemas |
//! | [`telemetry`] | metrics, the status board, readiness, logs | about how something is reported |
//!
//! And outside this crate:
//!
//! | crate | subject | a new line of code belongs here if it is |
//! |---|---|---|
//! | [`towpath_api`] | the contract that connectors are written against | needed by every connector, whatever it connects |
//! | [`towpath_keys`] | declaring and reading config keys | about any key, not about one key |
//! | [`towpath_mapping`] | JSON to Avro by an agreed schema | pure, and needed by a second source |
//! | `connectors/<name>` | one outside system or store | an endpoint, a page, an SQL statement, an SQLSTATE |
//!
//! Two rooms are planned and have their place. `cluster`, between `worker` and `plugin`: configs, offsets and statuses
//! in compacted topics, membership, the decision which worker runs which task. `jobs`, beside `rest`: work that ends by
//! itself, such as replay and verification.
//!
//! # The walk of one event
//!
//! A newcomer can follow one event from its arrival to its row through these files, in this order:
//!
//! 1. `connectors/webhook/src/receive.rs`: the post arrives. Its raw bytes are kept until its sender is known.
//! 2. `connectors/webhook/src/verify.rs`: the sender's credentials are compared in constant time and go no further.
//! 3. `connectors/webhook/src/map.rs`: JSON becomes [`ChangeEvent`](towpath_api::ChangeEvent)s by the object's agreed
//!    schema ([`towpath_mapping`]), or an answer that names each wrong field. Pure.
//! 4. `src/kafka/publisher/shared.rs`: each event is encoded ([`avro::codec::Encoder`]) and produced, and its
//!    acknowledgement awaited. Only then the client gets its 202. A source with a position uses `journal.rs` beside it:
//!    events and position in one transaction.
//! 5. `src/task/sink/partition.rs`: the partition is claimed in the store, which says where to resume
//!    ([`Claim`](towpath_api::Claim)); records are read ([`kafka::consumer`]) and collected into a
//!    [`Batch`](towpath_api::Batch).
//! 6. `src/avro/codec/decoder.rs`: bytes become a [`Change`](towpath_api::Change), or the reason why they never will.
//! 7. `src/task/sink/store.rs`: the batch is stored, with as many attempts as that takes. After each error the
//!    partition is claimed again, and the claim says how the attempt ended.
//! 8. `connectors/postgres/src/sink.rs`: [`Sink::apply`](towpath_api::Sink::apply) chooses how the batch is written: as
//!    a whole, rows that refer to each other together, or in parts around records that the database refuses.
//! 9. `connectors/postgres/src/apply.rs`: one transaction: begin, compare-and-set of the offset, guarded upsert,
//!    commit.
//! 10. `src/task/sink/partition.rs` again: metrics, lag, and the next batch, which was collected while this one was
//!     stored.
//!
//! # Adding a connector
//!
//! [`towpath_api`] has the steps and a runnable example of a source and of a sink.

pub mod avro;
pub mod cli;
pub mod config;
pub mod kafka;
pub mod plugin;
pub mod rest;
pub mod task;
pub mod telemetry;
pub mod worker;
