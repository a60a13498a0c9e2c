//! Columns that follow their fields further than a wider number: several types, labels, and the list of changes.

use std::sync::Arc;

use apache_avro::{Schema, types::Value};
use tokio_postgres::NoTls;
use towpath_api::{Applied, Claim, Error, Identity, OpenSink as _, Record, RecordKey, RecordOp, Sink as _};
use towpath_postgres::PostgresSink;

use crate::{
    laboratory::{Laboratory, claim, record_schema},
    stack::{database, env, rows},
};

const TEXT: &str = r#""string""#;
const TEXT_OR_LIST: &str = r#""string",{"type":"array","items":"string"}"#;
const NUMBER: &str = r#""double""#;
const NUMBER_OR_TEXT: &str = r#""double","string""#;

/// A partition of records that have a field `v` beside the key, with a type and a label that change.
struct Feed<'l> {
    lab: &'l Laboratory,
    sink: PostgresSink,
    claim: Claim,
    partition: i32,
    offset: i64,
}

/// One version of the records' schema. Records of one version share it.
fn version(ty: &str, label: Option<&str>) -> Arc<Schema> {
    let doc = label.map_or(String::new(), |label| format!(r#","doc":"{label}""#));
    record_schema(&format!(r#"{{"name":"id","type":"long"}},{{"name":"v","type":["null",{ty}],"default":null{doc}}}"#))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// A value of the union's branch, which null precedes.
fn branch(at: u32, value: Value) -> Value {
    Value::Union(at, Box::new(value))
}

fn list(items: &[&str]) -> Value {
    branch(2, Value::Array(items.iter().map(|item| text(item)).collect()))
}

impl<'l> Feed<'l> {
    async fn of(lab: &'l Laboratory, partition: i32, keys: &[(&str, &str)]) -> Self {
        Self::by(lab, lab.opener(keys).open().await.unwrap(), partition).await
    }

    async fn by(lab: &'l Laboratory, mut sink: PostgresSink, partition: i32) -> Self {
        let claim = claim(&mut sink, &lab.partition(partition)).await;
        let offset = claim.next_offset;
        Self { lab, sink, claim, partition, offset }
    }

    fn record(&self, at: i64, id: i64, schema: &Arc<Schema>, v: Value, time: i64) -> Record {
        let key = RecordKey { identity: Identity::Long(id), schema: Arc::clone(&self.lab.key_schema) };
        let after = Some(vec![Value::Long(id), v]);
        let record = Laboratory::record(self.offset + at, &key, RecordOp::Update, schema, after);
        Record { timestamp_ms: time, ..record }
    }

    async fn put(&mut self, id: i64, schema: &Arc<Schema>, v: Value) -> Result<Applied, Error> {
        self.put_at(id, schema, v, 1).await
    }

    /// Applies one record with this time.
    async fn put_at(&mut self, id: i64, schema: &Arc<Schema>, v: Value, time: i64) -> Result<Applied, Error> {
        let record = self.record(0, id, schema, v, time);
        self.apply(vec![record]).await
    }

    async fn apply(&mut self, records: Vec<Record>) -> Result<Applied, Error> {
        let mut batch = self.lab.batch(self.offset, records);
        batch.partition = self.lab.partition(self.partition);
        let applied = self.sink.apply(&self.claim, &batch).await?;
        self.offset = batch.to;
        assert_eq!(applied.dead_letters().count(), 0);
        Ok(applied)
    }
}

async fn values(lab: &Laboratory) -> Vec<String> {
    lab.ask("SELECT id, v FROM $.deals_live ORDER BY id").await
}

async fn comment(lab: &Laboratory) -> Vec<String> {
    lab.ask(
        "SELECT col_description('$.deals'::regclass, attnum) FROM pg_attribute
         WHERE attrelid = '$.deals'::regclass AND attname = 'v'",
    )
    .await
}

async fn changes(lab: &Laboratory, of: &str) -> Vec<String> {
    let sql = "SELECT table_name, column_name, field, change, from_type, to_type, from_label, to_label
               FROM towpath.schema_changes WHERE table_schema = '$' AND sink = '$' AND topic = '$.deals' AND ";
    lab.ask(&format!("{sql}{of} ORDER BY id")).await
}

#[tokio::test]
async fn a_text_that_becomes_a_list_makes_its_column_jsonb_and_keeps_all_values() {
    let lab = Laboratory::new("list").await;
    let (old, new) = (version(TEXT, None), version(TEXT_OR_LIST, None));
    let mut feed = Feed::of(&lab, 0, &[]).await;
    // A connection that knows the earlier table.
    let mut other = Feed::of(&lab, 1, &[]).await;
    // The texts look like JSON, and stay texts.
    for (id, v) in [(1, "A"), (2, "7"), (3, r#"{"a":1}"#), (4, "")] {
        feed.put(id, &old, text(v)).await.unwrap();
    }
    other.put(10, &old, text("true")).await.unwrap();
    let role = format!("reader_{}", lab.name);
    lab.client
        .batch_execute(&format!("CREATE ROLE {role}; GRANT SELECT ON {0}.deals_live TO {role}", lab.name))
        .await
        .unwrap();
    feed.put(5, &new, list(&["A", "B"])).await.unwrap();
    feed.put(6, &new, branch(1, text("C"))).await.unwrap();
    feed.put(7, &new, Value::Null).await.unwrap();
    // Records of the old schema, from connections that know the old table, that know the new one, and that know none.
    other.put(11, &old, text("null")).await.unwrap();
    feed.put(8, &old, text("8")).await.unwrap();
    let mut fresh = Feed::of(&lab, 2, &[]).await;
    fresh.put(20, &old, text("[]")).await.unwrap();
    // Old and new in one batch, and more than one row, which would be copied.
    let many: Vec<_> = (0..600)
        .map(|at| match at % 2 {
            0 => fresh.record(at, 1_000 + at, &old, text("9"), 1),
            _ => fresh.record(at, 1_000 + at, &new, list(&[]), 1),
        })
        .collect();
    fresh.apply(many).await.unwrap();
    let expected = [
        r#"1|"A""#,
        r#"2|"7""#,
        r#"3|"{\"a\":1}""#,
        r#"4|"""#,
        r#"5|["A", "B"]"#,
        r#"6|"C""#,
        "7|",
        r#"8|"8""#,
        r#"10|"true""#,
        r#"11|"null""#,
        r#"20|"[]""#,
        r#"1000|"9""#,
        "1001|[]",
    ];
    assert_eq!(values(&lab).await[..expected.len()], expected);
    assert_eq!(
        lab.ask("SELECT v, count(*) FROM $.deals WHERE id >= 1000 GROUP BY 1 ORDER BY 1").await,
        ["[]|300", r#""9"|300"#]
    );
    assert_eq!(lab.ask(&format!("SELECT has_table_privilege('{role}', '$.deals_live', 'SELECT')")).await, ["t"]);
    lab.client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    assert_eq!(
        changes(&lab, "change <> 'add'").await,
        ["deals|v|v|widen|text|jsonb||"],
        "one change, although several connections met the new schema"
    );
    assert_eq!(lab.ask("SELECT mixed FROM towpath.columns WHERE table_schema = '$' AND field = 'v'").await, ["t"]);
}

#[tokio::test]
async fn a_number_that_becomes_a_text_makes_its_column_jsonb() {
    let lab = Laboratory::new("retyped").await;
    let (old, new) = (version(NUMBER, None), version(NUMBER_OR_TEXT, None));
    let mut feed = Feed::of(&lab, 0, &[]).await;
    feed.put(1, &old, Value::Double(1.5)).await.unwrap();
    feed.put(2, &new, branch(2, text("two"))).await.unwrap();
    feed.put(3, &new, branch(1, Value::Double(3.0))).await.unwrap();
    // The same connection and a fresh one, with the old schema.
    feed.put(4, &old, Value::Double(0.25)).await.unwrap();
    Feed::of(&lab, 1, &[]).await.put(5, &old, Value::Double(-2.0)).await.unwrap();
    assert_eq!(values(&lab).await, ["1|1.5", r#"2|"two""#, "3|3.0", "4|0.25", "5|-2.0"]);
    // A union from the start makes the same column, and takes earlier records as well.
    let lab = Laboratory::new("union").await;
    let mut feed = Feed::of(&lab, 0, &[]).await;
    feed.put(1, &new, branch(2, text("1"))).await.unwrap();
    Feed::of(&lab, 1, &[]).await.put(2, &old, Value::Double(2.0)).await.unwrap();
    assert_eq!(values(&lab).await, [r#"1|"1""#, "2|2.0"]);
}

#[tokio::test]
async fn without_evolution_a_column_of_another_type_waits_for_a_person() {
    let lab = Laboratory::new("pending").await;
    let (old, new) = (version(NUMBER, None), version(NUMBER_OR_TEXT, None));
    Feed::of(&lab, 0, &[]).await.put(1, &old, Value::Double(1.5)).await.unwrap();
    let mut feed = Feed::of(&lab, 0, &[("schema.evolution", "validate")]).await;
    let error = feed.put(2, &new, branch(2, text("two"))).await.unwrap_err();
    assert_eq!(error.code, "postgres.schema_mismatch", "{}", error.chain());
    let help = error.help().unwrap().to_owned();
    assert!(help.contains("USING to_jsonb(\"v\")"), "{help}");
    lab.client.batch_execute(help.strip_prefix("run: ").unwrap()).await.unwrap();
    feed.put(2, &new, branch(2, text("two"))).await.unwrap();
    // Noted by then, although a person has made the change.
    feed.put(3, &old, Value::Double(3.5)).await.unwrap();
    assert_eq!(values(&lab).await, ["1|1.5", r#"2|"two""#, "3|3.5"]);

    // A text column holds the text of JSON, as it always did.
    let lab = Laboratory::new("kept").await;
    let (old, new) = (version(TEXT, None), version(TEXT_OR_LIST, None));
    Feed::of(&lab, 0, &[]).await.put(1, &old, text("A")).await.unwrap();
    let mut feed = Feed::of(&lab, 0, &[("schema.evolution", "off")]).await;
    feed.put(2, &new, list(&["B"])).await.unwrap();
    assert_eq!(values(&lab).await, ["1|A", r#"2|["B"]"#]);
}

#[tokio::test]
async fn the_history_keeps_values_of_several_types_as_well() {
    let lab = Laboratory::new("story").await;
    let (old, new) = (version(TEXT, None), version(TEXT_OR_LIST, None));
    let mut feed = Feed::of(&lab, 0, &[("history.enabled", "true")]).await;
    feed.put(1, &old, text("A")).await.unwrap();
    feed.put(1, &new, list(&["A", "B"])).await.unwrap();
    feed.put(1, &old, text("5")).await.unwrap();
    let sql = "SELECT v FROM $.deals_history ORDER BY __connect_offset";
    assert_eq!(lab.ask(sql).await, [r#""A""#, r#"["A", "B"]"#, r#""5""#]);
    assert_eq!(
        changes(&lab, "change = 'widen'").await,
        ["deals|v|v|widen|text|jsonb||", "deals_history|v|v|widen|text|jsonb||"]
    );
}

#[tokio::test]
async fn a_new_label_becomes_the_comment_and_an_older_one_never_does() {
    let lab = Laboratory::new("label").await;
    let versions = ["Size", "Größe", "It's \\\\ \\\"size\\\"", "Size"].map(|label| version(TEXT, Some(label)));
    let mut feed = Feed::of(&lab, 0, &[]).await;
    feed.put_at(1, &versions[0], text("a"), 1_000).await.unwrap();
    assert_eq!(comment(&lab).await, ["v: Size"]);
    feed.put_at(2, &versions[1], text("b"), 2_000).await.unwrap();
    assert_eq!(comment(&lab).await, ["v: Größe"]);
    // A partition that lags, on a connection of its own, brings the label of earlier records.
    let mut late = Feed::of(&lab, 1, &[]).await;
    late.put_at(3, &versions[0], text("c"), 1_500).await.unwrap();
    assert_eq!(comment(&lab).await, ["v: Größe"]);
    late.put_at(4, &versions[2], text("d"), 3_000).await.unwrap();
    assert_eq!(comment(&lab).await, [r#"v: It's \ "size""#]);
    // Back to the first label, in one batch with a record of the version before.
    let both = vec![
        feed.record(0, 5, &versions[3], text("e"), 4_000),
        feed.record(1, 6, &version(TEXT, Some("Else")), text("f"), 3_500),
    ];
    feed.apply(both).await.unwrap();
    assert_eq!(comment(&lab).await, ["v: Size"]);
    assert_eq!(
        changes(&lab, "change = 'relabel'").await,
        [
            "deals|v|v|relabel|text|text|v: Size|v: Größe",
            r#"deals|v|v|relabel|text|text|v: Größe|v: It's \ "size""#,
            r#"deals|v|v|relabel|text|text|v: It's \ "size"|v: Size"#,
        ]
    );
    // The comment of a person stays.
    lab.client.batch_execute(&format!("COMMENT ON COLUMN {}.deals.v IS 'ours'", lab.name)).await.unwrap();
    feed.put_at(7, &version(TEXT, Some("Third")), text("g"), 5_000).await.unwrap();
    assert_eq!(comment(&lab).await, ["ours"]);
}

#[tokio::test]
async fn each_change_of_a_column_is_listed() {
    let lab = Laboratory::new("changes").await;
    let number = |ty: &str, more: &str| {
        record_schema(&format!(r#"{{"name":"id","type":"long"}},{{"name":"v","type":["null","{ty}"]}}{more}"#))
    };
    let mut feed = Feed::of(&lab, 0, &[]).await;
    feed.put(1, &number("int", ""), Value::Int(1)).await.unwrap();
    assert_eq!(
        changes(&lab, "column_name NOT LIKE '%towpath%'").await,
        ["deals|id||add||bigint||", "deals|v|v|add||integer||v"]
    );
    assert_eq!(
        lab.ask("SELECT count(*) FROM towpath.schema_changes WHERE table_schema = '$' AND field IS NULL").await,
        ["7"],
        "the key and the columns of Towpath"
    );
    lab.client.batch_execute(&format!("ALTER TABLE {}.deals ALTER COLUMN v SET NOT NULL", lab.name)).await.unwrap();
    let wider = number("long", r#",{"name":"w","type":["null","string"],"doc":"Words"}"#);
    let key = RecordKey { identity: Identity::Long(2), schema: Arc::clone(&lab.key_schema) };
    let after = vec![Value::Long(2), Value::Long(2), text("w")];
    let record = Laboratory::record(feed.offset, &key, RecordOp::Update, &wider, Some(after));
    feed.apply(vec![record]).await.unwrap();
    assert_eq!(
        changes(&lab, "id > (SELECT min(id) + 7 FROM towpath.schema_changes WHERE table_schema = '$')").await,
        [
            "deals|w|w|add||text||w: Words",
            "deals|v|v|loosen|integer NOT NULL|integer||",
            "deals|v|v|widen|integer|bigint||",
        ]
    );
    let described =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'towpath.schema_changes'::regclass AND attnum > 0
                     AND col_description(attrelid, attnum) IS NULL";
    assert_eq!(lab.ask(described).await, ["0"]);
}

#[tokio::test]
async fn a_role_that_may_create_nothing_works_without_the_newer_parts() {
    let lab = Laboratory::new("limited").await;
    let name = lab.name.clone();
    let anywhere = database().await;
    for sql in [format!("CREATE ROLE {name} LOGIN PASSWORD 'first'"), format!("CREATE DATABASE {name}")] {
        anywhere.batch_execute(&sql).await.unwrap();
    }
    let url = env("DATABASE_URL");
    let (server, _) = url.rsplit_once('/').unwrap();
    let owners = format!("{server}/{name}");
    let (owner, connection) = tokio_postgres::connect(&owners, NoTls).await.unwrap();
    tokio::spawn(connection);
    let (old, new) = (version(TEXT, Some("Label")), version(TEXT_OR_LIST, Some("Other")));
    let sink = lab.opener_at(&owners, "test", &[]).open().await.unwrap();
    Feed::by(&lab, sink, 0).await.put(1, &old, text("A")).await.unwrap();
    // As an earlier version has left it.
    owner
        .batch_execute(&format!(
            "DROP TABLE towpath.schema_changes;
             ALTER TABLE towpath.columns DROP COLUMN mixed, DROP COLUMN labelled_ms;
             GRANT USAGE ON SCHEMA {name}, towpath TO {name};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name}, towpath TO {name}"
        ))
        .await
        .unwrap();
    let (_, place) = server.rsplit_once('@').unwrap();
    let limited = format!("postgres://{name}:first@{place}/{name}");
    let sink = lab.opener_at(&limited, "test", &[]).open().await.unwrap();
    let mut feed = Feed::by(&lab, sink, 0).await;
    feed.put_at(2, &old, text("B"), 2).await.unwrap();
    // The column stays a text, with the text of JSON.
    feed.put_at(3, &new, list(&["C"]), 3).await.unwrap();
    let ask = format!("SELECT id, v FROM {name}.deals ORDER BY id");
    assert_eq!(rows(&owner, &ask).await, ["1|A", "2|B", r#"3|["C"]"#]);
    // The owner adds them later.
    drop(feed);
    let sink = lab.opener_at(&owners, "test", &[]).open().await.unwrap();
    Feed::by(&lab, sink, 1).await.put_at(4, &version(TEXT, Some("Other")), text("D"), 4).await.unwrap();
    let listed = "SELECT change, to_label FROM towpath.schema_changes";
    assert_eq!(rows(&owner, listed).await, ["relabel|v: Other"]);
}
