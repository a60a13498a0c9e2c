//! The Close source against the simulator in this process: the snapshot without limits, the share of a limited
//! allowance that it uses, and the time from a change at Close to its record and its row.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use close_simulator::{Options, Running, Simulator};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    Figures,
    ceilings::connect,
    process::{Worker, sink_config},
};

/// Leads of the large organization; with their objects some 670,000 records.
const LEADS: usize = 50_000;
/// Leads of the limited organization; their e-mails have some 130 pages.
const LIMITED_LEADS: usize = 9_000;
/// Requests per second that the limited organization allows for e-mails, counted over two seconds.
const LIMIT: u32 = 10;
/// Edits whose way is timed, each of another lead.
const EDITS: usize = 200;
/// The pause between two edits: all of them take some 20 s, which are several poll intervals.
const BETWEEN: Duration = Duration::from_millis(97);

fn source_config(close: &Running, prefix: &str, more: &str) -> String {
    format!(
        "name = \"close-{prefix}\"\nconnector.class = \"CloseSource\"\ntopic.prefix = \"{prefix}\"\n\
         topic.replication.factor = 1\ntopic.partitions = 2\nclose.api.url = \"{}\"\nclose.api.key = \"{}\"\n{more}",
        close.base_url(),
        close.key("admin").expect("a key")
    )
}

/// Records per second of a snapshot without limits, and the peak memory of the worker.
pub(crate) async fn snapshot(figures: &mut Figures) {
    let close = Simulator::start(Options { leads: LEADS, ..Options::default() }).await.expect("a port is free");
    let prefix = format!("benchcs{}", std::process::id());
    let begun = Instant::now();
    let worker = Worker::start(&[("close.toml", source_config(&close, &prefix, ""))]);
    worker.is_ready().await;
    let status = ended(&worker, &prefix, Duration::from_mins(10)).await;
    let took = begun.elapsed().as_secs_f64();
    let rows = status["completed"]["rows"].as_f64().expect("a count");
    eprintln!("  {rows} records in {took:.1} s");
    figures.insert("close_snapshot_records_per_s", rows / took);
    figures.insert("close_snapshot_peak_rss_mib", worker.peak_rss_mib());
}

