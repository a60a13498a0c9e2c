//! The whole path, from a post to a row: every action, merge and replace, arrays, types, tombstones, concurrent tasks.

use serde_json::json;

use crate::{
    stack::{database, env, eventually, rows, rows_become, shared},
    worker::{DEALS, SECRET, Worker},
};

#[tokio::test]
async fn create_update_and_delete_end_in_the_expected_rows() {
    let _stack = shared().await;
    let worker = Worker::new("actions").webhook("").sink("").start().await;
    let database = database().await;
    worker.accept("deals", "create", "d-1", json!({"title": "one", "amount": 10.5})).await;
    worker
        .accept(
            "deals",
            "create",
            "d-2",
            json!({"title": "two", "won": false, "closed_at": "2026-11-24T10:00:00+01:00"}),
        )
        .await;
    worker.accept("deals", "update", "d-1", json!({"won": true})).await;
    worker.accept("deals", "update", "d-2", json!({"won": null, "title": "zwei"})).await;
    worker.accept("agents", "create", 7, json!({"name": "Ines"})).await;
    worker.accept("agents", "delete", 7, json!(null)).await;
    worker.accept("agents", "create", 8, json!({"name": "Tom", "role": "agent"})).await;
    let name = &worker.name;
    let deals = format!(
        "SELECT id, title, amount, won, closed_at AT TIME ZONE 'UTC', _towpath_deleted FROM {name}.deals ORDER BY id"
    );
    rows_become(&database, &deals, &["d-1|one|10.50|t||f", "d-2|zwei|||2026-11-24 09:00:00|f"]).await;
    let agents = format!("SELECT id, name, role, _towpath_deleted FROM {name}.agents ORDER BY id");
    rows_become(&database, &agents, &["7|Ines||t", "8|Tom|agent|f"]).await;
    assert_eq!(rows(&database, &format!("SELECT id FROM {name}.agents_live")).await, ["8"]);

    // A delete of an unknown record leaves a deleted row, and an update after a delete starts from an empty row.
    worker.accept("agents", "delete", 99, json!(null)).await;
    worker.accept("agents", "update", 7, json!({"role": "back"})).await;
    rows_become(&database, &agents, &["7||back|f", "8|Tom|agent|f", "99|||t"]).await;
}

#[tokio::test]
async fn in_merge_mode_an_update_changes_only_the_fields_it_names() {
    let _stack = shared().await;
    let worker = Worker::new("modes").webhook("\"objects.agents.update.mode\" = \"replace\"\n").sink("").start().await;
    let database = database().await;
    worker.accept("deals", "create", "d", json!({"title": "t", "amount": "1.00", "won": true})).await;
    worker.accept("deals", "update", "d", json!({"amount": "2.00"})).await;
    worker.accept("agents", "create", 1, json!({"name": "Ines", "role": "manager"})).await;
    worker.accept("agents", "update", 1, json!({"name": "Ines D."})).await;
    rows_become(&database, &format!("SELECT title, amount, won FROM {}.deals", worker.name), &["t|2.00|t"]).await;
    rows_become(&database, &format!("SELECT name, role FROM {}.agents", worker.name), &["Ines D.|"]).await;
    // A topic of whole records may be compacted; a topic of partial updates must not be.
    for (object, policy) in [("agents", "compact"), ("deals", "delete")] {
        assert_eq!(cleanup_policy(&format!("{}.{object}", worker.name)).await, policy);
    }
}

async fn cleanup_policy(topic: &str) -> String {
    use rdkafka::{
        ClientConfig,
        admin::{AdminClient, AdminOptions, ResourceSpecifier},
        client::DefaultClientContext,
    };
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", crate::stack::env("KAFKA_BOOTSTRAP"));
    let admin: AdminClient<DefaultClientContext> = settings.create().unwrap();
    let found = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await.unwrap();
    let config = found.into_iter().next().unwrap().unwrap();
    config.get("cleanup.policy").and_then(|entry| entry.value.clone()).unwrap_or_default()
}

