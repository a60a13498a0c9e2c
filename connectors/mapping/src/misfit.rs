//! Misfits: violations of the agreed schema, each with its place, its rule and a message from which the sender can fix
//! it.
//!
//! A place is a JSON pointer (RFC 6901) into the body as sent. At most [`LISTED`] misfits are listed, the rest counted.

use std::fmt;

use serde::Serialize;
use towpath_keys::nearest;

use crate::json::Json;

/// Maximum misfits to list. A body may have 10,000, and nobody reads more than this.
const LISTED: usize = 100;
/// Maximum characters of a value to quote.
const SHOWN: usize = 40;

/// A place in the body, linked to the enclosing place, so that only a misfit allocates.
#[derive(Clone, Copy)]
pub enum Path<'p> {
    /// The body itself.
    Root,
    /// A member of the object at the enclosing place.
    Name(&'p Path<'p>, &'p str),
    /// An item of the array at the enclosing place.
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Name(parent, name) => write!(f, "{parent}/{}", name.replace('~', "~0").replace('/', "~1")),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// One misfit, as an answer lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// The JSON pointer, such as `/data/amount`.
    pub pointer: String,
    /// The violated rule: `type`, `range`, `precision`, `format`, `enum`, `null`, `required`, `unknown`, `id`,
    /// `action`, `duplicate`.
    pub code: &'static str,
    /// The reason, for the sender. It may quote at most 40 characters of the value.
    pub message: String,
}

/// A rule that a value violates, without the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// One of the rules of [`Misfit::code`].
    pub code: &'static str,
    /// The reason, for the sender.
    pub message: String,
}

impl Violation {
    /// Violates the rule `code`.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// All misfits of one body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Misfits {
    listed: Vec<Misfit>,
    total: usize,
}

impl Misfits {
    /// Adds a violation at a place.
    pub fn add(&mut self, at: &Path<'_>, wrong: Violation) {
        self.total += 1;
        if self.listed.len() < LISTED {
            self.listed.push(Misfit { pointer: at.to_string(), code: wrong.code, message: wrong.message });
        }
    }

    /// The number of misfits, listed or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The listed misfits, in the order in which they were found.
    pub fn into_listed(self) -> Vec<Misfit> {
        self.listed
    }
}

/// The violation `expected …, got …`: rule `null` if `got` is null, else `type`.
pub fn expected(what: impl fmt::Display, got: &Json<'_>) -> Violation {
    let code = if *got == Json::Null { "null" } else { "type" };
    Violation::new(code, format!("expected {what}, got {}", show(got)))
}

/// Describes a value in a few words.
pub(crate) fn show(json: &Json<'_>) -> String {
    match json {
        Json::Null => "null".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number(digits) => (*digits).into(),
        Json::Text(text) => quote(text),
        Json::Array(_) => "an array".into(),
        Json::Object(_) => "an object".into(),
    }
}

/// Quotes a text, at most its first 40 characters.
pub fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// `; did you mean …?` with the nearest known word; empty if none is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if word.len() > 2 * SHOWN {
        return String::new();
    }
    let near = nearest(word, known);
    near.map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_tilde_and_slash() {
        let data = Path::Name(&Path::Root, "data");
        let item = Path::Index(&data, 3);
        assert_eq!(Path::Name(&item, "a/b~c").to_string(), "/data/3/a~1b~0c");
        assert_eq!(Path::Root.to_string(), "");
    }

    #[test]
    fn a_hundred_misfits_are_listed_and_the_rest_counted() {
        let mut misfits = Misfits::default();
        for index in 0..150 {
            misfits.add(&Path::Index(&Path::Root, index), Violation::new("type", "x"));
        }
        assert_eq!((misfits.total(), misfits.into_listed().len()), (150, 100));
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        assert_eq!(did_you_mean("amout", ["amount", "stage"]), "; did you mean `amount`?");
        assert_eq!(did_you_mean("Won!", ["open", "won"]), "; did you mean `won`?");
        assert_eq!(did_you_mean("colour", ["amount", "stage"]), "");
    }

    #[test]
    fn long_values_are_truncated() {
        assert_eq!(quote(&"ä".repeat(50)).chars().count(), 43);
    }
}
