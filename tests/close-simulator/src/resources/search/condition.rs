//! Conditions on values: those of the advanced query, and the looser ones of the legacy text, which depend on the
//! value.

use super::{field::Field, moments::Interval, types::Subject, words::Words};
use crate::{
    model::{Id, Value},
    world::view::View,
};

/// A condition on the values of one property; one matching value is enough.
#[derive(Clone)]
pub enum Condition {
    /// Any value but an empty text.
    Exists,
    /// A flag; an unset flag is false.
    Flag(bool),
    /// Words in a text.
    Text(Words),
    /// One of these, compared as they are written.
    Terms(Vec<Term>),
    References(Vec<Id>),
    Numbers(Bounds),
    Moments {
        within: Interval,
        /// The offset of a date without time: minutes from UTC.
        offset_minutes: i32,
    },
    /// The comparison of the legacy text.
    Loose(Box<Loose>),
}

/// A value as it is written.
#[derive(Clone)]
pub struct Term {
    pub text: String,
    /// The object, if the text is an id.
    pub id: Option<Id>,
}

/// Bounds of a number, each optional.
#[derive(Clone, Copy, Default)]
pub struct Bounds {
    pub gt: Option<f64>,
    pub gte: Option<f64>,
    pub lt: Option<f64>,
    pub lte: Option<f64>,
}

/// The operators of the legacy text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `:` and `=`.
    Is,
    /// `!=`.
    IsNot,
    /// `>`.
    Gt,
    /// `>=`.
    Gte,
    /// `<`.
    Lt,
    /// `<=`.
    Lte,
}

/// A text to compare with values of any type; each interpretation is computed once.
#[derive(Clone)]
pub struct Loose {
    pub op: Op,
    /// As it was written.
    pub text: String,
    /// The text as a phrase.
    pub words: Words,
    /// The text as a number.
    pub number: Option<f64>,
    /// The text as an object.
    pub id: Option<Id>,
    /// The text as a date, combined with the operator.
    pub within: Option<Interval>,
    /// The offset of a date without time: minutes from UTC.
    pub offset_minutes: i32,
}

impl Bounds {
    fn hold(&self, number: f64) -> bool {
        self.gt.is_none_or(|bound| number > bound)
            && self.gte.is_none_or(|bound| number >= bound)
            && self.lt.is_none_or(|bound| number < bound)
            && self.lte.is_none_or(|bound| number <= bound)
    }
}

impl Condition {
    /// Returns true if a property of the subject fulfills the condition.
    pub fn holds<'v>(&self, view: &'v View<'_>, field: &Field, subject: Subject<'v>) -> bool {
        match self {
            Condition::Flag(false) => !field.any(view, subject, &mut |value| *value == Value::Bool(true)),
            _ => field.any(view, subject, &mut |value| self.fits(view, value)),
        }
    }

    fn fits(&self, view: &View<'_>, value: &Value) -> bool {
        match self {
            Condition::Exists => value.as_text() != Some(""),
            Condition::Flag(wanted) => *value == Value::Bool(*wanted),
            Condition::Text(words) => match value {
                Value::Text(text) => words.in_text(text),
                Value::Id(id) => words.in_text(&view.id_text(*id)),
                _ => false,
            },
            Condition::Terms(terms) => terms.iter().any(|term| match value {
                Value::Text(text) => **text == *term.text,
                Value::Id(id) => term.id == Some(*id),
                Value::Bool(flag) => term.text == if *flag { "true" } else { "false" },
                Value::Number(number) => number.to_string() == term.text,
                _ => false,
            }),
            Condition::References(ids) => value.as_id().is_some_and(|id| ids.contains(&id)),
            Condition::Numbers(bounds) => number(value).is_some_and(|number| bounds.hold(number)),
            Condition::Moments { within, offset_minutes } => match value {
                Value::Moment(at) => within.holds(*at),
                Value::Day(day) => within.holds(day.start(*offset_minutes)),
                _ => false,
            },
            Condition::Loose(loose) => loose.fits(view, value),
        }
    }
}

impl Loose {
    fn fits(&self, view: &View<'_>, value: &Value) -> bool {
        match value {
            Value::Text(text) => self.fits_text(text),
            Value::Number(_) => number(value).zip(self.number).is_some_and(|(have, wanted)| match self.op {
                Op::Is | Op::IsNot => have.total_cmp(&wanted).is_eq(),
                Op::Gt => have > wanted,
                Op::Gte => have >= wanted,
                Op::Lt => have < wanted,
                Op::Lte => have <= wanted,
            }),
            Value::Moment(at) => self.within.is_some_and(|within| within.holds(*at)),
            Value::Day(day) => self.within.is_some_and(|within| within.holds(day.start(self.offset_minutes))),
            Value::Bool(flag) => {
                let wanted = match self.text.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "1" => true,
                    "false" | "no" | "0" => false,
                    _ => return false,
                };
                *flag == wanted
            }
            Value::Id(id) => match self.id {
                Some(wanted) => *id == wanted,
                // An object also matches by its display name: `user:"Mara Voss"`, `status:Qualified`.
                None => view.get(*id).is_some_and(|other| {
                    ["full_name", "label", "name"]
                        .into_iter()
                        .filter_map(|name| other.text(name))
                        .any(|name| self.fits_text(name))
                }),
            },
            _ => false,
        }
    }

    fn fits_text(&self, text: &str) -> bool {
        match self.op {
            // An email address is one value, although it has several words.
            Op::Is | Op::IsNot if self.text.contains('@') => text.to_lowercase() == self.text.to_lowercase(),
            Op::Is | Op::IsNot if text.starts_with('+') => {
                let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
                let wanted = digits(&self.text);
                wanted.len() > 2 && digits(text).ends_with(wanted.trim_start_matches('0'))
            }
            Op::Is | Op::IsNot if self.words.is_empty() => text == self.text,
            Op::Is | Op::IsNot => self.words.in_text(text),
            Op::Gt => text.to_lowercase() > self.text.to_lowercase(),
            Op::Gte => text.to_lowercase() >= self.text.to_lowercase(),
            Op::Lt => text.to_lowercase() < self.text.to_lowercase(),
            Op::Lte => text.to_lowercase() <= self.text.to_lowercase(),
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}
