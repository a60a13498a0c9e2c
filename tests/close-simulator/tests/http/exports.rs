//! Exports: asynchronous, with a short-lived link and a compressed file.

use std::io::Read as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

/// A simulator whose clock is stopped between moves.
async fn still() -> Close {
    let close = Close::start().await;
    assert_eq!(close.post("/_control/clock/", json!({ "rate": 0 })).await.status, 200);
    close
}

/// Runs an export to its end.
async fn done(close: &Close, path: &str, body: Value) -> Value {
    let export = close.make(path, body).await;
    close.advance(60.0).await;
    let export = close.get(&format!("export/{}/", export["id"].as_str().unwrap())).await.body;
    assert_eq!(export["status"], "done", "{export}");
    export
}

/// The store's answer to a link: status, content encoding, bytes.
async fn fetched(close: &Close, url: &Value) -> (u16, Option<String>, Vec<u8>) {
    let host = format!("http://{}", close.running.address);
    let path = url.as_str().expect("a link").strip_prefix(&host).expect("the host that was asked").to_owned();
    let response = close.request("", Method::GET, &path).send().await.unwrap();
    let encoding = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), encoding, response.bytes().await.unwrap().to_vec())
}

/// The text of an export's file.
async fn text(close: &Close, export: &Value) -> String {
    let (status, encoding, bytes) = fetched(close, &export["download_url"]).await;
    assert_eq!((status, encoding.as_deref(), &bytes[..2]), (200, Some("gzip"), &[0x1f, 0x8b][..]));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn quirk_36_an_export_goes_through_its_states_and_then_has_a_link() {
    // Section 12, item 36. Section 6.5: export.lead.
    let close = still().await;
    close.make("/_control/import/", json!({ "leads": 250 })).await;
    close.advance(60.0).await;
    let export = close
        .make("export/lead/", json!({ "format": "json", "type": "leads", "s_query": { "type": "and", "queries": [] } }))
        .await;
    assert!(export["id"].as_str().unwrap().starts_with("expo_") && export["download_url"].is_null());
    let path = format!("export/{}/", export["id"].as_str().unwrap());
    let (mut states, mut processed) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let now = close.get(&path).await.body;
        states.push(now["status"].as_str().unwrap().to_owned());
        processed.push(now["n_docs_processed"].as_i64().unwrap());
        assert_eq!(now["download_url"].is_string(), now["status"] == "done");
        close.advance(0.5).await;
    }
    states.dedup();
    processed.dedup();
    assert_eq!(states, ["created", "started", "in_progress", "done"]);
    assert!(processed.len() >= 4, "portion by portion: {processed:?}");
    let export = close.get(&path).await.body;
    let rows: Vec<Value> = serde_json::from_str(&text(&close, &export).await).unwrap();
    assert_eq!(json!(rows.len()), export["n_docs"]);
    assert!(rows.iter().any(|row| row["name"] == "Imported 250"));
    let events = close.events_of(export["id"].as_str().unwrap(), "export.lead").await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!((actions[0], actions[actions.len() - 1]), ("completed", "created"));
    assert!(actions.contains(&"updated"));
}

#[tokio::test]
async fn quirk_36_objects_are_read_while_the_job_runs() {
    // Section 12, item 36: not a snapshot.
    let close = still().await;
    close.make("/_control/import/", json!({ "leads": 250 })).await;
    close.advance(60.0).await;
    let leads = close.get("lead/?_limit=200").await;
    let last =
        leads.rows().iter().find(|row| row["name"] == "Imported 250").unwrap()["id"].as_str().unwrap().to_owned();
    let export = close.make("export/lead/", json!({ "format": "json", "type": "leads" })).await;
    close.advance(1.0).await;
    assert_eq!(close.get(&format!("export/{}/", export["id"].as_str().unwrap())).await.body["status"], "in_progress");
    assert_eq!(close.put(&format!("lead/{last}/"), json!({ "name": "Changed meanwhile" })).await.status, 200);
    close.advance(60.0).await;
    let export = close.get(&format!("export/{}/", export["id"].as_str().unwrap())).await.body;
    assert!(text(&close, &export).await.contains("Changed meanwhile"));
}

