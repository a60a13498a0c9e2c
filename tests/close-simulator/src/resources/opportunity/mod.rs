//! Opportunities: deals of a lead (reference, section 4.3).
//!
//! `money` has the amounts, `list` the filters and sums of the list, `laws` the side effects of a change.

mod laws;
pub mod list;
pub mod money;

use super::{contact, lead};
use crate::{
    http::{
        Collection, Source,
        collection::{Deed, Paging},
    },
    model::{
        Id, Kind, Record, Stamps, Value,
        render::Scene,
        resource::{
            AUTHORS, DATE_CREATED_SETTABLE, DATE_UPDATED, Field, GET, ID, LEAD_ID, LIST, Laws, NESTED, ORGANIZATION,
            Resource, Type, Unset,
        },
    },
    world::{people::Caller, view::View},
};

/// Fields of other objects: read with the opportunity, reported by their own events.
const FOREIGN: u8 = LIST | GET | NESTED;

fn status(record: &Record) -> Option<Id> {
    record.id_of("status_id")
}

fn of_status(s: &Scene<'_>, name: &'static str) -> Value {
    s.view.field_of(status(s.record), name)
}

/// An opportunity. Stored: `status_id`, `value` (cents), `value_period`, `confidence`, `user_id`, `contact_id`,
/// `date_won` (a day), `date_lost` (a moment), `note`, `attachments`.
pub static OPPORTUNITY: Resource = Resource {
    name: "opportunity",
    event: Some(|_| "opportunity"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            LEAD_ID,
            Field::computed("lead_name", |s| lead::fields::name_of(s.view, s.record.lead)),
            ORGANIZATION,
            Field::stored("status_id", Type::Ref(&[Kind::OpportunityStatus])).writable().not_null(),
            Field::computed("status_label", |s| of_status(s, "label")),
            Field::computed("status_display_name", status_display_name),
            Field::computed("status_type", |s| of_status(s, "type")),
            Field::computed("pipeline_id", |s| of_status(s, "pipeline_id")),
            Field::computed("pipeline_name", |s| s.view.field_of(of_status(s, "pipeline_id").as_id(), "name")),
            Field::stored("value", Type::Int(-1_000_000_000_000_000, 1_000_000_000_000_000)).writable(),
            Field::computed("value_currency", |s| money::currency(s.view)),
            Field::computed("value_formatted", |s| {
                money::formatted(s.view, s.record.int("value"), money::period(s.record))
            }),
            Field::stored("value_period", Type::Choice(money::PERIODS))
                .writable()
                .not_null()
                .unset(Unset::Text("one_time")),
            Field::computed("expected_value", |s| money::expected(s.record, s.record.int("value")).into()),
            Field::computed("annualized_value", |s| money::annualized(s.record).into()),
            Field::computed("annualized_expected_value", |s| {
                money::expected(s.record, money::annualized(s.record)).into()
            }),
            Field::stored("confidence", Type::Int(0, 100)).writable().not_null().unset(Unset::Zero),
            Field::stored("user_id", Type::Ref(&[Kind::User])).writable(),
            Field::computed("user_name", |s| s.view.user_name(s.record.id_of("user_id"))),
            Field::stored("contact_id", Type::Ref(&[Kind::Contact])).writable(),
            Field::computed("contact_name", |s| {
                s.record.id_of("contact_id").and_then(|id| s.view.get(id)).map(contact::display_name).into()
            }),
            Field::stored("date_won", Type::Day).writable(),
            Field::stored("date_lost", Type::Moment),
            Field::stored("note", Type::Text(65_536)).writable(),
            Field::computed("note_html", note_html).on_request(),
            Field::stored("attachments", Type::Json).writable().unset(Unset::EmptyList),
            Field::computed("comment_summary", comment_summary).only(FOREIGN),
            Field::computed("is_stalled", |s| is_stalled(s).into()).volatile(),
            Field::computed("stall_status", |_| Value::Null).volatile(),
            Field::computed("suggested_action", |_| Value::Null).volatile(),
            Field::computed("lead_primary_email", |s| lead::fields::primary_email(s.view, s.record.lead)).only(FOREIGN),
            Field::computed("lead_primary_phone", |s| lead::fields::primary_phone(s.view, s.record.lead)).only(FOREIGN),
            Field::computed("integration_links", |s| lead::fields::links(s, "opportunity")).only(FOREIGN),
        ],
        AUTHORS,
        &[DATE_CREATED_SETTABLE, DATE_UPDATED],
    ],
    custom_fields: true,
    laws: Laws {
        reword: laws::reword,
        prepare: laws::prepare,
        created: |change, id, _| {
            laws::created(change, id);
            Ok(())
        },
        revise: laws::revise,
        updated: |change, before, id, _| {
            laws::updated(change, before, id);
            Ok(())
        },
        deleted: |change, opportunity| {
            laws::deleted(change, opportunity);
            Ok(())
        },
        ..Laws::PLAIN
    },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Offset { max_limit: 250, max_skip: 250_000 },
        filters: list::FILTERS,
        orders: list::ORDERS,
        check: list::check,
        extras: Some(list::aggregates),
        permit,
        section: "4.3",
        ..Collection::new("opportunity", &[Kind::Opportunity])
    }],
    endpoints: &[],
};

/// Changing another user's opportunity needs one permission, deleting one's own needs another (reference, section 9.2).
fn permit(_view: &View<'_>, caller: &Caller, deed: Deed, record: Option<&Record>) -> bool {
    let own = record.is_none_or(|record| record.id_of("user_id").is_none_or(|user| user == caller.user));
    match deed {
        Deed::Read | Deed::Create => true,
        Deed::Update => own || caller.may("manage_others_opportunities"),
        Deed::Delete if own => caller.may("delete_own_opportunities"),
        Deed::Delete => caller.may("manage_others_opportunities"),
    }
}

/// The label, with the pipeline's name if there are several.
fn status_display_name(s: &Scene<'_>) -> Value {
    let label = of_status(s, "label");
    let pipeline = s.view.field_of(of_status(s, "pipeline_id").as_id(), "name");
    match (label.as_text(), pipeline.as_text()) {
        (Some(label), Some(pipeline)) if s.view.world.store.count(Kind::Pipeline) > 1 => {
            format!("{label} ({pipeline})").into()
        }
        _ => label,
    }
}

/// Active and untouched for 30 days: Close's own criterion is not published.
fn is_stalled(s: &Scene<'_>) -> bool {
    of_status(s, "type").as_text() == Some("active") && s.record.updated < s.view.now.plus_days(-30)
}

fn note_html(s: &Scene<'_>) -> Value {
    let Some(note) = s.record.text("note") else { return Value::Null };
    let escaped = note.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<body><p>{}</p></body>", escaped.replace('\n', "<br>")).into()
}

fn comment_summary(s: &Scene<'_>) -> Value {
    let Some(lead) = s.record.lead else { return Value::Null };
    let thread =
        s.view.of_lead(lead, Kind::CommentThread).find(|thread| thread.id_of("object_id") == Some(s.record.id));
    thread.map_or(Value::Null, |thread| {
        Value::object([
            ("thread_id", thread.id.into()),
            ("comment_count", thread.int("comment_count").unwrap_or(0).into()),
        ])
    })
}
