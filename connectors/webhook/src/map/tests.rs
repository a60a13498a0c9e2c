use apache_avro::types::Value;
use proptest::prelude::*;
use serde_json::{Value as Serde, json};
use towpath_api::Op;
use uuid::Uuid;

use super::*;
use crate::verify::{Clients, verify};

/// Every type there is, a namespace and a named type that is used again.
const ALL: &str = r#"{"type":"record","name":"all","namespace":"acme.crm","fields":[
    {"name":"id","type":"string"},
    {"name":"flag","type":"boolean"},
    {"name":"small","type":"int"},
    {"name":"big","type":["null","long"],"default":null},
    {"name":"single","type":["null","float"],"default":null},
    {"name":"real","type":["double","null"],"default":1.5},
    {"name":"text","type":["null","string"],"default":null},
    {"name":"raw","type":["null","bytes"],"default":null},
    {"name":"hash","type":["null",{"type":"fixed","name":"hash","size":4}],"default":null},
    {"name":"stage","type":{"type":"enum","name":"stage","symbols":["open","won","lost"]},"default":"open"},
    {"name":"before","type":["null","stage"],"default":null},
    {"name":"ref","type":["null",{"type":"string","logicalType":"uuid"}],"default":null},
    {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null},
    {"name":"at_ms","type":["null",{"type":"int","logicalType":"time-millis"}],"default":null},
    {"name":"at_us","type":["null",{"type":"long","logicalType":"time-micros"}],"default":null},
    {"name":"ts_ms","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
    {"name":"ts_us","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
    {"name":"local_us","type":["null",{"type":"long","logicalType":"local-timestamp-micros"}],"default":null},
    {"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}],"default":null},
    {"name":"price","type":["null",{"type":"fixed","name":"price","size":6,"logicalType":"decimal","precision":12,"scale":4}],"default":null},
    {"name":"address","type":["null",{"type":"record","name":"address","fields":[
        {"name":"city","type":"string"},{"name":"zip","type":["null","string"]},{"name":"country","type":"string","default":"AT"}]}],"default":null},
    {"name":"second","type":["null","address"],"default":null},
    {"name":"tags","type":{"type":"array","items":"string"},"default":[]},
    {"name":"extra","type":["null",{"type":"map","values":["null","long","string"]}],"default":null},
    {"name":"either","type":["null","long","string",{"type":"array","items":"long"}],"default":null}]}"#;

const DEAL: &str = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"long"},
    {"name":"name","type":"string"},{"name":"amount","type":["null","long"],"default":null},{"name":"stage","type":"string","default":"open"}]}"#;

fn mapper(schema: &str, updates: Updates) -> Mapper {
    let schema = Schema::parse_str(schema).unwrap();
    Mapper::new(Object::new("deal", schema, updates).unwrap()).unwrap()
}

/// Maps a post from its JSON text; credentials are added.
fn map_text(schema: &str, updates: Updates, post: &str) -> Result<Vec<ChangeEvent>, Unmapped> {
    let body = format!(r#"{{"clientid":"acme","clientSecret":"s",{}"#, post.trim_start().strip_prefix('{').unwrap());
    let clients = Clients::new([("acme", "s")]);
    let (_, post) = verify(body.as_bytes(), &clients).unwrap();
    map(&post, &BTreeMap::from([("deal".to_owned(), mapper(schema, updates))]), Some("trace"))
}

#[expect(clippy::needless_pass_by_value, reason = "so that a test reads `json!(…)` and no more")]
fn one(schema: &str, updates: Updates, action: &str, id: Serde, data: Serde) -> Result<ChangeEvent, Vec<String>> {
    let post = json!({"objectname": "deal", "id": id, "action": action, "data": data});
    match map_text(schema, updates, &post.to_string()) {
        Ok(mut events) => Ok(events.remove(0)),
        Err(unmapped) => Err(complaints(unmapped)),
    }
}

fn complaints(unmapped: Unmapped) -> Vec<String> {
    let line = |misfit: Misfit| format!("{} {}: {}", misfit.pointer, misfit.code, misfit.message);
    match unmapped {
        Unmapped::Schema { misfits, .. } => misfits.into_listed().into_iter().map(line).collect(),
        Unmapped::Envelope(misfits) => misfits.into_iter().map(line).collect(),
        other => vec![format!("{other:?}")],
    }
}

fn field(event: &ChangeEvent, name: &str) -> Value {
    event.after.as_ref().unwrap().iter().find(|(own, _)| own == name).unwrap().1.clone()
}

fn some(index: u32, value: Value) -> Value {
    Value::Union(index, Box::new(value))
}

const NULL: fn() -> Value = || some(0, Value::Null);

/// What the publisher relies on: one value for each field in its order, fit for the topic's schema.
fn assert_fits(event: &ChangeEvent) {
    if let Some(after) = &event.after {
        let names: Vec<&str> = after.iter().map(|(name, _)| name.as_str()).collect();
        let expected: Vec<&str> = event.object.fields().iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, expected);
        assert!(Value::Record(after.clone()).validate(event.object.value_schema()), "{after:?}");
    }
}

