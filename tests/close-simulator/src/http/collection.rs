//! What is served, as data: collections of objects, endpoints of their own, and where the reference says so.

use super::{answer::Answer, request::Request};
use crate::{
    model::{Kind, Moment, Record, Refusal, render::Selection},
    world::{change::Change, people::Caller, view::View},
};

/// How well founded the behaviour of an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// The vendor's documentation or code says it.
    Documented,
    /// Follows from several weaker sources.
    Inferred,
    /// Nothing says it: our choice.
    Chosen,
}

/// `GET` on the collection.
pub const L: u8 = 1;
/// `GET` on one object.
pub const G: u8 = 2;
/// `POST`.
pub const C: u8 = 4;
/// `PUT`.
pub const U: u8 = 8;
/// `DELETE`.
pub const D: u8 = 16;

/// How a list is cut into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `_limit` and `_skip`, with the maximum of each.
    Offset {
        /// The largest `_limit`.
        max_limit: usize,
        /// The largest `_skip`.
        max_skip: usize,
    },
    /// Everything at once; `has_more` is always false.
    Bare,
}

/// The order of a list without `_order_by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By `date_created`, newest first.
    NewestFirst,
    /// By `date_created`, oldest first.
    OldestFirst,
}

/// One query parameter, or a family of them with `__in`, `__gt`, `__gte`, `__lt`, `__lte`.
#[derive(Clone, Copy)]
pub struct Filter {
    /// Without suffix.
    pub param: &'static str,
    /// What it compares.
    pub test: Test,
}

/// What a filter compares.
#[derive(Clone, Copy)]
pub enum Test {
    /// Equality with a field as it is written; `__in` takes a comma list.
    Field(&'static str),
    /// The lead; lists of one lead are read from the lead's own order.
    Lead,
    /// `date_created` by range, to the precision given in microseconds.
    Created(i64),
    /// Another moment by range, to the precision given in microseconds; equality without suffix.
    Moment(fn(&Record) -> Option<Moment>, i64),
    /// A test of its own of the parameter's text.
    Custom(fn(&View<'_>, &Record, &str) -> bool),
    /// Nothing: the parameter is read by the collection's `check`.
    Checked,
}

/// One value of `_order_by`, usable with `-` in front; a name that begins with `-` is descending only.
#[derive(Clone, Copy)]
pub struct OrderBy {
    /// As it is written.
    pub name: &'static str,
    /// What it sorts by, smaller first.
    pub key: fn(&View<'_>, &Record) -> SortKey,
}

/// A value to sort by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// Before everything.
    None,
    /// A number or a moment.
    Number(i64),
    /// A text.
    Text(String),
}

/// What a request wants to do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Read it or list it.
    Read,
    /// Create one.
    Create,
    /// Change it.
    Update,
    /// Delete it.
    Delete,
}

/// A further condition on the rows of one list.
pub type Condition = Box<dyn Fn(&View<'_>, &Record) -> bool>;

/// Members of a list's answer beyond `data`, `has_more` and `total_results`: already written as `"name":value`.
pub type Extras = fn(&View<'_>, &[&Record]) -> Vec<String>;

/// Objects of one kind, or of a few, under one path.
pub struct Collection {
    /// After `/api/v1/`, without slashes at the ends: `activity/note`.
    pub path: &'static str,
    /// What it holds.
    pub kinds: &'static [Kind],
    /// Which of those kinds' objects, when not all: custom fields of leads.
    pub holds: fn(&Record) -> bool,
    /// Set in what is created here, before the laws: the counterpart of `holds`.
    pub preset: fn(&mut Record),
    /// [`L`], [`G`], [`C`], [`U`], [`D`].
    pub methods: u8,
    /// How it is cut.
    pub paging: Paging,
    /// Whether `total_results` is given.
    pub total: bool,
    /// Its order.
    pub order: Order,
    /// Known parameters; others are ignored.
    pub filters: &'static [Filter],
    /// Known orders; others are ignored.
    pub orders: &'static [OrderBy],
    /// Checks a list's parameters against each other, and adds conditions.
    pub check: fn(&View<'_>, &Request) -> Result<Vec<Condition>, Refusal>,
    /// Further members of a list's answer, computed over all that matches.
    pub extras: Option<Extras>,
    /// Fields that a row is cut down to when the request names none: a mail beside its thread.
    pub narrowed: fn(&Request, &Record) -> Option<&'static Selection>,
    /// Refuses callers without the rights; the record is there for updates, deletes and single reads.
    pub permit: fn(&View<'_>, &Caller, Deed, Option<&Record>) -> bool,
    /// Status of a `POST`.
    pub created_status: u16,
    /// Status of a `DELETE`: 200 with `{}`, or 204.
    pub deleted_status: u16,
    /// Section of the reference.
    pub section: &'static str,
    /// How sure it is.
    pub exactness: Exactness,
}

impl Collection {
    /// A collection with everything as most have it.
    pub const fn new(path: &'static str, kinds: &'static [Kind]) -> Self {
        Self {
            path,
            kinds,
            holds: |_| true,
            preset: |_| {},
            methods: L | G | C | U | D,
            paging: Paging::Offset { max_limit: 100, max_skip: 250_000 },
            total: true,
            order: Order::NewestFirst,
            filters: &[],
            orders: &[],
            check: |_, _| Ok(Vec::new()),
            extras: None,
            narrowed: |_, _| None,
            permit: |_, _, _, _| true,
            created_status: 200,
            deleted_status: 200,
            section: "4.0",
            exactness: Exactness::Documented,
        }
    }
}

/// What an endpoint does.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Reads only.
    Read(fn(&View<'_>, &Caller, &Request) -> Result<Answer, Refusal>),
    /// Changes something.
    Write(fn(&mut Change<'_>, &Request) -> Result<Answer, Refusal>),
}

/// A path with behaviour of its own.
pub struct Endpoint {
    /// Upper case.
    pub method: &'static str,
    /// After `/api/v1/`, without slashes at the ends; `{}` takes one segment into `request.segments`.
    pub path: &'static str,
    /// What it does.
    pub handler: Handler,
    /// Section of the reference.
    pub section: &'static str,
    /// How sure it is.
    pub exactness: Exactness,
}

/// What one file of `resources` serves.
pub struct Source {
    /// Its collections.
    pub collections: &'static [Collection],
    /// Its endpoints.
    pub endpoints: &'static [Endpoint],
}
