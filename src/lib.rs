//! Towpath carries changes into Kafka and on into Postgres. It runs as one process beside Kafka.
//!
//! Sources turn the changes of outside systems into events. A publisher writes the events to Avro topics, keyed by
//! record id. Sinks read the topics and write rows. Each event that the broker has acknowledged is applied to the store
//! exactly once, and a row never goes back to an older version. `docs/guarantees.md` states each guarantee with its
//! limits and its test.
//!
//! This crate is the runtime. It knows no outside system and no store. Connectors know those, and know neither Kafka
//! nor each other. The contract between both is [`towpath_api`]. The connectors of today are the sources
//! [`towpath_webhook`] and [`towpath_close`], and the sink [`towpath_postgres`].
//!
//! # Modules
//!
//! A module may use the modules to its right, and no other: cli > worker > plugin > task, rest > jobs > kafka > config
//! > avro, telemetry. The script `dev/house` checks this.
//!
//! | module | subject | add code here for |
//! |---|---|---|
//! | [`cli`] | commands, signals, exit codes | a command, its options and its output |
//! | [`worker`] | starts connectors and tasks in this process, stops them | starting, stopping or restarting any task |
//! | [`plugin`] | one file for each connector class | a class: reading its keys, placement, start |
//! | [`task`] | runs one source or one sink, whatever its class | batching, retries, pacing, dead letters, resuming |
//! | [`rest`] | the management API: health, metrics, statuses | a route and the JSON of its answer |
//! | [`jobs`] | what ends by itself: snapshots on request | what an operator asks of a running connector |
//! | [`kafka`] | clients, topics, publisher, journal, consumer | a request to Kafka, or the meaning of a Kafka error |
//! | [`config`] | reads config files, prints their problems | a key of the worker, of all sources or of all sinks |
//! | [`avro`] | schemas of keys and envelopes, encoding, registry | reading or writing the bytes of records |
//! | [`telemetry`] | metric families, status board, readiness, logs | declaring a metric; the measuring code sets it |
//!
//! Crates outside the runtime:
//!
//! | crate | subject | add code here for |
//! |---|---|---|
//! | `connectors/api` | [`towpath_api`]: the traits that connectors implement | an agreement with all connectors |
//! | `connectors/keys` | [`towpath_keys`]: how config keys are declared and read | a type or a check for any key |
//! | `connectors/listener` | [`towpath_listener`]: HTTP of webhooks and [`rest`] | a deadline, a limit of connections |
//! | `connectors/mapping` | `towpath_mapping`: JSON to Avro by a schema | JSON conversion that several sources need |
//! | `connectors/<name>` | one outside system or one store | its API requests, its SQL, its error codes, its own keys |
//!
//! A request to an API, such as Close's, belongs to its connector, together with its HTTP client. The meaning of a
//! Postgres SQLSTATE is in `connectors/postgres/src/sqlstate.rs`.
//!
//! One module is planned: `cluster`, at the level of [`rest`], for what several workers share: configs, offsets and
//! statuses in compacted topics, and the assignment of tasks to workers.
//!
//! # The path of one event
//!
//! To follow one event from its arrival to its row, read these files in this order:
//!
//! 1. `connectors/webhook/src/receive.rs`: the HTTP request arrives. Its body is kept as raw bytes until the sender is
//!    authenticated.
//! 2. `connectors/webhook/src/verify.rs`: the sender is authenticated in constant time, and the credentials are
//!    removed.
//! 3. `connectors/webhook/src/map.rs`: JSON is mapped to [`ChangeEvent`](towpath_api::ChangeEvent)s by the Avro schema
//!    that the config names for the object. A request that does not fit is answered with each wrong field. This step is
//!    pure.
//! 4. `src/kafka/publisher/shared.rs`: each event is encoded and produced. Once the broker has acknowledged all of
//!    them, the client gets 202. (A source that has a position uses `journal.rs` instead: events and position are
//!    written in one Kafka transaction.)
//! 5. `src/task/sink/partition.rs`: the sink claims the partition; the store returns the offset to resume from. Records
//!    are read and collected into a [`Batch`](towpath_api::Batch).
//! 6. `src/avro/codec/decoder.rs`: each record is decoded into a [`Change`](towpath_api::Change), or into the reason
//!    why it is unreadable.
//! 7. `src/task/sink/store.rs`: the batch is stored. After a retryable error the partition is claimed again, which also
//!    tells whether the failed attempt was committed. Retries have no limit.
//! 8. `connectors/postgres/src/sink.rs`: [`Sink::apply`](towpath_api::Sink::apply) writes the batch as a whole; if that
//!    fails because of single records, it isolates them as dead letters.
//! 9. `connectors/postgres/src/apply.rs`: one transaction: compare and set the partition's offset, upsert rows unless
//!    they are newer, commit.
//! 10. `src/task/sink/partition.rs` again: metrics and lag are set. The next batch was collected while this one was
//!     stored.
//!
//! # Adding a connector
//!
//! [`towpath_api`] lists the steps, with a runnable example of a source and of a sink.

pub mod avro;
pub mod cli;
pub mod config;
pub mod jobs;
pub mod kafka;
pub mod plugin;
pub mod rest;
pub mod task;
pub mod telemetry;
pub mod worker;
