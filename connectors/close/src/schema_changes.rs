//! What changed in the fields of objects: for the record of a run, and for letters. Pure.

use std::collections::HashSet;

use apache_avro::schema::{RecordField, Schema};

use crate::{
    catalogue::Kind,
    field_type::FieldType,
    position::{Change, FieldChange, Removed, SchemaChanges},
    structure::Structure,
};

/// The differences between the fields that an object had, if it was known, and those of `structure`; `removed` are
/// those that were told to be removed. Returns also the removed fields of now.
pub(crate) fn between<'a>(
    kinds: &[&'static Kind],
    old: impl Fn(&'static Kind) -> Option<&'a [RecordField]>,
    structure: &Structure,
    removed: &Removed,
) -> (SchemaChanges, Removed) {
    let (mut changes, mut all_removed) = (SchemaChanges::new(), removed.clone());
    for kind in kinds {
        let (Some(old), Some(shape)) = (old(kind), structure.shape(kind)) else { continue };
        let new = shape.object.fields();
        let mut found = of_object(kind, old, new);
        if let Some(now) = structure.removed(kind) {
            let before = all_removed.remove(kind.name).unwrap_or_default();
            found.extend(now.difference(&before).map(|id| change(id, Change::Removed, label(new, id), None)));
            found.extend(before.difference(&now).map(|id| change(id, Change::Added, None, label(new, id))));
            if !now.is_empty() {
                all_removed.insert(kind.name.to_owned(), now);
            }
        }
        if !found.is_empty() {
            changes.insert(kind.name.to_owned(), found);
        }
    }
    (changes, all_removed)
}

fn of_object(kind: &Kind, old: &[RecordField], new: &[RecordField]) -> Vec<FieldChange> {
    let own: HashSet<String> = Schema::parse_str(kind.base).ok().iter().flat_map(names).collect();
    let mut changes = Vec::new();
    for field in new {
        let name = &field.name;
        let Some(before) = old.iter().find(|old| old.name == *name) else {
            changes.push(change(name, Change::Added, None, field.doc.clone()));
            continue;
        };
        // The text of a field of the catalogue is ours.
        if before.doc != field.doc && !own.contains(name) {
            changes.push(change(name, Change::Renamed, before.doc.clone(), field.doc.clone()));
        }
        let (from, to) = (types(before), types(field));
        if from != to {
            changes.push(change(name, Change::Retyped, Some(from), Some(to)));
        }
    }
    changes
}

fn change(field: &str, change: Change, from: Option<String>, to: Option<String>) -> FieldChange {
    FieldChange { field: field.to_owned(), change, from, to }
}

fn label(fields: &[RecordField], name: &str) -> Option<String> {
    fields.iter().find(|field| field.name == name)?.doc.clone()
}

/// The types of a field's values: `number or text`.
fn types(field: &RecordField) -> String {
    let types = FieldType::branches(field).into_iter().map(|(_, branch)| format!("{branch:?}").to_lowercase());
    types.collect::<Vec<_>>().join(" or ")
}

fn names(schema: &Schema) -> impl Iterator<Item = String> + '_ {
    fields_of(schema).iter().map(|field| field.name.clone())
}

/// The fields of a record.
pub(crate) fn fields_of(schema: &Schema) -> &[RecordField] {
    if let Schema::Record(record) = schema { &record.fields } else { &[] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{catalogue::kind, position::ClosePosition, structure::Definitions};

    fn structure(fields: &[Json]) -> Structure {
        let mut definitions = Definitions::default();
        fields.iter().for_each(|field| definitions.add("lead", field.as_object().unwrap()));
        structure_after(&Structure::default(), definitions)
    }

    fn structure_after(old: &Structure, definitions: Definitions) -> Structure {
        let lead = kind("lead").unwrap();
        let known = old.shape(lead).map(|shape| (lead.name, shape.object.schema())).into_iter().collect();
        Structure::combine(&[lead], definitions, &known).unwrap()
    }

    fn field(id: &str, name: &str, ty: &str) -> Json {
        json!({"id": id, "name": name, "type": ty})
    }

    /// The changes as JSON, and the removed fields.
    fn changes(old: &Structure, new: &Structure, removed: &Removed) -> (Json, Removed) {
        let lead = kind("lead").unwrap();
        let fields = |kind| old.shape(kind).map(|shape| shape.object.fields());
        let (changes, removed) = between(&[lead], fields, new, removed);
        (json!(changes), removed)
    }

    #[test]
    fn every_change_of_a_field_is_told_once() {
        let old = structure(&[field("cf_1", "Seats", "number"), field("cf_2", "Plan", "text")]);
        let mut definitions = Definitions::default();
        for field in [field("cf_1", "Places", "text"), field("cf_3", "City", "text")] {
            definitions.add("lead", field.as_object().unwrap());
        }
        let new = structure_after(&old, definitions);
        let (found, removed) = changes(&old, &new, &Removed::new());
        let expected = json!({"lead": [
            {"field": "cf_1", "change": "renamed", "from": "Seats", "to": "Places"},
            {"field": "cf_1", "change": "retyped", "from": "number", "to": "number or text"},
            {"field": "cf_3", "change": "added", "to": "City"},
            {"field": "cf_2", "change": "removed", "from": "Plan"},
        ]});
        assert_eq!(found, expected);
        assert_eq!(removed, Removed::from([("lead".to_owned(), BTreeSet::from(["cf_2".to_owned()]))]));
        assert_eq!(changes(&new, &new, &removed), (json!({}), removed.clone()), "it is told once");
        let back = structure_after(&new, Definitions::default());
        let (found, removed) = changes(&new, &back, &removed);
        assert_eq!(found["lead"].as_array().unwrap().len(), 2, "the other two are gone as well: {found}");
        let mut definitions = Definitions::default();
        definitions.add("lead", field("cf_2", "Plan", "text").as_object().unwrap());
        let (found, _) = changes(&back, &structure_after(&back, definitions), &removed);
        assert_eq!(found, json!({"lead": [{"field": "cf_2", "change": "added", "to": "Plan"}]}));
    }

    #[test]
    fn what_is_read_for_the_first_time_has_not_changed() {
        let (found, removed) = changes(&Structure::default(), &structure(&[]), &Removed::new());
        assert_eq!((found, removed), (json!({}), Removed::new()));
    }

    #[test]
    fn what_was_refused_is_not_told() {
        let added = change("cf_1", Change::Added, None, None);
        let noted = SchemaChanges::from([("lead".to_owned(), vec![added])]);
        let mut position = ClosePosition::default();
        position.note_changes(noted.clone(), Removed::new());
        position.note_changes(noted.clone(), Removed::new());
        assert_eq!(position.schema_changes, noted);
        position.take_back_changes("lead", &noted);
        assert_eq!(position.schema_changes, SchemaChanges::new());
    }
}
