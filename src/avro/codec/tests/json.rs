//! Records of Connect's JSON converter, with and without schemas, and of its string converter.

use serde_json::{Value as Json, json};
use towpath_api::{Identity, RecordKey, RecordOp};

use super::{foreign::*, *};
use crate::avro::{
    codec::{Form, Reading, ReadingSettings, VersionField},
    schema::shape::fields,
};

fn decoder(key: Form, value: Form, version: Option<&str>) -> Decoder {
    let version = version.map(VersionField::parse);
    Decoder::reading(
        REGISTRY.clone(),
        Reading::new(ReadingSettings { key, value, version, ..ReadingSettings::default() }),
    )
}

fn read(decoder: &Decoder, key: Option<&str>, value: Option<&str>) -> Body {
    match decoder.decode(key.map(str::as_bytes), value.map(str::as_bytes)) {
        Decoded::Body(body) => body,
        Decoded::NeedsSchema(id) => panic!("JSON needs no schema, but {id} is requested"),
    }
}

fn value(form: Form, value: &str) -> Body {
    read(&decoder(Form::Text, form, None), Some("k"), Some(value))
}

fn key(form: Form, key: &str) -> Result<Option<RecordKey>, &'static str> {
    match read(&decoder(form, Form::Text, None), Some(key), None) {
        Body::Tombstone(key) => Ok(key),
        other => Err(code(&other)),
    }
}

/// An optional field of a struct.
fn field(name: &str, mut ty: Json) -> Json {
    ty["field"] = json!(name);
    ty["optional"] = json!(true);
    ty
}

