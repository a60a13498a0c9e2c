//! Topic to table: a worker drains a full topic, inserts first, then an update of every row.
//!
//! Everything is measured three times, ceilings and sink in turn. Each ratio is of one round, and the result is the
//! median of the three.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use towpath::{
    avro::registry::Registry,
    kafka::{
        client::KafkaSettings,
        publisher::{KafkaPublisher, SourceMetrics, TopicSettings},
    },
};
use towpath_api::{ChangeEvent, Object, Publisher as _};

use crate::{
    Rounds,
    ceilings::{self, Ceilings, connect, rate},
    deals::{ROWS, event, object, wide_event},
    process::{Worker, env, sink_config},
    say,
};

/// A publisher into topics with the given number of partitions.
pub(crate) fn publisher(prefix: &str, partitions: i32) -> KafkaPublisher {
    let kafka = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "bench", []);
    let metrics = prometheus::Registry::new();
    let registry = Registry::new(&env("SCHEMA_REGISTRY_URL"), &metrics).expect("a registry");
    let topics = TopicSettings { prefix: prefix.to_owned(), partitions, replication: Some(1) };
    let source_metrics = SourceMetrics::register(&metrics).expect("metrics");
    KafkaPublisher::new(&kafka, registry, topics, "bench", source_metrics).expect("a publisher")
}

/// Fills a topic of `partitions` partitions with `rows` rows in each of `passes` passes.
pub(crate) async fn fill(prefix: &str, partitions: i32, rows: i64, passes: i64) {
    fill_with(prefix, partitions, rows, passes, event).await;
}

/// Fills a topic with the given events.
async fn fill_with(
    prefix: &str,
    partitions: i32,
    rows: i64,
    passes: i64,
    event: impl Fn(&Arc<Object>, i64, i64) -> ChangeEvent,
) {
    let (publisher, object) = (publisher(prefix, partitions), object());
    for pass in 0..passes {
        for chunk in 0..rows / 10_000 {
            let events = (chunk * 10_000..(chunk + 1) * 10_000).map(|number| event(&object, number, pass)).collect();
            publisher.publish(events).await.expect("the broker accepts the events");
        }
    }
}

const ROUNDS: usize = 3;

pub(crate) async fn measure(rounds: &mut Rounds) {
    let prefix = |partitions: i32| format!("bench{partitions}p{}", std::process::id());
    say("filling topics with 300,000 inserts and an update of every row");
    for partitions in [1, 2] {
        fill(&prefix(partitions), partitions, ROWS, 2).await;
    }
    for round in 0..ROUNDS {
        say(&format!("round {} of {ROUNDS}: binary COPY, a bare writer, the sink on 1 and 2 partitions", round + 1));
        let ceilings = ceilings::measure(rounds).await;
        let mut full = 0.0;
        for partitions in [1, 2] {
            let drain = Drain::new(&prefix(partitions), round, "");
            let drained = drain.run().await;
            drained.note(partitions, &ceilings, rounds);
            if partitions == 1 {
                full = drained.insert;
                drain.replay(&drained, rounds).await;
            }
            drain.clean().await;
        }
        let bare = Drain::new(&prefix(1), round + ROUNDS, "metadata.columns = \"none\"\ndelete.mode = \"hard\"\n");
        rounds.note("own_columns_ratio", full / bare.run().await.insert);
        bare.clean().await;
    }
}

/// Measures the peak memory and the speed of draining two partitions of records of 450 bytes.
pub(crate) async fn measure_memory(rounds: &mut Rounds) {
    let prefix = format!("benchm{}", std::process::id());
    fill_with(&prefix, 2, ROWS, 2, wide_event).await;
    for round in 0..ROUNDS {
        let drain = Drain::new(&prefix, round, "");
        let drained = drain.run().await;
        rounds.note("wide_insert_rows_per_s_2p", drained.insert);
        rounds.note("wide_update_rows_per_s_2p", drained.update);
        rounds.note("wide_peak_rss_mib_2p", drained.peak_rss_mib);
        drain.clean().await;
    }
}

/// Rows that a sink has stored; 0 while the sink has no offsets yet.
pub(crate) async fn stored(client: &tokio_postgres::Client, sink: &str) -> i64 {
    let sql = "SELECT coalesce(sum(next_offset), 0)::bigint FROM towpath.sink_partition WHERE sink = $1";
    client.query_one(sql, &[&sink]).await.map_or(0, |row| row.get(0))
}

/// A topic that a sink writes into a new table.
struct Drain {
    sink: String,
    schema: String,
    config: String,
}

/// The measurements of one drain.
struct Drained {
    /// Rows per second.
    insert: f64,
    update: f64,
    cpu_us: f64,
    peak_rss_mib: f64,
}

impl Drain {
    fn new(prefix: &str, round: usize, more: &str) -> Self {
        let (sink, schema) = (format!("pg-{prefix}-{round}"), format!("r{round}_{prefix}"));
        let config = sink_config(prefix).replace(&format!("\"pg-{prefix}\""), &format!("\"{sink}\""));
        let config = format!("{config}table.name.format = \"r{round}_${{topic}}\"\n{more}");
        Self { sink, schema, config }
    }

