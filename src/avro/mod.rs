//! Avro: the envelope's schemas, the registry that keeps them, and the bytes between events and topics.
//!
//! Nothing here knows Kafka. Reading order: `envelope` (what is registered), `codec` (what is written and read),
//! `registry`; `readable` (what people see); behind them `shape` (what a foreign schema means to us), `semantic`,
//! `plan` and `convert` (what Connect and Debezium mean by a type), `connect` (their JSON), `inline`, `read` and
//! `write`.

pub mod codec;
mod connect;
mod convert;
pub mod envelope;
#[cfg(test)]
mod generate;
mod inline;
mod plan;
mod read;
pub mod readable;
pub mod registry;
mod semantic;
mod shape;
pub mod topic;
mod write;
