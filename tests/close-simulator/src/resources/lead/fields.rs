//! Computed fields of a lead: its contacts, opportunities and open tasks, and values derived from them.

use super::address;
use crate::{
    model::{
        Id, Kind, Record, Value,
        render::{self, Scene, Selection},
    },
    resources::contact::{self, entries, phone},
    world::view::View,
};

pub fn contacts<'v>(view: &'v View<'_>, lead: Id) -> impl Iterator<Item = &'v Record> {
    view.of_lead(lead, Kind::Contact)
}

/// The name, or else that of the first contact.
pub fn display_name(view: &View<'_>, lead: &Record) -> String {
    match lead.text("name").filter(|name| !name.trim().is_empty()) {
        Some(name) => name.to_owned(),
        None => contacts(view, lead.id).next().map_or_else(|| "Unnamed lead".to_owned(), contact::display_name),
    }
}

/// The `lead_name` of a child.
pub fn name_of(view: &View<'_>, lead: Option<Id>) -> Value {
    lead.and_then(|lead| view.get(lead)).map(|lead| display_name(view, lead)).into()
}

/// `https://app.close.com/lead/lead_…/`
pub fn html_url(s: &Scene<'_>) -> Value {
    format!("https://app.close.com/lead/{}/", s.view.id_text(s.record.id)).into()
}

pub fn contact_ids(s: &Scene<'_>) -> Value {
    Value::list(contacts(s.view, s.record.id).map(|contact| contact.id.into()))
}

/// Objects in the form nested in their lead.
pub fn nested<'r>(view: &View<'_>, records: impl Iterator<Item = &'r Record>) -> Value {
    let mut out = vec![b'['];
    for record in records {
        if out.len() > 1 {
            out.push(b',');
        }
        render::write(view, record, render::NESTED, &Selection::Default, &mut out);
    }
    out.push(b']');
    Value::Json(String::from_utf8(out).expect("JSON is text").into())
}

/// Tasks of every type that are not complete (reference, section 4.1).
pub fn tasks(s: &Scene<'_>) -> Value {
    let of = |kind| s.view.of_lead(s.record.id, kind);
    nested(s.view, of(Kind::Task).chain(of(Kind::Notification)).filter(|task| !task.is("is_complete")))
}

/// The first mail address of the first contact with an address; null without.
pub fn primary_email(view: &View<'_>, lead: Option<Id>) -> Value {
    lead.into_iter()
        .flat_map(|lead| contacts(view, lead))
        .find(|contact| entries::first_email(contact).is_some())
        .map_or(Value::Null, |contact| entries::emails(view, contact).items()[0].clone())
}

/// The first phone number of the first contact with a number; null without.
pub fn primary_phone(view: &View<'_>, lead: Option<Id>) -> Value {
    lead.into_iter()
        .flat_map(|lead| contacts(view, lead))
        .find(|contact| entries::first_phone(contact).is_some())
        .map_or(Value::Null, |contact| entries::phones(view, contact).items()[0].clone())
}

pub fn contacts_summary(s: &Scene<'_>) -> Value {
    let names: Vec<String> = contacts(s.view, s.record.id).map(contact::display_name).collect();
    (!names.is_empty()).then(|| names.join(", ")).into()
}

/// The lead's local time, by its first address or else its first phone number; different on every read.
pub fn localtime(s: &Scene<'_>) -> Value {
    let by_phone = || {
        let number = contacts(s.view, s.record.id).find_map(entries::first_phone)?;
        phone::country(number).map(|country| country.zone)
    };
    let local = || {
        let zone = jiff::tz::TimeZone::get(address::first_zone(s.record).or_else(by_phone)?).ok()?;
        let at = jiff::Timestamp::from_microsecond(s.view.now.0).ok()?.to_zoned(zone);
        Some(at.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string())
    };
    local().into()
}

/// The organization's links for a kind of object (`lead`, `contact`, `opportunity`), with the placeholders filled in.
pub fn links(s: &Scene<'_>, kind: &str) -> Value {
    let links = s.view.all(Kind::IntegrationLink).filter(|link| link.text("type") == Some(kind));
    Value::list(links.map(|link| {
        Value::object([
            ("name", link.text("name").into()),
            ("url", filled(s, link.text("url").unwrap_or_default()).into()),
        ])
    }))
}

/// Replaces each `{{ lead.name }}` by the percent-encoded field of that name.
fn filled(s: &Scene<'_>, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, (inside, after))) =
        rest.split_once("{{").and_then(|(before, tail)| Some((before, tail.split_once("}}")?)))
    {
        out.push_str(before);
        let name = inside.trim().rsplit('.').next().unwrap_or_default();
        let fields = s.record.kind().resource().field(name);
        let value = match fields.and_then(|field| field.compute) {
            Some(compute) => compute(s),
            None => fields.and_then(|field| s.record.get(field.name)).cloned().unwrap_or(Value::Null),
        };
        let text = match &value {
            Value::Text(text) => text.to_string(),
            Value::Id(id) => s.view.id_text(*id),
            _ => String::new(),
        };
        out.extend(form_urlencoded::byte_serialize(text.as_bytes()));
        rest = after;
    }
    out + rest
}