/// The share of an announced limit that a snapshot uses, and the requests that were over it.
pub(crate) async fn budget(figures: &mut Figures) {
    let options = Options { leads: LIMITED_LEADS, ..Options::default() };
    let close = Simulator::start(options).await.expect("a port is free");
    let limits = json!({"groups": {"GET activity/email": {"limit": LIMIT * 2, "window_secs": 2}}, "off": false});
    let http = Client::builder().no_proxy().build().expect("a client");
    let control = format!("http://{}/_control/", close.address);
    put(&http, &format!("{control}limits/"), &limits).await;
    let prefix = format!("benchcb{}", std::process::id());
    let more = "objects = \"email\"\n\"budget.snapshot\" = \"100%\"\n\"budget.reserve\" = \"0%\"\n";
    let worker = Worker::start(&[("close.toml", source_config(&close, &prefix, more))]);
    worker.is_ready().await;
    let counted = async || {
        let text = http.get(format!("{control}counters/")).send().await.expect("counters").text().await.expect("text");
        let counters: Value = serde_json::from_str(&text).expect("JSON");
        let rows = counters["requests"].as_array().cloned().unwrap_or_default();
        let of = |row: &Value| row["endpoint"] == "GET activity/email";
        let sum = |refused: bool| -> f64 {
            let status = |row: &&Value| of(row) && (row["status"] == 429) == refused;
            rows.iter()
                .filter(status)
                .filter_map(|row| row["requests"].as_f64())
                .fold(0.0, |sum, requests| sum + requests)
        };
        (sum(false), sum(true))
    };
    // The first seconds fill the burst.
    let begun = Instant::now();
    while counted().await.0 < f64::from(LIMIT) * 3.0 {
        assert!(begun.elapsed() < Duration::from_mins(1), "the snapshot does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (before, begun) = (counted().await.0, Instant::now());
    tokio::time::sleep(Duration::from_secs(8)).await;
    let (after, refused) = counted().await;
    figures.insert("close_budget_used_ratio", (after - before) / begun.elapsed().as_secs_f64() / f64::from(LIMIT));
    figures.insert("close_requests_refused", refused);
}

/// Milliseconds from an edit at Close to its record, and to its row, at the default poll interval.
pub(crate) async fn latency(figures: &mut Figures) {
    let close =
        Simulator::start(Options { leads: 300, now: now(), ..Options::default() }).await.expect("a port is free");
    let prefix = format!("benchcl{}", std::process::id());
    let more = "objects = \"lead\"\n";
    let worker =
        Worker::start(&[("close.toml", source_config(&close, &prefix, more)), ("postgres.toml", sink_config(&prefix))]);
    worker.is_ready().await;
    ended(&worker, &prefix, Duration::from_mins(2)).await;
    let http = Client::builder().no_proxy().build().expect("a client");
    let key = close.key("admin").expect("a key");
    let mut ids = Vec::new();
    while ids.len() < EDITS {
        let url = format!("{}lead/?_limit=100&_skip={}&_fields=id", close.base_url(), ids.len());
        let list: Value =
            http.get(url).basic_auth(&key, Some("")).send().await.expect("an answer").json().await.expect("JSON");
        let page = list["data"].as_array().expect("rows").iter();
        ids.extend(page.filter_map(|row| row["id"].as_str().map(str::to_owned)));
    }
    let (client, mut edited) = (connect().await, HashMap::new());
    for id in &ids[..EDITS] {
        let text = format!("edit of {id}");
        edited.insert(text.clone(), micros());
        put_as(&http, &key, &format!("{}lead/{id}/", close.base_url()), &json!({"description": text})).await;
        tokio::time::sleep(BETWEEN).await;
    }
    let sql = format!(
        "SELECT description, (extract(epoch FROM _towpath_applied_at) * 1e6)::bigint FROM {prefix}.lead
         WHERE description LIKE 'edit of %'"
    );
    let begun = Instant::now();
    let applied = loop {
        let applied = client.query(&sql, &[]).await.expect("the table is there");
        if applied.len() == EDITS {
            break applied;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{} of {EDITS} edits have a row after 60 s", applied.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let row = |row: &tokio_postgres::Row| milliseconds(row.get::<_, i64>(1) - edited[row.get::<_, &str>(0)]);
    let rows: Vec<f64> = applied.iter().map(row).collect();
    // The time of a record is the producer's.
    let records: Vec<f64> = worker
        .tap(&format!("{prefix}.lead"))
        .iter()
        .filter_map(|record| {
            let at = edited.remove(record["value"]["after"]["description"].as_str()?)?;
            let produced: jiff::Timestamp = record["timestamp"].as_str()?.parse().ok()?;
            Some(milliseconds(produced.as_microsecond() - at))
        })
        .collect();
    assert_eq!(records.len(), EDITS, "each edit has a record");
    let percentiles = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        [values[values.len() / 2], values[values.len() * 99 / 100]]
    };
    let ([record_p50, record_p99], [row_p50, row_p99]) = (percentiles(records), percentiles(rows));
    figures.insert("close_change_to_record_p50_ms", record_p50);
    figures.insert("close_change_to_record_p99_ms", record_p99);
    figures.insert("close_change_to_row_p50_ms", row_p50);
    figures.insert("close_change_to_row_p99_ms", row_p99);
}

/// The status of the snapshot, once it is done.
async fn ended(worker: &Worker, prefix: &str, patience: Duration) -> Value {
    let http = Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/towpath/v1/connectors/close-{prefix}/snapshot", worker.rest);
    let begun = Instant::now();
    loop {
        if let Ok(answer) = http.get(&url).send().await
            && let Ok(status) = answer.json::<Value>().await
            && status["running"].is_null()
            && !status["completed"].is_null()
        {
            return status;
        }
        assert!(begun.elapsed() < patience, "the snapshot is not done after {patience:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn put(http: &Client, url: &str, body: &Value) {
    let sent = http.put(url).header("content-type", "application/json").body(body.to_string()).send().await;
    assert!(sent.expect("an answer").status().is_success(), "{url}");
}

async fn put_as(http: &Client, key: &str, url: &str, body: &Value) {
    let request = http.put(url).basic_auth(key, Some("")).header("content-type", "application/json");
    let sent = request.body(body.to_string()).send().await;
    assert!(sent.expect("an answer").status().is_success(), "{url}");
}

fn micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("far from the end")
}

#[expect(clippy::cast_precision_loss, reason = "a time of seconds")]
fn milliseconds(micros: i64) -> f64 {
    micros as f64 / 1e3
}

/// The simulator's clock at the machine's time.
fn now() -> close_simulator::model::Moment {
    close_simulator::model::Moment::system()
}
