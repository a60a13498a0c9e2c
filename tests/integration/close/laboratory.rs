//! A Close organization on this machine, and a worker that reads it into the real Kafka and Postgres.

use std::time::Duration;

use close_simulator::{Options, Simulator};
use serde_json::{Value, json};

use super::ARRIVAL;
use crate::{stack::try_for, worker::Worker};

/// An organization that is served.
pub(crate) struct Organization {
    pub(crate) close: close_simulator::Running,
    http: reqwest::Client,
    /// A key of the admin that only tests use: faults of the key `admin` do not concern it.
    hand: String,
    /// The longest wait for all of it.
    pub(crate) patience: Duration,
}

impl Organization {
    pub(crate) async fn with_leads(leads: usize, seed: u64) -> Self {
        Self::new(Options { leads, seed, ..Options::default() }).await
    }

    pub(crate) async fn new(options: Options) -> Self {
        let patience = ARRIVAL + Duration::from_millis(30) * u32::try_from(options.leads).expect("few leads");
        let close = Simulator::start(options).await.expect("a port is free");
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let mut organization = Self { close, http, hand: String::new(), patience };
        organization.hand = organization.key("admin");
        let admin = organization.api("GET", "me/?_fields=id", None).await["id"].clone();
        let hand = organization.control("keys/", json!({"name": "hand", "user": admin, "secret": "api_hand"})).await;
        organization.hand = hand["secret"].as_str().expect("a secret").to_owned();
        organization.clear("counters/").await;
        organization
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.close.key(name).expect("a key of the simulator")
    }

    /// A control by GET.
    pub(crate) async fn look(&self, control: &str) -> String {
        let url = format!("http://{}/_control/{control}", self.close.address);
        let answer = self.http.get(&url).send().await.expect("the simulator answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{control}: {status} {text}");
        text
    }

    /// A control by POST.
    pub(crate) async fn control(&self, control: &str, body: Value) -> Value {
        self.send(reqwest::Method::POST, control, body).await
    }

    /// A control by PUT.
    pub(crate) async fn set(&self, control: &str, body: Value) -> Value {
        self.send(reqwest::Method::PUT, control, body).await
    }

    /// A control by DELETE.
    pub(crate) async fn clear(&self, control: &str) {
        self.send(reqwest::Method::DELETE, control, json!({})).await;
    }

