use super::*;
use crate::avro::binary::write::{write_long, write_sized};

fn read(schema: &str, bytes: &[u8]) -> Read<Value> {
    Reader::new(bytes).value(&Schema::parse_str(schema).unwrap())
}

#[test]
fn a_length_beyond_the_bytes_is_refused_before_allocating() {
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let huge_block = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02];
    for ty in [
        r#""string""#,
        r#""bytes""#,
        r#"{"type":"bytes","logicalType":"decimal","precision":9}"#,
        r#"{"type":"bytes","logicalType":"big-decimal"}"#,
        r#"{"type":"array","items":"long"}"#,
        r#"{"type":"array","items":"null"}"#,
        r#"{"type":"array","items":{"type":"record","name":"r","fields":[]}}"#,
        r#"{"type":"array","items":{"type":"fixed","name":"f","size":0}}"#,
        r#"{"type":"map","values":"long"}"#,
    ] {
        assert_eq!(read(ty, &huge), Err(Malformed::Length), "{ty}");
        if ty.contains("items") || ty.contains("values") {
            assert_eq!(read(ty, &huge_block), Err(Malformed::Length), "{ty}, negative count");
        }
    }
    assert_eq!(read(r#"{"type":"fixed","name":"f","size":1000000000000}"#, &[1]), Err(Malformed::Truncated));
    // The inner length of a big decimal exceeds its bytes.
    assert_eq!(
        read(r#"{"type":"bytes","logicalType":"big-decimal"}"#, &[0x0a, 0xfe, 0xff, 0xff, 0xff, 0x0f]),
        Err(Malformed::Length)
    );
}

#[test]
fn nested_arrays_of_nulls_share_one_limit() {
    let nested = r#"{"type":"array","items":{"type":"array","items":"null"}}"#;
    // Two inner arrays of 40,000 nulls each.
    let inner = [0x80, 0xf1, 0x04, 0x00];
    let bytes = [&[0x04][..], &inner, &inner, &[0x00]].concat();
    assert_eq!(read(nested, &bytes), Err(Malformed::Length));
    assert!(read(nested, &[&[0x02][..], &inner, &[0x00]].concat()).is_ok());
}

#[test]
fn the_end_of_the_bytes_is_not_a_null() {
    for ty in [r#""boolean""#, r#""string""#, r#"["null","string"]"#, r#""long""#, r#""double""#] {
        assert_eq!(read(ty, &[]), Err(Malformed::Truncated), "{ty}");
    }
    assert_eq!(read(r#""string""#, &[0x06, b'a']), Err(Malformed::Length));
}

#[test]
fn bytes_that_the_type_does_not_allow_are_refused() {
    assert_eq!(read(r#""boolean""#, &[2]), Err(Malformed::Boolean));
    assert_eq!(read(r#""int""#, &[0xfe, 0xff, 0xff, 0xff, 0x1f]), Err(Malformed::Number));
    assert_eq!(read(r#""long""#, &[0xff; 11]), Err(Malformed::Number));
    assert_eq!(read(r#""string""#, &[0x02, 0xff]), Err(Malformed::Utf8));
    assert_eq!(read(r#""string""#, &[0x01]), Err(Malformed::Length));
    assert_eq!(read(r#"["null","int"]"#, &[0x04]), Err(Malformed::Branch));
    assert_eq!(read(r#"["null","int"]"#, &[0x01]), Err(Malformed::Branch));
    assert_eq!(read(r#"{"type":"enum","name":"e","symbols":["a"]}"#, &[0x02]), Err(Malformed::Symbol));
    assert_eq!(read(r#"{"type":"string","logicalType":"uuid"}"#, &[0x02, b'x']), Err(Malformed::Uuid));
}

#[test]
fn a_nullable_value_is_bare_and_any_other_union_names_its_branch() {
    assert_eq!(read(r#"["null","int"]"#, &[0x00]), Ok(Value::Null));
    assert_eq!(read(r#"["int","null"]"#, &[0x00, 0x02]), Ok(Value::Int(1)));
    assert_eq!(read(r#"["null","int","string"]"#, &[0x02, 0x02]), Ok(Value::Union(1, Box::new(Value::Int(1)))));
}

fn big_decimal(unscaled: &[u8], scale: i64) -> Vec<u8> {
    let mut inner = Vec::new();
    write_sized(&mut inner, unscaled);
    write_long(&mut inner, scale);
    let mut datum = Vec::new();
    write_sized(&mut datum, &inner);
    datum
}

#[test]
fn a_number_beyond_numeric_is_refused_wherever_it_is_and_skipped_where_it_does_not_count() {
    let number = r#"{"type":"bytes","logicalType":"big-decimal"}"#;
    let array = format!(r#"{{"type":"array","items":{number}}}"#);
    for scale in [16_384, -16_384, -20_000_000_000, 1 << 62, i64::MAX, i64::MIN] {
        let bytes = big_decimal(&[1], scale);
        assert_eq!(read(number, &bytes), Err(Malformed::OutOfRange), "{scale}");
        let listed = [&[2][..], &bytes, &[0]].concat();
        assert_eq!(read(&array, &listed), Err(Malformed::OutOfRange), "{scale}, nested");
        let mut reader = Reader::new(&listed);
        assert_eq!((reader.skip(&Schema::parse_str(&array).unwrap()), reader.left()), (Ok(()), 0), "{scale}, skipped");
    }
    for scale in [16_383, -16_383] {
        assert!(read(number, &big_decimal(&[1], scale)).is_ok(), "{scale}");
    }
    assert_eq!(read(number, &big_decimal(&vec![1; 100_000], 0)), Err(Malformed::OutOfRange));
    let mut long = Vec::new();
    write_sized(&mut long, &vec![1; 100_000]);
    assert_eq!(read(r#"{"type":"bytes","logicalType":"decimal","precision":9}"#, &long), Err(Malformed::OutOfRange));
}

fn block(items: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_long(&mut bytes, items);
    bytes
}

#[test]
fn a_datum_that_grows_beyond_the_limit_is_refused_before_it_is_built() {
    // A few bytes; each of 65,536 items takes the memory of 100 fields.
    let fields: Vec<_> = (0..100).map(|at| format!(r#"{{"name":"field_{at}","type":"null"}}"#)).collect();
    let wide = format!(r#"{{"type":"array","items":{{"type":"record","name":"r","fields":[{}]}}}}"#, fields.join(","));
    assert_eq!(read(&wide, &[block(65_536), vec![0]].concat()), Err(Malformed::TooLarge));
    let mut reader = Reader::new(&[0x80, 0x80, 0x08, 0x00]);
    assert_eq!(reader.skip(&Schema::parse_str(&wide).unwrap()), Ok(()), "skipped without memory");
    // 2 MB of booleans take 112 MB.
    let booleans = [block(2_000_000), vec![1; 2_000_000], vec![0]].concat();
    assert_eq!(read(r#"{"type":"array","items":"boolean"}"#, &booleans), Err(Malformed::TooLarge));
    // Zeros before the point, 16 KB for each 7 bytes.
    let numbers: Vec<_> = (0..5_000).flat_map(|_| big_decimal(&[1], -16_383)).collect();
    let numbers = [block(5_000), numbers, vec![0]].concat();
    let ty = r#"{"type":"array","items":{"type":"bytes","logicalType":"big-decimal"}}"#;
    assert_eq!(read(ty, &numbers), Err(Malformed::TooLarge));
}

#[test]
fn the_memory_of_values_is_counted() {
    let counted = |schema: &str, bytes: &[u8]| {
        let mut reader = Reader::new(bytes);
        reader.value(&Schema::parse_str(schema).unwrap()).unwrap();
        reader.memory()
    };
    let (value, field) = (size_of::<Value>(), size_of::<(String, Value)>());
    assert_eq!(counted(r#""long""#, &[2]), 0, "within its own value");
    let nulls = counted(r#"{"type":"array","items":"null"}"#, &[block(65_536), vec![0]].concat());
    assert_eq!(nulls, 65_536 * value);
    let texts = counted(r#"{"type":"array","items":"string"}"#, &[4, 2, b'a', 4, b'b', b'c', 0]);
    assert!((2 * value + 3..2 * value + 64).contains(&texts), "{texts}");
    let map = counted(r#"{"type":"map","values":"int"}"#, &[2, 2, b'a', 2, 0]);
    assert!((field + 1..3 * field).contains(&map), "{map}");
    let record = counted(r#"{"type":"record","name":"r","fields":[{"name":"abc","type":"int"}]}"#, &[2]);
    assert!((field + 3..field + 32).contains(&record), "{record}");
}
