//! Section 12, items 22 and 24 to 26: the order of the event log and its pages.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Close;

/// A simulator whose clock is stopped until it is moved.
pub async fn frozen() -> Close {
    let close = Close::start().await;
    close.make("/_control/clock/", json!({ "rate": 0 })).await;
    close
}

pub async fn lead(close: &Close, name: &str) -> String {
    close.make("lead/", json!({ "name": name })).await["id"].as_str().expect("an id").to_owned()
}

/// Every page from the first to the oldest, with the same filters.
pub async fn walk(close: &Close, key: &str, filters: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = close.get_as(key, &format!("event/?{filters}&_cursor={cursor}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        pages.push(reply.rows().to_vec());
        match reply.body.get("cursor_next").expect("the key is always there") {
            Value::Null => return pages,
            next => next.as_str().expect("a text").clone_into(&mut cursor),
        }
    }
}

pub fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["object_id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn quirk_22_pages_of_at_most_50_lead_to_older_events_and_back_and_end_in_null() {
    // Quirk 22; all in one millisecond, which is quirk 25.
    let close = frozen().await;
    let mut made = Vec::new();
    for n in 0..120 {
        made.push(lead(&close, &format!("Lead {n}")).await);
    }
    made.reverse();
    let filters = "object_type=lead&action=created";
    let pages = walk(&close, "admin", filters).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 20]);
    assert_eq!(ids(&pages.concat()), made, "newest first, in true order even within a millisecond");

    let first = close.get(&format!("event/?{filters}&_limit=500")).await;
    assert_eq!((first.rows().len(), &first.body["cursor_previous"]), (50, &Value::Null), "capped, not refused");
    assert!(first.body.get("cursor_previous").is_some());
    let at = |reply: &crate::client::Reply, name: &str| reply.body[name].as_str().expect("a cursor").to_owned();
    let second = close.get(&format!("event/?{filters}&_cursor={}", at(&first, "cursor_next"))).await;
    let third = close.get(&format!("event/?{filters}&_cursor={}", at(&second, "cursor_next"))).await;
    assert_eq!((third.rows().len(), &third.body["cursor_next"]), (20, &Value::Null));
    let back = close.get(&format!("event/?{filters}&_cursor={}", at(&third, "cursor_previous"))).await;
    assert_eq!(back.rows(), second.rows());
    let top = close.get(&format!("event/?{filters}&_cursor={}", at(&back, "cursor_previous"))).await;
    assert_eq!((top.rows(), &top.body["cursor_previous"]), (first.rows(), &Value::Null));

    // Newer events appear on the way up from the first page.
    let newest = lead(&close, "Newest").await;
    let up = close.get(&format!("event/?{filters}&_cursor={}", at(&second, "cursor_previous"))).await;
    assert_eq!(up.rows().len(), 50);
    let up = close.get(&format!("event/?{filters}&_cursor={}", at(&up, "cursor_previous"))).await;
    assert_eq!(ids(up.rows()), [newest]);

    assert_eq!(close.get("event/?_limit=7").await.rows().len(), 7);
    for wrong in ["_limit=many", "_limit=-1", "_cursor=made-up", "_cursor=AAAA", "date_updated__gte=yesterday"] {
        assert_eq!(close.get(&format!("event/?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn quirk_22_a_cursor_carries_the_place_only_so_filters_must_be_repeated() {
    let close = frozen().await;
    let mut contacts = 0;
    for n in 0..4 {
        let id = lead(&close, &format!("Lead {n}")).await;
        close.make("contact/", json!({ "lead_id": id, "name": "Ida" })).await;
        contacts += 1;
    }
    let filters = "object_type=lead&action=created";
    let first = close.get(&format!("event/?{filters}&_limit=2")).await;
    let cursor = first.body["cursor_next"].as_str().unwrap();
    let repeated = close.get(&format!("event/?{filters}&_cursor={cursor}")).await;
    assert!(repeated.rows().len() >= 2 && repeated.rows().iter().all(|event| event["object_type"] == "lead"));
    let bare = close.get(&format!("event/?_cursor={cursor}")).await;
    assert!(contacts > 0 && bare.rows().iter().any(|event| event["object_type"] == "contact"), "{}", bare.text);
}

#[tokio::test]
async fn a_chain_of_older_pages_is_complete_although_newer_events_come_meanwhile() {
    let close = frozen().await;
    for n in 0..130 {
        lead(&close, &format!("Lead {n}")).await;
        close.advance(0.01).await;
    }
    let filters = "object_type=lead&action=created";
    let before: BTreeSet<String> =
        walk(&close, "admin", filters).await.concat().iter().map(|event| event["id"].to_string()).collect();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = close.get(&format!("event/?{filters}&_cursor={cursor}")).await;
        seen.extend(reply.rows().iter().map(|event| event["id"].to_string()));
        lead(&close, "Meanwhile").await;
        let Some(next) = reply.body["cursor_next"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(seen.len(), before.len(), "nothing twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), before);
}

#[tokio::test]
async fn bounds_of_date_updated_are_exact_below_the_second() {
    let close = frozen().await;
    let first = lead(&close, "First").await;
    close.advance(0.25).await;
    let second = lead(&close, "Second").await;
    close.advance(0.25).await;
    let third = lead(&close, "Third").await;
    let at = close.events_of(&second, "lead").await[0]["date_updated"].as_str().unwrap().to_owned();
    let find = async |bound: &str| {
        let reply = close.get(&format!("event/?object_type=lead&action=created&date_updated__{bound}={at}")).await;
        ids(reply.rows()).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(find("gte").await, [&*third, &*second]);
    assert_eq!(find("lte").await, [&*second, &*first]);
    assert_eq!(find("gt").await, [third]);
    assert_eq!(find("lt").await, [first]);
}

#[tokio::test]
async fn a_bound_beside_a_cursor_is_ignored_honoured_or_refused() {
    let close = frozen().await;
    for n in 0..6 {
        lead(&close, &format!("Lead {n}")).await;
        close.advance(10.0).await;
    }
    let all = close.get("event/?object_type=lead&action=created").await;
    let bound = all.rows()[3]["date_updated"].as_str().unwrap();
    let filters = format!("object_type=lead&action=created&date_updated__gte={bound}");
    let first = close.get(&format!("event/?{filters}&_limit=2")).await;
    let next = format!("event/?{filters}&_cursor={}", first.body["cursor_next"].as_str().unwrap());
    assert_eq!(close.get(&next).await.rows().len(), 4, "the bound does not apply to later pages");
    close.switch(json!({ "cursor_date": "honour" })).await;
    assert_eq!(close.get(&next).await.rows().len(), 2);
    close.switch(json!({ "cursor_date": "refuse" })).await;
    assert_eq!(close.get(&next).await.status, 400);
}

#[tokio::test]
async fn a_cursor_can_expire() {
    let close = frozen().await;
    for n in 0..3 {
        lead(&close, &format!("Lead {n}")).await;
    }
    close.switch(json!({ "event_cursor_secs": 60 })).await;
    let first = close.get("event/?_limit=1").await;
    let next = format!("event/?_cursor={}", first.body["cursor_next"].as_str().unwrap());
    close.advance(60.0).await;
    assert_eq!(close.get(&next).await.status, 200);
    close.advance(1.0).await;
    assert_eq!(close.get(&next).await.status, 400);
}

#[tokio::test]
async fn quirk_24_an_event_may_become_visible_late_and_below_rows_already_seen() {
    // Quirk 24.
    let close = frozen().await;
    close.switch(json!({ "event_lag_ms": 60_000, "event_late_share": 0.5 })).await;
    let mut made = Vec::new();
    for n in 0..40 {
        made.push(lead(&close, &format!("Lead {n}")).await);
        close.advance(0.1).await;
    }
    made.reverse();
    let filters = "event/?object_type=lead&action=created";
    let early = close.get(filters).await;
    let seen: Vec<String> = ids(early.rows()).into_iter().map(str::to_owned).collect();
    assert!((5..35).contains(&seen.len()), "{} of 40 are visible at once", seen.len());
    let hidden = made.iter().find(|id| !seen.contains(id)).unwrap();
    assert!(close.events_of(hidden, "lead").await.is_empty());
    close.advance(60.0).await;
    let late = close.get(filters).await;
    assert_eq!(ids(late.rows()), made, "each in its place by date_updated");
    let id = close.events_of(hidden, "lead").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(close.get(&format!("event/{id}/")).await.status, 200);
}

#[tokio::test]
async fn quirk_26_events_are_gone_after_30_days() {
    // Quirk 26.
    let close = frozen().await;
    let id = lead(&close, "Old").await;
    let event = close.events_of(&id, "lead").await[0]["id"].as_str().unwrap().to_owned();
    close.advance(30.0 * 86_400.0).await;
    assert_eq!(close.events_of(&id, "lead").await.len(), 1);
    close.advance(1.0).await;
    assert!(close.events_of(&id, "lead").await.is_empty());
    assert_eq!(close.get(&format!("event/{event}/")).await.status, 404);
    assert!(walk(&close, "admin", "").await.concat().iter().all(|event| event["object_id"] != id.as_str()));
}
