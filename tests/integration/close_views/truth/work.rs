//! Activities, from the truth: by user and day, and by lead.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

use super::{Truth, annualized, cents, moment, rounded};

const AT: &[&str] = &["activity_at", "date_created"];
const SENT: &[&str] = &["date_sent", "activity_at", "date_created"];
const STARTS: &[&str] = &["starts_at", "activity_at", "date_created"];

/// Each with the table that it counts.
const COUNTS: &[(&str, &str)] = &[
    ("call", "calls_made"),
    ("call", "calls_made_answered"),
    ("call", "calls_received"),
    ("call", "calls_received_answered"),
    ("email", "emails_sent"),
    ("email", "emails_received"),
    ("sms", "sms_sent"),
    ("sms", "sms_received"),
    ("whatsapp_message", "whatsapp_sent"),
    ("whatsapp_message", "whatsapp_received"),
    ("meeting", "meetings_held"),
    ("task_completed", "tasks_done"),
    ("note", "notes"),
];
const SECONDS: &[(&str, &str, &str)] = &[
    ("call", "calls_made", "call_minutes_made"),
    ("call", "calls_received", "call_minutes_received"),
    ("meeting", "meetings_held", "meeting_minutes"),
];

/// What an activity counts as, and when it happened; `None` if it does not count.
fn deed(table: &str, activity: &Json) -> Option<(&'static str, Option<i64>)> {
    let text = |field: &str| activity[field].as_str().unwrap_or("");
    Some(match (table, text("direction"), text("status")) {
        ("call", "outbound", _) => ("calls_made", moment(activity, AT)),
        ("call", "inbound", _) => ("calls_received", moment(activity, AT)),
        ("email", "outgoing", "sent") => ("emails_sent", moment(activity, SENT)),
        ("email", "incoming", _) => ("emails_received", moment(activity, AT)),
        ("sms", "outbound", "sent") => ("sms_sent", moment(activity, SENT)),
        ("sms", "inbound", _) => ("sms_received", moment(activity, AT)),
        ("whatsapp_message", "outgoing", _) => ("whatsapp_sent", moment(activity, AT)),
        ("whatsapp_message", "incoming", _) => ("whatsapp_received", moment(activity, AT)),
        ("meeting", _, "completed") => ("meetings_held", moment(activity, STARTS)),
        ("task_completed", ..) => ("tasks_done", moment(activity, AT)),
        ("note", ..) => ("notes", moment(activity, AT)),
        _ => return None,
    })
}

/// Columns of tables that do not stand are null: an organization may have no such message.
pub(super) fn productivity_daily(truth: &Truth, standing: &[String]) -> Vec<Json> {
    let stands = |table: &str| standing.iter().any(|name| name == table);
    let tables = ["call", "email", "sms", "whatsapp_message", "meeting", "task_completed", "note"];
    let mut days: BTreeMap<(&str, String), BTreeMap<String, i64>> = BTreeMap::new();
    for table in tables {
        for activity in truth.all(table) {
            let (Some((deed, Some(at))), Some(user)) = (deed(table, activity), activity["user_id"].as_str()) else {
                continue;
            };
            let day = jiff::Timestamp::from_microsecond(at).expect("a time").to_string()[..10].to_owned();
            let counts = days.entry((user, day)).or_default();
            *counts.entry(deed.to_owned()).or_default() += 1;
            *counts.entry(format!("{deed} seconds")).or_default() += activity["duration"].as_i64().unwrap_or(0);
            if activity["disposition"] == "answered" {
                *counts.entry(format!("{deed}_answered")).or_default() += 1;
            }
        }
    }
    let row = |((user, day), counts): ((&str, String), BTreeMap<String, i64>)| {
        let mut row = Map::new();
        row.insert("user_id".into(), json!(user));
        row.insert("user_name".into(), truth.name(user));
        row.insert("day".into(), json!(day));
        for (table, count) in COUNTS {
            let number = stands(table).then(|| counts.get(*count).copied().unwrap_or(0));
            row.insert((*count).into(), json!(number));
        }
        for (table, deed, minutes) in SECONDS {
            let seconds = counts.get(&format!("{deed} seconds")).copied().unwrap_or(0);
            let number = stands(table).then(|| rounded(Decimal::from(seconds) / Decimal::from(60), 2));
            row.insert((*minutes).into(), json!(number));
        }
        Json::Object(row)
    };
    days.into_iter().map(row).collect()
}

