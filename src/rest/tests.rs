//! Tests of the management listener over real connections.

use std::time::SystemTime;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;
use towpath_api::TopicPartition;

use super::*;

struct Running {
    url: String,
    metrics: Metrics,
    readiness: Readiness,
    board: StatusBoard,
    _stop: DropGuard,
}

async fn serve() -> Running {
    let metrics = Metrics::new();
    let readiness = Readiness::new();
    let board = StatusBoard::new(&metrics).with_worker("host:8083");
    let api = Api::new(metrics.clone(), readiness.clone(), board.clone());
    let server = Server::bind(&["http://127.0.0.1:0".parse().unwrap()], api).await.unwrap();
    let url = format!("http://{}", server.addresses()[0]);
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(stop.clone()));
    Running { url, metrics, readiness, board, _stop: stop.drop_guard() }
}

impl Running {
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }
}

#[tokio::test]
async fn readyz_is_503_with_the_reasons_until_all_checks_pass() {
    let running = serve().await;
    assert_eq!(running.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    running.readiness.ready("connector webhook");
    running.readiness.not_ready("kafka", "no broker answers");
    let (status, body) = running.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let kafka = json!({ "check": "kafka", "reason": "no broker answers" });
    assert_eq!(body, json!({ "ready": false, "not_ready": [kafka] }));

    let (_, body) = running.get("/readyz?verbose").await;
    assert_eq!(body["checks"][0], json!({ "check": "connector webhook", "ready": true }));
    assert_eq!(body["checks"][1]["ready"], false);

    running.readiness.ready("kafka");
    assert_eq!(running.get("/readyz").await, (StatusCode::OK, json!({ "ready": true, "not_ready": [] })));
}

#[tokio::test]
async fn livez_does_not_depend_on_checks() {
    let running = serve().await;
    running.readiness.not_ready("kafka", "no broker answers");
    assert_eq!(running.get("/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn health_distinguishes_a_start_from_an_outage_in_connects_format() {
    let running = serve().await;
    running.readiness.not_ready("kafka", "no broker answers");
    let (status, body) = running.get("/health").await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("starting")));
    running.readiness.ready("kafka");
    let (status, body) = running.get("/health").await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("healthy")));
    running.readiness.not_ready("kafka", "no broker answers");
    let (status, body) = running.get("/health").await;
    assert_eq!((status, &body["status"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("unhealthy")));
    assert!(body["message"].as_str().unwrap().ends_with("kafka: no broker answers"));
}

#[tokio::test]
async fn metrics_have_the_content_type_of_the_text_format() {
    let running = serve().await;
    running.metrics.connector("webhook", crate::telemetry::Stage::SOURCE);
    let answer = reqwest::get(format!("{}/metrics", running.url)).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    assert!(text.contains("towpath_build_info{revision="));
    assert!(text.contains("process_resident_memory_bytes"));
}

