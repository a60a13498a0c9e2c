//! The activities of status changes. Quick successive changes become one activity, and a change that is reverted in
//! that time deletes its activity (reference, section 6.4).

use super::{shared, trace};
use crate::{
    http::{
        Source,
        collection::{C, D, G, L},
    },
    model::{
        Id, Kind, Record, Stamps, Value,
        render::Scene,
        resource::{AUTHORS, DATE_CREATED_SETTABLE, DATE_UPDATED, Field, LEAD_ID, Laws, Resource, Type, Write},
    },
    resources::{lead, opportunity},
    world::change::Change,
};

fn of(s: &Scene<'_>, status: &'static str, name: &'static str) -> Value {
    s.view.field_of(s.record.id_of(status), name)
}

fn pipeline(s: &Scene<'_>, status: &'static str) -> Option<Id> {
    of(s, status, "pipeline_id").as_id()
}

const LEAD_STATUS: Type = Type::Ref(&[Kind::LeadStatus]);
const OPPORTUNITY_STATUS: Type = Type::Ref(&[Kind::OpportunityStatus]);

/// A `LeadStatusChange` activity. Stored: `old_status_id`, `new_status_id`.
pub static LEAD_STATUS_CHANGE: Resource = Resource {
    name: "lead_status_change",
    event: Some(|_| "activity.lead_status_change"),
    stamps: Stamps::Offset,
    fields: &[
        trace::BASE,
        &[
            LEAD_ID.write(Write::RequiredOnce),
            Field::stored("old_status_id", LEAD_STATUS).write(Write::Once),
            Field::computed("old_status_label", |s| of(s, "old_status_id", "label")),
            Field::stored("new_status_id", LEAD_STATUS).write(Write::RequiredOnce),
            Field::computed("new_status_label", |s| of(s, "new_status_id", "label")),
        ],
        AUTHORS,
        &[DATE_CREATED_SETTABLE, DATE_UPDATED],
    ],
    custom_fields: false,
    laws: Laws {
        created: |change, id, _| {
            created(change, id);
            Ok(())
        },
        deleted: shared::deleted,
        ..Laws::PLAIN
    },
};

/// An `OpportunityStatusChange` activity. Stored: `opportunity_id`, `old_status_id`, `new_status_id`, and of the
/// opportunity at that time `opportunity_value` (cents), `opportunity_value_period`, `opportunity_confidence`,
/// `opportunity_date_won` (with time).
pub static OPPORTUNITY_STATUS_CHANGE: Resource = Resource {
    name: "opportunity_status_change",
    event: Some(|_| "activity.opportunity_status_change"),
    stamps: Stamps::Offset,
    fields: &[
        trace::BASE,
        &[
            LEAD_ID,
            Field::stored("opportunity_id", Type::Ref(&[Kind::Opportunity])).write(Write::RequiredOnce),
            Field::stored("old_status_id", OPPORTUNITY_STATUS).write(Write::Once),
            Field::computed("old_status_label", |s| of(s, "old_status_id", "label")),
            Field::computed("old_status_type", |s| of(s, "old_status_id", "type")),
            Field::computed("old_pipeline_id", |s| pipeline(s, "old_status_id").into()),
            Field::computed("old_pipeline_name", |s| s.view.field_of(pipeline(s, "old_status_id"), "name")),
            Field::stored("new_status_id", OPPORTUNITY_STATUS).write(Write::RequiredOnce),
            Field::computed("new_status_label", |s| of(s, "new_status_id", "label")),
            Field::computed("new_status_type", |s| of(s, "new_status_id", "type")),
            Field::computed("new_pipeline_id", |s| pipeline(s, "new_status_id").into()),
            Field::computed("new_pipeline_name", |s| s.view.field_of(pipeline(s, "new_status_id"), "name")),
            Field::stored("opportunity_value", Type::Int(i64::MIN, i64::MAX)).write(Write::Once),
            Field::computed("opportunity_value_currency", |s| opportunity::money::currency(s.view)),
            Field::computed("opportunity_value_formatted", |s| {
                opportunity::money::formatted(
                    s.view,
                    s.record.int("opportunity_value"),
                    s.record.text("opportunity_value_period").unwrap_or("one_time"),
                )
            }),
            Field::stored("opportunity_value_period", Type::Choice(opportunity::money::PERIODS)).write(Write::Once),
            Field::stored("opportunity_confidence", Type::Int(0, 100)).write(Write::Once),
            Field::stored("opportunity_date_won", Type::Moment).write(Write::Once),
        ],
        AUTHORS,
        &[DATE_CREATED_SETTABLE, DATE_UPDATED],
    ],
    custom_fields: false,
    laws: Laws {
        prepare: |change, record, _| {
            prepare(change, record);
            Ok(())
        },
        created: |change, id, _| {
            created(change, id);
            Ok(())
        },
        deleted: shared::deleted,
        ..Laws::PLAIN
    },
};

