//! Each scenario by its effect over HTTP.

use close_simulator::Options;
use serde_json::{Value, json};

use crate::client::Close;

async fn with_leads(leads: usize) -> Close {
    Close::with(Options { leads, ..Options::default() }).await
}

async fn run(close: &Close, name: &str, parameters: Value) -> Value {
    let reply = close.post(&format!("/_control/scenarios/{name}/"), parameters).await;
    assert_eq!(reply.status, 200, "{name}: {}", reply.text);
    reply.body
}

async fn leads(close: &Close) -> i64 {
    close.get("lead/?_limit=1").await.body["total_results"].as_i64().expect("a total")
}

/// Ids of the newest events.
async fn newest(close: &Close) -> Vec<Value> {
    close.get("event/").await.rows().iter().map(|event| event["id"].clone()).collect()
}

#[tokio::test]
async fn scenarios_are_listed_with_their_parameters_and_unknown_ones_are_refused() {
    let close = with_leads(5).await;
    let list = close.get("/_control/scenarios/").await.body;
    let names: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|scenario| scenario["name"].as_str().unwrap()).collect();
    for name in ["merge_storm", "field_delete", "burst", "cascade", "page_shift", "future_meetings"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(close.post("/_control/scenarios/no_such/", json!({})).await.status, 404);
    assert_eq!(close.post("/_control/scenarios/burst/", json!({ "no_such": 1 })).await.status, 400);
    assert_eq!(close.post("/_control/scenarios/burst/", json!({ "events": "many" })).await.status, 400);
}

#[tokio::test]
async fn quirk_37_merge_storm_takes_leads_away_by_the_clock() {
    // Section 12, item 37.
    let close = with_leads(60).await;
    let before = leads(&close).await;
    let told = run(&close, "merge_storm", json!({ "count": 5 })).await;
    assert_eq!(told["merges"], 5);
    close.advance(3_600.0).await;
    assert_eq!(leads(&close).await, before - 5);
    let gone = told["pairs"][0][0].as_str().unwrap();
    assert_eq!(close.get(&format!("lead/{gone}/")).await.status, 404);
}

#[tokio::test]
async fn field_rename_changes_the_definition_and_no_record() {
    let close = with_leads(30).await;
    let before = close.get("lead/?_limit=50&_fields=id,date_updated,custom").await.text;
    let told = run(&close, "field_rename", json!({ "name": "Branch" })).await;
    let field = close.get(&format!("custom_field/lead/{}/", told["id"].as_str().unwrap())).await;
    assert_eq!(field.body["name"], "Branch");
    assert_eq!(close.get("lead/?_limit=50&_fields=id,date_updated,custom").await.text, before);
}

#[tokio::test]
async fn field_type_change_converts_values_without_lead_events() {
    // Section 12, item 16.
    let close = with_leads(60).await;
    let told = run(&close, "field_type_change", json!({ "type": "text" })).await;
    let key = format!("custom.{}", told["id"].as_str().unwrap());
    let known = newest(&close).await;
    close.advance(60.0).await;
    let rows = close.get(&format!("lead/?_limit=100&_fields=id,{key}")).await;
    let values: Vec<&Value> = rows.rows().iter().filter_map(|row| row.get(&key)).collect();
    assert!(!values.is_empty() && values.iter().all(|value| value.is_string()), "{values:?}");
    let events = close.get("event/").await;
    let new = events.rows().iter().filter(|event| !known.contains(&event["id"]));
    assert_eq!(new.filter(|event| event["object_type"] == "lead").count(), 0);
}

#[tokio::test]
async fn choice_rename_rewrites_the_values() {
    let close = with_leads(80).await;
    let told = run(&close, "choice_rename", json!({ "to": "Something else" })).await;
    let key = format!("custom.{}", told["id"].as_str().unwrap());
    close.advance(60.0).await;
    let text = close.get(&format!("lead/?_limit=100&_fields={key}")).await.text;
    assert!(text.contains("Something else"), "{text}");
    assert!(!text.contains(&format!("\"{}\"", told["from"].as_str().unwrap())), "{told}");
}

#[tokio::test]
async fn quirk_16_field_delete_takes_the_key_from_every_record_at_once() {
    // Section 12, item 16.
    let close = with_leads(60).await;
    let told = run(&close, "field_delete", json!({})).await;
    let id = told["id"].as_str().unwrap();
    assert_eq!(close.get(&format!("custom_field/lead/{id}/")).await.status, 404);
    assert!(!close.get("lead/?_limit=100").await.text.contains(id));
}

#[tokio::test]
async fn bulk_import_adds_leads_with_contacts() {
    let close = with_leads(5).await;
    let before = leads(&close).await;
    let told = run(&close, "bulk_import", json!({ "leads": 200 })).await;
    close.advance(3_600.0).await;
    assert_eq!(leads(&close).await, before + 200, "{told}");
    assert!(close.get("contact/?_limit=100").await.text.contains("@import.example"));
}

#[tokio::test]
async fn delete_user_gives_one_membership_event_and_the_name_stays() {
    let close = with_leads(40).await;
    let told = run(&close, "delete_user", json!({})).await;
    let events = close.events_of(told["membership_id"].as_str().unwrap(), "membership").await;
    assert_eq!(events[0]["action"], "deactivated");
    let user = close.get(&format!("user/{}/", told["user_id"].as_str().unwrap())).await;
    assert_eq!(user.status, 200, "former users can be read by id");
}

