use super::*;

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
