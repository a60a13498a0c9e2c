//! An error in a body, and its position: nested `field-errors`, with list items keyed by their index (reference,
//! section 1.6).

use serde_json::{Map, Value as Json, json};

use crate::model::Refusal;

#[derive(Debug)]
pub enum Step {
    Key(String),
    Item(usize),
}

/// A message with its position.
#[derive(Debug)]
pub struct Trouble {
    message: String,
    /// From the inside outwards.
    steps: Vec<Step>,
}

impl Trouble {
    /// A message without position.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), steps: Vec::new() }
    }

    /// Adds the enclosing step.
    pub fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds an enclosing key.
    pub fn under(self, key: &str) -> Self {
        self.within(Step::Key(key.to_owned()))
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        let mut steps = trouble.steps;
        let Some(Step::Key(outermost)) = steps.pop() else { return Refusal::invalid(trouble.message) };
        let inner = steps.into_iter().fold(Json::String(trouble.message), |inner, step| match step {
            Step::Key(key) => json!({ "field-errors": { key: inner } }),
            Step::Item(at) => json!({ "errors": { at.to_string(): inner } }),
        });
        let mut fields = Map::new();
        fields.insert(outermost, inner);
        Refusal::Invalid { errors: Vec::new(), fields }
    }
}

/// The message for a value that is not one of the allowed names.
pub fn enumeration<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    format!("value is not a valid enumeration member; permitted: {}", names.join(", "))
}
