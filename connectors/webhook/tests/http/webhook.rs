//! Every answer of the webhook over real HTTP, with a publisher that does as the test says.

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
use towpath_api::{ChangeEvent, Error, ErrorType, Key, Object, Op, Placed, Publisher, Result, Source};
use towpath_keys::{Flat, read};
use towpath_webhook::{Listener, WebhookConfig, WebhookMetrics, WebhookSource};

const SECRET: &str = "canary-2f7c1d";
const DEAL: &str = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"string"},
    {"name":"name","type":"string"},{"name":"amount","type":["null","long"],"default":null}]}"#;
const ORDER: &str = r#"{"type":"record","name":"purchase","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"]}]}"#;

/// What the broker does.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Broker {
    Takes,
    Holds,
    Away,
    RefusesAsTooLarge,
    RefusesAsBroken,
    Denies,
}

#[derive(Clone)]
struct FakePublisher {
    broker: watch::Sender<Broker>,
    /// Events taken for good.
    taken: Arc<Mutex<Vec<ChangeEvent>>>,
    /// Calls under way.
    waiting: watch::Sender<usize>,
}

impl FakePublisher {
    fn new() -> Self {
        Self { broker: watch::channel(Broker::Takes).0, taken: Arc::default(), waiting: watch::channel(0).0 }
    }

    fn now(&self, broker: Broker) {
        self.broker.send_replace(broker);
    }

    async fn holds_requests(&self, count: usize) {
        within(self.waiting.subscribe().wait_for(|waiting| *waiting == count)).await.unwrap();
    }
}