#[tokio::test]
async fn an_array_carries_many_records_each_with_its_own_action() {
    let _stack = shared().await;
    let worker = Worker::new("array").webhook("").sink("").start().await;
    let database = database().await;
    worker.accept("deals", "create", "old", json!({"title": "old"})).await;
    let body = json!({"client_id": "acme", "ClientSecret": SECRET, "ObjectName": "deals", "data": [
        {"id": "a", "action": "create", "data": {"title": "A"}},
        {"id": "b", "action": "create", "data": {"title": "B"}},
        {"id": "a", "action": "update", "data": {"amount": 3}},
        {"id": "old", "action": "delete"}]});
    let answer = worker.post_raw(body.to_string()).await.unwrap();
    assert_eq!(answer.status(), 202);
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((answer["count"].as_u64(), answer["events"].as_array().map(Vec::len)), (Some(4), Some(4)), "{answer}");
    let deals = format!("SELECT id, title, amount, _towpath_deleted FROM {}.deals ORDER BY id", worker.name);
    rows_become(&database, &deals, &["a|A|3.00|f", "b|B||f", "old|old||t"]).await;

    // One wrong item refuses the whole post, and nothing is stored.
    let body = json!({"clientid": "acme", "clientSecret": SECRET, "objectname": "deals", "data": [
        {"id": "c", "action": "create", "data": {"title": "C"}},
        {"id": "d", "action": "create", "data": {"title": 5, "amount": "x"}}]});
    let answer = worker.post_raw(body.to_string()).await.unwrap();
    assert_eq!(answer.status(), 422);
    let answer: serde_json::Value = answer.json().await.unwrap();
    let pointers: Vec<_> =
        answer["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/data/1/data/title", "/data/1/data/amount"], "{answer}");
    worker.accept("deals", "create", "e", json!({"title": "E"})).await;
    rows_become(&database, &deals, &["a|A|3.00|f", "b|B||f", "e|E||f", "old|old||t"]).await;
}

/// One field of each type that a table can have.
const ALL_TYPES: &str = r#"{"type":"record","name":"zoo","namespace":"test","fields":[
    {"name":"id","type":"string"},
    {"name":"flag","type":["null","boolean"],"default":null},
    {"name":"small","type":["null","int"],"default":null},
    {"name":"big","type":["null","long"],"default":null},
    {"name":"single","type":["null","float"],"default":null},
    {"name":"precise","type":["null","double"],"default":null},
    {"name":"money","type":["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":4}],"default":null},
    {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null},
    {"name":"clock","type":["null",{"type":"long","logicalType":"time-micros"}],"default":null},
    {"name":"millis","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
    {"name":"micros","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
    {"name":"wall","type":["null",{"type":"long","logicalType":"local-timestamp-micros"}],"default":null},
    {"name":"ident","type":["null",{"type":"string","logicalType":"uuid"}],"default":null},
    {"name":"stage","type":["null",{"type":"enum","name":"stage","symbols":["open","won","lost"]}],"default":null},
    {"name":"raw","type":["null","bytes"],"default":null},
    {"name":"address","type":["null",{"type":"record","name":"address","fields":[
        {"name":"street","type":"string"},
        {"name":"since","type":["null",{"type":"int","logicalType":"date"}],"default":null}]}],"default":null},
    {"name":"tags","type":["null",{"type":"array","items":"string"}],"default":null},
    {"name":"scores","type":["null",{"type":"map","values":"double"}],"default":null}]}"#;

#[tokio::test]
async fn each_type_arrives_in_its_column_without_loss() {
    let _stack = shared().await;
    let source = "name = \"hook-${NAME}\"\nconnector.class = \"WebhookSource\"\ntopic.prefix = \"${NAME}\"\n\
                  topic.replication.factor = 1\n\
                  objects = [\"zoo\"]\nobjects.zoo.schema = \"zoo.avsc\"\n\
                  clients.acme.secret = \"canary-4f9c1d7e-secret\"\n";
    let worker = Worker::new("types").file("zoo.avsc", ALL_TYPES).file("webhook.toml", source).sink("").start().await;
    let database = database().await;
    // Written as text, so that no number is rounded in the request.
    let body = format!(
        r#"{{"clientid":"acme","clientSecret":"{SECRET}","objectname":"zoo","id":"z","action":"create","data":{{
            "flag":true,"small":-2147483648,"big":9223372036854775807,"single":1.5,"precise":0.1,
            "money":1234567890123456789012345678901234.5678,"day":"1999-12-31","clock":"23:59:59.999999",
            "millis":"2026-11-24T10:00:00.123+02:00","micros":"1969-12-31T23:59:59.999999Z",
            "wall":"2026-03-29T02:30:00.000001",
            "ident":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","stage":"won","raw":"AP8=",
            "address":{{"street":"Höhe 1 \"b\" 🚲","since":"2020-02-29"}},"tags":["a","b"],
            "scores":{{"y":2.5,"x":-1}}}}}}"#
    );
    let answer = worker.post_raw(body).await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    worker.accept("zoo", "create", "none", json!({})).await;
    let name = &worker.name;
    let zoo = format!(
        "SELECT flag, small, big, single, precise, money, day, clock, millis AT TIME ZONE 'UTC',
                micros AT TIME ZONE 'UTC', wall, ident, stage, raw, address, tags, scores FROM {name}.zoo ORDER BY id"
    );
    let nothing = "|".repeat(16);
    rows_become(
        &database,
        &zoo,
        &[
            &nothing,
            "t|-2147483648|9223372036854775807|1.5|0.1|1234567890123456789012345678901234.5678|\
             1999-12-31|23:59:59.999999|2026-11-24 08:00:00.123|1969-12-31 23:59:59.999999|2026-03-29 02:30:00.000001|\
             6ba7b810-9dad-11d1-80b4-00c04fd430c8|won|\\x00ff|\
             {\"since\": \"2020-02-29\", \"street\": \"Höhe 1 \\\"b\\\" 🚲\"}|[\"a\", \"b\"]|{\"x\": -1.0, \"y\": 2.5}",
        ],
    )
    .await;
    let types = format!(
        "SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = '{name}.zoo'::regclass AND attnum > 0 AND attname NOT LIKE '\\_towpath%'"
    );
    assert_eq!(
        rows(&database, &types).await,
        ["text,boolean,integer,bigint,real,double precision,numeric(38,4),date,time without time zone,\
          timestamp with time zone,timestamp with time zone,timestamp without time zone,\
          uuid,text,bytea,jsonb,jsonb,jsonb"]
    );
}

