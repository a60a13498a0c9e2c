use apache_avro::{Schema, types::Value};
use proptest::prelude::*;
use serde_json::{Value as Serde, json};
use towpath_api::{Key, Op, Updates};

use super::*;
use crate::verify::{Clients, verify};

/// A schema with every type, a namespace, and a named type that is used twice.
const ALL: &str = include_str!("../../../mapping/tests/every_type.avsc");

const DEAL: &str = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"long"},
    {"name":"name","type":"string"},{"name":"amount","type":["null","long"],"default":null},
    {"name":"stage","type":"string","default":"open"}]}"#;

fn mapper(schema: &str, updates: Updates) -> Mapper {
    let schema = Schema::parse_str(schema).unwrap();
    Mapper::new(Object::new("deal", schema, updates).unwrap()).unwrap()
}

/// Maps the JSON text of a post, after adding credentials.
fn map_text(schema: &str, updates: Updates, post: &str) -> Result<Vec<ChangeEvent>, Unmapped> {
    let body = format!(r#"{{"clientid":"acme","clientSecret":"s",{}"#, post.trim_start().strip_prefix('{').unwrap());
    let clients = Clients::new([("acme", "s")]);
    let (_, post) = verify(body.as_bytes(), &clients).unwrap();
    let mappers = BTreeMap::from([("deal".to_owned(), mapper(schema, updates))]);
    map(&post, &mappers, Some("trace")).map(|mapped| mapped.events)
}

#[expect(clippy::needless_pass_by_value, reason = "tests pass `json!(…)`")]
fn one(schema: &str, updates: Updates, action: &str, id: Serde, data: Serde) -> Result<ChangeEvent, Vec<String>> {
    let post = json!({"objectname": "deal", "id": id, "action": action, "data": data});
    match map_text(schema, updates, &post.to_string()) {
        Ok(mut events) => Ok(events.remove(0)),
        Err(unmapped) => Err(misfits(unmapped)),
    }
}

fn misfits(unmapped: Unmapped) -> Vec<String> {
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

/// The publisher relies on one value per field, in order, that fits the schema of the topic.
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
fn a_partial_update_names_the_fields_that_change() {
    let event =
        one(DEAL, Updates::Partial, "update", json!(7), json!({"stage": "won", "id": 7, "amount": null})).unwrap();
    assert_eq!(event.changed, Some(vec!["amount".to_owned(), "stage".to_owned()]));
    assert_eq!((field(&event, "id"), field(&event, "name"), field(&event, "amount")), (Value::Long(7), NULL(), NULL()));
    assert_eq!(field(&event, "stage"), some(1, Value::String("won".into())));
    assert_fits(&event);
}

#[test]
fn a_create_is_whole_even_in_merge_mode() {
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
fn in_replace_mode_an_update_is_whole() {
    let event = one(DEAL, Updates::Whole, "UPDATE", json!(7), json!({"name": "n"})).unwrap();
    assert_eq!((event.op, &event.changed, field(&event, "amount")), (Op::Update, &None, NULL()));
    assert_eq!(
        one(DEAL, Updates::Whole, "update", json!(7), json!({"amount": 1})).unwrap_err(),
        ["/data/name required: missing required field"]
    );
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
fn an_id_in_the_data_must_be_the_same_id() {
    assert!(one(DEAL, Updates::Partial, "update", json!(7), json!({"id": "7", "amount": 1})).is_ok());
    assert_eq!(
        one(DEAL, Updates::Partial, "update", json!(7), json!({"id": 8, "amount": 1})).unwrap_err(),
        ["/data/id id: differs from the `id` of the record"]
    );
}

#[test]
fn all_misfits_are_reported_at_once() {
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
fn an_invalid_action_is_reported_with_the_misfits_of_the_fields() {
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
fn array_items_are_records_in_order_with_their_own_ids() {
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
fn one_misfit_refuses_the_whole_array_with_a_pointer() {
    let post = r#"{"objectname":"deal","action":"create","Data":[{"id":1,"data":{"name":"a"}},
        {"id":2,"data":{"name":"b","amount":"x"}},
        {"name":"c"},{"id":4,"name":1},5,{"id":6,"data":null,"x":1},{"id":7,"Id":7,"name":"n"}]}"#;
    let unmapped = map_text(DEAL, Updates::Whole, post).unwrap_err();
    assert!(matches!(&unmapped, Unmapped::Schema { events: 7, .. }));
    assert_eq!(
        misfits(unmapped),
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
fn an_id_beside_an_array_applies_to_a_single_record_only() {
    let single = r#"{"objectname":"deal","id":1,"action":"create","data":[{"name":"a"}]}"#;
    assert_eq!(map_text(DEAL, Updates::Whole, single).unwrap()[0].key, Key::Long(1));
    let several = r#"{"objectname":"deal","id":1,"action":"delete","data":[{"id":1},{"id":2}]}"#;
    assert_eq!(
        misfits(map_text(DEAL, Updates::Whole, several).unwrap_err()),
        ["/id id: several records cannot share one id; each needs its own"]
    );
    let empty = r#"{"objectname":"deal","data":[]}"#;
    assert_eq!(
        misfits(map_text(DEAL, Updates::Whole, empty).unwrap_err()),
        ["/data required: an array must hold at least one record"]
    );
}

#[test]
fn an_envelope_has_all_its_fields_and_no_others() {
    assert_eq!(
        misfits(map_text(DEAL, Updates::Whole, r#"{"objectname":"deal","acton":"create","data":{}}"#).unwrap_err()),
        [
            "/acton unknown: not a field of the envelope: \"acton\"; did you mean `action`?",
            "/id required: missing required field of the envelope",
            "/action required: missing required field of the envelope",
        ]
    );
    assert_eq!(
        misfits(map_text(DEAL, Updates::Whole, r#"{"ObjectName":1,"id":1,"action":"create"}"#).unwrap_err()),
        ["/data required: missing required field of the envelope", "/ObjectName type: expected a string"]
    );
}

#[test]
fn an_unknown_object_is_reported_with_the_nearest_name() {
    let unmapped = map_text(DEAL, Updates::Whole, r#"{"objectname":"deals","id":1,"action":"delete"}"#).unwrap_err();
    assert!(matches!(unmapped, Unmapped::UnknownObject { name, near } if name == "deals" && near.contains("`deal`")));
}

#[test]
fn a_repeated_name_in_the_data_is_malformed() {
    let post = r#"{"objectname":"deal","id":1,"action":"create","data":{"name":"a","name":"b"}}"#;
    assert!(matches!(map_text(DEAL, Updates::Whole, post), Err(Unmapped::Malformed(_))));
}

#[test]
fn a_value_over_a_limit_is_malformed_at_its_place_in_the_body() {
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
    fn any_post_is_mapped_or_refused_and_never_panics(
        id in any_json(), action in any_json(), data in any_json(), right: bool, whole: bool,
    ) {
        let action = if right { json!("update") } else { action };
        let updates = if whole { Updates::Whole } else { Updates::Partial };
        let post = json!({"objectname": "deal", "id": id, "action": action, "data": data});
        match map_text(ALL, updates, &post.to_string()) {
            Ok(events) => events.iter().for_each(assert_fits),
            Err(unmapped) => prop_assert!(!misfits(unmapped).is_empty()),
        }
    }
}
