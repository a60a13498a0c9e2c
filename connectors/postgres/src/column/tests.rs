use apache_avro::types::Value;
use bytes::BytesMut;
use num_bigint::BigInt;

use super::{numeric::numeric, *};

#[test]
fn a_type_without_a_lossless_column_is_refused_by_name() {
    let of = |json: &str| ColumnType::of(&Schema::parse_str(json).unwrap());
    assert_eq!(of(r#"["null","long"]"#), Ok(ColumnType::Bigint));
    assert_eq!(of(r#"["null","long","string"]"#), Ok(ColumnType::Mixed));
    assert!(of(r#"{"type":"long","logicalType":"timestamp-nanos"}"#).unwrap_err().contains("nanoseconds"));
    assert!(of(r#""null""#).is_err());
}

#[test]
fn a_numeric_has_the_same_bytes_as_from_the_server() {
    // Taken from `select encode(numeric_send(x), 'hex')`.
    for (unscaled, scale, bytes) in [
        (1_250, 2, "0002000000000002000c1388"),
        (-5, 2, "0001ffff4000000201f4"),
        (0, 2, "0000000000000002"),
        (120_000_000, 0, "0002000200000000000107d0"),
    ] {
        let mut out = BytesMut::new();
        numeric(&BigInt::from(unscaled), scale, &mut out).unwrap();
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, bytes, "{unscaled} at scale {scale}");
    }
}

#[test]
fn a_value_that_does_not_fit_leaves_the_array_unchanged() {
    let mut array = ColumnArray::with_capacity(ColumnType::Timestamptz, 2);
    assert_eq!(array.push(&Value::TimestampMillis(i64::MAX), &Schema::TimestampMillis), Err(Unfit::RANGE));
    assert_eq!((array.len(), array.elements().len()), (0, 0));
    assert_eq!(array.push(&Value::TimestampMillis(0), &Schema::TimestampMillis), Ok(()));
    assert_eq!(array.len(), 1);
}

#[test]
fn an_infinite_day_is_an_infinite_instant_and_a_day_beyond_the_range_is_refused() {
    for column in [ColumnType::Timestamp, ColumnType::Timestamptz] {
        let mut array = ColumnArray::with_capacity(column, 4);
        for beyond in [106_762_940, -2_440_589, i32::MAX - 1, i32::MIN + 1] {
            assert_eq!(array.push(&Value::Date(beyond), &Schema::Date), Err(Unfit::RANGE), "{beyond}");
        }
        for (day, micros) in [(i32::MAX, i64::MAX), (i32::MIN, i64::MIN), (0, -946_684_800_000_000)]
            .into_iter()
            .chain([(106_762_939, 9_223_371_244_800_000_000), (-2_440_588, -211_813_488_000_000_000)])
        {
            let start = array.elements().len();
            assert_eq!(array.push(&Value::Date(day), &Schema::Date), Ok(()), "{day}");
            assert_eq!(array.elements()[start + 4..], micros.to_be_bytes(), "{day}");
        }
    }
}
