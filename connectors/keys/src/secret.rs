//! Values that are never shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::{ConfigValue, Given, Invalid, Scalar};

/// A secret. Prints as its reference, or as `[redacted]`. Its memory is cleared on drop.
#[derive(Clone)]
pub struct Secret {
    value: SecretString,
    shown: String,
}

impl Secret {
    /// A secret without a reference.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into().into(), shown: "[redacted]".to_owned() }
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        self.value.expose_secret()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl ConfigValue for Secret {
    const SECRET: bool = true;

    fn type_name() -> String {
        "secret".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        match given.value() {
            Scalar::String(text) => {
                Ok(Self { shown: given.reference().unwrap_or("[redacted]").to_owned(), ..Self::new(text) })
            }
            other => Err(Invalid::new(format!("expected a string, found {}", other.kind()))),
        }
    }

    fn to_text(&self, _key: &str) -> String {
        self.shown.clone()
    }
}
