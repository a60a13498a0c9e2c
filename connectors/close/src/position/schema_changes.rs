//! Changes of the fields of objects that are to be told. Noted before a schema is registered, they stay until a run
//! tells of them, so those that were made while the source was down are told as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ClosePosition;

/// By object, what changed in its fields.
pub(crate) type SchemaChanges = BTreeMap<String, Vec<FieldChange>>;
/// By object, the custom fields that Close no longer has.
pub(crate) type Removed = BTreeMap<String, BTreeSet<String>>;

/// A change of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldChange {
    pub(crate) field: String,
    pub(crate) change: Change,
    /// The label, or the type of a retyped field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Added,
    /// It has another label.
    Renamed,
    /// It takes values of a further type.
    Retyped,
    /// Close no longer has it; its column stays.
    Removed,
}

impl ClosePosition {
    /// Notes changes that are to be told.
    pub(crate) fn note_changes(&mut self, changes: SchemaChanges, removed: Removed) {
        self.carries.extend(changes.keys().cloned());
        for (object, changes) in changes {
            let noted = self.schema_changes.entry(object).or_default();
            changes.into_iter().for_each(|change| {
                if !noted.contains(&change) {
                    noted.push(change);
                }
            });
        }
        self.removed = removed;
    }

    /// Takes back what was noted of an object: the registry refused the change.
    pub(crate) fn take_back_changes(&mut self, object: &str, changes: &SchemaChanges) {
        let refused = changes.get(object).map(Vec::as_slice).unwrap_or_default();
        self.carries.remove(object);
        if let Some(noted) = self.schema_changes.get_mut(object) {
            noted.retain(|change| !refused.contains(change));
        }
        self.schema_changes.retain(|_, changes| !changes.is_empty());
    }
}
