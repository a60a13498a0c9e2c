//! The Postgres sink: Avro topics into tables, exactly once.
//!
//! Rows, dead letters and the next offset of a partition are written in one transaction. Its first statement compares
//! and sets that offset, so a batch is stored once or not at all, whatever other workers do. Nothing here reads Kafka.
//!
//! The files, from the top down; a file uses only files below it:
//!
//! | file | subject |
//! |---|---|
//! | `sink` | connect, claim, apply: the interface to the worker |
//! | `views`, `views/` | standard views of sources, over the tables |
//! | `apply` | one attempt to write a batch: begin with the compare-and-set, write, commit |
//! | `isolate` | finds the records that the database refuses, and only those |
//! | `blame` | finds the field whose value the database refuses |
//! | `write`, `history` | the statements of a batch: for the present state, and for every change |
//! | `fast_path` | batches whose rows are all new, or all known already |
//! | `transaction` | begin, prepare, savepoints, commit, rollback; the connection's cache |
//! | `truncation` | the last truncate of the table, which older records of other partitions do not survive |
//! | `tally`, `written` | counts and dead letters of a statement, and of a batch |
//! | `pipeline` | statements in flight, and their answers |
//! | `statement`, `statement/` | the SQL that changes rows, and its parameters |
//! | `superseded` | rows of records that a truncated or re-created topic no longer has |
//! | `bookkeeping`, `offsets` | schema `towpath`: claims and the compare-and-set; reading and setting offsets |
//! | `dead_letter`, `outbox` | schema `towpath`: dead letters; those to publish to a topic |
//! | `fold` | several changes of one key become one |
//! | `table`, `table/` | tables, columns and views for the schemas of the records |
//! | `view_mark` | by which a standard view is recognized |
//! | `schemas` | sets of schemas |
//! | `key` | the primary key of a row |
//! | `foreign_key_wait` | which records wait for other rows, and when the whole batch does |
//! | `unavailable` | values that a record lacks because its source did not have them |
//! | `unique` | unique values that deleted rows give up, and that rows exchange |
//! | `waiting` | the records that wait: `towpath.waiting` |
//! | `fencing` | which owner may write a partition |
//! | `connection`, `connection/` | connecting: URLs, TLS, the search path |
//! | `sqlstate`, `sqlstate/` | the meaning of database errors |
//! | `column` | Avro types as columns, values in binary format |
//! | `codes` | the codes of errors and dead letters |
//! | [`config`], `check` | the keys of the connector; what they must not say together |
//! | `foreign` | keys of JDBC sinks that have no equal here |
//! | `naming`, `filter` | the names that the table of a topic may have; the fields that become columns |
//! | `name` | valid names, and quoting |
//!
//! Invariants: a key is written only by the owner of its partition; a row never returns to an older version; a record
//! that the database refuses is stored in `towpath.dead_letter` in the same transaction as its offset.

mod apply;
mod blame;
mod bookkeeping;
mod check;
mod codes;
mod column;
pub mod config;
mod connection;
mod dead_letter;
mod fast_path;
mod fencing;
mod filter;
mod fold;
mod foreign;
mod foreign_key_wait;
mod history;
mod isolate;
mod key;
mod name;
mod naming;
mod offsets;
mod outbox;
mod pipeline;
mod schemas;
mod settle;
mod sink;
mod sqlstate;
mod statement;
mod superseded;
mod table;
mod tally;
mod transaction;
mod truncation;
mod unavailable;
mod unique;
mod view_mark;
mod views;
mod waiting;
mod write;
mod written;

pub use config::{
    DeleteMode, InsertMode, MetadataColumns, PostgresSinkConfig, PrimaryKeyMode, SchemaEvolution, SchemaMismatch,
};
pub use sink::{OpenPostgresSink, PostgresSink, SinkSettings};
pub use table::preflight::{Preflight, preflight};
pub use views::{StandingView, standing_views};
