//! Existing tables, and how their shape follows the records.

use std::sync::Arc;

use apache_avro::{Schema, types::Value};
use towpath_api::{
    Applied, Error, Identity, OpenSink as _, Reaction, Record, RecordKey, RecordOp, Sink as _, json::JSON_TEXT,
};
use towpath_postgres::PostgresSink;

use crate::{
    laboratory::{Laboratory, claim, record_schema},
    stack::rows,
};

/// A sink whose records have one field `v` beside the key, with a type that changes.
struct Shapes<'l> {
    lab: &'l Laboratory,
    sink: PostgresSink,
    claim: towpath_api::Claim,
    offset: i64,
}

impl<'l> Shapes<'l> {
    async fn of(lab: &'l Laboratory, keys: &[(&str, &str)]) -> Self {
        let mut sink = lab.opener(keys).open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(0)).await;
        let offset = claim.next_offset;
        Self { lab, sink, claim, offset }
    }

    fn record(&self, at: i64, id: i64, ty: &str, value: Value) -> Record {
        let schema = record_schema(&format!(r#"{{"name":"id","type":"long"}},{{"name":"v","type":["null",{ty}]}}"#));
        let key = RecordKey { identity: Identity::Long(id), schema: Arc::clone(&self.lab.key_schema) };
        Laboratory::record(self.offset + at, &key, RecordOp::Update, &schema, Some(vec![Value::Long(id), value]))
    }

    /// Applies one record of key `id` whose `v` is of type `ty`.
    async fn put(&mut self, id: i64, ty: &str, value: Value) -> Result<Applied, Error> {
        let record = self.record(0, id, ty, value);
        self.apply(vec![record]).await
    }

    async fn apply(&mut self, records: Vec<Record>) -> Result<Applied, Error> {
        let batch = self.lab.batch(self.offset, records);
        let applied = self.sink.apply(&self.claim, &batch).await?;
        self.offset = batch.to;
        Ok(applied)
    }

    async fn type_of_v(&self) -> Vec<String> {
        let sql = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '$.deals'::regclass
                   AND attname = 'v'";
        self.lab.ask(sql).await
    }
}

const INT: &str = r#""int""#;
const LONG: &str = r#""long""#;
const TEXT: &str = r#""string""#;
const DECIMAL: &str = r#"{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}"#;
const DATE: &str = r#"{"type":"int","logicalType":"date"}"#;
const INSTANT: &str = r#"{"type":"long","logicalType":"timestamp-millis"}"#;

fn decimal(unscaled: i64) -> Value {
    Value::Decimal(apache_avro::Decimal::from(unscaled.to_be_bytes()))
}

#[tokio::test]
async fn a_column_widens_with_its_field_and_the_live_view_keeps_its_rights() {
    let lab = Laboratory::new("widen").await;
    let mut shapes = Shapes::of(&lab, &[]).await;
    shapes.put(1, INT, Value::Int(1)).await.unwrap();
    let role = format!("reader_{}", lab.name);
    lab.client
        .batch_execute(&format!("CREATE ROLE {role}; GRANT SELECT ON {0}.deals_live TO {role}", lab.name))
        .await
        .unwrap();
    for (id, ty, value, becomes) in [
        (2, LONG, Value::Long(i64::MAX), "bigint"),
        (3, DECIMAL, decimal(-1), "numeric(21,2)"),
        // A record with the older schema arrives late.
        (4, INT, Value::Int(4), "numeric(21,2)"),
    ] {
        shapes.put(id, ty, value).await.unwrap();
        assert_eq!(shapes.type_of_v().await, [becomes]);
    }
    assert_eq!(
        lab.ask("SELECT v FROM $.deals_live ORDER BY id").await,
        ["1.00", "9223372036854775807.00", "-0.01", "4.00"]
    );
    assert_eq!(lab.ask(&format!("SELECT has_table_privilege('{role}', '$.deals_live', 'SELECT')")).await, ["t"]);
    lab.client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();

    let lab = Laboratory::new("days").await;
    let mut shapes = Shapes::of(&lab, &[]).await;
    shapes.put(1, DATE, Value::Date(20_000)).await.unwrap();
    let mixed = vec![
        shapes.record(0, 2, INSTANT, Value::TimestampMillis(1_728_000_000_123)),
        shapes.record(1, 3, DATE, Value::Date(20_001)),
        shapes.record(2, 4, DATE, Value::Date(i32::MAX)),
        shapes.record(3, 5, DATE, Value::Date(i32::MIN)),
        // Beyond the range of a timestamp.
        shapes.record(4, 6, DATE, Value::Date(106_762_940)),
    ];
    let applied = shapes.apply(mixed).await.unwrap();
    let refused = lab.ask("SELECT \"offset\", error_code FROM towpath.dead_letter WHERE sink = '$'").await;
    assert_eq!((refused.len(), applied.inserted), (1, 4), "{refused:?} {applied:?}");
    assert_eq!(shapes.type_of_v().await, ["timestamp with time zone"]);
    let days = lab.ask("SELECT v AT TIME ZONE 'UTC' FROM $.deals ORDER BY id").await;
    let expected = ["2024-10-04 00:00:00", "2024-10-04 00:00:00.123", "2024-10-05 00:00:00", "infinity", "-infinity"];
    assert_eq!(days, expected);
}

#[tokio::test]
async fn a_column_that_cannot_be_widened_waits_and_names_the_fix() {
    let lab = Laboratory::new("mend").await;
    let mut shapes = Shapes::of(&lab, &[]).await;
    shapes.put(1, INT, Value::Int(1)).await.unwrap();
    let error = shapes.put(2, TEXT, Value::String("two".into())).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Retry, "postgres.schema_mismatch"));
    let fix = error.help().and_then(|help| help.strip_prefix("run: ")).expect("the statement is named");
    let reader = format!("reader2_{}", lab.name);
    lab.client
        .batch_execute(&format!("CREATE ROLE {reader}; GRANT SELECT ON {}.deals_live TO {reader}", lab.name))
        .await
        .unwrap();
    let error = shapes.put(2, TEXT, Value::String("two".into())).await.unwrap_err();
    let with_rights = error.help().and_then(|help| help.strip_prefix("run: ")).unwrap();
    assert_ne!(fix, with_rights, "the rights to the view are part of the statements");
    lab.client.batch_execute(with_rights).await.unwrap_or_else(|error| panic!("{with_rights}: {error}"));
    assert_eq!(lab.ask(&format!("SELECT has_table_privilege('{reader}', '$.deals_live', 'SELECT')")).await, ["t"]);
    lab.client.batch_execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).await.unwrap();
    shapes.put(2, TEXT, Value::String("two".into())).await.unwrap();
    assert_eq!(lab.ask("SELECT v FROM $.deals_live ORDER BY id").await, ["1", "two"]);
    // If a person drops the view, the next new shape re-creates it.
    lab.client.batch_execute(&format!("DROP VIEW {}.deals_live", lab.name)).await.unwrap();
    let mut again = Shapes::of(&lab, &[]).await;
    again.put(3, TEXT, Value::String("three".into())).await.unwrap();
    assert_eq!(lab.ask("SELECT count(*) FROM $.deals_live").await, ["3"]);
}

