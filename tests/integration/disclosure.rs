//! Disclosure by a worker: its metrics match the golden file, and no secret or payload appears elsewhere.

use std::{collections::BTreeMap, path::Path};

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};

use crate::{
    stack::{PATIENCE, database, env, eventually, rows, rows_become, shared},
    worker::{SECRET, Worker, post},
};

/// A value in the data of posts, which may appear in the topic and the table only.
const PAYLOAD: &str = "canary-8b2f-payload";
/// The maximum number of series, because every series has a cost in every worker.
const MAX_SERIES: usize = 3_000;

/// Each family of a page of metrics: its name, type and label names.
fn families(page: &str) -> String {
    let mut families: BTreeMap<&str, (&str, Option<Vec<&str>>)> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.insert(name, (kind, None));
        } else if !line.starts_with('#') {
            let (series, labels) =
                line.rsplit_once(' ').unwrap().0.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| series.strip_suffix(end).filter(|name| families.contains_key(name)));
            let mut names: Vec<_> = labels
                .split("\",")
                .filter_map(|label| Some(label.split_once("=\"")?.0))
                .filter(|name| *name != "le")
                .collect();
            names.sort_unstable();
            let known = &mut families
                .get_mut(family.unwrap_or(series))
                .unwrap_or_else(|| panic!("{line} belongs to no family"))
                .1;
            assert_eq!(known.get_or_insert(names.clone()), &names, "{line}");
        }
    }
    families
        .iter()
        .map(|(name, (kind, labels))| format!("{name} {kind} {}\n", labels.clone().unwrap_or_default().join(",")))
        .collect()
}

#[tokio::test]
async fn the_metrics_of_a_worker_are_those_of_the_golden_file() {
    let _stack = shared().await;
    let worker = Worker::new("metrics").webhook("").sink("tasks.max = 2\n").start().await;
    worker.accept("deals", "create", "a", json!({"title": "t"})).await;
    worker.accept("agents", "delete", 7, Value::Null).await;
    assert_eq!(worker.post("deals", "create", "b", json!({"title": 1})).await.0, 422);
    eventually("the applied records are counted", || async {
        let applied = worker.metric("towpath_sink_records_applied_total", "").await;
        let (_, page) = worker.get("/metrics").await;
        // The ends of the partitions are known a little later.
        (applied >= 2.0 && page.contains("towpath_kafka_consumer_lag_records{")).then_some(())
    })
    .await;
    let (_, page) = worker.get("/metrics").await;
    let found = families(&page);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics_of_a_worker.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        expected.lines().collect::<Vec<_>>(),
        "names, types and labels are API; if the change is meant, run this test with UPDATE_GOLDEN=1 and note it in \
         CHANGELOG.md"
    );
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= MAX_SERIES, "{series} series");
}

/// Fails if `text` contains the secret or the payload.
fn holds_no_canary(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what} is empty, which proves nothing");
    for canary in [SECRET, PAYLOAD] {
        let line = text.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{canary} is in {what}: {}", line.unwrap_or_default());
    }
}

#[tokio::test]
async fn secrets_are_shown_nowhere_and_payloads_only_in_topic_and_table() {
    let _stack = shared().await;
    let worker = Worker::new("canary").setting("log.level", "trace").webhook("").sink("").start().await;
    let database = database().await;
    worker.accept("deals", "create", "a", json!({"title": "first"})).await;
    let deals = format!("SELECT id, title FROM {}.deals ORDER BY id", worker.name);
    rows_become(&database, &deals, &["a|first"]).await;

    // Good posts, and every kind of bad post whose body is read.
    worker.accept("deals", "create", "b", json!({"title": PAYLOAD})).await;
    worker.accept("deals", "update", "a", json!({"title": PAYLOAD})).await;
    let good = post("deals", "create", "c", &json!({"title": PAYLOAD}));
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body.to_string()
    };
    for (body, status) in [
        (with("clientid", json!("nobody")), 401),
        (with("clientSecret", json!(format!("{SECRET}x"))), 401),
        (with("secret", json!(SECRET)), 400),
        (with("objectname", json!("deal")), 404),
        (with("action", json!(PAYLOAD)), 422),
        (with("data", json!({"title": PAYLOAD, "won": PAYLOAD})), 422),
        (format!("{good} {PAYLOAD}"), 400),
    ] {
        let answer = worker.post_raw(body.clone()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{body}");
        assert!(!answer.text().await.unwrap().contains(SECRET), "{body}");
    }

    // Records that can never be stored: one that is not Avro, and one that the table refuses, whose error detail
    // contains the row.
    let topic = format!("{}.deals", worker.name);
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", env("KAFKA_BOOTSTRAP")).create().unwrap();
    producer.send(FutureRecord::to(&topic).key("d").payload(PAYLOAD), PATIENCE).await.unwrap();
    let check = format!("ALTER TABLE {}.deals ADD CONSTRAINT no_deal CHECK (id <> 'refused')", worker.name);
    database.batch_execute(&check).await.unwrap();
    worker.accept("deals", "create", "refused", json!({"title": PAYLOAD})).await;
    let letters = format!("SELECT error_code FROM towpath.dead_letter WHERE sink = 'pg-{}' ORDER BY 1", worker.name);
    rows_become(&database, &letters, &["decode.framing", "postgres.refused_value"]).await;
    rows_become(&database, &deals, &[&format!("a|{PAYLOAD}"), &format!("b|{PAYLOAD}")]).await;

    let texts =
        format!("SELECT stage, error_code, error_text FROM towpath.dead_letter WHERE sink = 'pg-{}'", worker.name);
    holds_no_canary("a dead letter", &rows(&database, &texts).await.join("\n"));
    for path in
        ["/", "/health", "/livez", "/readyz?verbose", "/version", "/metrics", "/towpath/v1/connectors", "/nowhere"]
    {
        holds_no_canary(path, &worker.get(path).await.1);
    }
    holds_no_canary("the log", &worker.log());
    assert!(worker.log().contains("DEBUG"), "everything was logged");
    let records = worker.tap("deals", &[]);
    assert_eq!(records.len(), 5, "{records:#?}");
    assert!(!Value::from(records).to_string().contains(SECRET), "the secret is in the topic");
}
