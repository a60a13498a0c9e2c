//! Columns of every type, each with its output in `psql`.

use towpath_api::apache_avro::{BigDecimal, Days, Decimal, Duration, Millis, Months, Uuid, types::Value};

use super::foreign::{null, record, some, text};

const INSTANT: &str = "timestamp with time zone";
const WALL: &str = "timestamp without time zone";
const CLOCK: &str = "time without time zone";

/// A column: its name, the registered Avro type, a value, and the type and value in `psql`.
pub(super) type Column = (&'static str, String, Value, &'static str, &'static str);

/// A type with Connect's or Debezium's name, as its Avro converter registers it.
pub(super) fn named(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","connect.version":1,"connect.name":"{name}"}}"#)
}

pub(super) fn logical(base: &str, kind: &str) -> String {
    format!(r#"{{"type":"{base}","logicalType":"{kind}"}}"#)
}

fn decimal(bytes: &[u8]) -> Value {
    Value::Decimal(Decimal::from(bytes))
}

#[expect(clippy::too_many_lines, reason = "a table of types; a row each")]
pub(super) fn avro_types() -> Vec<Column> {
    let uuid = Uuid::from_u128(0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8);
    let duration = Duration::new(Months::new(14), Days::new(3), Millis::new(4_005));
    let home = r#"{"type":"record","name":"home","fields":[{"name":"city","type":"string"},
        {"name":"since","type":{"type":"int","logicalType":"date"}}]}"#;
    let inner = record(&[("city", text("Kyiv")), ("since", Value::Date(0))]);
    vec![
        ("flag", r#""boolean""#.into(), Value::Boolean(true), "boolean", "t"),
        ("small", r#""int""#.into(), Value::Int(i32::MIN), "integer", "-2147483648"),
        ("big", r#""long""#.into(), Value::Long(i64::MAX), "bigint", "9223372036854775807"),
        ("single", r#""float""#.into(), Value::Float(1.5), "real", "1.5"),
        ("precise", r#""double""#.into(), Value::Double(f64::NEG_INFINITY), "double precision", "-Infinity"),
        ("words", r#""string""#.into(), text("Höhe 🚲"), "text", "Höhe 🚲"),
        ("raw", r#""bytes""#.into(), Value::Bytes(vec![0, 255]), "bytea", "\\x00ff"),
        (
            "four",
            r#"{"type":"fixed","name":"four","size":4}"#.into(),
            Value::Fixed(4, vec![1, 2, 3, 4]),
            "bytea",
            "\\x01020304",
        ),
        (
            "stage",
            r#"{"type":"enum","name":"stage","symbols":["open","won"]}"#.into(),
            Value::Enum(1, "won".into()),
            "text",
            "won",
        ),
        ("day", logical("int", "date"), Value::Date(-1), "date", "1969-12-31"),
        (
            "ident16",
            r#"{"type":"fixed","name":"ident16","size":16,"logicalType":"uuid"}"#.into(),
            Value::Uuid(uuid),
            "uuid",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
        (
            "fixed_money",
            r#"{"type":"fixed","name":"fixed_money","size":4,"logicalType":"decimal","precision":9,"scale":2}"#.into(),
            decimal(&[0xff, 0xff, 0xfb, 0x2e]),
            "numeric",
            "-12.34",
        ),
        ("clock3", logical("int", "time-millis"), Value::TimeMillis(1), CLOCK, "00:00:00.001"),
        ("clock6", logical("long", "time-micros"), Value::TimeMicros(86_399_999_999), CLOCK, "23:59:59.999999"),
        (
            "at3",
            logical("long", "timestamp-millis"),
            Value::TimestampMillis(1_123),
            INSTANT,
            "1970-01-01 00:00:01.123+00",
        ),
        (
            "at6",
            logical("long", "timestamp-micros"),
            Value::TimestampMicros(-1),
            INSTANT,
            "1969-12-31 23:59:59.999999+00",
        ),
        (
            "wall3",
            logical("long", "local-timestamp-millis"),
            Value::LocalTimestampMillis(1_123),
            WALL,
            "1970-01-01 00:00:01.123",
        ),
        (
            "wall6",
            logical("long", "local-timestamp-micros"),
            Value::LocalTimestampMicros(1),
            WALL,
            "1970-01-01 00:00:00.000001",
        ),
        ("ident", logical("string", "uuid"), Value::Uuid(uuid), "uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        (
            "money",
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#.into(),
            decimal(&[0xfb, 0x2e]),
            "numeric",
            "-12.34",
        ),
        (
            "digits",
            logical("bytes", "big-decimal"),
            Value::BigDecimal("1.0000000000000000000000001".parse::<BigDecimal>().unwrap()),
            "numeric",
            "1.0000000000000000000000001",
        ),
        (
            "span",
            r#"{"type":"fixed","name":"span","size":12,"logicalType":"duration"}"#.into(),
            Value::Duration(duration),
            "interval",
            "1 year 2 mons 3 days 00:00:04.005",
        ),
        ("home", home.into(), inner, "jsonb", r#"{"city": "Kyiv", "since": "1970-01-01"}"#),
        (
            "tags",
            r#"{"type":"array","items":["null","string"]}"#.into(),
            Value::Array(vec![some(text("a")), null()]),
            "jsonb",
            r#"["a", null]"#,
        ),
        (
            "scores",
            r#"{"type":"map","values":"long"}"#.into(),
            Value::Map([("x".to_owned(), Value::Long(i64::MIN))].into()),
            "jsonb",
            r#"{"x": -9223372036854775808}"#,
        ),
        ("either", r#"["null","string","long"]"#.into(), Value::Union(2, Box::new(Value::Long(7))), "jsonb", "7"),
        ("maybe", r#"["null","int"]"#.into(), null(), "integer", ""),
    ]
}

pub(super) fn semantic_types() -> Vec<Column> {
    times().into_iter().chain(others()).collect()
}

fn times() -> Vec<Column> {
    vec![
        ("date", named("int", "io.debezium.time.Date"), Value::Int(19_782), "date", "2024-02-29"),
        ("date_inf", named("int", "io.debezium.time.Date"), Value::Int(2_146_033_979), "date", "infinity"),
        ("date_c", named("int", "org.apache.kafka.connect.data.Date"), Value::Int(1), "date", "1970-01-02"),
        ("time", named("int", "io.debezium.time.Time"), Value::Int(1), CLOCK, "00:00:00.001"),
        ("time_c", named("int", "org.apache.kafka.connect.data.Time"), Value::Int(86_399_999), CLOCK, "23:59:59.999"),
        ("micro_time", named("long", "io.debezium.time.MicroTime"), Value::Long(1), CLOCK, "00:00:00.000001"),
        ("ts", named("long", "io.debezium.time.Timestamp"), Value::Long(1_001), WALL, "1970-01-01 00:00:01.001"),
        (
            "micro_ts",
            named("long", "io.debezium.time.MicroTimestamp"),
            Value::Long(-1),
            WALL,
            "1969-12-31 23:59:59.999999",
        ),
        (
            "ts_inf",
            named("long", "io.debezium.time.MicroTimestamp"),
            Value::Long(9_223_372_036_825_200_000),
            WALL,
            "infinity",
        ),
        (
            "ts_ninf",
            named("long", "io.debezium.time.MicroTimestamp"),
            Value::Long(-9_223_372_036_832_400_000),
            WALL,
            "-infinity",
        ),
        (
            "ts_c",
            named("long", "org.apache.kafka.connect.data.Timestamp"),
            Value::Long(1),
            INSTANT,
            "1970-01-01 00:00:00.001+00",
        ),
        (
            "zoned",
            named("string", "io.debezium.time.ZonedTimestamp"),
            text("2024-02-29T12:00:00.123456+02:00"),
            INSTANT,
            "2024-02-29 10:00:00.123456+00",
        ),
        (
            "zoned_inf",
            named("string", "io.debezium.time.ZonedTimestamp"),
            text("+292278994-08-16T23:00:00Z"),
            INSTANT,
            "infinity",
        ),
        ("iso_date", named("string", "io.debezium.time.IsoDate"), text("2024-02-29Z"), "date", "2024-02-29"),
        ("iso_time", named("string", "io.debezium.time.IsoTime"), text("01:02:03.4"), CLOCK, "01:02:03.4"),
        (
            "iso_ts",
            named("string", "io.debezium.time.IsoTimestamp"),
            text("2024-02-29T01:02:03Z"),
            WALL,
            "2024-02-29 01:02:03",
        ),
    ]
}

fn others() -> Vec<Column> {
    let scaled = r#"{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[
        {"name":"scale","type":"int"},{"name":"value","type":"bytes"}],"connect.version":1,
        "connect.name":"io.debezium.data.VariableScaleDecimal"}"#;
    let point = r#"{"type":"record","name":"Point","namespace":"io.debezium.data.geometry","fields":[{"name":"x",
        "type":"double"},
        {"name":"y","type":"double"},{"name":"wkb","type":["null","bytes"],"default":null},
        {"name":"srid","type":["null","int"],"default":null}],
        "connect.version":1,"connect.name":"io.debezium.data.geometry.Point"}"#;
    let geometry = r#"{"type":"record","name":"Geometry","namespace":"io.debezium.data.geometry",
        "fields":[{"name":"wkb","type":"bytes"},
        {"name":"srid","type":["null","int"],"default":null}],"connect.version":1,
        "connect.name":"io.debezium.data.geometry.Geometry"}"#;
    let at = record(&[("x", Value::Double(1.5)), ("y", Value::Double(2.0)), ("wkb", null()), ("srid", null())]);
    let fixed_scale = r#"{"type":"bytes","scale":2,"precision":64,"connect.version":1,
        "connect.parameters":{"scale":"2"},
        "connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#;
    let unmarked = r#"{"type":"bytes","connect.version":1,"connect.parameters":{"scale":"3",
        "connect.decimal.precision":"9"},
        "connect.name":"org.apache.kafka.connect.data.Decimal"}"#;
    let hundreds = r#"{"type":"bytes","connect.version":1,"connect.parameters":{"scale":"-2"},
        "connect.name":"org.apache.kafka.connect.data.Decimal"}"#;
    let big = r#"{"n": 12345678901234567890.12345678901234567890}"#;
    vec![
        ("zoned_time", named("string", "io.debezium.time.ZonedTime"), text("10:00:00+02:00"), "text", "10:00:00+02:00"),
        (
            "interval",
            named("string", "io.debezium.time.Interval"),
            text("P1Y2M3DT4H5M6.78S"),
            "text",
            "P1Y2M3DT4H5M6.78S",
        ),
        ("micros", named("long", "io.debezium.time.MicroDuration"), Value::Long(7), "bigint", "7"),
        ("year", named("int", "io.debezium.time.Year"), Value::Int(1999), "integer", "1999"),
        ("fixed_scale", fixed_scale.into(), decimal(&[0x04, 0xd2]), "numeric", "12.34"),
        ("unmarked", unmarked.into(), Value::Bytes(vec![0x04, 0xd2]), "numeric", "1.234"),
        ("hundreds", hundreds.into(), Value::Bytes(vec![0x04, 0xd2]), "numeric", "123400"),
        (
            "any_scale",
            scaled.into(),
            record(&[("scale", Value::Int(5)), ("value", Value::Bytes(vec![0x04, 0xd2]))]),
            "numeric",
            "0.01234",
        ),
        ("as_text", r#""string""#.into(), text("12.340"), "text", "12.340"),
        ("as_double", r#""double""#.into(), Value::Double(12.34), "double precision", "12.34"),
        ("doc", named("string", "io.debezium.data.Json"), text(big), "jsonb", big),
        (
            "ident",
            named("string", "io.debezium.data.Uuid"),
            text("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            "uuid",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
        (
            "colour",
            r#"{"type":"string","connect.parameters":{"allowed":"red,blue"},"connect.name":"io.debezium.data.Enum"}"#
                .into(),
            text("red"),
            "text",
            "red",
        ),
        ("xml", named("string", "io.debezium.data.Xml"), text("<a/>"), "text", "<a/>"),
        ("path", named("string", "io.debezium.data.Ltree"), text("a.b"), "text", "a.b"),
        (
            "bits",
            r#"{"type":"bytes","connect.parameters":{"length":"9"},"connect.name":"io.debezium.data.Bits"}"#.into(),
            Value::Bytes(vec![1, 1]),
            "bytea",
            "\\x0101",
        ),
        ("point", point.into(), at, "jsonb", r#"{"x": 1.5, "y": 2.0, "wkb": null, "srid": null}"#),
        (
            "geometry",
            geometry.into(),
            record(&[("wkb", Value::Bytes(vec![1, 255])), ("srid", some(Value::Int(4_326)))]),
            "jsonb",
            r#"{"wkb": "\\x01ff", "srid": 4326}"#,
        ),
        (
            "tags",
            r#"{"type":"array","items":["null","string"]}"#.into(),
            Value::Array(vec![some(text("a"))]),
            "jsonb",
            r#"["a"]"#,
        ),
        (
            "dates",
            format!(r#"{{"type":"array","items":["null",{}]}}"#, named("int", "io.debezium.time.Date")),
            Value::Array(vec![some(Value::Int(1)), null()]),
            "jsonb",
            r#"["1970-01-02", null]"#,
        ),
        (
            "pairs",
            r#"{"type":"map","values":["null","string"]}"#.into(),
            Value::Map([("k".to_owned(), some(text("v")))].into()),
            "jsonb",
            r#"{"k": "v"}"#,
        ),
    ]
}
