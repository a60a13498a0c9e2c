//! Execution of bulk actions: created, loading, processing in portions, done. The events of one bulk action are spread
//! over its steps, each with `meta.bulk_action_id` (reference, section 6.6; section 12, item 28).

use serde_json::{Map, Value as Json, json};

use crate::{
    model::{Id, Kind, Moment, Record, Stamps, Value, render::write_value},
    resources::{bulk_action::due, search, subscription, template_render},
    world::{
        change::{Body, Change},
        jobs::Job,
        view::View,
    },
};

/// Leads per step.
const PORTION: usize = 50;

/// Runs the next step.
pub fn step(change: &mut Change<'_>, id: Id) {
    let Some(action) = change.get(id) else { return };
    // A bulk action that was paused and resumed meanwhile has another step due.
    if action.moment("due") != Some(change.now()) {
        return;
    }
    change.actor.user = action.author;
    let due = due(change);
    match action.text("status") {
        Some("created") => go_on(change, id, due, |action| action.set("status", "loading")),
        Some("loading") => load(change, &action, due),
        Some("resuming") => {
            let next = if action.get("selection").is_some() { "processing" } else { "loading" };
            go_on(change, id, due, |action| action.set("status", next));
        }
        Some("processing") => process(change, &action, due),
        _ => {}
    }
}

/// Stores the progress and schedules the next step.
fn go_on(change: &mut Change<'_>, id: Id, due: Moment, edit: impl FnOnce(&mut Record)) {
    change.edit(id, |action| {
        edit(action);
        action.set("due", due);
    });
    change.schedule(due, Job::BulkAction(id));
}

/// Runs the query, with its author's visibility.
fn load(change: &mut Change<'_>, action: &Record, due: Moment) {
    let s_query = match action.get("s_query") {
        Some(Value::Json(text)) => serde_json::from_str::<Json>(text).ok(),
        _ => None,
    };
    let limit = action.int("results_limit").and_then(|limit| usize::try_from(limit).ok());
    let caller = action.author.and_then(|user| change.world.caller_for(user));
    let view = match &caller {
        Some(caller) => View::of(change.world, caller),
        None => change.whole(),
    };
    let Ok(found) = search::select(&view, action.text("query"), s_query.as_ref(), limit) else {
        change.edit(action.id, |action| action.set("status", "error"));
        return;
    };
    let objects: usize = found.iter().map(|id| targets(&view, action, *id).len()).sum();
    let leads = found.len() as i64;
    go_on(change, action.id, due, |action| {
        action.set("status", "processing");
        action.set("n_leads", leads);
        action.set("n_objects", objects as i64);
        action.set("n_leads_processed", 0i64);
        action.set("n_objects_processed", 0i64);
        action.set("selection", Value::list(found.into_iter().map(Value::Id)));
    });
}

/// Processes the next portion, and ends the action with the last.
fn process(change: &mut Change<'_>, action: &Record, due: Moment) {
    let selection = action.get("selection").map(Value::items).unwrap_or_default();
    let done = usize::try_from(action.int("n_leads_processed").unwrap_or(0)).unwrap_or(0);
    let portion = &selection[done.min(selection.len())..(done + PORTION).min(selection.len())];
    change.actor.meta.push(("bulk_action_id", action.id));
    let mut objects = 0;
    for found in portion.iter().filter_map(Value::as_id) {
        for target in targets(&change.whole(), action, found) {
            act(change, action, found, target);
            objects += 1;
        }
    }
    change.actor.meta.clear();
    let count = |action: &mut Record| {
        action.set("n_leads_processed", (done + portion.len()) as i64);
        action.set("n_objects_processed", action.int("n_objects_processed").unwrap_or(0) + objects);
    };
    if done + portion.len() < selection.len() {
        return go_on(change, action.id, due, count);
    }
    change.edit(action.id, |action| {
        count(action);
        action.set("status", "done");
        action.set("selection", Value::Null);
        action.set("due", Value::Null);
    });
    change.emit(action.id, "completed");
}

/// The objects to change for one match: the lead itself, or some of its children.
fn targets(view: &View<'_>, action: &Record, found: Id) -> Vec<Id> {
    let of = |kind: Kind| -> Vec<Id> {
        match found.kind() {
            Kind::Lead => view.of_lead(found, kind).map(|record| record.id).collect(),
            own if own == kind => vec![found],
            _ => Vec::new(),
        }
    };
    match (action.text("kind"), action.text("type"), action.text("bulk_object_type"), action.text("action_type")) {
        (Some("edit"), Some("set_contact_custom_field" | "clear_contact_custom_field"), ..)
        | (Some("delete"), _, Some("contact"), _) => of(Kind::Contact),
        (Some("edit"), Some("set_opportunity_custom_field" | "clear_opportunity_custom_field"), ..) => {
            of(Kind::Opportunity)
        }
        (Some("delete"), _, Some("call"), _) => of(Kind::Call),
        (Some("delete"), _, Some("custom_activity"), _) => of(Kind::CustomActivity),
        (Some("delete"), _, Some("form_submission"), _) => of(Kind::FormSubmission),
        (Some("email"), ..) | (Some("sequence_subscription"), _, _, Some("subscribe")) => {
            let reachable = of(Kind::Contact).into_iter().filter(|contact| {
                view.get(*contact).and_then(subscription::email_of).is_some_and(|email| wants_mail(view, &email))
            });
            let each = action.text("contact_preference") == Some("contact");
            reachable.take(if each { usize::MAX } else { 1 }).collect()
        }
        (Some("sequence_subscription"), ..) => {
            let wanted = |subscription: &Record| {
                matches!(
                    (action.text("action_type"), subscription.text("status")),
                    (Some("pause" | "reassign"), Some("active"))
                        | (Some("resume" | "reassign"), Some("paused"))
                        | (Some("resume_finished"), Some("finished"))
                )
            };
            let all = subscription::of_lead(view, found, action.id_of("sequence_id"));
            all.into_iter().filter(|id| view.get(*id).is_some_and(wanted)).collect()
        }
        _ if found.kind() == Kind::Lead => vec![found],
        _ => Vec::new(),
    }
}

