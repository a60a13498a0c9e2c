//! How the records of a connector's topics are to be read: what its configuration says about it.

use std::sync::Arc;

use super::{
    unavailable::{UNAVAILABLE_VALUE, Unavailable},
    version::VersionField,
};

/// How keys and values are read. Cheap to clone; clones share what they have learned.
#[derive(Debug, Clone)]
pub struct Reading {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) version: Option<VersionField>,
    pub(super) unavailable: Unavailable,
}

impl Default for Reading {
    /// Avro with the ids of a registry, the version from the envelope.
    fn default() -> Self {
        Self::new(None, UNAVAILABLE_VALUE)
    }
}

impl Reading {
    /// Reads versions from `version` where it is given, and takes values that are `unavailable` for absent in Debezium's envelopes.
    pub fn new(version: Option<VersionField>, unavailable: &str) -> Self {
        Self { shared: Arc::new(Shared { version, unavailable: Unavailable::new(unavailable) }) }
    }
}
