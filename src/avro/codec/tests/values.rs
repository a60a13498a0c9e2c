//! Forms of values (Debezium's envelope, plain records, bare values), and versions from a field.

use towpath_api::{Identity, RecordOp};

use super::{foreign::*, *};
use crate::avro::codec::{Reading, ReadingSettings, VersionField};

const KEY: &str = r#"{"type":"record","name":"Key","namespace":"s.public.t","fields":[{"name":"id","type":"int"}]}"#;

/// The schema that Debezium's Postgres connector registers, shortened.
const ENVELOPE: &str = r#"{"type":"record","name":"Envelope","namespace":"s.public.t","fields":[
    {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
        {"name":"id","type":"int"},
        {"name":"body","type":["null","string"],"default":null},
        {"name":"raw","type":["null","bytes"],"default":null},
        {"name":"tags","type":["null",{"type":"array","items":["null","string"]}],"default":null},
        {"name":"counts","type":["null",{"type":"array","items":["null","int"]}],"default":null},
        {"name":"at","type":["null",
            {"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}],"default":null},
        {"name":"seen","type":{"type":"string","connect.version":1,"connect.default":"1970-01-01T00:00:00Z",
            "connect.name":"io.debezium.time.ZonedTimestamp"},"default":"1970-01-01T00:00:00Z"}
    ],"connect.name":"s.public.t.Value"}],"default":null},
    {"name":"after","type":["null","Value"],"default":null},
    {"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[
        {"name":"ts_ms","type":"long"},
        {"name":"snapshot","type":[{"type":"string","connect.version":1,"connect.parameters":{"allowed":"true,false"},
            "connect.default":"false","connect.name":"io.debezium.data.Enum"},"null"],"default":"false"},
        {"name":"lsn","type":["null","long"],"default":null}],
        "connect.name":"io.debezium.connector.postgresql.Source"}},
    {"name":"op","type":"string"},
    {"name":"ts_ms","type":["null","long"],"default":null}],"connect.version":2,"connect.name":"s.public.t.Envelope"}"#;

const PLACEHOLDER: &str = UNAVAILABLE_VALUE;

fn settings(version: Option<&str>, unavailable: &str) -> Reading {
    let version = version.map(VersionField::parse);
    Reading::new(ReadingSettings { version, unavailable: unavailable.to_owned(), ..ReadingSettings::default() })
}

fn row(body: Value, raw: Value, tags: Value, counts: Value, at: Value) -> Value {
    let seen = text("1970-01-01T00:00:01Z");
    record(&[
        ("id", Value::Int(1)),
        ("body", body),
        ("raw", raw),
        ("tags", tags),
        ("counts", counts),
        ("at", at),
        ("seen", seen),
    ])
}

fn usual_row() -> Value {
    row(some(text("b")), null(), null(), null(), some(Value::Long(7)))
}

fn envelope(op: &str, before: Option<Value>, after: Option<Value>, lsn: Option<i64>) -> Value {
    let optional = |value: Option<Value>| value.map_or_else(null, some);
    let source = record(&[
        ("ts_ms", Value::Long(1_700)),
        ("snapshot", Value::Union(0, Box::new(text("false")))),
        ("lsn", optional(lsn.map(Value::Long))),
    ]);
    record(&[
        ("before", optional(before)),
        ("after", optional(after)),
        ("source", source),
        ("op", text(op)),
        ("ts_ms", null()),
    ])
}

fn key() -> Value {
    record(&[("id", Value::Int(1))])
}

#[test]
fn debeziums_envelope_is_decoded_as_a_change() {
    let topic = Foreign::new(KEY, ENVELOPE);
    for (letter, op) in [("c", RecordOp::Create), ("u", RecordOp::Update), ("r", RecordOp::Read)] {
        let change = change(topic.read(Some(key()), Some(envelope(letter, None, Some(usual_row()), None))));
        assert_eq!((change.op, change.source_time_ms, change.version), (op, Some(1_700), None));
        assert_eq!(change.key.unwrap().identity, Identity::Long(1));
        assert_eq!(change.changed, None);
        let after = change.after.unwrap();
        assert_eq!(after[1..6], [text("b"), Value::Null, Value::Null, Value::Null, Value::LocalTimestampMicros(7)]);
        assert_eq!(after[6], Value::TimestampMicros(1_000_000));
    }
    let delete = change(topic.read(Some(key()), Some(envelope("d", Some(usual_row()), None, None))));
    assert_eq!((delete.op, delete.after), (RecordOp::Delete, None));
    let truncate = change(topic.read(None, Some(envelope("t", None, None, None))));
    assert!(truncate.op == RecordOp::Truncate && truncate.key.is_none() && truncate.after.is_none());
    assert!(matches!(topic.read(None, Some(envelope("m", None, None, None))), Body::Filtered));
    assert_eq!(code(&topic.read(Some(key()), Some(envelope("x", None, Some(usual_row()), None)))), "decode.unknown_op");
    assert_eq!(code(&topic.read(Some(key()), Some(envelope("u", None, None, None)))), "decode.no_after");
}

