//! Invariants of every event in the log and every entry of the history.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use close_simulator::{Options, model::Moment};
use serde_json::{Map, Value, json};

use crate::client::Close;

/// Object types and actions of section 6.5.
const CATALOGUE: &[(&str, &str)] = &[
    ("lead", "created updated deleted merged"),
    ("contact", "created updated deleted"),
    ("opportunity", "created updated deleted"),
    ("activity.note", "created updated deleted"),
    ("activity.call", "created updated deleted answered completed"),
    ("activity.email", "created updated deleted sent"),
    ("activity.email_thread", "created updated deleted"),
    ("activity.sms", "created updated deleted sent"),
    ("activity.whatsapp_message", "created updated deleted"),
    ("activity.meeting", "created updated deleted scheduled started completed canceled"),
    ("activity.form_submission", "created updated deleted"),
    ("activity.lead_status_change", "created updated deleted"),
    ("activity.opportunity_status_change", "created updated deleted"),
    ("activity.task_completed", "created deleted"),
    ("activity.custom_activity", "created updated deleted"),
    ("activity.lead_merge", "created updated deleted"),
    ("unsubscribed_email", "created deleted"),
    ("import", "created updated completed reverting reverted"),
    ("custom_object", "created updated deleted"),
    ("custom_fields.lead", "created updated deleted"),
    ("status.lead", "created updated deleted"),
    ("membership", "activated deactivated"),
    ("sequence_subscription", "created updated deleted"),
    ("comment", "created updated deleted"),
    ("comment_thread", "created updated deleted"),
    ("bulk_action.edit", "created updated completed paused"),
];

async fn walk(close: &Close) -> Vec<Value> {
    let (mut events, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = close.get(&format!("event/?_cursor={cursor}")).await;
        events.extend(page.rows().iter().cloned());
        match page.body["cursor_next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return events,
        }
    }
}

