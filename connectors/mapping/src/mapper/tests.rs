use apache_avro::{schema::Schema, types::Value};
use proptest::prelude::*;
use serde_json::{Value as Serde, json};
use towpath_api::{Key, Object, Updates};
use uuid::Uuid;

use super::*;
use crate::json::parse;

/// A schema with every type, a namespace, and a named type that is used twice.
const ALL: &str = include_str!("../../tests/every_type.avsc");

const DEAL: &str = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"long"},
    {"name":"name","type":"string"},{"name":"amount","type":["null","long"],"default":null},
    {"name":"stage","type":"string","default":"open"}]}"#;

fn mapper(schema: &str, updates: Updates) -> Mapper {
    let schema = Schema::parse_str(schema).unwrap();
    Mapper::new(Object::new("deal", schema, updates).unwrap()).unwrap()
}

/// Maps a record with places `/id` and `/data`.
#[expect(clippy::needless_pass_by_value, reason = "tests pass `json!(…)`")]
fn one(
    schema: &str,
    updates: Updates,
    contents: Contents,
    id: Serde,
    data: Serde,
) -> Result<(Key, Record), Vec<String>> {
    let mapper = mapper(schema, updates);
    let (id, data) = (serde_json::value::to_raw_value(&id).unwrap(), serde_json::value::to_raw_value(&data).unwrap());
    let (id, data) = (parse(&id).unwrap(), parse(&data).unwrap());
    let Json::Object(members) = data else { panic!("not an object") };
    let mut mapping = mapper.begin();
    let key = mapping.key(&id, &Path::Name(&Path::Root, "id"));
    let given = members.iter().map(|(name, json)| (&**name, json));
    let record = mapping.record(contents, key.as_ref(), given, &Path::Name(&Path::Root, "data"));
    let misfits = mapping.finish();
    if misfits.total() > 0 {
        let line = |misfit: crate::Misfit| format!("{} {}: {}", misfit.pointer, misfit.code, misfit.message);
        return Err(misfits.into_listed().into_iter().map(line).collect());
    }
    if contents != Contents::Unknown {
        assert_fits(mapper.object(), &record);
    }
    Ok((key.unwrap(), record))
}

/// The contents of an update of an object with these updates.
fn of_update(updates: Updates) -> Contents {
    if updates == Updates::Partial { Contents::Changes } else { Contents::Whole }
}

fn field(record: &(Key, Record), name: &str) -> Value {
    record.1.after.iter().find(|(own, _)| own == name).unwrap().1.clone()
}

fn some(index: u32, value: Value) -> Value {
    Value::Union(index, Box::new(value))
}

/// A source relies on one value per field, in order, that fits the schema of the topic.
fn assert_fits(object: &Object, record: &Record) {
    let names: Vec<&str> = record.after.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<&str> = object.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, expected);
    assert!(Value::Record(record.after.clone()).validate(object.value_schema()), "{:?}", record.after);
}

#[test]
fn null_is_refused_where_the_agreed_schema_has_no_null() {
    let error = one(DEAL, Updates::Partial, Contents::Changes, json!(7), json!({"name": null})).unwrap_err();
    assert_eq!(error, ["/data/name null: expected a string, got null"]);
}

#[test]
fn a_string_or_integer_id_takes_the_type_of_the_key() {
    let key = |schema, id: Serde| one(schema, Updates::Whole, Contents::Unknown, id, json!({})).map(|(key, _)| key);
    let text = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"string"}]}"#;
    assert_eq!(
        (key(DEAL, json!(42)), key(DEAL, json!("42")), key(DEAL, json!("-1"))),
        (Ok(Key::Long(42)), Ok(Key::Long(42)), Ok(Key::Long(-1)))
    );
    assert_eq!((key(text, json!(42)), key(text, json!("x"))), (Ok(Key::Text("42".into())), Ok(Key::Text("x".into()))));
    for id in [
        json!("042"),
        json!("+42"),
        json!("4 2"),
        json!("9223372036854775808"),
        json!(4.5),
        json!(1e3),
        json!(null),
        json!([]),
    ] {
        assert!(key(DEAL, id.clone()).unwrap_err()[0].starts_with("/id "), "{id}");
    }
    for id in [json!(""), json!("x".repeat(513)), json!("a\0b"), json!(4.5), json!(true)] {
        assert!(key(text, id.clone()).unwrap_err()[0].starts_with("/id "), "{id}");
    }
}

