//! What the activities have in common that Close writes by itself: `Created`, status changes, `TaskCompleted`, `LeadMerge`
//! (reference, sections 4.5 and 4.6).

use super::shared::{FILTERS, activity_at};
use crate::http::Collection;
use crate::http::collection::Deed;
use crate::model::resource::{Field, ID, ORGANIZATION, Type, Write};
use crate::model::{Id, Kind, Record, Value};
use crate::resources::lead;
use crate::world::change::Change;
use crate::world::people::Caller;
use crate::world::view::View;

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

/// A collection of one of them.
pub const fn collection(path: &'static str, kinds: &'static [Kind], methods: u8) -> Collection {
    Collection { methods, filters: FILTERS, total: false, permit, section: "4.6", ..Collection::new(path, kinds) }
}

/// One's own activities may be deleted with one permission, others' with another (reference, section 9.2).
fn permit(_view: &View<'_>, caller: &Caller, deed: Deed, record: Option<&Record>) -> bool {
    let own = record.is_some_and(|record| user(record) == Some(caller.user));
    match deed {
        Deed::Delete if own => caller.may("delete_own_activities"),
        Deed::Delete => caller.may("manage_others_activities"),
        Deed::Read | Deed::Create | Deed::Update => true,
    }
}

/// Writes one, by the actor and now.
pub fn leave(change: &mut Change<'_>, kind: Kind, lead: Option<Id>, fill: impl FnOnce(&mut Record)) -> Id {
    let mut record = change.record(kind);
    record.lead = lead;
    fill(&mut record);
    let id = change.insert(record);
    lead::touched_by_child(change, lead);
    id
}

/// A caller deleted one: the lead's `date_updated` moves, nothing else.
pub fn deleted(change: &mut Change<'_>, record: &Record) -> Result<(), crate::model::Refusal> {
    lead::touched_by_child(change, record.lead);
    Ok(())
}
