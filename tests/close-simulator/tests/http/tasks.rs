//! Tasks: sections 4.4, 6.5, 6.6 and 12 of the reference.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::Close,
    task_changes::{events, id, lead, task},
};

fn texts(reply: &crate::client::Reply) -> Vec<&str> {
    reply.rows().iter().map(|row| row["text"].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn a_task_is_shown_with_names_and_both_dates() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht", "contacts": [{ "name": "Ida" }] })).await;
    let made = task(
        &close,
        &lead,
        json!({ "text": "Send contract", "date": "2026-09-10", "contact_id": lead["contact_ids"][0] }),
    )
    .await;
    let shown = close.get(&format!("task/{}/", id(&made))).await.body;
    assert!(id(&shown).starts_with("task_"));
    for (name, value) in [
        ("_type", json!("lead")),
        ("lead_name", json!("Nordlicht")),
        ("contact_name", json!("Ida")),
        ("assigned_to_name", json!("Mara Voss")),
        ("text", json!("Send contract")),
        ("is_complete", json!(false)),
        ("is_dateless", json!(false)),
        ("date", json!("2026-09-10")),
        ("due_date", json!("2026-09-10")),
        ("view", json!("future")),
        ("object_type", Value::Null),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let dateless = task(&close, &lead, json!({ "text": "Some day" })).await;
    assert_eq!(
        (&dateless["is_dateless"], &dateless["date"], &dateless["view"]),
        (&json!(true), &Value::Null, &json!("inbox"))
    );
    let timed = task(&close, &lead, json!({ "due_date": "2026-09-10T09:30:00+02:00" })).await;
    assert_eq!(timed["date"], "2026-09-10T07:30:00+00:00");
    let reply = close.post("task/", json!({ "text": "no lead" })).await;
    assert_eq!((reply.status, &reply.body["field-errors"]["lead_id"]), (400, &json!("This field is required.")));
}

/// Quirk 10: the default type, `_type=all`, and the ids of notifications.
#[tokio::test]
async fn quirk_10_only_lead_tasks_are_listed_unless_other_types_are_asked_for() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    task(&close, &lead, json!({ "text": "Call" })).await;
    let call = task(&close, &lead, json!({ "_type": "outgoing_call", "phone": "+14155550100" })).await;
    assert!(id(&call).starts_with("noti_"), "{}", id(&call));
    assert_eq!((&call["_type"], &call["phone_formatted"]), (&json!("outgoing_call"), &json!("+1 415-555-0100")));
    assert!(call.get("voicemail_url").is_none());
    let list = |query: &str| format!("task/?lead_id={}&{query}", id(&lead));
    for (query, types) in [
        ("", vec!["lead"]),
        ("_type=lead", vec!["lead"]),
        ("_type=all", vec!["outgoing_call", "lead"]),
        ("_type=outgoing_call", vec!["outgoing_call"]),
        ("_type__in=lead,outgoing_call", vec!["outgoing_call", "lead"]),
        ("_type=voicemail", vec![]),
    ] {
        let reply = close.get(&list(query)).await;
        let mut found: Vec<&str> = reply.rows().iter().map(|row| row["_type"].as_str().unwrap()).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, types, "{query}");
        assert_eq!(reply.body["total_results"], types.len());
    }
    assert_eq!(close.get(&format!("task/{}/", id(&call))).await.status, 200);
    let refused = close.post("task/", json!({ "_type": "incoming_email", "lead_id": lead["id"] })).await;
    assert_eq!((refused.status, refused.body["field-errors"]["_type"].is_string()), (400, true));
    assert_eq!(events(&close, &lead, "task.outgoing_call", "created").await.len(), 1);
}

/// Quirk 10: completed system tasks disappear.
#[tokio::test]
async fn quirk_10_completed_system_tasks_are_purged_with_or_without_an_event() {
    for told in [false, true] {
        let close = Close::start().await;
        close.switch(json!({ "purge_events": told, "task_purge_days": 10 })).await;
        let lead = lead(&close).await;
        let system = task(&close, &lead, json!({ "_type": "outgoing_call" })).await;
        let reopened = task(&close, &lead, json!({ "_type": "outgoing_call" })).await;
        let ordinary = task(&close, &lead, json!({ "text": "stays" })).await;
        for task in [&system, &reopened, &ordinary] {
            close.put(&format!("task/{}/", id(task)), json!({ "is_complete": true })).await;
        }
        close.put(&format!("task/{}/", id(&reopened)), json!({ "is_complete": false })).await;
        close.advance(9.0 * 86_400.0).await;
        assert_eq!(close.get(&format!("task/{}/", id(&system))).await.status, 200);
        close.advance(2.0 * 86_400.0).await;
        for (task, status) in [(&system, 404), (&reopened, 200), (&ordinary, 200)] {
            assert_eq!(close.get(&format!("task/{}/", id(task))).await.status, status);
        }
        assert_eq!(events(&close, &lead, "task.outgoing_call", "deleted").await.len(), usize::from(told));
    }
}

