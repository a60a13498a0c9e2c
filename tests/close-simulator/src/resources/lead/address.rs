//! The addresses of a lead.

use crate::{
    model::{
        Record, Refusal, Value,
        resource::{Field, Type, Write},
    },
    resources::contact::country,
};
use serde_json::{Map, json};

const ADDRESS: &[Field] = &[
    Field::stored("label", Type::Text(64)).writable(),
    Field::stored("address_1", Type::Text(1024)).writable(),
    Field::stored("address_2", Type::Text(1024)).writable(),
    Field::stored("city", Type::Text(255)).writable(),
    Field::stored("state", Type::Text(255)).writable(),
    Field::stored("zipcode", Type::Text(64)).writable(),
    Field::stored("country", Type::Text(64)).writable(),
];

/// `addresses`: a write replaces the whole list; every member is shown, with the derived time zones.
pub const ADDRESSES: Field = Field {
    ty: Type::List(&Type::Object(ADDRESS)),
    write: Write::Yes,
    ..Field::computed("addresses", |s| shown(s.record))
};

fn stored(lead: &Record) -> &[Value] {
    lead.get("addresses").map(Value::items).unwrap_or_default()
}

fn text<'v>(address: &'v Value, name: &str) -> Option<&'v str> {
    address.member(name).and_then(Value::as_text).filter(|text| !text.is_empty())
}

fn shown(lead: &Record) -> Value {
    Value::list(stored(lead).iter().map(|address| {
        let mut members: Vec<(&'static str, Value)> = ADDRESS
            .iter()
            .map(|field| (field.name, address.member(field.name).cloned().unwrap_or(Value::Null)))
            .collect();
        members.push(("tz_ids", Value::list(zone(address).map(Value::from))));
        Value::object(members)
    }))
}

fn zone(address: &Value) -> Option<&'static str> {
    let country = text(address, "country")?;
    let state = text(address, "state").filter(|_| country.eq_ignore_ascii_case("US"));
    state.and_then(country::us_zone).or_else(|| Some(country::of_iso(country)?.zone))
}

/// The time zone of the first address that has one.
pub fn first_zone(lead: &Record) -> Option<&'static str> {
    stored(lead).iter().find_map(zone)
}

/// City, state and country of the first address.
pub fn summary(lead: &Record) -> Option<String> {
    let first = stored(lead).first()?;
    let parts: Vec<&str> = ["city", "state", "country"].into_iter().filter_map(|name| text(first, name)).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Refuses countries that are not two-letter ISO 3166 codes.
pub fn check(lead: &Record) -> Result<(), Refusal> {
    let mut errors = Map::new();
    for (at, address) in stored(lead).iter().enumerate() {
        if text(address, "country")
            .is_some_and(|code| code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_alphabetic()))
        {
            errors
                .insert(at.to_string(), json!({ "field-errors": { "country": "Not a valid ISO 3166 country code." } }));
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let mut fields = Map::new();
    fields.insert("addresses".to_owned(), json!({ "errors": errors }));
    Err(Refusal::Invalid { errors: Vec::new(), fields })
}
