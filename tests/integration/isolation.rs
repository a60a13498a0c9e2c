//! Two topics in one task, of which one cannot be stored until a person acts: it waits, visibly, the other goes on, and
//! afterwards the first goes on by itself.

use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;
use towpath::kafka::client::KafkaSettings;
use towpath_api::OpenSink as _;

use crate::{
    laboratory::{Laboratory, claim},
    reading::{Reading, WAIT, waits_for},
    stack::{Shared, database, env, eventually, rows, rows_become, shared},
    worker::Worker,
};

/// Creates a topic, and adds an undecodable record to it.
async fn with_a_record(reading: &Reading, topic: &str) {
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    reading.admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let producer: FutureProducer =
        KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
    producer.send(FutureRecord::<(), _>::to(topic).payload("no Avro"), WAIT).await.unwrap();
}

/// The next offset of a topic with one partition; empty before its first claim.
async fn next_offset(reading: &Reading, topic: &str) -> Vec<String> {
    let sql = format!("SELECT next_offset FROM towpath.sink_partition WHERE topic = '{topic}'");
    rows(&reading.database, &sql).await
}

async fn state_becomes(worker: &Worker, state: &str) {
    eventually(&format!("the state is {state}"), || async { (worker.state("pg").await == state).then_some(()) }).await;
}

#[tokio::test]
async fn a_topic_whose_table_is_taken_waits_and_the_other_goes_on() {
    let mut reading = Reading::stopped_after("taken", "delete", 3).await;
    let other = reading.topic.replace(".notes", ".Notes");
    with_a_record(&reading, &other).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    let told = waits_for(&reading.worker, &other, "postgres.table_taken").await;
    assert!(told.contains(&format!("belongs to topic `{}`", reading.topic)), "{told}");
    state_becomes(&reading.worker, "degraded").await;
    reading.produce(3..6).await;
    reading.applied_up_to(6).await;
    assert_eq!(next_offset(&reading, &other).await, [""; 0], "nothing of it was claimed");

    // The operator gives the table away.
    reading.delete().await;
    let given = format!("DELETE FROM towpath.tables WHERE topic = '{}'", reading.topic);
    reading.database.batch_execute(&given).await.unwrap();
    eventually("the other topic goes on", || async { (next_offset(&reading, &other).await == ["1"]).then_some(()) })
        .await;
}

#[tokio::test]
async fn a_topic_that_cannot_be_a_table_waits_and_the_other_goes_on() {
    let mut reading = Reading::new("reserved", "delete", 1, "").await;
    let reserved = format!("pg_{}.notes", reading.worker.name);
    let text = std::fs::read_to_string(reading.worker.path("postgres.toml")).unwrap();
    std::fs::write(reading.worker.path("postgres.toml"), text.replacen("regex = \"", "regex = \"(pg_)?", 1)).unwrap();
    with_a_record(&reading, &reserved).await;
    reading.produce(0..3).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    let told = waits_for(&reading.worker, &reserved, "postgres.table_name").await;
    assert!(told.contains("reserved") && told.contains("table.name.format"), "{told}");
    reading.applied_up_to(3).await;
    state_becomes(&reading.worker, "degraded").await;
}

#[tokio::test]
async fn one_table_whose_records_are_all_refused_waits_and_the_other_goes_on() {
    let mut reading = Reading::new("refused", "delete", 1, "").await;
    let other = format!("{}.other", reading.worker.name);
    with_a_record(&reading, &other).await;
    reading.produce(0..150).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    waits_for(&reading.worker, &reading.topic, "sink.systematic").await;
    state_becomes(&reading.worker, "degraded").await;
    eventually("the other topic goes on", || async { (next_offset(&reading, &other).await == ["1"]).then_some(()) })
        .await;
    // The records are removed, and nothing is left to wait for.
    reading.remove_before(150).await;
    reading.set("next_offset = 150, anchor_offset = NULL, anchor_hash = NULL").await;
    state_becomes(&reading.worker, "running").await;
    assert_eq!(reading.dead_letters().await, ["0"]);
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_panic_in_one_partition_is_retried_and_ends_no_other() {
    let mut reading = Reading::new("panic", "delete", 1, "").await;
    let other = format!("{}.other", reading.worker.name);
    with_a_record(&reading, &other).await;
    reading.produce(0..3).await;
    reading.worker.failpoints("mid_decode=1*return(panic)");
    reading.worker.spawn();
    reading.worker.is_ready().await;
    reading.applied_up_to(3).await;
    eventually("the other topic goes on", || async { (next_offset(&reading, &other).await == ["1"]).then_some(()) })
        .await;
    state_becomes(&reading.worker, "running").await;
    let log = reading.worker.log();
    assert!(log.contains("internal.panic") && log.contains("waits until a person acts"), "{log}");
    assert!(!log.contains("the task has failed"), "{log}");
}

/// A worker with the topics and tables `deals` and `agents`, and a role that may create tables in its schema only.
async fn as_a_role(theme: &str) -> (Worker, tokio_postgres::Client, Shared) {
    let stack = shared().await;
    let (worker, database) = (Worker::new(theme), database().await);
    let name = worker.name.clone();
    let url = env("DATABASE_URL");
    let (server, base) = url.rsplit_once('/').unwrap();
    let (_, place) = server.rsplit_once('@').unwrap();
    let sql = format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'first'; CREATE SCHEMA {name};
         GRANT USAGE, CREATE ON SCHEMA {name} TO {name};
         GRANT USAGE, CREATE ON SCHEMA towpath TO {name};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA towpath TO {name}"
    );
    database.batch_execute(&sql).await.unwrap();
    let worker = worker.webhook("").sink_at(&format!("postgres://{name}:first@{place}/{base}"), "");
    (worker, database, stack)
}

