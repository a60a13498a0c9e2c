//! Checks of definitions, and the effects of a changed definition on values.

use super::{
    conversion::{self, Told},
    values,
};
use crate::{
    model::{Id, Record, Refusal, Value},
    resources::role,
    world::{
        World,
        change::{Body, Change},
        jobs::Job,
    },
};

/// Every type (reference, section 5.2).
const TYPES: &[&str] =
    &["text", "textarea", "number", "date", "datetime", "choices", "user", "contact", "custom_object", "hidden"];
/// Types that allow several values.
const MULTIPLE: &[&str] = &["user", "choices", "contact", "custom_object"];

fn check(definition: &Record, ty: &str) -> Result<(), Refusal> {
    if definition.text("name").is_none_or(|name| name.trim().is_empty()) {
        return Err(Refusal::field("name", "This field may not be blank."));
    }
    if !TYPES.contains(&ty) {
        return Err(Refusal::field("type", format!("Not a valid choice. Expected one of: {}.", TYPES.join(", "))));
    }
    if ty == "textarea" && definition.text("object") != Some("activity") {
        return Err(Refusal::field("type", "Only custom activities can have fields of type textarea."));
    }
    if definition.is("accepts_multiple_values") && !MULTIPLE.contains(&ty) {
        let message = format!("Only fields of these types accept multiple values: {}.", MULTIPLE.join(", "));
        return Err(Refusal::field("accepts_multiple_values", message));
    }
    let choices = definition.get("choices").map(Value::items).unwrap_or_default();
    if ty == "choices" {
        if choices.is_empty() {
            return Err(Refusal::field("choices", "This field is required for fields of type choices."));
        }
        if choices.iter().enumerate().any(|(at, choice)| choices[..at].contains(choice)) {
            return Err(Refusal::field("choices", "Choices must be unique."));
        }
    }
    Ok(())
}

pub fn prepare(_change: &mut Change<'_>, definition: &mut Record, _body: &Body) -> Result<(), Refusal> {
    let ty = definition.text("type").unwrap_or_default().to_owned();
    check(definition, &ty)?;
    for (object, name) in [("activity", "custom_activity_type_id"), ("custom_object", "custom_object_type_id")] {
        if definition.text("object") != Some(object) {
            definition.set(name, Value::Null);
        } else if definition.get(name).is_none() {
            return Err(Refusal::field(name, "This field is required."));
        }
    }
    if ty == "custom_object" && definition.get("referenced_custom_type_id").is_none() {
        return Err(Refusal::field(
            "referenced_custom_type_id",
            "This field is required for fields of type custom_object.",
        ));
    }
    if ty != "choices" {
        definition.set("choices", Value::Null);
    }
    Ok(())
}

/// Checks a change. A new type is announced as `converting_to_type` until the values are converted.
pub fn revise(_change: &mut Change<'_>, before: &Record, after: &mut Record, _body: &Body) -> Result<(), Refusal> {
    let ty = after.text("type").unwrap_or_default().to_owned();
    if before.text("type") == Some(&ty) {
        return check(after, before.text("converting_to_type").unwrap_or(&ty));
    }
    if before.text("converting_to_type") == Some(&ty) {
        after.set("type", before.get("type").cloned());
        return check(after, &ty);
    }
    if before.get("converting_to_type").is_some() {
        return Err(Refusal::field("type", "The field is being converted to another type already."));
    }
    check(after, &ty)?;
    if ty == "custom_object" && after.get("referenced_custom_type_id").is_none() {
        return Err(Refusal::field(
            "referenced_custom_type_id",
            "This field is required for fields of type custom_object.",
        ));
    }
    after.set("type", before.get("type").cloned());
    after.set("converting_to_type", ty.as_str());
    Ok(())
}

/// Updates the values after a changed definition: renamed choices, one value or several, another type.
pub fn updated(change: &mut Change<'_>, before: &Record, id: Id, _body: &Body) -> Result<(), Refusal> {
    let Some(after) = change.get(id) else { return Ok(()) };
    let renamed = conversion::renamed_choices(before, &after);
    if !renamed.is_empty() {
        let told = if change.world.switches.choice_rename_events { Told::Yes } else { Told::No };
        conversion::rewrite(change, &after, told, |_, value| conversion::rename(value, &renamed));
    }
    if before.is("accepts_multiple_values") != after.is("accepts_multiple_values") {
        let several = after.is("accepts_multiple_values");
        conversion::rewrite(change, &after, Told::No, |_, value| conversion::reshape(value, several));
    }
    if before.get("converting_to_type").is_none() && after.get("converting_to_type").is_some() {
        conversion::begin(change, &after);
    }
    Ok(())
}

/// Deletes a definition for a caller: its key vanishes from every record, with events only if the switch says so.
pub fn deleting(change: &mut Change<'_>, definition: &Record) -> Result<(), Refusal> {
    if change.world.switches.field_delete_events {
        conversion::rewrite(change, definition, Told::Yes, |_, _| Value::Null);
    }
    role::forget_field(change, definition.id);
    Ok(())
}

/// Rendering leaves out values without definition, so the key is gone immediately. The values stay while the past can
/// be read, and are removed afterwards.
pub fn deleted(change: &mut Change<'_>, definition: &Record) -> Result<(), Refusal> {
    let at = change.now().plus_days(World::RETENTION_DAYS + 1);
    let kinds = values::kinds_of(definition);
    if kinds.iter().any(|kind| change.world.store.count(*kind) > 0) {
        change.schedule(at, Job::ForgetValues(definition.id));
    }
    Ok(())
}
