//! Schemas and records as other producers write them, which apache-avro refuses or reads without their meaning.

use std::sync::Arc;

use towpath_api::{Body, Change, RecordOp, json::to_json};

use super::foreign::{REGISTRY, code};
use crate::avro::{
    codec::{Decoded, Decoder, Reading, ReadingSettings, VersionField},
    schema::{semantic, shape::Prepared},
};

/// Decodes a datum, given in hexadecimal, by the text of its schema.
fn read(schema: &str, datum: &str, settings: ReadingSettings) -> Body {
    let mut decoder = Decoder::reading(REGISTRY.clone(), Reading::new(settings));
    decoder.insert(1_u32, Arc::new(Prepared::new(&semantic::parse(schema).unwrap())));
    let digits =
        datum.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap());
    let value: Vec<u8> = [0, 0, 0, 0, 1].into_iter().chain(digits).collect();
    match decoder.decode(None, Some(&value)) {
        Decoded::Body(body) => body,
        Decoded::NeedsSchema(id) => panic!("schema {id} is not cached"),
    }
}

fn change(schema: &str, datum: &str) -> Change {
    match read(schema, datum, ReadingSettings::default()) {
        Body::Change(change) => *change,
        other => panic!("no change: {other:?}"),
    }
}

/// The fields of a record with their names, as JSON.
fn fields(schema: &str, datum: &str) -> String {
    let Change { schema, after, .. } = change(schema, datum);
    let names = crate::avro::schema::shape::fields(&schema).iter();
    let shown = names
        .zip(after.unwrap())
        .map(|(field, value)| format!("{}={}", field.name, to_json(&value, &field.schema).unwrap()));
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn names_as_java_writes_them_are_read() {
    let users = r#"{"type":"record","name":"Value","namespace":"my-server.public.users",
        "fields":[{"name":"user_no","type":"long"},{"name":"name","type":["null","string"],"default":null}]}"#;
    assert_eq!(fields(users, "0e0206416e6e"), r#"user_no=7 name="Ann""#);
    let nested = r#"{"type":"record","name":"Value","namespace":"1st.users","aliases":["a-b"],"fields":[
        {"name":"größe","type":"long"},{"name":"$type","type":"string"},
        {"name":"at","type":{"type":"record","name":"my-server.Address","fields":[{"name":"in-city","type":"string"}]}},
        {"name":"old","type":["null","my-server.Address"]},
        {"name":"state","type":{"type":"enum","name":"S-1","symbols":["in-progress","done"],"default":"gone"}},
        {"name":"was","type":"S-1"}]}"#;
    assert_eq!(
        fields(nested, "54024102420202430002"),
        r#"größe=42 $type="A" at={"in-city":"B"} old={"in-city":"C"} state="in-progress" was="done""#
    );
}

