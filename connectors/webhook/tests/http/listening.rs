//! Sockets and connections: opened with the first name, closed with the last one.

use reqwest::{Client, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use towpath_webhook::Listener;

use super::webhook::{Webhook, answer, create, head_of, refused, within};

#[tokio::test]
async fn closing_ends_idle_connections() {
    let url = "http://127.0.0.1:0";
    let listener = Listener::new(vec![url.parse().unwrap(), url.parse().unwrap()]);
    listener.announce(["acme"]).await.unwrap();
    assert_eq!(listener.local_addrs().len(), 2);
    let mut stream = TcpStream::connect(listener.local_addrs()[1]).await.unwrap();
    stream.write_all(b"POST /hooks/none HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 404 "));
    within(listener.close()).await;
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_head_ends_at_its_deadline() {
    let listener = Listener::new(vec!["http://127.0.0.1:0".parse().unwrap()]);
    listener.announce(["acme"]).await.unwrap();
    let mut silent = TcpStream::connect(listener.local_addrs()[0]).await.unwrap();
    let mut rest = Vec::new();
    // The clock is paused: while every task waits, it advances to the deadline.
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_forgotten_name_is_404_and_the_last_one_closes_the_sockets() {
    let webhook = Webhook::start().await;
    webhook.listener.announce(["other"]).await.unwrap();
    let response = webhook.client.post(webhook.url("/hooks/other")).body("{}").send();
    assert_eq!(refused(within(response).await.unwrap()).await, answer(503, "webhook.unavailable"));
    let (listener, client, url) = (webhook.listener.clone(), webhook.client.clone(), webhook.url("/hooks/acme"));
    webhook.source_stop.cancel();
    webhook.ends().await.unwrap();
    let post = async || within(client.post(&url).body("{}").send()).await;
    assert_eq!(refused(post().await.unwrap()).await, answer(503, "webhook.unavailable"));
    listener.forget("acme").await;
    assert_eq!(refused(post().await.unwrap()).await, answer(404, "webhook.unknown_connector"));
    listener.forget("other").await;
    assert!(post().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_name_announced_again_does_not_get_its_forgotten_hook() {
    let webhook = Webhook::start().await;
    webhook.listener.forget("acme").await;
    webhook.listener.announce(["acme"]).await.unwrap();
    let response = Client::new().post(webhook.url("/hooks/acme")).body(create().to_string()).send();
    assert_eq!(within(response).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}
