//! Keys of each supported type, and keys that are refused.

use apache_avro::{Decimal, Uuid};
use num_bigint::BigInt;
use towpath_api::Identity;

use super::{foreign::*, *};

fn identity(schema: &str, value: Value) -> (Identity, Vec<(String, Schema)>) {
    let key = tombstone(Foreign::new(schema, "\"string\"").read(Some(value), None)).expect("a key");
    (key.identity, types(&key.schema))
}

fn refused(schema: &str, value: Value) -> &'static str {
    code(&Foreign::new(schema, "\"string\"").read(Some(value), None))
}

#[test]
fn a_primitive_key_becomes_a_record_with_an_id() {
    let bytes = |bytes: &[u8]| Identity::Bytes(bytes.to_vec());
    let uuid = Uuid::from_u128(7);
    let decimal = |number: i64| Value::Decimal(Decimal::from(BigInt::from(number).to_signed_bytes_be()));
    for (schema, value, expected, kind) in [
        (r#""string""#, text("a"), Identity::Text("a".into()), Schema::String),
        (r#""int""#, Value::Int(-7), Identity::Long(-7), Schema::Int),
        (r#""long""#, Value::Long(1 << 40), Identity::Long(1 << 40), Schema::Long),
        (r#""boolean""#, Value::Boolean(true), Identity::Boolean(true), Schema::Boolean),
        (r#""bytes""#, Value::Bytes(vec![0, 1]), bytes(&[0, 1]), Schema::Bytes),
        (r#"{"type":"int","logicalType":"date"}"#, Value::Date(3), Identity::Long(3), Schema::Date),
        (r#"{"type":"int","connect.name":"io.debezium.time.Date"}"#, Value::Int(3), Identity::Long(3), Schema::Date),
        (r#"{"type":"long","logicalType":"time-micros"}"#, Value::TimeMicros(3), Identity::Long(3), Schema::TimeMicros),
        (
            r#"{"type":"string","connect.name":"io.debezium.time.ZonedTimestamp"}"#,
            text("1970-01-01T00:00:00.000003Z"),
            Identity::Long(3),
            Schema::TimestampMicros,
        ),
        (
            r#"{"type":"string","logicalType":"uuid"}"#,
            Value::Uuid(uuid),
            bytes(uuid.as_bytes()),
            Schema::parse_str(r#"{"type":"string","logicalType":"uuid"}"#).unwrap(),
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
            decimal(-128),
            bytes(&[0x80]),
            Schema::parse_str(r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#).unwrap(),
        ),
    ] {
        assert_eq!(identity(schema, value), (expected, vec![("id".to_owned(), kind)]), "{schema}");
    }
    let (found, _) = identity(r#"{"type":"enum","name":"e","symbols":["a","b"]}"#, Value::Enum(1, "b".into()));
    assert_eq!(found, Identity::Text("b".into()));
    let (found, _) = identity(r#"{"type":"fixed","name":"f","size":2}"#, Value::Fixed(2, vec![1, 2]));
    assert_eq!(found, bytes(&[1, 2]));
}

#[test]
fn equal_numbers_of_different_scales_are_equal_keys() {
    let scaled = r#"{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[
        {"name":"scale","type":"int"},{"name":"value","type":"bytes"}],
        "connect.name":"io.debezium.data.VariableScaleDecimal"}"#;
    let number = |scale: i32, unscaled: i64| {
        record(&[("scale", Value::Int(scale)), ("value", Value::Bytes(BigInt::from(unscaled).to_signed_bytes_be()))])
    };
    let of = |scale: i32, unscaled: i64| identity(scaled, number(scale, unscaled));
    assert_eq!(of(1, 15).1, [("id".to_owned(), Schema::BigDecimal)]);
    for (same, equal) in [((1, 15), (3, 1_500)), ((0, 100), (-2, 1)), ((0, 0), (7, 0)), ((2, -10), (1, -1))] {
        assert_eq!(of(same.0, same.1), of(equal.0, equal.1), "{same:?} {equal:?}");
    }
    for (one, another) in [((1, 15), (0, 15)), ((0, 1), (0, -1)), ((0, 128), (0, -128)), ((1, 0), (0, 1))] {
        assert_ne!(of(one.0, one.1), of(another.0, another.1), "{one:?} {another:?}");
    }
    let back = of(3, -1_500).0.to_big_decimal().unwrap();
    assert_eq!(back, "-1.5".parse::<apache_avro::BigDecimal>().unwrap());
    // As one of several fields, and as a nullable key.
    let several = format!(
        r#"{{"type":"record","name":"k","fields":[
            {{"name":"n","type":["null",{scaled}]}},{{"name":"t","type":"string"}}]}}"#
    );
    let (found, _) = identity(&several, record(&[("n", some(number(1, 15))), ("t", text("x"))]));
    assert_eq!(found, Identity::Parts(vec![of(1, 15).0, Identity::Text("x".into())]));
    let nullable = format!(r#"["null",{scaled}]"#);
    assert_eq!(identity(&nullable, some(number(1, 15))).0, of(1, 15).0);
    assert_eq!(refused(&nullable, null()), "decode.key_null");
}

#[test]
fn equal_decimals_of_different_lengths_are_equal_keys() {
    let schema = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#;
    // Encoded by hand, since apache-avro would shorten the decimal.
    let topic = Foreign::new(schema, "\"string\"");
    let long = topic.read_key_bytes(&[0, 0, 0, 0, 1, 6, 0, 0, 5]);
    let short = topic.read_key_bytes(&[0, 0, 0, 0, 1, 2, 5]);
    assert_eq!(long, short);
}

#[test]
fn a_record_key_keeps_the_names_and_order_of_its_fields() {
    let schema = r#"{"type":"record","name":"k","fields":[
        {"name":"region","type":["null","string"]},{"name":"number","type":"int"},
        {"name":"at","type":{"type":"long","connect.name":"io.debezium.time.MicroTimestamp"}}]}"#;
    let value = record(&[("region", some(text("eu"))), ("number", Value::Int(4)), ("at", Value::Long(9))]);
    let (found, parts) = identity(schema, value);
    assert_eq!(found, Identity::Parts(vec![Identity::Text("eu".into()), Identity::Long(4), Identity::Long(9)]));
    let expected = [("region", Schema::String), ("number", Schema::Int), ("at", Schema::LocalTimestampMicros)];
    assert_eq!(parts, expected.map(|(name, kind)| (name.to_owned(), kind)));
    let (found, parts) = identity(
        r#"{"type":"record","name":"k","fields":[{"name":"customer","type":"int"}]}"#,
        record(&[("customer", Value::Int(4))]),
    );
    assert_eq!((found, &*parts[0].0), (Identity::Long(4), "customer"));
}

#[test]
fn a_key_that_cannot_identify_a_record_is_refused() {
    assert_eq!(refused(r#""double""#, Value::Double(1.0)), "decode.key_type");
    assert_eq!(refused(r#"{"type":"array","items":"int"}"#, Value::Array(vec![])), "decode.key_type");
    assert_eq!(refused(r#"{"type":"map","values":"int"}"#, Value::Map([].into())), "decode.key_type");
    let nested = r#"{"type":"record","name":"k","fields":[
        {"name":"inner","type":{"type":"record","name":"i","fields":[{"name":"id","type":"int"}]}}]}"#;
    assert_eq!(refused(nested, record(&[("inner", record(&[("id", Value::Int(1))]))])), "decode.key_type");
    assert_eq!(refused(r#"{"type":"record","name":"k","fields":[]}"#, record(&[])), "decode.key_type");
    assert_eq!(refused(r#"["null","string"]"#, null()), "decode.key_null");
    let part =
        r#"{"type":"record","name":"k","fields":[{"name":"a","type":["null","int"]},{"name":"b","type":"int"}]}"#;
    assert_eq!(refused(part, record(&[("a", null()), ("b", Value::Int(1))])), "decode.key_null");
    let whole = r#"["null",{"type":"record","name":"k","fields":[{"name":"id","type":"int"}]}]"#;
    assert_eq!(refused(whole, null()), "decode.key_null");
    assert_eq!(identity(whole, some(record(&[("id", Value::Int(1))]))).0, Identity::Long(1));
}

#[test]
fn a_tombstone_has_the_key_of_its_record_if_any() {
    let topic = Foreign::new(r#""int""#, "\"string\"");
    assert_eq!(tombstone(topic.read(Some(Value::Int(1)), None)).unwrap().identity, Identity::Long(1));
    assert!(tombstone(topic.read(None, None)).is_none());
    assert!(change(topic.read(None, Some(text("x")))).key.is_none());
}

proptest! {
    #[test]
    fn different_keys_stay_different((schema, a, b) in two_keys()) {
        let text = serde_json::to_string(&schema).unwrap();
        let (first, _) = identity(&text, a.clone());
        let (second, _) = identity(&text, b.clone());
        prop_assert_eq!(first == second, a == b);
    }
}

fn two_keys() -> impl Strategy<Value = (Schema, Value, Value)> {
    let kinds = [
        r#""string""#,
        r#""int""#,
        r#""long""#,
        r#""boolean""#,
        r#""bytes""#,
        r#"{"type":"int","logicalType":"date"}"#,
    ];
    prop::sample::subsequence(kinds.to_vec(), 1..=kinds.len()).prop_shuffle().prop_flat_map(|kinds| {
        let members: Vec<_> =
            kinds.iter().enumerate().map(|(n, kind)| format!(r#"{{"name":"f{n}","type":{kind}}}"#)).collect();
        let schema = format!(r#"{{"type":"record","name":"k","fields":[{}]}}"#, members.join(","));
        let schema = Schema::parse_str(&schema).unwrap();
        let (a, b) = (values(&schema), values(&schema));
        (Just(schema), a, b)
    })
}
