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
/// Maximum characters of a name in a pointer. Names of a schema are shorter; a body can repeat a long name a hundred
/// times at no cost.
const NAME_SHOWN: usize = 64;
/// Maximum pairs of letters to compare for the suggestions of one body: some milliseconds.
const COMPARED: usize = 100_000;

/// A place in the body, linked to the enclosing place, so that only a listed misfit allocates. As text, it is a JSON
/// pointer in which a name of over 64 characters is cut.
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
            Self::Name(parent, name) => {
                let (name, rest) = match name.char_indices().nth(NAME_SHOWN) {
                    Some((cut, _)) => (&name[..cut], "…"),
                    None => (*name, ""),
                };
                write!(f, "{parent}/{}{rest}", name.replace('~', "~0").replace('/', "~1"))
            }
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
#[derive(Debug, PartialEq, Eq)]
pub struct Misfits {
    listed: Vec<Misfit>,
    total: usize,
    /// Maximum misfits to list.
    room: usize,
    /// The pairs of letters that suggestions may still compare.
    comparisons: usize,
}

impl Default for Misfits {
    fn default() -> Self {
        Self { listed: Vec::new(), total: 0, room: LISTED, comparisons: COMPARED }
    }
}

impl Misfits {
    /// Counts misfits and lists none, for an attempt whose misfits nobody reads.
    pub(crate) fn unlisted() -> Self {
        Self { room: 0, ..Self::default() }
    }

    /// `; did you mean …?` with the known word nearest to `word`; empty if none is near, if the next misfit is not
    /// listed, or if the suggestions of this body have compared enough.
    pub fn suggest<'a>(&mut self, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
        if self.listed.len() >= self.room || word.len() > 2 * SHOWN {
            return String::new();
        }
        let pairs = known.clone().map(str::len).fold(0, usize::saturating_add).saturating_mul(word.len());
        let Some(left) = self.comparisons.checked_sub(pairs) else {
            return String::new();
        };
        self.comparisons = left;
        nearest(word, known).map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
    }

    /// Adds a violation at a place.
    pub fn add(&mut self, at: &Path<'_>, wrong: Violation) {
        self.total += 1;
        if self.listed.len() < self.room {
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
        Json::Number(digits) => match digits.get(..SHOWN) {
            Some(shown) if digits.len() > SHOWN => format!("{shown}…"),
            _ => (*digits).into(),
        },
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
        let suggest = |word, known: [&str; 2]| Misfits::default().suggest(word, known.into_iter());
        assert_eq!(suggest("amout", ["amount", "stage"]), "; did you mean `amount`?");
        assert_eq!(suggest("Won!", ["open", "won"]), "; did you mean `won`?");
        assert_eq!(suggest("colour", ["amount", "stage"]), "");
    }

    #[test]
    fn suggestions_end_with_the_list_and_with_their_comparisons() {
        let mut full = Misfits::default();
        (0..LISTED).for_each(|_| full.add(&Path::Root, Violation::new("type", "x")));
        assert_eq!(full.suggest("amout", ["amount"].into_iter()), "");

        let names: Vec<String> = (0..1_000).map(|number| format!("{number:079}")).collect();
        let names = || names.iter().map(String::as_str);
        assert_eq!(Misfits::default().suggest(&"x".repeat(79), names()), "");
        let mut few = Misfits::default();
        let suggested = (0..1_000).filter(|_| !few.suggest("amout", ["amount"].into_iter()).is_empty()).count();
        assert_eq!((suggested, few.comparisons), (1_000, COMPARED - 1_000 * 30));
    }

    #[test]
    fn a_pointer_is_short_however_long_the_names_are() {
        let long = "n".repeat(100_000);
        let pointer = Path::Name(&Path::Name(&Path::Root, &long), "amount").to_string();
        assert_eq!(pointer, format!("/{}…/amount", "n".repeat(64)));
    }

    #[test]
    fn long_values_are_truncated() {
        assert_eq!(quote(&"ä".repeat(50)).chars().count(), 43);
        let digits = "1".repeat(50);
        assert_eq!(show(&Json::Number(&digits)), format!("{}…", "1".repeat(40)));
        assert_eq!(show(&Json::Number(&digits[..40])), "1".repeat(40));
    }
}
