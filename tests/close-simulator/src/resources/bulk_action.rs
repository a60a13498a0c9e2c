//! Bulk actions: asynchronous changes of the results of a query (reference, sections 4.10 and 6.6), in four kinds with
//! a path each. Their work, portion by portion, is in `bulk_work`.

use serde_json::Value as Json;

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{C, Deed, G, L},
        object,
    },
    model::{
        Id, Kind, Moment, Record, Refusal, Stamps, Value,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset, Write},
    },
    resources::{bulk_work, custom_field},
    world::{
        change::{Body, Change},
        jobs::Job,
    },
};

pub use bulk_work::step;

/// States of a bulk action.
const STATUSES: &[&str] = &["created", "loading", "processing", "done", "paused", "resuming", "error"];

/// The edits of a bulk edit: a prefix `set_` or `clear_`, then the target.
const EDITS: &[&str] = &[
    "set_lead_status",
    "set_custom_field",
    "clear_custom_field",
    "set_contact_custom_field",
    "clear_contact_custom_field",
    "set_opportunity_custom_field",
    "clear_opportunity_custom_field",
];

/// A field of some kinds of bulk action: null when unset there, absent in the other kinds.
macro_rules! own {
    ($kinds:expr, $name:literal, $ty:expr) => {
        Field {
            ty: $ty,
            write: Write::Once,
            unset: Unset::Absent,
            ..Field::computed($name, |s| own(s.record, $kinds, $name))
        }
    };
}

/// A bulk action. Stored, not shown: `kind` (`email`, `edit`, `delete`, `sequence_subscription`), `selection` (the
/// matching ids) and `due` (the time of its next step).
pub static BULK_ACTION: Resource = Resource {
    name: "bulk_action",
    event: Some(|record| match record.text("kind") {
        Some("email") => "bulk_action.email",
        Some("delete") => "bulk_action.delete",
        Some("sequence_subscription") => "bulk_action.sequence_subscription",
        _ => "bulk_action.edit",
    }),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("status", Type::Choice(STATUSES)),
            Field::stored("query", Type::Text(50_000)).write(Write::Once),
            Field::stored("s_query", Type::Json).write(Write::Once),
            Field::stored("sort", Type::Json).write(Write::Once).unset(Unset::EmptyList),
            Field::stored("results_limit", Type::Int(0, i64::MAX)).write(Write::Once),
            Field::stored("n_leads", Type::Int(0, i64::MAX)),
            Field::stored("n_leads_processed", Type::Int(0, i64::MAX)).unset(Unset::Zero),
            Field::stored("n_objects", Type::Int(0, i64::MAX)),
            Field::stored("n_objects_processed", Type::Int(0, i64::MAX)).unset(Unset::Zero),
            Field::stored("send_done_email", Type::Bool).write(Write::Once).unset(Unset::Json("true")),
            own!(&["edit"], "type", Type::Choice(EDITS)),
            own!(&["edit"], "lead_status_id", Type::Ref(&[Kind::LeadStatus])),
            own!(&["edit"], "custom_field_id", Type::Ref(&[Kind::CustomField])),
            own!(&["edit"], "custom_field_name", Type::Text(255)),
            own!(&["edit"], "custom_field_value", Type::Json),
            own!(&["edit"], "custom_field_values", Type::Json),
            own!(&["edit"], "custom_field_operation", Type::Choice(&["add", "remove", "replace"])),
            own!(
                &["delete"],
                "bulk_object_type",
                Type::Choice(&["lead", "contact", "call", "custom_activity", "form_submission"])
            ),
            own!(&["email"], "template_id", Type::Ref(&[Kind::EmailTemplate])),
            own!(&["email"], "email_account_id", Type::Ref(&[Kind::ConnectedAccount])),
            own!(&["email"], "sender", Type::Text(1024)),
            own!(
                &["sequence_subscription"],
                "action_type",
                Type::Choice(&["subscribe", "resume", "resume_finished", "pause", "reassign"])
            ),
            own!(&["sequence_subscription"], "sequence_id", Type::Ref(&[Kind::Sequence])),
            own!(&["sequence_subscription"], "sender_account_id", Type::Text(64)),
            own!(&["sequence_subscription"], "sender_name", Type::Text(255)),
            own!(&["sequence_subscription"], "sender_email", Type::Text(320)),
            own!(&["sequence_subscription"], "calls_assigned_to", Type::List(&Type::Ref(&[Kind::User]))),
            own!(&["email", "sequence_subscription"], "contact_preference", Type::Choice(&["lead", "contact"])),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, created, ..Laws::PLAIN },
};

fn own(record: &Record, kinds: &[&str], name: &'static str) -> Value {
    if record.text("kind").is_some_and(|kind| kinds.contains(&kind)) {
        record.get(name).cloned().unwrap_or(Value::Json("null".into()))
    } else {
        Value::Null
    }
}

/// The collection of one kind, and the permission to start one.
macro_rules! collection {
    ($kind:literal, $permission:literal) => {
        Collection {
            holds: |record| record.text("kind") == Some($kind),
            preset: |record| record.set("kind", $kind),
            methods: L | G | C,
            total: false,
            permit: |_, caller, deed, _| deed == Deed::Read || caller.may($permission),
            section: "4.10",
            ..Collection::new(concat!("bulk_action/", $kind), &[Kind::BulkAction])
        }
    };
}

