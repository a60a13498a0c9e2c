//! The truth, its digest, and the history of changes.

use serde_json::{Value, json};

use crate::client::Close;

async fn truth(close: &Close, query: &str) -> Vec<Value> {
    let reply = close.get(&format!("/_control/truth/?{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

async fn now(close: &Close) -> String {
    close.get("/_control/clock/").await.body["now"].as_str().unwrap().replace('+', "%2B")
}

#[tokio::test]
async fn the_truth_of_a_moment_in_the_past_is_what_stood_then() {
    let close = Close::start().await;
    close.post("/_control/clock/", json!({ "rate": 0 })).await;
    let field = close.make("custom_field/lead/", json!({ "name": "Warm", "type": "text" })).await;
    let path = format!("custom_field/lead/{}/", field["id"].as_str().unwrap());
    let before = now(&close).await;
    close.advance(60.0).await;
    assert_eq!(close.put(&path, json!({ "name": "Hot" })).await.status, 200);
    let other = close.make("custom_field/lead/", json!({ "name": "New", "type": "text" })).await;
    close.advance(60.0).await;
    let between = now(&close).await;
    close.advance(60.0).await;
    assert_eq!(close.delete(&path).await.status, 200);

    let name_at = async |at: &str, id: &Value| {
        let lines = truth(&close, &format!("object=custom_field&at={at}")).await;
        lines.into_iter().find(|line| line["id"] == *id).map(|line| line["name"].clone())
    };
    assert_eq!(name_at(&before, &field["id"]).await, Some(json!("Warm")));
    assert_eq!(name_at(&before, &other["id"]).await, None);
    assert_eq!(name_at(&between, &field["id"]).await, Some(json!("Hot")));
    let now = now(&close).await;
    assert_eq!(name_at(&now, &field["id"]).await, None);
    assert_eq!(name_at(&now, &other["id"]).await, Some(json!("New")));
}

#[tokio::test]
async fn a_moment_before_the_history_and_an_unknown_object_are_refused() {
    let close = Close::start().await;
    let reply = close.get("/_control/truth/?at=2001-01-01").await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    let reply = close.get("/_control/truth/?object=leed").await;
    assert!(reply.status == 400 && reply.text.contains("must be one of lead"), "{}", reply.text);
}

#[tokio::test]
async fn the_digest_counts_the_lines_and_moves_with_every_change() {
    let close = Close::start().await;
    let lines = truth(&close, "object=user").await;
    let digest = async || {
        close.get("/_control/truth/digest/?object=user,custom_field&buckets=true").await.body["objects"].clone()
    };
    let before = digest().await;
    assert_eq!(before["user"]["count"], json!(lines.len()));
    let in_buckets: u64 =
        before["user"]["buckets"].as_object().unwrap().values().map(|bucket| bucket["count"].as_u64().unwrap()).sum();
    assert_eq!(in_buckets, lines.len() as u64);
    close.make("custom_field/lead/", json!({ "name": "Warm", "type": "text" })).await;
    let after = digest().await;
    assert_eq!(before["user"], after["user"]);
    assert_ne!(before["custom_field"]["content"], after["custom_field"]["content"]);
}

#[tokio::test]
async fn the_history_names_each_change_with_its_events() {
    let close = Close::start().await;
    let since = close.get("/_control/history/").await.text.lines().count();
    let field = close.make("custom_field/lead/", json!({ "name": "Warm", "type": "text" })).await;
    let path = format!("custom_field/lead/{}/", field["id"].as_str().unwrap());
    close.advance(60.0).await;
    close.put(&path, json!({ "name": "Hot" })).await;
    close.delete(&path).await;
    let reply = close.get("/_control/history/").await;
    let lines: Vec<Value> = reply.text.lines().skip(since).map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines.iter().filter(|line| line["id"] == field["id"]).collect();
    let changes: Vec<_> = told.iter().map(|line| line["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["created", "updated", "deleted"]);
    assert_eq!(told[1]["changed"], json!(["date_updated", "name"]));
    for (line, action) in told.iter().zip(changes) {
        assert_eq!(line["events"][0]["action"], json!(action), "{line}");
        assert_eq!(line["events"][0]["object_type"], json!("custom_fields.lead"));
    }
    let from = told[1]["number"].as_u64().unwrap();
    let first =
        close.get(&format!("/_control/history/?since={from}")).await.text.lines().next().map(str::to_owned).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["number"], json!(from));
}
