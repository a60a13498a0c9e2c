//! A worker in operation: its start, drain and end, and its metrics and states.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::{
    stack::{Outage, PATIENCE, alone, database, env, eventually, rows, rows_become, shared},
    worker::{Worker, post, towpath},
};

/// A load of posts, each to its own record, until the worker is gone.
struct Load {
    clients: JoinSet<()>,
    tally: Arc<Tally>,
}

/// The answers to the posts.
#[derive(Default)]
struct Tally {
    acknowledged: Mutex<Vec<String>>,
    turned_away: AtomicU32,
}

impl Load {
    fn start(worker: &Worker) -> Self {
        let tally = Arc::<Tally>::default();
        let clients =
            (0..8).map(|number| client(worker.http.clone(), worker.hook(), number, Arc::clone(&tally))).collect();
        Self { clients, tally }
    }

    async fn has(&self, posts: usize) {
        let enough = || self.tally.acknowledged.lock().unwrap().len() >= posts;
        eventually("posts are acknowledged", || async { enough().then_some(()) }).await;
    }
}

async fn client(http: reqwest::Client, url: String, client: u32, tally: Arc<Tally>) {
    for number in 0.. {
        let id = format!("{client}-{number}");
        let body = post("deals", "create", id.as_str(), &json!({"title": "t"})).to_string();
        match http.post(&url).header("content-type", "application/json").body(body).send().await {
            Ok(answer) if answer.status() == 202 => tally.acknowledged.lock().unwrap().push(id),
            Ok(answer) => {
                assert_eq!(answer.status(), 503);
                assert!(answer.headers().contains_key("retry-after"));
                tally.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            Err(gone) if gone.is_connect() => return,
            // A keep-alive connection was closed as the request was sent: there was no answer, so nothing is promised.
            Err(cut) => assert!(!cut.is_timeout(), "{cut:?}"),
        }
    }
}

/// The offset that the sink's group has committed for each partition of `deals`, as `partition|offset`.
fn committed(worker: &Worker) -> Vec<String> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", env("KAFKA_BOOTSTRAP")).set("group.id", format!("connect-pg-{}", worker.name));
    let consumer: BaseConsumer = settings.create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&format!("{}.deals", worker.name), 0, 2);
    let found = consumer.committed_offsets(asked, PATIENCE).unwrap();
    let number = |offset| match offset {
        Offset::Offset(offset) => offset,
        other => panic!("{other:?}"),
    };
    found.elements().iter().map(|part| format!("{}|{}", part.partition(), number(part.offset()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_keeps_acknowledged_posts_and_commits_the_group() {
    let _stack = shared().await;
    let mut worker = Worker::new("drain").webhook("").sink("").start().await;
    let database = database().await;
    let load = Load::start(&worker);
    // The sink discovers the new topic while posts arrive, then both connectors work.
    let applied = format!("SELECT count(*) > 0 FROM {}.deals", worker.name);
    rows_become(&database, &applied, &["t"]).await;
    load.has(300).await;
    worker.signal("TERM");
    let begun = Instant::now();
    let status = worker.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "the drain took {:?}", begun.elapsed());
    let Load { clients, tally } = load;
    clients.join_all().await;
    assert!(tally.turned_away.load(Ordering::Relaxed) > 0, "posts came during the drain");

    let stored = format!(
        "SELECT partition, next_offset FROM towpath.sink_partition WHERE sink = 'pg-{0}' AND topic = '{0}.deals'
         ORDER BY partition",
        worker.name
    );
    let stored = rows(&database, &stored).await;
    assert_eq!(stored.len(), 3);
    assert_eq!(committed(&worker), stored);

    worker.spawn();
    worker.is_ready().await;
    let acknowledged =
        tally.acknowledged.lock().unwrap().iter().map(|id| format!("('{id}')")).collect::<Vec<_>>().join(",");
    let missing = format!(
        "SELECT id FROM (VALUES {acknowledged}) AS a (id) WHERE id NOT IN (SELECT id FROM {}.deals)",
        worker.name
    );
    rows_become(&database, &missing, &[]).await;
}

/// A worker with a batch in flight that cannot end while the returned connection holds its lock.
async fn stuck_in_a_batch(theme: &str) -> (Worker, Client) {
    let worker = Worker::new(theme).webhook("").sink("").start().await;
    let (observer, blocker) = (database().await, database().await);
    worker.accept("deals", "create", "a", json!({"title": "first"})).await;
    rows_become(&observer, &format!("SELECT id FROM {}.deals", worker.name), &["a"]).await;
    blocker.batch_execute(&format!("BEGIN; LOCK TABLE {}.deals", worker.name)).await.unwrap();
    worker.accept("deals", "create", "b", json!({"title": "in flight"})).await;
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'towpath/pg-{}' AND wait_event_type = 'Lock'",
        worker.name
    );
    rows_become(&observer, &waiting, &["1"]).await;
    (worker, blocker)
}

async fn logs(worker: &Worker, text: &str) {
    eventually(&format!("the log says: {text}"), || async { worker.log().contains(text).then_some(()) }).await;
}

#[tokio::test]
async fn a_drain_finishes_the_batch_in_flight_and_refuses_posts_meanwhile() {
    let _stack = shared().await;
    let (mut worker, blocker) = stuck_in_a_batch("inflight").await;
    worker.signal("TERM");
    logs(&worker, "the webhook accepts no more posts").await;
    let (status, refusal) = worker.post("deals", "create", "c", json!({"title": "too late"})).await;
    assert_eq!(status, 503, "{refusal}");
    eventually("a draining worker is not ready", || async { (worker.get("/readyz").await.0 == 503).then_some(()) })
        .await;
    assert_eq!(worker.get("/livez").await.0, 200);
    blocker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(worker.ended().await.code(), Some(0));
    assert_eq!(rows(&blocker, &format!("SELECT id FROM {}.deals ORDER BY id", worker.name)).await, ["a", "b"]);
}

#[tokio::test]
async fn a_second_signal_ends_the_worker_at_once_with_its_code() {
    let _stack = shared().await;
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        // The drain cannot end while the batch is stuck: the exit code is that of the second signal, or of the drain's
        // limit.
        let (mut worker, _blocker) = stuck_in_a_batch("twice").await;
        worker.signal("TERM");
        logs(&worker, "a second signal ends at once").await;
        worker.signal(signal);
        assert_eq!(worker.ended().await.code(), Some(code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_are_accepted_while_the_database_is_away_at_the_start() {
    let _stack = alone().await;
    let outage = Outage::of("postgres");
    let worker = Worker::new("away").webhook("").sink("").start().await;
    worker.accept("deals", "create", "a", json!({"title": "early"})).await;
    eventually("the sink reports that it waits", || async { (worker.state("pg").await == "retrying").then_some(()) })
        .await;
    eventually("the webhook runs and the worker is ready", || async {
        (worker.state("hook").await == "running" && worker.get("/readyz").await.0 == 200).then_some(())
    })
    .await;
    drop(outage);
    let database = database().await;
    rows_become(&database, &format!("SELECT id, title FROM {}.deals", worker.name), &["a|early"]).await;
    eventually("the sink runs", || async { (worker.state("pg").await == "running").then_some(()) }).await;
}

#[tokio::test]
async fn health_metrics_and_version_are_served() {
    let _stack = shared().await;
    let worker = Worker::new("health").webhook("").sink("").start().await;
    let json = async |path: &str| serde_json::from_str::<Value>(&worker.get(path).await.1).unwrap();
    assert_eq!((worker.get("/livez").await.0, json("/livez").await), (200, json!({"status": "alive"})));
    assert_eq!(json("/readyz").await, json!({"ready": true, "not_ready": []}));
    let checks = json("/readyz?verbose").await["checks"].as_array().unwrap().clone();
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, [&format!("connector hook-{}", worker.name), "kafka", "registry"]);
    let version = json("/version").await;
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let printed = towpath(Path::new(".")).args(["version", "-o", "json"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), version);
    let metrics = worker.http.get(format!("{}/metrics", worker.rest())).send().await.unwrap();
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(worker.get("/nowhere").await.0, 404);
}

#[tokio::test]
async fn the_healthcheck_distinguishes_ready_alive_and_gone() {
    let _stack = shared().await;
    let code = |worker: &Worker, more: &[&str]| {
        let asked = towpath(Path::new(".")).args(["healthcheck", "--url", worker.rest()]).args(more).output().unwrap();
        asked.status.code()
    };
    let mut worker = Worker::new("check").webhook("").start().await;
    assert_eq!((code(&worker, &[]), code(&worker, &["--ready"])), (Some(0), Some(0)));
    worker.kill();
    assert_eq!((code(&worker, &[]), code(&worker, &["--ready"])), (Some(1), Some(1)));
    // Nothing listens on port 1: the worker is alive but never ready.
    let mut worker = Worker::new("unready").setting("schema.registry.url", "http://127.0.0.1:1").webhook("");
    worker.spawn();
    eventually("the worker is alive", || async { (code(&worker, &[]) == Some(0)).then_some(()) }).await;
    assert_eq!(code(&worker, &["--ready"]), Some(1));
}