#[test]
fn a_logical_decoding_message_is_filtered() {
    let schema = r#"{"type":"record","name":"MessageValue","fields":[{"name":"op","type":"string"},
        {"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"ts_ms","type":"long"}]}},
        {"name":"message","type":{"type":"record","name":"Message","fields":[{"name":"content","type":"bytes"}]}}]}"#;
    let message = record(&[("content", Value::Bytes(vec![1]))]);
    let value = record(&[("op", text("m")), ("source", record(&[("ts_ms", Value::Long(1))])), ("message", message)]);
    assert!(matches!(Foreign::of_values(schema).read(None, Some(value)), Body::Filtered));
}

#[test]
fn unavailable_values_are_not_changed() {
    let topic = Foreign::new(KEY, ENVELOPE);
    let texts = some(Value::Array(vec![some(text(PLACEHOLDER))]));
    let numbers = some(Value::Array(PLACEHOLDER.bytes().map(|byte| some(Value::Int(byte.into()))).collect()));
    let bytes = some(Value::Bytes(PLACEHOLDER.into()));
    let after = row(some(text(PLACEHOLDER)), bytes, texts, numbers, null());
    let change = change(topic.read(Some(key()), Some(envelope("u", None, Some(after), None))));
    assert_eq!(change.changed, Some(vec![0, 5, 6, u16::MAX]));
    assert_eq!(change.after.unwrap()[1..5], [Value::Null, Value::Null, Value::Null, Value::Null]);
}

#[test]
fn a_placeholder_in_an_array_of_times_is_recognized() {
    let zoned = r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.time.ZonedTimestamp"}"#;
    let micros = r#"{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}"#;
    let schema = format!(
        r#"{{"type":"record","name":"e","fields":[
            {{"name":"before","type":["null",{{"type":"record","name":"v","fields":[
                {{"name":"zoned","type":["null",{{"type":"array","items":["null",{zoned}]}}]}},
                {{"name":"local","type":["null",{{"type":"array","items":["null",{micros}]}}]}},
                {{"name":"n","type":"int"}}]}}]}},
            {{"name":"after","type":["null","v"]}},
            {{"name":"source","type":{{"type":"record","name":"s","fields":[{{"name":"ts_ms","type":"long"}}]}}}},
            {{"name":"op","type":"string"}}]}}"#
    );
    let event = |zoned: &str| {
        let bytes = PLACEHOLDER.bytes().map(|byte| some(Value::Long(byte.into()))).collect();
        let zoned = some(Value::Array(vec![some(text(zoned))]));
        let after = record(&[("zoned", zoned), ("local", some(Value::Array(bytes))), ("n", Value::Int(7))]);
        let source = record(&[("ts_ms", Value::Long(1))]);
        record(&[("before", null()), ("after", some(after)), ("source", source), ("op", text("u"))])
    };
    let topic = Foreign::of_values(&schema);
    let found = topic.change(event(PLACEHOLDER));
    assert_eq!(
        (found.changed, found.after),
        (Some(vec![2, u16::MAX]), Some(vec![Value::Null, Value::Null, Value::Int(7)]))
    );
    assert_eq!(code(&topic.read(None, Some(event("never")))), "decode.malformed");
}

#[test]
fn the_placeholder_is_configurable_and_applies_to_plain_records_too() {
    let other = Foreign::reading(KEY, ENVELOPE, settings(None, "gone"));
    let after = |body: &str| envelope("u", None, Some(row(some(text(body)), null(), null(), null(), null())), None);
    assert_eq!(change(other.read(Some(key()), Some(after("gone")))).changed, Some(vec![0, 2, 3, 4, 5, 6, u16::MAX]));
    assert_eq!(change(other.read(Some(key()), Some(after(PLACEHOLDER)))).changed, None);
    let plain = Foreign::of_values(r#"{"type":"record","name":"r","fields":[{"name":"v","type":"string"}]}"#);
    assert_eq!(plain.change(record(&[("v", text(PLACEHOLDER))])).changed, Some(vec![towpath_api::Change::UNAVAILABLE]));
    assert_eq!(plain.change(record(&[("v", text("x"))])).changed, None);
}

#[test]
fn a_plain_record_is_an_upsert() {
    let schema = r#"["null",{"type":"record","name":"r","fields":[
        {"name":"id","type":"int"},{"name":"v","type":["null","string"]}]}]"#;
    let topic = Foreign::new(r#""int""#, schema);
    let value = some(record(&[("id", Value::Int(1)), ("v", some(text("a")))]));
    let found = change(topic.read(Some(Value::Int(1)), Some(value)));
    assert_eq!((found.op, found.changed, found.version), (RecordOp::Update, None, None));
    assert_eq!(found.after, Some(vec![Value::Int(1), text("a")]));
    assert!(tombstone(topic.read(Some(Value::Int(1)), Some(null()))).is_some());
}

