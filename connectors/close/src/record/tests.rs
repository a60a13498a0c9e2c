mod live;
mod property;

use std::collections::HashMap;

use apache_avro::types::Value;
use serde_json::{Map, Value as Json, json};
use towpath_api::{ChangeEvent, Key, Op, Version};
use towpath_keys::Named;

use super::{LogEvent, Misfits, Shape, Unusable, content_hash, log_event, merged_away, missing, part, read_row};
use crate::{
    catalogue::{KINDS, kind},
    config::{Part, RoleConfig},
    moment::Moment,
    structure::{Definitions, Structure},
};

const READ_AT: Moment = Moment(2_000_000_000_000_000);

fn structure(name: &'static str, custom: &'static str, definitions: &[(&str, &str, bool)]) -> Structure {
    let mut all = Definitions::default();
    for (id, ty, multiple) in definitions {
        let row = json!({"id": id, "name": "Label", "type": ty, "accepts_multiple_values": multiple});
        all.add(custom, row.as_object().unwrap());
    }
    Structure::combine(&[kind(name).unwrap()], all, &HashMap::new()).unwrap()
}

fn plain(name: &'static str) -> Structure {
    structure(name, "lead", &[])
}

fn shape(structure: &Structure) -> &Shape {
    KINDS.iter().find_map(|kind| structure.shape(kind)).unwrap()
}

fn object(json: Json) -> Map<String, Json> {
    let Json::Object(object) = json else { panic!("not an object") };
    object
}

fn read(structure: &Structure, row: Json) -> (ChangeEvent, Misfits) {
    read_row(shape(structure), &object(row), READ_AT).unwrap()
}

fn value<'a>(event: &'a ChangeEvent, name: &str) -> &'a Value {
    &event.after.as_ref().unwrap().iter().find(|(own, _)| own == name).unwrap().1
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn event(json: Json) -> LogEvent {
    serde_json::from_value(json).unwrap()
}

fn updated_lead() -> Json {
    json!({"id": "ev_1", "date_created": "2026-02-03T09:15:30.120000", "date_updated": "2026-02-03T09:15:33.481000",
        "object_type": "lead", "object_id": "lead_A", "action": "updated", "meta": {"request_method": "PUT"},
        "data": {"id": "lead_A", "name": "Nord", "date_updated": "2026-02-03T09:15:33.478000+00:00"},
        "previous_data": {"name": "Süd"}})
}

fn micros(text: &str) -> i64 {
    Moment::parse(text).unwrap().0
}

#[test]
fn a_row_is_a_read_of_its_last_change_seen_when_it_was_read() {
    let row = json!({"id": "lead_A", "name": "Nord", "date_updated": "2026-02-03T09:15:33.478000+00:00"});
    let (event, misfits) = read(&plain("lead"), row.clone());
    assert_eq!((event.op, &event.key, misfits), (Op::Read, &Key::Text("lead_A".into()), Misfits::default()));
    let ts = micros("2026-02-03T09:15:33.478Z");
    assert_eq!(event.version, Some(Version { ts, seq: READ_AT.0, rank: 1 }));
    assert_eq!(value(&event, "name"), &text("Nord"));
    let id = format!("lead/lead_A@{:016x}", content_hash(Op::Read, event.after.as_deref()));
    assert_eq!(event.event_id, id);
    assert_eq!(event.after.unwrap().len(), shape(&plain("lead")).object.fields().len());

    // A row without a date is as new as its reading.
    let (event, _) = read(&plain("lead_status"), json!({"id": "stat_A", "label": "Open"}));
    assert_eq!(event.version, Some(Version { ts: READ_AT.0, seq: READ_AT.0, rank: 1 }));
    assert_eq!(read_row(shape(&plain("lead")), &Map::new(), READ_AT).unwrap_err(), Unusable::NoId);
}

