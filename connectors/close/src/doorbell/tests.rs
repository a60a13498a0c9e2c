//! The doorbell against the simulator's webhooks.

use std::sync::Mutex;

use close_simulator::Running;
use reqwest::header::HeaderValue;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    catalogue::{Kind, kind},
    client::{
        Lane,
        tests::{Seen, client, set_faults, simulator, within},
    },
};

/// A receiver of posts that hands them to a doorbell; its URL, and the statuses that it has answered.
async fn receiver(doorbell: Doorbell) -> (String, Arc<Mutex<Vec<u16>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/close", listener.local_addr().unwrap());
    let answered = Arc::<Mutex<Vec<u16>>>::default();
    let statuses = Arc::clone(&answered);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (doorbell, statuses) = (doorbell.clone(), Arc::clone(&statuses));
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let (headers, body) = loop {
                    if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                        return;
                    }
                    if let Some(post) = whole(&bytes) {
                        break post;
                    }
                };
                let status = doorbell.post(&headers, &body).as_u16();
                statuses.lock().unwrap().push(status);
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, answered)
}

fn whole(bytes: &[u8]) -> Option<(HeaderMap, Vec<u8>)> {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        let name: reqwest::header::HeaderName = name.parse().unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    let body = &bytes[end + 4..];
    (body.len() >= length).then(|| (headers, body.to_vec()))
}

async fn subscriptions(close: &Close) -> Vec<Json> {
    close.get(Lane::Changes, "webhook/", &[]).await.unwrap().body["data"].as_array().unwrap().clone()
}

fn kinds() -> Vec<&'static Kind> {
    ["lead", "note", "lead_merge", "created"].map(|name| kind(name).unwrap()).into()
}

/// Keeps the subscription until the test ends.
fn keep(running: &Running, doorbell: &Doorbell, url: &str) -> (Arc<Seen>, tokio::task::JoinHandle<()>) {
    let (close, doorbell, url) = (client(running), doorbell.clone(), url.to_owned());
    let (seen, life) = Seen::life();
    let keeping = tokio::spawn(async move {
        let types: Vec<&str> = kinds().iter().flat_map(|kind| kind.events).copied().collect();
        let subscription = Subscription::new(&close, &url, catalogue::pairs(&types));
        doorbell.keep(Some(subscription), &life, || async { Ok(()) }).await;
    });
    (seen, keeping)
}

#[tokio::test]
async fn a_change_at_close_rings_within_moments() {
    let running = simulator(1).await;
    let (close, doorbell) = (client(&running), Doorbell::default());
    let (url, statuses) = receiver(doorbell.clone()).await;
    let (_seen, keeping) = keep(&running, &doorbell, &url);
    let bell = doorbell.bell();
    within(bell.notified()).await;
    let own = subscriptions(&close).await;
    assert_eq!(own.len(), 1);
    assert_eq!((&own[0]["url"], &own[0]["status"]), (&json!(url), &json!("active")));
    let events = events(&own[0]);
    assert!(events.contains(&"lead merged".to_owned()) && events.contains(&"activity.note deleted".to_owned()));
    assert!(!events.contains(&"activity.created created".to_owned()), "Close does not know it");
    // It only rings: several posts before the next look count as one.
    for name in ["A", "B"] {
        close.write(reqwest::Method::POST, "lead/", Some(&json!({ "name": name }))).await.unwrap();
    }
    within(bell.notified()).await;
    assert!(statuses.lock().unwrap().iter().all(|status| *status == 200));
    keeping.abort();
}

fn events(subscription: &Json) -> Vec<String> {
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let events = subscription["events"].as_array().unwrap();
    events.iter().map(|event| format!("{} {}", text(&event["object_type"]), text(&event["action"]))).collect()
}

#[tokio::test]
async fn what_others_do_to_the_subscription_is_repaired() {
    let running = simulator(0).await;
    let (close, url) = (client(&running), "https://hooks.example.com/hooks/close");
    let ours = || Subscription::new(&close, url, catalogue::pairs(&["lead", "activity.created"]));
    let mut subscription = ours();
    let Ensured { key, changed } = subscription.ensure().await.unwrap();
    assert!(changed && !subscription.ensure().await.unwrap().changed);
    let write = |method, path: String, body: Json| {
        let close = close.clone();
        async move { close.write(method, &path, Some(&body)).await.unwrap() }
    };
    let id = subscriptions(&close).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("webhook/{id}/");
    let other =
        json!({ "url": "https://other.example.com/", "events": [{ "object_type": "lead", "action": "created" }] });
    write(reqwest::Method::POST, "webhook/".to_owned(), other.clone()).await;
    for change in [
        json!({ "status": "paused" }),
        json!({ "events": [{ "object_type": "contact", "action": "created" }] }),
        json!({ "events": [{ "object_type": "lead", "action": "created", "extra_filter": { "type": "non_null" } }] }),
    ] {
        write(reqwest::Method::PUT, path.clone(), change.clone()).await;
        // By the one that runs, and by one that starts.
        for starts in [false, true] {
            let changed = subscription.ensure().await.unwrap().changed;
            assert!(changed || starts, "{change}");
            let rows = subscriptions(&close).await;
            let own = rows.iter().find(|row| row["id"] == *id).unwrap();
            assert_eq!((rows.len(), &own["status"], own["events"].as_array().unwrap().len()), (2, &json!("active"), 4));
            assert_eq!(own["events"][0]["extra_filter"], Json::Null, "{change}");
            subscription = ours();
        }
    }
    // A second one with our URL goes; one that was deleted comes back.
    let mut twin = other;
    twin["url"] = url.into();
    write(reqwest::Method::POST, "webhook/".to_owned(), twin).await;
    assert_eq!(subscription.ensure().await.unwrap().key.reveal(), key.reveal());
    assert_eq!(subscriptions(&close).await.len(), 2);
    close.write(reqwest::Method::DELETE, &path, None).await.unwrap();
    let new = subscription.ensure().await.unwrap();
    assert!(new.changed && new.key.reveal() != key.reveal());
    remove(&close, url).await.unwrap();
    let left = subscriptions(&close).await;
    assert_eq!((left.len(), &left[0]["url"]), (1, &json!("https://other.example.com/")));
}

