//! `towpath preflight` as its user runs it.

use serde_json::{Value, json};

use crate::{
    stack::{database, rows_become},
    worker::Worker,
};

#[tokio::test]
async fn preflight_reports_which_tables_fit_and_which_statements_fix_the_others() {
    let _stack = crate::stack::shared().await;
    let client = database().await;
    let worker = Worker::new("preflight").webhook("").sink("");
    let name = worker.name.clone();
    // An existing table for the deals, and none for the agents.
    let create = format!(
        "CREATE SCHEMA {name};
         CREATE TABLE {name}.deals (id text PRIMARY KEY, title text, amount boolean, must text NOT NULL)"
    );
    client.batch_execute(&create).await.unwrap();
    let mut worker = worker.start().await;
    worker.accept("agents", "create", 7, json!({"name": "Ada"})).await;
    worker.accept("deals", "create", "d-1", json!({"title": "one"})).await;
    rows_become(&client, &format!("SELECT id FROM {name}.agents"), &["7"]).await;
    worker.kill();

    let (code, found) = preflight(&worker);
    assert_eq!(code, 1);
    let of = |topic: &str| {
        let topic = format!("{name}.{topic}");
        found.as_array().unwrap().iter().find(|found| found["topic"] == topic).unwrap().clone()
    };
    assert_eq!((&of("agents")["fits"], &of("agents")["tables"][0]["makes"]), (&json!(true), &json!([])));
    let deals = of("deals")["tables"][0].clone();
    assert_eq!(deals["lacks"].as_array().unwrap().len(), 2, "{deals:#}");
    for statement in deals["mends"].as_array().unwrap() {
        client.batch_execute(statement.as_str().unwrap()).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let (code, found) = preflight(&worker);
    assert_eq!((code, found.as_array().unwrap().len()), (0, 2));
    // The sink writes the tables that preflight accepts.
    worker.spawn();
    rows_become(&client, &format!("SELECT id, title FROM {name}.deals"), &["d-1|one"]).await;
}

#[tokio::test]
async fn a_topic_that_cannot_be_a_table_is_reported_beside_the_others() {
    let _stack = crate::stack::shared().await;
    let mut worker = Worker::new("preflights").webhook("").sink("");
    let text = std::fs::read_to_string(worker.path("webhook.toml")).unwrap();
    let reserved = text.replace("name = \"hook-", "name = \"other-").replace("prefix = \"", "prefix = \"pg_");
    worker = worker.file("reserved.toml", &reserved);
    let text = std::fs::read_to_string(worker.path("postgres.toml")).unwrap();
    std::fs::write(worker.path("postgres.toml"), text.replacen("regex = \"", "regex = \"(pg_)?", 1)).unwrap();
    // The sources create the topics and register the schemas at their start.
    let mut worker = worker.start().await;
    worker.kill();

    let (code, found) = preflight(&worker);
    let of = |topic: &str| found.as_array().unwrap().iter().find(|found| found["topic"] == topic).unwrap().clone();
    let (fits, reserved) = (of(&format!("{}.deals", worker.name)), of(&format!("pg_{}.deals", worker.name)));
    assert_eq!((code, &fits["fits"], &reserved["fits"]), (1, &json!(true), &json!(false)), "{found:#}");
    let lack = reserved["tables"][0]["lacks"][0].as_str().unwrap();
    assert!(lack.contains("reserved") && lack.contains("table.name.format"), "{lack}");
}

fn preflight(worker: &Worker) -> (i32, Value) {
    let output = worker.command(&["preflight", "--worker", "worker.toml", "-o", "json", "postgres.toml"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let found =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), found)
}
