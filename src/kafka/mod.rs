//! Kafka: clients, topics, producers and consumers.

pub mod client;
pub mod codes;
pub mod compacted;
pub mod consumer;
pub mod dead_letter_queue;
pub mod publisher;
mod share;
pub mod topics;
