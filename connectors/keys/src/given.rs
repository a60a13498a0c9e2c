//! A value as it was given, and the reason why it is invalid.

use std::fmt;

use super::{BaseDir, Scalar, holds_credentials, looks_secret, nearest};

/// The maximum number of characters that a message quotes of a value.
const MAX_QUOTED: usize = 60;

/// Why a value is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The reason, without the key: `expected …`.
    pub message: String,
    /// The value that was probably meant.
    pub suggestion: Option<String>,
}

impl Invalid {
    /// Only a reason.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None }
    }
}

/// A value that was given for a key, with references resolved.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a Scalar,
    /// True if `value` is as written. Otherwise it came from a reference and is not quoted.
    pub(super) literal: bool,
    pub(super) reference: Option<&'a str>,
    pub(super) base_dir: &'a BaseDir,
}

impl<'a> Given<'a> {
    /// The whole key.
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// The value, with references resolved.
    pub fn value(&self) -> &'a Scalar {
        self.value
    }

    /// The reference without its default, if the value as written is exactly one reference.
    pub fn reference(&self) -> Option<&'a str> {
        self.reference
    }

    /// Returns true if the text may be quoted: it is as written, and does not look like a secret.
    pub fn quotable(&self) -> bool {
        self.literal && !looks_secret(self.key) && !holds_credentials(&self.value.to_string())
    }

    /// `expected …, found …`. Quotes the value only if it does not look like a secret.
    pub fn mismatch(&self, expected: impl fmt::Display) -> Invalid {
        let found = match (self.reference, self.quotable()) {
            (Some(reference), _) => format!("another value in `{reference}`"),
            (None, true) => format!("{} `{}`", self.value.kind(), shortened(&self.value.to_string())),
            (None, false) => self.value.kind().to_owned(),
        };
        Invalid::new(format!("expected {expected}, found {found}"))
    }

    /// The choice with the given word.
    ///
    /// # Errors
    /// There is no such choice. Suggests the nearest.
    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Result<T, Invalid> {
        let words = || choices.iter().map(|(word, _)| *word);
        let text = self.text().unwrap_or_default();
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(*choice);
        }
        let list: Vec<String> = words().map(|word| format!("`{word}`")).collect();
        let suggestion = nearest(text, words()).filter(|_| self.quotable()).map(ToOwned::to_owned);
        Err(Invalid { suggestion, ..self.mismatch(alternatives(&list)) })
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            Scalar::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Joins alternatives for a message: `a`, `a or b`, `a, b or c`.
pub fn alternatives(words: &[String]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    let mut start: String = text.chars().take(MAX_QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