#[tokio::test]
async fn a_table_that_may_not_be_altered_waits_until_its_right_is_granted() {
    let (worker, database, _stack) = as_a_role("ddl").await;
    let name = worker.name.clone();
    let theirs = format!(
        "CREATE TABLE {name}.agents (id bigint PRIMARY KEY, name text);
         GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.agents TO {name}"
    );
    database.batch_execute(&theirs).await.unwrap();
    let worker = worker.start().await;
    worker.accept("agents", "create", 1, json!({"name": "Ada"})).await;
    let told = waits_for(&worker, &format!("{name}.agents"), "postgres.setup").await;
    assert!(told.contains("42501") && told.contains("agents"), "{told}");
    worker.accept("deals", "create", "d-1", json!({"title": "one"})).await;
    rows_become(&database, &format!("SELECT title FROM {name}.deals"), &["one"]).await;
    state_becomes(&worker, "degraded").await;
    database.batch_execute(&format!("ALTER TABLE {name}.agents OWNER TO {name}")).await.unwrap();
    rows_become(&database, &format!("SELECT name FROM {name}.agents"), &["Ada"]).await;
    state_becomes(&worker, "running").await;
}

#[tokio::test]
async fn bookkeeping_is_created_in_a_schema_that_was_made_in_advance() {
    let lab = Laboratory::new("granted").await;
    let (name, url) = (&lab.name, env("DATABASE_URL"));
    let (server, _) = url.rsplit_once('/').unwrap();
    let (_, place) = server.rsplit_once('@').unwrap();
    let role = format!("CREATE ROLE {name} LOGIN PASSWORD 'first'");
    lab.client.batch_execute(&role).await.unwrap();
    lab.client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (theirs, connection) =
        tokio_postgres::connect(&format!("{server}/{name}"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let made = format!("CREATE SCHEMA towpath; GRANT USAGE, CREATE ON SCHEMA towpath TO {name}");
    theirs.batch_execute(&made).await.unwrap();
    let opener = lab.opener_at(&format!("postgres://{name}:first@{place}/{name}"), "test", &[]);
    let mut sink = opener.open().await.unwrap_or_else(|error| panic!("{}", error.chain()));
    assert_eq!(claim(&mut sink, &lab.partition(0)).await.next_offset, 0);
}

/// The definition of a relation, whatever its kind: its kind and the names of its columns.
async fn relation(database: &tokio_postgres::Client, name: &str) -> Vec<String> {
    let sql = format!(
        "SELECT relkind, (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
                           WHERE attrelid = c.oid AND attnum > 0)
         FROM pg_class c WHERE c.oid = to_regclass('{name}')"
    );
    rows(database, &sql).await
}

#[tokio::test]
async fn an_object_under_the_name_of_a_view_or_a_history_is_kept_and_only_its_table_waits() {
    let _stack = shared().await;
    let (worker, database) = (Worker::new("foreign").webhook("").sink("history.enabled = true\n"), database().await);
    let name = worker.name.clone();
    database
        .batch_execute(&format!(
            "CREATE SCHEMA {name}; CREATE TABLE {name}.agents_history (id bigint);
             CREATE VIEW {name}.deals_live AS SELECT 'x'::text AS id, 'theirs'::text AS title"
        ))
        .await
        .unwrap();
    let worker = worker.start().await;
    worker.accept("deals", "create", "d-1", json!({"title": "one"})).await;
    worker.accept("agents", "create", 1, json!({"name": "Ada"})).await;
    for (topic, object) in [("deals", "deals_live"), ("agents", "agents_history")] {
        let told = waits_for(&worker, &format!("{name}.{topic}"), "postgres.name_taken").await;
        assert!(told.contains(object) && told.contains("rename or drop"), "{told}");
    }
    assert_eq!(relation(&database, &format!("{name}.deals_live")).await, ["v|id,title"]);
    assert_eq!(relation(&database, &format!("{name}.agents_history")).await, ["r|id"]);

    database.batch_execute(&format!("ALTER VIEW {name}.deals_live RENAME TO theirs")).await.unwrap();
    rows_become(&database, &format!("SELECT title FROM {name}.deals_live"), &["one"]).await;
    rows_become(&database, &format!("SELECT title FROM {name}.deals_history"), &["one"]).await;
    state_becomes(&worker, "degraded").await;
    database.batch_execute(&format!("DROP TABLE {name}.agents_history")).await.unwrap();
    rows_become(&database, &format!("SELECT name FROM {name}.agents_live"), &["Ada"]).await;
    state_becomes(&worker, "running").await;
}

#[tokio::test]
async fn a_pattern_does_not_match_internal_topics_and_topics_of_dead_letters() {
    let queue = |name: &str| {
        let key = "errors.deadletterqueue.topic";
        format!("{key}.name = \"${{NAME}}.{name}\"\n{key}.replication.factor = 1\n")
    };
    let mut reading = Reading::new("internal", "delete", 1, &queue("letters")).await;
    // A second sink of the same worker, whose pattern matches the queue of the first, and the other way round.
    let second = format!(
        "name = \"second-${{NAME}}\"\nconnector.class = \"PostgresSink\"\ntopics.regex = \"(__)?${{NAME}}\\\\..*\"\n\
         table.name.format = \"${{NAME}}_2.${{topic}}\"\nconnection.url = \"{}\"\n{}",
        env("DATABASE_URL"),
        queue("other_letters")
    );
    reading.worker = std::mem::replace(&mut reading.worker, Worker::new("unused")).file("second.toml", &second);
    with_a_record(&reading, &format!("__{}.internal", reading.worker.name)).await;
    reading.produce(0..3).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    let sent = format!(
        "SELECT count(*) FROM towpath.dead_letter WHERE sink LIKE '%{}' AND published_at IS NOT NULL",
        reading.worker.name
    );
    rows_become(&reading.database, &sent, &["6"]).await;
    // A topic that is created later is found after the queues, which were there before.
    let later = format!("{}.later", reading.worker.name);
    with_a_record(&reading, &later).await;
    rows_become(&reading.database, &sent, &["8"]).await;
    let read = format!(
        "SELECT DISTINCT topic FROM towpath.sink_partition WHERE sink LIKE '%{}' ORDER BY topic",
        reading.worker.name
    );
    assert_eq!(rows(&reading.database, &read).await, [later, reading.topic.clone()]);
}

async fn state_of_hook(worker: &Worker, state: &str) {
    eventually(&format!("the webhook is {state}"), || async { (worker.state("hook").await == state).then_some(()) })
        .await;
}

#[tokio::test]
async fn an_object_whose_topic_is_compacted_waits_and_the_other_is_served() {
    let _stack = shared().await;
    let mut worker = Worker::new("compacted").webhook("").sink("");
    let topic = format!("{}.deals", worker.name);
    let admin: AdminClient<DefaultClientContext> =
        KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
    let compacted = NewTopic::new(&topic, 3, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    admin.create_topics([&compacted], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    worker.spawn();
    worker.is_ready().await;
    state_of_hook(&worker, "degraded").await;
    worker.accept("agents", "create", 1, json!({"name": "Ines"})).await;
    let (status, answer) = worker.post("deals", "create", "d", json!({"title": "t"})).await;
    assert_eq!((status, answer["code"].as_str()), (503, Some("webhook.object_unavailable")), "{answer}");
    let (_, connectors) = worker.get("/towpath/v1/connectors").await;
    assert!(connectors.contains("kafka.compacted_topic"), "{connectors}");

    // The operator cures it; nothing is restarted.
    let cured = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("cleanup.policy", "delete");
    admin.alter_configs([&cured], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    state_of_hook(&worker, "running").await;
    worker.accept("deals", "create", "d", json!({"title": "t"})).await;
    rows_become(&database().await, &format!("SELECT id FROM {}.deals", worker.name), &["d"]).await;
}