    fn start(&self) -> Worker {
        Worker::start(&[("postgres.toml", self.config.clone())])
    }

    async fn run(&self) -> Drained {
        let client = connect().await;
        client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
        let worker = self.start();
        // The clock starts with the first visible rows: the start of the process is not measured.
        let mut passes = Vec::new();
        let mut cpu = None;
        let mut begun: Option<(i64, Instant)> = None;
        let patience = Instant::now();
        while passes.len() < 2 {
            let rows = stored(&client, &self.sink).await;
            if rows > 0 && begun.is_none() {
                begun = Some((rows, Instant::now()));
                cpu.get_or_insert((rows, worker.cpu_seconds()));
            }
            if let Some((from, since)) = begun
                && rows >= ROWS * i64::try_from(passes.len() + 1).expect("small")
            {
                passes.push(rate(rows - from, since));
                begun = Some((rows, Instant::now()));
            }
            assert!(patience.elapsed() < Duration::from_mins(3), "the sink is not done after 180 s: {rows} rows");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (first, before) = cpu.expect("the sink has stored rows");
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        let cpu_us = (worker.cpu_seconds() - before) * 1e6 / (2 * ROWS - first) as f64;
        self.verify(&client).await;
        Drained { insert: passes[0], update: passes[1], cpu_us, peak_rss_mib: worker.peak_rss_mib() }
    }

    /// Replays the whole topic onto its table.
    async fn replay(&self, drained: &Drained, rounds: &mut Rounds) {
        let client = connect().await;
        let last = format!(
            "SELECT max(_towpath_applied_at)::text, pg_current_wal_insert_lsn()::text FROM {}.deals",
            self.schema
        );
        let rewind = "UPDATE towpath.sink_partition SET next_offset = 0, anchor_offset = NULL, anchor_hash = NULL
                      WHERE sink = $1";
        client.execute(rewind, &[&self.sink]).await.expect("the offsets are reset");
        client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
        let before = client.query_one(&last, &[]).await.expect("the table is there");
        let worker = self.start();
        let mut begun = None;
        let reached = loop {
            let rows = stored(&client, &self.sink).await;
            if rows > 0 && begun.is_none() {
                begun = Some((rows, Instant::now()));
            }
            if rows >= 2 * ROWS {
                let (first, since) = begun.expect("the sink has stored rows");
                break rate(rows - first, since);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        drop(worker);
        let after = client.query_one(&last, &[]).await.expect("the table is there");
        assert_eq!(before.get::<_, &str>(0), after.get::<_, &str>(0), "a replay changes no row");
        let written = "SELECT ($2::text::pg_lsn - $1::text::pg_lsn)::bigint";
        let written = client
            .query_one(written, &[&before.get::<_, &str>(1), &after.get::<_, &str>(1)])
            .await
            .expect("a difference");
        #[expect(clippy::cast_precision_loss, reason = "counts")]
        let (bytes, rows) = (written.get::<_, i64>(0) as f64, 2.0 * ROWS as f64);
        rounds.note("replay_wal_bytes_per_row", bytes / rows);
        rounds.note("replay_ratio", reached * (0.5 / drained.insert + 0.5 / drained.update));
    }

    async fn clean(&self) {
        let sql = format!("DROP SCHEMA {} CASCADE; CHECKPOINT", self.schema);
        connect().await.batch_execute(&sql).await.expect("the rows are deleted");
    }

    /// Checks that no row was lost: the figure of a sink that loses rows is worthless.
    async fn verify(&self, client: &tokio_postgres::Client) {
        let sql = format!("SELECT count(*), coalesce(sum(amount * 100), 0)::bigint FROM {}.deals", self.schema);
        let row = client.query_one(&sql, &[]).await.expect("the table is there");
        let expected: i64 = (0..ROWS).map(|number| crate::deals::amount(number, 1)).sum();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (ROWS, expected), "every row has its last version");
    }
}

impl Drained {
    fn note(&self, partitions: i32, ceilings: &Ceilings, rounds: &mut Rounds) {
        let of_writer = f64::midpoint(self.insert / ceilings.writer_insert, self.update / ceilings.writer_update);
        let of_copy = self.insert / ceilings.copy;
        if partitions == 1 {
            rounds.note("sink_insert_rows_per_s_1p", self.insert);
            rounds.note("sink_update_rows_per_s_1p", self.update);
            rounds.note("sink_writer_ratio_1p", of_writer);
            rounds.note("sink_update_writer_ratio_1p", self.update / ceilings.writer_update);
            rounds.note("sink_copy_ratio_1p", of_copy);
            rounds.note("sink_cpu_us_per_row", self.cpu_us);
        } else {
            rounds.note("sink_insert_rows_per_s_2p", self.insert);
            rounds.note("sink_update_rows_per_s_2p", self.update);
            rounds.note("sink_writer_ratio_2p", of_writer);
            rounds.note("sink_update_writer_ratio_2p", self.update / ceilings.writer_update);
            rounds.note("sink_copy_ratio_2p", of_copy);
            rounds.note("sink_peak_rss_mib_2p", self.peak_rss_mib);
        }
    }
}