#[test]
fn a_uuid_id_is_one_key_in_any_letter_case() {
    let schema =
        r#"{"type":"record","name":"deal","fields":[{"name":"id","type":{"type":"string","logicalType":"uuid"}}]}"#;
    let event =
        one(schema, Updates::Partial, Contents::Whole, json!("018F4F3E-0000-7000-8000-00000000000A"), json!({}))
            .unwrap();
    assert_eq!(event.0, Key::Text("018f4f3e-0000-7000-8000-00000000000a".into()));
}

/// A record of `ALL` with a value for each field.
fn full() -> Serde {
    json!({"flag": true, "small": -3, "big": 9_007_199_254_740_993_i64, "single": 0.5, "real": 1e300, "text": "ä",
        "raw": "AP8=", "hash": "AAECAw==",
        "stage": "won", "before": "open", "ref": "018f4f3e-0000-7000-8000-000000000001", "day": "2026-01-31",
        "at_ms": "12:00:00.5",
        "at_us": "12:00:00.000001", "ts_ms": "2026-01-31T12:00:00Z", "ts_us": "2026-01-31T12:00:00.000001+01:00",
        "local_us": "2026-01-31T12:00:00",
        "amount": "12.10", "price": 0.1, "address": {"city": "Wien", "zip": null},
        "second": {"city": "Graz", "zip": "8010", "country": "AT"},
        "tags": ["a", "b"], "extra": {"a": null, "b": 1, "c": "x"}, "either": [1, 2]})
}

#[test]
fn every_type_is_mapped_and_fits_the_topic() {
    for updates in [Updates::Whole, Updates::Partial] {
        for contents in [Contents::Whole, of_update(updates)] {
            let event = one(ALL, updates, contents, json!("x"), full()).unwrap();
            assert_eq!(field(&event, "big"), some(1, Value::Long(9_007_199_254_740_993)));
            assert_eq!(field(&event, "amount"), some(1, Value::Decimal(vec![0x04, 0xba].into())));
            assert_eq!(field(&event, "price"), some(1, Value::Decimal(vec![0x03, 0xe8].into())));
            assert_eq!(field(&event, "ts_us"), some(1, Value::TimestampMicros(1_769_857_200_000_001)));
            assert_eq!(field(&event, "either"), some(3, Value::Array(vec![Value::Long(1), Value::Long(2)])));
            let Value::Union(1, address) = field(&event, "address") else { panic!() };
            let Value::Record(address) = *address else { panic!() };
            assert_eq!(address[2], ("country".to_owned(), Value::String("AT".into())));
        }
    }
}

#[test]
fn null_has_its_place_in_the_union_of_the_topic() {
    let real = |updates| {
        field(&one(ALL, updates, Contents::Whole, json!("x"), json!({"flag": true, "small": 1})).unwrap(), "real")
    };
    assert_eq!(
        (real(Updates::Whole), real(Updates::Partial)),
        (some(0, Value::Double(1.5)), some(1, Value::Double(1.5)))
    );
    let null = |updates| {
        field(
            &one(ALL, updates, Contents::Whole, json!("x"), json!({"flag": true, "small": 1, "real": null})).unwrap(),
            "real",
        )
    };
    assert_eq!((null(Updates::Whole), null(Updates::Partial)), (some(1, Value::Null), some(0, Value::Null)));
}

#[test]
fn values_that_do_not_fit_exactly_are_refused() {
    for (name, value, code) in [
        ("small", json!(2_147_483_648_i64), "range"),
        ("small", json!("1"), "type"),
        ("small", json!(1.0), "type"),
        ("big", json!(1e3), "type"),
        ("single", json!(1e39), "range"),
        ("amount", json!(0.001), "precision"),
        ("amount", json!("12345678901.00"), "precision"),
        ("price", json!("99999999.9999"), ""),
        ("text", json!("a\0b"), "format"),
        ("raw", json!("AP8"), "format"),
        ("hash", json!("AAEC"), "range"),
        ("stage", json!("Won"), "enum"),
        ("ref", json!("018f4f3e000070008000000000000001"), "format"),
        ("ts_ms", json!("2026-01-31T12:00:00"), "format"),
        ("ts_ms", json!("2026-01-31T12:00:00.0001Z"), "precision"),
        ("local_us", json!("2026-01-31T12:00:00Z"), "format"),
        ("extra", json!({"a\0": 1}), "format"),
        ("extra", json!({"a": true}), "type"),
        ("either", json!({}), "type"),
        ("address", json!({"zip": "1"}), "required"),
        ("tags", json!([1]), "type"),
    ] {
        let outcome = one(ALL, Updates::Partial, Contents::Changes, json!("x"), json!({name: value}));
        let found = outcome.err().map_or_else(String::new, |lines| lines.join("\n"));
        assert!(found.contains(&format!(" {code}: ")) || (code.is_empty() && found.is_empty()), "{name}: {found}");
    }
    let stage = one(ALL, Updates::Partial, Contents::Changes, json!("x"), json!({"stage": "wonn"})).unwrap_err();
    assert_eq!(stage, ["/data/stage enum: got \"wonn\"; known: open, won, lost; did you mean `won`?"]);
}