#[tokio::test]
async fn misfit_records_become_dead_letters_if_enabled_and_other_faults_do_not() {
    let lab = Laboratory::new("misfits").await;
    let mut shapes = Shapes::of(&lab, &[("schema.mismatch", "dead_letter")]).await;
    shapes.put(0, INT, Value::Int(0)).await.unwrap();
    // More than the limit for systematic errors.
    let records = (0..150).map(|at| {
        if at % 5 == 4 {
            shapes.record(at, at, INT, Value::Int(1))
        } else {
            shapes.record(at, at, TEXT, Value::String("x".into()))
        }
    });
    let records = records.collect();
    let applied = shapes.apply(records).await.unwrap();
    assert_eq!((applied.inserted, applied.dead_letters().map(|(_, n)| n).sum::<u64>()), (30, 120));
    let codes = lab.ask("SELECT DISTINCT error_code FROM towpath.dead_letter WHERE sink = '$'").await;
    assert_eq!(codes, ["postgres.schema_mismatch"]);
}

#[tokio::test]
async fn a_user_view_keeps_a_column_from_being_widened_and_is_named() {
    let lab = Laboratory::new("foreign_view").await;
    let mut shapes = Shapes::of(&lab, &[]).await;
    shapes.put(1, INT, Value::Int(1)).await.unwrap();
    for used in ["deals", "deals_live"] {
        lab.client
            .batch_execute(&format!("CREATE VIEW {0}.report AS SELECT v FROM {0}.{used}", lab.name))
            .await
            .unwrap();
        let error = shapes.put(2, LONG, Value::Long(2)).await.unwrap_err();
        assert_eq!((error.reaction, error.code), (Reaction::Retry, "postgres.schema_mismatch"), "{}", error.chain());
        assert!(error.to_string().contains("used by another view or rule"), "{error}");
        assert_eq!(lab.ask("SELECT v FROM $.deals_live").await, ["1"], "our view is unchanged");
        lab.client.batch_execute(&format!("DROP VIEW {}.report", lab.name)).await.unwrap();
    }
    shapes.put(2, LONG, Value::Long(2)).await.unwrap();
}

