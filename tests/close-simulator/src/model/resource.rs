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
/// Shown when asked for by id.
pub const GET: u8 = 2;
/// Part of an event's `data`.
pub const EVENT: u8 = 4;
/// Part of the truth that tests compare with: everything but what is volatile or another object's own.
pub const TRUTH: u8 = 8;
/// Shown where the object is nested in its lead.
pub const NESTED: u8 = 16;
/// Part of an event's `data` where the switch `nested_in_lead_events` says so.
pub const NESTED_IN_EVENT: u8 = 32;
/// Everywhere.
pub const ALWAYS: u8 = LIST | GET | EVENT | TRUTH | NESTED;

/// What a value may be.
#[derive(Clone, Copy)]
pub enum Type {
    /// Text of at most so many characters.
    Text(usize),
    /// True or false.
    Bool,
    /// Integer within bounds, both inclusive.
    Int(i64, i64),
    /// Any JSON number.
    Number,
    /// A date with time; input may carry any offset, a date alone is its midnight.
    Moment,
    /// A date.
    Day,
    /// Either, kept as it came.
    DayOrMoment,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An id of one of these kinds that exists.
    Ref(&'static [Kind]),
    /// A list of one type.
    List(&'static Type),
    /// An object with these members.
    Object(&'static [Field]),
    /// Any JSON, given back as it came.
    Json,
}

/// When a caller may set a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Never: it is ignored in a body.
    No,
    /// At creation and later.
    Yes,
    /// At creation and later; a creation without it is refused.
    Required,
    /// At creation only; later it is ignored.
    Once,
    /// At creation only, and a creation without it is refused.
    RequiredOnce,
}

/// What is written for a field that is not set.
#[derive(Clone, Copy)]
pub enum Unset {
    /// `null`.
    Null,
    /// Nothing: the key is absent.
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
    /// This JSON on the records that have the field, and nothing on others.
    Where(fn(&Record) -> bool, &'static str),
}

/// Computes a field from the record and from others.
pub type Compute = fn(&Scene<'_>) -> Value;

/// One field of a kind.
#[derive(Clone, Copy)]
pub struct Field {
    /// As it is written.
    pub name: &'static str,
    /// What a body may set it to.
    pub ty: Type,
    /// Who may set it.
    pub write: Write,
    /// Where it is shown without being named in `_fields`.
    pub shown: u8,
    /// When it is not set.
    pub unset: Unset,
    /// Where it comes from, if it is not stored.
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

    /// A field that is computed when it is read.
    pub const fn computed(name: &'static str, compute: Compute) -> Self {
        Self { compute: Some(compute), ..Self::stored(name, Type::Json) }
    }

    /// The same, settable by callers.
    pub const fn writable(self) -> Self {
        Self { write: Write::Yes, ..self }
    }

    /// The same, with another rule of writing.
    pub const fn write(self, write: Write) -> Self {
        Self { write, ..self }
    }

    /// The same, needed at creation and never null.
    pub const fn required(self) -> Self {
        Self { write: Write::Required, nullable: false, ..self }
    }

    /// The same, refusing null.
    pub const fn not_null(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// The same, with another form when unset.
    pub const fn unset(self, unset: Unset) -> Self {
        Self { unset, ..self }
    }

    /// The same, shown in these places only ([`LIST`], [`GET`], [`EVENT`], [`TRUTH`], [`NESTED`]).
    pub const fn only(self, shown: u8) -> Self {
        Self { shown, ..self }
    }

    /// The same, nowhere unless `_fields` names it.
    pub const fn on_request(self) -> Self {
        self.only(0)
    }

    /// The same, but neither in events nor in the truth: it changes without anybody's doing.
    pub const fn volatile(self) -> Self {
        Self { shown: self.shown & !(EVENT | TRUTH), ..self }
    }
}

/// What happens around a change beyond storing it. Each is called inside one change, which a refusal undoes only if
/// nothing was changed before it: check first, change then.
pub struct Laws {
    /// Before a body is read: the same body in the names of the fields, when it uses others, as the label of a status.
    pub reword: fn(&View<'_>, &Body) -> Result<Option<Body>, Refusal>,
    /// Before a new object is stored: check the body, fill in what Close fills in. `record.lead` is set from `lead_id`
    /// already.
    pub prepare: fn(&mut Change<'_>, &mut Record, &Body) -> Result<(), Refusal>,
    /// After it was stored and its `created` event written.
    pub created: fn(&mut Change<'_>, Id, &Body) -> Result<(), Refusal>,
    /// Before an update is stored: `after` holds the new fields, `before` the version that stands.
    pub revise: fn(&mut Change<'_>, &Record, &mut Record, &Body) -> Result<(), Refusal>,
    /// After it was stored and its `updated` event written.
    pub updated: fn(&mut Change<'_>, &Record, Id, &Body) -> Result<(), Refusal>,
    /// Before a caller's delete: check, and delete what goes with it.
    pub deleting: fn(&mut Change<'_>, &Record) -> Result<(), Refusal>,
    /// After it is gone and its `deleted` event written.
    pub deleted: fn(&mut Change<'_>, &Record) -> Result<(), Refusal>,
}

impl Laws {
    /// Nothing happens beyond storing.
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

/// A kind of object.
pub struct Resource {
    /// For people, in messages and in the truth: `lead`, `call`, `lead_status`.
    pub name: &'static str,
    /// `object_type` of its events; `None` where a change gives no signal (reference, section 6.5).
    pub event: Option<fn(&Record) -> &'static str>,
    /// How its moments are written.
    pub stamps: Stamps,
    /// Groups of fields in the order in which they are written.
    pub fields: &'static [&'static [Field]],
    /// Whether records carry `custom.cf_…` keys.
    pub custom_fields: bool,
    /// What happens around changes.
    pub laws: Laws,
}

impl Resource {
    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().flat_map(|group| group.iter())
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }
}

/// `id`.
pub const ID: Field = Field::computed("id", |s| s.record.id.into());
/// `organization_id`.
pub const ORGANIZATION: Field = Field::computed("organization_id", |s| s.view.organization().into());
/// `lead_id`, needed at creation.
pub const LEAD_ID: Field =
    Field { ty: Type::Ref(&[Kind::Lead]), write: Write::Once, ..Field::computed("lead_id", |s| s.record.lead.into()) };
/// `date_created`, not settable.
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
/// The four fields of who.
pub const AUTHORS: &[Field] = &[CREATED_BY, CREATED_BY_NAME, UPDATED_BY, UPDATED_BY_NAME];
/// Who, without the names.
pub const AUTHOR_IDS: &[Field] = &[CREATED_BY, UPDATED_BY];
/// `date_created` and `date_updated`.
pub const DATES: &[Field] = &[DATE_CREATED, DATE_UPDATED];
