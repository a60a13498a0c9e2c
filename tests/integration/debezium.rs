//! A real Postgres through Debezium's own connector and Kafka into Towpath: source and target, column by column.
//!
//! One Kafka Connect worker (`dev/stack start connect`) serves all tests of this module, and is started by the first.
//! Each test has a database of its own; its tables are in the schema `public`, and those that Towpath fills are in
//! other schemas of the same database.

mod changes;
mod flat;
mod modes;
mod signals;
mod source;
mod types;
