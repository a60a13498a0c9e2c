//! Latency from post or producer to visible row, at a steady 1,000 events per second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use towpath::kafka::publisher::KafkaPublisher;
use towpath_api::{Object, Publisher as _};

use crate::{
    Figures,
    ceilings::connect,
    deals::{event, object},
    process::{Worker, sink_config},
    sink::publisher,
    webhook::{body, files},
};

const PER_SECOND: u64 = 1_000;
const WARM_UP: u64 = 2 * PER_SECOND;
const EVENTS: u64 = WARM_UP + 10 * PER_SECOND;

/// Acknowledged events that are not visible yet: partition → offset and time of the post.
type Waiting = Arc<Mutex<HashMap<i32, Vec<(i64, u64, Instant)>>>>;

/// Latencies from the post, and from the producer, which leaves out the webhook.
pub(crate) async fn measure(figures: &mut Figures) {
    let prefix = format!("benchl{}", std::process::id());
    let mut config = files(&prefix);
    config.push(("postgres.toml", sink_config(&prefix)));
    let worker = Worker::start(&config);
    worker.is_ready().await;
    let url = format!("{}/hooks/hook", worker.hooks);
    let [p50, p99] = visible(&prefix, |waiting| post_all(url, waiting)).await;
    figures.insert("post_to_row_p50_ms", p50);
    figures.insert("post_to_row_p99_ms", p99);
    let known = figures.entry("peak_rss_mib").or_insert(0.0);
    *known = known.max(worker.peak_rss_mib());
    drop(worker);

    let prefix = format!("benchp{}", std::process::id());
    let (publisher, object) = (publisher(&prefix, 6), object());
    publisher.prepare(&object).await.expect("the topic is created");
    let worker = Worker::start(&[("postgres.toml", sink_config(&prefix))]);
    let [p50, p99] = visible(&prefix, |waiting| produce_all(publisher, object, waiting)).await;
    figures.insert("produce_to_row_p50_ms", p50);
    figures.insert("produce_to_row_p99_ms", p99);
    drop(worker);
}

/// Milliseconds until the events that `send` records are visible: the median and the 99th percentile.
async fn visible<F: Future<Output = ()> + Send + 'static>(prefix: &str, send: impl FnOnce(Waiting) -> F) -> [f64; 2] {
    let client = connect().await;
    let sink = format!("pg-{prefix}");
    // The sink has to discover the new topics first, which does not count as latency.
    let patience = Instant::now();
    let found = "SELECT count(*) = 6 FROM towpath.sink_partition WHERE sink = $1";
    while !client.query_one(found, &[&sink]).await.is_ok_and(|row| row.get(0)) {
        assert!(patience.elapsed() < Duration::from_secs(30), "the sink has found no topic after 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sql = "SELECT partition, next_offset FROM towpath.sink_partition WHERE sink = $1";
    let sql = client.prepare(sql).await.expect("the bookkeeping is there");
    let waiting: Waiting = Arc::default();
    let sender = tokio::spawn(send(waiting.clone()));
    let (mut latencies, mut seen) = (Vec::new(), 0);
    let patience = Instant::now();
    while seen < EVENTS {
        // The offset becomes visible with the rows, in one transaction.
        let stored = client.query(&sql, &[&sink]).await.expect("an answer");
        let now = Instant::now();
        {
            let mut waiting = waiting.lock().expect("no panic");
            for row in stored {
                let next: i64 = row.get(1);
                for (_, number, begun) in
                    waiting.entry(row.get(0)).or_default().extract_if(.., |(offset, ..)| *offset < next)
                {
                    seen += 1;
                    if number >= WARM_UP {
                        latencies.push((now - begun).as_secs_f64() * 1e3);
                    }
                }
            }
        }
        assert!(patience.elapsed() < Duration::from_mins(1), "{seen} of {EVENTS} events are visible after 60 s");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sender.await.expect("all events were sent");
    latencies.sort_by(f64::total_cmp);
    [latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]]
}

async fn post_all(url: String, waiting: Waiting) {
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1_000).build().expect("a client");
    send_all(waiting, |number| {
        let (http, url) = (http.clone(), url.clone());
        async move {
            let request = http.post(&url).header("content-type", "application/json").body(body(number));
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), 202);
            let answer: Value = answer.json().await.expect("JSON");
            let partition = i32::try_from(answer["partition"].as_i64().expect("a partition")).expect("small");
            (partition, answer["offset"].as_i64().expect("an offset"))
        }
    })
    .await;
}

async fn produce_all(publisher: KafkaPublisher, object: Arc<Object>, waiting: Waiting) {
    send_all(waiting, |number| {
        let (publisher, event) = (publisher.clone(), event(&object, number.cast_signed(), 0));
        async move {
            let placed = publisher.publish(vec![event]).await.expect("the broker accepts the event");
            (placed[0].partition, placed[0].offset)
        }
    })
    .await;
}

/// Sends each event at its scheduled time, whether or not earlier events are acknowledged.
async fn send_all<F: Future<Output = (i32, i64)> + Send + 'static>(waiting: Waiting, send: impl Fn(u64) -> F) {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let begun = Instant::now();
    let mut underway = tokio::task::JoinSet::new();
    let mut next = 0;
    while next < EVENTS {
        tick.tick().await;
        let due = u64::try_from(begun.elapsed().as_micros()).expect("short") * PER_SECOND / 1_000_000;
        while next < due.min(EVENTS) {
            let (waiting, number, begun, sending) = (waiting.clone(), next, Instant::now(), send(next));
            underway.spawn(async move {
                let (partition, offset) = sending.await;
                waiting.lock().expect("no panic").entry(partition).or_default().push((offset, number, begun));
            });
            next += 1;
        }
    }
    underway.join_all().await;
}
