//! Avro's binary encoding: reading and writing one value by its schema, without references.

pub(super) mod read;
pub(super) mod write;
