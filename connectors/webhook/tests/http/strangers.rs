//! Clients that hold connections, send slowly, read nothing, guess or send what is costly to read: none of them keeps a
//! known client out.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use towpath_webhook::{DoorLimits, Limits};

use super::webhook::{FakePublisher, SECRET, Webhook, answer, create, head, head_of, padded, refused, within};

const WRONG: &str = r#"{"clientid":"acme","clientSecret":"guess"}"#;

fn limits(connections: usize, bodies_max_bytes: usize) -> DoorLimits {
    let connections = Limits { connections, connections_per_address: connections, proxies: Vec::new() };
    DoorLimits { connections, bodies_max_bytes }
}

async fn start(keys: &[(&str, &str)], limits: DoorLimits) -> Webhook {
    let webhook = Webhook::start_limited(FakePublisher::new(), keys, limits).await;
    webhook.is_open().await;
    webhook
}

/// The value of a series.
fn value(webhook: &Webhook, series: &str) -> u64 {
    let metrics = webhook.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series}"));
    line.trim().parse().unwrap()
}

fn closed(webhook: &Webhook, reason: &str) -> u64 {
    value(webhook, &format!(r#"towpath_webhook_connections_closed_total{{reason="{reason}"}}"#))
}

/// Posts on a connection of its own, as a client does that has not posted yet.
async fn post_anew(webhook: &Webhook, headers: &str, body: &str) -> u16 {
    let head = format!("{headers}content-length: {}\r\n\r\n", body.len());
    let request = format!("POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{head}{body}");
    let mut stream = webhook.connect(request.as_bytes()).await;
    head_of(&mut stream).await[9..12].parse().unwrap()
}

#[tokio::test]
async fn bodies_that_do_not_arrive_hold_no_permit() {
    let webhook = start(&[("requests.max.in.flight", "2")], DoorLimits::default()).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(webhook.connect(&[head(100), b"{".to_vec()].concat()).await);
    }
    within(async {
        while value(&webhook, r#"towpath_webhook_requests_in_flight{connector="acme"}"#) < 20 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn hundreds_of_hostile_connections_do_not_delay_a_known_client() {
    let webhook = start(&[], limits(100, 1024 * 1024)).await;
    let mut held = Vec::new();
    let large = [head(1_000_000), vec![b' '; 100_000]].concat();
    let wrong = [head(WRONG.len()), WRONG.into()].concat();
    for _ in 0..60 {
        held.push(webhook.connect(b"").await);
        held.push(webhook.connect(b"POST /hooks/acme HTT").await);
        held.push(webhook.connect(&[head(100), b"{".to_vec()].concat()).await);
        held.push(webhook.connect(&wrong).await);
        held.push(webhook.connect(&wrong.repeat(20)).await);
        let mut trickling = TcpStream::connect(webhook.listener.local_addrs()[0]).await.unwrap();
        // Its place may be taken while it writes.
        let _ = trickling.write_all(&large).await;
        held.push(trickling);
        drop(webhook.connect(&large[..2_000]).await);
        let started = Instant::now();
        assert_eq!(post_anew(&webhook, "", &padded(300)).await, 202);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    assert!(closed(&webhook, "displaced") > 100, "{}", closed(&webhook, "displaced"));
    assert!(value(&webhook, "towpath_webhook_connections ") <= 101);
}

#[tokio::test]
async fn large_bodies_of_strangers_leave_room_for_small_posts() {
    let webhook = start(&[("body.max.bytes", "1MiB")], limits(100, 1024 * 1024)).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(webhook.connect(&[head(1_000_000), vec![b' '; 300_000]].concat()).await);
    }
    // A body that finds no memory is refused, so at least one is.
    assert!(head_of(&mut held.pop().unwrap()).await.starts_with("HTTP/1.1 503 "));
    assert_eq!(post_anew(&webhook, "", &padded(8_000)).await, 202);
    assert_eq!(refused(webhook.post_text(padded(900_000)).await).await, answer(503, "webhook.overloaded"));
    drop(held);
    within(async {
        while webhook.post_text(padded(900_000)).await.status() != StatusCode::ACCEPTED {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_has_one_request_for_each_connection() {
    let webhook = Webhook::start().await;
    let wrong = [head(WRONG.len()), WRONG.into()].concat();
    let mut stream = webhook.connect(&wrong.repeat(2)).await;
    let mut answers = String::new();
    // A reset is an end as well.
    let _ = within(stream.read_to_string(&mut answers)).await;
    assert_eq!(answers.matches("HTTP/1.1 401 ").count(), 1, "{answers}");
    // A known client keeps its connection, also after a refusal.
    let (good, bad) = (padded(300), format!(r#"{{"clientid":"acme","clientSecret":"{SECRET}"}}"#));
    let (good, bad) = ([head(good.len()), good.into()].concat(), [head(bad.len()), bad.into()].concat());
    let mut stream = webhook.connect(&[good.clone(), bad, good].concat()).await;
    let mut answers = Vec::new();
    within(async {
        while String::from_utf8_lossy(&answers).matches("HTTP/1.1 202 ").count() < 2 {
            assert_ne!(stream.read_buf(&mut answers).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answers));
        }
    })
    .await;
}

/// Guesses until the answer is 429.
async fn guess(webhook: &Webhook, headers: &str) {
    for guesses in 0.. {
        match post_anew(webhook, headers, WRONG).await {
            401 => assert!(guesses < 3_000, "no limit on guesses"),
            429 => return assert!(guesses >= 1_000, "{guesses}"),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn guesses_are_limited_and_a_known_client_behind_the_same_address_is_not() {
    let webhook = Webhook::start().await;
    guess(&webhook, "").await;
    // The secret was not compared: right and wrong ones get the same answer.
    assert_eq!(post_anew(&webhook, "", &padded(300)).await, 429);

    let webhook = Webhook::start().await;
    assert_eq!(post_anew(&webhook, "", &padded(300)).await, 202);
    guess(&webhook, "").await;
    assert_eq!(post_anew(&webhook, "", &padded(300)).await, 202);
    assert!(value(&webhook, r#"towpath_webhook_requests_total{client="_unknown",code="429",connector="acme"}"#) >= 1);
}

#[tokio::test]
async fn guesses_count_for_the_address_that_a_trusted_proxy_names() {
    let mut limits = limits(100, 1024 * 1024);
    limits.connections.proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.7".parse().unwrap()];
    let webhook = start(&[], limits).await;
    guess(&webhook, "x-forwarded-for: 192.0.2.1, 203.0.113.5, 10.0.0.7\r\n").await;
    let post = async |client: &str| post_anew(&webhook, &format!("x-forwarded-for: {client}\r\n"), &padded(300)).await;
    assert_eq!((post("192.0.2.1, 203.0.113.5").await, post("203.0.113.5, 192.0.2.1").await), (429, 202));
}

/// The longest time for which the only thread of the runtime did nothing else, while a body is posted, and the time of
/// the post.
async fn longest_wait(webhook: &Webhook, body: String) -> (Duration, Duration) {
    let started = Instant::now();
    let mut post = Box::pin(webhook.post_text(body));
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        tokio::select! {
            answer = &mut post => {
                assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
                return (longest.max(last.elapsed()), started.elapsed());
            }
            () = sleep(Duration::from_millis(2)) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        }
    }
}

#[tokio::test]
async fn a_costly_body_does_not_hold_the_thread_that_serves_requests() {
    let webhook = start(&[("body.max.bytes", "64MiB")], DoorLimits::default()).await;
    let texts = vec![format!(r#""{}""#, "x".repeat(250_000)); 60].join(",");
    let deep = format!("{}{texts}{}", "[".repeat(30), "]".repeat(30));
    let mut body =
        json!({"clientid": "acme", "clientSecret": SECRET, "objectname": "deal", "id": "d", "action": "create"})
            .to_string();
    body.pop();
    body.push_str(&format!(r#","data":{deep}}}"#));
    let (longest, whole) = longest_wait(&webhook, body).await;
    assert!(longest * 3 < whole, "the thread was held for {longest:?} of {whole:?}");
}
