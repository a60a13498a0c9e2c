//! The connectors of this worker that can be asked for snapshots.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use towpath_api::SnapshotControl;

/// The connectors of this worker that can be asked for snapshots, while they are open. All clones share one list.
#[derive(Clone, Default)]
pub struct Snapshots(Arc<RwLock<BTreeMap<String, Arc<dyn SnapshotControl>>>>);

impl Snapshots {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connector that is being opened.
    pub fn register(&self, connector: &str, control: Arc<dyn SnapshotControl>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(connector.to_owned(), control);
    }

    /// Removes a closed connector.
    pub fn remove(&self, connector: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(connector);
    }

    /// The control of `connector`; `None` if it is not open here, or cannot be asked.
    pub fn get(&self, connector: &str) -> Option<Arc<dyn SnapshotControl>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(connector).cloned()
    }

    /// The names of the connectors.
    pub fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshots").field(&self.names()).finish()
    }
}