fn wants_mail(view: &View<'_>, email: &str) -> bool {
    let email = email.to_lowercase();
    !view.all(Kind::UnsubscribedEmail).any(|record| record.text("email") == Some(&email))
}

/// Changes one object. Objects whose laws refuse the change are skipped.
fn act(change: &mut Change<'_>, action: &Record, found: Id, target: Id) {
    let seed = change.world.seed;
    let mut body = Map::new();
    let refused = match (action.text("kind"), action.text("action_type")) {
        (Some("edit"), _) => {
            let (name, value) = edit(action, seed);
            body.insert(name, value);
            change.revise(target, &of(body)).err()
        }
        (Some("delete"), _) => change.delete(target).err(),
        (Some("email"), _) => {
            let body = mail(&change.whole(), action, found, target);
            let named = |mail: &mut Record| mail.set("bulk_email_action_id", action.id);
            body.and_then(|body| change.create_with(Kind::Email, &of(body), named).err())
        }
        (_, Some("subscribe")) => {
            body.insert("contact_id".to_owned(), target.text(seed).into());
            for name in ["sequence_id", "sender_account_id", "sender_name", "sender_email", "calls_assigned_to"] {
                body.insert(name.to_owned(), json_of(action, name, seed));
            }
            body.retain(|_, value| !value.is_null());
            change.create(Kind::SequenceSubscription, &of(body)).err()
        }
        (_, Some("reassign")) => {
            for name in ["sender_account_id", "sender_name", "sender_email", "calls_assigned_to"] {
                body.insert(name.to_owned(), json_of(action, name, seed));
            }
            body.retain(|_, value| !value.is_null());
            change.revise(target, &of(body)).err()
        }
        (_, kind) => {
            let status = if kind == Some("pause") { "paused" } else { "active" };
            body.insert("status".to_owned(), status.into());
            change.revise(target, &of(body)).err()
        }
    };
    if let Some(refusal) = refused {
        tracing::debug!(?refusal, ?target, "a bulk action passes over an object");
    }
}

fn of(map: Map<String, Json>) -> Body {
    Body { map, offset_minutes: 0 }
}

fn json_of(record: &Record, name: &'static str, seed: u64) -> Json {
    let mut out = Vec::new();
    write_value(record.get(name).unwrap_or(&Value::Null), seed, Stamps::Offset, &mut out);
    serde_json::from_slice(&out).unwrap_or(Json::Null)
}

/// The member of a body that carries out an edit.
fn edit(action: &Record, seed: u64) -> (String, Json) {
    let kind = action.text("type").unwrap_or("");
    if kind == "set_lead_status" {
        return ("status_id".to_owned(), json_of(action, "lead_status_id", seed));
    }
    let field = action.id_of("custom_field_id").map(|id| id.text(seed)).unwrap_or_default();
    if kind.starts_with("clear_") {
        return (format!("custom.{field}"), Json::Null);
    }
    let values = json_of(action, "custom_field_values", seed);
    let value = if values.is_null() { json_of(action, "custom_field_value", seed) } else { values };
    match action.text("custom_field_operation") {
        Some(operation @ ("add" | "remove")) => (format!("custom.{field}.{operation}"), value),
        _ => (format!("custom.{field}"), value),
    }
}

/// The mail to one contact.
fn mail(view: &View<'_>, action: &Record, found: Id, contact: Id) -> Option<Map<String, Json>> {
    let contact = view.get(contact)?;
    let lead = view.get(contact.lead.unwrap_or(found))?;
    let template = view.get(action.id_of("template_id")?)?;
    let filled =
        template_render::filled(view, template, lead, Some(contact), action.author.and_then(|user| view.get(user)));
    let mail = json!({
        "lead_id": filled["lead_id"],
        "contact_id": filled["contact_id"],
        "direction": "outgoing",
        "status": "outbox",
        "to": [filled["email"]],
        "subject": filled["subject"],
        "body_html": filled["body"],
        "template_id": view.id_text(template.id),
    });
    let mut mail = mail.as_object().cloned()?;
    for name in ["sender", "email_account_id"] {
        if action.get(name).is_some() {
            mail.insert(name.to_owned(), json_of(action, name, view.seed()));
        }
    }
    Some(mail)
}
