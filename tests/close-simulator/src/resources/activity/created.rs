//! The activity that says how a lead came to be. It has no events of its own (reference, section 6.5), unless a switch
//! gives it some.

use super::{shared, trace};
use crate::{
    http::{
        Source,
        collection::{G, L},
    },
    model::{
        Id, Kind, Stamps, Value,
        resource::{AUTHORS, DATES, Field, LEAD_ID, Laws, Resource, Type},
    },
    world::change::Change,
};

/// A `Created` activity. Stored: `source`, `import_id`.
pub static CREATED: Resource = Resource {
    name: "created",
    event: Some(|_| "activity.created"),
    stamps: Stamps::Offset,
    fields: &[
        trace::BASE,
        &[LEAD_ID, Field::text("source"), Field::stored("import_id", Type::Ref(&[Kind::Import]))],
        AUTHORS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[shared::collection("activity/created", &[Kind::Created], L | G)], endpoints: &[] };

/// Leaves one for a lead that was created just now, with the lead's source and stamps.
pub fn leave(change: &mut Change<'_>, lead: Id) {
    let Some(record) = change.get(lead) else { return };
    trace::leave(change, Kind::Created, Some(lead), |activity| {
        activity.created = record.created;
        activity.author = record.author;
        activity.set("source", record.get("source").cloned().unwrap_or(Value::Null));
    });
}