/// Everything that happens at a lead, with the tables that are communication.
const TOUCHES: &[(&str, bool)] = &[
    ("call", true),
    ("email", true),
    ("sms", true),
    ("whatsapp_message", true),
    ("meeting", true),
    ("note", false),
    ("custom_activity", false),
    ("form_submission", false),
    ("task_completed", false),
    ("lead_status_change", false),
    ("opportunity_status_change", false),
];

/// When an activity of a lead happened; `None` if it does not count.
fn touch(table: &str, activity: &Json) -> Option<i64> {
    match table {
        "email" | "sms" | "meeting" => deed(table, activity).and_then(|(_, at)| at),
        "custom_activity" if activity["status"] == "draft" => None,
        _ => moment(activity, AT),
    }
}

pub(super) fn lead_overview(truth: &Truth, now: i64) -> Vec<Json> {
    let mut touches: BTreeMap<&str, Vec<(i64, &str, bool)>> = BTreeMap::new();
    for (table, is_communication) in TOUCHES {
        for activity in truth.all(table) {
            if let (Some(lead), Some(at)) = (activity["lead_id"].as_str(), touch(table, activity)) {
                touches.entry(lead).or_default().push((at, table, *is_communication));
            }
        }
    }
    let nothing = Vec::new();
    let row = |(id, lead): (&String, &Json)| {
        let of = |table: &'static str| truth.all(table).filter(move |child| child["lead_id"] == **id);
        let deals = |kind: &'static str| of("opportunity").filter(move |deal| deal["status_type"] == kind);
        let sum = |kind, value: &dyn Fn(&Json) -> Decimal| rounded(deals(kind).map(value).sum(), 2);
        let past = touches.get(id.as_str()).unwrap_or(&nothing).iter().filter(|(at, ..)| *at <= now);
        // Of several at the same time, the first by name.
        let last = past.clone().max_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
        let time = |at: i64| jiff::Timestamp::from_microsecond(at).expect("a time").to_string();
        let mut tasks: Vec<&Json> = of("task").filter(|task| task["is_complete"] != true).collect();
        tasks.sort_by_key(|task| {
            let due = task["date"].as_str();
            (due.is_none(), due, moment(task, &["date_created"]), task["id"].as_str())
        });
        let next = tasks.first().copied().unwrap_or(&Json::Null);
        let fields = truth.all("custom_field_lead").chain(truth.all("custom_field_shared"));
        let owners = fields.filter(|field| field["type"] == "user").filter_map(|field| {
            let value = &lead[format!("custom.{}", field["id"].as_str()?)];
            (!value.is_null()).then(|| (field["name"].as_str().expect("a name").to_owned(), value.clone()))
        });
        let owners: BTreeMap<String, Json> = owners.collect();
        let status = lead["status_id"].as_str().and_then(|id| truth.get("lead_status", id));
        let name = if lead["display_name"].is_null() { &lead["name"] } else { &lead["display_name"] };
        json!({
            "lead_id": id,
            "name": name,
            "status_id": lead["status_id"],
            "status": status.map_or(&lead["status_label"], |status| &status["label"]),
            "html_url": lead["html_url"],
            "created_at": lead["date_created"],
            "owners": (!owners.is_empty()).then_some(owners),
            "contacts": of("contact").count(),
            "open_opportunities": deals("active").count(),
            "open_value": sum("active", &|deal| cents(&deal["value"])),
            "open_annualized_value": sum("active", &annualized),
            "won_opportunities": deals("won").count(),
            "won_value": sum("won", &|deal| cents(&deal["value"])),
            "currency": of("opportunity").filter_map(|deal| deal["value_currency"].as_str()).max(),
            "last_activity_at": last.map(|(at, ..)| time(*at)),
            "last_activity_kind": last.map(|(_, table, _)| *table),
            "last_communication_at": past.filter(|(.., talks)| *talks).map(|(at, ..)| *at).max().map(time),
            "open_tasks": tasks.len(),
            "next_task_id": next["id"],
            "next_task_on": next["date"].as_str().map(|due| due[..10].to_owned()),
            "next_task": next["text"],
            "next_task_user_id": next["assigned_to"],
        })
    };
    truth.of("lead").iter().map(row).collect()
}
