use std::collections::{BTreeMap, BTreeSet, HashMap};

use apache_avro::Schema;
use reqwest::Method;
use serde_json::json;

use super::{
    KINDS, kind, kind_of_event,
    laboratory::{Laboratory, Row},
};

fn base_fields(base: &str) -> BTreeSet<String> {
    let Schema::Record(record) = Schema::parse_str(base).unwrap() else { panic!("not a record") };
    record.fields.into_iter().map(|field| field.name).collect()
}

fn ids(rows: &[Row]) -> BTreeSet<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// The objects of the truth that are one of ours, and ours, where the names differ.
fn truth_of(name: &str) -> &str {
    match name {
        "task" => "task,notification",
        "smart_view" => "saved_search",
        _ if name.starts_with("custom_field_") => "custom_field",
        _ if name.starts_with("bulk_action_") => "bulk_action",
        own => own,
    }
}

#[test]
fn every_schema_is_a_record_of_optional_fields_with_a_text_of_each() {
    for kind in KINDS {
        let Schema::Record(record) = Schema::parse_str(kind.base).unwrap() else { panic!("{}", kind.name) };
        assert_eq!(record.name.fullname(None), format!("towpath.close.{}", kind.name));
        assert_eq!((&*record.fields[0].name, &record.fields[0].schema), ("id", &Schema::String), "{}", kind.name);
        assert_eq!(record.fields.last().unwrap().name, "_extra", "{}", kind.name);
        assert!(record.doc.is_some(), "{}", kind.name);
        for field in &record.fields {
            let name = format!("{}.{}", kind.name, field.name);
            assert!(field.doc.as_ref().is_some_and(|doc| doc.ends_with('.')), "{name}");
            assert!(!kind.ignored.contains(&&*field.name), "{name} is ignored");
            if field.name != "id" {
                assert!(field.is_nullable() && field.default == Some(serde_json::Value::Null), "{name}");
            }
        }
        let updated = kind.updated.is_none_or(|updated| record.lookup.contains_key(updated));
        assert!(updated, "{} has no {:?}", kind.name, kind.updated);
    }
}

#[test]
fn names_and_events_are_unique() {
    let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), KINDS.len());
    let mut events = HashMap::new();
    for kind in KINDS {
        for event in kind.events {
            assert_eq!(events.insert(event, kind.name), None, "{event}");
        }
    }
    assert_eq!(kind_of_event("task.of_the_future").map(|kind| kind.name), Some("task"));
    assert!(kind_of_event("future.thing").is_none());
}

#[tokio::test]
async fn every_field_of_every_row_is_in_the_schema_or_left_out_by_name() {
    let close = Laboratory::new(20).await;
    // The data set has everything else.
    let lead = close.rows(kind("lead").unwrap()).await.remove(0);
    let import = json!({"leads": [{"id": lead["id"], "name": "Imported"}]});
    close.control(Method::POST, "import/", Some(import)).await;
    close.control(Method::POST, "scenarios/merge_storm/", Some(json!({"count": 2}))).await;
    close.control(Method::POST, "clock/", Some(json!({"advance_secs": 60}))).await;
    let structure = close.structure().await;
    for kind in KINDS {
        let (fields, rows) = (base_fields(kind.base), close.rows(kind).await);
        assert!(!rows.is_empty(), "{} has no rows", kind.name);
        for name in rows.iter().flat_map(|row| row.keys()) {
            let is_custom = kind.custom.is_some()
                && name.strip_prefix("custom.").is_some_and(|id| {
                    structure.shape(kind).unwrap().object.fields().iter().any(|field| field.name == id)
                });
            let is_known = fields.contains(name) || kind.ignored.contains(&name.as_str()) || is_custom;
            assert!(is_known, "{} has `{name}`", kind.name);
        }
    }
}

#[tokio::test]
async fn every_list_has_all_rows_of_the_truth() {
    let close = Laboratory::new(20).await;
    let mut listed: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for kind in KINDS {
        listed.entry(truth_of(kind.name)).or_default().extend(close.rows(kind).await);
    }
    for (objects, rows) in &listed {
        let truth = close.truth(objects).await;
        match *objects {
            // Only the key's own user's.
            "send_as" => assert!(ids(rows).is_subset(&ids(&truth))),
            // Former users are not listed; their names are in the memberships.
            "user" => {
                let members = close.rows(kind("membership").unwrap()).await;
                let former: BTreeSet<&str> = members
                    .iter()
                    .filter(|row| row["is_active"] == json!(false))
                    .map(|row| row["user_id"].as_str().unwrap())
                    .collect();
                let own: BTreeSet<&str> = members.iter().map(|row| row["user_id"].as_str().unwrap()).collect();
                let known: BTreeSet<&str> = ids(rows).union(&former).copied().collect();
                assert_eq!(known, own);
            }
            _ => assert_eq!(ids(rows), ids(&truth), "{objects}"),
        }
    }
}

#[tokio::test]
async fn a_row_can_be_read_by_its_id_where_the_catalogue_says_so() {
    let close = Laboratory::new(5).await;
    for kind in KINDS.iter().filter(|kind| kind.has_single) {
        for row in close.rows(kind).await.iter().take(1) {
            let path = format!("{}{}/", kind.path, row["id"].as_str().unwrap());
            assert_eq!(close.status(&path).await, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn every_event_belongs_to_an_object_but_those_of_imports() {
    let close = Laboratory::new(20).await;
    close.switch("created_activity_events", json!(true)).await;
    close.control(Method::POST, "changes/", Some(json!({"count": 1_000, "seed": 7, "spread_secs": 86_400}))).await;
    let events = close.events().await;
    let types: BTreeSet<&str> = events.iter().map(|event| &*event.object_type).collect();
    assert!(types.len() > 15, "{types:?}");
    for ty in types {
        assert!(kind_of_event(ty).is_some() || ty == "import", "{ty}");
    }
}