#[test]
fn a_create_carries_the_whole_record_with_defaults_in_place() {
    let event = one(DEAL, Updates::Whole, "create", json!(7), json!({"name": "n", "amount": 5})).unwrap();
    assert_eq!(
        (event.op, &event.key, &event.changed, event.traceparent.as_deref()),
        (Op::Create, &Key::Long(7), &None, Some("trace"))
    );
    let expected = [
        ("id", Value::Long(7)),
        ("name", Value::String("n".into())),
        ("amount", some(1, Value::Long(5))),
        ("stage", Value::String("open".into())),
    ];
    assert_eq!(event.after.as_ref().unwrap(), &expected.map(|(name, value)| (name.to_owned(), value)));
    assert_fits(&event);
}

#[test]
fn a_partial_update_carries_what_changes_and_says_so() {
    let event =
        one(DEAL, Updates::Partial, "update", json!(7), json!({"stage": "won", "id": 7, "amount": null})).unwrap();
    assert_eq!(event.changed, Some(vec!["amount".to_owned(), "stage".to_owned()]));
    assert_eq!((field(&event, "id"), field(&event, "name"), field(&event, "amount")), (Value::Long(7), NULL(), NULL()));
    assert_eq!(field(&event, "stage"), some(1, Value::String("won".into())));
    assert_fits(&event);
}

#[test]
fn a_create_beside_partial_updates_is_whole_all_the_same() {
    let event = one(DEAL, Updates::Partial, "create", json!(7), json!({"name": "n"})).unwrap();
    assert_eq!(
        (&event.changed, field(&event, "stage"), field(&event, "amount")),
        (&None, some(1, Value::String("open".into())), NULL())
    );
    assert_fits(&event);
    assert_eq!(
        one(DEAL, Updates::Partial, "create", json!(7), json!({})).unwrap_err(),
        ["/data/name required: missing required field"]
    );
}

#[test]
fn in_replace_mode_an_update_is_as_whole_as_a_create() {
    let event = one(DEAL, Updates::Whole, "UPDATE", json!(7), json!({"name": "n"})).unwrap();
    assert_eq!((event.op, &event.changed, field(&event, "amount")), (Op::Update, &None, NULL()));
    assert_eq!(
        one(DEAL, Updates::Whole, "update", json!(7), json!({"amount": 1})).unwrap_err(),
        ["/data/name required: missing required field"]
    );
}

#[test]
fn null_is_refused_where_the_agreed_schema_has_no_null() {
    let error = one(DEAL, Updates::Partial, "update", json!(7), json!({"name": null})).unwrap_err();
    assert_eq!(error, ["/data/name null: expected a string, got null"]);
}

#[test]
fn an_update_without_a_field_is_refused() {
    for data in [json!({}), json!({"id": 7})] {
        assert_eq!(
            one(DEAL, Updates::Partial, "update", json!(7), data).unwrap_err(),
            ["/data required: an update must carry at least one field"]
        );
    }
}

#[test]
fn a_delete_needs_no_data() {
    for post in [
        r#"{"objectname":"deal","id":7,"action":"Delete"}"#,
        r#"{"objectname":"deal","id":7,"action":"delete","data":null}"#,
        r#"{"objectname":"deal","id":7,"action":"delete","data":{"whatever":1}}"#,
        r#"{"objectname":"deal","data":[{"id":7,"action":"delete"}]}"#,
    ] {
        let events = map_text(DEAL, Updates::Partial, post).unwrap();
        assert_eq!(
            (events[0].op, &events[0].key, &events[0].after, &events[0].changed),
            (Op::Delete, &Key::Long(7), &None, &None),
            "{post}"
        );
    }
    assert_eq!(
        one(DEAL, Updates::Whole, "delete", json!(7), json!("x")).unwrap_err(),
        ["/data type: expected an object or null, got \"x\""]
    );
}

