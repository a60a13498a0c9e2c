//! Section 6.1: the combinations of event filters and their answers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    client::Close,
    events::{frozen, lead},
};

const NAMES: [&str; 6] = ["object_type", "object_id", "lead_id", "action", "user_id", "request_id"];

const LISTED: [&str; 16] = [
    "",
    "object_type+object_id",
    "object_type+action",
    "object_id+action",
    "lead_id+object_type",
    "lead_id+object_type+action",
    "lead_id+user_id+object_type",
    "lead_id+user_id+object_type+action",
    "lead_id+user_id",
    "user_id+object_id",
    "user_id+object_id+action",
    "user_id+object_type",
    "user_id+object_type+action",
    "lead_id",
    "user_id",
    "request_id",
];

/// Two leads with contacts, one changed by another user, one contact deleted.
async fn history() -> Close {
    let close = frozen().await;
    for name in ["Nordlicht", "Südlicht"] {
        let id = lead(&close, name).await;
        let contact = close.make("contact/", json!({ "lead_id": id, "name": "Ida" })).await;
        close.advance(10.0).await;
        let path = format!("lead/{id}/");
        let request =
            close.request("agent", reqwest::Method::PUT, &path).json(&json!({ "name": format!("{name} GmbH") }));
        assert_eq!(Close::send(request).await.status, 200);
        close.advance(10.0).await;
        close.delete(&format!("contact/{}/", contact["id"].as_str().unwrap())).await;
    }
    close
}

fn query(names: &[&str], event: &Value) -> String {
    names.iter().map(|name| format!("{name}={}&", event[name].as_str().expect("a text"))).collect()
}

async fn all(close: &Close) -> Vec<Value> {
    let reply = close.get("event/").await;
    assert_eq!((reply.status, &reply.body["cursor_next"]), (200, &Value::Null), "one page is enough here");
    reply.rows().to_vec()
}

#[tokio::test]
async fn every_listed_combination_finds_exactly_what_it_names() {
    let close = history().await;
    let events = all(&close).await;
    assert!(events.len() >= 8);
    for combination in LISTED {
        let names: Vec<&str> = combination.split('+').filter(|name| !name.is_empty()).collect();
        for event in events.iter().filter(|event| names.iter().all(|name| event[name].is_string())) {
            let expected: Vec<&Value> =
                events.iter().filter(|other| names.iter().all(|name| other[name] == event[name])).collect();
            let path = format!("event/?{}", query(&names, event));
            let found = close.get(&path).await;
            assert_eq!(found.status, 200, "{path}: {}", found.text);
            assert_eq!(found.rows().iter().collect::<Vec<_>>(), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn quirk_22_every_other_combination_is_400_until_the_switch_lets_it_through() {
    let close = history().await;
    let events = all(&close).await;
    let event =
        events.iter().find(|event| event["object_type"] == "lead" && event["action"] == "updated").expect("an update");
    let listed: BTreeSet<BTreeSet<&str>> =
        LISTED.iter().map(|names| names.split('+').filter(|name| !name.is_empty()).collect()).collect();
    let mut refused = 0;
    for bits in 0..64_u32 {
        let names: Vec<&str> = (0..6).filter(|bit| bits >> bit & 1 == 1).map(|bit| NAMES[bit]).collect();
        let path = format!("event/?{}", query(&names, event));
        let allowed = listed.contains(&names.iter().copied().collect());
        assert_eq!(close.get(&path).await.status, if allowed { 200 } else { 400 }, "{path}");
        refused += u32::from(!allowed);
    }
    assert_eq!(refused, 48);
    assert_eq!(close.get("event/?object_type=lead").await.status, 400, "the type alone is not listed");

    close.switch(json!({ "event_filters": "accept" })).await;
    for names in
        [&["object_type"][..], &["action"], &["object_type", "object_id", "lead_id", "action", "user_id", "request_id"]]
    {
        let expected: Vec<&Value> =
            events.iter().filter(|other| names.iter().all(|name| other[name] == event[name])).collect();
        let found = close.get(&format!("event/?{}", query(names, event))).await;
        assert_eq!(found.rows().iter().collect::<Vec<_>>(), expected, "{names:?}");
    }
}

#[tokio::test]
async fn the_lead_filter_covers_what_belongs_to_the_lead() {
    let close = history().await;
    let id =
        all(&close).await.iter().find(|event| event["object_type"] == "lead").expect("a lead")["object_id"].clone();
    let found = close.get(&format!("event/?lead_id={}", id.as_str().unwrap())).await;
    let types: BTreeSet<&str> = found.rows().iter().filter_map(|event| event["object_type"].as_str()).collect();
    assert!(types.is_superset(&BTreeSet::from(["lead", "contact"])), "{types:?}");
    assert!(found.rows().iter().all(|event| event["lead_id"] == id));
}

#[tokio::test]
async fn an_unknown_id_finds_nothing_and_an_empty_filter_is_none() {
    let close = history().await;
    for path in [
        "event/?lead_id=lead_x",
        "event/?user_id=user_x",
        "event/?request_id=req_x",
        "event/?object_id=x&action=created",
    ] {
        let reply = close.get(path).await;
        assert_eq!((reply.status, reply.rows().len(), &reply.body["cursor_next"]), (200, 0, &Value::Null), "{path}");
    }
    let events = all(&close).await;
    assert_eq!(close.get("event/?object_type=&lead_id=&no_such_filter=1").await.rows(), events);
}