#[test]
fn an_event_is_an_upsert_of_its_data_whatever_its_action() {
    let leads = plain("lead");
    for (action, op) in [("created", Op::Create), ("updated", Op::Update), ("merged", Op::Update), ("new", Op::Update)]
    {
        let mut json = updated_lead();
        json["action"] = json!(action);
        let (record, _) = log_event(shape(&leads), &event(json)).unwrap();
        assert_eq!(record.op, op);
        assert_eq!(record.event_id, "ev_1@2026-02-03T09:15:33.481000");
        let (ts, seq) = (micros("2026-02-03T09:15:33.478Z"), micros("2026-02-03T09:15:33.481Z"));
        assert_eq!(record.version, Some(Version { ts, seq, rank: 2 }));
        assert_eq!(value(&record, "name"), &text("Nord"));
    }
}

/// The revert of an import (`close-api.md`, 8.2).
#[test]
fn an_event_that_sets_the_date_back_is_newer_than_the_record_before() {
    let mut json = updated_lead();
    json["previous_data"] = json!({"name": "Süd", "date_updated": "2026-02-03T09:15:33.480000+00:00"});
    let reverted = event(json).without_the_needless();
    let (record, _) = log_event(shape(&plain("lead")), &reverted).unwrap();
    let (ts, seq) = (micros("2026-02-03T09:15:33.480Z"), micros("2026-02-03T09:15:33.481Z"));
    assert_eq!(record.version, Some(Version { ts, seq, rank: 2 }));
}

#[test]
fn a_delete_has_the_version_of_the_event_or_of_the_last_live_row() {
    let mut json = updated_lead();
    json["action"] = json!("deleted");
    json["data"] = Json::Null;
    json["previous_data"] = json!({"id": "lead_A", "date_updated": "2026-02-03T09:15:33.999000+00:00"});
    let (record, _) = log_event(shape(&plain("lead")), &event(json)).unwrap();
    assert_eq!((record.op, &record.after, &record.key), (Op::Delete, &None, &Key::Text("lead_A".into())));
    let (ts, seq) = (micros("2026-02-03T09:15:33.999Z"), micros("2026-02-03T09:15:33.481Z"));
    assert_eq!(record.version, Some(Version { ts, seq, rank: 3 }));

    let gone = missing(shape(&plain("lead")), "lead_A", Moment(5), Moment(9));
    assert_eq!((gone.op, &*gone.event_id), (Op::Delete, "lead/lead_A@gone:9"));
    assert_eq!(gone.version, Some(Version { ts: 5, seq: 9, rank: 3 }));
}

#[test]
fn an_event_whose_data_are_hidden_is_unusable_and_a_delete_is_not() {
    let leads = plain("lead");
    let mut json = updated_lead();
    json.as_object_mut().unwrap().retain(|name, _| name != "data" && name != "previous_data");
    assert_eq!(log_event(shape(&leads), &event(json.clone())).unwrap_err(), Unusable::NoData);
    json["action"] = json!("deleted");
    assert_eq!(log_event(shape(&leads), &event(json.clone())).unwrap().0.key, Key::Text("lead_A".into()));
    json["date_updated"] = json!("soon");
    assert_eq!(log_event(shape(&leads), &event(json)).unwrap_err(), Unusable::NoTime);
    let mut member = updated_lead();
    member["object_type"] = json!("membership");
    assert_eq!(log_event(shape(&plain("membership")), &event(member)).unwrap_err(), Unusable::NotWhole);
}

#[test]
fn quirk_28_a_merge_is_of_the_lead_that_remains_and_deletes_the_other() {
    let mut json = updated_lead();
    json["action"] = json!("merged");
    json["object_id"] = json!("lead_B");
    json["meta"] = json!({"merge_source_lead_id": "lead_B", "merge_destination_lead_id": "lead_A"});
    let (leads, merged) = (plain("lead"), event(json));
    assert_eq!(log_event(shape(&leads), &merged).unwrap().0.key, Key::Text("lead_A".into()));
    let gone = merged_away(shape(&leads), &merged).unwrap();
    assert_eq!((gone.op, &gone.key), (Op::Delete, &Key::Text("lead_B".into())));
    assert_eq!(gone.event_id, "ev_1@2026-02-03T09:15:33.481000/source");
    assert!(merged_away(shape(&leads), &event(updated_lead())).is_none());
}

