//! Topics of foreign producers, through Kafka and the registry into Postgres and out again by `psql`, value by value.

mod columns;
pub(crate) mod foreign;
mod versions;

use serde_json::json;
use towpath_api::apache_avro::{Uuid, types::Value};

use self::{
    columns::{Column, avro_types, logical, named, semantic_types},
    foreign::{Topic, null, psql, record, some, text},
};
use crate::{
    stack::{database, rows, rows_become, shared},
    worker::Worker,
};

const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;

/// Keys in bare JSON, and values in JSON with a schema.
const JSON: &str = "\"key.converter\" = \"json\"\n\"key.converter.schemas.enable\" = \"false\"\n\
                    \"value.converter\" = \"json\"\n";

fn key(id: i32) -> Value {
    record(&[("id", Value::Int(id))])
}

/// The fields of a record with these columns, after an `id`.
fn fields(columns: &[Column]) -> String {
    let fields =
        columns.iter().map(|(name, ty, ..)| format!(r#",{{"name":"{name}","type":{ty}}}"#)).collect::<String>();
    format!(r#"{{"name":"id","type":"int"}}{fields}"#)
}

fn row(columns: &[Column]) -> Value {
    let mut values = vec![("id", Value::Int(1))];
    values.extend(columns.iter().map(|(name, _, value, ..)| (*name, value.clone())));
    record(&values)
}

/// Compares each column of a table, by itself, with the expected one.
fn check_columns(table: &str, columns: &[Column]) {
    for (name, _, _, ty, value) in columns {
        let shown = psql(&format!("SELECT pg_typeof({name}), {name} FROM {table} WHERE id = 1"));
        assert_eq!(shown, format!("{ty}|{value}"), "column {name}");
    }
}

#[tokio::test]
async fn every_avro_type_comes_out_of_psql_value_by_value() {
    let _stack = shared().await;
    let worker = Worker::new("avro").sink("").start().await;
    let columns = avro_types();
    let value = format!(r#"{{"type":"record","name":"Zoo","fields":[{}]}}"#, fields(&columns));
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await.avro(KEY, &value).await;
    topic.send(Some(key(1)), Some(row(&columns))).await;
    let database = database().await;
    rows_become(&database, &format!("SELECT id FROM {}", topic.table()), &["1"]).await;
    check_columns(topic.table(), &columns);
    topic.send(Some(key(1)), None).await;
    rows_become(&database, &format!("SELECT id, _towpath_deleted FROM {}", topic.table()), &["1|t"]).await;
}

/// Debezium's envelope around a record with these columns.
fn envelope(columns: &[Column]) -> String {
    format!(
        r#"{{"type":"record","name":"Envelope","namespace":"s.public.t","fields":[
            {{"name":"before","type":["null",{{"type":"record","name":"Value","fields":[{},
            {{"name":"body","type":["null","string"],"default":null}}],
                "connect.name":"s.public.t.Value"}}],"default":null}},
            {{"name":"after","type":["null","Value"],"default":null}},
            {{"name":"source","type":{{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql",
            "fields":[
                {{"name":"ts_ms","type":"long"}},{{"name":"lsn","type":["null","long"],"default":null}}]}}}},
            {{"name":"op","type":"string"}},{{"name":"ts_ms","type":["null","long"],"default":null}}],
            "connect.name":"s.public.t.Envelope"}}"#,
        fields(columns)
    )
}

fn event(op: &str, row: Option<Value>, lsn: i64) -> Value {
    let (before, after) = if op == "d" { (row, None) } else { (None, row) };
    let optional = |row: Option<Value>| row.map_or_else(null, some);
    let source = record(&[("ts_ms", Value::Long(1)), ("lsn", some(Value::Long(lsn)))]);
    record(&[
        ("before", optional(before)),
        ("after", optional(after)),
        ("source", source),
        ("op", text(op)),
        ("ts_ms", null()),
    ])
}

fn with_body(columns: &[Column], body: &str) -> Value {
    let Value::Record(mut fields) = row(columns) else { unreachable!("a row is a record") };
    fields.push(("body".to_owned(), some(text(body))));
    Value::Record(fields)
}

#[tokio::test]
async fn every_type_of_debezium_comes_out_of_psql_value_by_value() {
    let _stack = shared().await;
    let worker = Worker::new("debezium").sink("").start().await;
    let columns = semantic_types();
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await.avro(KEY, &envelope(&columns)).await;
    topic.send(Some(key(1)), Some(event("c", Some(with_body(&columns, "large")), 1))).await;
    let database = database().await;
    rows_become(&database, &format!("SELECT id, body FROM {}", topic.table()), &["1|large"]).await;
    check_columns(topic.table(), &columns);
}

#[tokio::test]
async fn records_of_debezium_end_in_the_expected_rows() {
    let _stack = shared().await;
    let worker = Worker::new("events").sink("").whose_rows_show_less().start().await;
    let columns: Vec<Column> = vec![("n", r#"["null","int"]"#.into(), some(Value::Int(1)), "", "")];
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await.avro(KEY, &envelope(&columns)).await;
    let changed = |n: i32, body: &str| {
        let columns: Vec<Column> = vec![("n", String::new(), some(Value::Int(n)), "", "")];
        with_body(&columns, body)
    };
    topic.send(Some(key(1)), Some(event("r", Some(changed(1, "large")), 1))).await;
    topic.send(Some(key(1)), Some(event("u", Some(changed(2, "__debezium_unavailable_value")), 2))).await;
    let database = database().await;
    let table = format!("SELECT id, n, body, _towpath_deleted FROM {}", topic.table());
    rows_become(&database, &table, &["1|2|large|f"]).await;
    topic.send(Some(key(1)), Some(event("d", Some(changed(2, "large")), 3))).await;
    topic.send(Some(key(1)), None).await;
    topic.send(None, Some(event("m", None, 4))).await;
    rows_become(&database, &table, &["1|2|large|t"]).await;
    // The last record is undecodable: its dead letter shows that all earlier records are applied.
    topic.send_bytes(b"no framing", b"no framing", &[]).await;
    rows_become(&database, &topic.dead_letters(), &["5|decode.framing"]).await;
}

#[tokio::test]
async fn nanoseconds_are_exact_or_truncated_by_choice() {
    let _stack = shared().await;
    let columns: Vec<Column> = vec![
        ("instant", logical("long", "timestamp-nanos"), Value::TimestampNanos(1_000), "", ""),
        ("local", named("long", "io.debezium.time.NanoTimestamp"), Value::Long(2_000), "", ""),
        ("day", named("long", "io.debezium.time.NanoTime"), Value::Long(3_000), "", ""),
        ("zoned", named("string", "io.debezium.time.ZonedTimestamp"), text("1970-01-01T00:00:00.0000040Z"), "", ""),
    ];
    let mut finer = columns.clone();
    finer[1].2 = Value::Long(2_999);
    let database = database().await;
    for (setting, table, dead) in [
        ("", vec!["1|01|2|3|4"], vec!["1|postgres.out_of_range"]),
        ("nanoseconds = \"truncate\"\n", vec!["1|01|2|3|4", "2|01|2|3|4"], vec![]),
    ] {
        let worker = Worker::new("nanos").sink(setting).start().await;
        let topic = Topic::new(&format!("{}.zoo", worker.name)).await.avro(KEY, &envelope(&columns)).await;
        topic.send(Some(key(1)), Some(event("c", Some(with_body(&columns, "b")), 1))).await;
        let mut second = with_body(&finer, "b");
        if let Value::Record(fields) = &mut second {
            fields[0].1 = Value::Int(2);
        }
        topic.send(Some(key(2)), Some(event("c", Some(second), 2))).await;
        let micros = |column: &str| format!("extract(microseconds FROM {column})::int");
        let shown = format!(
            "SELECT id, to_char(instant, 'DD'), {}, {}, {} FROM {} ORDER BY id",
            micros("local"),
            micros("day"),
            micros("zoned"),
            topic.table()
        );
        rows_become(&database, &shown, &table).await;
        rows_become(&database, &topic.dead_letters(), &dead).await;
        let why = topic.dead_letters().replace("error_code", "error_text");
        for text in rows(&database, &why).await {
            assert!(text.contains("field `local`") && text.contains("nanoseconds=truncate"), "{text}");
        }
    }
}

#[tokio::test]
async fn types_mean_the_same_in_schemas_that_refer_to_each_other() {
    let _stack = shared().await;
    let worker = Worker::new("referred").sink("").start().await;
    let mut topic = Topic::new(&format!("{}.zoo", worker.name)).await.avro(KEY, "\"string\"").await;
    let (micros, date) = (named("long", "io.debezium.time.MicroTimestamp"), named("int", "io.debezium.time.Date"));
    let day =
        format!(r#"{{"type":"record","name":"Day","namespace":"far","fields":[{{"name":"day","type":{date}}}]}}"#);
    let [row, whole_row] = [r#""far.Day""#, &day].map(|day| {
        format!(
            r#"{{"type":"record","name":"Row","namespace":"near","fields":[{{"name":"at","type":{micros}}},
            {{"name":"days","type":{{"type":"array","items":{day}}}}}]}}"#
        )
    });
    let day = topic.part("far.Day", &day, &json!([])).await;
    let row = topic.part("near.Row", &row, &json!([day])).await;
    topic.referring(r#"["null","near.Row"]"#, &json!([row]), &format!(r#"["null",{whole_row}]"#)).await;
    let days = Value::Array(vec![record(&[("day", Value::Int(1))])]);
    topic.send(Some(key(1)), Some(some(record(&[("at", Value::Long(1)), ("days", days)])))).await;
    rows_become(&database().await, &format!("SELECT id FROM {}", topic.table()), &["1"]).await;
    let shown = psql(&format!("SELECT pg_typeof(at), at, days FROM {}", topic.table()));
    assert_eq!(shown, r#"timestamp without time zone|1970-01-01 00:00:00.000001|[{"day": "1970-01-02"}]"#);
}

#[tokio::test]
async fn numbers_of_any_scale_are_keys() {
    let _stack = shared().await;
    let worker = Worker::new("numeric").sink("").whose_rows_show_less().start().await;
    let scaled = r#"{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[
        {"name":"scale","type":"int"},{"name":"value","type":"bytes"}],
        "connect.name":"io.debezium.data.VariableScaleDecimal"}"#;
    let number =
        |scale: i32, unscaled: Vec<u8>| record(&[("scale", Value::Int(scale)), ("value", Value::Bytes(unscaled))]);
    let of_key = format!(
        r#"{{"type":"record","name":"Key","fields":[{{"name":"id","type":{scaled}}},{{"name":"part","type":"int"}}]}}"#
    );
    let of_value = format!(
        r#"{{"type":"record","name":"Value","fields":[{{"name":"id","type":{scaled}}},{{"name":"n","type":"int"}}]}}"#
    );
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await.avro(&of_key, &of_value).await;
    let send = async |n: i32, scale: i32, unscaled: &[u8]| {
        let id = number(scale, unscaled.to_vec());
        let value = record(&[("id", id.clone()), ("n", Value::Int(n))]);
        topic.send(Some(record(&[("id", id), ("part", Value::Int(7))])), Some(value)).await;
    };
    // 1.50 and 1.5 are the same number.
    for (n, scale, unscaled) in [(1, 2, &[0, 150][..]), (2, 1, &[15]), (3, 0, &[100]), (4, 3, &[255]), (5, 0, &[1])] {
        send(n, scale, unscaled).await;
    }
    // A tombstone of 1, written as 1.0.
    topic.send(Some(record(&[("id", number(1, vec![10])), ("part", Value::Int(7))])), None).await;
    let table = format!("SELECT id::text, part, n, _towpath_deleted FROM {} ORDER BY id", topic.table());
    rows_become(&database().await, &table, &["-0.001|7|4|f", "1|7|5|t", "1.5|7|2|f", "100|7|3|f"]).await;
    assert_eq!(psql(&format!("SELECT DISTINCT pg_typeof(id) FROM {}", topic.table())), "numeric");
}