fn names(of: &Value) -> BTreeSet<String> {
    match of {
        Value::Array(names) => names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect(),
        Value::Object(members) => members.keys().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

/// The object before an event: with the old values of the changed fields.
fn before(event: &Value) -> Map<String, Value> {
    let mut object = event["data"].as_object().expect("data").clone();
    for name in names(&event["changed_fields"]) {
        object.remove(&name);
    }
    object.extend(event["previous_data"].as_object().cloned().unwrap_or_default());
    object
}

/// Returns true for fields that belong to other objects, or change without an event.
fn of_others(name: &str) -> bool {
    name.ends_with("_name")
        || name.ends_with("_label")
        || matches!(name, "date_updated" | "updated_by" | "primary_email" | "primary_phone")
}

async fn lived(seed: u64) -> Close {
    let close = Close::with(Options { leads: 60, seed, rate: 0.0, ..Options::default() }).await;
    for part in 0..5 {
        let body = json!({ "count": 1_000, "seed": seed * 10 + part, "spread_secs": 2_000 });
        close.make("/_control/changes/", body).await;
        close.make("/_control/scenarios/merge_storm/", json!({ "count": 2, "seed": part })).await;
    }
    close.make("/_control/import/", json!({ "leads": 30 })).await;
    close.make("/_control/scenarios/cascade/", json!({})).await;
    close.advance(900.0).await;
    close
}

#[tokio::test]
async fn every_event_is_consistent_in_itself_and_with_the_one_before_it() {
    let close = lived(3).await;
    let events = walk(&close).await;
    assert!(events.len() > 5_000, "{}", events.len());
    let catalogue: BTreeMap<&str, Vec<&str>> =
        CATALOGUE.iter().map(|(ty, actions)| (*ty, actions.split(' ').collect())).collect();
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut say = |what: &str, event: &Value, detail: String| {
        let what = format!("{what} {} {}", event["object_type"], event["action"]);
        wrong.entry(what).or_default().push(format!("{detail} {event}"));
    };
    let leads =
        |event: &Value| ["merge_source_lead_id", "merge_destination_lead_id"].map(|name| event["meta"][name].clone());
    let merged: BTreeSet<String> =
        events.iter().flat_map(leads).filter_map(|lead| lead.as_str().map(str::to_owned)).collect();
    let mut ids = BTreeSet::new();
    let mut last: HashMap<String, Value> = HashMap::new();
    let mut ended: BTreeSet<String> = BTreeSet::new();
    let mut newest = Moment(i64::MIN);
    for event in events.iter().rev() {
        let (ty, action) = (event["object_type"].as_str().unwrap(), event["action"].as_str().unwrap());
        let object = event["object_id"].as_str().unwrap().to_owned();
        if !ids.insert(event["id"].to_string()) {
            say("twice", event, String::new());
        }
        let known = if ty.starts_with("task.") {
            ["created", "updated", "deleted", "completed"].contains(&action)
        } else {
            catalogue.get(ty).is_some_and(|actions| actions.contains(&action))
        };
        if !known {
            say("not in the catalogue:", event, String::new());
        }
        let stamp = |name: &str| Moment::parse(event[name].as_str().unwrap(), 0).unwrap();
        if stamp("date_updated") < newest || stamp("date_created") > stamp("date_updated") {
            say("stamps", event, String::new());
        }
        newest = stamp("date_updated");
        if ended.contains(&object) {
            say("after the end", event, String::new());
        }
        let data = &event["data"];
        let lead = if ty == "lead" { &event["object_id"] } else { &data["lead_id"] };
        if data.get("lead_id").is_some() && event["lead_id"] != *lead {
            say("lead_id", event, format!("{lead}"));
        }
        let (changed, previous) = (names(&event["changed_fields"]), names(&event["previous_data"]));
        match action {
            "deleted" => {
                if !data.is_null() || event["previous_data"]["id"] != event["object_id"] || !changed.is_empty() {
                    say("a delete", event, String::new());
                }
                ended.insert(object.clone());
            }
            "updated" => {
                if changed.is_empty() || data["id"] != event["object_id"] || !event["previous_data"].is_object() {
                    say("an update", event, String::new());
                }
                if !previous.is_subset(&changed) {
                    say("previous_data without changed_fields", event, format!("{:?}", previous.difference(&changed)));
                }
                for name in &changed {
                    let (old, new) = (event["previous_data"].get(name), data.get(name));
                    if old.is_none() && !name.starts_with("custom.") {
                        say("no old value", event, name.clone());
                    }
                    if old.is_none() && new.is_none() {
                        say("neither old nor new", event, name.clone());
                    }
                }
                if let Some(before_this) = last.get(&object) {
                    let old = before(event);
                    for name in names(before_this).union(&old.keys().cloned().collect()) {
                        // A merge has already reported the contacts before the lead's own event.
                        let merging = name == "contact_ids" && merged.contains(&object);
                        if before_this.get(name) != old.get(name) && !of_others(name) && !merging {
                            say(
                                "not what it was:",
                                event,
                                format!("{name} {:?} {:?}", before_this.get(name), old.get(name)),
                            );
                        }
                    }
                }
            }
            _ => {
                if data["id"] != event["object_id"] {
                    say("data", event, String::new());
                }
            }
        }
        if data.is_object() {
            last.insert(object, data.clone());
        }
    }
    let told: Vec<String> = wrong
        .iter()
        .map(|(what, all)| format!("{what} ({}): {}", all.len(), all[0].chars().take(700).collect::<String>()))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[tokio::test]
async fn every_change_that_has_a_word_in_the_catalogue_has_events_and_they_exist() {
    let close = lived(4).await;
    let ids: BTreeSet<String> =
        walk(&close).await.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    let history = close.get("/_control/history/").await;
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in history.text.lines() {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        let events = entry["events"].as_array().expect("a list");
        if let Some(unknown) = events.iter().find(|event| !ids.contains(event["id"].as_str().unwrap())) {
            wrong.entry("unknown".to_owned()).or_default().push(unknown.to_string());
        }
        let changed = names(&entry["changed"]);
        let object = entry["object"].as_str().unwrap();
        let kind = close.running.simulator.world.read().parse_id(entry["id"].as_str().unwrap()).unwrap().kind();
        let silent = kind.resource().event.is_none()
            || object == "created"
            // Children move a lead.
            || object == "lead" && changed.iter().all(|name| name == "date_updated")
            // The object does not show the field.
            || entry["date_updated"] == entry["date_updated_before"];
        if events.is_empty() && !silent {
            wrong.entry(format!("{object} {} {changed:?}", entry["change"])).or_default().push(line.to_owned());
        }
    }
    let told: Vec<String> = wrong.iter().map(|(what, all)| format!("{what} ({}): {}", all.len(), all[0])).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