#[test]
fn quirk_15_each_form_of_a_time_is_a_time() {
    let calls = plain("call");
    for (given, expected) in [
        ("2026-02-03T09:15:33.478000+00:00", "2026-02-03T09:15:33.478Z"),
        ("2026-02-03T09:15:33+00:00", "2026-02-03T09:15:33Z"),
        ("2026-02-03T10:15:33.478000+01:00", "2026-02-03T09:15:33.478Z"),
        ("2026-02-03T09:15:33.478000", "2026-02-03T09:15:33.478Z"),
        ("2026-02-03", "2026-02-03T00:00:00Z"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z"),
    ] {
        let (event, misfits) = read(&calls, json!({"id": "acti_A", "date_created": given}));
        assert_eq!(value(&event, "date_created"), &Value::TimestampMicros(micros(expected)), "{given}");
        assert_eq!(misfits, Misfits::default());
    }
    let (event, _) = read(&plain("opportunity"), json!({"id": "oppo_A", "date_won": "2026-03-31"}));
    assert_eq!(value(&event, "date_won"), &Value::Date(20_543));
    let (event, misfits) = read(&plain("opportunity"), json!({"id": "oppo_A", "date_won": "2026-03-31T00:00:00"}));
    assert_eq!((value(&event, "date_won"), misfits.mistyped), (&Value::Null, 1));
    assert_eq!(value(&event, "_extra"), &text(r#"{"date_won":"2026-03-31T00:00:00"}"#));
    for date in ["2026-02-10", "2026-09-12T19:55:41+00:00"] {
        let (event, _) = read(&plain("task"), json!({"id": "task_A", "date": date}));
        assert_eq!(value(&event, "date"), &text(date));
    }
}

#[test]
fn quirk_19_money_is_whole_cents_and_costs_stay_texts() {
    let opportunities = plain("opportunity");
    for (given, expected) in [(json!(125_000), 125_000), (json!(125_000.0), 125_000), (json!(i64::MAX), i64::MAX)] {
        let (event, _) = read(&opportunities, json!({"id": "oppo_A", "value": given}));
        assert_eq!(value(&event, "value"), &Value::Long(expected));
    }
    for given in [json!(12.5), json!("12"), json!(u64::MAX), json!(1e300)] {
        let (event, misfits) = read(&opportunities, json!({"id": "oppo_A", "value": given}));
        assert_eq!((value(&event, "value"), misfits.mistyped), (&Value::Null, 1), "{given}");
        assert_eq!(value(&event, "_extra"), &text(&json!({"value": given}).to_string()));
    }
    let (event, _) = read(&plain("call"), json!({"id": "acti_A", "cost": "2"}));
    assert_eq!(value(&event, "cost"), &text("2"));
}

#[test]
fn quirk_16_unset_multiple_and_unknown_custom_fields() {
    let leads = structure(
        "lead",
        "lead",
        &[("cf_one", "choices", false), ("cf_many", "choices", true), ("cf_size", "number", false)],
    );
    let row = json!({"id": "lead_A", "custom.cf_many": ["A", "B"], "custom.cf_size": 12.10,
        "custom": {"Size": 12.1}, "custom.Size": 12.1, "custom.cf_new": {"b": 1, "a": null},
        "future": true, "gone": null});
    let (event, misfits) = read(&leads, row);
    assert_eq!(value(&event, "cf_one"), &Value::Null);
    assert_eq!(value(&event, "cf_many"), &Value::Array(vec![text("A"), text("B")]));
    assert_eq!(value(&event, "cf_size"), &Value::BigDecimal("12.1".parse().unwrap()));
    assert_eq!(value(&event, "_extra"), &text(r#"{"cf_new":{"a":null,"b":1},"future":true}"#));
    assert_eq!(misfits, Misfits { unknown: 2, mistyped: 0, custom: true });

    let (event, misfits) = read(&leads, json!({"id": "lead_A", "custom.cf_one": ["A"], "custom.cf_many": "A"}));
    assert_eq!(value(&event, "_extra"), &text(r#"{"cf_one":["A"]}"#));
    assert_eq!(value(&event, "cf_many"), &Value::Array(vec![text("A")]));
    assert_eq!(misfits, Misfits { unknown: 0, mistyped: 1, custom: true });
}

#[test]
fn case_46_a_value_goes_to_the_branch_that_takes_it() {
    let single = structure("lead", "lead", &[("cf_a", "choices", false), ("cf_b", "text", false)]);
    let mut definitions = Definitions::default();
    for (id, ty, multiple) in [("cf_a", "choices", true), ("cf_b", "number", false)] {
        let row = json!({"id": id, "name": "L", "type": ty, "accepts_multiple_values": multiple});
        definitions.add("lead", row.as_object().unwrap());
    }
    let both = single.combined(definitions).unwrap();
    let (old, _) = read(&both, json!({"id": "lead_A", "custom.cf_a": "A", "custom.cf_b": "7"}));
    let (new, _) = read(&both, json!({"id": "lead_A", "custom.cf_a": ["A"], "custom.cf_b": 7}));
    let union = |place, value| Value::Union(place, Box::new(value));
    assert_eq!((value(&old, "cf_a"), value(&old, "cf_b")), (&union(1, text("A")), &union(1, text("7"))));
    assert_eq!(value(&new, "cf_a"), &union(2, Value::Array(vec![text("A")])));
    assert_eq!(value(&new, "cf_b"), &union(2, Value::BigDecimal(7.into())));
    // The schema that wrote it does not count.
    let (before, _) = read(&single, json!({"id": "lead_A", "custom.cf_a": "A", "custom.cf_b": "7"}));
    assert_eq!(before.event_id, old.event_id);
}

#[test]
fn a_row_without_id_has_the_one_that_its_other_fields_make() {
    let (event, _) = read(&plain("unsubscribed_email"), json!({"email": "a@b.example"}));
    assert_eq!((&event.key, value(&event, "id")), (&Key::Text("a@b.example".into()), &text("a@b.example")));
    let long = format!("{}@b.example", "a".repeat(300));
    let (event, _) = read(&plain("unsubscribed_email"), json!({"email": long}));
    assert!(event.event_id.len() <= 200);
    assert_eq!(event.key, Key::Text(long));
    let (event, _) = read(&plain("send_as"), json!({"allowing_user_id": "user_A", "allowed_user_id": "user_B"}));
    assert_eq!(event.key, Key::Text("user_A/user_B".into()));
}

#[test]
fn the_part_of_a_user_follows_from_the_map_the_role_and_the_permissions() {
    let map: Named<RoleConfig> = [
        ("role_x".to_owned(), RoleConfig { part: Part::Admin }),
        ("Boss".to_owned(), RoleConfig { part: Part::Manager }),
    ]
    .into_iter()
    .collect();
    let none = || std::iter::empty::<&str>();
    assert_eq!(part("role_x", None, none(), &map), Part::Admin);
    assert_eq!(part("role_y", Some("Boss"), none(), &map), Part::Manager);
    assert_eq!(part("admin", None, none(), &map), Part::Admin);
    assert_eq!(part("superuser", None, none(), &map), Part::Manager);
    assert_eq!(part("user", Some("User"), ["calling", "manage_others_tasks"], &map), Part::Agent);
    assert_eq!(part("role_z", None, ["manage_others_opportunities", "calling"], &map), Part::Manager);
    assert_eq!(part("role_z", None, ["call_coach_listen", "manage_organization"], &map), Part::Admin);
}
