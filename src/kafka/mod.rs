//! Kafka: clients, topics, producers and consumers.

pub mod client;
pub mod codes;
mod committed;
pub mod compacted;
pub mod consumer;
pub mod dead_letter_queue;
mod group;
pub mod headers;
mod incarnation;
pub mod publisher;
mod reach;
mod reading_client;
mod share;
pub mod topics;
mod witness;
