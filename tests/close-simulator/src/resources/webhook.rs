//! Webhook subscriptions (reference, sections 7.1 to 7.3). `crate::webhooks` has the deliveries.

// Laws and checks have one signature, whether or not they refuse anything.
#![allow(clippy::unnecessary_wraps)]

use serde_json::{Map, Value as Json, json};

use crate::{
    http::{
        Collection, Request, Source,
        collection::{Condition, Deed, Paging},
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    webhooks::{Queue, catalogue, matcher::Matcher, signature},
    world::{
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

/// Maximum subscriptions of an organization.
const QUOTA: usize = 40;

/// A subscription. `events` is stored as JSON text: a list of `{object_type, action, extra_filter}`.
pub static WEBHOOK: Resource = Resource {
    name: "webhook",
    event: None,
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("url", Type::Text(2_048)).required(),
            Field::stored("status", Type::Choice(&["active", "paused"])).writable().not_null(),
            Field::stored("verify_ssl", Type::Bool).writable().not_null(),
            Field::stored("events", Type::Json).required(),
            Field::computed("signature_key", |s| signature::key(s.view.seed(), s.record.id).into()),
        ],
        DATES,
        AUTHOR_IDS,
        &[
            Field::computed("health_status", |s| {
                let failing = queue(s.view, s.record).is_some_and(|queue| queue.failing_since.is_some());
                if failing { "unhealthy" } else { "healthy" }.into()
            })
            .volatile(),
            Field::computed("latest_error", |s| {
                queue(s.view, s.record).and_then(|queue| queue.latest_error.as_deref()).map(Value::from).into()
            })
            .volatile(),
            Field::text("pause_reason"),
            // A bucket is taken to be an hour.
            Field::computed("recent_consecutive_fail_buckets_cnt", |s| {
                let since = queue(s.view, s.record).and_then(|queue| queue.failing_since);
                since.map_or(0, |since| s.view.now.millis_since(since) / 3_600_000 + 1).into()
            })
            .volatile(),
            Field::computed("counters", |_| Value::Null).unset(Unset::EmptyObject).volatile(),
        ],
    ],
    custom_fields: false,
    laws: Laws { prepare, created, revise, updated, deleted, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Bare,
        total: false,
        check: own,
        permit: |_, caller, deed, record| match (deed, record) {
            (Deed::Read | Deed::Create, None) => true,
            (_, record) => caller.is_admin() || record.is_some_and(|record| record.author == Some(caller.user)),
        },
        created_status: 201,
        section: "7.2",
        ..Collection::new("webhook", &[Kind::Webhook])
    }],
    endpoints: &[],
};

fn queue<'v>(view: &'v View<'_>, record: &Record) -> Option<&'v Queue> {
    view.world.webhooks.queue(record.id)
}

/// Administrators see all subscriptions, others their own.
fn own(view: &View<'_>, _request: &Request) -> Result<Vec<Condition>, Refusal> {
    let own: Option<Id> = view.caller.filter(|caller: &&Caller| !caller.is_admin()).map(|caller| caller.user);
    Ok(own
        .map(|user| Box::new(move |_: &View<'_>, record: &Record| record.author == Some(user)) as Condition)
        .into_iter()
        .collect())
}

fn prepare(change: &mut Change<'_>, record: &mut Record, _body: &Body) -> Result<(), Refusal> {
    check(record)?;
    if change.world.store.count(Kind::Webhook) >= QUOTA {
        return Err(Refusal::Status(
            change.world.switches.webhook_quota_status,
            format!("An organization may have at most {QUOTA} webhook subscriptions."),
        ));
    }
    for (name, value) in [("status", Value::from("active")), ("verify_ssl", true.into())] {
        if record.get(name).is_none() {
            record.set(name, value);
        }
    }
    Ok(())
}

fn revise(_change: &mut Change<'_>, before: &Record, after: &mut Record, _body: &Body) -> Result<(), Refusal> {
    check(after)?;
    if before.text("status") != after.text("status") {
        after.set("pause_reason", Value::Null);
    }
    Ok(())
}

fn created(change: &mut Change<'_>, _id: Id, _body: &Body) -> Result<(), Refusal> {
    change.world.webhooks.subscriptions_changed();
    Ok(())
}

fn updated(change: &mut Change<'_>, before: &Record, id: Id, _body: &Body) -> Result<(), Refusal> {
    let status = change.get(id).and_then(|record| record.text("status").map(str::to_owned));
    match (before.text("status"), status.as_deref()) {
        // Its pending events are dropped, and so are events while it is paused (reference, section 7.5).
        (Some("active"), Some("paused")) => change.world.webhooks.clear(id),
        (Some("paused"), Some("active")) => change.world.webhooks.resumed(id),
        _ => change.world.webhooks.subscriptions_changed(),
    }
    Ok(())
}

fn deleted(change: &mut Change<'_>, record: &Record) -> Result<(), Refusal> {
    change.world.webhooks.forget(record.id);
    Ok(())
}

/// Checks the URL and the events, and normalizes the events.
fn check(record: &mut Record) -> Result<(), Refusal> {
    let url = record.text("url").and_then(|url| reqwest::Url::parse(url).ok());
    if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        return Err(Refusal::field("url", "Not a valid URL: it must begin with http:// or https://."));
    }
    let Some(Value::Json(events)) = record.get("events") else {
        return Err(Refusal::field("events", "This field is required."));
    };
    let events = match serde_json::from_str::<Json>(events) {
        Ok(Json::Array(events)) if !events.is_empty() => events,
        Ok(Json::Array(_)) => return Err(Refusal::field("events", "At least one event is required.")),
        _ => return Err(Refusal::field("events", "Not a valid list.")),
    };
    let mut errors = Map::new();
    let mut read = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        match check_event(event) {
            Ok(event) => read.push(event),
            Err((field, message)) => {
                errors.insert(at.to_string(), json!({ "errors": [], "field-errors": { field: message } }));
            }
        }
    }
    if !errors.is_empty() {
        let mut fields = Map::new();
        fields.insert("events".to_owned(), json!({ "errors": errors }));
        return Err(Refusal::Invalid { errors: Vec::new(), fields });
    }
    record.set("events", Value::json(&Json::Array(read)));
    Ok(())
}

fn check_event(event: &Json) -> Result<Json, (&'static str, String)> {
    let required = |name: &'static str| event[name].as_str().ok_or((name, "This field is required.".to_owned()));
    let (object_type, action) = (required("object_type")?, required("action")?);
    if !catalogue::knows(object_type, action) {
        return Err(("object_type", format!("There are no events '{action}' of '{object_type}'.")));
    }
    let filter = &event["extra_filter"];
    if !filter.is_null() {
        Matcher::parse(filter).map_err(|error| ("extra_filter", error))?;
    }
    Ok(json!({ "object_type": object_type, "action": action, "extra_filter": filter }))
}
