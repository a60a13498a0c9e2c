//! What the loops know and ask of the lists.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};

use crate::catalogue::Kind;

/// What others know and ask of the lists. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    rows: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    read: Arc<Notify>,
    wanted: Arc<Notify>,
}

impl Lists {
    /// The number of rows of `kind` when it was last read whole and published; `None` before the first time.
    pub(crate) fn rows(&self, kind: &Kind) -> Option<u64> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(kind.name).copied()
    }

    /// Waits until `kind` was read whole and published once; returns the number of its rows.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn read_once(&self, kind: &Kind) -> u64 {
        loop {
            let read = self.read.notified();
            if let Some(rows) = self.rows(kind) {
                return rows;
            }
            read.await;
        }
    }

    /// Asks for a reading now.
    pub(crate) fn wake(&self) {
        self.wanted.notify_one();
    }

    /// Returns when a reading is asked for, or was since the last call.
    pub(crate) fn wanted(&self) -> Notified<'_> {
        self.wanted.notified()
    }

    /// Notes that `kind` was read whole and published.
    pub(crate) fn was_read(&self, kind: &'static Kind, rows: u64) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.name, rows);
        self.read.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::kind;

    #[tokio::test]
    async fn who_waits_for_a_list_goes_on_after_it_was_read_once() {
        let (lists, role) = (Lists::default(), kind("role").unwrap());
        assert_eq!(lists.rows(role), None);
        let waiting = lists.read_once(role);
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        lists.was_read(role, 4);
        assert_eq!((waiting.await, lists.rows(role)), (4, Some(4)));
    }
}
