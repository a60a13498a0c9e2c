//! Towpath.
pub mod avro;
pub mod cli;
pub mod config;
pub mod kafka;
pub mod rest;
pub mod telemetry;
pub mod worker;
