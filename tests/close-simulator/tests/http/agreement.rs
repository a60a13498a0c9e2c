//! Lists agree with the truth: every list of every kind, field by field, after many changes.

use std::collections::BTreeMap;

use close_simulator::{Options, http::collection::L, model::Kind, resources};
use serde_json::{Value, json};

use crate::client::Close;

/// Lists that need a parent: list, parameter, list of the parents.
const PER_PARENT: [(&str, &str, &str); 3] = [
    ("custom_object", "lead_id", "lead"),
    ("sequence_subscription", "sequence_id", "sequence"),
    ("comment", "thread_id", ""),
];

/// Parameters that make a list show all its objects.
fn everything(path: &str) -> &'static str {
    match path {
        "task" => "_type=all&",
        "saved_search" => {
            "type__in=lead,contact,opportunity,call,email,sms,meeting,note,whatsapp_message,custom_activity,\
             form_submission&"
        }
        _ => "",
    }
}

/// Lists that do not show all objects by Close's rules: former users, and send-as permissions of other users.
const PARTIAL: [&str; 2] = ["user", "send_as"];

/// All rows of a list, page by page.
async fn walk(close: &Close, path: &str, query: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    loop {
        let reply = close.get(&format!("{path}/?{query}_skip={}&_limit=100", rows.len())).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let page = reply.rows().to_vec();
        let more = reply.body["has_more"] == json!(true);
        assert!(!more || !page.is_empty(), "{path}: an empty page in the middle");
        rows.extend(page);
        if !more {
            return rows;
        }
    }
}

async fn truth(close: &Close, object: &str) -> BTreeMap<String, Value> {
    let reply = close.get(&format!("/_control/truth/?object={object}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let lines = reply.text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.map(|line| (line["id"].as_str().expect("an id").to_owned(), line)).collect()
}

#[tokio::test]
async fn every_list_shows_what_the_truth_holds_field_by_field() {
    let close = Close::with(Options { leads: 40, ..Options::default() }).await;
    let reply = close.post("/_control/changes/", json!({ "count": 1_500, "seed": 11, "spread_secs": 40_000 })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    // All scheduled work is done, and the clock no longer moves meetings.
    close.post("/_control/clock/", json!({ "advance_secs": 600, "rate": 0 })).await;

    let mut listed: BTreeMap<&'static str, BTreeMap<String, Value>> = BTreeMap::new();
    for collection in resources::SOURCES.iter().flat_map(|source| source.collections) {
        if collection.methods & L == 0 || collection.kinds == Kind::ACTIVITIES {
            continue;
        }
        let rows = match PER_PARENT.iter().find(|(path, ..)| *path == collection.path) {
            None if collection.path == "comment_thread" => continue,
            None => walk(&close, collection.path, everything(collection.path)).await,
            Some((_, param, parents)) => {
                let parents: Vec<String> = match *parents {
                    "" => truth(&close, "comment_thread").await.into_keys().collect(),
                    parents => walk(&close, parents, "")
                        .await
                        .iter()
                        .map(|row| row["id"].as_str().unwrap().to_owned())
                        .collect(),
                };
                let mut rows = Vec::new();
                for parent in parents {
                    rows.extend(walk(&close, collection.path, &format!("{param}={parent}&")).await);
                }
                rows
            }
        };
        for row in rows {
            let id = row["id"].as_str().unwrap_or_else(|| panic!("{}: a row without id", collection.path)).to_owned();
            let kind = close.running.simulator.world.read().parse_id(&id).expect("an id of the organization").kind();
            let before = listed.entry(kind.resource().name).or_default().insert(id.clone(), row);
            assert!(before.is_none(), "{}: {id} twice", collection.path);
        }
    }

    let mut compared = 0;
    for (object, rows) in &listed {
        let mut truth = truth(&close, object).await;
        if PARTIAL.contains(object) {
            assert!(!rows.is_empty() && rows.len() < truth.len(), "{object}: {} of {}", rows.len(), truth.len());
            truth.retain(|id, _| rows.contains_key(id));
        }
        assert_eq!(rows.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{object}: ids");
        for (id, line) in &truth {
            for (field, value) in line.as_object().expect("an object") {
                assert_eq!(rows[id].get(field), Some(value), "{object} {id}: {field}");
                compared += 1;
            }
        }
    }
    assert!(listed.len() > 40 && compared > 15_000, "{} kinds and {compared} values were compared", listed.len());
}

#[tokio::test]
async fn all_activities_in_one_list_are_those_of_the_lists_by_type() {
    let close = Close::with(Options { leads: 40, ..Options::default() }).await;
    close.post("/_control/clock/", json!({ "rate": 0 })).await;
    let mut by_type = BTreeMap::new();
    for kind in Kind::ACTIVITIES {
        by_type.extend(truth(&close, kind.resource().name).await);
    }
    let rows = walk(&close, "activity", "thread_emails=true&").await;
    let rows: BTreeMap<String, Value> =
        rows.into_iter().map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect();
    assert_eq!(rows.keys().collect::<Vec<_>>(), by_type.keys().collect::<Vec<_>>());
}
