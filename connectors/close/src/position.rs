//! The position of a task: how far the log is published, and what of the snapshot is still to be read.

mod check;
mod finished;
mod notices;
mod run;
mod schema_changes;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use towpath_api::{Error, ErrorType, Position, Result};

pub(crate) use self::{
    check::{Check, Count, Ids},
    finished::{FinishedObject, FinishedRun, ObjectState},
    notices::{Channel, Ended, Notice, Outstanding, Pending, channels},
    run::{Held, ObjectEnd, ObjectPosition, RunKind, SnapshotPosition, SnapshotRequest, Step, Tally},
    schema_changes::{Change, FieldChange, Removed, SchemaChanges},
};
use crate::{codes, moment::Moment};

/// The position of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClosePosition {
    /// The id of the organization.
    pub(crate) organization: String,
    /// All events up to this time are published, but for events that become visible late.
    #[serde(default)]
    pub(crate) log: Option<Moment>,
    /// The topics' ends at earlier times of the log, oldest first: what was published after them is read back at the
    /// start, to know which events of the overlap are in the topics.
    #[serde(default)]
    pub(crate) ends: Vec<Ends>,
    /// By object and id, the times of events whose rows are to be read by their ids, until Close gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unread: BTreeMap<String, BTreeMap<String, Moment>>,
    /// The number of the last snapshot that was begun; 0 before the first.
    #[serde(default)]
    pub(crate) generation: u32,
    /// The snapshot that is under way.
    #[serde(default)]
    pub(crate) snapshot: Option<SnapshotPosition>,
    /// Close's time up to which the log is known to be incomplete: it no longer reached back to `log`. Set by the
    /// change loop in the step that moves `log`; a comparison that began at this time or later makes it good.
    #[serde(default)]
    pub(crate) gap: Option<Moment>,
    /// By object, when the last reading of all of it began. An object that is not here is read by a first snapshot.
    #[serde(default)]
    pub(crate) whole: BTreeMap<String, Moment>,
    /// Requests of people that are still to be begun, oldest first.
    #[serde(default)]
    pub(crate) requests: Vec<SnapshotRequest>,
    /// Objects whose last comparison was not whole, and the reason.
    #[serde(default)]
    pub(crate) held: BTreeMap<String, Held>,
    /// The last run that ended, until the next one ends.
    #[serde(default)]
    pub(crate) last_run: Option<FinishedRun>,
    /// What is still to be told to people.
    #[serde(default)]
    pub(crate) notices: Pending,
    /// Changes of the objects' fields that no run has told of.
    #[serde(default)]
    pub(crate) schema_changes: SchemaChanges,
    /// Objects whose schema has changed, and whose tables have no record with the new one yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) carries: BTreeSet<String>,
    /// Custom fields that were told to be removed.
    #[serde(default)]
    pub(crate) removed: Removed,
    /// The time at which the last complete snapshot or comparison began.
    #[serde(default)]
    pub(crate) compared: Option<Moment>,
    /// The URL of the subscription that is, or may be, at Close. Stored before it is made and until it is deleted.
    #[serde(default)]
    pub(crate) webhook: Option<String>,
}

/// The ends of the topics when no event after `log` was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ends {
    pub(crate) log: Moment,
    /// By object, the next offset of each partition.
    pub(crate) offsets: BTreeMap<String, Vec<i64>>,
}

impl ClosePosition {
    /// # Errors
    /// Fatal [`codes::POSITION`] for anything else than a position of this source.
    pub(crate) fn read(position: Position) -> Result<Self> {
        serde_json::from_value(Json::Object(position.0)).map_err(|error| {
            Error::fatal(codes::POSITION, ErrorType::Serialization, "read the stored position of the Close source")
                .because(error)
                .with_help("run the newer Towpath that wrote it, or write a tombstone with its key to begin again")
        })
    }

    /// Notes that a row is to be read by its id, as it was at this time or later. Returns the number of rows of the
    /// object that are to be read.
    pub(crate) fn asks_for(&mut self, object: &str, id: String, at: Moment) -> usize {
        let rows = self.unread.entry(object.to_owned()).or_default();
        rows.entry(id).and_modify(|noted| *noted = at.max(*noted)).or_insert(at);
        rows.len()
    }

    /// Notes that changes of an object are left out from now on: what a run has read of it is out of date. If some of
    /// it may be in its topic, it is due to be compared; otherwise the first snapshot reads it.
    pub(crate) fn leaves_out(&mut self, object: &str, difference: String, now: Moment) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.objects.remove(object);
        }
        if self.snapshot.is_some() || self.whole.contains_key(object) {
            self.differs(object, difference, now);
        } else {
            self.held.remove(object);
        }
    }

    /// Notes that an object is known to differ, at Close's time `now`: it is due to be compared. A run that began
    /// before makes nothing good.
    pub(crate) fn differs(&mut self, object: &str, difference: String, now: Moment) {
        let held = Held { end: ObjectEnd::Differs { difference }, since: now, again: false };
        self.held.insert(object.to_owned(), held);
    }

    pub(crate) fn write(&self) -> Position {
        match serde_json::to_value(self) {
            Ok(Json::Object(position)) => Position(position),
            _ => Position(serde_json::Map::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_whose_changes_are_left_out_is_read_again_or_compared() {
        let read = ObjectPosition { end: Some(ObjectEnd::Done), ..ObjectPosition::default() };
        let snapshot = SnapshotPosition { objects: [("note".to_owned(), read)].into(), ..SnapshotPosition::default() };
        let mut position = ClosePosition { snapshot: Some(snapshot), ..ClosePosition::default() };
        position.differs("note", "by the check".to_owned(), Moment(1));
        position.leaves_out("note", "it waits".to_owned(), Moment(2));
        assert!(position.snapshot.take().unwrap().objects.is_empty(), "the run reads it anew");
        assert_eq!(position.held["note"].since, Moment(2), "and it is compared, since a first run deletes nothing");
        position.leaves_out("note", "it waits".to_owned(), Moment(2));
        assert!(position.held.is_empty(), "the first snapshot reads it");
        position.whole.insert("note".to_owned(), Moment(1));
        position.leaves_out("note", "it waits".to_owned(), Moment(3));
        assert_eq!((position.held["note"].since, position.held["note"].again), (Moment(3), false));
    }
}
