//! JSON (RFC 8259) within limits. `serde_json` has the grammar; this file sets the limits.
//!
//! Each value is read as a [`RawValue`], its text in the body, so a number keeps its digits (12.10 is a decimal, not a
//! float). [`members`] scans an object and builds nothing; [`parse`] builds the tree, whose strings borrow from the
//! body where possible. A value is scanned once per enclosing level, which [`MAX_DEPTH`] bounds.
//!
//! `serde_json`'s feature `arbitrary_precision` is not used: it applies to the whole program, breaks floats in
//! flattened and untagged types (serde-rs/json#1157), and reads an object with its private key as a number.
//!
//! What always holds: an error names a place and a rule, and never quotes the text.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Maximum levels of arrays and objects.
const MAX_DEPTH: usize = 32;
/// Maximum values in one tree.
const MAX_NODES: usize = 10_000;
/// Maximum bytes of one string, as written.
const MAX_STRING: usize = 256 * 1024;
/// One JSON value. Numbers are kept as written, members in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// The number as written, such as `12.10` or `1e3`, of any length: how long it may be depends on its type.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Members<'a>),
}

/// The members of an object, in their order; names are unique.
pub type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// The rule that a text breaks, and the byte at which it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    at: usize,
    rule: Cow<'static, str>,
}

impl Malformed {
    /// `rule` is broken at byte `at`.
    pub fn new(at: usize, rule: &'static str) -> Self {
        Self { at, rule: Cow::Borrowed(rule) }
    }

    /// Moves the place: the text begins `bytes` bytes into a larger one.
    pub fn after(self, bytes: usize) -> Self {
        Self { at: self.at + bytes, ..self }
    }

    /// Converts an error of `serde_json` about `text`, a part of `root`. It states a rule of the grammar and quotes
    /// nothing: only type errors quote, and no type is requested here.
    fn found(root: &str, text: &str, error: &serde_json::Error) -> Self {
        let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let said = error.to_string();
        let rule = said.split_once(" at line ").map_or(&*said, |(rule, _)| rule);
        Self { at: offset(root, text) + before + error.column().saturating_sub(1), rule: Cow::Owned(rule.to_owned()) }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.rule, self.at)
    }
}

/// Calls `with` for each member of the object in `body`, in order. Values are scanned, not parsed. A byte order mark
/// before the object is ignored (RFC 8259, section 8.1).
///
/// # Errors
/// `body` is not an object, or `with` returned an error.
pub fn members<'a>(
    body: &'a str,
    with: impl FnMut(Cow<'a, str>, &'a RawValue) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let marked = body.trim_start_matches('\u{feff}');
    let text = marked.trim_start_matches([' ', '\t', '\n', '\r']);
    if !text.starts_with('{') {
        return Err(Malformed::new(offset(body, text), "expected an object"));
    }
    each(body, text, with)
}

/// Parses the value into a tree. Places in errors count from the beginning of `json`.
///
/// # Errors
/// A limit is exceeded, a name is repeated within an object, or a string has half a surrogate pair.
pub fn parse(json: &RawValue) -> Result<Json<'_>, Malformed> {
    Tree { root: json.get(), nodes: 0 }.value(json.get(), 1)
}

/// The string in `json`; `None` for other types and for half a surrogate pair.
pub fn as_text(json: &RawValue) -> Option<Cow<'_, str>> {
    let text = serde_json::from_str(json.get()).ok();
    text.map(|Text(text)| text)
}

/// The byte of `text` at which `part`, a slice of it, begins.
pub fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// A string, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Calls `with` for each value of an array or object, a part of `root`, until it returns an error. The items of an
/// array have an empty name.
fn each<'a>(
    root: &str,
    text: &'a str,
    with: impl FnMut(Cow<'a, str>, &'a RawValue) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut each = Each { with, refused: None };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_any(&mut each).and_then(|()| reader.end());
    each.refused.map_or(Ok(()), Err)?;
    read.map_err(|error| Malformed::found(root, text, &error))
}

struct Each<F> {
    with: F,
    /// Kept here because an error that passes through serde loses its place.
    refused: Option<Malformed>,
}

impl<'a, F: FnMut(Cow<'a, str>, &'a RawValue) -> Result<(), Malformed>> Each<F> {
    fn one<E: Error>(&mut self, name: Cow<'a, str>, json: &'a RawValue) -> Result<(), E> {
        (self.with)(name, json).map_err(|malformed| {
            self.refused = Some(malformed);
            E::custom("refused")
        })
    }
}

impl<'a, F: FnMut(Cow<'a, str>, &'a RawValue) -> Result<(), Malformed>> Visitor<'a> for &mut Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(json) = items.next_element()? {
            self.one(Cow::Borrowed(""), json)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((Text(name), json)) = members.next_entry()? {
            self.one(name, json)?;
        }
        Ok(())
    }
}

/// A tree under construction, with the number of values in it.
struct Tree<'a> {
    root: &'a str,
    nodes: usize,
}

impl<'a> Tree<'a> {
    fn value(&mut self, json: &'a str, level: usize) -> Result<Json<'a>, Malformed> {
        let root = self.root;
        let wrong = |rule| Malformed::new(offset(root, json), rule);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(wrong("more than 10,000 values"));
        }
        match json.as_bytes() {
            [b'{' | b'[', ..] if level > MAX_DEPTH => Err(wrong("more than 32 levels")),
            [b'{', ..] => {
                let mut members = Members::new();
                each(root, json, |name, json| {
                    if name.len() > MAX_STRING {
                        return Err(wrong("a string over 256 KiB"));
                    }
                    members.push((name, self.value(json.get(), level + 1)?));
                    Ok(())
                })?;
                let mut names = HashSet::with_capacity(members.len());
                if !members.iter().all(|(name, _)| names.insert(name)) {
                    return Err(wrong("a repeated name in the object"));
                }
                Ok(Json::Object(members))
            }
            [b'[', ..] => {
                let mut items = Vec::new();
                each(root, json, |_, json| {
                    items.push(self.value(json.get(), level + 1)?);
                    Ok(())
                })?;
                Ok(Json::Array(items))
            }
            [b'"', raw @ .., _] if raw.len() > MAX_STRING => Err(wrong("a string over 256 KiB")),
            [b'"', ..] => match serde_json::from_str(json) {
                Ok(Text(text)) => Ok(Json::Text(text)),
                Err(error) => Err(Malformed::found(root, json, &error)),
            },
            b"null" => Ok(Json::Null),
            b"true" => Ok(Json::Bool(true)),
            b"false" => Ok(Json::Bool(false)),
            _ => Ok(Json::Number(json)),
        }
    }
}
