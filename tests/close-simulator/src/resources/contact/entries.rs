//! The lists of a contact: mail addresses, phone numbers, links. They are stored as received and shown with derived
//! members.

use serde_json::{Map, Value as Json, json};

use super::phone;
use crate::{
    model::{
        Record, Refusal, Value,
        render::Scene,
        resource::{Field, Type, Write},
    },
    world::view::View,
};

const KIND: Field = Field::stored("type", Type::Text(64)).writable();
const EMAIL: &[Field] = &[Field::stored("email", Type::Text(320)).required(), KIND];
const PHONE: &[Field] = &[Field::stored("phone", Type::Text(64)).required(), KIND];
const URL: &[Field] = &[Field::stored("url", Type::Text(2048)).required(), KIND];

const fn list(name: &'static str, entry: &'static Type, compute: fn(&Scene<'_>) -> Value) -> Field {
    Field { ty: Type::List(entry), write: Write::Yes, ..Field::computed(name, compute) }
}

/// `emails`, `phones`, `urls`; a write replaces the whole list.
pub const FIELDS: &[Field] = &[
    list("emails", &Type::Object(EMAIL), |s| emails(s.view, s.record)),
    list("phones", &Type::Object(PHONE), |s| phones(s.view, s.record)),
    list("urls", &Type::Object(URL), |s| urls(s.record)),
];

fn stored<'r>(record: &'r Record, name: &'static str) -> &'r [Value] {
    record.get(name).map(Value::items).unwrap_or_default()
}

fn text<'v>(entry: &'v Value, name: &str) -> Option<&'v str> {
    entry.member(name).and_then(Value::as_text)
}

fn kind(entry: &Value) -> Value {
    text(entry, "type").unwrap_or("office").into()
}

pub fn first_email(contact: &Record) -> Option<&str> {
    stored(contact, "emails").iter().find_map(|entry| text(entry, "email"))
}

/// The first phone number, in E.164.
pub fn first_phone(contact: &Record) -> Option<&str> {
    stored(contact, "phones").iter().find_map(|entry| text(entry, "phone"))
}

/// `[{email, type, is_unsubscribed}]`; `is_unsubscribed` follows from the unsubscribed addresses of the organization.
pub fn emails(view: &View<'_>, contact: &Record) -> Value {
    Value::list(stored(contact, "emails").iter().map(|entry| {
        let email = text(entry, "email").unwrap_or_default();
        Value::object([
            ("email", email.into()),
            ("type", kind(entry)),
            ("is_unsubscribed", view.is_unsubscribed(email).into()),
        ])
    }))
}

/// `[{phone, phone_formatted, type, country, tz_ids, outbound_sms_blocked}]`.
pub fn phones(_view: &View<'_>, contact: &Record) -> Value {
    Value::list(stored(contact, "phones").iter().map(|entry| {
        let number = text(entry, "phone").unwrap_or_default();
        let country = phone::country(number);
        Value::object([
            ("phone", number.into()),
            ("phone_formatted", phone::formatted(number).into()),
            ("type", kind(entry)),
            ("country", country.map(|country| country.iso).into()),
            ("tz_ids", Value::list(country.map(|country| country.zone.into()))),
            ("outbound_sms_blocked", false.into()),
        ])
    }))
}

fn urls(contact: &Record) -> Value {
    Value::list(stored(contact, "urls").iter().map(|entry| {
        let kind = text(entry, "type").unwrap_or("url");
        Value::object([("url", text(entry, "url").into()), ("type", kind.into())])
    }))
}

/// Normalizes addresses and numbers, or refuses invalid ones.
pub fn check(contact: &mut Record) -> Result<(), Refusal> {
    let mut fields = Map::new();
    let emails = read(contact, "emails", "email", "Invalid email address.", |text| {
        let text = text.trim();
        is_email(text).then(|| text.to_owned())
    });
    let phones = read(contact, "phones", "phone", "Invalid phone number.", phone::parse);
    let urls = read(contact, "urls", "url", "Invalid URL.", |text| {
        let text = text.trim();
        (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| text.to_owned())
    });
    for (name, read) in [("emails", emails), ("phones", phones), ("urls", urls)] {
        match read {
            Ok(Some(entries)) => contact.set(name, entries),
            Ok(None) => {}
            Err(errors) => drop(fields.insert(name.to_owned(), json!({ "errors": errors }))),
        }
    }
    if fields.is_empty() { Ok(()) } else { Err(Refusal::Invalid { errors: Vec::new(), fields }) }
}

/// The normalized entries of a list, or the errors by index.
fn read(
    contact: &Record,
    name: &'static str,
    member: &'static str,
    refusal: &str,
    form: impl Fn(&str) -> Option<String>,
) -> Result<Option<Value>, Map<String, Json>> {
    let Some(entries) = contact.get(name) else { return Ok(None) };
    let mut errors = Map::new();
    let mut kept = Vec::new();
    for (at, entry) in entries.items().iter().enumerate() {
        if let Some(value) = form(text(entry, member).unwrap_or_default()) {
            kept.push(Value::object([(member, value.into()), ("type", text(entry, "type").into())]));
        } else {
            let mut error = Map::new();
            error.insert(member.to_owned(), refusal.into());
            errors.insert(at.to_string(), json!({ "field-errors": error }));
        }
    }
    if errors.is_empty() { Ok(Some(Value::list(kept))) } else { Err(errors) }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c == ',' || c == ';')
        && !local.contains('@')
        && domain.contains('.')
        && domain.split('.').all(|part| !part.is_empty())
}