#[test]
fn a_bare_value_becomes_a_record_with_one_field() {
    let date = r#"{"type":"int","connect.name":"io.debezium.time.Date"}"#;
    let maybe_date = r#"["null",{"type":"int","logicalType":"date"}]"#;
    for (schema, given, kind, expected) in [
        (r#""string""#, text("a"), Schema::String, text("a")),
        (date, Value::Int(3), Schema::Date, Value::Date(3)),
        (&format!(r#"["null",{date}]"#), some(Value::Int(3)), Schema::parse_str(maybe_date).unwrap(), Value::Date(3)),
        (r#"["null","long"]"#, some(Value::Long(3)), Schema::parse_str(r#"["null","long"]"#).unwrap(), Value::Long(3)),
    ] {
        let change = Foreign::of_values(schema).change(given);
        assert_eq!(types(&change.schema), [("value".to_owned(), kind)]);
        assert_eq!(change.after, Some(vec![expected]));
    }
    assert_eq!(code(&Foreign::of_values("\"null\"").read(None, Some(Value::Null))), "decode.unusable_schema");
}

fn versions(field: &str) -> Foreign {
    Foreign::reading(KEY, ENVELOPE, settings(Some(field), PLACEHOLDER))
}

#[test]
fn the_version_is_read_from_the_configured_field() {
    let read = |field: &str, value: Value| versions(field).read(Some(key()), Some(value));
    let version = |body: Body| change(body).version.map(|version| (version.ts, version.seq, version.rank));
    assert_eq!(version(read("source.lsn", envelope("u", None, Some(usual_row()), Some(41)))), Some((42, 0, 0)));
    assert_eq!(version(read("source.lsn", envelope("d", None, None, Some(0)))), Some((1, 0, 0)));
    assert_eq!(version(read("source.ts_ms", envelope("u", None, Some(usual_row()), None))), Some((1_701, 0, 0)));
    assert_eq!(version(read("at", envelope("u", None, Some(usual_row()), None))), Some((8, 0, 0)));
    // The row before a delete may have defaults instead of its values.
    assert_eq!(version(read("at", envelope("d", Some(usual_row()), None, None))), None);
    assert_eq!(version(read("at", envelope("d", None, None, None))), None);
    assert_eq!(code(&read("source.lsn", envelope("u", None, Some(usual_row()), None))), "decode.version_null");
    assert_eq!(code(&read("source.lsn", envelope("u", None, Some(usual_row()), Some(-1)))), "decode.version_range");
    assert_eq!(
        code(&read("source.lsn", envelope("u", None, Some(usual_row()), Some(i64::MAX)))),
        "decode.version_range"
    );
    assert_eq!(code(&read("body", envelope("u", None, Some(usual_row()), None))), "decode.version_range");
    assert_eq!(
        code(&read(
            "tags",
            envelope("u", None, Some(row(null(), null(), some(Value::Array(vec![])), null(), null())), None)
        )),
        "decode.version_type"
    );
    assert_eq!(code(&read("nothing", envelope("u", None, Some(usual_row()), None))), "decode.version_absent");
    // A truncate has a position in the log of its source, but no record.
    assert_eq!(version(read("source.lsn", envelope("t", None, None, Some(41)))), Some((42, 0, 0)));
    assert_eq!(code(&read("source.lsn", envelope("t", None, None, None))), "decode.version_null");
    assert_eq!(version(read("at", envelope("t", None, None, Some(41)))), None);
}

#[test]
fn a_version_is_parsed_from_digits_or_a_postgres_log_position() {
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"v","type":"string"}]}"#;
    let topic = Foreign::reading(r#""int""#, schema, settings(Some("v"), PLACEHOLDER));
    let version = |given: &str| topic.change(record(&[("v", text(given))])).version.unwrap().ts;
    assert_eq!(version("41"), 42);
    assert_eq!(version("16/B374D848"), (0x16 << 32 | 0xB374_D848) + 1);
    assert!(version("2/0") > version("1/FFFFFFFF"));
}