#[test]
fn an_id_is_a_string_or_an_integer_and_takes_the_type_of_the_key() {
    let key = |schema, id: Serde| one(schema, Updates::Whole, "delete", id, json!(null)).map(|event| event.key);
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
fn a_uuid_id_is_one_key_however_it_is_written() {
    let schema =
        r#"{"type":"record","name":"deal","fields":[{"name":"id","type":{"type":"string","logicalType":"uuid"}}]}"#;
    let event =
        one(schema, Updates::Partial, "create", json!("018F4F3E-0000-7000-8000-00000000000A"), json!({})).unwrap();
    assert_eq!(event.key, Key::Text("018f4f3e-0000-7000-8000-00000000000a".into()));
    assert_fits(&event);
}

#[test]
fn an_id_in_the_data_must_be_the_same_id() {
    assert!(one(DEAL, Updates::Partial, "update", json!(7), json!({"id": "7", "amount": 1})).is_ok());
    assert_eq!(
        one(DEAL, Updates::Partial, "update", json!(7), json!({"id": 8, "amount": 1})).unwrap_err(),
        ["/data/id id: differs from the `id` of the record"]
    );
}

#[test]
fn every_wrong_field_is_told_at_once() {
    let error =
        one(DEAL, Updates::Whole, "create", json!(7), json!({"amout": 1, "amount": "12.50", "stage": 3})).unwrap_err();
    assert_eq!(
        error,
        [
            "/data/amout unknown: the schema has no field \"amout\"; did you mean `amount`?",
            "/data/amount type: expected an integer (64 bit), got \"12.50\"",
            "/data/stage type: expected a string, got 3",
            "/data/name required: missing required field",
        ]
    );
}

#[test]
fn a_wrong_action_is_told_beside_wrong_fields() {
    for action in ["c", "upsert", ""] {
        assert!(
            one(DEAL, Updates::Whole, action, json!(7), json!({})).unwrap_err()[0]
                .starts_with("/action action: expected create, update or delete, got")
        );
    }
    let error = one(DEAL, Updates::Whole, "updat", json!(7), json!({"amount": "x"})).unwrap_err();
    assert_eq!(error.len(), 2);
    assert!(error[0].ends_with("did you mean `update`?"));
}

#[test]
fn an_array_holds_records_in_order_each_with_its_own_id_and_action() {
    let post = r#"{"objectname":"deal","action":"create","data":[
        {"id":1,"data":{"name":"a"}},
        {"ID":2,"Action":"update","data":{"amount":5}},
        {"id":3,"name":"c","amount":1},
        {"id":1,"action":"delete"}]}"#;
    let events = map_text(DEAL, Updates::Partial, post).unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event.op, event.key.clone(), event.changed.clone())).collect();
    assert_eq!(
        seen,
        [
            (Op::Create, Key::Long(1), None),
            (Op::Update, Key::Long(2), Some(vec!["amount".to_owned()])),
            (Op::Create, Key::Long(3), None),
            (Op::Delete, Key::Long(1), None),
        ]
    );
    events.iter().for_each(assert_fits);
    let ids: std::collections::HashSet<_> = events.iter().map(|event| &event.event_id).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn one_wrong_item_refuses_the_array_with_a_pointer_to_it() {
    let post = r#"{"objectname":"deal","action":"create","Data":[{"id":1,"data":{"name":"a"}},{"id":2,"data":{"name":"b","amount":"x"}},
        {"name":"c"},{"id":4,"name":1},5,{"id":6,"data":null,"x":1},{"id":7,"Id":7,"name":"n"}]}"#;
    let unmapped = map_text(DEAL, Updates::Whole, post).unwrap_err();
    assert!(matches!(&unmapped, Unmapped::Schema { events: 7, .. }));
    assert_eq!(
        complaints(unmapped),
        [
            "/Data/1/data/amount type: expected an integer (64 bit), got \"x\"",
            "/Data/2/id required: missing `id`",
            "/Data/3/name type: expected a string, got 1",
            "/Data/4 type: expected an object, got 5",
            "/Data/5/x unknown: beside `data` an item has `id` and `action` only",
            "/Data/5/data null: expected an object, or an array of objects, got null",
            "/Data/6/Id duplicate: a second spelling of the same field",
        ]
    );
}

