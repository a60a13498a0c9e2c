//! The three forms in which a telephone number stands on calls and messages: as it is dialled, as people read it, and
//! its country.

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

/// The other side's number, from the stored `remote_phone`.
pub const REMOTE: &[Field] = &[
    Field::text("remote_phone").writable(),
    Field::computed("remote_phone_formatted", |s| formatted(s, "remote_phone")),
    Field::computed("remote_country_iso", |s| country(s, "remote_phone")),
];

/// The stored number of this name as people read it.
pub fn formatted(scene: &Scene<'_>, name: &'static str) -> Value {
    scene.record.text(name).map(phone::formatted).into()
}

/// The country in two letters of the stored number of this name.
pub fn country(scene: &Scene<'_>, name: &'static str) -> Value {
    scene.record.text(name).and_then(phone::country).map(|country| country.iso).into()
}
