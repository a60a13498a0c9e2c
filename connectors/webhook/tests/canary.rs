//! Secrets and payloads must not appear in the log. A separate process, because the log is captured for all of it.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;
use towpath_api::{ChangeEvent, Error, ErrorType, Object, OpenSource, Placed, Publisher, Result, Source};
use towpath_keys::{Flat, read};
use towpath_webhook::{Listener, OpenWebhookSource, WebhookConfig, WebhookMetrics};

const SECRET: &str = "canary-of-the-secret";
const WRONG: &str = "canary-of-a-wrong-secret";
const PAYLOAD: &str = "canary-of-the-payload";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Fails every call, so that each post leads to a log line.
#[derive(Clone)]
struct Away;

impl Publisher for Away {
    async fn prepare(&self, _: &Arc<Object>) -> Result<()> {
        Ok(())
    }

    async fn publish(&self, _: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        Err(Error::retry("kafka.unavailable", ErrorType::Unavailable, "reach the broker"))
    }
}

#[tokio::test]
async fn no_secret_and_no_payload_appears_in_logs_or_answers() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let schema = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"string"},
        {"name":"name","type":"string"},{"name":"n","type":["null","long"]}]}"#;
    std::fs::write(folder.path().join("deal.avsc"), schema).unwrap();
    let flat = Flat::from_strings([
        ("objects", "deal"),
        ("objects.deal.schema", "deal.avsc"),
        ("clients.acme.secret", SECRET),
    ]);
    let (config, _) = read::<WebhookConfig>(&flat.with_base_dir(folder.path())).unwrap();
    let metrics = WebhookMetrics::register(&prometheus::Registry::new()).unwrap();
    let listener = Listener::new(vec!["http://127.0.0.1:0".parse().unwrap()]);
    let debug_of_config = format!("{config:?}");
    let opener = OpenWebhookSource::new("acme", config, listener.clone(), metrics);
    let mut source = opener.open(0).await.unwrap();
    assert!(!format!("{debug_of_config}{opener:?}{source:?}").contains(SECRET));
    let url = format!("http://{}/hooks/acme", listener.local_addrs()[0]);
    let (stop, client) = (CancellationToken::new(), reqwest::Client::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { source.run(&mut Away, towpath_api::Lifecycle::new(stop)).await }
    });

    let full = |secret: &str, change: &dyn Fn(&mut Json)| {
        let mut body = json!({"clientid": "acme", "clientSecret": secret, "objectname": "deal", "id": "1",
            "action": "create", "data": {"name": PAYLOAD}});
        change(&mut body);
        body.to_string()
    };
    let valid = full(SECRET, &|_| ());
    let bodies = [
        valid.clone(),
        full(WRONG, &|_| ()),
        full(SECRET, &|body| body["objectname"] = json!("other")),
        full(SECRET, &|body| body["data"]["n"] = json!("x")),
        full(SECRET, &|body| body["extra"] = json!(PAYLOAD)),
        full(SECRET, &|body| body["client_secret"] = json!(WRONG)),
        full(SECRET, &|body| body["clientSecret"] = json!([WRONG])),
        valid[..valid.len() - 1].to_owned(),
        format!("{valid}{valid}"),
    ];
    for body in bodies {
        let answer = client
            .post(&url)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        for canary in [SECRET, WRONG, PAYLOAD] {
            assert!(!answer.contains(canary), "{answer}");
        }
    }
    stop.cancel();
    running.await.unwrap().unwrap();

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<&str> = log.lines().filter(|line| line.contains("towpath_webhook")).collect();
    assert!(
        ours.iter().any(|line| line.contains("cannot publish"))
            && ours.iter().any(|line| line.contains("refused a post")),
        "{log}"
    );
    for canary in [SECRET, WRONG, PAYLOAD] {
        assert!(!log.contains(canary), "{canary}");
    }
}