impl Publisher for FakePublisher {
    async fn prepare(&self, _: &Arc<Object>) -> Result<()> {
        match *self.broker.borrow() {
            Broker::Away => Err(Error::retry("kafka.unavailable", ErrorType::Unavailable, "reach broker-7.internal")),
            _ => Ok(()),
        }
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let broker = *self.broker.subscribe().wait_for(|broker| *broker != Broker::Holds).await.unwrap();
        self.waiting.send_modify(|waiting| *waiting -= 1);
        match broker {
            Broker::Takes | Broker::Holds => {
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
            Broker::Denies => Err(Error::fatal("kafka.denied", ErrorType::Auth, "write to acme.deal")),
        }
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it happens within 20 seconds")
}

/// A webhook on a port of its own.
struct Webhook {
    listener: Listener,
    out: FakePublisher,
    registry: Registry,
    source_stop: CancellationToken,
    source: JoinHandle<Result<()>>,
    client: Client,
    _folder: TempDir,
}

impl Webhook {
    /// With config keys beside the usual ones.
    async fn start_with(out: FakePublisher, keys: &[(&str, &str)]) -> Self {
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
        let listener = Listener::bind(&["http://127.0.0.1:0"]).await.unwrap();
        let (serving, stop) = (listener.clone(), CancellationToken::new());
        tokio::spawn(async move { serving.run(CancellationToken::new()).await });
        let mut source = WebhookSource::new("acme", config, listener.clone(), metrics).unwrap();
        assert!(!format!("{source:?}").contains(SECRET));
        let (mut publisher, source_stop) = (out.clone(), stop.clone());
        let source =
            tokio::spawn(async move { source.run(&mut publisher, towpath_api::Lifecycle::new(source_stop)).await });
        Self { listener, out, registry, source_stop: stop, source, client: Client::new(), _folder: folder }
    }

    async fn start() -> Self {
        let webhook = Self::start_with(FakePublisher::new(), &[]).await;
        webhook.is_open().await;
        webhook
    }

    /// Waits until the hook answers for itself: it alone knows methods.
    async fn is_open(&self) {
        within(async {
            while self.request(Method::GET, "/hooks/acme", "", "").await.status() != StatusCode::METHOD_NOT_ALLOWED {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listener.local_addrs()[0])
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let request = self.client.request(method, self.url(path)).header("content-type", content_type).body(body);
        within(request.send()).await.unwrap()
    }

    async fn post_text(&self, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::POST, "/hooks/acme", "application/json", body).await
    }

    /// Posts with right credentials.
    async fn post(&self, mut body: Json) -> Response {
        body["clientid"] = json!("acme");
        body["clientSecret"] = json!(SECRET);
        self.post_text(body.to_string()).await
    }

    fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    fn assert_metric(&self, line: &str) {
        let metrics = self.metrics();
        assert!(metrics.lines().any(|own| own == line), "no line `{line}` in\n{metrics}");
    }

    async fn ends(self) -> Result<()> {
        within(self.source).await.unwrap()
    }
}

fn create() -> Json {
    json!({"objectname": "deal", "id": "d-1", "action": "create", "data": {"name": "first", "amount": 5}})
}

/// Checks the form of a problem and returns status, code and the whole.
async fn problem(response: Response) -> (u16, String, Json) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers().contains_key("retry-after"), status == 503, "{status}");
    let text = response.text().await.unwrap();
    assert!(!text.contains(SECRET) && !text.contains("broker-7"), "{text}");
    let body: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(body["status"], status);
    let code = body["code"].as_str().unwrap().to_owned();
    assert_eq!(body["type"], format!("/errors#{code}"));
    assert!(body["title"].is_string() && body["detail"].is_string() && body["instance"].is_string());
    (status, code, body)
}

async fn refused(response: Response) -> (u16, String) {
    let (status, code, _) = problem(response).await;
    (status, code)
}

fn answer(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn one_event_is_accepted_with_its_place() {
    let webhook = Webhook::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut body = create();
    body["client_id"] = json!("acme");
    body["Client-Secret"] = json!(SECRET);
    let request = webhook.client.post(webhook.url("/hooks/acme")).header("traceparent", trace);
    let response =
        within(request.header("content-type", "application/json; charset=utf-8").body(body.to_string()).send())
            .await
            .unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["content-type"], "application/json");
    let accepted: Json = response.json().await.unwrap();
    assert_eq!(accepted, json!({"status": "accepted", "id": "d-1", "topic": "acme.deal", "partition": 3, "offset": 0}));
    {
        let taken = webhook.out.taken.lock().unwrap();
        assert_eq!(
            (taken[0].op, &taken[0].key, taken[0].traceparent.as_deref()),
            (Op::Create, &Key::Text("d-1".into()), Some(trace))
        );
        assert!(!format!("{taken:?}").contains(SECRET));
    }
    webhook.assert_metric(r#"towpath_webhook_requests_total{client="acme",code="202",connector="acme"} 1"#);
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="deal",outcome="accepted"} 1"#,
    );
    webhook.assert_metric(&format!(
        r#"towpath_source_received_bytes_total{{connector="acme"}} {}"#,
        body.to_string().len()
    ));
    webhook.assert_metric(r#"towpath_webhook_requests_in_flight{connector="acme"} 0"#);
}

#[tokio::test]
async fn an_array_is_accepted_with_the_place_of_each() {
    let webhook = Webhook::start().await;
    let body = json!({"objectname": "purchase", "action": "create", "data": [{"id": "7", "data": {"note": "x"}}, {"id": 8, "action": "delete"}]});
    let accepted: Json = webhook.post(body).await.json().await.unwrap();
    let event = |id: i64, offset: i64| json!({"id": id, "topic": "acme.purchase", "partition": 3, "offset": offset});
    assert_eq!(accepted, json!({"status": "accepted", "count": 2, "events": [event(7, 0), event(8, 1)]}));
    let single: Json = webhook
        .post(json!({"objectname": "purchase", "data": [{"id": 9, "action": "delete"}]}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(single["count"], 1);
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_get_the_same_401() {
    let webhook = Webhook::start().await;
    let mut texts = Vec::new();
    for (id, secret) in [("acme", "wrong"), ("nobody", SECRET), ("", "")] {
        let mut body = create();
        body["clientid"] = json!(id);
        body["clientSecret"] = json!(secret);
        let (status, code, body) = problem(webhook.post_text(body.to_string()).await).await;
        assert_eq!((status, code.as_str()), (401, "webhook.credentials"));
        texts.push(body.to_string());
    }
    texts.push(problem(webhook.post_text(create().to_string()).await).await.2.to_string());
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    webhook.assert_metric(
        r#"towpath_webhook_rejections_total{client="_unknown",connector="acme",reason="credentials"} 4"#,
    );
    webhook.assert_metric(r#"towpath_webhook_requests_total{client="_unknown",code="401",connector="acme"} 4"#);
    assert!(webhook.out.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_post_is_400() {
    let webhook = Webhook::start().await;
    for body in ["", "[]", "{", "{\"id\":1,\"Id\":1}", "not json"] {
        assert_eq!(refused(webhook.post_text(body).await).await, answer(400, "webhook.malformed"), "{body}");
    }
    let (status, code, body) =
        problem(webhook.post(json!({"objectname": "deal", "id": "1", "acton": "create"})).await).await;
    assert_eq!((status, code.as_str()), (400, "webhook.malformed"));
    let pointers: Vec<&Json> = body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/acton", "/action", "/data"]);
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("did you mean `action`?"));
}

#[tokio::test]
async fn unknown_paths_and_objects_are_404() {
    let webhook = Webhook::start().await;
    for path in ["/", "/hooks", "/hooks/", "/hooks/other", "/hooks/acme/x"] {
        let response = webhook.request(Method::POST, path, "application/json", create().to_string()).await;
        assert_eq!(refused(response).await, answer(404, "webhook.unknown_connector"), "{path}");
    }
    let mut body = create();
    body["objectname"] = json!("deals");
    let (status, code, body) = problem(webhook.post(body).await).await;
    assert_eq!((status, code.as_str()), (404, "webhook.unknown_object"));
    assert!(body["detail"].as_str().unwrap().contains("did you mean `deal`?"));
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="_unknown",outcome="rejected"} 1"#,
    );
}

#[tokio::test]
async fn whether_an_object_exists_is_told_to_known_clients_only() {
    let webhook = Webhook::start().await;
    let mut body = create();
    body["objectname"] = json!("deals");
    assert_eq!(refused(webhook.post_text(body.to_string()).await).await, answer(401, "webhook.credentials"));
}

#[tokio::test]
async fn other_methods_are_405_and_told_which_one_is_right() {
    let webhook = Webhook::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let response = webhook.request(method, "/hooks/acme", "application/json", "{}").await;
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(refused(response).await, answer(405, "webhook.malformed"));
    }
}

#[tokio::test]
async fn other_types_and_encodings_are_415() {
    let webhook = Webhook::start().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let response = webhook.request(Method::POST, "/hooks/acme", content_type, create().to_string()).await;
        assert_eq!(refused(response).await, answer(415, "webhook.content_type"), "{content_type}");
    }
    let request = webhook
        .client
        .post(webhook.url("/hooks/acme"))
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    assert_eq!(refused(within(request.body("x").send()).await.unwrap()).await, answer(415, "webhook.content_type"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_one_at_the_limit_is_not() {
    let webhook = Webhook::start_with(FakePublisher::new(), &[("body.max.bytes", "2000")]).await;
    webhook.is_open().await;
    let padded = |length: usize| {
        let mut body = create();
        body["clientid"] = json!("acme");
        body["clientSecret"] = json!(SECRET);
        let text = body.to_string();
        format!("{text}{}", " ".repeat(length - text.len()))
    };
    assert_eq!(webhook.post_text(padded(2_000)).await.status(), StatusCode::ACCEPTED);
    assert_eq!(refused(webhook.post_text(padded(2_001)).await).await, answer(413, "webhook.too_large"));
    // Far more than the buffers of a socket hold: the client still reads its answer.
    assert_eq!(refused(webhook.post_text(vec![b' '; 8_000_000]).await).await, answer(413, "webhook.too_large"));
    assert_eq!(webhook.post_text(padded(500)).await.status(), StatusCode::ACCEPTED);
    webhook
        .assert_metric(r#"towpath_webhook_rejections_total{client="_unknown",connector="acme",reason="too_large"} 2"#);
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_at_the_limit_too() {
    let webhook = Webhook::start_with(FakePublisher::new(), &[("body.max.bytes", "1000")]).await;
    webhook.is_open().await;
    let mut stream = TcpStream::connect(webhook.listener.local_addrs()[0]).await.unwrap();
    let chunk = format!("190\r\n{}\r\n", " ".repeat(400));
    let request = format!(
        "POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(3)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

/// Reads until the head of an answer is there.
async fn head_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    within(async {
        while !text.windows(4).any(|window| window == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "the connection ended");
        }
    })
    .await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_body_in_many_pieces_is_taken_whole() {
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

#[tokio::test]
async fn what_does_not_fit_is_422_with_a_pointer_to_each_wrong_field() {
    let webhook = Webhook::start().await;
    let body = json!({"objectname": "deal", "action": "create", "data": [
        {"id": "1", "data": {"name": "a"}}, {"id": "2", "data": {"name": 5, "amount": "12.50"}}, {"id": "", "data": {"nme": "c"}}]});
    let (status, code, body) = problem(webhook.post(body).await).await;
    assert_eq!((status, code.as_str()), (422, "webhook.schema"));
    assert_eq!(body["title"], "The event does not fit the agreed schema of `deal`");
    assert_eq!(body["detail"], "5 fields are wrong; nothing was stored.");
    assert_eq!(body["instance"], "/hooks/acme");
    assert_eq!(
        body["errors"][1],
        json!({"pointer": "/data/1/data/amount", "code": "type", "message": "expected an integer (64 bit), got \"12.50\""})
    );
    assert!(webhook.out.taken.lock().unwrap().is_empty());
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="deal",outcome="rejected"} 3"#,
    );
    webhook.assert_metric(r#"towpath_webhook_rejections_total{client="acme",connector="acme",reason="schema"} 1"#);
}

#[tokio::test]
async fn while_the_broker_is_away_posts_are_503_and_afterwards_taken() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::Away);
    assert_eq!(refused(webhook.post(create()).await).await, answer(503, "webhook.unavailable"));
    webhook.out.now(Broker::Takes);
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_event_that_the_broker_never_takes_is_413_or_422() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::RefusesAsTooLarge);
    assert_eq!(refused(webhook.post(create()).await).await, answer(413, "webhook.too_large"));
    webhook.out.now(Broker::RefusesAsBroken);
    assert_eq!(refused(webhook.post(create()).await).await, answer(422, "webhook.schema"));
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="deal",outcome="rejected"} 2"#,
    );
}

#[tokio::test]
async fn nothing_is_answered_before_the_broker_has_it() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::Holds);
    let mut answer = Box::pin(webhook.post(create()));
    tokio::select! {
        _ = &mut answer => panic!("answered before the broker"),
        () = webhook.out.holds_requests(1) => {}
    }
    webhook.assert_metric(r#"towpath_webhook_requests_in_flight{connector="acme"} 1"#);
    webhook.out.now(Broker::Takes);
    assert_eq!(answer.await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn beyond_the_requests_in_flight_posts_are_503() {
    let out = FakePublisher::new();
    let webhook = Webhook::start_with(out.clone(), &[("requests.max.in.flight", "1")]).await;
    webhook.is_open().await;
    out.now(Broker::Holds);
    let first = webhook.post(create());
    let second = async {
        out.holds_requests(1).await;
        let answer = refused(webhook.post(create()).await).await;
        out.now(Broker::Takes);
        answer
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status(), second), (StatusCode::ACCEPTED, answer(503, "webhook.overloaded")));
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn on_stop_new_posts_are_503_and_those_under_way_are_answered() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::Holds);
    let first = webhook.post(create());
    let meanwhile = async {
        webhook.out.holds_requests(1).await;
        webhook.source_stop.cancel();
        let answer = refused(webhook.post(create()).await).await;
        assert!(!webhook.source.is_finished());
        webhook.out.now(Broker::Takes);
        answer
    };
    let (first, draining) = tokio::join!(first, meanwhile);
    assert_eq!((first.status(), draining), (StatusCode::ACCEPTED, answer(503, "webhook.draining")));
    let (listener, client) = (webhook.listener.clone(), webhook.client.clone());
    webhook.ends().await.unwrap();
    let request = client.post(format!("http://{}/hooks/acme", listener.local_addrs()[0])).body("{}").send();
    assert_eq!(refused(within(request).await.unwrap()).await, answer(503, "webhook.unavailable"));
}

#[tokio::test]
async fn a_broker_that_is_away_at_the_start_means_503_and_never_404() {
    let out = FakePublisher::new();
    out.now(Broker::Away);
    let webhook = Webhook::start_with(out, &[]).await;
    assert_eq!(refused(webhook.post(create()).await).await, answer(503, "webhook.unavailable"));
    let error = webhook.ends().await.unwrap_err();
    assert_eq!((error.reaction, error.code), (towpath_api::Reaction::Retry, "kafka.unavailable"));
}

#[tokio::test]
async fn a_fatal_answer_of_the_broker_ends_the_source_with_it() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::Denies);
    assert_eq!(refused(webhook.post(create()).await).await, answer(503, "webhook.unavailable"));
    assert_eq!(webhook.ends().await.unwrap_err().code, "kafka.denied");
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_behind() {
    let out = FakePublisher::new();
    let webhook = Webhook::start_with(out.clone(), &[("requests.max.in.flight", "1")]).await;
    webhook.is_open().await;
    out.now(Broker::Holds);
    let mut post = Box::pin(webhook.post(create()));
    tokio::select! {
        _ = &mut post => panic!("answered before the broker"),
        () = out.holds_requests(1) => {}
    }
    drop(post);
    // Its place is free again as soon as the server has seen it go.
    out.now(Broker::Takes);
    within(async {
        while webhook.post(create()).await.status() != StatusCode::ACCEPTED {
            tokio::task::yield_now().await;
        }
    })
    .await;
    webhook.assert_metric(r#"towpath_webhook_requests_in_flight{connector="acme"} 0"#);
}

#[tokio::test]
async fn a_listener_that_stops_ends_idle_connections_and_returns() {
    let listener = Listener::bind(&["http://127.0.0.1:0", "http://127.0.0.1:0"]).await.unwrap();
    assert_eq!(listener.local_addrs().len(), 2);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (listener, stop) = (listener.clone(), stop.clone());
        async move { listener.run(stop).await }
    });
    let mut stream = TcpStream::connect(listener.local_addrs()[1]).await.unwrap();
    stream.write_all(b"POST /hooks/none HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 404 "));
    stop.cancel();
    within(running).await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_head_ends_at_its_deadline() {
    let listener = Listener::bind(&["http://127.0.0.1:0"]).await.unwrap();
    let serving = listener.clone();
    tokio::spawn(async move { serving.run(CancellationToken::new()).await });
    let mut silent = TcpStream::connect(listener.local_addrs()[0]).await.unwrap();
    let mut rest = Vec::new();
    // The clock is paused: it runs ahead to the deadline while everybody waits.
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn every_series_is_there_from_the_start() {
    let webhook = Webhook::start().await;
    for line in [
        r#"towpath_webhook_requests_total{client="acme",code="202",connector="acme"} 0"#,
        r#"towpath_webhook_requests_total{client="_unknown",code="401",connector="acme"} 0"#,
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="purchase",outcome="rejected"} 0"#,
        r#"towpath_webhook_rejections_total{client="acme",connector="acme",reason="schema"} 0"#,
        r#"towpath_source_received_bytes_total{connector="acme"} 0"#,
    ] {
        webhook.assert_metric(line);
    }
    let before = webhook.metrics().lines().filter(|line| !line.starts_with('#')).count();
    webhook.post(create()).await;
    webhook.post(json!({"objectname": "x", "id": 1, "action": "delete"})).await;
    webhook.post_text("{").await;
    webhook.post_text("{}").await;
    assert_eq!(webhook.metrics().lines().filter(|line| !line.starts_with('#')).count(), before);
}
