//! One event, as the log stores it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Id, Key, Moment};

/// A static word. (An alias, so that serde does not treat it as a borrowed text.)
pub type Name = &'static str;

/// The position of an event in the log: `date_updated`, then the order of changes.
pub type Place = (Moment, u64);

/// Old values of changed fields, each as `"key":value`, in the order of the object.
pub type Members = Vec<(Key, Arc<[u8]>)>;

/// One event. `data` and `previous_data` are JSON from the creation or last consolidation of the event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Stable across consolidation.
    pub id: Id,
    /// Orders events of one microsecond; grows with each consolidation.
    pub order: u64,
    /// Time of the first action.
    pub created: Moment,
    /// Time of the last consolidated action.
    pub updated: Moment,
    /// The time at which the log starts to show the event.
    pub visible: Moment,
    /// The causing user; `None` for the system.
    pub user: Option<Id>,
    /// The causing request.
    pub request: Option<Id>,
    /// The key of that request.
    pub api_key: Option<Id>,
    /// The OAuth application of that request, and its scope.
    pub oauth: Option<(Id, Arc<str>)>,
    /// As `lead` or `activity.call`.
    #[serde(with = "name")]
    pub object_type: Name,
    pub object: Id,
    pub lead: Option<Id>,
    /// As `updated`.
    #[serde(with = "name")]
    pub action: Name,
    /// The changed fields of an update.
    pub changed: Box<[Key]>,
    /// The object after the action.
    pub data: Option<Arc<[u8]>>,
    /// The old values of the changed fields; all values for a delete.
    pub previous: Option<Arc<[u8]>>,
    /// `request_method`, `request_path` and the additions of a composite operation.
    pub meta: Arc<[u8]>,
}

impl Event {
    pub fn place(&self) -> Place {
        (self.updated, self.order)
    }
}

/// An object of members that are already serialized.
pub fn join(members: &[(Key, Arc<[u8]>)]) -> Arc<[u8]> {
    let mut out = vec![b'{'];
    for (at, (_, member)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
    out.push(b'}');
    out.into()
}

mod name {
    use serde::{Deserialize, Deserializer, Serializer};

    // The signature that `serde(with)` requires.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(super) fn serialize<S: Serializer>(name: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
        Ok(crate::model::record::intern(&String::deserialize(deserializer)?))
    }
}