/// Maps one field of [`ALL`], given as JSON text; returns its value or the misfit.
fn given(name: &str, json: &str) -> Result<Value, String> {
    let mapper = mapper(ALL, Updates::Partial);
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(json).unwrap();
    let json = parse(&raw).unwrap();
    let mut mapping = mapper.begin();
    let key = Key::Text("x".into());
    let record = mapping.record(Contents::Changes, Some(&key), [(name, &json)].into_iter(), &Path::Root);
    match mapping.finish().into_listed().pop() {
        Some(misfit) => Err(format!("{} {}: {}", misfit.pointer, misfit.code, misfit.message)),
        None => match field(&(key, record), name) {
            Value::Union(1, value) => Ok(*value),
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn a_number_of_any_form_is_taken_or_refused_by_its_field() {
    // What decimal libraries print for the double 0.1, and its neighbor in the middle of two doubles.
    let tenth = "0.1000000000000000055511151231257827021181583404541015625";
    assert_eq!(given("real", tenth), Ok(Value::Double(0.1)));
    assert_eq!(given("real", &format!("{:.1074}", f64::from_bits(1))), Ok(Value::Double(f64::from_bits(1))));
    assert_eq!(given("real", &format!("{:.0}", f64::MAX)), Ok(Value::Double(f64::MAX)));
    assert_eq!(given("real", "0e99999999999"), Ok(Value::Double(0.0)));
    assert!(matches!(given("real", "-0"), Ok(Value::Double(zero)) if zero == 0.0 && zero.is_sign_negative()));
    assert_eq!(given("amount", &format!("12.1{}", "0".repeat(1_000))), given("amount", "12.10"));
    assert_eq!((given("big", "-0"), given("small", "-0")), (Ok(Value::Long(0)), Ok(Value::Int(0))));
    let long = "1".repeat(2_001);
    for (name, json, expected) in [
        ("amount", tenth, "/amount precision: more than 2 digits after the point: \"0.1"),
        ("amount", "1e401", "/amount precision: an exponent over 400: \"1e401\""),
        ("amount", "1e-99999999999", "/amount precision: an exponent over 400: "),
        ("amount", &long, "/amount range: more than 2000 characters in a number: "),
        ("real", "1e400", "/real range: out of the range of a double: 1e400"),
        ("real", "-1e99999999999", "/real range: out of the range of a double: -1e99999999999"),
        ("real", &long, "/real range: more than 2000 characters in a number: "),
        ("single", "1e39", "/single range: out of the range of a float: 1e39"),
        ("big", tenth, "/big type: expected an integer, without decimal point and exponent, got 0.1"),
        ("big", "1e3", "/big type: expected an integer, without decimal point and exponent, got 1e3"),
        ("big", &long[..60], "/big range: out of the range of a 64-bit integer: 111"),
        ("big", &long, "/big range: more than 2000 characters in a number: "),
        ("text", &long, "/text range: more than 2000 characters in a number: "),
        ("text", &long[..60], "/text type: expected a string, got 111"),
        ("ts_us", "1769860800", "/ts_us type: expected an RFC 3339 string with time zone, got 1769860800"),
    ] {
        let misfit = given(name, json).unwrap_err();
        assert!(misfit.starts_with(expected) && misfit.len() < 200, "{name}: {misfit}");
    }
}

#[test]
fn long_numbers_cost_no_more_than_their_bytes() {
    let schema = with_fields(std::iter::once(
        r#"{"name":"s","type":{"type":"array","items":["null","float","double"]}}"#.to_owned(),
    ));
    let number = format!("0.{}5e-290", "1".repeat(1_900));
    let (misfits, time) = timed(&schema, &format!(r#"[{{"s":[{}]}}]"#, vec![number; 9_000].join(",")));
    assert_eq!(misfits.total(), 0);
    assert!(time < std::time::Duration::from_secs(5), "{time:?}");
}

#[test]
fn a_schema_with_types_beyond_json_is_refused() {
    let refused = |field: &str| {
        let schema = format!(r#"{{"type":"record","name":"deal","fields":[{{"name":"id","type":"long"}},{field}]}}"#);
        Mapper::new(Object::new("deal", Schema::parse_str(&schema).unwrap(), Updates::Whole).unwrap()).unwrap_err()
    };
    let duration = r#"{"name":"d","type":{"type":"fixed","name":"f","size":12,"logicalType":"duration"}}"#;
    assert_eq!(refused(duration), "field `d` is a duration, which has no form in JSON");
    assert!(
        refused(r#"{"name":"l","type":{"type":"array","items":{"type":"bytes","logicalType":"big-decimal"}}}"#)
            .contains("big-decimal")
    );
}

#[test]
fn a_schema_that_refers_to_itself_takes_bounded_work() {
    let schema = r#"{"type":"record","name":"tree","fields":[{"name":"id","type":"long"},
        {"name":"kids","type":{"type":"array","items":{"type":"record","name":"a","fields":[
        {"name":"x","type":["null","a",{"type":"record","name":"b","fields":[
        {"name":"x","type":["null","a","b","long"]}]}]}]}}}]}"#;
    let deep = |leaf: &str| {
        let nested = format!("{}{leaf}{}", r#"{"x":"#.repeat(28), "}".repeat(28));
        let data = serde_json::from_str(&format!(r#"{{"kids":[{nested}]}}"#)).unwrap();
        one(schema, Updates::Whole, Contents::Whole, json!(1), data)
    };
    assert!(deep("null").is_ok());
    assert!(deep("true").is_err());
}

fn any_text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

/// Records of `ALL` with values that fit.
fn fitting() -> impl Strategy<Value = serde_json::Map<String, Serde>> {
    let cents = any::<i32>().prop_map(|cents| {
        format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
    });
    let moment = (0_i64..4_000_000_000, 0_i32..1_000)
        .prop_map(|(seconds, millis)| jiff::Timestamp::new(seconds, millis * 1_000_000).unwrap());
    let optional =
        |strategy: BoxedStrategy<Serde>| proptest::option::of(prop_oneof![4 => strategy, 1 => Just(Serde::Null)]);
    let first = (
        any::<bool>(),
        any::<i32>(),
        optional(any::<i64>().prop_map(Into::into).boxed()),
        optional(any::<f64>().prop_map(Into::into).boxed()),
        optional(any_text().prop_map(Into::into).boxed()),
        optional(cents.prop_map(Into::into).boxed()),
        proptest::option::of(proptest::sample::select(vec!["open", "won", "lost"])),
    );
    let second = (
        optional(moment.prop_map(|moment| moment.to_string().into()).boxed()),
        optional(any::<[u8; 16]>().prop_map(|bytes| Uuid::from_bytes(bytes).to_string().into()).boxed()),
        proptest::option::of(proptest::collection::vec(any_text(), 0..4)),
        optional(
            (any_text(), proptest::option::of(any_text()))
                .prop_map(|(city, zip)| json!({"city": city, "zip": zip}))
                .boxed(),
        ),
        optional(
            proptest::collection::hash_map(
                any_text(),
                prop_oneof![any::<i64>().prop_map(Serde::from), any_text().prop_map(Serde::from), Just(Serde::Null)],
                0..4,
            )
            .prop_map(|map| map.into_iter().collect())
            .boxed(),
        ),
    );
    (first, second).prop_map(|((flag, small, big, real, text, amount, stage), (ts, uuid, tags, address, extra))| {
        let given = [
            ("flag", Some(json!(flag))),
            ("small", Some(json!(small))),
            ("big", big),
            ("real", real),
            ("text", text),
            ("amount", amount),
            ("stage", stage.map(Into::into)),
            ("ts_ms", ts),
            ("ref", uuid),
            ("tags", tags.map(Into::into)),
            ("address", address.clone()),
            ("second", address),
            ("extra", extra),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

proptest! {
    #[test]
    fn a_double_written_out_exactly_is_the_same_double(bits: u64) {
        let number = f64::from_bits(bits);
        if number.is_finite() {
            prop_assert_eq!(given("real", &format!("{number:.1074}")), Ok(Value::Double(number)));
            prop_assert_eq!(given("real", &format!("{number:e}")), Ok(Value::Double(number)));
        }
    }

    #[test]
    fn every_fitting_record_fits_the_topic(record in fitting(), whole: bool, update: bool) {
        let updates = if whole { Updates::Whole } else { Updates::Partial };
        let contents = if update { of_update(updates) } else { Contents::Whole };
        let event = one(ALL, updates, contents, json!("x"), record.clone().into()).unwrap();
            if update && !whole {
            prop_assert_eq!(event.1.changed.unwrap().len(), record.len());
        }
    }
}

/// Maps `data`, the items of an array, as whole records with the id 1; returns the misfits and the time it took.
fn timed(schema: &str, data: &str) -> (crate::Misfits, std::time::Duration) {
    let mapper = mapper(schema, Updates::Whole);
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(data).unwrap();
    let Json::Array(items) = parse(&raw).unwrap() else { panic!("not an array") };
    let started = std::time::Instant::now();
    let mut mapping = mapper.begin();
    for (index, item) in items.iter().enumerate() {
        let Json::Object(members) = item else { panic!("not an object") };
        let given = members.iter().map(|(name, json)| (&**name, json));
        mapping.record(Contents::Whole, Some(&Key::Long(1)), given, &Path::Index(&Path::Root, index));
    }
    (mapping.finish(), started.elapsed())
}

fn with_fields(fields: impl Iterator<Item = String>) -> String {
    let fields: Vec<String> = fields.collect();
    format!(r#"{{"type":"record","name":"deal","fields":[{{"name":"id","type":"long"}},{}]}}"#, fields.join(","))
}

#[test]
fn ten_thousand_unknown_names_cost_no_more_than_their_bytes() {
    let schema = with_fields((0..100).map(|number| format!(r#"{{"name":"f{number:078}","type":["null","long"]}}"#)));
    let names: Vec<String> = (0..9_000).map(|number| format!(r#""g{number:078}":1"#)).collect();
    let (misfits, time) = timed(&schema, &format!("[{{{}}}]", names.join(",")));
    assert_eq!(misfits.total(), 9_000);
    // The comparison of all names took 15 s in a release build.
    assert!(time < std::time::Duration::from_secs(2), "{time:?}");
}

#[test]
fn ten_thousand_wrong_symbols_cost_no_more_than_their_bytes() {
    let symbols: Vec<String> = (0..500).map(|number| format!(r#""S{number:070}""#)).collect();
    let stage = format!(r#"{{"type":"enum","name":"stage","symbols":[{}]}}"#, symbols.join(","));
    let schema = with_fields(std::iter::once(format!(r#"{{"name":"s","type":{{"type":"array","items":{stage}}}}}"#)));
    let wrong: Vec<String> = (0..9_000).map(|number| format!(r#""X{number:070}""#)).collect();
    let (misfits, time) = timed(&schema, &format!(r#"[{{"s":[{}]}}]"#, wrong.join(",")));
    assert_eq!(misfits.total(), 9_000);
    assert!(time < std::time::Duration::from_secs(3), "{time:?}");
}

#[test]
fn readings_of_a_union_under_a_long_name_write_no_pointers() {
    let union = r#"{"name":"s","type":{"type":"map","values":{"type":"array","items":["null","long","boolean"]}}}"#;
    let texts = vec![r#""x""#; 9_000].join(",");
    let long = "n".repeat(250_000);
    let (misfits, time) =
        timed(&with_fields([union.to_owned()].into_iter()), &format!(r#"[{{"s":{{"{long}":[{texts}]}}}}]"#));
    assert_eq!(misfits.total(), 9_000);
    assert!(misfits.into_listed().iter().all(|misfit| misfit.pointer.len() < 100));
    assert!(time < std::time::Duration::from_secs(2), "{time:?}");
}

#[test]
fn empty_objects_do_not_grow_into_records_without_end() {
    let fields: Vec<String> =
        (0..1_000).map(|number| format!(r#"{{"name":"f{number}","type":"string","default":"default"}}"#)).collect();
    let item = format!(r#"{{"type":"record","name":"item","fields":[{}]}}"#, fields.join(","));
    let schema = with_fields(std::iter::once(format!(r#"{{"name":"s","type":{{"type":"array","items":{item}}}}}"#)));
    let items = |count: usize| format!(r#"[{{"s":[{}]}}]"#, vec!["{}"; count].join(","));
    assert_eq!(timed(&schema, &items(200)).0.total(), 0);
    let (misfits, time) = timed(&schema, &items(9_000));
    let first = &misfits.into_listed()[0];
    assert_eq!((first.pointer.as_str(), first.code), ("/0/s/249", "range"));
    assert!(time < std::time::Duration::from_secs(5), "{time:?}");
}
