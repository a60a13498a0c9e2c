//! Leads: companies, with their contacts, opportunities and open tasks inside (reference, section 4.1).
//!
//! `fields` computes the shown fields, `laws` has the side effects of a change, `merge` merges two leads.

pub mod address;
pub mod fields;
pub mod laws;
pub mod merge;

use std::sync::Arc;

use crate::{
    http::{
        Collection, Endpoint, Exactness, Handler, Source,
        collection::{Deed, Filter, Paging, Test},
    },
    model::{
        Id, Key, Kind, Record, Stamps, Value,
        render::{self, Selection},
        resource::{
            AUTHORS, CREATED_BY, CREATED_BY_NAME, DATE_CREATED_SETTABLE, DATE_UPDATED, Field, GET, ID, LIST, Laws,
            NESTED_IN_EVENT, ORGANIZATION, Resource, Type, Write,
        },
    },
    world::change::Change,
};

/// Other objects inside the lead, or values derived from them: read with it, but reported by their own events.
const FOREIGN: u8 = LIST | GET;

/// A lead. Stored: `name`, `description`, `url`, `status_id`, `source`, `addresses` as a list of objects.
pub static LEAD: Resource = Resource {
    name: "lead",
    event: Some(|_| "lead"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(1024)).writable(),
            Field::computed("display_name", |s| fields::display_name(s.view, s.record).into()),
            Field::stored("description", Type::Text(65_536)).writable(),
            Field::stored("url", Type::Text(2048)).writable(),
            Field::computed("html_url", fields::html_url),
            Field::stored("status_id", Type::Ref(&[Kind::LeadStatus])).writable().not_null(),
            Field::computed("status_label", |s| s.view.field_of(s.record.id_of("status_id"), "label")),
            Field::text("source"),
            address::ADDRESSES,
            Field::computed("contact_ids", fields::contact_ids),
            Field::computed("contacts", |s| fields::nested(s.view, fields::contacts(s.view, s.record.id)))
                .only(FOREIGN | NESTED_IN_EVENT),
            Field::computed("opportunities", |s| {
                fields::nested(s.view, s.view.of_lead(s.record.id, Kind::Opportunity))
            })
            .only(FOREIGN | NESTED_IN_EVENT),
            Field::computed("tasks", fields::tasks).only(FOREIGN | NESTED_IN_EVENT),
            Field::computed("integration_links", |s| fields::links(s, "lead")).only(FOREIGN),
            Field::computed("primary_email", |s| fields::primary_email(s.view, Some(s.record.id))).only(FOREIGN),
            Field::computed("primary_phone", |s| fields::primary_phone(s.view, Some(s.record.id))).only(FOREIGN),
            Field::computed("contacts_summary", fields::contacts_summary).only(FOREIGN),
            Field::computed("primary_address_summary", |s| address::summary(s.record).into()),
            Field::computed("localtime", fields::localtime).volatile(),
            Field::computed("recent_calls", |s| super::contact::recent_calls(s.view, Some(s.record.id), None))
                .volatile(),
            Field::computed("summaries", |_| Value::list([])).volatile(),
            Field { ty: Type::Ref(&[Kind::User]), write: Write::Once, ..CREATED_BY },
            CREATED_BY_NAME,
        ],
        AUTHORS.split_at(2).1,
        &[DATE_CREATED_SETTABLE, DATE_UPDATED],
    ],
    custom_fields: true,
    laws: Laws {
        reword: laws::reword,
        prepare: laws::prepare,
        created: |change, id, body| {
            laws::created(change, id, body);
            Ok(())
        },
        revise: laws::revise,
        updated: laws::updated,
        deleting: |change, lead| {
            laws::deleting(change, lead);
            Ok(())
        },
        ..Laws::PLAIN
    },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Offset { max_limit: 200, max_skip: 250_000 },
        filters: &[Filter { param: "query", test: Test::Checked }],
        check: |_, _| Ok(Vec::new()),
        permit: |_, caller, deed, _| deed != Deed::Delete || caller.may("delete_leads"),
        section: "4.1",
        ..Collection::new("lead", &[Kind::Lead])
    }],
    endpoints: &[Endpoint {
        method: "POST",
        path: "lead/merge",
        handler: Handler::Write(merge::begin),
        section: "8.5",
        exactness: Exactness::Inferred,
    }],
};

/// Moves the `date_updated` of a lead whose child changed, without an event (reference, section 12, item 17).
pub fn touched_by_child(change: &mut Change<'_>, lead: Option<Id>) {
    if let Some(lead) = lead {
        change.touch(lead);
    }
}

/// Records that contacts were added to a lead or removed from it, which changes the lead itself (`contact_ids`). Each
/// contact is given as it was before: `None` if it did not exist.
pub fn contacts_changed(change: &mut Change<'_>, lead: Id, before: &[(Id, Option<Arc<Record>>)]) {
    let Some(record) = change.get(lead) else { return };
    let old = {
        let view = before.iter().fold(change.whole(), |view, (id, version)| view.supposing(*id, version.clone()));
        render::rendered(&view, &record, render::EVENT, &Selection::Default)
    };
    let mut after = Record::clone(&record);
    after.updated = change.now().max(after.updated);
    after.editor = change.actor.user.or(after.editor);
    change.update_seen(after, &old);
}

/// Records a completed task: the one change of a child that has a lead event (reference, section 6.5).
pub fn updated_by_task(change: &mut Change<'_>, lead: Option<Id>) {
    let Some(before) = lead.and_then(|lead| change.get(lead)) else { return };
    let old = change.rendered(&before);
    change.touch(before.id);
    let Some(after) = change.get(before.id) else { return };
    let mut changed = old.changed(&change.rendered(&after));
    if changed.is_empty() {
        // Already moved in the same millisecond.
        changed.push(Key::Name("date_updated"));
    }
    let previous = changed.iter().filter_map(|key| Some((*key, Arc::from(old.member(*key)?)))).collect();
    change.emit_changed(before.id, "updated", changed, previous);
}
