//! What is not Close: endless bodies, redirects, and the clock of its answers.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{codes, moment::Moment};

/// A server that answers every request with this text; the address.
pub(super) async fn serve(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    format!("http://{address}/api/v1")
}

fn client_of(url: &str, keys: &[(&str, &str)]) -> Close {
    Close::new("close", &config(url, "api_canary", keys), &CloseMetrics::unregistered()).unwrap()
}

async fn first_wait(close: &Close) -> String {
    let (seen, life) = Seen::life();
    let close = close.reporting(&life);
    let waiting = tokio::spawn(async move { close.get(Lane::Changes, "lead/", &[]).await });
    let (_, code, chain) = within(seen.first_wait()).await;
    waiting.abort();
    assert_eq!(code, codes::UNAVAILABLE, "{chain}");
    chain
}

#[tokio::test]
async fn an_endless_body_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
                let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
                while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            });
        }
    });
    let error = within(client_of(&url, &[]).get(Lane::Changes, "lead/", &[])).await.unwrap_err();
    assert!(error.code == codes::TOO_LARGE && error.chain().contains("more than 64 MiB"), "{}", error.chain());
}

#[tokio::test]
async fn a_promise_of_too_much_is_refused_before_it_is_read() {
    let url = serve("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{").await;
    let error = within(client_of(&url, &[]).get(Lane::Changes, "lead/", &[])).await.unwrap_err();
    assert!(error.code == codes::TOO_LARGE && error.chain().contains("more than 64 MiB"), "{}", error.chain());
}

#[tokio::test]
async fn a_redirect_elsewhere_is_not_followed_and_gets_no_key() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/api/v1/lead/", elsewhere.local_addr().unwrap());
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let url = serve(head.leak()).await;
    let visited = tokio::spawn(async move { elsewhere.accept().await.is_ok() });
    let chain = first_wait(&client_of(&url, &[])).await;
    assert!(chain.contains("it redirects (302) to another address"), "{chain}");
    assert!(!visited.is_finished(), "the other host was asked");
}

#[tokio::test]
async fn a_redirect_in_a_circle_ends() {
    let circle = "HTTP/1.1 301 Moved\r\nlocation: /api/v1/lead\r\ncontent-length: 0\r\n\r\n";
    let chain = first_wait(&client_of(&serve(circle).await, &[])).await;
    assert!(chain.contains("redirects (301)"), "{chain}");
}

#[tokio::test]
async fn an_unreachable_close_is_waited_for() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1", taken.local_addr().unwrap());
    drop(taken);
    let chain = first_wait(&client_of(&url, &[])).await;
    assert!(chain.contains("cannot connect"), "{chain}");
}

#[tokio::test]
async fn the_time_of_a_reading_is_never_after_it_and_follows_closes_clock() {
    let running = simulator(1).await;
    let close = client(&running);
    let now = || Moment(running.simulator.world.read().clock.now().0);
    assert_eq!(close.now(), None);
    let mut last = Moment::default();
    for _ in 0..20 {
        let before = now();
        let answer = within(close.get(Lane::Changes, "lead/", &[])).await.unwrap();
        assert!(answer.read_at <= before, "{} is after {before}", answer.read_at);
        assert!(answer.read_at > last, "each reading is later than the one before");
        assert!(before.since(answer.read_at) < Duration::from_secs(4), "{} is long before {before}", answer.read_at);
        assert!(close.now().unwrap() <= now());
        last = answer.read_at;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    // The organization's clock is moved by an hour.
    let moved = now().plus(Duration::from_hours(1));
    running.simulator.world.write().clock.set(close_simulator::model::Moment(moved.0));
    within(close.get(Lane::Changes, "lead/", &[])).await.unwrap();
    assert!(moved.since(close.now().unwrap()) > Duration::from_mins(50), "one date may be wrong");
    while moved.since(close.now().unwrap()) > Duration::from_secs(3) {
        within(close.get(Lane::Changes, "lead/", &[])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}
