//! A webhook on its own port, with a publisher that behaves as the test sets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use prometheus::{Registry, TextEncoder};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use towpath_api::{ChangeEvent, Error, ErrorType, Object, OpenSource, Placed, Publisher, Result, Source};
use towpath_keys::{Flat, read};
use towpath_webhook::{DoorLimits, Listener, OpenWebhookSource, WebhookConfig, WebhookMetrics};

pub(crate) const SECRET: &str = "canary-2f7c1d";
const DEAL: &str = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"string"},
    {"name":"name","type":"string"},{"name":"amount","type":["null","long"],"default":null}]}"#;
const ORDER: &str = r#"{"type":"record","name":"purchase","fields":[{"name":"id","type":"long"},
    {"name":"note","type":["null","string"]}]}"#;

/// The behavior of the broker.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Broker {
    Takes,
    Holds,
    Away,
    RefusesAsTooLarge,
    RefusesAsBroken,
    Denies,
    /// Refuses the topic of `purchase`, and takes everything else.
    RefusesPurchases,
}

#[derive(Clone)]
pub(crate) struct FakePublisher {
    broker: watch::Sender<Broker>,
    /// Events stored by the broker.
    pub(crate) taken: Arc<Mutex<Vec<ChangeEvent>>>,
    /// Calls of `publish` in flight.
    waiting: watch::Sender<usize>,
}

impl FakePublisher {
    pub(crate) fn new() -> Self {
        Self { broker: watch::channel(Broker::Takes).0, taken: Arc::default(), waiting: watch::channel(0).0 }
    }

    pub(crate) fn now(&self, broker: Broker) {
        self.broker.send_replace(broker);
    }

    pub(crate) async fn holds_requests(&self, count: usize) {
        within(self.waiting.subscribe().wait_for(|waiting| *waiting == count)).await.unwrap();
    }
}

impl Publisher for FakePublisher {
    async fn prepare(&self, object: &Arc<Object>) -> Result<()> {
        match *self.broker.borrow() {
            Broker::Away => Err(Error::retry("kafka.unavailable", ErrorType::Unavailable, "reach broker-7.internal")),
            Broker::RefusesPurchases if object.name() == "purchase" => Err(refused_topic()),
            Broker::Denies => Err(refused_topic()),
            _ => Ok(()),
        }
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let broker = *self.broker.subscribe().wait_for(|broker| *broker != Broker::Holds).await.unwrap();
        self.waiting.send_modify(|waiting| *waiting -= 1);
        match broker {
            Broker::RefusesPurchases if events.iter().any(|event| event.object.name() == "purchase") => {
                Err(refused_topic())
            }
            Broker::Takes | Broker::Holds | Broker::RefusesPurchases => {
                let mut taken = self.taken.lock().unwrap();
                let placed = events.into_iter().map(|event| {
                    let topic = format!("acme.{}", event.object.name()).into();
                    taken.push(event);
                    Placed { topic, partition: 3, offset: i64::try_from(taken.len()).unwrap() - 1 }
                });
                Ok(placed.collect())
            }
            Broker::Away => Err(Error::retry("kafka.unavailable", ErrorType::Unavailable, "reach broker-7.internal")),
            Broker::RefusesAsTooLarge => {
                Err(Error::poison("kafka.too_large", ErrorType::TooLarge, "produce 2,000,000 bytes"))
            }
            Broker::RefusesAsBroken => Err(Error::poison("avro.encode", ErrorType::Serialization, "encode an event")),
            Broker::Denies => Err(refused_topic()),
        }
    }
}

fn refused_topic() -> Error {
    Error::fatal("kafka.topic_refused", ErrorType::Config, "create the topic at broker-7.internal")
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("within 20 seconds")
}

/// A running webhook.
pub(crate) struct Webhook {
    pub(crate) listener: Listener,
    pub(crate) out: FakePublisher,
    registry: Registry,
    pub(crate) source_stop: CancellationToken,
    pub(crate) source: JoinHandle<Result<()>>,
    pub(crate) client: Client,
    _folder: TempDir,
}

impl Webhook {
    /// With further config keys.
    pub(crate) async fn start_with(out: FakePublisher, keys: &[(&str, &str)]) -> Self {
        Self::start_limited(out, keys, DoorLimits::default()).await
    }

