//! The Postgres sink: Avro topics into tables, exactly once.
//!
//! Rows, dead letters and the next offset of a partition are written in one transaction whose first statement compares
//! and sets that offset, so a batch is stored once or not at all, whoever else may try. Nothing here reads from Kafka.
//!
//! | file | subject |
//! |---|---|
//! | [`config`] | the keys of the connector |
//! | `sink` | connects, claims, applies: what the worker calls |
//! | `apply` | one batch in one transaction: begin, compare-and-set, upsert, commit |
//! | `write`, `history` | the records of a batch as statements: present state, and every change |
//! | `tally` | what became of the rows of a statement |
//! | `pipeline` | statements on their way, and their answers |
//! | `prospect` | batches whose rows are all new, or all known already |
//! | `isolate` | finds the records that the database refuses, and only those |
//! | `absent` | rows that refer to others which are still to come |
//! | `key` | where the primary key comes from |
//! | `fold` | several changes of one key become one |
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
mod fencing;
mod fold;
mod history;
mod isolate;
mod key;
mod name;
mod pipeline;
mod prospect;
mod publish;
mod sink;
mod sqlstate;
mod statement;
mod table;
mod tally;
mod write;

use towpath_api::failpoint;

pub use config::{
    DeleteMode, InsertMode, MetadataColumns, PostgresSinkConfig, PrimaryKeyMode, SchemaEvolution, SchemaMismatch,
};
pub use sink::{OpenPostgresSink, PostgresSink, SinkSettings};
pub use table::preflight::{Preflight, preflight};
