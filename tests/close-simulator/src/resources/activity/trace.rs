//! Common parts of the activities that Close writes by itself: `Created`, status changes, `TaskCompleted`, `LeadMerge`
//! (reference, sections 4.5 and 4.6).

use super::shared::activity_at;
use crate::{
    model::{
        Id, Kind, Record, Value,
        resource::{Field, ID, ORGANIZATION, Type, Write},
    },
    resources::lead,
    world::change::Change,
};

fn user(record: &Record) -> Option<Id> {
    record.id_of("user_id").or(record.author)
}

/// The first fields of each; `lead_id`, authors and dates follow.
pub const BASE: &[Field] = &[
    Field::computed("_type", |s| {
        match s.record.kind() {
            Kind::Created => "Created",
            Kind::LeadStatusChange => "LeadStatusChange",
            Kind::OpportunityStatusChange => "OpportunityStatusChange",
            Kind::LeadMerge => "LeadMerge",
            _ => "TaskCompleted",
        }
        .into()
    }),
    ID,
    ORGANIZATION,
    Field::stored("contact_id", Type::Ref(&[Kind::Contact])),
    Field { ty: Type::Ref(&[Kind::User]), write: Write::Once, ..Field::computed("user_id", |s| user(s.record).into()) },
    Field::computed("user_name", |s| s.view.user_name(user(s.record))),
    Field::computed("users", |s| Value::list(user(s.record).map(Value::Id))),
    Field::computed("activity_at", |s| activity_at(s.record).into()),
];

/// Adds an activity by the actor, now.
pub fn leave(change: &mut Change<'_>, kind: Kind, lead: Option<Id>, fill: impl FnOnce(&mut Record)) -> Id {
    let mut record = change.record(kind);
    record.lead = lead;
    fill(&mut record);
    let id = change.insert(record);
    lead::touched_by_child(change, lead);
    id
}