#[tokio::test]
async fn values_of_debezium_go_into_columns_of_their_own_types() {
    let _stack = shared().await;
    let theirs = "\"schema.evolution\" = \"off\"\n\"metadata.columns\" = \"none\"\n\"delete.mode\" = \"hard\"\n";
    let worker = Worker::new("own_types").sink(&format!("{JSON}{theirs}")).start().await;
    let database = database().await;
    let table = format!("{}.zoo", worker.name);
    let create = format!(
        "CREATE SCHEMA IF NOT EXISTS {};
         CREATE TABLE {table} (no bigint PRIMARY KEY, bits bit(12), span interval, iso interval,
           mysql interval, clock time, at timestamp(3), doc json, place point, tags text[], clockz timetz)",
        worker.name
    );
    database.batch_execute(&create).await.unwrap();
    let topic = Topic::new(&table).await;
    let field = |field: &str, ty: &str, name: &str| json!({"field": field, "type": ty, "name": name, "optional": true});
    let number = |name: &str| json!({"field": name, "type": "double", "optional": false});
    let fields = json!([
        {"field": "bits", "type": "bytes", "name": "io.debezium.data.Bits", "parameters": {"length": "12"},
         "optional": true},
        field("span", "int64", "io.debezium.time.MicroDuration"),
        field("iso", "string", "io.debezium.time.Interval"),
        field("mysql", "int64", "io.debezium.time.MicroTime"),
        field("clock", "int64", "io.debezium.time.MicroTime"),
        field("at", "int64", "io.debezium.time.Timestamp"),
        field("doc", "string", "io.debezium.data.Json"),
        {"field": "place", "type": "struct", "name": "io.debezium.data.geometry.Point", "optional": true,
         "fields": [number("x"), number("y"), {"field": "wkb", "type": "bytes", "optional": true},
                    {"field": "srid", "type": "int32", "optional": true}]},
        {"field": "tags", "type": "array", "items": {"type": "string", "optional": true}, "optional": true},
        field("clockz", "string", "io.debezium.time.ZonedTime"),
    ]);
    let doc = r#"{"b": 1, "a": 1.0, "a": 1e2}"#;
    for (no, mysql, clock) in [(1, 3_020_399_000_000_i64, 86_399_999_999_i64), (2, -3_600_000_000, 3_020_399_000_000)] {
        let payload = json!({
            "bits": "AQg=", "span": 1_500_000, "iso": "P1Y2M3DT4H5M6S", "mysql": mysql, "clock": clock,
            "at": 1_700_000_000_123_i64, "doc": doc, "place": {"x": 1.5, "y": -2.0, "wkb": null, "srid": null},
            "tags": ["x", null, "z,\"q"], "clockz": "10:00:00.123456Z",
        });
        let value = json!({"schema": {"type": "struct", "optional": false, "fields": fields}, "payload": payload});
        topic.send_bytes(format!(r#"{{"no":{no}}}"#).as_bytes(), value.to_string().as_bytes(), &[]).await;
    }
    let letters = format!("SELECT \"offset\", error_text FROM towpath.dead_letter WHERE topic = '{table}'");
    let why = "the value is not from 00:00:00 to 24:00:00, the range of column `clock` (time without time zone)";
    let letter = format!("1|write field `clock` of record 0 of a statement: {why}");
    rows_become(&database, &letters, &[&letter]).await;
    let shown = psql(&format!("SELECT * FROM {table}"));
    let expected = "1|100000000001|00:00:01.5|1 year 2 mons 3 days 04:05:06|838:59:59|23:59:59.999999|\
                    2023-11-14 22:13:20.123|{\"b\": 1, \"a\": 1.0, \"a\": 1e2}|(1.5,-2)|\
                    {x,NULL,\"z,\\\"q\"}|10:00:00.123456+00";
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn rows_that_are_there_get_the_default_that_debezium_states() {
    let _stack = shared().await;
    let worker = Worker::new("stated").sink(JSON).start().await;
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await;
    let database = database().await;
    let send = async |no: i64, fields: serde_json::Value, payload: serde_json::Value| {
        let value = json!({"schema": {"type": "struct", "optional": false, "fields": fields}, "payload": payload});
        topic.send_bytes(format!(r#"{{"no":{no}}}"#).as_bytes(), value.to_string().as_bytes(), &[]).await;
    };
    send(1, json!([{"field": "a", "type": "int32", "optional": true}]), json!({"a": 1})).await;
    rows_become(&database, &format!("SELECT no, a FROM {}", topic.table()), &["1|1"]).await;
    let fields = json!([
        {"field": "a", "type": "int32", "optional": true},
        {"field": "h", "type": "int32", "optional": false, "default": 7},
        {"field": "d", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "optional": false,
         "parameters": {"scale": "2", "connect.decimal.precision": "5"}, "default": "fQ=="},
        {"field": "made", "type": "int64", "name": "io.debezium.time.MicroTimestamp", "optional": false, "default": 0},
    ]);
    send(2, fields, json!({"a": 2, "h": 8, "d": "fQ==", "made": 1})).await;
    let expected = ["1|1|7|1.25|", "2|2|8|1.25|1970-01-01 00:00:00.000001"];
    rows_become(&database, &format!("SELECT no, a, h, d, made FROM {} ORDER BY 1", topic.table()), &expected).await;
}

#[tokio::test]
async fn json_with_schemas_keeps_its_types() {
    let _stack = shared().await;
    let worker =
        Worker::new("json").sink("\"key.converter\" = \"json\"\n\"value.converter\" = \"json\"\n").start().await;
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await;
    let key = br#"{"schema":{"type":"struct","optional":false,"fields":[{"type":"int32","optional":false,
        "field":"id"}]},"payload":{"id":1}}"#;
    let schema = json!({"type": "struct", "optional": false, "fields": [
        {"type": "int32", "optional": false, "field": "id"},
        {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "2", "connect.decimal.precision": "30"}, "field": "money"},
        {"type": "string", "name": "io.debezium.time.ZonedTimestamp", "optional": true, "field": "at"},
        {"type": "string", "name": "io.debezium.data.Json", "optional": true, "field": "doc"},
        {"type": "bytes", "optional": true, "field": "raw"},
        {"type": "array", "items": {"type": "int64"}, "optional": true, "field": "list"}]});
    let payload = r#"{"id":1,"money":1234567890123456789012345678.91,"at":"2024-02-29T12:00:00Z","doc":"{\"n\": 1.10}",
        "raw":"AP8=","list":[9223372036854775807]}"#;
    topic.send_bytes(key, format!(r#"{{"schema":{schema},"payload":{payload}}}"#).as_bytes(), &[]).await;
    let database = database().await;
    rows_become(&database, &format!("SELECT id FROM {}", topic.table()), &["1"]).await;
    let shown = psql(&format!("SELECT money, at, doc, raw, list FROM {}", topic.table()));
    assert_eq!(
        shown,
        "1234567890123456789012345678.91|2024-02-29 12:00:00+00|{\"n\": 1.10}|\\x00ff|[9223372036854775807]"
    );
}

#[tokio::test]
async fn json_without_a_schema_goes_into_one_column_with_every_digit() {
    let _stack = shared().await;
    let sink = "\"key.converter\" = \"json\"\n\"key.converter.schemas.enable\" = false\n\
                \"value.converter\" = \"org.apache.kafka.connect.json.JsonConverter\"\n\
                \"value.converter.schemas.enable\" = \"false\"\n";
    let worker = Worker::new("bare").sink(sink).start().await;
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await;
    topic.send_bytes(br#"{"region":"eu","n":7}"#, br#"{"big": 12345678901234567890.123456789012345678901}"#, &[]).await;
    topic
        .send_bytes(
            br#"{"region":"eu","n":8}"#,
            br#"{"before":null,"after":{"a": [1, null]},"source":{"ts_ms":1},"op":"c"}"#,
            &[],
        )
        .await;
    let database = database().await;
    rows_become(
        &database,
        &format!("SELECT region, n, value FROM {} ORDER BY n", topic.table()),
        &[r#"eu|7|{"big": 12345678901234567890.123456789012345678901}"#, r#"eu|8|{"a": [1, null]}"#],
    )
    .await;
    assert_eq!(psql(&format!("SELECT DISTINCT pg_typeof(value) FROM {}", topic.table())), "jsonb");
}

#[tokio::test]
async fn texts_are_rows_of_an_id_and_a_value() {
    let _stack = shared().await;
    let worker =
        Worker::new("texts").sink("\"key.converter\" = \"string\"\n\"value.converter\" = \"string\"\n").start().await;
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await;
    topic.send_bytes(b"k", "Größe".as_bytes(), &[]).await;
    rows_become(&database().await, &format!("SELECT id, value FROM {}", topic.table()), &["k|Größe"]).await;
}

#[tokio::test]
async fn a_guid_unknown_to_the_registry_is_reported_in_the_dead_letter() {
    let _stack = shared().await;
    let worker = Worker::new("guid").sink("\"key.converter\" = \"string\"\nschema.unknown.wait.ms = 0\n").start().await;
    let topic = Topic::new(&format!("{}.zoo", worker.name)).await;
    let header = [&[1_u8], Uuid::from_u128(7).as_bytes().as_slice()].concat();
    topic.send_bytes(b"k", &[2], &[("__value_schema_id", &header)]).await;
    rows_become(&database().await, &topic.dead_letters(), &["0|registry.no_guids"]).await;
}