/// Creating or deleting one of these does not change the status itself.
pub static SOURCE: Source = Source {
    collections: &[
        shared::collection("activity/status_change/lead", &[Kind::LeadStatusChange], L | G | C | D),
        shared::collection("activity/status_change/opportunity", &[Kind::OpportunityStatusChange], L | G | C | D),
    ],
    endpoints: &[],
};

/// A backfilled activity belongs to the opportunity's lead, and takes missing figures from the opportunity.
fn prepare(change: &Change<'_>, record: &mut Record) {
    let Some(opportunity) = record.id_of("opportunity_id").and_then(|id| change.get(id)) else { return };
    record.lead = opportunity.lead;
    for (name, value) in figures(&opportunity) {
        if record.get(name).is_none() {
            record.set(name, value);
        }
    }
}

fn created(change: &mut Change<'_>, id: Id) {
    let lead = change.get(id).and_then(|record| record.lead);
    lead::touched_by_child(change, lead);
}

fn figures(opportunity: &Record) -> [(&'static str, Value); 4] {
    let field = |name| opportunity.get(name).cloned().unwrap_or(Value::Null);
    let won = match opportunity.get("date_won") {
        Some(Value::Day(day)) => day.start(0).into(),
        _ => Value::Null,
    };
    [
        ("opportunity_value", field("value")),
        ("opportunity_value_period", field("value_period")),
        ("opportunity_confidence", field("confidence")),
        ("opportunity_date_won", won),
    ]
}

/// Records a status change of a lead.
pub fn lead_moved(change: &mut Change<'_>, lead: Id, old: Option<Id>, new: Id) {
    moved(change, Kind::LeadStatusChange, Some(lead), None, (old, new), &[]);
}

/// Records a status change of an opportunity; `opportunity` is its present version.
pub fn opportunity_moved(change: &mut Change<'_>, opportunity: &Record, old: Option<Id>, new: Id) {
    let figures = figures(opportunity);
    moved(change, Kind::OpportunityStatusChange, opportunity.lead, Some(opportunity.id), (old, new), &figures);
}

fn moved(
    change: &mut Change<'_>,
    kind: Kind,
    lead: Option<Id>,
    opportunity: Option<Id>,
    (old, new): (Option<Id>, Id),
    figures: &[(&'static str, Value)],
) {
    let window = change.world.switches.consolidation_ms;
    let (now, user) = (change.now(), change.actor.user);
    let view = change.whole();
    let open = lead.and_then(|lead| {
        view.of_lead(lead, kind).rev().find(|activity| {
            activity.id_of("opportunity_id") == opportunity
                && activity.id_of("new_status_id") == old
                && activity.author == user
                && (0..window).contains(&now.millis_since(activity.updated))
        })
    });
    let open = open.map(|activity| (activity.id, activity.id_of("old_status_id")));
    match open {
        Some((id, first)) if first == Some(new) => change.remove(id),
        Some((id, _)) => change.edit(id, |activity| {
            activity.set("new_status_id", new);
            for (name, value) in figures {
                activity.set(name, value.clone());
            }
        }),
        None => {
            trace::leave(change, kind, lead, |activity| {
                activity.set("opportunity_id", opportunity);
                activity.set("old_status_id", old);
                activity.set("new_status_id", new);
                for (name, value) in figures {
                    activity.set(name, value.clone());
                }
            });
        }
    }
}