#[tokio::test]
async fn the_root_names_the_cluster_once_it_is_known() {
    let running = serve().await;
    assert_eq!(running.get("/").await.1["kafka_cluster_id"], Value::Null);
    running.board.set_kafka_cluster_id("MkU3OEVBNTcwNTJENDM2Qg");
    let (_, body) = running.get("/").await;
    assert_eq!(body["kafka_cluster_id"], "MkU3OEVBNTcwNTJENDM2Qg");
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert!(body["commit"].is_string());
    assert_eq!(running.get("/version").await.1["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_retrying_task_shows_its_error_and_next_attempt() {
    let running = serve().await;
    running.board.task("webhook", 0).running();
    let error = Error::retry("postgres.unavailable", ErrorType::Unavailable, "connect to Postgres at db:5432")
        .with_help("start Postgres");
    running.board.task("postgres", 0).retrying(&error, 4, SystemTime::UNIX_EPOCH);
    let (status, body) = running.get("/towpath/v1/connectors").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body[0]["name"], "postgres");
    assert_eq!(body[0]["state"], "retrying");
    let task = &body[0]["tasks"][0];
    assert_eq!(task["error"]["code"], "postgres.unavailable");
    assert_eq!(task["error"]["message"], "connect to Postgres at db:5432");
    assert_eq!(task["error"]["help"], "start Postgres");
    assert_eq!(task["attempt"], 4);
    assert_eq!(task["next_try"], "1970-01-01T00:00:00.000Z");
    assert_eq!(body[1]["state"], "running");
    assert_eq!(body[1]["tasks"][0]["error"], Value::Null);
}

#[tokio::test]
async fn a_task_shows_its_worker_generation_and_partitions() {
    let running = serve().await;
    let task = running.board.task_of_generation("postgres", 0, 3);
    let partition = |number| task.partition(&TopicPartition { topic: "acme.deals".into(), partition: number });
    let (first, second) = (partition(0), partition(1));
    first.next_offset(42);
    first.lag(7);
    first.waiting_records(Some((3, std::time::SystemTime::UNIX_EPOCH)));
    let error = Error::retry("postgres.schema_mismatch", ErrorType::Schema, "check the table `acme.deals`")
        .with_help("add the column `amount`");
    second.waiting(&error);

    let (_, mut body) = running.get("/towpath/v1/connectors").await;
    let task = &mut body[0]["tasks"][0];
    assert_eq!((&task["worker"], &task["generation"]), (&json!("host:8083"), &json!(3)));
    let at = task["partitions"][1]["waiting_for"]["at"].take();
    assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
    let waiting_for = json!({
        "code": "postgres.schema_mismatch",
        "message": "check the table `acme.deals`",
        "help": "add the column `amount`",
        "needs_action": false,
        "at": null,
    });
    let expected = json!([
        { "topic": "acme.deals", "partition": 0, "next_offset": 42, "lag": 7, "waiting_for": null,
          "waiting_records": 3, "waiting_records_since": "1970-01-01T00:00:00.000Z" },
        { "topic": "acme.deals", "partition": 1, "next_offset": null, "lag": null, "waiting_for": waiting_for,
          "waiting_records": 0, "waiting_records_since": null },
    ]);
    assert_eq!(task["partitions"], expected);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_json_errors() {
    let running = serve().await;
    let (status, body) = running.get("/connectorz").await;
    assert_eq!((status, &body["error_code"]), (StatusCode::NOT_FOUND, &json!(404)));
    let (status, body) = running.get("/towpath/v1/nothing").await;
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("http.not_found")));

    let answer = Client::new().post(format!("{}/metrics", running.url)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["error_code"], 405);
}

#[tokio::test]
async fn the_server_stops_while_a_client_holds_its_connection_open() {
    let metrics = Metrics::new();
    let api = Api::new(metrics.clone(), Readiness::new(), StatusBoard::new(&metrics));
    let server = Server::bind(&["http://127.0.0.1:0".parse().unwrap()], api).await.unwrap();
    let address = server.addresses()[0];
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(stop.clone()));
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut slow, b"GET / HTTP/1.1\r\nhost").await.unwrap();
    tokio::task::yield_now().await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_reported_with_its_url_and_cause() {
    let metrics = Metrics::new();
    let api = Api::new(metrics.clone(), Readiness::new(), StatusBoard::new(&metrics));
    let first = Server::bind(&["http://127.0.0.1:0".parse().unwrap()], api.clone()).await.unwrap();
    let url = format!("http://{}", first.addresses()[0]);
    let error = Server::bind(&[url.parse().unwrap()], api).await.unwrap_err();
    assert!(error.chain().starts_with(&format!("listen on `{url}`: ")), "{}", error.chain());
}

#[tokio::test]
async fn silent_connections_do_not_keep_a_probe_out() {
    let running = serve().await;
    let address = running.url.strip_prefix("http://").unwrap();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(running.get("/livez").await.0, StatusCode::OK);
    let metrics = running.metrics.encode();
    let displaced = metrics.lines().find_map(|line| {
        line.strip_prefix(r#"towpath_rest_connections_closed_total{reason="displaced"} "#)?.parse::<u32>().ok()
    });
    assert!(displaced.is_some_and(|displaced| displaced > 200), "{metrics}");
}

#[tokio::test]
async fn a_body_is_not_read() {
    let running = serve().await;
    let mut stream = tokio::net::TcpStream::connect(running.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = b"POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000000\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, head).await.unwrap();
    let mut answer = Vec::new();
    // The connection ends after the answer, although the body has not arrived.
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 405 "), "{}", String::from_utf8_lossy(&answer));
}
