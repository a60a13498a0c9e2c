//! What does not fit the agreed schema: where, by which rule, and said so that the sender can mend it.
//!
//! A place is a JSON pointer (RFC 6901) into the body as it was sent. The list is bounded; what passes the bound is
//! counted.

use std::fmt;

use serde::Serialize;
use towpath_keys::nearest;

use crate::json::Json;

/// So many wrong fields are listed; of a body with 10,000 wrong ones nobody reads more.
const LISTED: usize = 100;
/// So many characters of a wrong value are shown.
const SHOWN: usize = 40;

/// A place in the body, linked to the one around it, so that a walk allocates only where something is wrong.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    Root,
    Name(&'p Path<'p>, &'p str),
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

/// One wrong field, as the answer lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Misfit {
    pub(crate) pointer: String,
    /// The rule: `type`, `range`, `precision`, `format`, `enum`, `null`, `required`, `unknown`, `id`, `action`,
    /// `duplicate`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Wrong {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Everything that is wrong with a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Misfits {
    listed: Vec<Misfit>,
    total: usize,
}

impl Misfits {
    pub(crate) fn add(&mut self, at: &Path<'_>, wrong: Wrong) {
        self.total += 1;
        if self.listed.len() < LISTED {
            self.listed.push(Misfit { pointer: at.to_string(), code: wrong.code, message: wrong.message });
        }
    }

    /// How many there are, listed or not.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn into_listed(self) -> Vec<Misfit> {
        self.listed
    }
}

/// `expected …, got …`.
pub(crate) fn expected(what: impl fmt::Display, got: &Json<'_>) -> Wrong {
    let code = if *got == Json::Null { "null" } else { "type" };
    Wrong::new(code, format!("expected {what}, got {}", show(got)))
}

/// A value in a few words, cut where it is long.
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

/// A text in quotes, cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// `; did you mean …?` with the known word that is nearest, or nothing when none is near.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
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
    fn a_pointer_escapes_what_rfc_6901_escapes() {
        let data = Path::Name(&Path::Root, "data");
        let item = Path::Index(&data, 3);
        assert_eq!(Path::Name(&item, "a/b~c").to_string(), "/data/3/a~1b~0c");
        assert_eq!(Path::Root.to_string(), "");
    }

    #[test]
    fn a_hundred_are_listed_and_the_rest_counted() {
        let mut misfits = Misfits::default();
        for index in 0..150 {
            misfits.add(&Path::Index(&Path::Root, index), Wrong::new("type", "x"));
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
    fn long_values_are_cut() {
        assert_eq!(quote(&"ä".repeat(50)).chars().count(), 43);
    }
}
