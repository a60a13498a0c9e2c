//! Names that Avro does not allow: with dashes, with digits first, with letters beyond ASCII. Java's Avro writes them
//! where validation is off, and Debezium does so after a `topic.prefix` with a dash.
//!
//! apache-avro refuses such names, so they are replaced in the text of a schema before it is parsed. The names of types
//! are replaced reversibly, one by one, so references need no table. Fields and symbols keep their original names in an
//! attribute, which [`inlined`](super::inline::inlined) puts back.

use std::{borrow::Cow, fmt::Write as _};

use serde_json::{Map, Value as Json};
use towpath_api::json::{DEFAULT, ORIGINAL_NAME};

/// The attribute with the original symbols of an enum.
pub(super) const ORIGINAL_SYMBOLS: &str = "towpath.symbols";

/// Replaces the parts of a type's name, a namespace or a reference that are not allowed.
pub(super) fn allow(name: &mut String) {
    if name.split('.').all(|part| part.is_empty() || is_allowed(part)) {
        return;
    }
    *name = name.split('.').map(allowed).collect::<Vec<_>>().join(".");
}

/// Replaces the names in the definition of a record, an enum or a fixed. Aliases are dropped: nothing is resolved by
/// them.
pub(super) fn allow_type(definition: &mut Map<String, Json>) {
    definition.remove("aliases");
    for part in ["name", "namespace"] {
        if let Some(Json::String(name)) = definition.get_mut(part) {
            allow(name);
        }
    }
}

/// Replaces the symbols of an enum, and drops its default, if they are not allowed.
pub(super) fn allow_symbols(definition: &mut Map<String, Json>) {
    definition.remove("default");
    let Some(Json::Array(symbols)) = definition.get_mut("symbols") else { return };
    if symbols.iter().all(|symbol| symbol.as_str().is_none_or(is_allowed)) {
        return;
    }
    let replaced = (0..symbols.len()).map(|at| Json::String(format!("_towpath_{at}"))).collect();
    let original = std::mem::replace(symbols, replaced);
    definition.insert(ORIGINAL_SYMBOLS.to_owned(), Json::Array(original));
}

/// Replaces the name of the field at `position` if it is not allowed, and sets its default aside: the parser refuses
/// defaults that do not fit their type, which old registries accepted.
pub(super) fn allow_field(field: &mut Map<String, Json>, position: usize) {
    field.remove("aliases");
    field.remove("order");
    if let Some(default) = field.remove("default") {
        field.insert(DEFAULT.to_owned(), default);
    }
    if let Some(Json::String(name)) = field.get_mut("name")
        && !is_allowed(name)
    {
        let original = std::mem::replace(name, format!("_towpath_{position}"));
        field.insert(ORIGINAL_NAME.to_owned(), Json::String(original));
    }
}

/// The name of a type before [`allow`].
pub(super) fn original(name: &str) -> Cow<'_, str> {
    if !name.contains("_x") {
        return Cow::Borrowed(name);
    }
    let (mut out, mut rest) = (String::with_capacity(name.len()), name);
    while let Some((before, after)) = rest.split_once("_x") {
        out.push_str(before);
        let letter = after.split_once('_').and_then(|(code, behind)| {
            let letter = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
            Some((letter, behind))
        });
        rest = if let Some((letter, behind)) = letter {
            out.push(letter);
            behind
        } else {
            out.push_str("_x");
            after
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Avro's rule for names (Avro 1.12 specification, "Names").
fn is_allowed(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(allowed)
}

fn allowed(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for (at, letter) in part.chars().enumerate() {
        if letter == '_' || letter.is_ascii_alphabetic() || (at > 0 && letter.is_ascii_digit()) {
            out.push(letter);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "_x{:x}_", u32::from(letter));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_replaced_name_is_allowed_and_can_be_put_back(name in "[a-w0-9_$ äß日-]{1,12}(\\.[a-w0-9_-]{1,12}){0,2}") {
            let mut replaced = name.clone();
            allow(&mut replaced);
            prop_assert!(replaced.split('.').all(is_allowed), "{replaced}");
            prop_assert_eq!(original(&replaced), name);
        }
    }

    #[test]
    fn an_allowed_name_is_kept() {
        for name in ["my_server.public.users", "Envelope", "", "_x_y", "a_x2"] {
            let mut kept = name.to_owned();
            allow(&mut kept);
            assert_eq!((kept.as_str(), &*original(&kept)), (name, name));
        }
    }
}
