//! Maps a post to change events. Pure: no clock, no network, no state but fresh event ids.
//!
//! | `data` | meaning |
//! |---|---|
//! | an object | one record; `id` and `action` are beside `data` |
//! | an array | one record per item, in order; `id` and `action` beside `data` apply to items without their own |
//!
//! An array item with a member `data` is an envelope: `id`, `action`, `data`, and nothing else. In an item without
//! `data`, all members but `id` and `action` are the fields of the record. So an object whose schema has a field named
//! `data` or `action` is posted with envelopes. In items these three names match in any letter case.
//!
//! What always holds: a post is mapped whole or refused whole, and a refusal lists every misfit.

mod records;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use towpath_api::{ChangeEvent, Object};
use towpath_mapping::{Json, Malformed, Mapper, Misfit, Misfits, Path, Violation, as_text, parse, quote};

use self::records::{Fields, Part, Records};
use crate::verify::{Field, Post};

const ENVELOPE: [&str; 6] = ["clientid", "clientSecret", "objectname", "id", "data", "action"];

/// The events of a post.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) object: Arc<Object>,
    pub(crate) events: Vec<ChangeEvent>,
    /// True if `data` is an array; the answer then lists the events.
    pub(crate) is_array: bool,
}

/// The reason why a post has no events.
#[derive(Debug)]
pub(crate) enum Unmapped {
    /// The envelope lacks a field or has an unknown one.
    Envelope(Vec<Misfit>),
    /// A field exceeds a limit, or repeats a name within one object.
    Malformed(Malformed),
    /// The webhook has no such object; `near` suggests the nearest name.
    UnknownObject { name: String, near: String },
    /// The data does not fit the agreed schema. `events` is the number of records in the post.
    Schema { object: String, events: usize, misfits: Misfits },
}

/// Maps `post` by the agreed schema of its object.
pub(crate) fn map(
    post: &Post<'_>,
    mappers: &BTreeMap<String, Mapper>,
    traceparent: Option<&str>,
) -> Result<Mapped, Unmapped> {
    let is_array = post.data.as_ref().is_some_and(|data| data.json.get().starts_with('['));
    let name = check_envelope(post, is_array)?;
    let Some(mapper) = mappers.get(&name) else {
        let near = Misfits::default().suggest(&name, mappers.keys().map(String::as_str));
        return Err(Unmapped::UnknownObject { name, near });
    };
    let events = map_records(mapper, post, traceparent)?;
    Ok(Mapped { object: mapper.object().clone(), events, is_array })
}

/// Checks that the envelope has its fields and no others; returns the name of the object.
fn check_envelope(post: &Post<'_>, is_array: bool) -> Result<String, Unmapped> {
    let mut misfits = Misfits::default();
    for name in &post.unknown {
        let near = misfits.suggest(name, ENVELOPE.into_iter());
        misfits.add(
            &Path::Name(&Path::Root, name),
            Violation::new("unknown", format!("not a field of the envelope: {}{near}", quote(name))),
        );
    }
    let is_delete =
        post.action.as_ref().and_then(|action| as_text(action.json)).is_some_and(|a| a.eq_ignore_ascii_case("delete"));
    let needed = [
        ("objectname", post.object.is_none()),
        ("id", post.id.is_none() && !is_array),
        ("action", post.action.is_none() && !is_array),
        ("data", post.data.is_none() && !is_delete),
    ];
    for (name, _) in needed.into_iter().filter(|(_, missing)| *missing) {
        let violation = Violation::new("required", "missing required field of the envelope");
        misfits.add(&Path::Name(&Path::Root, name), violation);
    }
    let name = post.object.as_ref().map(|field| (field, as_text(field.json)));
    if let Some((field, None)) = &name {
        misfits.add(&Path::Name(&Path::Root, &field.name), Violation::new("type", "expected a string"));
    }
    match name {
        Some((_, Some(name))) if misfits.total() == 0 => Ok(name.into_owned()),
        _ => Err(Unmapped::Envelope(misfits.into_listed())),
    }
}

fn map_records(mapper: &Mapper, post: &Post<'_>, traceparent: Option<&str>) -> Result<Vec<ChangeEvent>, Unmapped> {
    let (id, action, data) = (
        Parsed::of(post.id.as_ref(), "id")?,
        Parsed::of(post.action.as_ref(), "action")?,
        Parsed::of(post.data.as_ref(), "data")?,
    );
    let mut records = Records { mapper, mapping: mapper.begin(), traceparent };
    let (events, expected) = match &data.json {
        Some(Json::Array(items)) => {
            (records.items(items, id.part(), action.part(), data.part().at), items.len().max(1))
        }
        _ => (records.event(id.part(), action.part(), &Fields::Data(data.part())).into_iter().collect(), 1),
    };
    let misfits = records.mapping.finish();
    if misfits.total() > 0 {
        return Err(Unmapped::Schema { object: mapper.object().name().to_owned(), events: expected, misfits });
    }
    Ok(events)
}

/// A parsed field of the envelope.
struct Parsed<'a> {
    name: &'a str,
    json: Option<Json<'a>>,
}

impl<'a> Parsed<'a> {
    fn of(field: Option<&'a Field<'a>>, name: &'a str) -> Result<Self, Unmapped> {
        let Some(field) = field else { return Ok(Self { name, json: None }) };
        Ok(Self {
            name: &field.name,
            json: Some(parse(field.json).map_err(|malformed| Unmapped::Malformed(malformed.after(field.at)))?),
        })
    }

    fn part(&self) -> Part<'_> {
        Part { json: self.json.as_ref(), at: Path::Name(&Path::Root, self.name) }
    }
}
