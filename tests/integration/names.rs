//! Names that others have given: keys by the names of their fields, tables and columns under exact names, tables named
//! after parts of a topic, and filters of fields for one topic.

use std::sync::Arc;

use apache_avro::{Schema, types::Value};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;
use towpath::kafka::client::KafkaSettings;
use towpath_api::{
    Applied, Batch, Body, Claim, Error, Identity, OpenSink as _, Payload, Reaction, Record, RecordKey, RecordOp,
    Sink as _, TopicPartition,
};
use towpath_postgres::PostgresSink;

use crate::{
    laboratory::{Laboratory, beginning, claim, record_schema},
    reading::WAIT,
    stack::{database, env, eventually, rows_become, shared},
    worker::Worker,
};

/// Tables of another application, which the sink does not alter.
const THEIRS: [(&str, &str); 3] = [("schema.evolution", "off"), ("metadata.columns", "none"), ("delete.mode", "hard")];

/// A sink, and a topic with one partition.
struct Desk<'l> {
    lab: &'l Laboratory,
    sink: PostgresSink,
    claim: Claim,
    offset: i64,
}

impl<'l> Desk<'l> {
    async fn of(lab: &'l Laboratory, topic: &str, keys: &[(&str, &str)]) -> Self {
        let mut sink = lab.opener(keys).open().await.unwrap();
        let topic = topic.replace('$', &lab.name).into();
        let claim = claim(&mut sink, &TopicPartition { topic, partition: 0 }).await;
        let offset = claim.next_offset;
        Self { lab, sink, claim, offset }
    }

    /// Applies records at the next offsets. If they are refused, the next ones have these offsets.
    async fn apply(&mut self, records: Vec<Record>) -> Result<Applied, Error> {
        let from = self.offset;
        let at = |(place, record): (i64, Record)| Record { offset: from + place, ..record };
        let records: Vec<Record> = (0..).zip(records).map(at).collect();
        let batch = Batch { partition: self.claim.partition.clone(), ..self.lab.batch(from, records) };
        let applied = self.sink.apply(&self.claim, &batch).await?;
        self.offset = batch.to;
        Ok(applied)
    }
}

/// A change of the row with this key.
fn put(key_schema: &Arc<Schema>, key: Identity, schema: &Arc<Schema>, after: Vec<Value>) -> Record {
    let key = RecordKey { identity: key, schema: Arc::clone(key_schema) };
    Laboratory::record(0, &key, RecordOp::Create, schema, Some(after))
}

fn tombstone(key_schema: &Arc<Schema>, key: Identity) -> Record {
    let key = RecordKey { identity: key, schema: Arc::clone(key_schema) };
    Record { offset: 0, timestamp_ms: 1, body: Body::Tombstone(Some(key)), payload: Payload::default() }
}

fn parts(first: i64, second: i64) -> Identity {
    Identity::Parts(vec![Identity::Long(first), Identity::Long(second)])
}