#[tokio::test]
async fn a_delete_is_followed_by_a_tombstone_which_changes_no_row() {
    let _stack = shared().await;
    let worker = Worker::new("tombstone").webhook("").sink("").start().await;
    let database = database().await;
    worker.accept("deals", "create", "d", json!({"title": "t"})).await;
    let deleted = worker.accept("deals", "delete", "d", json!(null)).await;
    let name = &worker.name;
    rows_become(&database, &format!("SELECT title, _towpath_deleted FROM {name}.deals"), &["t|t"]).await;
    // The stored offset is after the tombstone, and both records are counted.
    let next = format!("SELECT max(next_offset) FROM towpath.sink_partition WHERE topic = '{name}.deals'");
    let expected = (deleted["offset"].as_i64().unwrap() + 2).to_string();
    rows_become(&database, &next, &[&expected]).await;
    let probe = || async {
        (worker.metric("towpath_sink_records_skipped_total", "reason=\"tombstone\"").await >= 1.0).then_some(())
    };
    crate::stack::eventually("the tombstone is counted", probe).await;
    conserved(&worker).await;
}

/// Asserts that records read = applied + skipped + dead-lettered, exactly.
async fn conserved(worker: &Worker) {
    let read = worker.metric("towpath_sink_records_read_total", "").await;
    let applied = worker.metric("towpath_sink_records_applied_total", "").await;
    let skipped = worker.metric("towpath_sink_records_skipped_total", "").await;
    let dead_letters = worker.metric("towpath_dlq_records_total", "pg-").await;
    assert!(
        (read - (applied + skipped + dead_letters)).abs() < 0.5,
        "{read} read, {applied} applied, {skipped} skipped, {dead_letters} dead-lettered"
    );
}

#[tokio::test]
async fn two_tasks_share_the_partitions_and_together_store_everything() {
    let _stack = shared().await;
    let worker = Worker::new("tasks").webhook("").sink("tasks.max = 2\n").start().await;
    let database = database().await;
    for id in 0..60 {
        worker.accept("agents", "create", id, json!({"name": format!("agent {id}")})).await;
    }
    let name = &worker.name;
    rows_become(&database, &format!("SELECT count(*), sum(id) FROM {name}.agents"), &["60|1770"]).await;
    let partitions = format!("SELECT count(DISTINCT _towpath_partition) FROM {name}.agents");
    assert_eq!(rows(&database, &partitions).await, ["3"]);
    let (_, status) = worker.get("/towpath/v1/connectors").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let sink = status.as_array().unwrap().iter().find(|connector| connector["name"] == format!("pg-{name}")).unwrap();
    let tasks: Vec<_> =
        sink["tasks"].as_array().unwrap().iter().map(|task| (task["id"].as_u64(), task["state"].as_str())).collect();
    assert_eq!(tasks, [(Some(0), Some("running")), (Some(1), Some("running"))], "{status}");
    conserved(&worker).await;
}

