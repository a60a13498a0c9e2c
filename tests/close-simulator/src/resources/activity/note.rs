//! Notes (reference, section 4.6). Text is stored as `note` and `note_html`.

use super::{rich_text, shared};
use crate::{
    http::{
        Source,
        collection::{C, D, G, L, U},
    },
    model::{
        Kind, Record, Refusal, Stamps,
        resource::{AUTHORS, Field, Laws, Resource, Type, Unset},
    },
    world::change::{Body, Change},
};

pub static NOTE: Resource = Resource {
    name: "note",
    event: Some(|_| "activity.note"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "Note".into())],
        shared::BASE,
        &[
            Field::text("title").writable(),
            Field::text("note").writable().unset(Unset::Text("")),
            Field::text("note_html").writable(),
            Field::stored("pinned", Type::Bool).writable().unset(Unset::False),
            Field::stored("pinned_at", Type::Moment),
            shared::ATTACHMENTS,
        ],
        AUTHORS,
        shared::SETTABLE_DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, revise, ..shared::LAWS },
};

pub static SOURCE: Source =
    Source { collections: &[shared::collection("activity/note", &[Kind::Note], L | G | C | U | D)], endpoints: &[] };

fn prepare(change: &mut Change<'_>, record: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::prepare(change, record, body)?;
    rich_text::agree(None, record, "note", "note_html");
    pin(change, None, record);
    Ok(())
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::revise(change, before, after, body)?;
    rich_text::agree(Some(before), after, "note", "note_html");
    pin(change, Some(before), after);
    Ok(())
}

/// Sets `pinned_at`, which follows `pinned`.
pub fn pin(change: &Change<'_>, before: Option<&Record>, after: &mut Record) {
    let was = before.is_some_and(|before| before.is("pinned"));
    if after.is("pinned") != was {
        let at = after.is("pinned").then(|| change.now());
        after.set("pinned_at", at);
    }
}
