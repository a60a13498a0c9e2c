//! A hook that answers for another connector of the worker.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use reqwest::{Client, StatusCode};
use towpath_webhook::Listener;

const MAX: usize = 100;

#[tokio::test]
async fn a_lent_hook_gets_headers_and_bytes_within_its_limit_and_its_status_is_the_answer() {
    let listener = Listener::new(vec!["http://127.0.0.1:0".parse().unwrap()]);
    listener.announce(["close"]).await.unwrap();
    let url = format!("http://{}/hooks/close", listener.local_addrs()[0]);
    let client = Client::new();
    let post = |body: String, signed: &'static str| {
        let request = client.post(&url).header("x-signed", signed).body(body);
        async move { request.send().await.unwrap() }
    };
    let early = post(String::new(), "yes").await;
    assert_eq!(early.status(), StatusCode::SERVICE_UNAVAILABLE, "its source does not run yet");
    assert!(early.headers().contains_key("retry-after"));

    let judged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&judged);
    let lent = listener.lend("close", MAX, move |headers, body| {
        count.fetch_add(body.len(), Ordering::Relaxed);
        let status = match headers.get("x-signed").and_then(|value| value.to_str().ok()) {
            Some("yes") => hyper::StatusCode::OK,
            Some("later") => hyper::StatusCode::SERVICE_UNAVAILABLE,
            _ => hyper::StatusCode::UNAUTHORIZED,
        };
        std::future::ready(status)
    });
    let lent = lent.unwrap();
    assert_eq!(post("x".repeat(MAX), "yes").await.status(), StatusCode::OK);
    assert_eq!(judged.load(Ordering::Relaxed), MAX);
    assert_eq!(post("x".repeat(MAX + 1), "yes").await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(judged.load(Ordering::Relaxed), MAX, "a body that is too large is not judged");
    let later = post("x".to_owned(), "later").await;
    assert!(later.headers().contains_key("retry-after"));
    assert_eq!(Client::new().get(&url).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let stranger = post("x".to_owned(), "no").await;
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.headers()["connection"], "close", "a stranger has one request");
    let mut last = StatusCode::UNAUTHORIZED;
    for _ in 0..2_000 {
        last = post("x".to_owned(), "no").await.status();
        if last == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "guesses are limited");
    drop(lent);
    assert_eq!(post(String::new(), "yes").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_name_that_is_no_part_of_a_path_cannot_have_a_hook() {
    let listener = Listener::new(vec!["http://127.0.0.1:0".parse().unwrap()]);
    let error = listener.lend("a/b", MAX, |_, _| std::future::ready(hyper::StatusCode::OK)).unwrap_err();
    assert_eq!(error.code, "webhook.config");
}