#[test]
fn an_id_beside_an_array_is_for_one_record_only() {
    let single = r#"{"objectname":"deal","id":1,"action":"create","data":[{"name":"a"}]}"#;
    assert_eq!(map_text(DEAL, Updates::Whole, single).unwrap()[0].key, Key::Long(1));
    let several = r#"{"objectname":"deal","id":1,"action":"delete","data":[{"id":1},{"id":2}]}"#;
    assert_eq!(
        complaints(map_text(DEAL, Updates::Whole, several).unwrap_err()),
        ["/id id: several records cannot share one id; each carries its own"]
    );
    let empty = r#"{"objectname":"deal","data":[]}"#;
    assert_eq!(
        complaints(map_text(DEAL, Updates::Whole, empty).unwrap_err()),
        ["/data required: an array must hold at least one record"]
    );
}

#[test]
fn an_envelope_is_complete_and_has_nothing_else() {
    assert_eq!(
        complaints(map_text(DEAL, Updates::Whole, r#"{"objectname":"deal","acton":"create","data":{}}"#).unwrap_err()),
        [
            "/acton unknown: no field of an envelope: \"acton\"; did you mean `action`?",
            "/id required: missing required field of the envelope",
            "/action required: missing required field of the envelope",
        ]
    );
    assert_eq!(
        complaints(map_text(DEAL, Updates::Whole, r#"{"ObjectName":1,"id":1,"action":"create"}"#).unwrap_err()),
        ["/data required: missing required field of the envelope", "/ObjectName type: expected a string"]
    );
}

#[test]
fn an_object_that_is_not_agreed_is_named_with_the_nearest_one() {
    let unmapped = map_text(DEAL, Updates::Whole, r#"{"objectname":"deals","id":1,"action":"delete"}"#).unwrap_err();
    assert!(matches!(unmapped, Unmapped::UnknownObject { name, near } if name == "deals" && near.contains("`deal`")));
}

#[test]
fn a_name_given_twice_within_the_data_is_malformed() {
    let post = r#"{"objectname":"deal","id":1,"action":"create","data":{"name":"a","name":"b"}}"#;
    assert!(matches!(map_text(DEAL, Updates::Whole, post), Err(Unmapped::Malformed(_))));
}

#[test]
fn what_passes_a_limit_is_malformed_at_its_place_in_the_body() {
    let deep =
        format!(r#"{{"objectname":"deal","id":1,"action":"create","data":{}{}}}"#, "[".repeat(33), "]".repeat(33));
    let Err(Unmapped::Malformed(malformed)) = map_text(DEAL, Updates::Whole, &deep) else { panic!("not malformed") };
    let at = deep.rfind('[').unwrap() + r#""clientid":"acme","clientSecret":"s","#.len();
    assert_eq!(malformed.to_string(), format!("more than 32 levels at byte {at}"));
}

#[test]
fn a_private_key_of_serde_json_is_an_unknown_field() {
    let data = json!({"name": {"$serde_json::private::Number": "1"}, "$serde_json::private::RawValue": "1"});
    assert_eq!(
        one(DEAL, Updates::Whole, "create", json!(1), data).unwrap_err(),
        [
            "/data/name type: expected a string, got an object",
            "/data/$serde_json::private::RawValue unknown: the schema has no field \"$serde_json::private::RawValue\"",
        ]
    );
}

/// A record that uses every type, as JSON, whatever else its strings hold.
fn full() -> Serde {
    json!({"flag": true, "small": -3, "big": 9_007_199_254_740_993_i64, "single": 0.5, "real": 1e300, "text": "ä", "raw": "AP8=", "hash": "AAECAw==",
        "stage": "won", "before": "open", "ref": "018f4f3e-0000-7000-8000-000000000001", "day": "2026-01-31", "at_ms": "12:00:00.5",
        "at_us": "12:00:00.000001", "ts_ms": "2026-01-31T12:00:00Z", "ts_us": "2026-01-31T12:00:00.000001+01:00", "local_us": "2026-01-31T12:00:00",
        "amount": "12.10", "price": 0.1, "address": {"city": "Wien", "zip": null}, "second": {"city": "Graz", "zip": "8010", "country": "AT"},
        "tags": ["a", "b"], "extra": {"a": null, "b": 1, "c": "x"}, "either": [1, 2]})
}

#[test]
fn every_type_is_mapped_and_fits_the_topic() {
    for updates in [Updates::Whole, Updates::Partial] {
        for action in ["create", "update"] {
            let event = one(ALL, updates, action, json!("x"), full()).unwrap();
            assert_fits(&event);
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
fn the_place_of_null_in_a_union_is_that_of_the_topic_s_schema() {
    let real =
        |updates| field(&one(ALL, updates, "create", json!("x"), json!({"flag": true, "small": 1})).unwrap(), "real");
    assert_eq!(
        (real(Updates::Whole), real(Updates::Partial)),
        (some(0, Value::Double(1.5)), some(1, Value::Double(1.5)))
    );
    let null = |updates| {
        field(
            &one(ALL, updates, "create", json!("x"), json!({"flag": true, "small": 1, "real": null})).unwrap(),
            "real",
        )
    };
    assert_eq!((null(Updates::Whole), null(Updates::Partial)), (some(1, Value::Null), some(0, Value::Null)));
}

#[test]
fn values_that_would_lose_something_are_refused() {
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
        let outcome = one(ALL, Updates::Partial, "update", json!("x"), json!({name: value}));
        let found = outcome.err().map_or_else(String::new, |lines| lines.join("\n"));
        assert!(found.contains(&format!(" {code}: ")) || (code.is_empty() && found.is_empty()), "{name}: {found}");
    }
    let stage = one(ALL, Updates::Partial, "update", json!("x"), json!({"stage": "wonn"})).unwrap_err();
    assert_eq!(stage, ["/data/stage enum: got \"wonn\"; known: open, won, lost; did you mean `won`?"]);
}

#[test]
fn a_schema_that_json_cannot_fill_is_refused_at_the_start() {
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
fn a_schema_that_refers_to_itself_does_not_run_away() {
    let schema = r#"{"type":"record","name":"tree","fields":[{"name":"id","type":"long"},{"name":"kids","type":{"type":"array","items":
        {"type":"record","name":"a","fields":[{"name":"x","type":["null","a",{"type":"record","name":"b","fields":[{"name":"x","type":["null","a","b","long"]}]}]}]}}}]}"#;
    let deep = |leaf: &str| {
        let nested = format!("{}{leaf}{}", r#"{"x":"#.repeat(28), "}".repeat(28));
        map_text(
            schema,
            Updates::Whole,
            &format!(r#"{{"objectname":"deal","id":1,"action":"create","data":{{"kids":[{nested}]}}}}"#),
        )
    };
    assert!(deep("null").is_ok());
    assert!(matches!(deep("true"), Err(Unmapped::Schema { .. })));
}

fn any_text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

/// A field of `ALL` with a value that fits it.
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

fn any_json() -> impl Strategy<Value = Serde> {
    let leaf = prop_oneof![
        Just(Serde::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into)
    ];
    let name = prop_oneof![
        proptest::sample::select(vec![
            "id", "action", "data", "flag", "small", "stage", "address", "city", "tags", "extra"
        ])
        .prop_map(ToOwned::to_owned),
        any::<String>()
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map(name.clone(), inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn a_fitting_record_fits_the_topic_whatever_is_in_it(record in fitting(), whole: bool, update: bool) {
        let updates = if whole { Updates::Whole } else { Updates::Partial };
        let event = one(ALL, updates, if update { "update" } else { "create" }, json!("x"), record.clone().into()).unwrap();
        assert_fits(&event);
        if update && !whole {
            prop_assert_eq!(event.changed.unwrap().len(), record.len());
        }
    }

    #[test]
    fn any_post_is_mapped_or_refused_and_never_panics(id in any_json(), action in any_json(), data in any_json(), right: bool, whole: bool) {
        let action = if right { json!("update") } else { action };
        let updates = if whole { Updates::Whole } else { Updates::Partial };
        let post = json!({"objectname": "deal", "id": id, "action": action, "data": data});
        match map_text(ALL, updates, &post.to_string()) {
            Ok(events) => events.iter().for_each(assert_fits),
            Err(unmapped) => prop_assert!(!complaints(unmapped).is_empty()),
        }
    }
}
