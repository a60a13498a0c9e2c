//! The subscription at Close over the starts of a connector, whose `webhook.url` changes.

use super::*;

const FIRST: &str = "https://hooks.example.com/hooks/close";
const SECOND: &str = "https://other.example.com/hooks/close";

/// The URLs of the organization's subscriptions, sorted.
async fn subscribed(close: &Laboratory) -> Vec<String> {
    let rows = close.get("webhook/").await;
    let url = |row: &serde_json::Value| row["url"].as_str().unwrap().to_owned();
    let mut urls: Vec<String> = rows["data"].as_array().unwrap().iter().map(url).collect();
    urls.sort();
    urls
}

/// Starts the source with this `webhook.url`, and waits until Close has exactly these subscriptions.
async fn starts(close: &Laboratory, topics: &Topics, url: Option<&str>, expected: &[&str]) -> Running {
    let objects = ("objects", "note");
    let keys = url.map_or_else(|| vec![objects], |url| vec![objects, ("webhook.url", url)]);
    let running = Running::start(close, topics, &keys);
    tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            let found = subscribed(close).await;
            if found == expected && topics.position().webhook.as_deref() == url {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("Close does not get the subscriptions {expected:?} for {url:?}"));
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_subscription_of_an_earlier_webhook_url_is_deleted() {
    const FOREIGN: &str = "https://zapier.example.com/";
    let (close, topics) = (Laboratory::new(1).await, Topics::default());
    let events = json!([{"object_type": "lead", "action": "created"}]);
    close.write(Method::POST, "webhook/", json!({"url": FOREIGN, "events": events})).await;
    // A stop leaves it: the source cannot know for how long.
    drop(starts(&close, &topics, Some(FIRST), &[FIRST, FOREIGN]).await);
    assert_eq!(subscribed(&close).await, [FIRST, FOREIGN]);
    drop(starts(&close, &topics, Some(SECOND), &[SECOND, FOREIGN]).await);
    drop(starts(&close, &topics, None, &[FOREIGN]).await);
    // A kill between the two steps: the position is written, and the subscription is not made, or not deleted.
    let kill = |position: ClosePosition| topics.set_position(&position);
    kill(ClosePosition { webhook: Some(FIRST.to_owned()), ..topics.position() });
    drop(starts(&close, &topics, None, &[FOREIGN]).await);
    close.write(Method::POST, "webhook/", json!({"url": FIRST, "events": events})).await;
    kill(ClosePosition { webhook: Some(FIRST.to_owned()), ..topics.position() });
    drop(starts(&close, &topics, Some(SECOND), &[SECOND, FOREIGN]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_close_does_not_delete_is_tried_again_and_stops_nothing() {
    let (close, topics) = (Laboratory::new(1).await, Topics::default());
    drop(starts(&close, &topics, Some(FIRST), &[FIRST]).await);
    let refused = json!({"faults": [{"endpoint": "DELETE webhook", "kind": "status", "status": 403}]});
    close.control(Method::PUT, "faults/", Some(refused)).await;
    let running = Running::start(&close, &topics, &[("objects", "note")]);
    first_run(&topics).await;
    tokio::time::timeout(Duration::from_mins(1), async {
        while !close.control(Method::GET, "counters/", None).await.contains("DELETE webhook") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it tries to delete the subscription");
    assert!(!topics.table("note").is_empty() && subscribed(&close).await == [FIRST]);
    assert_eq!(topics.position().webhook.as_deref(), Some(FIRST), "it is known until it is deleted");
    drop(running);
    close.control(Method::DELETE, "faults/", None).await;
    drop(starts(&close, &topics, None, &[]).await);
}