#[test]
fn defaults_and_attributes_that_do_not_fit_are_ignored() {
    for (field, datum, expected) in [
        (r#"{"name":"amount","type":"int","default":"0"}"#, "0a", "amount=5"),
        (r#"{"name":"amount","type":["null","long"],"default":""}"#, "020a", "amount=5"),
        (r#"{"name":"amount","type":"int","order":"upwards","aliases":["0"]}"#, "0a", "amount=5"),
        (r#"{"name":"amount","type":{"type":"int","logicalType":7}}"#, "0a", "amount=5"),
        (r#"{"name":"ref","type":{"type":"array","items":"int"},"default":{}}"#, "020a00", "ref=[5]"),
        (
            r#"{"name":"ref","type":{"type":"string","logicalType":"uuid"},"default":""}"#,
            "4864653331623063362d303030302d343030302d383030302d303030303030303030303031",
            r#"ref="de31b0c6-0000-4000-8000-000000000001""#,
        ),
    ] {
        let schema = format!(r#"{{"type":"record","name":"V","fields":[{field}]}}"#);
        assert_eq!(fields(&schema, datum), expected);
    }
}

#[test]
fn a_type_that_contains_itself_becomes_json() {
    let list = r#"{"type":"record","name":"Node","fields":[{"name":"label","type":"string"},
        {"name":"next","type":["null","Node"],"default":null}]}"#;
    assert_eq!(fields(list, "024102024200"), r#"label="A" next="{\"label\":\"B\",\"next\":null}""#.to_owned());
    assert_eq!(fields(list, "024100"), r#"label="A" next=null"#);
    // In an envelope `before` is skipped, and a tree has several references to itself.
    let tree = r#"{"type":"record","name":"Envelope","fields":[
        {"name":"before","type":["null",{"type":"record","name":"T","fields":[
            {"name":"at","type":{"type":"int","connect.name":"io.debezium.time.Date"}},
            {"name":"children","type":{"type":"array","items":"T"}}]}]},
        {"name":"after","type":["null","T"]},{"name":"source","type":{"type":"record","name":"S","fields":[]}},
        {"name":"op","type":"string"}]}"#;
    let (leaf, before) = ("0200", "020402000000");
    let whole = format!("{before}02{}0275", format_args!("02{}", format_args!("04{leaf}{leaf}00")));
    let one = r#"{\"at\":\"1970-01-02\",\"children\":[]}"#;
    assert_eq!(fields(tree, &whole), format!(r#"at="1970-01-02" children="[{one},{one}]""#));
}

#[test]
fn nesting_without_end_is_refused_and_not_a_crash() {
    let list = r#"{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]}]}"#;
    let deep = |levels: usize| read(list, &format!("{}00", "02".repeat(levels)), ReadingSettings::default());
    assert!(matches!(deep(100), Body::Change(_)));
    assert_eq!(code(&deep(1_000_000)), "decode.too_large");
}

const FLAT: &str = r#"{"type":"record","name":"V","fields":[{"name":"name","type":["null","string"]},
    {"name":"__deleted","type":["null","string"]}]}"#;

#[test]
fn a_rewritten_delete_deletes() {
    let kept = change(FLAT, "0206416e6e020a66616c7365");
    assert_eq!((kept.op, fields(FLAT, "0206416e6e020a66616c7365")), (RecordOp::Update, r#"name="Ann""#.to_owned()));
    let deleted = change(FLAT, "00020874727565");
    assert_eq!((deleted.op, deleted.after), (RecordOp::Delete, None));
    assert_eq!(change(FLAT, "0206416e6e00").op, RecordOp::Update);
    assert_eq!(code(&read(FLAT, "0002026e", ReadingSettings::default())), "decode.deleted_field");
    // Without the setting it is a field like any other.
    let settings = ReadingSettings { deleted: String::new(), ..ReadingSettings::default() };
    let Body::Change(whole) = read(FLAT, "00020874727565", settings) else { panic!("a change") };
    assert_eq!((whole.op, whole.after.map(|after| after.len())), (RecordOp::Update, Some(2)));
    // A delete's record has fillers, so its version has no meaning.
    let settings = ReadingSettings { version: Some(VersionField::parse("name")), ..ReadingSettings::default() };
    let Body::Change(deleted) = read(FLAT, "00020874727565", settings) else { panic!("a change") };
    assert_eq!((deleted.op, deleted.version), (RecordOp::Delete, None));
}

#[test]
fn a_flat_record_keeps_values_that_were_unavailable() {
    let flat = r#"{"type":"record","name":"V","fields":[{"name":"__deleted","type":"string"},
        {"name":"big","type":"string"},{"name":"v","type":"string"}]}"#;
    let placeholder = super::super::UNAVAILABLE_VALUE;
    let hex: String = placeholder.bytes().map(|byte| format!("{byte:02x}")).collect();
    let whole = change(flat, &format!("0a66616c7365{:02x}{hex}0278", placeholder.len() * 2));
    assert_eq!(whole.changed, Some(vec![1, Change::UNAVAILABLE]));
}

#[test]
fn records_about_debezium_itself_have_no_version() {
    let by_lsn = || ReadingSettings { version: Some(VersionField::parse("source.lsn")), ..ReadingSettings::default() };
    for (name, body) in [
        ("io.debezium.connector.common.Heartbeat", true),
        ("io.debezium.connector.common.TransactionMetadataValue", true),
        ("io.debezium.connector.mysql.SchemaChangeValue", true),
        ("shop.Heartbeat", false),
    ] {
        let schema = format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"ts_ms","type":"long"}}]}}"#);
        match read(&schema, "02", by_lsn()) {
            Body::Filtered => assert!(body, "{name}"),
            other => assert_eq!((body, code(&other)), (false, "decode.version_absent"), "{name}"),
        }
        assert!(matches!(read(&schema, "02", ReadingSettings::default()), Body::Change(_)), "{name}");
    }
}

#[test]
fn a_record_of_an_incremental_snapshot_has_no_version() {
    let envelope = r#"{"type":"record","name":"Envelope","fields":[
        {"name":"before","type":["null",{"type":"record","name":"V","fields":[{"name":"a","type":"int"}]}]},
        {"name":"after","type":["null","V"]},
        {"name":"source","type":{"type":"record","name":"S","fields":[{"name":"lsn","type":["null","long"]}]}},
        {"name":"op","type":"string"}]}"#;
    let of = |op: &str| {
        let settings =
            ReadingSettings { version: Some(VersionField::parse("source.lsn")), ..ReadingSettings::default() };
        read(envelope, &format!("00020200{op}"), settings)
    };
    let Body::Change(snapshot) = of("0272") else { panic!("a change") };
    assert_eq!((snapshot.op, snapshot.version), (RecordOp::Read, None));
    assert_eq!(code(&of("0275")), "decode.version_null");
}
