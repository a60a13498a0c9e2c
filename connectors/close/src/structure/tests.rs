mod reading;

use std::collections::HashMap;

use apache_avro::{
    Schema,
    schema_compatibility::{Compatibility, SchemaCompatibility},
};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{Definitions, Structure};
use crate::{
    catalogue::{Kind, kind},
    record::Shape,
};

const TYPES: [&str; 11] = [
    "text",
    "textarea",
    "number",
    "date",
    "datetime",
    "choices",
    "user",
    "contact",
    "custom_object",
    "hidden",
    "of_the_future",
];

fn definition(id: &str, label: &str, ty: &str) -> Json {
    json!({"id": id, "name": label, "type": ty, "accepts_multiple_values": false, "converting_to_type": null})
}

fn leads(definitions: &[Json]) -> Definitions {
    let mut all = Definitions::default();
    definitions.iter().for_each(|row| all.add("lead", object(row)));
    all
}

fn object(json: &Json) -> &Map<String, Json> {
    json.as_object().unwrap()
}

fn lead() -> &'static Kind {
    kind("lead").unwrap()
}

fn first(definitions: &[Json]) -> Structure {
    Structure::combine(&[lead()], leads(definitions), &HashMap::new()).unwrap()
}

fn shape(structure: &Structure) -> &Shape {
    structure.shape(lead()).unwrap()
}

/// The type of a field, as JSON; its label; true if its values are JSON texts.
fn field(structure: &Structure, name: &str) -> (Json, Option<String>, bool) {
    let field = shape(structure).object.fields().iter().find(|field| field.name == name).unwrap();
    let is_json = towpath_api::json::is_json_text(field);
    (serde_json::to_value(&field.schema).unwrap(), field.doc.clone(), is_json)
}

fn names(structure: &Structure) -> Vec<&str> {
    shape(structure).object.fields().iter().map(|field| &*field.name).collect()
}

fn reads(new: &Structure, old: &Structure) -> bool {
    let (new, old) = (shape(new).object.schema(), shape(old).object.schema());
    matches!(SchemaCompatibility::can_read(old, new), Ok(Compatibility::Full))
}

#[test]
fn each_type_of_custom_field_has_a_type_that_keeps_its_values() {
    let of = |ty: &str, multiple: bool| {
        let mut row = definition("cf_a", "A", ty);
        row["accepts_multiple_values"] = json!(multiple);
        let (ty, label, is_json) = field(&first(&[row]), "cf_a");
        assert_eq!(label.as_deref(), Some("A"));
        (ty[1].clone(), is_json)
    };
    for ty in ["text", "textarea", "choices", "user", "contact", "custom_object"] {
        assert_eq!(of(ty, false), (json!("string"), false), "{ty}");
        assert_eq!(of(ty, true), (json!({"type": "array", "items": "string"}), false), "{ty}");
    }
    assert_eq!(of("number", false), (json!({"type": "bytes", "logicalType": "big-decimal"}), false));
    assert_eq!(of("date", false), (json!({"type": "int", "logicalType": "date"}), false));
    assert_eq!(of("datetime", false), (json!({"type": "long", "logicalType": "timestamp-micros"}), false));
    for (ty, multiple) in [("hidden", false), ("of_the_future", true), ("number", true)] {
        assert_eq!(of(ty, multiple), (json!("string"), true), "{ty}");
    }
}

#[test]
fn shared_fields_are_fields_of_each_object_that_has_them() {
    let kinds: Vec<_> = ["lead", "contact", "custom_activity", "custom_object", "note"]
        .into_iter()
        .map(|name| kind(name).unwrap())
        .collect();
    let mut definitions = Definitions::default();
    let mut row = definition("cf_s", "Both", "text");
    row["associations"] = json!([{"object_type": "contact"}, {"object_type": "custom_activity_type"}]);
    definitions.add_shared(object(&row));
    definitions.add_shared(object(&definition("cf_t", "Unsaid", "text")));
    let structure = Structure::combine(&kinds, definitions, &HashMap::new()).unwrap();
    let has =
        |kind: &Kind, id: &str| structure.shape(kind).unwrap().object.fields().iter().any(|field| field.name == id);
    let having: Vec<_> = kinds.iter().map(|kind| (has(kind, "cf_s"), has(kind, "cf_t"))).collect();
    assert_eq!(having, [(false, true), (true, true), (true, true), (false, true), (false, false)]);
}

#[test]
fn quirk_16_a_field_under_conversion_holds_values_of_both_types() {
    let mut row = definition("cf_a", "A", "text");
    row["converting_to_type"] = json!("number");
    let (ty, ..) = field(&first(&[row]), "cf_a");
    assert_eq!(ty, json!(["null", "string", {"type": "bytes", "logicalType": "big-decimal"}]));
}