pub static SOURCE: Source = Source {
    collections: &[
        collection!("email", "bulk_email"),
        collection!("edit", "bulk_edit"),
        collection!("delete", "bulk_delete"),
        collection!("sequence_subscription", "bulk_sequence_subscriptions"),
    ],
    endpoints: &[Endpoint {
        method: "PUT",
        path: "bulk_action/{}/{}",
        handler: Handler::Write(hold),
        section: "4.10",
        exactness: Exactness::Chosen,
    }],
};

fn required(record: &Record, names: &[&'static str]) -> Result<(), Refusal> {
    let missing = names.iter().filter(|name| record.get(name).is_none());
    let fields: serde_json::Map<String, Json> =
        missing.map(|name| ((*name).to_owned(), "This field is required.".into())).collect();
    if fields.is_empty() { Ok(()) } else { Err(Refusal::Invalid { errors: Vec::new(), fields }) }
}

fn prepare(change: &mut Change<'_>, action: &mut Record, body: &Body) -> Result<(), Refusal> {
    match action.text("kind") {
        Some("edit") => {
            required(action, &["type"])?;
            match action.text("type").unwrap_or("") {
                "set_lead_status" => required(action, &["lead_status_id"])?,
                edit => prepare_field(change, action, body, edit.starts_with("set_"))?,
            }
        }
        Some("delete") => {
            if action.get("bulk_object_type").is_none() {
                action.set("bulk_object_type", "lead");
            }
        }
        Some("email") => required(action, &["template_id"])?,
        _ => {
            required(action, &["action_type"])?;
            if action.text("action_type") == Some("subscribe") {
                required(
                    action,
                    &["sequence_id", "sender_account_id", "sender_name", "sender_email", "contact_preference"],
                )?;
            }
        }
    }
    if matches!(action.text("kind"), Some("email")) && action.get("contact_preference").is_none() {
        action.set("contact_preference", "lead");
    }
    action.set("status", "created");
    action.set("due", due(change));
    Ok(())
}

/// Finds the custom field of an edit by id or exact name and checks the new value.
fn prepare_field(change: &Change<'_>, action: &mut Record, body: &Body, sets: bool) -> Result<(), Refusal> {
    let view = change.view();
    let field = match (action.id_of("custom_field_id"), action.text("custom_field_name")) {
        (Some(id), _) => view.get(id),
        (None, Some(name)) => view.all(Kind::CustomField).find(|field| field.text("name") == Some(name)),
        (None, None) => return Err(Refusal::field("custom_field_id", "This field is required.")),
    };
    let field = field.ok_or_else(|| Refusal::field("custom_field_name", "There is no such custom field."))?;
    if sets {
        let name = if body.get("custom_field_values").is_some() { "custom_field_values" } else { "custom_field_value" };
        let value = body.get(name).ok_or_else(|| Refusal::field("custom_field_value", "This field is required."))?;
        custom_field::read(&view, field, value).map_err(|error| Refusal::field(name, error))?;
    }
    action.set("custom_field_id", field.id);
    action.set("custom_field_name", field.text("name"));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)]
fn created(change: &mut Change<'_>, id: Id, _: &Body) -> Result<(), Refusal> {
    change.schedule(due(change), Job::BulkAction(id));
    Ok(())
}

/// The time of the next step.
pub(super) fn due(change: &Change<'_>) -> Moment {
    change.now().plus_millis(change.world.switches.job_step_ms.max(0))
}

/// `{"status": "paused"}` pauses a bulk action, `{"status": "resuming"}` resumes it.
fn hold(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let (kind, text) = (&request.segments[0], &request.segments[1]);
    let action = change.view().parse_id(text).and_then(|id| change.get(id));
    let action = action.filter(|action| action.kind() == Kind::BulkAction && action.text("kind") == Some(kind));
    let action = action.ok_or_else(|| Refusal::missing(text))?;
    change.require(match kind.as_str() {
        "email" => "bulk_email",
        "edit" => "bulk_edit",
        "delete" => "bulk_delete",
        _ => "bulk_sequence_subscriptions",
    })?;
    match (request.json()?.text("status"), action.text("status").unwrap_or("")) {
        (None, _) | (Some("paused"), "paused") | (Some("resuming"), "resuming") => {}
        (Some("paused"), "created" | "loading" | "processing" | "resuming") => {
            change.edit(action.id, |action| action.set("status", "paused"));
            change.emit(action.id, "paused");
        }
        (Some("resuming"), "paused") => {
            let due = due(change);
            change.edit(action.id, |action| {
                action.set("status", "resuming");
                action.set("due", due);
            });
            change.schedule(due, Job::BulkAction(action.id));
        }
        (Some("paused" | "resuming"), status) => {
            return Err(Refusal::field(
                "status",
                format!("A bulk action that is {status} cannot be paused or resumed."),
            ));
        }
        (Some(_), _) => return Err(Refusal::field("status", "Not a valid choice. Expected one of: paused, resuming.")),
    }
    Ok(object::written(change, action.id, request, 200))
}
