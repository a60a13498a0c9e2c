//! A receiver of webhooks: passes requests on through a channel, and answers as configured.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::{Barrier, mpsc};

use crate::{client::Close, events::frozen};

/// The answer to a request.
#[derive(Clone)]
pub enum Reaction {
    Status(u16),
    /// 307 to a path of the receiver.
    Redirect(&'static str),
    /// No answer.
    Hang,
    /// The connection is closed after the request is read.
    Reset,
    /// 200 after the barrier's number of requests has arrived.
    Meet(Arc<Barrier>),
}

/// A received request.
#[derive(Debug)]
pub struct Received {
    pub path: String,
    pub headers: hyper::HeaderMap,
    pub raw: Bytes,
    pub body: Value,
}

pub struct Receiver {
    address: SocketAddr,
    arrived: mpsc::UnboundedReceiver<Received>,
    reactions: Arc<Mutex<Reactions>>,
}

struct Reactions {
    next: VecDeque<Reaction>,
    then: Reaction,
}

impl Receiver {
    /// Answers everything with 200.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (tell, arrived) = mpsc::unbounded_channel();
        let reactions = Arc::new(Mutex::new(Reactions { next: VecDeque::new(), then: Reaction::Status(200) }));
        let shared = Arc::clone(&reactions);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, reactions) = (tell.clone(), Arc::clone(&shared));
                let service = service_fn(move |request| respond(request, tell.clone(), Arc::clone(&reactions)));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, arrived, reactions }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The next answers in order, and the answer to all later requests.
    pub fn answer(&self, next: impl IntoIterator<Item = Reaction>, then: Reaction) {
        *self.reactions.lock().unwrap() = Reactions { next: next.into_iter().collect(), then };
    }

    /// The next request.
    pub async fn next(&mut self) -> Received {
        tokio::time::timeout(Duration::from_secs(20), self.arrived.recv())
            .await
            .expect("a delivery")
            .expect("the receiver runs")
    }

    /// Requests that have arrived but were not read.
    pub fn rest(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.arrived.try_recv().ok()).collect()
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    tell: mpsc::UnboundedSender<Received>,
    reactions: Arc<Mutex<Reactions>>,
) -> Result<hyper::Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let raw = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    let reaction = {
        let mut reactions = reactions.lock().unwrap();
        reactions.next.pop_front().unwrap_or_else(|| reactions.then.clone())
    };
    let _ = tell.send(Received { path: head.uri.path().to_owned(), headers: head.headers, raw, body });
    let answer = hyper::Response::builder();
    let answer = match reaction {
        Reaction::Status(status) => answer.status(status),
        Reaction::Redirect(path) => answer.status(307).header("location", path),
        Reaction::Hang => std::future::pending().await,
        Reaction::Reset => return Err(std::io::Error::other("closed on purpose")),
        Reaction::Meet(barrier) => {
            barrier.wait().await;
            answer.status(200)
        }
    };
    Ok(answer.body(Full::default()).expect("an answer"))
}

/// A stopped clock, a receiver, and a subscription to changes of leads.
pub async fn subscribed() -> (Close, Receiver, Value) {
    let close = frozen().await;
    let receiver = Receiver::start().await;
    let made = subscribe(&close, &receiver).await;
    (close, receiver, made)
}

pub async fn subscribe(close: &Close, receiver: &Receiver) -> Value {
    let events: Vec<Value> = ["created", "updated", "deleted"]
        .iter()
        .map(|action| json!({ "object_type": "lead", "action": action }))
        .collect();
    close.make("webhook/", json!({ "url": receiver.url("hook"), "events": events })).await
}

/// The delivery state of the first subscription.
pub async fn state(close: &Close) -> Value {
    close.get("/_control/webhooks/").await.body["subscriptions"][0].clone()
}

/// Waits until the delivery state of the first subscription satisfies `holds`.
pub async fn until(close: &Close, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let state = state(close).await;
            if holds(&state) {
                return state;
            }
        }
    };
    let Ok(state) = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await else {
        panic!("never {what}: {}", state(close).await)
    };
    state
}

pub async fn counted(close: &Close, name: &str, count: u64) -> Value {
    until(close, &format!("{count} {name}"), |state| state["under_way"] == 0 && state["counts"][name] == count).await
}

/// Waits until nothing is pending, in flight or settling.
pub async fn quiet(close: &Close) {
    until(close, "quiet", |state| state["waiting"] == 0 && state["under_way"] == 0).await;
    assert_eq!(close.get("/_control/webhooks/").await.body["settling"], 0);
}

pub fn assert_signed(arrived: &Received, subscription: &Value) {
    let key = hex(subscription["signature_key"].as_str().unwrap());
    let stamp = arrived.headers["close-sig-timestamp"].to_str().unwrap();
    assert_eq!(arrived.headers["close-sig-hash"], signature(&key, stamp, &arrived.raw).as_str());
}

/// The bytes of a hexadecimal key.
pub fn hex(key: &str) -> Vec<u8> {
    (0..key.len() / 2).map(|at| u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

/// Section 7.4: the HMAC of the timestamp and the raw body.
pub fn signature(key: &[u8], stamp: &str, raw: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(stamp.as_bytes());
    mac.update(raw);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
