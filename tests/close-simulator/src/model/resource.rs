//! The description of a kind: its fields, how each is read, written and shown, and its laws.
//!
//! One static per kind, in the file of that kind under `resources/`. `input` validates a body by it, `render` writes a
//! record by it.

use super::{Id, Kind, Record, Stamps, Value, refusal::Refusal, render::Scene};
use crate::world::{
    change::{Body, Change},
    view::View,
};

/// Shown in lists.
pub const LIST: u8 = 1;
/// Shown in a read by id.
pub const GET: u8 = 2;
/// Part of an event's `data`.
pub const EVENT: u8 = 4;
/// Part of the truth that tests compare with: everything except volatile fields and fields of other objects.
pub const TRUTH: u8 = 8;
/// Shown where the object is nested in its lead.
pub const NESTED: u8 = 16;
/// Part of an event's `data` if the switch `nested_in_lead_events` is on.
pub const NESTED_IN_EVENT: u8 = 32;
pub const ALWAYS: u8 = LIST | GET | EVENT | TRUTH | NESTED;

/// The type of a field's values.
#[derive(Clone, Copy)]
pub enum Type {
    /// Text of at most this many characters.
    Text(usize),
    Bool,
    /// An integer within bounds, both inclusive.
    Int(i64, i64),
    /// Any JSON number.
    Number,
    /// A date with time. Input may have any offset; a date alone means its midnight.
    Moment,
    Day,
    /// A date or a date with time, kept as received.
    DayOrMoment,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An id of an existing object of one of these kinds.
    Ref(&'static [Kind]),
    List(&'static Type),
    Object(&'static [Field]),
    /// Any JSON, returned as received.
    Json,
}

/// When a caller may set a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Never: it is ignored in a body.
    No,
    /// At creation and later.
    Yes,
    /// At creation and later; required at creation.
    Required,
    /// At creation only; ignored later.
    Once,
    /// At creation only, and required.
    RequiredOnce,
}

/// The form of an unset field.
#[derive(Clone, Copy)]
pub enum Unset {
    /// `null`.
    Null,
    /// The key is absent.
    Absent,
    /// `[]`.
    EmptyList,
    /// `{}`.
    EmptyObject,
    /// `false`.
    False,
    /// `0`.
    Zero,
    /// This text.
    Text(&'static str),
    /// This JSON.
    Json(&'static str),
    /// This JSON on records for which the function returns true; absent on others.
    Where(fn(&Record) -> bool, &'static str),
}

/// Computes a field from the record and from other objects.
pub type Compute = fn(&Scene<'_>) -> Value;

#[derive(Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    /// The type that a body must have.
    pub ty: Type,
    pub write: Write,
    /// The places that show it without `_fields`.
    pub shown: u8,
    /// Its form when unset.
    pub unset: Unset,
    /// The function that computes it, if it is not stored.
    pub compute: Option<Compute>,
    /// A body may set it to null.
    pub nullable: bool,
}

impl Field {
    /// A stored field that callers cannot set, null when unset, shown everywhere.
    pub const fn stored(name: &'static str, ty: Type) -> Self {
        Self { name, ty, write: Write::No, shown: ALWAYS, unset: Unset::Null, compute: None, nullable: true }
    }

    /// A stored text that callers cannot set.
    pub const fn text(name: &'static str) -> Self {
        Self::stored(name, Type::Text(usize::MAX))
    }

    /// A field that is computed on reading.
    pub const fn computed(name: &'static str, compute: Compute) -> Self {
        Self { compute: Some(compute), ..Self::stored(name, Type::Json) }
    }

    /// Lets callers set it.
    pub const fn writable(self) -> Self {
        Self { write: Write::Yes, ..self }
    }

    pub const fn write(self, write: Write) -> Self {
        Self { write, ..self }
    }

    /// Makes it required at creation and never null.
    pub const fn required(self) -> Self {
        Self { write: Write::Required, nullable: false, ..self }
    }

    /// Refuses null.
    pub const fn not_null(self) -> Self {
        Self { nullable: false, ..self }
    }

    pub const fn unset(self, unset: Unset) -> Self {
        Self { unset, ..self }
    }

    /// Shows it in these places only ([`LIST`], [`GET`], [`EVENT`], [`TRUTH`], [`NESTED`]).
    pub const fn only(self, shown: u8) -> Self {
        Self { shown, ..self }
    }

    /// Shows it only if `_fields` names it.
    pub const fn on_request(self) -> Self {
        self.only(0)
    }

    /// Leaves it out of events and the truth, because it changes without a write.
    pub const fn volatile(self) -> Self {
        Self { shown: self.shown & !(EVENT | TRUTH), ..self }
    }
}

/// Hooks around a change, beyond storing it. Each runs inside one change. A refusal undoes nothing, so check first and
/// change afterwards.
pub struct Laws {
    /// Before a body is read: translates other names into those of the fields, for example the label of a status.
    pub reword: fn(&View<'_>, &Body) -> Result<Option<Body>, Refusal>,
    /// Before a new object is stored: checks the body and fills in Close's defaults. `record.lead` is already set from
    /// `lead_id`.
    pub prepare: fn(&mut Change<'_>, &mut Record, &Body) -> Result<(), Refusal>,
    /// After it is stored and its `created` event written.
    pub created: fn(&mut Change<'_>, Id, &Body) -> Result<(), Refusal>,
    /// Before an update is stored: `after` holds the new fields, `before` the present version.
    pub revise: fn(&mut Change<'_>, &Record, &mut Record, &Body) -> Result<(), Refusal>,
    /// After it is stored and its `updated` event written.
    pub updated: fn(&mut Change<'_>, &Record, Id, &Body) -> Result<(), Refusal>,
    /// Before a caller's delete: checks, and deletes dependents.
    pub deleting: fn(&mut Change<'_>, &Record) -> Result<(), Refusal>,
    /// After it is deleted and its `deleted` event written.
    pub deleted: fn(&mut Change<'_>, &Record) -> Result<(), Refusal>,
}

impl Laws {
    /// No hooks.
    pub const PLAIN: Self = Self {
        reword: |_, _| Ok(None),
        prepare: |_, _, _| Ok(()),
        created: |_, _, _| Ok(()),
        revise: |_, _, _, _| Ok(()),
        updated: |_, _, _, _| Ok(()),
        deleting: |_, _| Ok(()),
        deleted: |_, _| Ok(()),
    };
}

pub struct Resource {
    /// Name in messages and in the truth: `lead`, `call`, `lead_status`.
    pub name: &'static str,
    /// `object_type` of its events; `None` if changes have no events (reference, section 6.5).
    pub event: Option<fn(&Record) -> &'static str>,
    pub stamps: Stamps,
    /// Groups of fields in the order in which they are written.
    pub fields: &'static [&'static [Field]],
    /// Whether records have `custom.cf_…` keys.
    pub custom_fields: bool,
    pub laws: Laws,
}

impl Resource {
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().flat_map(|group| group.iter())
    }

    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }
}

/// `id`.
pub const ID: Field = Field::computed("id", |s| s.record.id.into());
/// `organization_id`.
pub const ORGANIZATION: Field = Field::computed("organization_id", |s| s.view.organization().into());
/// `lead_id`, required at creation.
pub const LEAD_ID: Field =
    Field { ty: Type::Ref(&[Kind::Lead]), write: Write::Once, ..Field::computed("lead_id", |s| s.record.lead.into()) };
/// `date_created`, read-only.
pub const DATE_CREATED: Field = Field::computed("date_created", |s| s.record.created.into());
/// `date_created`, which a creation may set (reference, section 8.1).
pub const DATE_CREATED_SETTABLE: Field = Field { ty: Type::Moment, write: Write::Once, ..DATE_CREATED };
/// `date_updated`.
pub const DATE_UPDATED: Field = Field::computed("date_updated", |s| s.record.updated.into());
/// `created_by`.
pub const CREATED_BY: Field = Field::computed("created_by", |s| s.record.author.into());
/// `updated_by`.
pub const UPDATED_BY: Field = Field::computed("updated_by", |s| s.record.editor.into());
/// `created_by_name`.
pub const CREATED_BY_NAME: Field = Field::computed("created_by_name", |s| s.view.user_name(s.record.author));
/// `updated_by_name`.
pub const UPDATED_BY_NAME: Field = Field::computed("updated_by_name", |s| s.view.user_name(s.record.editor));
/// Author and editor, with their names.
pub const AUTHORS: &[Field] = &[CREATED_BY, CREATED_BY_NAME, UPDATED_BY, UPDATED_BY_NAME];
/// Author and editor, without names.
pub const AUTHOR_IDS: &[Field] = &[CREATED_BY, UPDATED_BY];
/// `date_created` and `date_updated`.
pub const DATES: &[Field] = &[DATE_CREATED, DATE_UPDATED];
