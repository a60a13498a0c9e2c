//! The changes at Close that no event tells (`close-api.md`, sections 6.5, 8.2 and 12, items 17, 20 and 29), by the
//! simulator's history. Everything else must arrive without a comparison.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::laboratory::Organization;

/// Objects without events that the source reads again each `lists.interval`: nothing of them is silent.
const LISTED: &[&str] = &[
    "organization",
    "user",
    "role",
    "membership",
    "pipeline",
    "outcome",
    "integration_link",
    "connected_account",
    "send_as",
    "blocked_phone_number",
    "scheduling_link",
    "shared_scheduling_link",
    "playbook",
    "dialer",
];

/// What no event has told, by the id of the object.
#[derive(Default)]
pub(super) struct Silence {
    /// Fields that have changed since the last event of the object.
    fields: HashMap<String, HashSet<String>>,
    /// Objects that were made or deleted without an event.
    whole: HashSet<String>,
    /// Custom fields that are deleted, as rows name them: their values vanish from all rows (section 5.3).
    removed: HashSet<String>,
}

impl Silence {
    /// Of the changes of an organization until now.
    pub(super) async fn of(organization: &Organization) -> Self {
        let mut silence = Self::default();
        for line in organization.look("history/").await.lines() {
            silence.add(&serde_json::from_str(line).expect("a line of JSON"));
        }
        silence
    }

    fn add(&mut self, change: &Value) {
        let text = |name: &str| change[name].as_str().expect("a text");
        if LISTED.contains(&text("object")) {
            return;
        }
        let id = text("id").to_owned();
        if (text("object"), text("change")) == ("custom_field", "deleted") {
            self.removed.insert(format!("custom.{id}"));
        }
        // An event of another object may have followed the change, such as the `merged` of a lead.
        let events = change["events"].as_array().into_iter().flatten();
        let told = events.filter_map(|event| event["object_id"].as_str()).any(|object| object == id);
        match (text("change"), told) {
            // Each event has the whole object.
            ("created" | "updated", true) => {
                self.fields.remove(&id);
                self.whole.remove(&id);
            }
            ("deleted", true) => drop(self.whole.remove(&id)),
            ("updated", false) => {
                let changed = change["changed"].as_array().into_iter().flatten();
                let names = changed.map(|name| name.as_str().expect("a name").to_owned());
                self.fields.entry(id).or_default().extend(names);
            }
            (_, false) => drop(self.whole.insert(id)),
            (other, true) => panic!("an unknown change `{other}`"),
        }
    }

    /// Returns true if no event tells of the creation or the deletion of the object.
    pub(super) fn hides(&self, id: &str) -> bool {
        self.whole.contains(id)
    }

    /// Returns true if no event tells this field of the object. Names, labels, and an opportunity's value and note in
    /// other objects are among them: they are shown as they are when somebody asks.
    pub(super) fn covers(&self, id: &str, field: &str) -> bool {
        // Who changed a record is told, or not, with the time.
        let field = if field == "updated_by" { "date_updated" } else { field };
        field.ends_with("_name")
            || field.ends_with("_label")
            || field.starts_with("opportunity_value")
            || field == "opportunity_note"
            || self.removed.contains(field)
            || self.fields.get(id).is_some_and(|fields| fields.contains(field))
    }
}