#[tokio::test]
async fn quirk_36_a_link_dies_soon_and_another_get_gives_a_fresh_one() {
    let close = still().await;
    let export = done(&close, "export/lead/", json!({ "format": "json", "type": "leads" })).await;
    assert_eq!(fetched(&close, &export["download_url"]).await.0, 200);
    close.advance(61.0).await;
    let (status, _, body) = fetched(&close, &export["download_url"]).await;
    let body = String::from_utf8(body).unwrap();
    assert!(status == 403 && body.starts_with("<?xml") && body.contains("<Code>AccessDenied</Code>"), "{body}");
    let again = close.get(&format!("export/{}/", export["id"].as_str().unwrap())).await.body;
    assert_ne!(again["download_url"], export["download_url"]);
    assert_eq!(fetched(&close, &again["download_url"]).await.0, 200);
    let forged = again["download_url"].as_str().unwrap().replace("Expires=", "Expires=9");
    assert_eq!(fetched(&close, &json!(forged)).await.0, 403);
    close.switch(json!({ "export_link_secs": 3600 })).await;
    let long = close.get("export/").await.rows()[0].clone();
    close.advance(1800.0).await;
    assert_eq!(fetched(&close, &long["download_url"]).await.0, 200);
}

#[tokio::test]
async fn quirk_15_csv_has_a_line_for_each_lead_and_dates_in_the_format_asked_for() {
    // Section 12, item 15.
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Comma, \"quoted\"" })).await;
    let field = close.make("custom_field/lead/", json!({ "name": "Wave", "type": "text" })).await;
    let key = format!("custom.{}", field["id"].as_str().unwrap());
    close.put(&format!("lead/{}/", lead["id"].as_str().unwrap()), json!({ key: "seventh" })).await;
    for (format, is) in [
        ("original", (&|date: &str| date.ends_with("+00:00")) as &dyn Fn(&str) -> bool),
        ("iso8601", &|date: &str| date.ends_with('Z') && date.contains('T')),
        ("excel", &|date: &str| date.len() == 19 && !date.contains('T')),
    ] {
        let body = json!({ "format": "csv", "type": "leads", "date_format": format });
        let csv = text(&close, &done(&close, "export/lead/", body).await).await;
        let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        assert!(header.contains(&"custom.Wave") && header.contains(&"primary_contact_name"), "{header:?}");
        let at = header.iter().position(|name| *name == "date_created").unwrap();
        let other = csv.lines().find(|line| !line.contains('"') && line.starts_with("lead_"));
        if let Some(line) = other {
            assert!(is(line.split(',').nth(at).unwrap()), "{format}: {line}");
        }
        assert!(csv.contains("\"Comma, \"\"quoted\"\"\"") && csv.contains("seventh"));
        let line = csv.lines().find(|line| line.contains("seventh")).unwrap();
        assert!(line.split(',').any(|cell| cell.starts_with("20") && is(cell)), "{format}: {line}");
    }
}

#[tokio::test]
async fn exports_of_leads_carry_activities_and_chosen_fields_and_other_types_their_objects() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    close.make("contact/", json!({ "lead_id": lead["id"], "name": "Ida" })).await;
    close.make("activity/note/", json!({ "lead_id": lead["id"], "note": "Hello" })).await;
    let of = |rows: &str| -> Vec<Value> { serde_json::from_str(rows).unwrap() };
    let body = json!({ "format": "json", "type": "leads", "include_activities": true });
    let rows = of(&text(&close, &done(&close, "export/lead/", body).await).await);
    let row = rows.iter().find(|row| row["id"] == lead["id"]).unwrap();
    assert!(!row["activities"].as_array().unwrap().is_empty(), "{row}");
    let body = json!({ "format": "json", "type": "leads", "fields": ["id", "name"] });
    let rows = of(&text(&close, &done(&close, "export/lead/", body).await).await);
    assert!(rows.iter().all(|row| row.as_object().unwrap().len() == 2));
    let rows =
        of(&text(&close, &done(&close, "export/lead/", json!({ "format": "json", "type": "contacts" })).await).await);
    assert!(rows.iter().any(|row| row["lead_id"] == lead["id"]));
    assert!(rows.iter().all(|row| row["id"].as_str().unwrap().starts_with("cont_")));
}

