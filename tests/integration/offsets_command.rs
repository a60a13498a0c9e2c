//! `towpath offsets`: shows where a sink resumes, and sets that offset while the connector does not run.

use std::process::Output;

use rdkafka::admin::{AdminClient, AdminOptions};
use serde_json::{Value, json};
use tokio_postgres::Client;
use towpath::kafka::client::KafkaSettings;

use crate::{
    stack::{database, env, eventually, rows, rows_become, shared},
    worker::Worker,
};

/// A worker that has stored three changes of one deal, all in one partition.
struct Stored {
    worker: Worker,
    database: Client,
    partition: String,
}

impl Stored {
    async fn new(theme: &str) -> Self {
        Self::with(theme, "").await
    }

    /// A sink with more keys.
    async fn with(theme: &str, keys: &str) -> Self {
        let worker = Worker::new(theme).webhook("").sink(keys).start().await;
        worker.accept("deals", "create", "a", json!({"title": "v1"})).await;
        worker.accept("deals", "update", "a", json!({"title": "v2"})).await;
        worker.accept("deals", "update", "a", json!({"title": "v3"})).await;
        let database = database().await;
        let stored = Self { worker, database, partition: String::new() };
        let sink = format!("sink = 'pg-{}' AND next_offset = 3", stored.worker.name);
        let count = format!("SELECT count(*) FROM towpath.sink_partition WHERE {sink}");
        rows_become(&stored.database, &count, &["1"]).await;
        let found = rows(&stored.database, &format!("SELECT partition FROM towpath.sink_partition WHERE {sink}")).await;
        Self { partition: found[0].clone(), ..stored }
    }

    fn topic(&self) -> String {
        format!("{}.deals", self.worker.name)
    }

    async fn stop(&mut self) {
        self.worker.signal("TERM");
        assert!(self.worker.ended().await.success());
    }

    async fn start(&mut self) {
        self.worker.spawn();
        self.worker.is_ready().await;
    }

    /// The partition of the deal, as `offsets show` prints it.
    fn shown(&self) -> Value {
        let shown = self.worker.command(&["offsets", "show", "--worker", "worker.toml", "postgres.toml", "-o", "json"]);
        let (code, printed, said) = parts(&shown);
        assert_eq!(code, Some(0), "{said}");
        let all: Vec<Value> = serde_json::from_str(&printed).unwrap();
        let partition: i32 = self.partition.parse().unwrap();
        let mine = |found: &Value| found["topic"] == self.topic() && found["partition"] == partition;
        all.into_iter().find(mine).unwrap()
    }

    /// Runs `offsets set`; returns the exit code, standard output and standard error.
    fn set(&self, topic: &str, partition: &str, offset: &str, more: &[&str]) -> (Option<i32>, String, String) {
        let usual = ["offsets", "set", "--worker", "worker.toml", "postgres.toml", topic, partition, offset];
        parts(&self.worker.command(&[&usual, more].concat()))
    }