#[tokio::test]
async fn a_partition_that_waits_for_the_database_does_not_hold_up_another() {
    let _stack = shared().await;
    let worker = Worker::new("aside").webhook("").sink("connections.max = 2\n").start().await;
    let database = database().await;
    let name = worker.name.clone();
    // One record in each of two partitions.
    let mut first_of = std::collections::BTreeMap::new();
    for id in 0..20 {
        let placed = worker.accept("agents", "create", id, json!({"name": "first"})).await;
        first_of.entry(placed["partition"].as_i64().unwrap()).or_insert(id);
    }
    rows_become(&database, &format!("SELECT count(*) FROM {name}.agents"), &["20"]).await;
    let ids: Vec<i32> = first_of.into_values().take(2).collect();
    let [held, free] = ids[..] else { panic!("the keys are in at least two partitions") };
    let locker = crate::stack::database().await;
    locker.batch_execute(&format!("BEGIN; SELECT * FROM {name}.agents WHERE id = {held} FOR UPDATE")).await.unwrap();
    worker.accept("agents", "update", held, json!({"name": "second"})).await;
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'towpath/pg-{name}'
         AND wait_event_type = 'Lock'"
    );
    rows_become(&database, &waits, &["1"]).await;
    worker.accept("agents", "update", free, json!({"name": "second"})).await;
    let names = format!("SELECT name FROM {name}.agents WHERE id IN ({held}, {free}) ORDER BY id = {held}");
    rows_become(&database, &names, &["second", "first"]).await;
    locker.batch_execute("COMMIT").await.unwrap();
    rows_become(&database, &names, &["second", "second"]).await;
}

#[tokio::test]
async fn a_later_topic_is_discovered_and_a_second_worker_fences_the_first() {
    let _stack = shared().await;
    // The sink starts first: the topic does not exist yet.
    let sink = Worker::new("late").sink("").start().await;
    let database = database().await;
    let source = Worker::named(sink.name.clone()).webhook("").start().await;
    source.accept("deals", "create", "d", json!({"title": "first"})).await;
    let deals = format!("SELECT id, title FROM {}.deals ORDER BY id", sink.name);
    rows_become(&database, &deals, &["d|first"]).await;

    let second = Worker::named(sink.name.clone()).sink("").start().await;
    let failed = || async { sink.get("/towpath/v1/connectors").await.1.contains("postgres.fenced").then_some(()) };
    // Only now: a batch that the first worker stores earlier is not refused.
    let claims = format!("SELECT min(epoch) FROM towpath.sink_partition WHERE topic = '{}.deals'", sink.name);
    rows_become(&database, &claims, &["2"]).await;
    for id in 0..6 {
        source.accept("deals", "create", format!("e-{id}"), json!({"title": "x"})).await;
    }
    crate::stack::eventually("the first worker reports that it was fenced", failed).await;
    rows_become(&database, &format!("SELECT count(*) FROM {}.deals", sink.name), &["7"]).await;
    drop(second);
}

#[tokio::test]
async fn a_refused_record_is_dead_lettered_and_the_rest_continues() {
    let _stack = shared().await;
    let worker = Worker::new("misfit").file("deals.avsc", DEALS).webhook("").sink("").start().await;
    let database = database().await;
    worker.accept("deals", "create", "good", json!({"title": "t"})).await;
    let name = worker.name.clone();
    rows_become(&database, &format!("SELECT id FROM {name}.deals"), &["good"]).await;
    // The table gets a rule that the schema does not have.
    database.batch_execute(&format!("ALTER TABLE {name}.deals ADD CHECK (title <> 'forbidden')")).await.unwrap();
    worker.accept("deals", "create", "bad", json!({"title": "forbidden"})).await;
    worker.accept("deals", "create", "after", json!({"title": "t"})).await;
    rows_become(&database, &format!("SELECT id FROM {name}.deals ORDER BY id"), &["after", "good"]).await;
    let letters =
        format!("SELECT topic, stage, error_code, error_text FROM towpath.dead_letter WHERE topic = '{name}.deals'");
    let expected = format!(
        "{name}.deals|apply|postgres.refused_value|a check of the table is violated \
         (SQLSTATE 23514, table deals, constraint deals_title_check)"
    );
    rows_become(&database, &letters, &[&expected]).await;
    let probe = || async { (worker.metric("towpath_dlq_records_total", "constraint").await >= 1.0).then_some(()) };
    crate::stack::eventually("the dead letter is counted", probe).await;
    conserved(&worker).await;
}

#[tokio::test]
async fn a_named_topic_that_does_not_exist_is_reported_and_read_once_created() {
    let _stack = shared().await;
    let client = database().await;
    let worker = Worker::new("early");
    let name = worker.name.clone();
    let sink = format!(
        "name = \"pg-{name}\"\nconnector.class = \"PostgresSink\"\ntopics = \"{name}.deals\"\n\
         connection.url = \"{}\"\n",
        env("DATABASE_URL")
    );
    let reader = worker.file("postgres.toml", &sink).start().await;
    eventually("the topic is reported as missing", || async { (reader.state("pg").await == "retrying").then_some(()) })
        .await;
    let writer = Worker::named(name.clone()).webhook("").start().await;
    writer.accept("deals", "create", "d-1", json!({"title": "one"})).await;
    rows_become(&client, &format!("SELECT id FROM {name}.deals"), &["d-1"]).await;
    eventually("no topic is reported as missing", || async { (reader.state("pg").await == "running").then_some(()) })
        .await;
}