    async fn send(&self, method: reqwest::Method, control: &str, body: Value) -> Value {
        let url = format!("http://{}/_control/{control}", self.close.address);
        let request = self.http.request(method, &url).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.expect("the simulator answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{control}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A request of the API as the admin. `path` may have a query.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.close.base_url());
        let request = self.http.request(method, &url).basic_auth(&self.hand, Some(""));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.expect("the simulator answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Random changes, made at once, spread over some seconds of the organization's time.
    pub(crate) async fn changes(&self, count: u32, seed: u64) {
        self.control("changes/", json!({"count": count, "seed": seed, "spread_secs": 5})).await;
    }

    /// Waits until the random changes in the background have been made.
    pub(crate) async fn changes_end(&self) {
        let ended = try_for(self.patience, || async {
            let status: Value = serde_json::from_str(&self.look("changes/").await).expect("JSON");
            (status["running"] == false).then_some(())
        });
        assert!(ended.await.is_some(), "the changes end: {}", self.look("changes/").await);
    }

    /// Waits until this number of random changes has been made in the background.
    pub(crate) async fn changes_reach(&self, count: u64) {
        let reached = try_for(self.patience, || async {
            let status: Value = serde_json::from_str(&self.look("changes/").await).expect("JSON");
            let number = |name: &str| status[name].as_u64().unwrap_or(0);
            (number("done") + number("given_up") >= count).then_some(())
        });
        assert!(reached.await.is_some(), "{count} changes are made: {}", self.look("changes/").await);
    }

    /// The requests so far to groups of endpoints for which `of` is true, such as `GET activity/note`.
    pub(crate) async fn requests(&self, of: impl Fn(&str) -> bool) -> u64 {
        self.answers(of, |_| true).await
    }

    /// As [`Self::requests`], of those whose status is meant; 0 stands for none.
    pub(crate) async fn answers(&self, of: impl Fn(&str) -> bool, status: impl Fn(u64) -> bool) -> u64 {
        let counters: Value = serde_json::from_str(&self.look("counters/").await).expect("JSON");
        let rows = counters["requests"].as_array().expect("counters have requests");
        let meant = rows.iter().filter(|row| {
            of(row["endpoint"].as_str().expect("a group")) && status(row["status"].as_u64().expect("a status"))
        });
        meant.map(|row| row["requests"].as_u64().expect("a number")).sum()
    }

    /// The events of the log from `from` on, newest first.
    pub(crate) async fn events(&self, from: &str) -> Vec<Value> {
        let (mut events, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.api("GET", &format!("event/?_limit=50{cursor}"), None).await;
            for event in page["data"].as_array().expect("events") {
                if event["date_updated"].as_str().expect("a time") < from {
                    return events;
                }
                events.push(event.clone());
            }
            let Some(next) = page["cursor_next"].as_str() else { return events };
            cursor = format!("&_cursor={next}");
        }
    }

    /// The lines of the truth about these kinds.
    pub(crate) async fn truth(&self, kinds: &str) -> Vec<Value> {
        let lines = self.look(&format!("truth/?object={kinds}")).await;
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

/// A worker that reads the organization, and carries it into Postgres. `more` has further lines of the source.
pub(crate) fn reader(theme: &str, organization: &Organization, more: &str) -> Worker {
    reader_with(Worker::new(theme), organization, more, "")
}

/// As [`reader`], with further lines of the sink too.
pub(crate) fn reader_with(worker: Worker, organization: &Organization, more: &str, sink: &str) -> Worker {
    source(worker, organization, more).sink(sink)
}

/// As [`reader`], into Kafka only.
pub(crate) fn source(worker: Worker, organization: &Organization, more: &str) -> Worker {
    let has = |key: &str| more.contains(key);
    let line = |key: &str, value: &str| if has(key) { String::new() } else { format!("{key} = \"{value}\"\n") };
    let text = format!(
        "name = \"close-${{NAME}}\"\nconnector.class = \"CloseSource\"\ntopic.prefix = \"${{NAME}}\"\n\
         topic.partitions = 2\ntopic.replication.factor = 1\nerrors.retry.delay.max.ms = 1000\n\
         close.api.url = \"{}\"\nclose.api.key = \"{}\"\n{}{}{more}",
        organization.close.base_url(),
        organization.key("admin"),
        line("poll.interval", "200ms"),
        line("lists.interval", "1s"),
    );
    worker.file("close.toml", &text)
}

/// The status of the source's snapshots.
pub(crate) async fn snapshot(worker: &Worker) -> Value {
    let path = format!("/towpath/v1/connectors/close-{}/snapshot", worker.name);
    let (status, text) = worker.get(&path).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Asks for a comparison of everything, and waits until it has ended.
pub(crate) async fn compare(organization: &Organization, worker: &Worker) {
    let path = format!("{}/towpath/v1/connectors/close-{}/snapshot", worker.rest(), worker.name);
    let patience = organization.patience;
    let before = generation(worker).await;
    let asked = try_for(patience, || async {
        let request = worker.http.post(&path).header("content-type", "application/json").body("{}");
        let answer = request.send().await.expect("the worker answers");
        answer.status().is_success().then_some(())
    });
    assert!(asked.await.is_some(), "a comparison can be asked for: {}", snapshot(worker).await);
    let ended = try_for(patience, || async {
        let is_idle = snapshot(worker).await["running"].is_null();
        (is_idle && generation(worker).await > before).then_some(())
    });
    assert!(ended.await.is_some(), "the comparison ends: {}", snapshot(worker).await);
}

/// The number of the last snapshot that has ended; 0 before the first.
pub(crate) async fn generation(worker: &Worker) -> u64 {
    snapshot(worker).await["completed"]["generation"].as_u64().unwrap_or(0)
}

/// Waits until a snapshot has ended, and is of this number at least.
pub(crate) async fn snapshot_ends(organization: &Organization, worker: &Worker, number: u64) {
    let ended = try_for(organization.patience, || async { (generation(worker).await >= number).then_some(()) }).await;
    assert!(ended.is_some(), "snapshot {number} ends: {}", snapshot(worker).await);
}
