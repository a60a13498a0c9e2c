//! Notices that a topic was deleted and re-created while it is read.
//!
//! A re-created topic has another id (KIP-516). librdkafka fetches by that id, and continues at the same offset of the
//! new topic without an error; it reports the change in its debug log only, before it fetches by the new id. So that
//! line is read here. `tests/integration/recreated.rs` fails if librdkafka changes it. Brokers before Kafka 3.1 do not
//! fetch by id: for them, a re-created topic is noticed by its anchor at the next claim.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The debug context of librdkafka whose lines have the ids of topics.
pub(super) const DEBUG_CONTEXT: &str = "topic";
/// The id of a topic whose id is unknown: 16 bytes of zero.
const UNKNOWN_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The number of times that a topic was re-created since this client knows the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Incarnation(u64);

/// The known topics, for all clients of a task.
#[derive(Debug, Default)]
pub(super) struct Incarnations {
    known: Mutex<HashMap<Arc<str>, Known>>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Known {
    id: String,
    incarnation: Incarnation,
}

impl Incarnations {
    /// Reads a line of librdkafka's log.
    pub(super) fn observe(&self, line: &str) {
        let Some((topic, id)) = new_id(line) else { return };
        let mut known = self.known();
        match known.get_mut(topic) {
            Some(known) if known.id == id => return,
            Some(known) => {
                id.clone_into(&mut known.id);
                known.incarnation.0 += 1;
            }
            None => {
                known.insert(topic.into(), Known { id: id.to_owned(), incarnation: Incarnation::default() });
                return;
            }
        }
        drop(known);
        self.changes.send_replace(());
    }

    pub(super) fn of(&self, topic: &str) -> Incarnation {
        self.known().get(topic).map_or_else(Incarnation::default, |known| known.incarnation)
    }

    /// Changes when any topic was re-created.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The topic and its new id in `[thrd:main]: Topic NAME changed id from OLD to NEW`. Topic names have no spaces.
fn new_id(line: &str) -> Option<(&str, &str)> {
    let (before, ids) = line.split_once(" changed id from ")?;
    let (start, topic) = before.rsplit_once(' ')?;
    let (_, id) = ids.split_once(" to ")?;
    (start.ends_with("Topic") && id != UNKNOWN_ID).then_some((topic, id.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_id_of_a_known_topic_is_a_new_incarnation() {
        let topics = Incarnations::default();
        let mut changes = topics.changes();
        let change =
            |from, to| topics.observe(&format!("[thrd:main]: Topic acme.deals changed id from {from} to {to}"));
        let first = topics.of("acme.deals");
        change(UNKNOWN_ID, "first");
        change(UNKNOWN_ID, "first");
        change("first", UNKNOWN_ID);
        topics.observe("[thrd:main]: Topic acme.deals [0] Leader 1 Epoch 0");
        topics.observe("[thrd:main]: Topic acme.agents changed id from a to b");
        assert!(topics.of("acme.deals") == first && !changes.has_changed().unwrap());
        // A second client, which did not know the earlier topic.
        change(UNKNOWN_ID, "second");
        assert!(topics.of("acme.deals") > first && changes.has_changed().unwrap());
        changes.mark_unchanged();
        change("first", "second");
        assert!(!changes.has_changed().unwrap(), "each change counts once");
    }
}
