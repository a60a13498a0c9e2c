//! Tasks of leads and the system's notifications, which share one path (reference, section 4.4).
//!
//! Tasks of type `lead` have their own ids (`task_`); every other type is a [`NOTIFICATION`] (`noti_`) with its type
//! stored as `_type`. `fields` has the fields of both, `list` filters and orders, `laws` the side effects of completing
//! and reopening, `system` creates notifications, and `bulk` has the paths without an id.

mod bulk;
pub mod fields;
mod laws;
mod list;
pub mod system;

use crate::{
    http::{
        Collection, Endpoint, Exactness, Handler, Source,
        collection::{D, Deed, G, L, Paging, U},
    },
    model::{
        Id, Kind, Record, Stamps,
        resource::{AUTHORS, DATES, Laws, Resource},
    },
    world::{change::Change, people::Caller, view::View},
};

/// Every `_type`; the first is that of [`TASK`].
pub const TYPES: &[&str] = &[
    "lead",
    "incoming_email",
    "email_followup",
    "missed_call",
    "answered_detached_call",
    "voicemail",
    "opportunity_due",
    "incoming_sms",
    "outgoing_call",
];

/// The `_type` of either kind.
pub fn type_of(task: &Record) -> &str {
    match task.kind() {
        Kind::Task => "lead",
        _ => task.text("_type").unwrap_or("incoming_email"),
    }
}

const LAWS: Laws = Laws {
    reword: |_, body| Ok(laws::reword(body)),
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
    deleted: |change, task| {
        laws::deleted(change, task);
        Ok(())
    },
    ..Laws::PLAIN
};

/// A lead's task. Stored: `assigned_to`, `contact_id`, `text`, `date` (a day or a moment), `is_complete`, `priority`,
/// `resolution`, `object_type`, `object_id`, `deduplication_key`.
pub static TASK: Resource = Resource {
    name: "task",
    event: Some(|_| "task.lead"),
    stamps: Stamps::Offset,
    fields: &[fields::COMMON, fields::LEAD, AUTHORS, DATES],
    custom_fields: false,
    laws: LAWS,
};

/// Every other type of task. Stored like [`TASK`], and `_type` with the fields of that type.
pub static NOTIFICATION: Resource = Resource {
    name: "notification",
    event: Some(|record| match type_of(record) {
        "email_followup" => "task.email_followup",
        "missed_call" => "task.missed_call",
        "answered_detached_call" => "task.answered_detached_call",
        "voicemail" => "task.voicemail",
        "opportunity_due" => "task.opportunity_due",
        "incoming_sms" => "task.incoming_sms",
        "outgoing_call" => "task.outgoing_call",
        _ => "task.incoming_email",
    }),
    stamps: Stamps::Offset,
    fields: &[fields::COMMON, fields::SYSTEM, AUTHORS, DATES],
    custom_fields: false,
    laws: LAWS,
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G | U | D,
        paging: Paging::Offset { max_limit: bulk::MOST, max_skip: 250_000 },
        filters: list::FILTERS,
        orders: list::ORDERS,
        check: list::check,
        permit,
        section: "4.4",
        ..Collection::new("task", &[Kind::Task, Kind::Notification])
    }],
    endpoints: &[
        Endpoint {
            method: "POST",
            path: "task",
            handler: Handler::Write(bulk::create),
            section: "4.4",
            exactness: Exactness::Documented,
        },
        Endpoint {
            method: "PUT",
            path: "task",
            handler: Handler::Write(bulk::update),
            section: "4.4",
            exactness: Exactness::Documented,
        },
    ],
};

/// Changing another user's task needs one permission, deleting one's own needs another (reference, section 9.2).
fn permit(_view: &View<'_>, caller: &Caller, deed: Deed, record: Option<&Record>) -> bool {
    let own = record.is_none_or(|record| record.id_of("assigned_to").is_none_or(|user| user == caller.user));
    match deed {
        Deed::Read | Deed::Create => true,
        Deed::Update => own || caller.may("manage_others_tasks"),
        Deed::Delete if own => caller.may("delete_own_tasks"),
        Deed::Delete => caller.may("manage_others_tasks"),
    }
}

/// Removes a completed system task whose retention has ended.
pub fn purge(change: &mut Change<'_>, id: Id) {
    let due = change.now().plus_days(-change.world.switches.task_purge_days);
    let over = change.get(id).is_some_and(|task| {
        task.is("is_complete") && task.moment(fields::COMPLETED_AT).is_some_and(|completed| completed <= due)
    });
    if over && change.world.switches.purge_events {
        change.remove(id);
    } else if over {
        change.remove_silently(id);
    }
}
