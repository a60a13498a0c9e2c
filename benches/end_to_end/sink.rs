//! Topic to table: a full topic is drained by a worker of its own, inserts first, then an update of every row.

use std::time::{Duration, Instant};

use towpath::{
    avro::registry::Registry,
    kafka::{
        client::KafkaSettings,
        publisher::{KafkaPublisher, SourceMetrics, TopicSettings},
    },
};
use towpath_api::Publisher as _;

use crate::{
    Figures,
    ceilings::{Ceilings, connect, rate},
    deals::{ROWS, event, object},
    process::{Worker, env, sink_config},
};

/// Fills a topic of `partitions` partitions with so many rows, as often as `passes` says.
pub(crate) async fn fill(prefix: &str, partitions: i32, rows: i64, passes: i64) {
    let kafka = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "bench", []);
    let metrics = prometheus::Registry::new();
    let registry = Registry::new(&env("SCHEMA_REGISTRY_URL"), &metrics).expect("a registry");
    let topics = TopicSettings { prefix: prefix.to_owned(), partitions, replication: Some(1) };
    let source_metrics = SourceMetrics::register(&metrics).expect("metrics");
    let publisher = KafkaPublisher::new(&kafka, registry, topics, "bench", source_metrics).expect("a publisher");
    let object = object();
    for pass in 0..passes {
        for chunk in 0..rows / 10_000 {
            let events = (chunk * 10_000..(chunk + 1) * 10_000).map(|number| event(&object, number, pass)).collect();
            publisher.publish(events).await.expect("the broker takes the events");
        }
    }
}

pub(crate) async fn measure(partitions: i32, ceilings: &Ceilings, figures: &mut Figures) {
    let prefix = format!("bench{partitions}p{}", std::process::id());
    fill(&prefix, partitions, ROWS, 2).await;
    let client = connect().await;
    client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
    let worker = Worker::start(&[("postgres.toml", sink_config(&prefix))]);
    let sql = format!("SELECT coalesce(sum(next_offset), 0)::bigint FROM towpath.sink_partition WHERE sink = 'pg-{prefix}'");
    let stored = || async { client.query_one(&sql, &[]).await.map_or(0, |row| row.get::<_, i64>(0)) };
    // The clock starts with the first rows that are there: the start of the process is not what is measured.
    let mut passes = Vec::new();
    let mut cpu = None;
    let mut begun: Option<(i64, Instant)> = None;
    let patience = Instant::now();
    while passes.len() < 2 {
        let rows = stored().await;
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
    let (first, before) = cpu.expect("it has begun");
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let cpu_us = (worker.cpu_seconds() - before) * 1e6 / (2 * ROWS - first) as f64;
    verify(&client, &prefix).await;

    let (insert, update) = (passes[0], passes[1]);
    let of_writer = f64::midpoint(insert / ceilings.writer_insert, update / ceilings.writer_update);
    let of_copy = insert / ceilings.copy;
    let peak = worker.peak_rss_mib();
    if partitions == 1 {
        figures.insert("sink_insert_rows_per_s_1p", insert);
        figures.insert("sink_update_rows_per_s_1p", update);
        figures.insert("sink_writer_ratio_1p", of_writer);
        figures.insert("sink_copy_ratio_1p", of_copy);
        figures.insert("sink_cpu_us_per_row", cpu_us);
    } else {
        figures.insert("sink_insert_rows_per_s_2p", insert);
        figures.insert("sink_update_rows_per_s_2p", update);
        figures.insert("sink_writer_ratio_2p", of_writer);
        figures.insert("sink_copy_ratio_2p", of_copy);
    }
    let known = figures.entry("peak_rss_mib").or_insert(0.0);
    *known = known.max(peak);
    drop(worker);
    client.batch_execute(&format!("DROP SCHEMA {prefix} CASCADE; CHECKPOINT")).await.expect("the rows go");
}

/// A number of a sink that lost rows is worth nothing.
async fn verify(client: &tokio_postgres::Client, prefix: &str) {
    let sql = format!(
        "SELECT count(*), coalesce(sum(amount * 100), 0)::bigint, count(*) FILTER (WHERE _towpath_deleted) FROM {prefix}.deals"
    );
    let row = client.query_one(&sql, &[]).await.expect("the table is there");
    let expected: i64 = (0..ROWS).map(|number| crate::deals::amount(number, 1)).sum();
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)),
        (ROWS, expected, 0),
        "every row has its last version"
    );
}
