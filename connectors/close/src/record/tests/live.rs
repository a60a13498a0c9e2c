//! Rows and events of the simulator.

use std::collections::HashMap;

use apache_avro::types::Value;
use reqwest::Method;
use serde_json::json;
use towpath_api::{ChangeEvent, Key};

use super::{READ_AT, text, value};
use crate::{
    catalogue::{KINDS, kind, kind_of_event, laboratory::Laboratory},
    moment::Moment,
    record::{Misfits, Unusable, content_hash, log_event, read_row},
};

#[tokio::test]
async fn every_row_and_every_event_of_a_busy_organization_fits_its_schema() {
    let close = Laboratory::new(40).await;
    close.switch("legacy_note_type", json!(true)).await;
    close.switch("deprecated_custom_names", json!(true)).await;
    let changes = json!({"count": 1_500, "seed": 11, "spread_secs": 86_400});
    close.control(Method::POST, "changes/", Some(changes)).await;
    let structure = close.structure().await;
    for kind in KINDS {
        for row in close.rows(kind).await {
            let (_, misfits) = read_row(structure.shape(kind).unwrap(), &row, READ_AT).unwrap();
            assert_eq!(misfits, Misfits::default(), "{}: {row:?}", kind.name);
        }
    }
    let mut seen = 0;
    for event in close.events().await {
        let Some(kind) = kind_of_event(&event.object_type) else { continue };
        match log_event(structure.shape(kind).unwrap(), &event) {
            Ok((record, misfits)) => {
                assert_eq!(record.key, Key::Text(event.object_id.clone()));
                // A field that has changed its type since leaves values that do not fit any more.
                assert!(misfits == Misfits::default() || misfits.custom, "{event:?}");
                seen += 1;
            }
            Err(unusable) => assert_eq!((unusable, kind.name), (Unusable::NotWhole, "membership")),
        }
    }
    assert!(seen > 500, "{seen}");
}

#[tokio::test]
async fn case_46_both_values_of_a_field_that_becomes_multiple_arrive_in_order() {
    let close = Laboratory::new(3).await;
    let leads = kind("lead").unwrap();
    let field = json!({"name": "Tags", "type": "choices", "choices": ["A", "B"]});
    let field = close.write(Method::POST, "custom_field/lead/", field).await;
    let id = field["id"].as_str().unwrap();
    let lead = close.rows(leads).await.remove(0);
    let path = format!("lead/{}/", lead["id"].as_str().unwrap());
    close.switch("consolidation_ms", json!(0)).await;
    let before = close.structure().await;
    close.write(Method::PUT, &path, json!({format!("custom.{id}"): "A"})).await;
    close.write(Method::PUT, &format!("custom_field/lead/{id}/"), json!({"accepts_multiple_values": true})).await;
    close.write(Method::PUT, &path, json!({format!("custom.{id}"): ["A", "B"]})).await;

    let mut of_lead: Vec<_> = close.events().await.into_iter().filter(|event| event.object_type == "lead").collect();
    of_lead.truncate(2);
    of_lead.reverse();
    let stale = log_event(before.shape(leads).unwrap(), &of_lead[1]).unwrap();
    assert!(stale.1.custom);
    let after = before.combined(close.definitions().await).unwrap();
    let values: Vec<_> = of_lead
        .iter()
        .map(|event| {
            let (record, misfits) = log_event(after.shape(leads).unwrap(), event).unwrap();
            assert_eq!(misfits, Misfits::default());
            value(&record, id).clone()
        })
        .collect();
    let many = Value::Array(vec![text("A"), text("B")]);
    assert_eq!(values, [Value::Union(1, Box::new(text("A"))), Value::Union(2, Box::new(many))]);

    close.control(Method::POST, "scenarios/field_delete/", Some(json!({"id": id}))).await;
    let deleted = after.combined(close.definitions().await).unwrap();
    assert_eq!(deleted.changed_since(&after).count(), 0);
    let row = close.rows(leads).await.into_iter().find(|row| row["id"] == lead["id"]).unwrap();
    let (record, misfits) = read_row(deleted.shape(leads).unwrap(), &row, READ_AT).unwrap();
    assert_eq!((value(&record, id), misfits), (&Value::Null, Misfits::default()));
}