#[tokio::test]
async fn a_new_field_waits_under_validate_and_is_left_out_with_evolution_off() {
    let lab = Laboratory::new("validate").await;
    let mut shapes = Shapes::of(&lab, &[("schema.evolution", "validate")]).await;
    let error = shapes.put(1, INT, Value::Int(1)).await.unwrap_err();
    let fix = error.help().and_then(|help| help.strip_prefix("run: ")).unwrap();
    assert!(fix.contains("CREATE TABLE"), "{fix}");
    lab.client.batch_execute(fix).await.unwrap();
    shapes.put(1, INT, Value::Int(1)).await.unwrap();

    let wider = record_schema(
        r#"{"name":"id","type":"long"},{"name":"v","type":["null","int"]},{"name":"w","type":["null","string"]}"#,
    );
    let record = |offset| {
        let key = RecordKey { identity: Identity::Long(2), schema: Arc::clone(&lab.key_schema) };
        let after = vec![Value::Long(2), Value::Int(2), Value::String("w".into())];
        Laboratory::record(offset, &key, RecordOp::Create, &wider, Some(after))
    };
    let error = shapes.apply(vec![record(1)]).await.unwrap_err();
    assert!(error.to_string().contains("field `w` has no column"), "{error}");
    let mut off = Shapes::of(&lab, &[("schema.evolution", "off")]).await;
    assert_eq!(off.apply(vec![record(1)]).await.unwrap().inserted, 1);
    assert_eq!(lab.ask("SELECT id, v FROM $.deals ORDER BY 1").await, ["1|1", "2|2"]);
    let mut evolve = Shapes::of(&lab, &[]).await;
    evolve.apply(vec![record(2)]).await.unwrap();
    assert_eq!(lab.ask("SELECT id, w FROM $.deals ORDER BY 1").await, ["1|", "2|w"]);
}

#[tokio::test]
async fn an_existing_table_is_used_if_its_columns_fit() {
    let lab = Laboratory::new("foreign").await;
    let create = "CREATE SCHEMA $; CREATE TYPE $.mood AS ENUM ('good', 'bad');
                  CREATE TABLE $.deals (id numeric PRIMARY KEY, a bigint NOT NULL, b $.mood,
                  made_at timestamptz NOT NULL DEFAULT now());
                  INSERT INTO $.deals (id, a) VALUES (1, 1)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut shapes = Shapes::of(&lab, &[]).await;
    let record = |offset, id, b: &str| lab.change(offset, id, RecordOp::Create, Some((5, b)), None, None);
    let applied =
        shapes.apply(vec![record(0, 1, "good"), record(1, 2, "bad"), record(2, 3, "no such mood")]).await.unwrap();
    assert_eq!((applied.inserted, applied.updated), (1, 1), "the existing row counts as older");
    assert_eq!(applied.dead_letters().count(), 1);
    assert_eq!(lab.ask("SELECT id, a, b, _towpath_offset FROM $.deals ORDER BY 1").await, ["1|5|good|0", "2|5|bad|1"]);
    let nulls = "SELECT attnotnull FROM pg_attribute WHERE attrelid = '$.deals'::regclass AND attname = 'a'";
    assert_eq!(lab.ask(nulls).await, ["f"], "a delete of an unknown record has no values");
}

