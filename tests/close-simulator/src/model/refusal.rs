//! Reasons to refuse a request, with the bodies that Close answers (reference, section 1.6).

use serde_json::{Map, Value, json};

use super::Id;

/// A refused request; it changed nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// 400 `{"error": "…"}`: a parameter or the request as a whole.
    Bad(String),
    /// 400 `{"errors": […], "field-errors": {…}}`: the body.
    Invalid {
        /// Messages about the whole body.
        errors: Vec<String>,
        /// Field name to message, or to the same form again for nested objects.
        fields: Map<String, Value>,
    },
    /// 404: unknown, or not visible to the caller.
    Missing(String),
    /// 403.
    Forbidden(String),
    /// Any other status with `{"error": "…"}`.
    Status(u16, String),
}

impl Refusal {
    /// 400 with one message about one field.
    pub fn field(name: &str, message: impl Into<String>) -> Self {
        let mut fields = Map::new();
        fields.insert(name.to_owned(), Value::String(message.into()));
        Self::Invalid { errors: Vec::new(), fields }
    }

    /// 400 with one message about the body as a whole.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { errors: vec![message.into()], fields: Map::new() }
    }

    /// 400 about a parameter or about the request as a whole.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::Bad(message.into())
    }

    /// 404 for an id that is unknown or invisible, in the store's words.
    pub fn missing(text: &str) -> Self {
        Self::Missing(format!("Empty query: {{'id': '{text}'}}"))
    }

    /// As [`Refusal::missing`].
    pub fn missing_id(id: Id, seed: u64) -> Self {
        Self::missing(&id.text(seed))
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Bad(_) | Self::Invalid { .. } => 400,
            Self::Missing(_) => 404,
            Self::Forbidden(_) => 403,
            Self::Status(status, _) => *status,
        }
    }

    pub fn body(&self) -> Value {
        match self {
            Self::Bad(text) | Self::Missing(text) | Self::Forbidden(text) | Self::Status(_, text) => {
                json!({ "error": text })
            }
            Self::Invalid { errors, fields } => json!({ "errors": errors, "field-errors": fields }),
        }
    }

    /// The form in place of an item of a list when an object inside it is refused; without `errors` if there are none.
    pub fn nested(&self) -> Value {
        match self {
            Self::Invalid { errors, fields } if errors.is_empty() => json!({ "field-errors": fields }),
            other => other.body(),
        }
    }
}
