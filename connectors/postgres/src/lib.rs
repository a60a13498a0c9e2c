//! The Postgres sink: Avro topics into tables, exactly once.
//!
//! Rows, dead letters and the next offset of a partition are written in one transaction whose first statement compares
//! and sets that offset, so a batch is stored once or not at all, whoever else may try. Nothing here reads from Kafka.
//!
//! | file | subject |
//! |---|---|
//! | [`config`] | the keys of the connector |
//! | `sink` | connects, claims, applies: what the worker calls |
//! | `apply` | one attempt to write a batch: begin with the compare-and-set, write, commit |
//! | `write`, `history` | the records of a batch as statements: present state, and every change |
//! | `written`, `tally` | counts and dead letters of a batch, and of a statement |
//! | `pipeline` | statements in flight, and their answers |
//! | `transaction` | begin, prepare, savepoints, commit, rollback; the connection's cache |
//! | `fast_path` | batches whose rows are all new, or all known already |
//! | `isolate` | finds the records that the database refuses, and only those |
//! | `absent` | rows that refer to others which are still to come |
//! | `key` | where the primary key comes from |
//! | `fold` | several changes of one key become one |
//! | `schemas` | sets of schemas |
//! | `statement`, `statement/` | the SQL, and the arrays it is given |
//! | `table`, `table/` | tables, columns and views made from the schema |
//! | `column` | an Avro type becomes a column, a value becomes bytes |
//! | `name` | names that Postgres takes, and how they are quoted |
//! | `fencing` | who may go on with a partition |
//! | `bookkeeping`, `dead_letter` | schema `towpath` |
//! | `publish` | which dead letters a topic has yet to get |
//! | `connection`, `sqlstate` | how to connect, and what an error means |
//!
//! What always holds: a key is written by the one owner of its partition; a row never goes back to an older version; a
//! record that the database refuses ends in `towpath.dead_letter` in the same transaction as its offset.

mod absent;
mod apply;
mod bookkeeping;
mod column;
pub mod config;
mod connection;
mod dead_letter;
mod fast_path;
mod fencing;
mod fold;
mod history;
mod isolate;
mod key;
mod name;
mod pipeline;
mod publish;
mod schemas;
mod sink;
mod sqlstate;
mod statement;
mod table;
mod tally;
mod transaction;
mod write;
mod written;

pub use config::{
    DeleteMode, InsertMode, MetadataColumns, PostgresSinkConfig, PrimaryKeyMode, SchemaEvolution, SchemaMismatch,
};
pub use sink::{OpenPostgresSink, PostgresSink, SinkSettings};
pub use table::preflight::{Preflight, preflight};