    /// With further config keys, and limits of the listener.
    pub(crate) async fn start_limited(out: FakePublisher, keys: &[(&str, &str)], limits: DoorLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("deal.avsc"), DEAL).unwrap();
        std::fs::write(folder.path().join("purchase.avsc"), ORDER).unwrap();
        let usual = [
            ("objects", "deal,purchase"),
            ("objects.deal.schema", "deal.avsc"),
            ("objects.purchase.schema", "purchase.avsc"),
            ("clients.acme.secret", SECRET),
        ];
        let flat = Flat::from_strings(usual.iter().chain(keys).copied()).with_base_dir(folder.path());
        let (config, _) = read::<WebhookConfig>(&flat).unwrap();
        let registry = Registry::new();
        let metrics = WebhookMetrics::register(&registry).unwrap();
        let listener = Listener::with_limits(vec!["http://127.0.0.1:0".parse().unwrap()], limits, &metrics);
        let stop = CancellationToken::new();
        let opener = OpenWebhookSource::new("acme", config, listener.clone(), metrics);
        assert!(!format!("{opener:?}").contains(SECRET));
        let mut source = opener.open(0).await.unwrap();
        assert!(!format!("{source:?}").contains(SECRET));
        let (mut publisher, source_stop) = (out.clone(), stop.clone());
        let source =
            tokio::spawn(async move { source.run(&mut publisher, towpath_api::Lifecycle::new(source_stop)).await });
        Self { listener, out, registry, source_stop: stop, source, client: Client::new(), _folder: folder }
    }

    pub(crate) async fn start() -> Self {
        let webhook = Self::start_with(FakePublisher::new(), &[]).await;
        webhook.is_open().await;
        webhook
    }

    /// Waits until the hook is open: only an open hook answers 405.
    pub(crate) async fn is_open(&self) {
        within(async {
            while self.request(Method::GET, "/hooks/acme", "", "").await.status() != StatusCode::METHOD_NOT_ALLOWED {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listener.local_addrs()[0])
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let request = self.client.request(method, self.url(path)).header("content-type", content_type).body(body);
        within(request.send()).await.unwrap()
    }

    /// A connection that has sent `bytes`.
    pub(crate) async fn connect(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.listener.local_addrs()[0]).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    pub(crate) async fn post_text(&self, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::POST, "/hooks/acme", "application/json", body).await
    }

    /// Posts with valid credentials.
    pub(crate) async fn post(&self, mut body: Json) -> Response {
        body["clientid"] = json!("acme");
        body["clientSecret"] = json!(SECRET);
        self.post_text(body.to_string()).await
    }

    pub(crate) fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    pub(crate) fn assert_metric(&self, line: &str) {
        let metrics = self.metrics();
        assert!(metrics.lines().any(|own| own == line), "no line `{line}` in\n{metrics}");
    }

    pub(crate) async fn ends(self) -> Result<()> {
        within(self.source).await.unwrap()
    }
}

pub(crate) fn create() -> Json {
    json!({"objectname": "deal", "id": "d-1", "action": "create", "data": {"name": "first", "amount": 5}})
}

pub(crate) fn purchase() -> Json {
    json!({"objectname": "purchase", "id": 7, "action": "create", "data": {"note": null}})
}

/// Checks the form of a problem; returns its status, code and document.
pub(crate) async fn problem(response: Response) -> (u16, String, Json) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let is_later = matches!(status, 429 | 503);
    assert_eq!(response.headers().contains_key("retry-after"), is_later, "{status}");
    let text = response.text().await.unwrap();
    assert!(!text.contains(SECRET) && !text.contains("broker-7"), "{text}");
    let body: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(body["status"], status);
    let code = body["code"].as_str().unwrap().to_owned();
    assert_eq!(body["type"], format!("/errors#{code}"));
    assert!(body["title"].is_string() && body["detail"].is_string() && body["instance"].is_string());
    (status, code, body)
}

/// The body of a post with valid credentials, followed by blanks.
pub(crate) fn padded(length: usize) -> String {
    let mut body = create();
    body["clientid"] = json!("acme");
    body["clientSecret"] = json!(SECRET);
    let text = body.to_string();
    format!("{text}{}", " ".repeat(length.saturating_sub(text.len())))
}

/// The head of a post whose body has `length` bytes.
pub(crate) fn head(length: usize) -> Vec<u8> {
    let head = "POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length:";
    format!("{head} {length}\r\n\r\n").into_bytes()
}

pub(crate) async fn refused(response: Response) -> (u16, String) {
    let (status, code, _) = problem(response).await;
    (status, code)
}

pub(crate) fn answer(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Reads the head of an answer.
pub(crate) async fn head_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    within(async {
        while !text.windows(4).any(|window| window == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "the connection ended");
        }
    })
    .await;
    String::from_utf8_lossy(&text).into_owned()
}
