//! Reads JSON (RFC 8259) within limits. The grammar is `serde_json`'s; what a body may ask of us is said here.
//!
//! Each value is taken as a [`RawValue`], its text as it stands in the body, so a number keeps its digits (12.10 is a
//! decimal, not a float). [`members`] goes over an object and builds nothing; [`parse`] builds the tree, whose strings
//! borrow from the body where they can. A value is gone over once for each level that it is under, which [`MAX_DEPTH`]
//! bounds.
//!
//! It is not done with `serde_json`'s feature `arbitrary_precision`, which holds for the whole program, breaks floats
//! in flattened and untagged types there (serde-rs/json#1157), and takes an object with its private key for a number.
//!
//! What always holds: an error names a place and a rule, and never quotes what stands there.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Levels of arrays and objects.
pub(crate) const MAX_DEPTH: usize = 32;
/// Values in one tree.
pub(crate) const MAX_NODES: usize = 10_000;
/// Bytes of one string, as written.
pub(crate) const MAX_STRING: usize = 256 * 1024;
/// Digits of one number, without its exponent.
pub(crate) const MAX_DIGITS: usize = 40;
/// The greatest exponent, either way; a longer one asks for gigabytes when it is written out.
pub(crate) const MAX_EXPONENT: i32 = 400;

/// One JSON value; numbers as written, objects in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Members<'a>),
}

/// The members of an object, in their order, each name once.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// Why a text is no JSON that we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    at: usize,
    rule: Cow<'static, str>,
}

impl Malformed {
    pub(crate) fn new(at: usize, rule: &'static str) -> Self {
        Self { at, rule: Cow::Borrowed(rule) }
    }

    /// The same, said of a text that has `bytes` more before it.
    pub(crate) fn after(self, bytes: usize) -> Self {
        Self { at: self.at + bytes, ..self }
    }

    /// What `serde_json` found in `text`, a part of `root`. It is a rule of the grammar: an error that quotes is about
    /// types, and none is asked for here that is not there.
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

/// Goes over the members of the object that `body` is, in their order, without looking into their values.
pub(crate) fn members<'a>(
    body: &'a str,
    with: impl FnMut(Cow<'a, str>, &'a RawValue) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let blank = body.len() - body.trim_start_matches([' ', '\t', '\n', '\r']).len();
    if !body[blank..].starts_with('{') {
        return Err(Malformed::new(blank, "expected an object"));
    }
    each(body, body, with)
}

/// The value as a tree.
pub(crate) fn parse(json: &RawValue) -> Result<Json<'_>, Malformed> {
    Tree { root: json.get(), nodes: 0 }.value(json.get(), 1)
}

/// The string that `json` is; `None` when it is something else or holds half a character.
pub(crate) fn as_text(json: &RawValue) -> Option<Cow<'_, str>> {
    let text = serde_json::from_str(json.get()).ok();
    text.map(|Text(text)| text)
}

/// Where in `text` its part `part` begins.
pub(crate) fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// A string, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Goes over an array or an object, a part of `root`, up to the first value that `with` refuses. The items of an array
/// have no name.
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
    /// Kept here, as an error on its way through serde would lose its place.
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

/// A tree that is being built, and what was taken for it so far.
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
            _ => number(json).map(Json::Number).map_err(wrong),
        }
    }
}

/// A number that is not too long, written out or not.
fn number(text: &str) -> Result<&str, &'static str> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    if mantissa.bytes().filter(u8::is_ascii_digit).count() > MAX_DIGITS {
        return Err("a number of more than 40 digits");
    }
    let is_short = exponent.parse::<i32>().is_ok_and(|exponent| (-MAX_EXPONENT..=MAX_EXPONENT).contains(&exponent));
    if is_short { Ok(text) } else { Err("an exponent over 400") }
}