#[tokio::test]
async fn case_47_fields_of_any_label_are_columns_that_a_rename_keeps() {
    let close = Laboratory::new(1).await;
    close.switch("deprecated_custom_names", json!(true)).await;
    let leads = kind("lead").unwrap();
    let lead = close.rows(leads).await.remove(0);
    let path = format!("lead/{}/", lead["id"].as_str().unwrap());
    let long = "x".repeat(120);
    let mut ids = Vec::new();
    for (n, label) in ["Größe (m²)", "Groesse m2", &long, "id", "date_updated"].into_iter().enumerate() {
        let field = close.write(Method::POST, "custom_field/lead/", json!({"name": label, "type": "number"})).await;
        let id = field["id"].as_str().unwrap().to_owned();
        close.write(Method::PUT, &path, json!({format!("custom.{id}"): n})).await;
        ids.push(id);
    }
    let structure = close.structure().await;
    close.write(Method::PUT, &format!("custom_field/lead/{}/", ids[0]), json!({"name": "Size"})).await;
    let renamed = structure.combined(close.definitions().await).unwrap();
    for structure in [&structure, &renamed] {
        let row = close.rows(leads).await.remove(0);
        let (record, misfits) = read_row(structure.shape(leads).unwrap(), &row, READ_AT).unwrap();
        assert_eq!(misfits, Misfits::default());
        assert_eq!(record.key, Key::Text(lead["id"].as_str().unwrap().to_owned()));
        let moment = Moment::parse(row["date_updated"].as_str().unwrap()).unwrap();
        assert_eq!(value(&record, "date_updated"), &Value::TimestampMicros(moment.0));
        for (n, id) in (0_i64..).zip(&ids) {
            assert_eq!(value(&record, id), &Value::BigDecimal(n.into()));
        }
    }
}

#[tokio::test]
async fn quirk_30_a_field_that_no_schema_knows_is_kept_and_counted() {
    let close = Laboratory::new(2).await;
    close.switch("unknown_fields", json!(true)).await;
    let structure = close.structure().await;
    for name in ["lead", "opportunity", "note"] {
        let kind = kind(name).unwrap();
        let row = close.rows(kind).await.remove(0);
        let (record, misfits) = read_row(structure.shape(kind).unwrap(), &row, READ_AT).unwrap();
        assert_eq!(misfits, Misfits { unknown: 1, mistyped: 0, custom: false }, "{name}");
        assert!(matches!(value(&record, "_extra"), Value::String(_)));
    }
}

/// The last event of a record and its row have the same content, or a comparison would find every record different.
#[tokio::test]
async fn an_event_and_the_row_that_it_left_have_the_same_content() {
    let close = Laboratory::new(40).await;
    let changes = json!({"count": 1_500, "seed": 12, "spread_secs": 86_400});
    close.control(Method::POST, "changes/", Some(changes)).await;
    let structure = close.structure().await;
    let mut newest: HashMap<String, ChangeEvent> = HashMap::new();
    for event in close.events().await {
        let Some(kind) = kind_of_event(&event.object_type) else { continue };
        if let Ok((record, _)) = log_event(structure.shape(kind).unwrap(), &event) {
            newest.entry(event.object_id.clone()).or_insert(record);
        }
    }
    let (mut equal, mut different) = (0, Vec::new());
    for kind in KINDS {
        let shape = structure.shape(kind).unwrap();
        for row in close.rows(kind).await {
            let (record, _) = read_row(shape, &row, READ_AT).unwrap();
            let Key::Text(id) = &record.key else { panic!() };
            let Some(event) = newest.get(id).filter(|event| event.version.unwrap().ts == record.version.unwrap().ts)
            else {
                continue;
            };
            let of = |event: &ChangeEvent| content_hash(event.op, event.after.as_deref());
            if of(event) == of(&record) {
                equal += 1;
            } else {
                let (a, b) = (event.after.as_ref().unwrap(), record.after.as_ref().unwrap());
                let fields = a.iter().zip(b).filter(|(a, b)| a != b).map(|(a, _)| a.0.clone());
                different.push((kind.name, fields.collect::<Vec<_>>()));
            }
        }
    }
    assert!(equal > 200 && different.len() * 20 < equal, "{equal} equal, not {different:?}");
}
