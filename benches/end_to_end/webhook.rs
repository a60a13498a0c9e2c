//! Posts per second with the broker's acknowledgement, compared with a bare axum handler that parses the same JSON and
//! answers at once.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, http::StatusCode, routing::post};
use serde_json::{Value, json};

use crate::{
    Figures,
    process::{Worker, free_port},
};

/// Connections, each of which posts sequentially.
const CONNECTIONS: u64 = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(6);

/// The object of the posts.
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"deals","fields":[
    {"name":"id","type":"string"},{"name":"agent_id","type":["null","long"],"default":null},
    {"name":"title","type":["null","string"],"default":null},
    {"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}],"default":null},
    {"name":"currency","type":["null","string"],"default":null},{"name":"won","type":["null","boolean"],"default":null},
    {"name":"closed_at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null}]}"#;

/// The body of event `id`.
pub(crate) fn body(id: u64) -> String {
    json!({"clientid": "acme", "clientSecret": "bench-secret", "objectname": "deals",
        "id": format!("deal-{id}"), "action": "create",
        "data": {"agent_id": id % 500, "title": format!("Deal number {id}"), "amount": "1250.50",
            "currency": "EUR", "won": true,
            "closed_at": "2026-11-24T10:00:00.123+01:00"}})
    .to_string()
}

/// Schema and config of a webhook source.
pub(crate) fn files(prefix: &str) -> Vec<(&'static str, String)> {
    let config = format!(
        "name = \"hook\"\nconnector.class = \"WebhookSource\"\ntopic.prefix = \"{prefix}\"\n\
         topic.replication.factor = 1\nobjects = \"deals\"\n\
         objects.deals.schema = \"deals.avsc\"\nclients.acme.secret = \"bench-secret\"\n"
    );
    vec![("deals.avsc", SCHEMA.to_owned()), ("webhook.toml", config)]
}

/// The bare handler, in its own process like the worker.
pub(crate) async fn serve_bare(address: &str) {
    let handler = |Json(body): Json<Value>| async move {
        if body["id"].is_string() { (StatusCode::ACCEPTED, "{}") } else { (StatusCode::BAD_REQUEST, "{}") }
    };
    let listener = tokio::net::TcpListener::bind(address).await.expect("the address is free");
    axum::serve(listener, Router::new().route("/hooks/hook", post(handler))).await.expect("the handler serves");
}

pub(crate) async fn measure(figures: &mut Figures) {
    let address = format!("127.0.0.1:{}", free_port());
    let bare = Killed(
        Command::new(std::env::current_exe().expect("this program"))
            .args(["bare-axum", &address])
            .stdin(Stdio::null())
            .spawn()
            .expect("this program can be started"),
    );
    let worker = Worker::start(&files(&format!("benchw{}", std::process::id())));
    worker.is_ready().await;
    // Sequentially, twice: the machine's speed drifts.
    let mut totals = [0.0; 2];
    for round in 0..2 {
        totals[0] += requests_per_second(&format!("http://{address}/hooks/hook"), round).await / 2.0;
        totals[1] += requests_per_second(&format!("{}/hooks/hook", worker.hooks), round).await / 2.0;
    }
    drop(bare);
    figures.insert("axum_requests_per_s", totals[0]);
    figures.insert("webhook_requests_per_s", totals[1]);
    figures.insert("webhook_axum_ratio", totals[1] / totals[0]);
    let known = figures.entry("peak_rss_mib").or_insert(0.0);
    *known = known.max(worker.peak_rss_mib());
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn requests_per_second(url: &str, round: u64) -> f64 {
    let (counting, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let answered = Arc::new(AtomicU64::new(0));
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1_000).build().expect("a client");
    let mut clients = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (http, url, go_on, counting, answered) =
            (http.clone(), url.to_owned(), go_on.clone(), counting.clone(), answered.clone());
        clients.spawn(async move {
            let mut id = (round * CONNECTIONS + connection) << 32;
            while go_on.load(Ordering::Relaxed) {
                id += 1;
                let request = http.post(&url).header("content-type", "application/json").body(body(id));
                let answer = request.send().await.expect("an answer");
                assert_eq!(answer.status().as_u16(), 202);
                let _ = answer.bytes().await;
                if counting.load(Ordering::Relaxed) {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    tokio::time::sleep(WARM_UP).await;
    counting.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    tokio::time::sleep(MEASURED).await;
    counting.store(false, Ordering::Relaxed);
    let elapsed = begun.elapsed().as_secs_f64();
    go_on.store(false, Ordering::Relaxed);
    clients.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let answered = answered.load(Ordering::Relaxed) as f64;
    answered / elapsed
}
