//! Each semantic type of Kafka Connect and Debezium.

use apache_avro::{BigDecimal, Decimal, Uuid};

use super::{foreign::*, *};
use crate::avro::schema::shape::fields;

const ZONED: &str = r#"{"type":"string","connect.name":"io.debezium.time.ZonedTimestamp"}"#;

fn topic(ty: &str) -> Foreign {
    Foreign::of_values(&format!(r#"{{"type":"record","name":"r","fields":[{{"name":"v","type":{ty}}}]}}"#))
}

/// Decodes a value of type `ty`, and returns the converted type and value.
fn read(ty: &str, value: Value) -> (Schema, Value) {
    let mut change = topic(ty).change(record(&[("v", value)]));
    (types(&change.schema).swap_remove(0).1, change.after.as_mut().unwrap().swap_remove(0))
}

fn refused(ty: &str, value: Value) -> &'static str {
    code(&topic(ty).read(None, Some(record(&[("v", value)]))))
}

fn named(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","connect.version":1,"connect.name":"{name}"}}"#)
}

#[test]
fn each_semantic_type_of_debezium_and_connect_is_converted() {
    let uuid = "00000000-0000-0000-0000-000000000007";
    let micros = Value::LocalTimestampMicros;
    for (base, name, given, schema, expected) in [
        ("int", "io.debezium.time.Date", Value::Int(19_000), Schema::Date, Value::Date(19_000)),
        ("int", "org.apache.kafka.connect.data.Date", Value::Int(-1), Schema::Date, Value::Date(-1)),
        ("int", "io.debezium.time.Time", Value::Int(5), Schema::TimeMillis, Value::TimeMillis(5)),
        ("int", "org.apache.kafka.connect.data.Time", Value::Int(5), Schema::TimeMillis, Value::TimeMillis(5)),
        ("long", "io.debezium.time.MicroTime", Value::Long(5), Schema::TimeMicros, Value::TimeMicros(5)),
        ("long", "io.debezium.time.Timestamp", Value::Long(-5), Schema::LocalTimestampMicros, micros(-5_000)),
        ("long", "io.debezium.time.MicroTimestamp", Value::Long(5), Schema::LocalTimestampMicros, micros(5)),
        (
            "long",
            "org.apache.kafka.connect.data.Timestamp",
            Value::Long(5),
            Schema::TimestampMicros,
            Value::TimestampMicros(5_000),
        ),
        (
            "string",
            "io.debezium.time.ZonedTimestamp",
            text("2024-02-29T12:00:00.123456+02:00"),
            Schema::TimestampMicros,
            Value::TimestampMicros(1_709_200_800_123_456),
        ),
        ("string", "io.debezium.time.IsoDate", text("1970-01-02"), Schema::Date, Value::Date(1)),
        ("string", "io.debezium.time.IsoDate", text("1969-12-31Z"), Schema::Date, Value::Date(-1)),
        ("string", "io.debezium.time.IsoTime", text("00:00:01.5Z"), Schema::TimeMicros, Value::TimeMicros(1_500_000)),
        (
            "string",
            "io.debezium.time.IsoTimestamp",
            text("1970-01-01T00:00:01Z"),
            Schema::LocalTimestampMicros,
            micros(1_000_000),
        ),
        (
            "string",
            "io.debezium.data.Uuid",
            text(uuid),
            Schema::parse_str(r#"{"type":"string","logicalType":"uuid"}"#).unwrap(),
            Value::Uuid(Uuid::from_u128(7)),
        ),
        // Types without a conversion are unchanged.
        ("string", "io.debezium.time.ZonedTime", text("10:00:00+02:00"), Schema::String, text("10:00:00+02:00")),
        ("string", "io.debezium.time.Interval", text("P1Y2M"), Schema::String, text("P1Y2M")),
        ("string", "io.debezium.data.Enum", text("red"), Schema::String, text("red")),
        ("string", "io.debezium.data.Xml", text("<a/>"), Schema::String, text("<a/>")),
        ("string", "io.debezium.data.Ltree", text("a.b"), Schema::String, text("a.b")),
        ("bytes", "io.debezium.data.Bits", Value::Bytes(vec![1, 2]), Schema::Bytes, Value::Bytes(vec![1, 2])),
        ("int", "io.debezium.time.Year", Value::Int(1999), Schema::Int, Value::Int(1999)),
        ("long", "io.debezium.time.MicroDuration", Value::Long(9), Schema::Long, Value::Long(9)),
        // A name on an unexpected base type has no effect.
        ("string", "io.debezium.time.Date", text("x"), Schema::String, text("x")),
    ] {
        let ty = named(base, name);
        assert_eq!(read(&ty, given.clone()), (schema.clone(), expected.clone()), "{name}");
        let nullable = format!(r#"["null",{ty}]"#);
        let (found, value) = read(&nullable, some(given));
        let Schema::Union(union) = found else { panic!("{name}: a union stays one") };
        assert_eq!((&union.variants()[1], value), (&schema, expected), "{name}");
        assert_eq!(read(&nullable, null()).1, Value::Null, "{name}");
    }
}

#[test]
fn infinities_become_the_ends_of_the_range() {
    let long = |name: &str, number: i64| read(&named("long", name), Value::Long(number)).1;
    for (name, positive, negative) in [
        ("io.debezium.time.MicroTimestamp", 9_223_372_036_825_200_000, -9_223_372_036_832_400_000),
        ("io.debezium.time.Timestamp", 9_223_372_036_825_200, -9_223_372_036_832_400),
        ("io.debezium.time.Timestamp", 9_223_372_036_825_200_000, -9_223_372_036_832_400_000),
    ] {
        assert_eq!(long(name, positive), Value::LocalTimestampMicros(i64::MAX), "{name}");
        assert_eq!(long(name, negative), Value::LocalTimestampMicros(i64::MIN), "{name}");
    }
    let zoned = |instant: &str| read(ZONED, text(instant)).1;
    for instant in ["+292278994-08-16T23:00:00Z", "+294247-01-10T04:00:25.2Z"] {
        assert_eq!(zoned(instant), Value::TimestampMicros(i64::MAX));
    }
    for instant in ["-292275055-05-16T23:00:00Z", "-290308-12-21T19:59:27.6Z"] {
        assert_eq!(zoned(instant), Value::TimestampMicros(i64::MIN));
    }
    let day = |number: i32| read(&named("int", "io.debezium.time.Date"), Value::Int(number)).1;
    for (positive, negative) in
        [(2_146_033_979, -2_147_472_691), (-2_147_472_692, -625_821_272), (-622_191_234, -625_821_272)]
    {
        assert_eq!((day(positive), day(negative)), (Value::Date(i32::MAX), Value::Date(i32::MIN)));
    }
    let instant = |number: i64| long("org.apache.kafka.connect.data.Timestamp", number);
    assert_eq!(instant(9_223_372_036_825_200), Value::TimestampMicros(i64::MAX));
    assert_eq!(instant(-9_223_372_036_832_400), Value::TimestampMicros(i64::MIN));
}

#[test]
fn values_that_would_be_rounded_or_are_not_times_are_refused() {
    assert_eq!(refused(ZONED, text("2024-01-01T00:00:00.1234567Z")), "decode.nanoseconds");
    assert_eq!(read(ZONED, text("2024-01-01T00:00:00.123456000Z")).1, Value::TimestampMicros(1_704_067_200_123_456));
    assert_eq!(refused(ZONED, text("2024-01-01T00:00:00")), "decode.malformed");
    assert_eq!(refused(ZONED, text("yesterday")), "decode.malformed");
    assert_eq!(refused(&named("string", "io.debezium.time.IsoTime"), text("00:00:00.0000001")), "decode.nanoseconds");
    assert_eq!(refused(&named("long", "io.debezium.time.Timestamp"), Value::Long(i64::MAX / 2)), "decode.out_of_range");
    assert_eq!(refused(&named("string", "io.debezium.data.Uuid"), text("7")), "decode.malformed");
}

#[test]
fn columns_of_nanoseconds_are_exact_or_truncated_by_choice() {
    let logical = |name: &str| format!(r#"{{"type":"long","logicalType":"{name}"}}"#);
    let truncated = Reading::new(ReadingSettings { truncates_nanoseconds: true, ..ReadingSettings::default() });
    let micros = [
        (named("long", "io.debezium.time.NanoTime"), Schema::TimeMicros, Value::TimeMicros(1)),
        (named("long", "io.debezium.time.NanoTimestamp"), Schema::LocalTimestampMicros, Value::LocalTimestampMicros(1)),
        (logical("timestamp-nanos"), Schema::TimestampMicros, Value::TimestampMicros(1)),
        (logical("local-timestamp-nanos"), Schema::LocalTimestampMicros, Value::LocalTimestampMicros(1)),
    ];
    for (ty, schema, value) in micros {
        let given = |nanos: i64| match schema {
            Schema::TimestampMicros => Value::TimestampNanos(nanos),
            Schema::LocalTimestampMicros if ty.contains("logicalType") => Value::LocalTimestampNanos(nanos),
            _ => Value::Long(nanos),
        };
        assert_eq!(read(&ty, given(1_000)), (schema.clone(), value.clone()), "{ty}");
        // A finer time is kept, for the column to refuse: an excluded field has none.
        let finer = read(&ty, given(1_999)).1;
        assert!(matches!(finer, Value::TimestampNanos(1_999) | Value::LocalTimestampNanos(1_999)), "{ty}: {finer:?}");
        for (nullable, branch) in [(format!(r#"["null",{ty}]"#), 1), (format!(r#"[{ty},"null"]"#), 0)] {
            let (Schema::Union(union), read) = read(&nullable, Value::Union(branch, Box::new(given(1_000)))) else {
                panic!("a union stays one")
            };
            assert!(union.variants().contains(&schema) && read == value, "{nullable}");
        }
        let text = format!(r#"{{"type":"record","name":"r","fields":[{{"name":"v","type":{ty}}}]}}"#);
        let topic = Foreign::reading("\"string\"", &text, truncated.clone());
        assert_eq!(topic.change(record(&[("v", given(1_999))])).after, Some(vec![value.clone()]), "{ty}");
        let before_the_epoch = topic.change(record(&[("v", given(-1))])).after.unwrap().swap_remove(0);
        assert!(format!("{before_the_epoch:?}").ends_with("(-1)"), "{before_the_epoch:?}");
    }
    // Within other values they keep their digits.
    let (time, timestamp) =
        (named("long", "io.debezium.time.NanoTime"), named("long", "io.debezium.time.NanoTimestamp"));
    let in_array =
        |ty: &str| read(&format!(r#"{{"type":"array","items":{ty}}}"#), Value::Array(vec![Value::Long(1)])).1;
    assert_eq!(in_array(&time), Value::Array(vec![Value::Long(1)]));
    assert_eq!(in_array(&timestamp), Value::Array(vec![Value::LocalTimestampNanos(1)]));
    assert_eq!(read(&named("long", "io.debezium.time.NanoDuration"), Value::Long(1)), (Schema::Long, Value::Long(1)));
}

#[test]
fn decimals_keep_every_digit() {
    let decimal = Value::Bytes(vec![0x04, 0xd2]);
    for (attributes, precision, scale) in [
        (r#""scale":2,"precision":64,"connect.parameters":{"scale":"2"},"logicalType":"decimal","#, 64, 2),
        (r#""connect.parameters":{"scale":"3","connect.decimal.precision":"9"},"#, 9, 3),
        (r#""scale":5,"precision":2,"#, 5, 5),
        ("", 64, 0),
    ] {
        let ty = format!(r#"{{"type":"bytes",{attributes}"connect.name":"org.apache.kafka.connect.data.Decimal"}}"#);
        let given = if attributes.contains("logicalType") {
            Value::Decimal(Decimal::from([0x04, 0xd2]))
        } else {
            decimal.clone()
        };
        let (schema, value) = read(&ty, given);
        let Schema::Decimal(found) = schema else { panic!("a decimal: {attributes}") };
        assert_eq!((found.precision, found.scale), (precision, scale), "{attributes}");
        assert_eq!(value, Value::Decimal(Decimal::from([0x04, 0xd2])));
    }
    let negative = |scale: i64| {
        let attributes = format!(
            r#""connect.parameters":{{"scale":"{scale}"}},"connect.name":"org.apache.kafka.connect.data.Decimal""#
        );
        format!(r#"{{"type":"bytes",{attributes}}}"#)
    };
    let hundreds = Value::BigDecimal("123400".parse::<BigDecimal>().unwrap());
    assert_eq!(read(&negative(-2), decimal.clone()), (Schema::BigDecimal, hundreds));
    assert_eq!(refused(&negative(-1_000_000), decimal), "decode.out_of_range");

    for order in [
        r#"{"name":"scale","type":"int"},{"name":"value","type":"bytes"}"#,
        r#"{"name":"value","type":"bytes"},{"name":"scale","type":"int"}"#,
    ] {
        let ty = format!(
            r#"{{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[{order}],
                "connect.name":"io.debezium.data.VariableScaleDecimal"}}"#
        );
        let given = |scale: i32| {
            let parts = [("scale", Value::Int(scale)), ("value", Value::Bytes(vec![0xfb, 0x2e]))];
            record(&if order.starts_with(r#"{"name":"scale"#) {
                parts
            } else {
                let [scale, value] = parts;
                [value, scale]
            })
        };
        let expected = |text: &str| (Schema::BigDecimal, Value::BigDecimal(text.parse::<BigDecimal>().unwrap()));
        assert_eq!(read(&ty, given(3)), expected("-1.234"));
        assert_eq!(read(&ty, given(-1)), expected("-12340"));
        assert_eq!(refused(&ty, given(i32::MAX)), "decode.out_of_range");
    }
}

#[test]
fn json_is_text_in_a_marked_field() {
    let json = named("string", "io.debezium.data.Json");
    for (ty, given) in [(json.clone(), text("{}")), (format!(r#"["null",{json}]"#), some(text("{}")))] {
        let change = topic(&ty).change(record(&[("v", given)]));
        assert_eq!(change.after, Some(vec![text("{}")]));
        assert!(towpath_api::json::is_json_text(&fields(&change.schema)[0]), "{ty}");
    }
    let change = topic("\"string\"").change(record(&[("v", text("{}"))]));
    assert!(!towpath_api::json::is_json_text(&fields(&change.schema)[0]));
}

#[test]
fn nested_types_are_converted() {
    let ty = format!(
        r#"{{"type":"array","items":["null",{{"type":"record","name":"inner","fields":[
            {{"name":"at","type":{ZONED}}},{{"name":"by","type":{{"type":"map","values":{ZONED}}}}},
            {{"name":"or","type":["null","string",{}]}}]}}]}}"#,
        named("int", "io.debezium.time.Date")
    );
    let epoch = text("1970-01-01T00:00:00Z");
    let inner = record(&[
        ("at", epoch.clone()),
        ("by", Value::Map([("k".to_owned(), epoch)].into())),
        ("or", Value::Union(2, Box::new(Value::Int(1)))),
    ]);
    let (schema, value) = read(&ty, Value::Array(vec![null(), some(inner)]));
    let json = towpath_api::json::to_json(&value, &schema).unwrap();
    let instant = "1970-01-01T00:00:00Z";
    assert_eq!(json, serde_json::json!([null_json(), {"at": instant, "by": {"k": instant}, "or": "1970-01-02"}]));
}

fn null_json() -> serde_json::Value {
    serde_json::Value::Null
}

#[test]
fn geometry_stays_a_record() {
    let ty = r#"{"type":"record","name":"Point","namespace":"io.debezium.data.geometry","fields":[
        {"name":"x","type":"double"},{"name":"y","type":"double"},{"name":"wkb","type":["null","bytes"]},
        {"name":"srid","type":["null","int"]}],
        "connect.name":"io.debezium.data.geometry.Point"}"#;
    let given = record(&[
        ("x", Value::Double(1.0)),
        ("y", Value::Double(2.0)),
        ("wkb", some(Value::Bytes(vec![1]))),
        ("srid", null()),
    ]);
    let (schema, value) = read(ty, given);
    let json = towpath_api::json::to_json(&value, &schema).unwrap();
    assert_eq!(json, serde_json::json!({"x": 1.0, "y": 2.0, "wkb": "\\x01", "srid": null_json()}));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_instant_that_debezium_writes_is_decoded_unchanged(
        micros in -62_000_000_000_000_000_i64..253_000_000_000_000_000,
    ) {
        let instant = jiff::Timestamp::from_microsecond(micros).unwrap();
        prop_assert_eq!(read(ZONED, text(&instant.to_string())).1, Value::TimestampMicros(micros));
        let local = jiff::tz::TimeZone::UTC.to_datetime(instant).to_string();
        let iso = named("string", "io.debezium.time.IsoTimestamp");
        prop_assert_eq!(read(&iso, text(&local)).1, Value::LocalTimestampMicros(micros));
    }

    #[test]
    fn types_without_conversion_are_read_as_apache_avro_reads_them((schema, value) in schema_and_value()) {
        let text = serde_json::to_string(&schema).unwrap();
        prop_assume!(schema != Schema::Null);
        // Wrapped in a field, since a record at the top level would be the row itself.
        let (_, read) = read(&text, value.clone());
        prop_assert_eq!(read, bare(&schema, value));
    }

    #[test]
    fn random_bytes_in_a_semantic_type_never_panic_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let [date, time] = ["io.debezium.time.IsoDate", "io.debezium.time.IsoTime"].map(|name| named("string", name));
        let types = [ZONED.to_owned(), date, time];
        for ty in types {
            topic(&format!(r#"{{"type":"array","items":{ty}}}"#)).read_value_bytes(&bytes);
        }
    }
}
