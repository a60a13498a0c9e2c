//! Definitions, read from the simulator by the client.

use std::collections::HashMap;

use serde_json::json;

use super::{Structure, names};
use crate::{
    catalogue::{KINDS, Kind, kind},
    client::tests::{client, set_faults, set_switches, simulator},
    record::read_row,
};

/// Creates a custom field; its id.
async fn add_field(running: &close_simulator::Running, path: &str, body: &serde_json::Value) -> String {
    let answer = reqwest::Client::new()
        .post(format!("{}{path}", running.base_url()))
        .basic_auth(running.key("admin").unwrap(), Some(""))
        .json(body)
        .send()
        .await
        .unwrap();
    let row: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    row["id"].as_str().unwrap().to_owned()
}

fn kinds() -> Vec<&'static Kind> {
    KINDS.iter().collect()
}

#[tokio::test]
async fn the_fields_of_all_objects_are_read_page_by_page() {
    let running = simulator(1).await;
    let close = client(&running);
    let mut ids = Vec::new();
    for n in 0..120 {
        let body = json!({"name": format!("Field {n}"), "type": "number"});
        ids.push(add_field(&running, "custom_field/lead/", &body).await);
    }
    set_switches(&running, &json!({"short_pages": 0.3}));
    let structure = Structure::load(&close, &kinds(), HashMap::new()).await.unwrap();
    assert!(structure.gaps().is_empty());
    set_switches(&running, &json!({"short_pages": 0.0}));
    let structure = structure.renewed(&close).await.unwrap();
    let names = names(&structure);
    assert!(ids.iter().all(|id| names.contains(&&**id)));
    for kind in KINDS.iter().filter(|kind| kind.custom.is_some()) {
        let base = apache_avro::Schema::parse_str(kind.base).unwrap();
        let apache_avro::Schema::Record(base) = base else { panic!() };
        let fields = structure.shape(kind).unwrap().object.fields().len();
        assert!(fields > base.fields.len(), "{} has no custom field", kind.name);
    }
}

#[tokio::test]
async fn a_new_field_is_there_once_the_structure_is_renewed() {
    let running = simulator(1).await;
    let close = client(&running);
    let old = Structure::load(&close, &kinds(), HashMap::new()).await.unwrap();
    let body = json!({"name": "Everywhere", "type": "text", "associations": [{"object_type": "contact"}]});
    let id = add_field(&running, "custom_field/contact/", &body).await;
    let contacts = kind("contact").unwrap();
    let row = json!({"id": "cont_A", format!("custom.{id}"): "x"});
    let map = |structure: &Structure| {
        read_row(structure.shape(contacts).unwrap(), row.as_object().unwrap(), crate::moment::Moment(0)).unwrap().1
    };
    assert!(map(&old).custom);
    let new = old.renewed(&close).await.unwrap();
    assert_eq!(map(&new), crate::record::Misfits::default());
    let changed: Vec<_> = new.changed_since(&old).map(|object| object.name().to_owned()).collect();
    assert_eq!(changed, ["contact"]);
    assert_eq!(new.renewed(&close).await.unwrap().changed_since(&new).count(), 0);
}

#[tokio::test]
async fn a_list_that_close_does_not_give_is_a_gap_and_loses_no_known_field() {
    let running = simulator(1).await;
    let close = client(&running).with_patience(std::time::Duration::from_secs(1));
    let whole = Structure::load(&close, &kinds(), HashMap::new()).await.unwrap();
    for status in [400, 402, 403, 404, 500] {
        set_faults(&running, &[json!({"endpoint": "GET custom_field/lead", "kind": "status", "status": status})]);
        let part = whole.renewed(&close).await.unwrap();
        let gaps: Vec<&str> = part.gaps().iter().map(|(name, _)| *name).collect();
        assert_eq!(gaps, ["custom fields of lead"], "{status}");
        assert_eq!(part.changed_since(&whole).count(), 0);
        let fresh = Structure::load(&close, &kinds(), HashMap::new()).await.unwrap();
        let changed: Vec<_> = fresh.changed_since(&whole).map(|object| object.name().to_owned()).collect();
        assert_eq!(changed, ["lead"], "{status}");
    }
}