fn lines() -> Arc<Schema> {
    record_schema(r#"{"name":"line_no","type":"long"},{"name":"orderId","type":"long"}"#)
}

fn quantities() -> Arc<Schema> {
    record_schema(r#"{"name":"qty","type":"int"}"#)
}

async fn letters(lab: &Laboratory) -> Vec<String> {
    lab.ask("SELECT error_code FROM towpath.dead_letter WHERE sink = '$'").await
}

#[tokio::test]
async fn columns_of_the_key_are_found_by_name_in_any_order() {
    let (keys, values) = (lines(), quantities());
    for (fields, columns) in [("orderId,line_no", "\"orderId\""), ("order_id,line_no", "order_id")] {
        let lab = Laboratory::new("by_name").await;
        let mut desk = Desk::of(&lab, "$.deals", &[("pk.fields", fields)]).await;
        let row = |line, order, qty| put(&keys, parts(line, order), &values, vec![Value::Int(qty)]);
        let applied = desk.apply(vec![row(2, 1, 5), row(1, 2, 6), row(2, 1, 7)]).await.unwrap();
        assert_eq!((applied.inserted, applied.folded), (2, 1));
        desk.apply(vec![tombstone(&keys, parts(1, 2))]).await.unwrap();
        let sql = format!("SELECT {columns}, line_no, qty FROM $.deals_live");
        assert_eq!(lab.ask(&sql).await, ["1|2|7"]);
        assert_eq!(lab.ask(&format!("SELECT {columns} FROM $.deals ORDER BY 1")).await, ["1", "2"]);
    }
}

#[tokio::test]
async fn names_that_are_no_fields_of_the_key_are_its_columns_by_position() {
    let lab = Laboratory::new("by_place").await;
    let mut desk = Desk::of(&lab, "$.deals", &[("pk.fields", "a,b")]).await;
    desk.apply(vec![put(&lines(), parts(2, 1), &quantities(), vec![Value::Int(5)])]).await.unwrap();
    assert_eq!(lab.ask("SELECT a, b, qty FROM $.deals").await, ["2|1|5"]);
}

#[tokio::test]
async fn a_part_of_the_key_is_the_key_of_the_row() {
    let (keys, values) = (lines(), quantities());
    let row = |line, order, qty| put(&keys, parts(line, order), &values, vec![Value::Int(qty)]);
    for metadata in [&[][..], &[("metadata.columns", "none"), ("delete.mode", "hard")]] {
        let lab = Laboratory::new("subset").await;
        let more: Vec<_> = metadata.iter().copied().chain([("pk.fields", "orderId")]).collect();
        let mut desk = Desk::of(&lab, "$.deals", &more).await;
        let applied = desk.apply(vec![row(1, 7, 1), row(2, 7, 2), row(1, 8, 3)]).await.unwrap();
        assert_eq!((applied.inserted, applied.folded), (2, 1));
        assert_eq!(desk.apply(vec![row(3, 7, 4)]).await.unwrap().updated, 1);
        desk.apply(vec![tombstone(&keys, parts(9, 8))]).await.unwrap();
        let live = if metadata.is_empty() { "deals_live" } else { "deals" };
        assert_eq!(lab.ask(&format!("SELECT \"orderId\", qty FROM $.{live}")).await, ["7|4"]);
    }
}

#[tokio::test]
async fn names_that_fit_the_key_in_part_make_the_table_wait() {
    for (fields, says) in [
        ("orderId,typo", "names `typo`"),
        ("orderId,order_id", "(line_no, orderId) twice"),
        ("a", "1 names"),
        ("a,b,c", "3 names"),
    ] {
        let lab = Laboratory::new("unclear").await;
        let mut desk = Desk::of(&lab, "$.deals", &[("pk.fields", fields)]).await;
        let refused = desk
            .apply(vec![
                put(&lines(), parts(2, 1), &quantities(), vec![Value::Int(5)]),
                put(&lines(), parts(3, 1), &quantities(), vec![Value::Int(5)]),
            ])
            .await
            .unwrap_err();
        assert_eq!((refused.code, refused.reaction), ("postgres.schema_mismatch", Reaction::Retry));
        assert!(refused.to_string().contains(says) && refused.to_string().contains("line_no, orderId"), "{refused}");
        assert!(refused.help().is_some_and(|help| help.contains("`pk.fields`")));
        assert_eq!(letters(&lab).await, [""; 0]);
        assert_eq!(lab.ask("SELECT to_regclass('$.deals') IS NULL").await, ["t"]);
        let mut desk = Desk::of(&lab, "$.deals", &[("pk.fields", fields), ("schema.mismatch", "dead_letter")]).await;
        desk.apply(vec![put(&lines(), parts(2, 1), &quantities(), vec![Value::Int(5)])]).await.unwrap();
        assert_eq!(letters(&lab).await, ["postgres.schema_mismatch"]);
    }
}

#[tokio::test]
async fn a_key_that_is_renamed_waits_for_its_column() {
    let lab = Laboratory::new("key_renamed").await;
    let mut desk = Desk::of(&lab, "$.deals", &[]).await;
    let (before, after) =
        (record_schema(r#"{"name":"id","type":"long"}"#), record_schema(r#"{"name":"no","type":"long"}"#));
    let row = |keys: &Arc<Schema>, id, qty| put(keys, Identity::Long(id), &quantities(), vec![Value::Int(qty)]);
    desk.apply(vec![row(&before, 1, 1), row(&before, 2, 1)]).await.unwrap();
    // Alone, and behind records with the key as it was.
    for records in [vec![row(&after, 1, 2)], vec![row(&before, 2, 2), row(&after, 1, 2)]] {
        let refused = desk.apply(records).await.unwrap_err();
        assert_eq!((refused.code, refused.reaction), ("postgres.schema_mismatch", Reaction::Retry), "{refused}");
        assert!(refused.to_string().contains("`no`") && refused.to_string().contains("`id` in its place"), "{refused}");
        let remedy = refused.help().unwrap().strip_prefix("run: ").unwrap().to_owned();
        lab.client.batch_execute(&format!("BEGIN; {remedy}; ROLLBACK")).await.unwrap();
    }
    assert_eq!(letters(&lab).await, [""; 0]);
    let refused = desk.apply(vec![row(&after, 1, 2)]).await.unwrap_err();
    lab.client.batch_execute(refused.help().unwrap().strip_prefix("run: ").unwrap()).await.unwrap();
    desk.apply(vec![row(&after, 1, 2), row(&after, 3, 3)]).await.unwrap();
    assert_eq!(lab.ask("SELECT no, qty FROM $.deals_live ORDER BY no").await, ["1|2", "2|1", "3|3"]);
    // The live view follows: a new column re-creates it.
    let wider = record_schema(r#"{"name":"qty","type":"int"},{"name":"note","type":"string"}"#);
    let more = vec![Value::Int(4), Value::String("new".into())];
    desk.apply(vec![put(&after, Identity::Long(3), &wider, more)]).await.unwrap();
    assert_eq!(lab.ask("SELECT no, note FROM $.deals_live WHERE no = 3").await, ["3|new"]);
}

#[tokio::test]
async fn a_key_of_another_type_waits_and_is_no_dead_letter() {
    let lab = Laboratory::new("key_retyped").await;
    let mut desk = Desk::of(&lab, "$.deals", &[]).await;
    let (number, text) =
        (record_schema(r#"{"name":"id","type":"long"}"#), record_schema(r#"{"name":"id","type":"string"}"#));
    let row = |keys: &Arc<Schema>, key| put(keys, key, &quantities(), vec![Value::Int(1)]);
    desk.apply(vec![row(&number, Identity::Long(1))]).await.unwrap();
    let refused = desk.apply(vec![row(&text, Identity::Text("a".into()))]).await.unwrap_err();
    assert_eq!((refused.code, refused.reaction), ("postgres.schema_mismatch", Reaction::Retry), "{refused}");
    assert_eq!(letters(&lab).await, [""; 0]);
}

/// The records of an order item, as an object-relational mapper names things.
fn item(lab_key: i64, price: f64) -> Record {
    let keys = record_schema(r#"{"name":"orderItemId","type":"long"}"#);
    let values = record_schema(r#"{"name":"orderItemId","type":"long"},{"name":"unitPrice","type":"double"}"#);
    put(&keys, Identity::Long(lab_key), &values, vec![Value::Long(lab_key), Value::Double(price)])
}

#[tokio::test]
async fn a_table_that_exists_under_the_exact_name_is_filled() {
    for table in ["OrderItem", "my-items", "a.b \"c\""] {
        for their_own in [true, false] {
            let lab = Laboratory::new("exact").await;
            let (format, quoted) = (format!("{}.{table}", lab.name), table.replace('"', "\"\""));
            let create = format!(
                "CREATE SCHEMA $; CREATE TABLE $.\"{quoted}\"
                   (\"orderItemId\" bigint PRIMARY KEY, \"unitPrice\" double precision)"
            );
            lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
            let theirs = THEIRS.iter().copied().filter(|_| their_own);
            let keys: Vec<_> = theirs.chain([("table.name.format", format.as_str())]).collect();
            let mut desk = Desk::of(&lab, "$.deals", &keys).await;
            desk.apply(vec![item(7, 1.5)]).await.unwrap();
            desk.apply(vec![item(7, 2.5), item(8, 3.5)]).await.unwrap();
            let sql = format!("SELECT \"orderItemId\", \"unitPrice\" FROM $.\"{quoted}\" ORDER BY 1");
            assert_eq!(lab.ask(&sql).await, ["7|2.5", "8|3.5"], "{table}");
            if !their_own {
                // A live view under that name is ours, and is re-created with a new column.
                let wider = record_schema(r#"{"name":"unitPrice","type":"double"},{"name":"note","type":"string"}"#);
                let keys = record_schema(r#"{"name":"orderItemId","type":"long"}"#);
                let more = vec![Value::Double(1.0), Value::String("n".into())];
                desk.apply(vec![put(&keys, Identity::Long(9), &wider, more)]).await.unwrap();
                let sql = format!("SELECT note FROM $.\"{quoted}_live\" WHERE \"orderItemId\" = 9");
                assert_eq!(lab.ask(&sql).await, ["n"], "{table}");
            }
            let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = '$'::regnamespace AND relkind = 'r'";
            assert_eq!(lab.ask(tables).await, ["1"], "no second table");
        }
    }
}

#[tokio::test]
async fn a_schema_that_exists_under_the_exact_name_has_the_new_table() {
    let lab = Laboratory::new("exact_schema").await;
    lab.client.batch_execute(&format!("CREATE SCHEMA \"{}-Shop\"", lab.name)).await.unwrap();
    let format = format!("{}-Shop.OrderItem", lab.name);
    let mut desk = Desk::of(&lab, "$.deals", &[("table.name.format", &format)]).await;
    desk.apply(vec![item(7, 1.5)]).await.unwrap();
    assert_eq!(lab.ask("SELECT order_item_id, unit_price FROM \"$-Shop\".order_item").await, ["7|1.5"]);
}

#[tokio::test]
async fn a_table_that_is_filled_is_not_left_for_one_with_the_exact_name() {
    let lab = Laboratory::new("loyal").await;
    let format = format!("{}.OrderItem", lab.name);
    let mut desk = Desk::of(&lab, "$.deals", &[("table.name.format", &format)]).await;
    desk.apply(vec![item(7, 1.5)]).await.unwrap();
    let theirs = "CREATE TABLE $.\"OrderItem\" (\"orderItemId\" bigint PRIMARY KEY, \"unitPrice\" double precision)";
    lab.client.batch_execute(&theirs.replace('$', &lab.name)).await.unwrap();
    desk.apply(vec![item(8, 1.5)]).await.unwrap();
    // After a restart, and when the key has a column of the exact name too.
    lab.client.batch_execute(&format!("ALTER TABLE {}.order_item ADD \"orderItemId\" text", lab.name)).await.unwrap();
    let mut desk = Desk::of(&lab, "$.deals", &[("table.name.format", &format)]).await;
    desk.apply(vec![item(9, 1.5)]).await.unwrap();
    assert_eq!(lab.ask("SELECT order_item_id FROM $.order_item ORDER BY 1").await, ["7", "8", "9"]);
    assert_eq!(lab.ask("SELECT count(*) FROM $.\"OrderItem\"").await, ["0"]);
    // Nor if it is gone.
    lab.client.batch_execute(&format!("DROP TABLE {}.order_item CASCADE", lab.name)).await.unwrap();
    let mut desk = Desk::of(&lab, "$.deals", &[("table.name.format", &format)]).await;
    assert_eq!(desk.apply(vec![item(10, 1.5)]).await.unwrap_err().code, "postgres.table_missing");
}

#[tokio::test]
async fn a_table_that_is_created_while_its_topic_waits_is_found() {
    let lab = Laboratory::new("awaited").await;
    lab.client.batch_execute(&format!("CREATE SCHEMA {}", lab.name)).await.unwrap();
    let format = format!("{}.OrderItem", lab.name);
    let keys: Vec<_> = THEIRS.into_iter().chain([("table.name.format", format.as_str())]).collect();
    let mut desk = Desk::of(&lab, "$.deals", &keys).await;
    assert_eq!(desk.apply(vec![item(7, 1.5)]).await.unwrap_err().code, "postgres.schema_mismatch");
    let theirs = "CREATE TABLE $.\"OrderItem\" (\"orderItemId\" bigint PRIMARY KEY, \"unitPrice\" double precision)";
    lab.client.batch_execute(&theirs.replace('$', &lab.name)).await.unwrap();
    desk.apply(vec![item(7, 1.5)]).await.unwrap();
    assert_eq!(lab.ask("SELECT count(*) FROM $.\"OrderItem\"").await, ["1"]);
}

#[tokio::test]
async fn parts_of_the_topics_name_choose_the_table() {
    let lab = Laboratory::new("routed").await;
    let create = "CREATE SCHEMA $; CREATE TABLE $.customers (no bigint PRIMARY KEY, name text);
                  CREATE TABLE $.orders (LIKE $.customers INCLUDING ALL)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let route = [("table.name.regex", r"srv\.(?<schema>\w+)\.(\w+)"), ("table.name.format", "${schema}.${2}")];
    let keys: Vec<_> = THEIRS.into_iter().chain(route).collect();
    let (key, values) =
        (record_schema(r#"{"name":"no","type":"long"}"#), record_schema(r#"{"name":"name","type":"string"}"#));
    for table in ["customers", "orders"] {
        let mut desk = Desk::of(&lab, &format!("srv.$.{table}"), &keys).await;
        let name = Value::String(table.to_owned());
        desk.apply(vec![put(&key, Identity::Long(1), &values, vec![name])]).await.unwrap();
        assert_eq!(lab.ask(&format!("SELECT no, name FROM $.{table}")).await, [format!("1|{table}")]);
    }
    let other = TopicPartition { topic: format!("other.{}.orders", lab.name).into(), partition: 0 };
    let mut sink = lab.opener(&keys).open().await.unwrap();
    let refused = sink.claim(&other, &beginning(), None).await.unwrap_err();
    assert_eq!(refused.code, "postgres.table_name");
    assert!(refused.help().is_some_and(|help| help.contains("table.name.regex")), "{refused}");
}

#[tokio::test]
async fn a_table_may_have_the_name_of_a_view_that_nothing_makes() {
    let lab = Laboratory::new("no_view").await;
    let create = "CREATE SCHEMA $; CREATE TABLE $.t (id bigint PRIMARY KEY, qty int);
                  CREATE TABLE $.t_live (LIKE $.t INCLUDING ALL)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let key = record_schema(r#"{"name":"id","type":"long"}"#);
    for (topic, qty) in [("$.t", 1), ("$.t_live", 2)] {
        let mut desk = Desk::of(&lab, topic, &THEIRS).await;
        desk.apply(vec![put(&key, Identity::Long(1), &quantities(), vec![Value::Int(qty)])]).await.unwrap();
        assert_eq!(lab.ask(&format!("SELECT qty FROM {topic}")).await, [qty.to_string()]);
    }
}

#[tokio::test]
async fn a_field_is_left_out_for_one_topic() {
    let lab = Laboratory::new("one_topic").await;
    let exclude = format!("{}.t29a:note,other:name", lab.name);
    let keys = [("fields.exclude", exclude.as_str()), ("history.enabled", "true")];
    let values = record_schema(r#"{"name":"note","type":"string"},{"name":"name","type":"string"}"#);
    let key = record_schema(r#"{"name":"no","type":"long"}"#);
    for (table, has) in [("t29a", "name"), ("t29b", "name,note")] {
        let mut desk = Desk::of(&lab, &format!("$.{table}"), &keys).await;
        let record = vec![Value::String("x".into()), Value::String("Ann".into())];
        desk.apply(vec![put(&key, Identity::Long(1), &values, record)]).await.unwrap();
        for table in [table.to_owned(), format!("{table}_history")] {
            let columns = format!(
                "SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute
                 WHERE attrelid = '$.{table}'::regclass AND attname IN ('note', 'name')"
            );
            assert_eq!(lab.ask(&columns).await, [has], "{table}");
        }
    }
}

/// The state of a topic's error in the list of connectors.
async fn says(worker: &Worker, texts: &[&str]) {
    eventually(&format!("the connector says {texts:?}"), || async {
        let (_, connectors) = worker.get("/towpath/v1/connectors").await;
        texts.iter().all(|text| connectors.contains(text)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn topics_of_one_pattern_name_their_tables_and_one_without_keys_stops_no_other() {
    let _stack = shared().await;
    let more = "table.name.format = \"${NAME}_shop.${table}\"\nkey.converter = \"json\"\nvalue.converter = \"json\"\n\
                key.converter.schemas.enable = false\nvalue.converter.schemas.enable = false\n\
                fields.exclude = [\"note\"]\n";
    let mut worker = Worker::new("pattern").sink(more);
    let text = std::fs::read_to_string(worker.path("postgres.toml")).unwrap();
    let pattern = "topics.regex = \"${NAME}\\\\.(?<table>\\\\w+)\"\n";
    let lines = text.lines().map(|line| if line.starts_with("topics.regex") { pattern.trim_end() } else { line });
    let text = lines.collect::<Vec<_>>().join("\n").replace("${NAME}", &worker.name);
    std::fs::write(worker.path("postgres.toml"), text + "\n").unwrap();
    let (name, database) = (worker.name.clone(), database().await);
    let client = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
    let (admin, producer): (AdminClient<DefaultClientContext>, FutureProducer) =
        (client.create().unwrap(), client.create().unwrap());
    for topic in ["keyless", "good"] {
        let topic = format!("{name}.{topic}");
        let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
        admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }
    let send = async |topic: &str, key: Option<serde_json::Value>, value: serde_json::Value| {
        let (topic, key, value) = (format!("{name}.{topic}"), key.map(|key| key.to_string()), value.to_string());
        let record = FutureRecord::to(&topic).payload(&value);
        let record = match &key {
            Some(key) => record.key(key),
            None => record,
        };
        producer.send(record, WAIT).await.unwrap();
    };
    for number in 0..120 {
        send("keyless", None, json!({"n": number})).await;
    }
    send("good", Some(json!({"no": 1})), json!({"n": 1})).await;
    worker.spawn();
    worker.is_ready().await;
    rows_become(&database, &format!("SELECT no FROM {name}_shop.good"), &["1"]).await;
    says(&worker, &["sink.systematic", "insert.mode=insert", "degraded"]).await;
    send("good", Some(json!({"no": 2})), json!({"n": 1})).await;
    rows_become(&database, &format!("SELECT no FROM {name}_shop.good ORDER BY no"), &["1", "2"]).await;
    assert!(
        worker.log().contains("`fields.exclude` has no effect on topic"),
        "a filter that matches nothing is logged"
    );
}