#[tokio::test]
async fn opportunities_are_exported_by_the_parameters_of_their_list() {
    // Section 6.5: export.opportunity.
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let other = close.make("lead/", json!({ "name": "Other" })).await;
    let body = |lead: &Value| json!({ "lead_id": lead["id"], "value": 100_000, "value_period": "one_time" });
    let opportunity = close.make("opportunity/", body(&lead)).await;
    close.make("opportunity/", body(&other)).await;
    let export =
        done(&close, "export/opportunity/", json!({ "format": "json", "params": { "lead_id": lead["id"] } })).await;
    assert!(export.get("s_query").is_none() && export["params"]["lead_id"] == lead["id"]);
    let rows: Vec<Value> = serde_json::from_str(&text(&close, &export).await).unwrap();
    assert_eq!((rows.len(), &rows[0]["id"]), (1, &opportunity["id"]), "{rows:?}");
    let events = close.events_of(export["id"].as_str().unwrap(), "export.opportunity").await;
    assert_eq!(events[0]["action"], "completed");
    assert_eq!(events.last().unwrap()["action"], "created");
}

#[tokio::test]
async fn exports_are_refused_without_permission_and_with_wrong_parameters() {
    let close = Close::start().await;
    let request = close.request("agent", Method::POST, "export/lead/");
    assert_eq!(Close::send(request.json(&json!({ "format": "json", "type": "leads" }))).await.status, 403);
    for (body, field) in [
        (json!({ "type": "leads" }), "format"),
        (json!({ "format": "json" }), "type"),
        (json!({ "format": "xml", "type": "leads" }), "format"),
        (json!({ "format": "csv", "type": "leads", "include_activities": true }), "include_activities"),
        (json!({ "format": "json", "type": "leads", "date_format": "excel" }), "date_format"),
    ] {
        let refused = close.post("export/lead/", body).await;
        assert!(refused.status == 400 && refused.body["field-errors"][field].is_string(), "{}", refused.text);
    }
    let export = close.make("export/lead/", json!({ "format": "json", "type": "leads" })).await;
    let path = format!("export/{}/", export["id"].as_str().unwrap());
    assert_eq!(close.get_as("superuser", &path).await.status, 404, "another's export");
    assert_eq!(close.get("export/lead/").await.status, 404);
    assert!(close.get_as("superuser", "export/").await.rows().is_empty());
}

#[tokio::test]
async fn a_snapshot_keeps_exports_that_run_and_files_of_those_that_are_done() {
    let close = still().await;
    close.make("/_control/import/", json!({ "leads": 250 })).await;
    close.advance(60.0).await;
    let finished = done(&close, "export/lead/", json!({ "format": "json", "type": "leads" })).await;
    let running = close.make("export/lead/", json!({ "format": "csv", "type": "leads" })).await;
    close.advance(1.5).await;
    let place = tempfile::tempdir().unwrap();
    let file = json!({ "file": place.path().join("state").to_str().unwrap() });
    close.make("/_control/snapshot/", file.clone()).await;
    let before = text(&close, &finished).await;
    close.make("/_control/restore/", file).await;
    assert_eq!(text(&close, &finished).await, before);
    let path = format!("export/{}/", running["id"].as_str().unwrap());
    assert_eq!(close.get(&path).await.body["status"], "in_progress");
    close.advance(60.0).await;
    let running = close.get(&path).await.body;
    let csv = text(&close, &running).await;
    assert_eq!(json!(csv.lines().count() - 1), running["n_docs"]);
}
