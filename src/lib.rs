//! Towpath: changes into Kafka and on into Postgres, exactly once.
//!
//! One process beside Kafka. Sources turn what changes outside into events, the publisher puts events into Avro topics
//! keyed by record id, sinks carry topics into stores. This crate is what lies between connectors: it knows no protocol
//! of theirs, and they know neither Kafka nor each other. The contract is [`towpath_api`], the connectors are
//! [`towpath_webhook`] and [`towpath_postgres`].
//!
//! # Rooms
//!
//! | room | what lives there | what does not |
//! |---|---|---|
//! | [`avro`] | envelope and key schemas, codec, registry | Kafka |
//! | [`kafka`] | topics, publisher, consumer | what a record that is read means |
//! | [`worker`] | starts, watches and ends tasks; carries partitions into sinks | protocols of any kind |
//! | [`config`] | files into typed configs, problems into text | connecting to anything |
//! | [`rest`], [`telemetry`] | health, metrics, statuses, logs | decisions |
//! | [`cli`] | commands and exit codes | the work itself |
//!
//! # The walk of one event
//!
//! 1. [`towpath_webhook`], `receive.rs`: the post arrives; its raw bytes are kept until it is known who sent them.
//! 2. [`towpath_webhook`], `verify.rs`: who sent it. Credentials are compared in constant time and go no further.
//! 3. [`towpath_webhook`], `map.rs`: JSON becomes [`ChangeEvent`](towpath_api::ChangeEvent)s by the object's agreed
//!    schema, or an answer that names each wrong field. Pure.
//! 4. [`kafka::publisher`]: each event is encoded ([`avro::codec::Encoder`]), produced, and its acknowledgement
//!    awaited. Then, and only then, 202 (`reply.rs` of the webhook).
//! 5. [`worker`], `sink_partition.rs`, of which `sink_task.rs` runs one for each partition: the partition is claimed in
//!    the store, which says where to read on ([`Claim`](towpath_api::Claim)); records come from [`kafka::consumer`] and
//!    are collected into a [`Batch`](towpath_api::Batch) (`collect.rs`).
//! 6. [`avro::codec::Decoder`]: bytes become a [`Change`](towpath_api::Change), or the reason why they never will.
//! 7. [`towpath_postgres`], `apply.rs`: begin, compare-and-set, guarded upsert, commit; what the worker calls is
//!    [`Sink::apply`](towpath_api::Sink::apply).
//! 8. [`worker`], `sink_partition.rs`: counts ([`telemetry::sink_metrics`]), lag, next batch. The next one was
//!    collected while this one was applied.
//!
//! What always holds, and the same with a picture: `docs/architecture.md`.

pub mod avro; // envelope and key schemas, the codec between events and bytes, the schema registry
pub mod cli; // commands, signals, exit codes
pub mod config; // files into typed configs, problems into text for people
pub mod kafka; // how to reach it, topics, publisher, consumer
pub mod rest; // the management listener: health, metrics, statuses
pub mod telemetry; // metrics, states, readiness, logs
pub mod worker; // starts tasks, watches over them and ends them; carries partitions into sinks
