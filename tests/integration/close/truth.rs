//! The tables of a Close source against the truth of the simulator: every object, every field.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};
use tokio_postgres::Client;

use super::{
    laboratory::{Organization, compare},
    silence::Silence,
};
use crate::{stack::rows, worker::Worker};

/// The pause between two comparisons.
const PAUSE: Duration = Duration::from_millis(100);

/// Kinds of the truth, and the tables that hold their objects together.
type What<'a> = &'a [(&'a str, &'a [&'a str])];

/// Rows, each by the names of its fields, by id.
type Rows = BTreeMap<String, Map<String, Value>>;

/// Every object of Close.
pub(super) const EVERYTHING: What<'static> = &[
    ("lead", &["lead"]),
    ("contact", &["contact"]),
    ("opportunity", &["opportunity"]),
    ("task,notification", &["task"]),
    ("note", &["note"]),
    ("call", &["call"]),
    ("email", &["email"]),
    ("email_thread", &["email_thread"]),
    ("sms", &["sms"]),
    ("whatsapp_message", &["whatsapp_message"]),
    ("meeting", &["meeting"]),
    ("custom_activity", &["custom_activity"]),
    ("created", &["created"]),
    ("form_submission", &["form_submission"]),
    ("lead_status_change", &["lead_status_change"]),
    ("opportunity_status_change", &["opportunity_status_change"]),
    ("lead_merge", &["lead_merge"]),
    ("task_completed", &["task_completed"]),
    ("import_update", &["import_update"]),
    ("custom_object", &["custom_object"]),
    ("comment", &["comment"]),
    ("comment_thread", &["comment_thread"]),
    ("organization", &["organization"]),
    ("user", &["user"]),
    ("send_as", &["send_as"]),
    ("membership", &["membership"]),
    ("role", &["role"]),
    ("group", &["group"]),
    ("lead_status", &["lead_status"]),
    ("opportunity_status", &["opportunity_status"]),
    ("pipeline", &["pipeline"]),
    (
        "custom_field",
        &[
            "custom_field_lead",
            "custom_field_contact",
            "custom_field_opportunity",
            "custom_field_activity",
            "custom_field_custom_object",
            "custom_field_shared",
        ],
    ),
    ("custom_activity_type", &["custom_activity_type"]),
    ("custom_object_type", &["custom_object_type"]),
    ("saved_search", &["smart_view"]),
    ("sequence", &["sequence"]),
    ("sequence_subscription", &["sequence_subscription"]),
    ("email_template", &["email_template"]),
    ("sms_template", &["sms_template"]),
    (
        "bulk_action",
        &["bulk_action_email", "bulk_action_edit", "bulk_action_delete", "bulk_action_sequence_subscription"],
    ),
    ("export", &["export"]),
    ("connected_account", &["connected_account"]),
    ("phone_number", &["phone_number"]),
    ("blocked_phone_number", &["blocked_phone_number"]),
    ("integration_link", &["integration_link"]),
    ("outcome", &["outcome"]),
    ("playbook", &["playbook"]),
    ("dialer", &["dialer"]),
    ("unsubscribed_email", &["unsubscribed_email"]),
    ("scheduling_link", &["scheduling_link"]),
    ("shared_scheduling_link", &["shared_scheduling_link"]),
];

/// What most random changes touch, for tests that compare often.
pub(super) const RECORDS: &[&str] = &[
    "lead",
    "contact",
    "opportunity",
    "task,notification",
    "note",
    "call",
    "email",
    "sms",
    "meeting",
    "custom_activity",
];

/// The names of these tables, as the key `objects` takes them.
pub(super) fn tables(what: What<'_>) -> String {
    let tables: Vec<&str> = what.iter().flat_map(|(_, tables)| tables.iter().copied()).collect();
    tables.join(",")
}

/// The tables of these kinds of the truth.
pub(super) fn some(kinds: &[&str]) -> Vec<(&'static str, &'static [&'static str])> {
    EVERYTHING.iter().filter(|(named, _)| kinds.contains(named)).copied().collect()
}

/// What must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What events tell, and what the source reads again each `lists.interval`.
    Told,
    Everything,
}

/// Waits until all that events tell is in these tables, without a comparison, which would bring what the log has lost.
/// Then compares, and waits until the tables equal the truth.
pub(super) async fn arrives(organization: &Organization, client: &Client, worker: &Worker, what: What<'_>) {
    agree(organization, client, &worker.name, what, Extent::Told).await;
    compare(organization, worker).await;
    equal(organization, client, &worker.name, what).await;
}

/// Waits until these tables of schema `schema` equal the truth.
pub(super) async fn equal(organization: &Organization, client: &Client, schema: &str, what: What<'_>) {
    agree(organization, client, schema, what, Extent::Everything).await;
}

/// Compares until nothing differs, each time to the end: a comparison of a large organization takes its time.
async fn agree(organization: &Organization, client: &Client, schema: &str, what: What<'_>, extent: Extent) {
    let begun = Instant::now();
    loop {
        let silence = if extent == Extent::Told { Some(Silence::of(organization).await) } else { None };
        let comparing = differences(organization, client, schema, what, silence.as_ref());
        let found = tokio::time::timeout(organization.patience, comparing).await.expect("a comparison ends");
        let Some(first) = found.first() else { return };
        let waited = begun.elapsed();
        if waited > organization.patience {
            println!("{}", history(organization, first).await);
            panic!("tables and truth do not agree ({extent:?}) within {waited:?}: {found:#?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The changes at Close of the object that a difference names.
async fn history(organization: &Organization, difference: &str) -> String {
    let id = difference.split([' ', ':', '"']).find(|word| word.contains('_') && word.len() > 20).unwrap_or(difference);
    let lines = organization.look("history/").await;
    lines.lines().filter(|line| line.contains(&format!("\"id\":\"{id}\""))).collect::<Vec<_>>().join("\n")
}

/// The differences between the tables and the truth, a line each, about thirty.
async fn differences(
    organization: &Organization,
    client: &Client,
    schema: &str,
    what: What<'_>,
    silence: Option<&Silence>,
) -> Vec<String> {
    let mut found = Vec::new();
    let covered = |id: &str, field: &str| silence.is_some_and(|silence| silence.covers(id, field));
    for (kinds, tables) in what {
        let mut truth = by_id(organization.truth(kinds).await);
        let mut stored = BTreeMap::new();
        for table in *tables {
            match table_rows(client, schema, table).await {
                Some(rows) => stored.extend(rows),
                None if truth.is_empty() => {}
                None => found.push(format!("{table}: there is no such table")),
            }
        }
        without_hidden(organization, kinds, &mut truth, &stored).await;
        let told = |id: &&String| silence.is_none_or(|silence| !silence.hides(id));
        let here: BTreeSet<_> = stored.keys().filter(told).collect();
        let there: BTreeSet<_> = truth.keys().filter(told).collect();
        let lacks: Vec<_> = there.difference(&here).take(3).collect();
        let extra: Vec<_> = here.difference(&there).take(3).collect();
        if !lacks.is_empty() || !extra.is_empty() {
            found.push(format!(
                "{kinds}: {} rows, {} in truth; lacks {lacks:?}…, has {extra:?}… that are gone",
                stored.len(),
                truth.len()
            ));
        }
        for (id, truth) in &truth {
            let Some(row) = stored.get(id) else { continue };
            let wrong = fields(row, truth).into_iter().filter(|(field, _)| !covered(id, field));
            found.extend(wrong.map(|(_, wrong)| format!("{kinds} {id}: {wrong}")));
            if found.len() > 30 {
                return found;
            }
        }
    }
    found
}

/// Takes out of the truth what Close does not list for the key of the source.
async fn without_hidden(organization: &Organization, kinds: &str, truth: &mut Rows, stored: &Rows) {
    match kinds {
        // A key sees those of its user only.
        "send_as" => {
            let own = organization.api("GET", "me/?_fields=id", None).await["id"].clone();
            truth.retain(|_, row| row["allowing_user_id"] == own || row["allowed_user_id"] == own);
        }
        // A former user can be read by id, and stays in the table if it was ever listed.
        "user" => {
            let listed = organization.api("GET", "user/?_fields=id", None).await;
            let listed = listed["data"].as_array().expect("users").clone();
            truth.retain(|id, _| stored.contains_key(id) || listed.iter().any(|row| row["id"] == id.as_str()));
        }
        _ => {}
    }
}

fn by_id(lines: Vec<Value>) -> Rows {
    let row = |line| {
        let Value::Object(row) = line else { panic!("a line of the truth is not an object") };
        (row["id"].as_str().expect("an id").to_owned(), row)
    };
    lines.into_iter().map(row).collect()
}

/// The live rows of a table, by id; each by the names of the fields.
pub(super) async fn table_rows(client: &Client, schema: &str, table: &str) -> Option<Rows> {
    let exists = rows(client, &format!("SELECT to_regclass('\"{schema}\".\"{table}\"') IS NOT NULL")).await;
    if exists != ["t"] {
        return None;
    }
    let named = format!(
        "SELECT column_name, field FROM towpath.columns WHERE table_schema = '{schema}' AND table_name = '{table}'"
    );
    let named = rows(client, &named).await;
    let fields: BTreeMap<&str, &str> = named.iter().filter_map(|row| row.split_once('|')).collect();
    let sql = format!("SELECT to_jsonb(t) FROM \"{schema}\".\"{table}\" t WHERE NOT _towpath_deleted");
    let found = rows(client, &sql).await.into_iter().map(|row| {
        let Ok(Value::Object(row)) = serde_json::from_str(&row) else { panic!("a row is not an object") };
        let id = row["id"].as_str().expect("an id").to_owned();
        let of_field = |(column, value): (String, Value)| {
            (fields.get(column.as_str()).map_or(column.clone(), |field| (*field).to_owned()), value)
        };
        (id, row.into_iter().map(of_field).collect())
    });
    Some(found.collect())
}

/// The fields of a row that differ from the truth, with the difference.
pub(super) fn fields(row: &Map<String, Value>, truth: &Map<String, Value>) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let extra = row.get("_extra").and_then(Value::as_object);
    for (key, expected) in truth {
        let field = key.strip_prefix("custom.").unwrap_or(key);
        let known = row.get(field).filter(|value| !value.is_null());
        let stored = known.or_else(|| extra.and_then(|extra| extra.get(key).or_else(|| extra.get(field))));
        if !same(stored.unwrap_or(&Value::Null), expected) {
            let stored = stored.unwrap_or(&Value::Null);
            wrong.push((key.clone(), format!("`{key}` is {stored}, in truth {expected}")));
        }
    }
    for (field, value) in row.iter().filter(|(field, value)| field.starts_with("cf_") && !value.is_null()) {
        let key = format!("custom.{field}");
        if truth.get(&key).is_none_or(Value::is_null) {
            let text = format!("`{field}` is {value}, and is not set in truth");
            wrong.push((key, text));
        }
    }
    wrong
}

/// Whether a stored value is the value of the truth: times by their instant, numbers by their size.
fn same(stored: &Value, truth: &Value) -> bool {
    match (stored, truth) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => a == b || (instant(a).is_some() && instant(a) == instant(b)),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (a, b) => a == b,
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    if !text.contains('T') {
        return None;
    }
    text.parse().ok().or_else(|| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp()))
}
