//! Avro's binary encoding: reads and writes one value by a schema without references.

pub(super) mod read;
pub(super) mod write;