    fn set_to(&self, offset: &str) -> String {
        let (code, printed, said) = self.set(&self.topic(), &self.partition, offset, &["--yes"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(printed.contains("the next offset is"), "{printed}");
        said
    }

    async fn anchor(&self) -> Vec<String> {
        let sql = format!(
            "SELECT next_offset, anchor_offset FROM towpath.sink_partition WHERE sink = 'pg-{}' AND topic = '{}' AND \
             partition = {}",
            self.worker.name,
            self.topic(),
            self.partition
        );
        rows(&self.database, &sql).await
    }

    /// The deal's row, with the transaction that wrote it.
    async fn row(&self) -> Vec<String> {
        let sql = format!("SELECT title, _towpath_offset, xmin FROM {}.deals", self.worker.name);
        rows(&self.database, &sql).await
    }

    async fn applied_up_to(&self, offset: i64) {
        let sql = format!(
            "SELECT next_offset FROM towpath.sink_partition WHERE sink = 'pg-{}' AND topic = '{}' AND partition = {}",
            self.worker.name,
            self.topic(),
            self.partition
        );
        rows_become(&self.database, &sql, &[&offset.to_string()]).await;
    }

    async fn records_read(&self) -> f64 {
        let labels = format!("connector=\"pg-{}\"", self.worker.name);
        self.worker.metric("towpath_sink_records_read_total", &labels).await
    }
}

fn parts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn offsets_are_shown_with_their_lag_and_owner() {
    let _stack = shared().await;
    let stored = Stored::new("shown").await;
    let shown = stored.shown();
    let numbers = ["offset", "earliest", "end", "lag"].map(|name| shown[name].as_i64());
    assert_eq!(numbers, [Some(3), Some(0), Some(3), Some(0)], "{shown}");
    assert!(shown["owner"].as_str().unwrap().starts_with("towpath@"), "{shown}");
    let text = stored.worker.command(&["offsets", "show", "--worker", "worker.toml", "postgres.toml"]);
    let (code, printed, _) = parts(&text);
    assert_eq!(code, Some(0));
    assert!(printed.starts_with("TOPIC ") && printed.contains(&stored.topic()), "{printed}");
    let (code, _, said) =
        parts(&stored.worker.command(&["offsets", "show", "--worker", "worker.toml", "webhook.toml"]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("is a source"), "{said}");
}

#[tokio::test]
async fn records_before_a_lower_offset_are_read_again_and_turn_no_row_back() {
    let _stack = shared().await;
    let mut stored = Stored::new("rewound").await;
    let row = stored.row().await;
    stored.stop().await;
    assert!(stored.set_to("2").contains("from offset 3 to 2: reads 1 offset again"));
    assert_eq!(stored.anchor().await, ["2|1"], "the anchor is the record before");
    assert!(stored.set_to("earliest").contains("reads 2 offsets again"));
    assert_eq!(stored.shown()["lag"], 3);
    stored.start().await;
    stored.applied_up_to(3).await;
    assert!((stored.records_read().await - 3.0).abs() < 0.5);
    assert_eq!(stored.row().await, row, "no row was written");
}

#[tokio::test]
async fn records_before_a_higher_offset_are_skipped_and_the_anchor_fits() {
    let _stack = shared().await;
    let mut stored = Stored::new("skipped").await;
    stored.stop().await;
    stored.set_to("1");
    assert!(stored.set_to("end").contains("from offset 1 to 3: skips 2 offsets"));
    assert_eq!(stored.anchor().await, ["3|2"]);
    stored.start().await;
    stored.worker.accept("deals", "update", "a", json!({"title": "v4"})).await;
    stored.applied_up_to(4).await;
    assert!(stored.row().await[0].starts_with("v4|3|"));
    assert!((stored.records_read().await - 1.0).abs() < 0.5, "only the new record was read");
}

#[tokio::test]
async fn an_offset_is_not_set_while_the_connector_runs_or_out_of_range() {
    let _stack = shared().await;
    let mut stored = Stored::new("unmoved").await;
    let (topic, partition) = (stored.topic(), stored.partition.clone());
    let (code, _, said) = stored.set(&topic, &partition, "0", &["--yes"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("error[postgres.connector_running]") && said.contains("= help: stop the worker"), "{said}");
    stored.stop().await;
    for (topic, partition, offset, more, expected, reason) in [
        (topic.as_str(), partition.as_str(), "0", &[][..], 2, "not a terminal"),
        (&topic, &partition, "latest", &["--yes"], 2, "earliest"),
        (&topic, "99", "0", &["--yes"], 65, "there is no such partition"),
        (&topic, &partition, "4", &["--yes"], 65, "the topic has 0..3"),
        ("other.deals", &partition, "0", &["--yes"], 65, "does not read the topic"),
    ] {
        let (code, _, said) = stored.set(topic, partition, offset, more);
        assert_eq!(code, Some(expected), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(stored.anchor().await, ["3|2"], "nothing was changed");
}

/// The command that the help of an error in the log prints for a partition, without the name of the program.
fn printed_command(log: &str, partition: &str) -> Option<Vec<String>> {
    let commands = log.split('`').filter(|piece| piece.starts_with("towpath offsets set"));
    let words = commands.map(|command| command.split_whitespace().skip(1).map(ToOwned::to_owned).collect::<Vec<_>>());
    words.into_iter().find(|words| words.get(6).is_some_and(|found| found == partition))
}

#[tokio::test]
async fn following_the_help_after_a_topic_was_recreated_loses_nothing() {
    let _stack = shared().await;
    let mut stored = Stored::with("anew", "\"history.enabled\" = true\n").await;
    stored.stop().await;
    let admin: AdminClient<_> = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
    let topic = stored.topic();
    admin.delete_topics(&[&topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    stored.start().await;
    // The source creates the topic again, with fewer records than were applied.
    stored.worker.accept("deals", "update", "a", json!({"title": "w1"})).await;
    stored.worker.accept("deals", "update", "a", json!({"title": "w2"})).await;
    let command =
        eventually("the log prints the command", || async { printed_command(&stored.worker.log(), &stored.partition) })
            .await;
    stored.stop().await;

    // Without the flag the offset is not set.
    let (code, _, said) = stored.set(&topic, &stored.partition, "earliest", &["--yes"]);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("error[kafka.truncated_or_recreated]") && said.contains("--new-records"), "{said}");
    let run = |more: &str| {
        let words = command.iter().map(|word| if word == "CONNECTOR.toml" { "postgres.toml" } else { word.as_str() });
        parts(&stored.worker.command(&words.chain([more]).collect::<Vec<_>>()))
    };
    let (code, _, plan) = run("--dry-run");
    assert_eq!(code, Some(0), "{plan}");
    for told in [
        format!("rows of {}.deals: 1 stay", stored.worker.name),
        format!("rows of {}.deals_history: 3 stay", stored.worker.name),
        "nothing was changed".to_owned(),
    ] {
        assert!(plan.contains(&told), "`{told}` is missing in {plan}");
    }
    let (code, printed, said) = run("--yes");
    assert_eq!(code, Some(0), "{said}");
    assert!(printed.contains("the next offset is 0"), "{printed}");

    stored.start().await;
    stored.applied_up_to(2).await;
    assert!(stored.row().await[0].starts_with("w2|1|"), "{:?}", stored.row().await);
    let history = format!(
        "SELECT __connect_offset, title, __connect_topic = '{topic}' FROM {}.deals_history ORDER BY 1, 2",
        stored.worker.name
    );
    assert_eq!(rows(&stored.database, &history).await, ["0|v1|f", "0|w1|t", "1|v2|f", "1|w2|t", "2|v3|f"]);
}
