//! Objects whose events cannot be published until something is changed: the topic cannot be created, is compacted
//! although updates are partial, or the registry refuses a schema. Their posts are refused; posts of other objects are
//! not affected. Each object is prepared again after growing delays.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use towpath_api::delay_of_preparing;

/// The objects that are not ready, by name.
#[derive(Debug, Default)]
pub(crate) struct Unready {
    objects: Mutex<BTreeMap<String, Wait>>,
    added: Notify,
}

#[derive(Debug)]
struct Wait {
    attempt: u32,
    next: Instant,
}

impl Unready {
    /// Returns true if events of `object` cannot be published at the moment.
    pub(crate) fn has(&self, object: &str) -> bool {
        self.lock().contains_key(object)
    }

    /// Notes that an event of `object` was refused: it is prepared again at once.
    pub(crate) fn refused(&self, object: &str) {
        self.lock().entry(object.to_owned()).or_insert_with(|| Wait { attempt: 0, next: Instant::now() });
        self.added.notify_one();
    }

    /// Notes that `object` could not be prepared.
    pub(crate) fn failed(&self, object: &str) {
        let mut objects = self.lock();
        let wait = objects.entry(object.to_owned()).or_insert_with(|| Wait { attempt: 0, next: Instant::now() });
        wait.attempt += 1;
        wait.next = Instant::now() + delay_of_preparing(wait.attempt);
    }

    /// Notes that events of `object` can be published.
    pub(crate) fn prepared(&self, object: &str) {
        self.lock().remove(object);
    }

    /// Waits until an object is to be prepared again, and returns its name.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn due(&self) -> String {
        loop {
            let first =
                self.lock().iter().min_by_key(|(_, wait)| wait.next).map(|(name, wait)| (name.clone(), wait.next));
            match first {
                Some((name, next)) => tokio::select! {
                    () = sleep_until(next) => return name,
                    () = self.added.notified() => {}
                },
                None => self.added.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Wait>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
