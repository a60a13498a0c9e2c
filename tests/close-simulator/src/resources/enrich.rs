//! `POST /enrich_field/`: finds a value for a custom field. Close asks a language model; here the value follows from
//! the seed.

use serde_json::{Map, Value as Json, json};

use crate::{
    http::{Answer, Endpoint, Exactness, Handler, Request, Source},
    model::{Key, Kind, Refusal, Value, input},
    world::change::{Body, Change, draw},
};

pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[Endpoint {
        method: "POST",
        path: "enrich_field",
        handler: Handler::Write(enrich),
        section: "4.0",
        exactness: Exactness::Inferred,
    }],
};

fn enrich(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let kinds: &[Kind] = match body.text("object_type") {
        Some("lead") => &[Kind::Lead],
        Some("contact") => &[Kind::Contact],
        _ => return Err(Refusal::field("object_type", "Not a valid choice. Expected one of: lead, contact.")),
    };
    let reference = |name: &str, kinds: &[Kind]| {
        let json = body.get(name).ok_or_else(|| Refusal::field(name, "This field is required."))?;
        input::read_reference(&change.view(), kinds, json)
            .map_err(|error| Refusal::field(name, error.as_str().unwrap_or("")))
    };
    let object = reference("object_id", kinds)?;
    let field = reference("field_id", &[Kind::CustomField])?;
    let definition = change.get(field).ok_or_else(|| Refusal::missing_id(field, change.world.seed))?;
    let number = (draw(change.world.seed, object.serial() ^ field.serial() << 32) * 1_000.0) as u64;
    let value: Json = match definition.text("type") {
        Some("number") => number.into(),
        Some("choices") => {
            let choices = definition.get("choices").map(Value::items).unwrap_or_default();
            choices.get(number as usize % choices.len().max(1)).and_then(Value::as_text).into()
        }
        Some("text" | "textarea" | "url") => format!("Enriched {number}").into(),
        _ => return Err(Refusal::field("field_id", "Fields of this type cannot be enriched.")),
    };
    let flag = |name: &str| body.get(name).and_then(Json::as_bool).unwrap_or(false);
    let empty = change.get(object).is_some_and(|record| record.value(Key::Custom(field)).is_none());
    let seed = change.world.seed;
    if flag("set_new_value") && (empty || flag("overwrite_existing_value")) {
        let map = Map::from_iter([(format!("custom.{}", field.text(seed)), value.clone())]);
        change.revise(object, &Body { map, offset_minutes: 0 })?;
    }
    Ok(Answer::json(
        200,
        &json!({
            "organization_id": change.world.organization().text(seed),
            "object_type": body.text("object_type"),
            "object_id": object.text(seed),
            "field_id": field.text(seed),
            "value": value,
            "confidence": "high",
            "reasoning": "Found by the simulator.",
        }),
    ))
}
