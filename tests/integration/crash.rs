//! Known events under faults: the worker killed, connections cut, the broker restarted. All acknowledged events must be
//! in the tables, in order, and each range of offsets must have been applied once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::{
    stack::{alone, database, eventually, rows, rows_become, shared, stack},
    worker::{Worker, post},
};

/// Concurrent clients, each of which posts to its own records.
const CLIENTS: u64 = 8;
/// Records of each client.
const RECORDS: u64 = 25;

/// The expected record: title, amount, won, deleted. `None` if it was never created.
type Model = BTreeMap<String, Row>;

#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    title: Option<String>,
    amount: Option<u32>,
    won: Option<bool>,
    deleted: bool,
}

impl Row {
    /// The rule of the topic: a create replaces, an update merges, a delete keeps the values, and a record after a
    /// delete starts from an empty row.
    fn act(&mut self, action: &str, data: &Value) {
        if action == "delete" {
            self.deleted = true;
            return;
        }
        if action == "create" || self.deleted {
            *self = Self::default();
        }
        if let Some(title) = data["title"].as_str() {
            self.title = Some(title.to_owned());
        }
        if let Some(amount) = data["amount"].as_u64() {
            self.amount = u32::try_from(amount).ok();
        }
        if let Some(won) = data["won"].as_bool() {
            self.won = Some(won);
        }
    }

    fn text(&self, id: &str) -> String {
        let amount = self.amount.map(|amount| format!("{amount}.00")).unwrap_or_default();
        let won = self.won.map_or("", |won| if won { "t" } else { "f" });
        let deleted = if self.deleted { "t" } else { "f" };
        format!("{id}|{}|{amount}|{won}|{deleted}", self.title.as_deref().unwrap_or_default())
    }
}

/// Posts random events until stopped, retries each until it is acknowledged, and returns the expected rows.
async fn client(
    http: reqwest::Client,
    url: String,
    client: u64,
    go_on: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> Model {
    let mut random = StdRng::seed_from_u64(client);
    let mut model = Model::new();
    while go_on.load(Ordering::Relaxed) {
        let id = format!("c{client}-{}", random.random_range(0..RECORDS));
        let exists = model.get(&id).is_some_and(|row| !row.deleted);
        let amount = random.random_range(0..1_000_000_u32);
        let (action, data) = match random.random_range(0..10) {
            _ if !exists => ("create", json!({"title": format!("t{amount}"), "amount": amount})),
            0 => ("delete", Value::Null),
            1 => ("create", json!({"title": "again", "won": false})),
            2..5 => ("update", json!({"won": amount % 2 == 0})),
            5..8 => ("update", json!({"amount": amount})),
            _ => ("update", json!({"title": format!("u{amount}"), "amount": amount})),
        };
        let body = post("deals", action, id.as_str(), &data).to_string();
        eventually("an event is acknowledged", || async {
            let answer =
                http.post(&url).header("content-type", "application/json").body(body.clone()).send().await.ok()?;
            let status = answer.status().as_u16();
            assert!(status == 202 || status == 503, "{status}: {}", answer.text().await.unwrap_or_default());
            (status == 202).then_some(())
        })
        .await;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        model.entry(id).or_default().act(action, &data);
    }
    model
}

/// A load of known events against a worker, and its expected result.
pub(crate) struct Load {
    clients: JoinSet<Model>,
    go_on: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Load {
    pub(crate) fn start(worker: &Worker) -> Self {
        let (go_on, acknowledged) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let url = worker.hook();
        let clients = (0..CLIENTS)
            .map(|number| {
                client(worker.http.clone(), url.clone(), number, Arc::clone(&go_on), Arc::clone(&acknowledged))
            })
            .collect();
        Self { clients, go_on, acknowledged }
    }

    /// Events acknowledged until now.
    #[cfg(feature = "failpoints")]
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.acknowledged)
    }

    /// Waits until `more` more events are acknowledged.
    pub(crate) async fn more(&self, events: u64) {
        let target = self.acknowledged.load(Ordering::Relaxed) + events;
        eventually("more events are acknowledged", || async {
            (self.acknowledged.load(Ordering::Relaxed) >= target).then_some(())
        })
        .await;
    }

    /// Ends the load; returns the expected rows.
    pub(crate) async fn end(self) -> Vec<String> {
        self.go_on.store(false, Ordering::Relaxed);
        let models = self.clients.join_all().await;
        let model: Model = models.into_iter().flatten().collect();
        assert!(model.len() > 50, "the load had enough events");
        model.iter().map(|(id, row)| row.text(id)).collect()
    }
}