#[test]
fn case_46_a_field_that_changes_its_type_holds_the_old_values_and_the_new() {
    let mut row = definition("cf_a", "Tags", "choices");
    let single = first(std::slice::from_ref(&row));
    row["accepts_multiple_values"] = json!(true);
    let multiple = single.combined(leads(std::slice::from_ref(&row))).unwrap();
    assert_eq!(field(&multiple, "cf_a").0, json!(["null", "string", {"type": "array", "items": "string"}]));
    assert!(reads(&multiple, &single));
    assert_eq!(multiple.changed_since(&single).count(), 1);

    let renamed = multiple.combined(leads(&[definition("cf_a", "Labels", "choices")])).unwrap();
    assert_eq!(field(&renamed, "cf_a").0, field(&multiple, "cf_a").0);
    assert_eq!(field(&renamed, "cf_a").1.as_deref(), Some("Labels"));
    assert_eq!(renamed.changed_since(&multiple).count(), 1);

    let removed = renamed.combined(leads(&[])).unwrap();
    assert_eq!(field(&removed, "cf_a"), field(&renamed, "cf_a"));
    assert_eq!(removed.changed_since(&renamed).count(), 0);
    assert!(std::sync::Arc::ptr_eq(removed.shape(lead()).unwrap(), renamed.shape(lead()).unwrap()));
}

#[test]
fn case_47_labels_neither_name_fields_nor_collide() {
    let long = "x".repeat(120);
    let labels = ["Größe (m²)", "Groesse m2", &long, "id", "date_updated"];
    let rows: Vec<_> =
        labels.iter().enumerate().map(|(n, label)| definition(&format!("cf_{n}"), label, "number")).collect();
    let structure = first(&rows);
    let base = first(&[]);
    assert_eq!(names(&structure)[names(&base).len()..], ["cf_0", "cf_1", "cf_2", "cf_3", "cf_4"]);
    for (n, label) in labels.iter().enumerate() {
        assert_eq!(field(&structure, &format!("cf_{n}")).1.as_deref(), Some(*label));
    }
    assert_eq!(names(&first(&[definition("cf a", "A", "text")])), names(&base));
}

#[test]
fn known_fields_keep_their_order_and_new_ones_follow_by_id() {
    let base = names(&first(&[])).len();
    let one = first(&[definition("cf_m", "", "text")]);
    let rows = ["cf_z", "cf_m", "cf_a"].map(|id| definition(id, "", "text"));
    let two = one.combined(leads(&rows)).unwrap();
    assert_eq!(names(&two)[base - 1..], ["_extra", "cf_m", "cf_a", "cf_z"]);
    let again = two.combined(leads(&rows)).unwrap();
    assert_eq!(again.changed_since(&two).count(), 0);
}

#[test]
fn a_field_of_the_registry_that_nobody_knows_stays() {
    let known = Schema::parse_str(
        r#"{"type":"record","name":"lead","namespace":"close.lead","fields":[{"name":"id","type":"string"},
            {"name":"of_old","type":"double","doc":"Old."},{"name":"name","type":["null","long"]},
            {"name":"addresses","type":["null","string"]}]}"#,
    )
    .unwrap();
    let known = [("lead", &known)].into_iter().collect();
    let structure = Structure::combine(&[lead()], leads(&[]), &known).unwrap();
    assert_eq!(field(&structure, "of_old"), (json!(["null", "double"]), Some("Old.".into()), false));
    assert_eq!(field(&structure, "name").0, json!(["null", "long", "string"]));
    assert!(!field(&structure, "addresses").2);
}

#[test]
fn a_field_that_takes_any_json_keeps_doing_so() {
    let hidden = first(&[definition("cf_a", "A", "hidden")]);
    let number = hidden.combined(leads(&[definition("cf_a", "A", "number")])).unwrap();
    assert_eq!(field(&number, "cf_a"), field(&hidden, "cf_a"));
}

#[test]
fn the_schema_in_the_topics_envelope_keeps_what_marks_json() {
    let text = serde_json::to_string(shape(&first(&[])).object.schema()).unwrap();
    let again = Schema::parse_str(&text).unwrap();
    let Schema::Record(record) = again else { panic!() };
    let addresses = record.fields.iter().find(|field| field.name == "addresses").unwrap();
    assert!(towpath_api::json::is_json_text(addresses));
}

/// Definitions of a few fields, any of which may be there, under any label and type.
fn any_definitions() -> impl Strategy<Value = Vec<Json>> {
    let one =
        (0..4_u8, 0..3_u8, proptest::sample::select(&TYPES[..]), any::<bool>(), proptest::option::of(0..TYPES.len()));
    let row = one.prop_map(|(id, label, ty, multiple, next)| {
        let mut row = definition(&format!("cf_{id}"), &format!("L{label}"), ty);
        row["accepts_multiple_values"] = json!(multiple);
        row["converting_to_type"] = json!(next.map(|next| TYPES[next]));
        row
    });
    proptest::collection::vec(row, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_schema_reads_what_all_earlier_ones_wrote(history in proptest::collection::vec(any_definitions(), 1..6)) {
        let mut versions = vec![first(&[])];
        for definitions in history {
            let next = versions.last().unwrap().combined(leads(&definitions)).unwrap();
            for old in &versions {
                prop_assert!(reads(&next, old));
                let kept = names(&next);
                prop_assert!(names(old).iter().zip(&kept).all(|(old, new)| old == new));
            }
            // As the registry gives it back, without our process.
            let text = shape(&next).object.schema().canonical_form();
            let known = Schema::parse_str(&serde_json::to_string(shape(&next).object.schema()).unwrap()).unwrap();
            let again = Structure::combine(
                &[lead()], leads(&definitions), &[("lead", &known)].into_iter().collect()).unwrap();
            prop_assert_eq!(shape(&again).object.schema().canonical_form(), text);
            prop_assert_eq!(again.changed_since(&next).count(), 0);
            versions.push(next);
        }
    }
}
