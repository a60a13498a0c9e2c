//! The named points of the sink, each with each action, under load: the process killed, the step failed, the task
//! delayed. Afterwards a worker without failpoints must bring the tables to the model, with the expected dead letters
//! and counts.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::{
    crash::{Load, rows_are_right, watch},
    stack::{database, eventually, rows, rows_become, shared},
    worker::{Worker, post},
};

/// The points that a load passes anyway, and the number of passes before each acts: late enough that work is in flight.
const UNDER_LOAD: [(&str, u32); 11] = [
    ("after_claim", 2),
    ("after_assign", 1),
    ("mid_decode", 4),
    ("after_begin", 5),
    ("after_cas", 3),
    ("mid_upsert", 6),
    ("mid_bisect", 2),
    ("after_dlq", 1),
    ("before_commit", 4),
    ("commit_sent", 3),
    ("after_commit", 5),
];

/// A worker under load, whose table refuses a few of the records.
struct Trial {
    worker: Worker,
    database: Client,
    load: Load,
    poison: JoinHandle<()>,
    go_on: Arc<AtomicBool>,
}

impl Trial {
    async fn start(theme: &str) -> Self {
        let worker = Worker::new(theme).webhook("").sink("errors.retry.delay.max.ms = 50\n").start().await;
        let database = database().await;
        watch(&database, &worker).await;
        let check = format!("ALTER TABLE {}.deals ADD CHECK (title IS DISTINCT FROM 'poison')", worker.name);
        database.batch_execute(&check).await.unwrap();
        let load = Load::start(&worker);
        let go_on = Arc::new(AtomicBool::new(true));
        let poison = tokio::spawn(poison(worker.http.clone(), worker.hook(), load.counter(), Arc::clone(&go_on)));
        Self { worker, database, load, poison, go_on }
    }

    /// Starts the worker again with failpoints.
    fn restart(&mut self, failpoints: &str) {
        self.worker.kill();
        self.worker.failpoints(failpoints);
        self.worker.spawn();
    }

    async fn passed(&self, point: &str, action: &str) {
        let line = format!("failpoint {point}: {action}");
        eventually(&line, || async { self.worker.log().contains(&line).then_some(()) }).await;
    }

    /// Starts without failpoints, ends the load, and checks everything. Then replays the same history from its start,
    /// with `action` at the point in the middle, and checks everything again.
    async fn end(mut self, action: &str) {
        self.restart("");
        self.worker.is_ready().await;
        self.load.more(50).await;
        self.go_on.store(false, Ordering::Relaxed);
        self.poison.await.unwrap();
        let expected = self.load.end().await;
        rows_are_right(&self.database, &self.worker, expected).await;
        let name = self.worker.name.clone();
        let refused = refused(&self.worker);
        assert!(refused.len() > 2, "the table refused records");
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        let letters = format!(
            "SELECT (partition || ':' || \"offset\") COLLATE \"C\" FROM towpath.dead_letter WHERE sink = 'pg-{name}'
             ORDER BY 1"
        );
        rows_become(&self.database, &letters, &refused).await;
        self.worker.must_account_for_each_record();

        // A replay. Existing rows stay unchanged, even the transaction that wrote them.
        let stamps = format!("SELECT id, xmin FROM {name}.deals ORDER BY id");
        let offsets = format!(
            "SELECT partition, next_offset FROM towpath.sink_partition WHERE topic = '{name}.deals' ORDER BY 1"
        );
        let (before, ends) = (rows(&self.database, &stamps).await, rows(&self.database, &offsets).await);
        self.worker.kill();
        let rewind = format!("UPDATE towpath.sink_partition SET next_offset = 0 WHERE topic = '{name}.deals'");
        self.database.batch_execute(&rewind).await.unwrap();
        self.worker.failpoints(&format!("mid_replay=1*return({action})"));
        self.worker.spawn();
        if action == "kill" {
            self.worker.ended().await;
            self.worker.failpoints("");
            self.worker.spawn();
        }
        let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
        rows_become(&self.database, &offsets, &ends).await;
        assert!(self.worker.log().contains(&format!("failpoint mid_replay: {action}")));
        assert_eq!(rows(&self.database, &stamps).await, before, "a replay changes no row");
        rows_become(&self.database, &letters, &refused).await;
        self.worker.is_ready().await;
        self.worker.must_account_for_each_record();
    }
}

/// Posts records that the table refuses, each after the previous one is acknowledged, with many good ones in between.
async fn poison(
    http: reqwest::Client,
    url: String,
    acknowledged: Arc<std::sync::atomic::AtomicU64>,
    go_on: Arc<AtomicBool>,
) {
    let mut number = 0;
    while go_on.load(Ordering::Relaxed) {
        let body = post("deals", "create", format!("poison-{number}"), &json!({"title": "poison"})).to_string();
        eventually("a record that will be refused is acknowledged", || async {
            let answer =
                http.post(&url).header("content-type", "application/json").body(body.clone()).send().await.ok()?;
            (answer.status() == 202).then_some(())
        })
        .await;
        number += 1;
        let target = acknowledged.load(Ordering::Relaxed) + 30;
        eventually("good records are acknowledged", || async {
            (acknowledged.load(Ordering::Relaxed) >= target || !go_on.load(Ordering::Relaxed)).then_some(())
        })
        .await;
    }
}

/// The offsets of the records that the table refuses; a post whose answer was lost has two.
fn refused(worker: &Worker) -> BTreeSet<String> {
    let is_poison = |record: &&serde_json::Value| record["value"]["after"]["title"] == "poison";
    let records = worker.tap("deals", &[]);
    records.iter().filter(is_poison).map(|record| format!("{}:{}", record["partition"], record["offset"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_at_each_named_point_loses_and_duplicates_nothing() {
    let _stack = shared().await;
    let mut trial = Trial::start("points").await;
    for (point, before) in UNDER_LOAD {
        trial.restart(&format!("{point}={before}*off->1*return(kill)"));
        trial.worker.ended().await;
        trial.passed(point, "kill").await;
    }
    trial.restart("on_revoke=1*return(kill)");
    trial.worker.is_ready().await;
    trial.load.more(20).await;
    trial.worker.signal("TERM");
    trial.worker.ended().await;
    trial.passed("on_revoke", "kill").await;
    trial.end("kill").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_at_each_named_point_loses_and_duplicates_nothing() {
    each_point_in_one_process("error").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_delayed_at_each_named_point_loses_and_duplicates_nothing() {
    each_point_in_one_process("pause 100").await;
}

/// Every point acts twice, at different moments: an action that keeps the process alive can share a run with others.
async fn each_point_in_one_process(action: &str) {
    let _stack = shared().await;
    let mut trial = Trial::start(if action == "error" { "errors" } else { "pauses" }).await;
    let points = UNDER_LOAD
        .map(|(point, before)| format!("{point}={before}*off->1*return({action})->9*off->1*return({action})"));
    trial.restart(&format!("{};on_revoke=1*return({action})", points.join(";")));
    for (point, _) in UNDER_LOAD {
        trial.passed(point, action).await;
    }
    trial.load.more(20).await;
    trial.worker.must_account_for_each_record();
    trial.worker.signal("TERM");
    trial.worker.ended().await;
    trial.passed("on_revoke", action).await;
    trial.end(action).await;
}