#[tokio::test]
async fn quirk_20_status_rename_shows_on_leads_without_date_or_event() {
    // Section 12, item 20.
    let close = with_leads(60).await;
    let lead = close.get("lead/?_limit=1").await.rows()[0].clone();
    let told = run(&close, "status_rename", json!({ "id": lead["status_id"], "label": "Later" })).await;
    assert_eq!(told["from"], lead["status_label"]);
    let after = close.get(&format!("lead/{}/", lead["id"].as_str().unwrap())).await.body;
    assert_eq!((&after["status_label"], &after["date_updated"]), (&json!("Later"), &lead["date_updated"]));
}

#[tokio::test]
async fn quirk_20_user_rename_is_silent_and_shows_at_once() {
    // Section 12, item 20.
    let close = with_leads(10).await;
    let known = newest(&close).await;
    let told = run(&close, "user_rename", json!({ "first_name": "Noor", "last_name": "Haddad" })).await;
    let user = close.get(&format!("user/{}/", told["user_id"].as_str().unwrap())).await.body;
    assert_eq!((&user["first_name"], &user["last_name"]), (&json!("Noor"), &json!("Haddad")));
    assert_eq!(newest(&close).await, known);
}

#[tokio::test]
async fn quirk_25_burst_puts_all_events_into_one_second_and_several_into_one_millisecond() {
    // Section 12, item 25.
    let close = with_leads(20).await;
    let told = run(&close, "burst", json!({ "events": 5_000 })).await;
    assert!(told["events"].as_u64().unwrap() >= 5_000, "{told}");
    let events = close.get("event/").await;
    let stamps: std::collections::BTreeSet<&str> =
        events.rows().iter().map(|event| event["date_updated"].as_str().unwrap()).collect();
    assert!(stamps.len() < 20, "50 events in {} stamps", stamps.len());
}

#[tokio::test]
async fn a_burst_among_merges_names_no_lead_that_a_merge_ends_meanwhile() {
    for seed in 0..30 {
        let close = with_leads(8).await;
        close.switch(json!({ "merge_step_ms": 100 })).await;
        run(&close, "merge_storm", json!({ "count": 3, "seed": seed })).await;
        run(&close, "burst", json!({ "events": 500, "seed": seed })).await;
    }
}

#[tokio::test]
async fn cascade_deletes_the_lead_with_all_its_children() {
    let close = with_leads(60).await;
    let told = run(&close, "cascade", json!({})).await;
    let lead = told["lead_id"].as_str().unwrap();
    assert_eq!(close.get(&format!("lead/{lead}/")).await.status, 404);
    let events = close.events_of(lead, "lead").await;
    assert_eq!(events[0]["action"], "deleted");
    assert!(told["children"].as_u64().unwrap() > 5);
    for path in ["contact", "activity", "opportunity"] {
        assert_eq!(close.get(&format!("{path}/?lead_id={lead}")).await.rows().len(), 0, "{path}");
    }
}

#[tokio::test]
async fn quirk_29_invisible_migration_changes_leads_without_events() {
    // Section 12, item 29.
    let close = with_leads(20).await;
    let known = newest(&close).await;
    let told = run(&close, "invisible_migration", json!({ "count": 7 })).await;
    assert_eq!(told["leads"], 7);
    for (n, id) in told["ids"].as_array().unwrap().iter().enumerate() {
        let id = id.as_str().unwrap();
        assert_eq!(close.get(&format!("lead/{id}/")).await.body["name"], format!("Migrated {}", n + 1));
        let events = close.events_of(id, "lead").await;
        assert!(
            events.iter().all(|event| event["data"]["name"] != format!("Migrated {}", n + 1)),
            "no event knows the name"
        );
    }
    assert_eq!(newest(&close).await, known);
}

#[tokio::test]
async fn quirk_08_page_shift_makes_a_reader_miss_rows_that_still_exist() {
    // Section 12, item 8.
    let close = with_leads(60).await;
    let page = |skip: usize| format!("lead/?_limit=10&_skip={skip}&_fields=id");
    let ids = |rows: &[Value]| rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let whole = ids(close.get("lead/?_limit=100&_fields=id").await.rows());
    let mut read = ids(close.get(&page(0)).await.rows());
    run(&close, "page_shift", json!({ "deletes": 5 })).await;
    for skip in (10..60).step_by(10) {
        read.extend(ids(close.get(&page(skip)).await.rows()));
    }
    let missed: Vec<&String> = whole.iter().filter(|id| !read.contains(id)).collect();
    assert_eq!(missed.len(), 5);
    assert_eq!(close.get(&format!("lead/{}/", missed[0])).await.status, 200, "it still exists");
}

#[tokio::test]
async fn quirk_18_email_backfill_appears_years_below_any_watermark() {
    // Section 12, item 18.
    let close = with_leads(10).await;
    let told = run(&close, "email_backfill", json!({ "count": 40, "years": 6 })).await;
    assert_eq!(told["emails"], 40);
    for id in told["ids"].as_array().unwrap() {
        let mail = close.get(&format!("activity/email/{}/", id.as_str().unwrap())).await.body;
        let at = mail["date_created"].as_str().unwrap_or_else(|| panic!("{mail}"));
        assert!(at < "2026-08-03" && !at.contains('.'), "{at}");
    }
}

#[tokio::test]
async fn quirk_18_future_meetings_are_created_ahead_of_the_clock() {
    // Section 12, item 18.
    let close = with_leads(10).await;
    let told = run(&close, "future_meetings", json!({ "count": 5, "days": 3 })).await;
    for id in told["ids"].as_array().unwrap() {
        let meeting = close.get(&format!("activity/meeting/{}/", id.as_str().unwrap())).await.body;
        assert!(meeting["date_created"].as_str().unwrap() > "2026-09-01T12:30", "{meeting}");
    }
    let events = close.events_of(told["ids"][0].as_str().unwrap(), "activity.meeting").await;
    assert!(events.iter().any(|event| event["action"] == "scheduled"), "{events:?}");
}
