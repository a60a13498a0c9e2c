//! The three forms of a phone number on calls and messages: as dialed, formatted, and its country.

use crate::{
    model::{Value, render::Scene, resource::Field},
    resources::contact::phone,
};

/// The organization's number, from the stored `local_phone`.
pub const LOCAL: &[Field] = &[
    Field::text("local_phone").writable(),
    Field::computed("local_phone_formatted", |s| formatted(s, "local_phone")),
    Field::computed("local_country_iso", |s| country(s, "local_phone")),
];

/// The number of the other party, from the stored `remote_phone`.
pub const REMOTE: &[Field] = &[
    Field::text("remote_phone").writable(),
    Field::computed("remote_phone_formatted", |s| formatted(s, "remote_phone")),
    Field::computed("remote_country_iso", |s| country(s, "remote_phone")),
];

/// The stored number of this name, formatted.
pub fn formatted(scene: &Scene<'_>, name: &'static str) -> Value {
    scene.record.text(name).map(phone::formatted).into()
}

/// The two-letter country of the stored number of this name.
pub fn country(scene: &Scene<'_>, name: &'static str) -> Value {
    scene.record.text(name).and_then(phone::country).map(|country| country.iso).into()
}
