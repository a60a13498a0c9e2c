//! Rewrites the values of a field on every record that has one. Close does this without events, unless a switch enables
//! them.

use std::sync::Arc;

use super::values::{self, kinds_of};
use crate::{
    model::{Day, Id, Key, Kind, Moment, Record, Stamps, Value, input, resource::Type},
    world::{World, change::Change, jobs::Job, view::View},
};

/// Whether each rewritten record has an `updated` event and a new `date_updated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Yes,
    /// Only the value changes.
    No,
}

/// Replaces every value of a field; null removes it.
pub fn rewrite(change: &mut Change<'_>, definition: &Record, told: Told, new: impl Fn(&Record, &Value) -> Value) {
    let key = Key::Custom(definition.id);
    for record in holders(change.world, kinds_of(definition), key) {
        let Some(value) = record.value(key) else { continue };
        let value = new(&record, value);
        if record.value(key) == Some(&value) {
            continue;
        }
        match told {
            Told::Yes => change.edit(record.id, |record| record.put(key, value)),
            Told::No => {
                let mut record = Record::clone(&record);
                record.put(key, value);
                change.alter_silently(record);
            }
        }
    }
}

/// Removes the values from records of some kinds for which a condition holds, when a shared field is no longer used
/// there.
pub fn withdraw(change: &mut Change<'_>, field: Id, kinds: &[Kind], from: impl Fn(&Record) -> bool) {
    let key = Key::Custom(field);
    for record in holders(change.world, kinds, key).into_iter().filter(|record| from(record)) {
        let mut record = Record::clone(&record);
        record.put(key, Value::Null);
        change.alter_silently(record);
    }
}

fn holders(world: &World, kinds: &[Kind], key: Key) -> Vec<Arc<Record>> {
    kinds
        .iter()
        .flat_map(|kind| world.store.of_kind(*kind, Moment(i64::MIN), Moment::LAST))
        .filter_map(|id| world.store.get(id))
        .filter(|record| record.value(key).is_some())
        .cloned()
        .collect()
}

/// Old and new text of each renamed choice: both are at the same index of lists of the same length, the old text is
/// gone, and the new text is new.
pub fn renamed_choices(before: &Record, after: &Record) -> Vec<(Value, Value)> {
    let (old, new) = (
        before.get("choices").map(Value::items).unwrap_or_default(),
        after.get("choices").map(Value::items).unwrap_or_default(),
    );
    if old.len() != new.len() {
        return Vec::new();
    }
    old.iter()
        .zip(new)
        .filter(|(o, n)| !new.contains(o) && !old.contains(n))
        .map(|(o, n)| (o.clone(), n.clone()))
        .collect()
}

/// Applies renamed choices to a value.
pub fn rename(value: &Value, renamed: &[(Value, Value)]) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().map(|item| rename(item, renamed))),
        single => renamed.iter().find(|(old, _)| old == single).map_or_else(|| single.clone(), |(_, new)| new.clone()),
    }
}

/// A single value as a list, or a list's first value.
pub fn reshape(value: &Value, several: bool) -> Value {
    match (value, several) {
        (Value::List(items), false) => items.first().cloned().unwrap_or(Value::Null),
        (Value::List(_), true) => value.clone(),
        (single, true) => Value::list([single.clone()]),
        (single, false) => single.clone(),
    }
}

/// Starts a conversion: half of the values have the new type immediately, the others when the conversion ends
/// (reference, section 5.3).
pub fn begin(change: &mut Change<'_>, definition: &Record) {
    let millis = change.world.switches.field_conversion_ms;
    if millis <= 0 {
        converted(change, definition.id);
        return;
    }
    convert_values(change, definition, |record| record.id.serial() % 2 == 0);
    let at = change.now().plus_millis(millis);
    change.schedule(at, Job::Conversion(definition.id));
}

/// Ends the conversion of a field's values: the definition has the new type.
pub fn converted(change: &mut Change<'_>, id: Id) {
    let Some(definition) = change.get(id) else { return };
    let Some(ty) = definition.get("converting_to_type").cloned() else { return };
    convert_values(change, &definition, |_| true);
    change.edit(id, |definition| {
        if ty.as_text() != Some("choices") {
            definition.set("choices", Value::Null);
        }
        definition.set("type", ty);
        definition.set("converting_to_type", Value::Null);
    });
}

fn convert_values(change: &mut Change<'_>, definition: &Record, which: impl Fn(&Record) -> bool) {
    let target = values::type_of(definition).to_owned();
    let mut new = Vec::new();
    {
        let view = change.whole();
        let key = Key::Custom(definition.id);
        for record in holders(change.world, kinds_of(definition), key).into_iter().filter(|record| which(record)) {
            let value = record.value(key).map_or(Value::Null, |value| convert(&view, definition, &target, value));
            let mut record = Record::clone(&record);
            record.put(key, value);
            new.push(record);
        }
    }
    for record in new {
        change.alter_silently(record);
    }
}

/// Converts a value to another type; null if that is not possible.
fn convert(view: &View<'_>, definition: &Record, target: &str, value: &Value) -> Value {
    if let Value::List(items) = value {
        let items: Vec<Value> = items
            .iter()
            .map(|item| convert(view, definition, target, item))
            .filter(|item| *item != Value::Null)
            .collect();
        return if items.is_empty() { Value::Null } else { Value::list(items) };
    }
    let text = match value {
        Value::Text(text) => text.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Moment(at) => at.text(Stamps::Offset),
        Value::Day(day) => {
            let mut out = Vec::new();
            day.write(&mut out);
            String::from_utf8(out).expect("ASCII")
        }
        Value::Id(id) => view.id_text(*id),
        Value::Json(json) => serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_string()),
        Value::Null | Value::List(_) | Value::Object(_) => return Value::Null,
    };
    match target {
        "number" => text.trim().parse::<serde_json::Number>().map_or(Value::Null, Value::Number),
        "date" => Day::parse(&text).map_or(Value::Null, Value::Day),
        "datetime" => Moment::parse(&text, 0).map_or(Value::Null, Value::Moment),
        "hidden" => Value::json(&serde_json::Value::String(text)),
        "choices" => {
            let known = definition.get("choices").map(Value::items).unwrap_or_default();
            let value = Value::from(text);
            if known.contains(&value) { value } else { Value::Null }
        }
        "user" => reference(view, Kind::User, text),
        "contact" => reference(view, Kind::Contact, text),
        "custom_object" => reference(view, Kind::CustomObject, text),
        _ => text.into(),
    }
}

fn reference(view: &View<'_>, kind: Kind, text: String) -> Value {
    let kinds: &'static [Kind] = match kind {
        Kind::User => &[Kind::User],
        Kind::Contact => &[Kind::Contact],
        _ => &[Kind::CustomObject],
    };
    input::read_value(view, Type::Ref(kinds), &text.into(), 0).unwrap_or(Value::Null)
}

/// Removes the values of a deleted field when no reading of the past needs them any more.
pub fn forget_values(change: &mut Change<'_>, field: Id) {
    let key = Key::Custom(field);
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| kind.resource().custom_fields).collect();
    for record in holders(change.world, &kinds, key) {
        let mut record = Record::clone(&record);
        record.put(key, Value::Null);
        // This changes nothing visible, neither now nor at a moment within the retention.
        change.world.store.put(Arc::new(record));
    }
}