#[tokio::test]
async fn without_metadata_columns_an_existing_table_stays_unchanged() {
    for metadata in ["none", "version"] {
        let lab = Laboratory::new("bare").await;
        let create = "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint, b varchar(3))";
        lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
        let mut shapes =
            Shapes::of(&lab, &[("metadata.columns", metadata), ("delete.mode", "hard"), ("fields.exclude", "b")]).await;
        let partial = |offset, a| lab.change(offset, 1, RecordOp::Update, Some((a, "")), Some(vec![1]), None);
        let delete = |offset| lab.change(offset, 2, RecordOp::Delete, None, None, None);
        shapes.apply(vec![lab.whole(0, 1, 1), lab.whole(1, 2, 2)]).await.unwrap();
        shapes.apply(vec![lab.whole(2, 1, 10), partial(3, 11)]).await.unwrap();
        shapes.apply(vec![partial(4, 12), delete(5), lab.tombstone(6, 2)]).await.unwrap();
        assert_eq!(lab.ask("SELECT id, a FROM $.deals").await, ["1|12"], "{metadata}");
        let own = "SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute
                   WHERE attrelid = '$.deals'::regclass AND attname LIKE '\\_towpath%'";
        let expected = if metadata == "none" {
            ""
        } else {
            "_towpath_deleted,_towpath_offset,_towpath_partition,_towpath_seq,_towpath_ts"
        };
        assert_eq!(lab.ask(own).await, [expected]);
    }
}

