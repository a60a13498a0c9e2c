//! The served API as data: collections of objects, single endpoints, and their sections of the reference.

use super::{answer::Answer, request::Request};
use crate::{
    model::{Kind, Moment, Record, Refusal, render::Selection},
    world::{change::Change, people::Caller, view::View},
};

/// The strength of the evidence for an endpoint's behavior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// Stated by the vendor's documentation or code.
    Documented,
    /// Follows from several weaker sources.
    Inferred,
    /// No source describes it; chosen here.
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

/// How a list is divided into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `_limit` and `_skip`, with the maximum of each.
    Offset { max_limit: usize, max_skip: usize },
    /// All rows at once; `has_more` is always false.
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
    pub test: Test,
}

/// The comparison of a filter.
#[derive(Clone, Copy)]
pub enum Test {
    /// Equality with a field as it is written; `__in` takes a comma list.
    Field(&'static str),
    /// The lead; lists of one lead are read from the lead's own order.
    Lead,
    /// `date_created` by range, to the given precision in microseconds.
    Created(i64),
    /// Another moment by range, to the given precision in microseconds; equality without suffix.
    Moment(fn(&Record) -> Option<Moment>, i64),
    /// A custom test of the parameter's text.
    Custom(fn(&View<'_>, &Record, &str) -> bool),
    /// No comparison: the collection's `check` reads the parameter.
    Checked,
}

/// One value of `_order_by`, usable with a leading `-`; a name that begins with `-` is descending only.
#[derive(Clone, Copy)]
pub struct OrderBy {
    pub name: &'static str,
    /// The sort key, ascending.
    pub key: fn(&View<'_>, &Record) -> SortKey,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// Sorts before all others.
    None,
    /// A number or a moment.
    Number(i64),
    Text(String),
}

/// The operation of a request on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Read or list.
    Read,
    Create,
    Update,
    Delete,
}

/// A further condition on the rows of one list.
pub type Condition = Box<dyn Fn(&View<'_>, &Record) -> bool>;

/// Members of a list's answer beyond `data`, `has_more` and `total_results`, already serialized as `"name":value`.
pub type Extras = fn(&View<'_>, &[&Record]) -> Vec<String>;

/// Objects of one or more kinds under one path.
pub struct Collection {
    /// After `/api/v1/`, without slashes at the ends: `activity/note`.
    pub path: &'static str,
    pub kinds: &'static [Kind],
    /// Restricts the collection to some objects of those kinds, for example to custom fields of leads.
    pub holds: fn(&Record) -> bool,
    /// Sets fields of new objects before the laws run: the counterpart of `holds`.
    pub preset: fn(&mut Record),
    /// [`L`], [`G`], [`C`], [`U`], [`D`].
    pub methods: u8,
    pub paging: Paging,
    /// Whether answers have `total_results`.
    pub total: bool,
    pub order: Order,
    /// Known parameters; others are ignored.
    pub filters: &'static [Filter],
    /// Known orders; others are ignored.
    pub orders: &'static [OrderBy],
    /// Checks a list's parameters against each other, and adds conditions.
    pub check: fn(&View<'_>, &Request) -> Result<Vec<Condition>, Refusal>,
    /// Further members of a list's answer, computed over all matches.
    pub extras: Option<Extras>,
    /// Fields to which a row is reduced if the request names none: for example a mail beside its thread.
    pub narrowed: fn(&Request, &Record) -> Option<&'static Selection>,
    /// Returns false for callers without the rights. The record is given for updates, deletes and single reads.
    pub permit: fn(&View<'_>, &Caller, Deed, Option<&Record>) -> bool,
    /// Status of a `POST`.
    pub created_status: u16,
    /// Status of a `DELETE`: 200 with `{}`, or 204.
    pub deleted_status: u16,
    /// Section of the reference.
    pub section: &'static str,
    pub exactness: Exactness,
}

impl Collection {
    /// A collection with the usual settings.
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

#[derive(Clone, Copy)]
pub enum Handler {
    Read(fn(&View<'_>, &Caller, &Request) -> Result<Answer, Refusal>),
    Write(fn(&mut Change<'_>, &Request) -> Result<Answer, Refusal>),
}

/// A single path with its own behavior.
pub struct Endpoint {
    /// Upper case.
    pub method: &'static str,
    /// After `/api/v1/`, without slashes at the ends; `{}` takes one segment into `request.segments`.
    pub path: &'static str,
    pub handler: Handler,
    /// Section of the reference.
    pub section: &'static str,
    pub exactness: Exactness,
}

/// Everything that one file of `resources` serves.
pub struct Source {
    pub collections: &'static [Collection],
    pub endpoints: &'static [Endpoint],
}