#[tokio::test]
async fn the_list_knows_views_dates_and_orders() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    for (text, date, complete) in [
        ("yesterday", json!("2026-08-31"), false),
        ("tonight", json!("2026-09-01T22:00:00Z"), false),
        ("tomorrow", json!("2026-09-02"), false),
        ("none", Value::Null, false),
        ("done", json!("2026-09-03"), true),
    ] {
        close.advance(1.0).await;
        task(&close, &lead, json!({ "text": text, "date": date, "is_complete": complete })).await;
    }
    let list = |query: &str| format!("task/?lead_id={}&{query}", id(&lead));
    for (query, found) in [
        ("_order_by=date_created", vec!["yesterday", "tonight", "tomorrow", "none", "done"]),
        ("_order_by=-date_created", vec!["done", "none", "tomorrow", "tonight", "yesterday"]),
        ("_order_by=date", vec!["none", "yesterday", "tonight", "tomorrow", "done"]),
        ("_order_by=date_updated", vec!["done", "none", "tomorrow", "tonight", "yesterday"]),
        ("view=inbox&_order_by=date", vec!["none", "yesterday", "tonight"]),
        ("view=future", vec!["tomorrow"]),
        ("view=archive", vec!["done"]),
        ("view=future&date__lt=2020-01-01", vec!["tomorrow"]),
        ("date=2026-09-01", vec!["tonight"]),
        ("date__lte=2026-09-01&_order_by=date", vec!["yesterday", "tonight"]),
        ("date__gt=2026-09-01T23:00:00Z&_order_by=date", vec!["tomorrow", "done"]),
        ("due_date__lt=2026-09-01", vec!["yesterday"]),
        ("is_complete=True", vec!["done"]),
        ("is_complete=true", vec!["done"]),
        ("is_complete=False&_order_by=date&date__gte=2026-09-02", vec!["tomorrow"]),
        ("assigned_to=user_x", vec![]),
    ] {
        let reply = close.get(&list(query)).await;
        assert_eq!(texts(&reply), found, "{query}");
    }
    let rows = close.get(&list("_order_by=date_created")).await.rows().to_vec();
    let two = format!("task/?id__in={},{}&_order_by=date_created", id(&rows[1]), id(&rows[3]));
    assert_eq!(texts(&close.get(&two).await), ["tonight", "none"]);
    assert_eq!(texts(&close.get(&format!("task/?id={}", id(&rows[2]))).await), ["tomorrow"]);
    let at = rows[2]["date_created"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(
        texts(&close.get(&list(&format!("_order_by=date_created&date_created__gte={at}"))).await),
        ["tomorrow", "none", "done"]
    );
    assert_eq!(
        texts(&close.get(&list(&format!("_order_by=date_created&date_updated__lt={at}"))).await),
        ["yesterday", "tonight"]
    );
    // At UTC+12 it is midnight: the next day has begun.
    let there = Close::send(
        close.request("admin", Method::GET, &list("view=inbox&_order_by=date")).header("x-tz-offset", "12.5"),
    )
    .await;
    assert_eq!(texts(&there), ["none", "yesterday", "tonight", "tomorrow"]);
    assert_eq!(close.get("task/?_limit=1000").await.status, 200);
    assert_eq!(close.get("task/?_limit=1001").await.status, 400);
    assert_eq!(close.get("task/?date__gt=soon").await.status, 400);
}

#[tokio::test]
async fn a_bulk_update_changes_all_that_match_and_answers_ok() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    let other = close.make("lead/", json!({ "name": "B" })).await;
    for text in ["a", "b"] {
        task(&close, &lead, json!({ "text": text })).await;
    }
    let spared = task(&close, &other, json!({ "text": "c" })).await;
    let agent = close.get_as("agent", "me/").await.body["id"].clone();
    let path = format!("task/?lead_id={}", id(&lead));
    let reply = close.put(&path, json!({ "is_complete": "perhaps" })).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    let reply = close.put(&path, json!({ "assigned_to": agent, "is_complete": true })).await;
    assert_eq!((reply.status, reply.body), (200, json!({ "ok": true })));
    for row in close.get(&path).await.rows() {
        assert_eq!((&row["assigned_to"], &row["is_complete"]), (&agent, &json!(true)));
    }
    assert_eq!(events(&close, &lead, "task.lead", "completed").await.len(), 2);
    assert_eq!(close.get(&format!("task/{}/", id(&spared))).await.body["is_complete"], false);
}

#[tokio::test]
async fn others_tasks_need_a_permission() {
    let close = Close::start().await;
    let me = close.get_as("restricted", "me/").await.body["id"].clone();
    let lead = close.make("lead/", json!({ "name": "A", "custom.Owner": me })).await;
    let foreign = task(&close, &lead, json!({ "text": "x" })).await;
    let own = task(&close, &lead, json!({ "text": "x", "assigned_to": me })).await;
    for (task, status) in [(&foreign, 403), (&own, 200)] {
        let path = format!("task/{}/", id(task));
        let put = Close::send(close.request("restricted", Method::PUT, &path).json(&json!({ "text": "y" }))).await;
        assert_eq!(put.status, status, "{}", put.text);
        assert_eq!(Close::send(close.request("restricted", Method::DELETE, &path)).await.status, status);
    }
}