#[tokio::test]
async fn without_the_right_the_part_waits_and_posts_are_503() {
    let running = simulator(0).await;
    set_faults(&running, &[json!({ "endpoint": "webhook", "kind": "status", "status": 403 })]);
    let doorbell = Doorbell::default();
    let (seen, keeping) = keep(&running, &doorbell, "https://hooks.example.com/hooks/close");
    let (part, code, _) = within(seen.first_wait()).await;
    assert_eq!((part.as_str(), code), (PART, crate::codes::FORBIDDEN));
    assert_eq!(doorbell.post(&HeaderMap::new(), b"{}"), StatusCode::SERVICE_UNAVAILABLE);
    keeping.abort();
}

#[tokio::test]
async fn a_post_of_a_stranger_rings_nothing() {
    let doorbell = Doorbell::default();
    *doorbell.shared.key.write().unwrap() = Some(Secret::new("00ff"));
    assert_eq!(doorbell.post(&HeaderMap::new(), b"{}"), StatusCode::UNAUTHORIZED);
    let mut headers = HeaderMap::new();
    headers.insert("close-sig-hash", HeaderValue::from_static("00"));
    headers.insert("close-sig-timestamp", HeaderValue::from_static("1"));
    assert_eq!(doorbell.post(&headers, b"{}"), StatusCode::UNAUTHORIZED);
    let bell = doorbell.bell();
    assert!(futures::FutureExt::now_or_never(bell.notified()).is_none());
    assert!(!format!("{doorbell:?}").contains("00ff"));
}

#[tokio::test]
async fn quirk_33_a_subscription_that_close_has_paused_after_days_of_failures_is_resumed() {
    let running = simulator(1).await;
    let close = client(&running);
    // Nobody answers there.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/close", nobody.local_addr().unwrap());
    drop(nobody);
    let mut subscription = Subscription::new(&close, &url, catalogue::pairs(&["lead"]));
    subscription.ensure().await.unwrap();
    close.write(reqwest::Method::POST, "lead/", Some(&json!({ "name": "A" }))).await.unwrap();
    within(async {
        while subscriptions(&close).await[0]["status"] != "paused" {
            {
                let mut world = running.simulator.world.write();
                let later = world.clock.now().plus_millis(3_600_000);
                world.clock.set(later);
                world.catch_up();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(subscription.ensure().await.unwrap().changed);
    assert_eq!(subscriptions(&close).await[0]["status"], "active");
}

#[tokio::test]
async fn quirk_34_a_full_organization_is_said_and_takes_the_subscription_when_there_is_room() {
    let running = simulator(0).await;
    let (close, url) = (client(&running), "https://hooks.example.com/hooks/close");
    let mut other = json!({ "url": "", "events": [{ "object_type": "lead", "action": "created" }] });
    for number in 0..40 {
        other["url"] = format!("https://other.example.com/{number}").into();
        close.write(reqwest::Method::POST, "webhook/", Some(&other)).await.unwrap();
    }
    let mut subscription = Subscription::new(&close, url, catalogue::pairs(&["lead"]));
    let error = subscription.ensure().await.unwrap_err();
    assert_eq!((error.code, error.needs_action()), (crate::codes::REFUSED, true), "{}", error.chain());
    let id = subscriptions(&close).await[0]["id"].as_str().unwrap().to_owned();
    close.write(reqwest::Method::DELETE, &format!("webhook/{id}/"), None).await.unwrap();
    assert!(subscription.ensure().await.unwrap().changed);
    assert_eq!(subscriptions(&close).await.len(), 40);
}

#[tokio::test]
async fn quirk_35_a_post_that_is_refused_is_posted_again_and_a_repeated_one_only_rings() {
    let running = simulator(1).await;
    let (close, doorbell) = (client(&running), Doorbell::default());
    let (url, statuses) = receiver(doorbell.clone()).await;
    // Close posts before the source knows the key of the subscription.
    Subscription::new(&close, &url, catalogue::pairs(&["lead"])).ensure().await.unwrap();
    close.write(reqwest::Method::POST, "lead/", Some(&json!({ "name": "A" }))).await.unwrap();
    let answered = |wanted: u16| {
        let statuses = Arc::clone(&statuses);
        async move {
            while !statuses.lock().unwrap().contains(&wanted) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    within(answered(503)).await;
    running.simulator.world.write().webhooks.faults.duplicate = 1.0;
    let (_seen, keeping) = keep(&running, &doorbell, &url);
    let bell = doorbell.bell();
    within(bell.notified()).await;
    let later = running.simulator.world.read().clock.now().plus_millis(1_200_000);
    running.simulator.world.write().clock.set(later);
    within(answered(200)).await;
    within(bell.notified()).await;
    keeping.abort();
}
