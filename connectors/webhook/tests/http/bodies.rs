//! Bodies: their limit, their pieces, and answers to clients that write before they read.

use std::io::{Read, Write};

use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::webhook::{FakePublisher, SECRET, Webhook, answer, create, head, head_of, padded, refused, within};

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_a_body_at_the_limit_is_not() {
    let webhook = Webhook::start_with(FakePublisher::new(), &[("body.max.bytes", "2000")]).await;
    webhook.is_open().await;
    assert_eq!(webhook.post_text(padded(2_000)).await.status(), StatusCode::ACCEPTED);
    assert_eq!(refused(webhook.post_text(padded(2_001)).await).await, answer(413, "webhook.too_large"));
    // More than the buffers of a socket hold.
    assert_eq!(refused(webhook.post_text(vec![b' '; 8_000_000]).await).await, answer(413, "webhook.too_large"));
    assert_eq!(webhook.post_text(padded(500)).await.status(), StatusCode::ACCEPTED);
    webhook
        .assert_metric(r#"towpath_webhook_rejections_total{client="_unknown",connector="acme",reason="too_large"} 2"#);
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_413() {
    let webhook = Webhook::start_with(FakePublisher::new(), &[("body.max.bytes", "1000")]).await;
    webhook.is_open().await;
    let mut stream = TcpStream::connect(webhook.listener.local_addrs()[0]).await.unwrap();
    let chunk = format!("190\r\n{}\r\n", " ".repeat(400));
    let request = format!(
        "POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(3)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_body_in_many_pieces_is_accepted_whole() {
    let webhook = Webhook::start().await;
    let mut body = create();
    body["clientid"] = json!("acme");
    body["clientSecret"] = json!(SECRET);
    let body = body.to_string();
    let chunks: String = body
        .as_bytes()
        .chunks(7)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
        .collect();
    let mut stream = TcpStream::connect(webhook.listener.local_addrs()[0]).await.unwrap();
    let head =
        "POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}{chunks}0\r\n\r\n").as_bytes()).await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 202 "));
}

/// Writes a whole request before it reads, as simple clients do; returns everything that the server sends.
fn write_then_read(webhook: &Webhook, head: &str, body: &[u8]) -> String {
    let mut stream = std::net::TcpStream::connect(webhook.listener.local_addrs()[0]).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_writes_20_mb_before_it_reads_gets_its_answer() {
    let webhook = Webhook::start().await;
    let body = vec![b' '; 20_000_000];
    // Socket buffers can hold a few MB that the server has not read, so only a larger body proves that it drains.
    let large = vec![b' '; 60_000_000];
    let chunked = [b"1312D00\r\n", body.as_slice(), b"\r\n0\r\n\r\n"].concat();
    let json = "content-type: application/json";
    let (length, larger) = ("content-length: 20000000", "content-length: 60000000");
    for (head, body, status, code) in [
        (format!("POST /hooks/acme HTTP/1.1\r\n{json}\r\n{larger}"), &large, 413, "webhook.too_large"),
        (format!("POST /hooks/acme HTTP/1.1\r\n{json}\r\n{length}"), &body, 413, "webhook.too_large"),
        (
            format!("POST /hooks/acme HTTP/1.1\r\n{json}\r\ntransfer-encoding: chunked"),
            &chunked,
            413,
            "webhook.too_large",
        ),
        (format!("POST /hooks/acme HTTP/1.1\r\n{length}"), &body, 415, "webhook.content_type"),
        (format!("POST /hooks/other HTTP/1.1\r\n{json}\r\n{length}"), &body, 404, "webhook.unknown_connector"),
    ] {
        let answer = tokio::task::block_in_place(|| write_then_read(&webhook, &head, body));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.ends_with('}') && answer.contains(code), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_the_413_first() {
    let webhook = Webhook::start().await;
    let mut stream = TcpStream::connect(webhook.listener.local_addrs()[0]).await.unwrap();
    let head = "POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20000000\r\n\
        expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_408_within_seconds() {
    let webhook = Webhook::start().await;
    let mut stream = webhook.connect(&[head(100), b"{".to_vec()].concat()).await;
    let started = tokio::time::Instant::now();
    let mut answer = Vec::new();
    // The clock is paused: while every task waits, it advances to the deadline.
    tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    assert!(started.elapsed() < std::time::Duration::from_secs(12), "{:?}", started.elapsed());
    webhook.assert_metric(r#"towpath_webhook_requests_total{client="_unknown",code="408",connector="acme"} 1"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_without_end_is_read_up_to_a_limit() {
    let webhook = Webhook::start().await;
    let address = webhook.listener.local_addrs()[0];
    let written = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        // Without a content type the answer is 415.
        stream.write_all(b"POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000000\r\n\r\n").unwrap();
        let piece = vec![b' '; 1_000_000];
        (0..300).take_while(|_| stream.write_all(&piece).is_ok()).count()
    });
    let written = within(written).await.unwrap();
    assert!((64..200).contains(&written), "the server read {written} MB");
}
