//! Kafka: how to reach it, the topics we make, what we produce, what we consume.

pub mod client;
pub mod consumer;
pub mod dead_letter_queue;
pub mod publisher;
pub mod topics;