#[tokio::test]
async fn all_faults_of_a_table_are_reported_at_once() {
    let lab = Laboratory::new("all_wrong").await;
    let create = "CREATE SCHEMA $; CREATE TABLE $.deals
                  (id bigint, a uuid, b text GENERATED ALWAYS AS ('x') STORED, must text NOT NULL)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut shapes = Shapes::of(&lab, &[]).await;
    let error = shapes.apply(vec![lab.whole(0, 1, 1)]).await.unwrap_err();
    let error = format!("{error}; {}", error.help().unwrap_or_default());
    for part in [
        r#"("id") has no unique index"#,
        "column `a` should be text and is uuid",
        "column `b` is computed",
        "column `must` is NOT NULL without a default",
        r#"ADD UNIQUE ("id")"#,
        r#"ALTER COLUMN "must" DROP NOT NULL"#,
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn two_workers_that_meet_a_new_shape_at_once_both_continue() {
    let lab = Laboratory::new("at_once").await;
    let mut shapes = Shapes::of(&lab, &[]).await;
    shapes.put(1, INT, Value::Int(1)).await.unwrap();
    let workers = (1..5).map(|number| {
        let lab = &lab;
        async move {
            let mut sink = lab.opener(&[]).open().await.unwrap();
            let claim = claim(&mut sink, &lab.partition(number)).await;
            let schema = record_schema(
                r#"{"name":"id","type":"long"},{"name":"v","type":["null","long"]},
                    {"name":"w","type":["null","string"]}"#,
            );
            let id = i64::from(number) * 10;
            let key = RecordKey { identity: Identity::Long(id), schema: Arc::clone(&lab.key_schema) };
            let after = vec![Value::Long(id), Value::Long(id), Value::String("w".into())];
            let mut batch = lab.batch(0, vec![Laboratory::record(0, &key, RecordOp::Create, &schema, Some(after))]);
            batch.partition = lab.partition(number);
            sink.apply(&claim, &batch).await.map(|applied| applied.inserted)
        }
    });
    for stored in futures::future::join_all(workers).await {
        assert_eq!(stored.map_err(|error| error.error.chain()), Ok(1));
    }
    assert_eq!(lab.ask("SELECT count(*), count(w) FROM $.deals").await, ["5|4"]);
    assert_eq!(shapes.type_of_v().await, ["bigint"]);
    shapes.put(1, INT, Value::Int(2)).await.expect("a connection that knew the narrower table continues");
}

#[tokio::test]
async fn a_json_text_becomes_jsonb_and_another_text_a_dead_letter() {
    let lab = Laboratory::new("json").await;
    let mut shapes = Shapes::of(&lab, &[]).await;
    let schema = Schema::parse_str(&format!(
        r#"{{"type":"record","name":"r","fields":[{{"name":"id","type":"long"}},
            {{"name":"v","type":["null","string"],"connect.name":"{JSON_TEXT}"}}]}}"#
    ));
    let schema = Arc::new(schema.unwrap());
    let record = |offset, json: &str| {
        let key = RecordKey { identity: Identity::Long(offset), schema: Arc::clone(&lab.key_schema) };
        let after = vec![Value::Long(offset), Value::String(json.into())];
        Laboratory::record(offset, &key, RecordOp::Create, &schema, Some(after))
    };
    let applied =
        shapes.apply(vec![record(0, r#"{"a": 12345678901234567890.10}"#), record(1, "{no json")]).await.unwrap();
    assert_eq!((applied.inserted, applied.dead_letters().count()), (1, 1));
    assert_eq!(shapes.type_of_v().await, ["jsonb"]);
    assert_eq!(lab.ask("SELECT v ->> 'a' FROM $.deals").await, ["12345678901234567890.10"]);
}

#[tokio::test]
async fn whatever_has_the_name_of_a_live_view_is_kept_until_it_is_renamed() {
    let lab = Laboratory::new("names").await;
    for (kind, make) in [
        ("a view", "CREATE VIEW {s}.deals_live AS SELECT 1::bigint AS id"),
        ("a table", "CREATE TABLE {s}.deals_live (id bigint)"),
        ("a materialized view", "CREATE MATERIALIZED VIEW {s}.deals_live AS SELECT 1 AS id"),
        ("a sequence", "CREATE SEQUENCE {s}.deals_live"),
        ("an index", "CREATE TABLE {s}.other (id int); CREATE INDEX deals_live ON {s}.other (id)"),
        ("a type", "CREATE TYPE {s}.deals_live AS (id int)"),
        ("a type", "CREATE DOMAIN {s}.deals_live AS int"),
    ] {
        let schema = format!("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}; ", lab.name);
        lab.client.batch_execute(&format!("{schema}{}", make.replace("{s}", &lab.name))).await.unwrap();
        let mut sink = lab.open().await;
        let claim = claim(&mut sink, &lab.partition(0)).await;
        let batch = || lab.batch(claim.next_offset, vec![lab.whole(claim.next_offset, 1, 1)]);
        let error = sink.apply(&claim, &batch()).await.unwrap_err().error;
        assert_eq!((error.reaction, error.code), (Reaction::Fatal, "postgres.name_taken"), "{}", error.chain());
        assert!(error.to_string().contains(kind), "{kind}: {error}");
        lab.client.batch_execute(&format!("DROP SCHEMA {} CASCADE", lab.name)).await.unwrap();
        sink.apply(&claim, &batch()).await.unwrap();
        let live = format!("SELECT id FROM {}.deals_live", lab.name);
        assert_eq!(rows(&lab.client, &live).await, ["1"], "{kind}");
        let forget = format!("DELETE FROM towpath.columns WHERE table_schema = '{}'", lab.name);
        lab.client.batch_execute(&forget).await.unwrap();
    }
}

#[tokio::test]
async fn a_live_view_of_an_older_version_is_ours_and_a_rewritten_one_is_kept() {
    for (change, is_ours) in [
        // As an older version made it.
        ("COMMENT ON VIEW {s}.deals_live IS NULL", true),
        (
            "DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW {s}.deals_live AS '
                 || rtrim(pg_get_viewdef('{s}.deals_live'::regclass), ';') || ' AND id > 1'; END $$",
            false,
        ),
    ] {
        let lab = Laboratory::new("rewritten").await;
        let mut shapes = Shapes::of(&lab, &[]).await;
        shapes.put(1, r#""int""#, Value::Int(1)).await.unwrap();
        lab.client.batch_execute(&change.replace("{s}", &lab.name)).await.unwrap();
        let widened = shapes.put(2, r#""long""#, Value::Long(2)).await;
        let live = rows(&lab.client, &format!("SELECT id, v FROM {}.deals_live ORDER BY id", lab.name)).await;
        if is_ours {
            widened.unwrap();
            assert_eq!(live, ["1|1", "2|2"]);
        } else {
            let error = widened.unwrap_err();
            assert_eq!((error.reaction, error.code), (Reaction::Fatal, "postgres.name_taken"), "{}", error.chain());
            assert_eq!(live, [""; 0], "the view keeps its condition");
        }
    }
}