/// Makes the database log each attempt to write a row, each changed row and each step of an offset, in append-only
/// tables. An attempt that the version guard turns away changes no row, so only the first log has it.
pub(crate) async fn watch(database: &Client, worker: &Worker) {
    let name = &worker.name;
    worker.accept("deals", "create", "first", json!({"title": "first"})).await;
    rows_become(database, &format!("SELECT count(*) FROM {name}.deals"), &["1"]).await;
    // One message is one transaction: the first row of each partition in `step_log` is where the log begins.
    let sql = format!(
        "CREATE TABLE {name}.try_log (op text, partition int, \"offset\" bigint);
         CREATE FUNCTION {name}.log_try() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO {name}.try_log VALUES (TG_OP, NEW._towpath_partition, NEW._towpath_offset); RETURN NEW; END $$;
         CREATE TRIGGER log_try BEFORE INSERT OR UPDATE ON {name}.deals FOR EACH ROW EXECUTE FUNCTION {name}.log_try();
         CREATE TABLE {name}.row_log (n bigserial, id text, partition int, \"offset\" bigint);
         CREATE FUNCTION {name}.log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO {name}.row_log (id, partition, \"offset\")
             VALUES (NEW.id, NEW._towpath_partition, NEW._towpath_offset); RETURN NULL; END $$;
         CREATE TRIGGER log_row AFTER INSERT OR UPDATE ON {name}.deals FOR EACH ROW EXECUTE FUNCTION {name}.log_row();
         CREATE TABLE {name}.step_log (partition int, was bigint, becomes bigint, epoch bigint);
         CREATE FUNCTION {name}.log_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO {name}.step_log VALUES (NEW.partition, OLD.next_offset, NEW.next_offset, NEW.epoch);
             RETURN NULL; END $$;
         CREATE TRIGGER log_step_{name} AFTER UPDATE OF next_offset ON towpath.sink_partition FOR EACH ROW
             WHEN (NEW.sink = 'pg-{name}' AND NEW.topic = '{name}.deals') EXECUTE FUNCTION {name}.log_step();
         INSERT INTO {name}.step_log
             SELECT partition, -1, next_offset, epoch FROM towpath.sink_partition
             WHERE sink = 'pg-{name}' AND topic = '{name}.deals'"
    );
    database.batch_execute(&sql).await.unwrap();
}

/// Asserts that the tables equal the model, that no record was applied twice, and that none was dead-lettered.
pub(crate) async fn all_is_right(database: &Client, worker: &Worker, expected: Vec<String>) {
    rows_are_right(database, worker, expected).await;
    let letters = format!("SELECT * FROM towpath.dead_letter WHERE sink = 'pg-{}'", worker.name);
    assert_eq!(rows(database, &letters).await, [""; 0], "a fault of the environment dead-letters no record");
    let stale = worker.metric("towpath_sink_records_skipped_total", "reason=\"stale\"").await;
    assert!(stale < 0.5, "{stale} records met their own row: they were applied twice");
}

/// Asserts that the tables equal the model, and that no record was applied twice.
pub(crate) async fn rows_are_right(database: &Client, worker: &Worker, expected: Vec<String>) {
    let name = &worker.name;
    let deals = format!(
        "SELECT id, title, amount, won, _towpath_deleted FROM {name}.deals WHERE id <> 'first'
         ORDER BY id COLLATE \"C\""
    );
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    rows_become(database, &deals, &expected).await;
    let twice =
        format!("SELECT op, partition, \"offset\", count(*) FROM {name}.try_log GROUP BY 1, 2, 3 HAVING count(*) > 1");
    assert_eq!(rows(database, &twice).await, [""; 0], "no record was applied twice");
    let back = format!(
        "SELECT id, partition, \"offset\", later FROM (SELECT *, lead(\"offset\") OVER (PARTITION BY id ORDER BY n)
         AS later
         FROM {name}.row_log) AS l WHERE later <= \"offset\""
    );
    assert_eq!(rows(database, &back).await, [""; 0], "no row went back to an earlier record");
    // A partition that was claimed after the log began is new, and begins at 0.
    let steps = format!(
        "SELECT partition, was, becomes FROM (SELECT *, lag(becomes) OVER (PARTITION BY partition ORDER BY was, becomes)
         AS before
         FROM {name}.step_log) AS s WHERE becomes <= was OR was >= 0 AND coalesce(before, 0) <> was"
    );
    assert_eq!(rows(database, &steps).await, [""; 0], "the applied ranges adjoin from the first on, without overlap");
    let ends = format!(
        "SELECT l.partition, max(becomes), max(next_offset) FROM {name}.step_log AS l
         JOIN towpath.sink_partition AS p ON p.sink = 'pg-{name}' AND topic = '{name}.deals'
           AND p.partition = l.partition
         GROUP BY 1 HAVING max(becomes) <> max(next_offset)"
    );
    assert_eq!(rows(database, &ends).await, [""; 0], "the applied ranges reach the stored offset");
    database.batch_execute(&format!("DROP TRIGGER log_step_{name} ON towpath.sink_partition")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_twenty_times_under_load_loses_and_duplicates_nothing() {
    let _stack = shared().await;
    let mut worker = Worker::new("kill").webhook("").sink("tasks.max = 2\n").start().await;
    let database = database().await;
    watch(&database, &worker).await;
    let load = Load::start(&worker);
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..22 {
        // At an arbitrary point of the load and an arbitrary step of the worker.
        load.more(random.random_range(1..120)).await;
        tokio::time::timeout(Duration::from_micros(random.random_range(0..30_000)), std::future::pending::<()>())
            .await
            .unwrap_err();
        worker.kill();
        worker.spawn();
    }
    worker.is_ready().await;
    load.more(50).await;
    let expected = load.end().await;
    all_is_right(&database, &worker, expected).await;
    let claims = format!("SELECT min(epoch) >= 20 FROM towpath.sink_partition WHERE sink = 'pg-{}'", worker.name);
    assert_eq!(rows(&database, &claims).await, ["t"], "each start claimed the partitions again: the kills have hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_forty_times_under_load_lose_and_duplicate_nothing() {
    let _stack = shared().await;
    let worker = Worker::new("cut").webhook("").sink("errors.retry.delay.max.ms = 50\n").start().await;
    let database = database().await;
    watch(&database, &worker).await;
    let load = Load::start(&worker);
    let cut = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'towpath/pg-{}'",
        worker.name
    );
    let mut cuts = 0;
    while cuts < 40 {
        load.more(15).await;
        cuts += rows(&database, &cut).await[0].parse::<u32>().unwrap();
    }
    load.more(50).await;
    let expected = load.end().await;
    all_is_right(&database, &worker, expected).await;
    assert!(worker.metric("towpath_retries_total", "pg-").await > 0.0, "the cuts have hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_and_a_database_that_restart_under_load_lose_and_duplicate_nothing() {
    let _stack = alone().await;
    let mut worker = Worker::new("restart").webhook("").sink("tasks.max = 2\n").start().await;
    let observer = database().await;
    watch(&observer, &worker).await;
    let load = Load::start(&worker);
    for (part, command) in [
        ("kafka", "restart"),
        ("postgres", "restart"),
        ("postgres", "kill"),
        ("kafka", "kill"),
        ("registry", "restart"),
    ] {
        load.more(100).await;
        stack(&[command, part]);
        if command == "kill" {
            stack(&["start", part]);
        }
    }
    load.more(100).await;
    let expected = load.end().await;
    let observer = database().await;
    all_is_right(&observer, &worker, expected).await;
    // The probe of broker and registry has its own interval: it may not have noticed yet that both are back.
    worker.is_ready().await;
}