fn with_schema(ty: &Json, payload: &str) -> String {
    let schema = json!({"type": "struct", "optional": false, "name": "t", "fields": [field("v", ty.clone())]});
    format!(r#"{{"schema":{schema},"payload":{{"v":{payload}}}}}"#)
}

/// Decodes a struct with one field, and returns the type and value of this field.
fn typed(ty: &Json, payload: &str) -> (Schema, Value) {
    let mut change = change(value(Form::JsonWithSchema, &with_schema(ty, payload)));
    let Schema::Union(union) = types(&change.schema).swap_remove(0).1 else { panic!("the field is optional") };
    (union.variants()[1].clone(), change.after.as_mut().unwrap().swap_remove(0))
}

#[test]
fn each_type_of_connects_schemas_is_converted() {
    let plain = |ty: &str| json!({"type": ty});
    let named = |ty: &str, name: &str| json!({"type": ty, "name": name, "version": 1});
    for (ty, payload, schema, expected) in [
        (plain("int8"), "-128", Schema::Int, Value::Int(-128)),
        (plain("int16"), "7", Schema::Int, Value::Int(7)),
        (plain("int32"), "2147483647", Schema::Int, Value::Int(i32::MAX)),
        (plain("int64"), "9223372036854775807", Schema::Long, Value::Long(i64::MAX)),
        (plain("float"), "1.5", Schema::Float, Value::Float(1.5)),
        (plain("double"), "1e300", Schema::Double, Value::Double(1e300)),
        (plain("double"), "\"-Infinity\"", Schema::Double, Value::Double(f64::NEG_INFINITY)),
        (plain("boolean"), "true", Schema::Boolean, Value::Boolean(true)),
        (plain("string"), r#""a\"\u00e4""#, Schema::String, text("a\"ä")),
        (plain("bytes"), r#""AAH/""#, Schema::Bytes, Value::Bytes(vec![0, 1, 255])),
        (named("int32", "org.apache.kafka.connect.data.Date"), "3", Schema::Date, Value::Date(3)),
        (named("int32", "org.apache.kafka.connect.data.Time"), "3", Schema::TimeMillis, Value::TimeMillis(3)),
        (
            named("int64", "org.apache.kafka.connect.data.Timestamp"),
            "-3",
            Schema::TimestampMicros,
            Value::TimestampMicros(-3_000),
        ),
        (named("int32", "io.debezium.time.Date"), "3", Schema::Date, Value::Date(3)),
        (named("int64", "io.debezium.time.MicroTime"), "3", Schema::TimeMicros, Value::TimeMicros(3)),
        (named("int64", "io.debezium.time.NanoTime"), "3000", Schema::TimeMicros, Value::TimeMicros(3)),
        (
            named("int64", "io.debezium.time.NanoTimestamp"),
            "-3000",
            Schema::LocalTimestampMicros,
            Value::LocalTimestampMicros(-3),
        ),
        (
            named("int64", "io.debezium.time.MicroTimestamp"),
            "3",
            Schema::LocalTimestampMicros,
            Value::LocalTimestampMicros(3),
        ),
        (
            named("string", "io.debezium.time.ZonedTimestamp"),
            "\"1970-01-01T00:00:00.000003Z\"",
            Schema::TimestampMicros,
            Value::TimestampMicros(3),
        ),
    ] {
        assert_eq!(typed(&ty, payload), (schema, expected), "{ty}");
        assert_eq!(typed(&ty, "null").1, Value::Null, "{ty}");
    }
}

#[test]
fn decimals_are_bytes_or_numbers_and_keep_their_digits() {
    let ty = json!({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal",
        "parameters": {"scale": "2", "connect.decimal.precision": "30"}});
    let decimal = |number: i128| {
        Value::Decimal(apache_avro::Decimal::from(num_bigint::BigInt::from(number).to_signed_bytes_be()))
    };
    for (payload, number) in [
        ("\"BNI=\"", 1_234),
        ("12.34", 1_234),
        ("-12.3", -1_230),
        ("1234567890123456789012345.67", 123_456_789_012_345_678_901_234_567),
        ("1.2300", 123),
        ("1e3", 100_000),
        ("0.000", 0),
    ] {
        let (schema, value) = typed(&ty, payload);
        let Schema::Decimal(schema) = schema else { panic!("a decimal") };
        assert_eq!((schema.precision, schema.scale, value), (30, 2, decimal(number)), "{payload}");
    }
    for payload in ["12.345", "1e999999999", "1e-999999999", "true"] {
        assert_eq!(code(&value(Form::JsonWithSchema, &with_schema(&ty, payload))), "decode.json_payload", "{payload}");
    }
    let hundreds =
        json!({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "-2"}});
    for payload in ["\"BNI=\"", "123400", "1.234e5"] {
        assert_eq!(typed(&hundreds, payload).1, Value::BigDecimal("123400".parse().unwrap()), "{payload}");
    }
    assert_eq!(code(&value(Form::JsonWithSchema, &with_schema(&hundreds, "123450"))), "decode.json_payload");
}

#[test]
fn a_number_that_no_type_holds_is_refused_and_never_rounded_to_infinity() {
    for ty in ["float", "double"] {
        let ty = json!({ "type": ty });
        for payload in ["1e999999999", "-1e999999999", "1e400"] {
            let body = value(Form::JsonWithSchema, &with_schema(&ty, payload));
            assert_eq!(code(&body), "decode.json_payload", "{payload}");
        }
        assert!(matches!(typed(&ty, "\"Infinity\"").1, Value::Float(_) | Value::Double(_)));
    }
    let name = "org.apache.kafka.connect.data.Decimal";
    for scale in ["0", "2", "-2", "65536", "9223372036854775807"] {
        let ty = json!({"type": "bytes", "name": name, "parameters": {"scale": scale}});
        for payload in ["1e9223372036854775807", "1e-9223372036854775807", "1e99999999999999999999", "1e20000"] {
            let body = value(Form::JsonWithSchema, &with_schema(&ty, payload));
            assert!(code(&body).starts_with("decode."), "{payload} at scale {scale}");
        }
    }
    let long = "1".repeat(200_000);
    let ty = json!({"type": "bytes", "name": name, "parameters": {"scale": "0"}});
    assert_eq!(code(&value(Form::JsonWithSchema, &with_schema(&ty, &long))), "decode.json_payload");
}

#[test]
fn a_payload_that_grows_beyond_the_limit_is_refused() {
    let decimal = json!({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal",
                         "parameters": {"scale": "0"}});
    let array = json!({"type": "array", "items": decimal});
    let numbers = format!("[{}]", vec!["1e16000"; 20_000].join(","));
    assert_eq!(code(&value(Form::JsonWithSchema, &with_schema(&array, &numbers))), "decode.too_large");
    let fields: Vec<_> =
        (0..1_000).map(|at| json!({"type": "int32", "optional": true, "field": format!("f{at}")})).collect();
    let array = json!({"type": "array", "items": {"type": "struct", "fields": fields}});
    let empty = format!("[{}]", vec!["{}"; 100_000].join(","));
    assert_eq!(code(&value(Form::JsonWithSchema, &with_schema(&array, &empty))), "decode.too_large");
}

#[test]
fn structs_arrays_and_maps_are_converted() {
    let inner = json!({"type": "struct", "fields": [
        field("a", json!({"type": "int32"})), field("not-avro", json!({"type": "string"}))]});
    let array = json!({"type": "array", "items": inner});
    let (schema, value) = typed(&array, r#"[{"not-avro":"x","a":1},{}]"#);
    let shown = towpath_api::json::to_json(&value, &schema).unwrap();
    assert_eq!(shown, json!([{"a": 1, "not-avro": "x"}, {"a": null, "not-avro": null}]));
    let map = json!({"type": "map", "keys": {"type": "string"}, "values": {"type": "int64"}});
    let (schema, value) = typed(&map, r#"{"a":1,"b":2}"#);
    assert_eq!(towpath_api::json::to_json(&value, &schema).unwrap(), json!({"a": 1, "b": 2}));
    let map = json!({"type": "map", "keys": {"type": "int32"}, "values": {"type": "int64"}});
    let (schema, value) = typed(&map, "[[1,2]]");
    assert_eq!(towpath_api::json::to_json(&value, &schema).unwrap(), json!([{"key": 1, "value": 2}]));
    let scaled = json!({"type": "struct", "name": "io.debezium.data.VariableScaleDecimal", "fields": [
        {"type": "int32", "field": "scale"}, {"type": "bytes", "field": "value"}]});
    assert_eq!(typed(&scaled, r#"{"scale":1,"value":"BQ=="}"#).1, Value::BigDecimal("0.5".parse().unwrap()));
}

#[test]
fn debeziums_envelope_in_json_is_decoded_as_a_change() {
    let row = json!({"type": "struct", "name": "s.t.Value", "fields": [
        {"type": "int32", "optional": false, "field": "id"},
        field("doc", json!({"type": "string", "name": "io.debezium.data.Json"})),
        field("big-text", json!({"type": "string"}))]});
    let source = json!({"type": "struct", "optional": false, "field": "source", "fields": [
        {"type": "int64", "optional": false, "field": "ts_ms"}, field("lsn", json!({"type": "int64"}))]});
    let schema = json!({"type": "struct", "name": "s.t.Envelope", "optional": false, "fields": [
        field("before", row.clone()), field("after", row), source,
        {"type": "string", "optional": false, "field": "op"}]});
    let envelope = |payload: &str| format!(r#"{{"schema":{schema},"payload":{payload}}}"#);
    let decoder = decoder(Form::JsonWithSchema, Form::JsonWithSchema, Some("source.lsn"));
    let key =
        r#"{"schema":{"type":"struct","optional":false,"fields":[{"type":"int32","field":"id"}]},"payload":{"id":1}}"#;
    let payload = r#"{"before":null,"after":{"id":1,"doc":"{}","big-text":"__debezium_unavailable_value"},
        "source":{"ts_ms":5,"lsn":6},"op":"u"}"#;
    let found = change(read(&decoder, Some(key), Some(&envelope(payload))));
    assert_eq!((found.op, found.source_time_ms, found.version.unwrap().ts), (RecordOp::Update, Some(5), 7));
    assert_eq!((found.key.unwrap().identity, found.changed), (Identity::Long(1), Some(vec![0, 1, u16::MAX])));
    let fields = fields(&found.schema);
    assert_eq!(fields[2].name, "big-text");
    assert!(towpath_api::json::is_json_text(&fields[1]));
    let again = change(read(&decoder, Some(key), Some(&envelope(payload))));
    assert!(Arc::ptr_eq(&found.schema, &again.schema));
    let delete = r#"{"before":{"id":1},"after":null,"source":{"ts_ms":5,"lsn":6},"op":"d"}"#;
    assert_eq!(change(read(&decoder, Some(key), Some(&envelope(delete)))).op, RecordOp::Delete);
    assert!(matches!(read(&decoder, Some(key), Some(&envelope("null"))), Body::Tombstone(Some(_))));
    assert!(matches!(read(&decoder, Some(key), None), Body::Tombstone(Some(_))));
}

#[test]
fn each_defect_of_json_has_its_code_and_names_the_field() {
    for (given, expected) in [
        ("{", "decode.json"),
        ("\u{0}", "decode.json"),
        ("{} {}", "decode.json"),
        (r#"{"id":1}"#, "decode.json_schema"),
        ("[1]", "decode.json_schema"),
        (r#"{"schema":{"type":"integer"},"payload":1}"#, "decode.unusable_schema"),
        (r#"{"schema":{"type":"int32"},"payload":"canary"}"#, "decode.json_payload"),
        (r#"{"schema":{"type":"int32"},"payload":2147483648}"#, "decode.json_payload"),
        (r#"{"schema":{"type":"int32"},"payload":1.5}"#, "decode.json_payload"),
    ] {
        let body = value(Form::JsonWithSchema, given);
        assert_eq!(code(&body), expected, "{given}");
        assert!(!format!("{body:?}").contains("canary"));
    }
    let Body::Undecodable { reason, .. } =
        value(Form::JsonWithSchema, &with_schema(&json!({"type": "int32"}), "\"canary\""))
    else {
        panic!("the payload does not match")
    };
    assert_eq!(reason, "`v` does not match the schema of the record");
    assert_eq!(code(&read(&decoder(Form::Text, Form::Json, None), None, Some("nul"))), "decode.json");
}

#[test]
fn json_without_a_schema_keeps_its_text() {
    for given in
        [r#"{"big":123456789012345678901234567890.123,"a": [1, 2]}"#, "[1]", "\"x\"", "7", r#"{"op":"u","after":1}"#]
    {
        let found = change(value(Form::Json, given));
        assert_eq!((found.op, found.after), (RecordOp::Update, Some(vec![text(given)])), "{given}");
        let fields = fields(&found.schema);
        assert!(fields[0].name == "value" && towpath_api::json::is_json_text(&fields[0]));
    }
    assert!(tombstone(value(Form::Json, "null")).is_some());
}

#[test]
fn an_envelope_without_a_schema_gives_its_record_as_json() {
    let envelope = |op: &str, after: &str| {
        format!(r#"{{"before":null,"after":{after},"source":{{"ts_ms":5,"lsn":"0/10"}},"op":"{op}"}}"#)
    };
    let found = change(value(Form::Json, &envelope("r", r#"{"id": 1.0}"#)));
    assert_eq!(
        (found.op, found.after, found.source_time_ms),
        (RecordOp::Read, Some(vec![text(r#"{"id": 1.0}"#)]), Some(5))
    );
    assert_eq!(change(value(Form::Json, &envelope("d", "null"))).op, RecordOp::Delete);
    assert_eq!(change(value(Form::Json, &envelope("t", "null"))).op, RecordOp::Truncate);
    assert_eq!(code(&value(Form::Json, &envelope("u", "null"))), "decode.no_after");
    assert_eq!(code(&value(Form::Json, &envelope("x", "{}"))), "decode.unknown_op");
    assert!(matches!(value(Form::Json, r#"{"op":"m","source":{},"message":{}}"#), Body::Filtered));
    assert_eq!(
        code(&value(Form::Json, &envelope("u", r#"{"a":"__debezium_unavailable_value"}"#))),
        "decode.unavailable_value"
    );
    let with_version =
        |field: &str, value: &str| read(&decoder(Form::Text, Form::Json, Some(field)), Some("k"), Some(value));
    assert_eq!(change(with_version("source.lsn", &envelope("u", "{}"))).version.unwrap().ts, 17);
    assert_eq!(change(with_version("n", &envelope("u", r#"{"n":4}"#))).version.unwrap().ts, 5);
    assert_eq!(change(with_version("n", r#"{"n":4}"#)).version.unwrap().ts, 5);
    assert!(change(with_version("n", &envelope("d", "null"))).version.is_none());
    let ended = r#"{"before":{"n":4},"after":null,"source":{"ts_ms":5},"op":"d"}"#;
    assert!(change(with_version("n", ended)).version.is_none());
    assert_eq!(change(with_version("source.lsn", &envelope("t", "null"))).version.unwrap().ts, 17);
    assert!(change(with_version("n", &envelope("t", "null"))).version.is_none());
    assert_eq!(code(&with_version("n", r#"{"n":1.5}"#)), "decode.version_type");
    assert_eq!(code(&with_version("n", r#"{"n":null}"#)), "decode.version_null");
    assert_eq!(code(&with_version("n", "{}")), "decode.version_absent");
}

#[test]
fn flat_json_without_a_schema_has_rewritten_deletes_and_no_placeholders() {
    let flat = |given: &str| change(value(Form::Json, given));
    assert_eq!(flat(r#"{"a":1,"__deleted":"true"}"#).op, RecordOp::Delete);
    assert_eq!(flat(r#"{"a":1,"__deleted":true}"#).after, None);
    for given in
        [r#"{"a":1,"__deleted":"false"}"#, r#"{"__deleted":null}"#, r#"{"a":{"__deleted":"true"}}"#, "\"__deleted\""]
    {
        let found = flat(given);
        assert_eq!((found.op, found.after), (RecordOp::Update, Some(vec![text(given)])), "{given}");
    }
    assert_eq!(code(&value(Form::Json, r#"{"__deleted":"yes"}"#)), "decode.deleted_field");
    assert_eq!(code(&value(Form::Json, r#"{"a":"__debezium_unavailable_value"}"#)), "decode.unavailable_value");
    // A record of an incremental snapshot has no version.
    let read_at = |op: &str| {
        let envelope = format!(r#"{{"before":null,"after":{{}},"source":{{"lsn":null}},"op":"{op}"}}"#);
        read(&decoder(Form::Text, Form::Json, Some("source.lsn")), Some("k"), Some(&envelope))
    };
    assert_eq!(change(read_at("r")).version, None);
    assert_eq!(code(&read_at("u")), "decode.version_null");
}

#[test]
fn bare_keys_are_simple_values_or_objects_of_simple_values() {
    let parts = |given: &str| {
        let key = key(Form::Json, given).unwrap().unwrap();
        (key.identity.clone(), types(&key.schema))
    };
    let id = |ty: Schema| vec![("id".to_owned(), ty)];
    assert_eq!(parts("\"a\""), (Identity::Text("a".into()), id(Schema::String)));
    assert_eq!(parts("-7"), (Identity::Long(-7), id(Schema::Long)));
    assert_eq!(parts("true"), (Identity::Boolean(true), id(Schema::Boolean)));
    let both = Identity::Parts(vec![Identity::Long(1), Identity::Text("x".into())]);
    assert_eq!(parts(r#"{"b":"x","a":1}"#).0, both);
    assert_eq!(parts(r#"{"a":1,"b":"x"}"#).0, both);
    assert_eq!(parts(r#"{"n":1}"#), (Identity::Long(1), vec![("n".to_owned(), Schema::Long)]));
    assert!(key(Form::Json, "null").unwrap().is_none());
    for (given, expected) in [
        ("1.5", "decode.key_type"),
        ("1e3", "decode.key_type"),
        ("9223372036854775808", "decode.key_type"),
        ("[1]", "decode.key_type"),
        ("{}", "decode.key_type"),
        (r#"{"a":{}}"#, "decode.key_type"),
        (r#"{"a":null}"#, "decode.key_null"),
        ("{", "decode.json"),
    ] {
        assert_eq!(key(Form::Json, given).unwrap_err(), expected, "{given}");
    }
    let decoder = decoder(Form::Json, Form::Text, None);
    let schema = || tombstone(read(&decoder, Some("1"), None)).unwrap().schema;
    assert!(Arc::ptr_eq(&schema(), &schema()));
}

#[test]
fn keys_with_schemas_and_text_keys_are_decoded() {
    let typed = |payload: &str| format!(r#"{{"schema":{{"type":"int64","optional":true}},"payload":{payload}}}"#);
    assert_eq!(key(Form::JsonWithSchema, &typed("5")).unwrap().unwrap().identity, Identity::Long(5));
    assert!(key(Form::JsonWithSchema, &typed("null")).unwrap().is_none());
    assert_eq!(
        key(Form::JsonWithSchema, r#"{"schema":null,"payload":"x"}"#).unwrap().unwrap().identity,
        Identity::Text("x".into())
    );
    assert_eq!(key(Form::Text, "plain").unwrap().unwrap().identity, Identity::Text("plain".into()));
    assert_eq!(change(value(Form::Text, "plain")).after, Some(vec![text("plain")]));
    let broken = decoder(Form::Text, Form::Text, None).decode(Some(&[0xff]), None);
    assert!(matches!(broken, Decoded::Body(Body::Undecodable { code: "decode.utf8", .. })));
}

proptest! {
    #[test]
    fn values_that_connect_writes_are_decoded_unchanged(
        long in any::<i64>(),
        double in prop::num::f64::NORMAL,
        words in any::<String>(),
        bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let plain = |ty: &str| json!({"type": ty});
        prop_assert_eq!(typed(&plain("int64"), &long.to_string()).1, Value::Long(long));
        prop_assert_eq!(typed(&plain("double"), &json!(double).to_string()).1, Value::Double(double));
        prop_assert_eq!(typed(&plain("string"), &json!(words).to_string()).1, text(&words));
        prop_assert_eq!(typed(&plain("bytes"), &json!(STANDARD.encode(&bytes)).to_string()).1, Value::Bytes(bytes));
    }

    #[test]
    fn json_keeps_its_text_and_random_bytes_never_panic_the_decoder(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        number in any::<f64>(),
    ) {
        for form in [Form::Json, Form::JsonWithSchema, Form::Text] {
            decoder(form, form, None).decode(Some(&bytes), Some(&bytes));
        }
        prop_assume!(number.is_finite());
        let given = format!(r#"{{"n":{number}}}"#);
        prop_assert_eq!(change(value(Form::Json, &given)).after, Some(vec![text(&given)]));
    }
}
