//! The activity that records how a lead was created. It has no events (reference, section 6.5) unless a switch enables
//! them.

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

pub static SOURCE: Source =
    Source { collections: &[shared::collection("activity/created", &[Kind::Created], L | G)], endpoints: &[] };

/// Adds the activity for a lead that was just created, with the lead's source and dates.
pub fn leave(change: &mut Change<'_>, lead: Id) {
    let Some(record) = change.get(lead) else { return };
    trace::leave(change, Kind::Created, Some(lead), |activity| {
        activity.created = record.created;
        activity.author = record.author;
        activity.set("source", record.get("source").cloned().unwrap_or(Value::Null));
    });
}
