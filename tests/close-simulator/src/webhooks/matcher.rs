//! `extra_filter`: a condition on the event as a document (reference, section 7.3).

use serde_json::Value as Json;

/// One condition on one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// The same JSON.
    Equals(Json),
    /// Different JSON.
    NotEquals(Json),
    /// Null or missing.
    IsNull,
    /// Neither null nor missing.
    NonNull,
    /// A list with this item, or a text with this part.
    Contains(Json),
    /// All match.
    And(Vec<Matcher>),
    /// At least one matches.
    Or(Vec<Matcher>),
    /// Does not match.
    Not(Box<Matcher>),
    /// Tests a member of an object; a missing one is null. A dot is part of the name, as in `custom.cf_…`.
    Field(String, Box<Matcher>),
    /// At least one item of a list matches.
    AnyArrayValue(Box<Matcher>),
}

impl Matcher {
    /// # Errors
    /// The reason why the condition is invalid.
    pub fn parse(json: &Json) -> Result<Self, String> {
        let Some(object) = json.as_object() else { return Err("A filter must be an object.".to_owned()) };
        let Some(kind) = object.get("type").and_then(Json::as_str) else {
            return Err("A filter needs a type.".to_owned());
        };
        let member = |name: &str| {
            object.get(name).ok_or_else(|| format!("A filter of type '{kind}' needs the member '{name}'."))
        };
        let inner = || Self::parse(member("filter")?).map(Box::new);
        let many = || match member("filters")? {
            Json::Array(filters) => filters.iter().map(Self::parse).collect::<Result<Vec<_>, _>>(),
            _ => Err("'filters' must be a list.".to_owned()),
        };
        Ok(match kind {
            "equals" => Self::Equals(member("value")?.clone()),
            "not_equals" => Self::NotEquals(member("value")?.clone()),
            "is_null" => Self::IsNull,
            "non_null" => Self::NonNull,
            "contains" => Self::Contains(member("value")?.clone()),
            "and" => Self::And(many()?),
            "or" => Self::Or(many()?),
            "not" => Self::Not(inner()?),
            "field_accessor" => match member("field")? {
                Json::String(field) => Self::Field(field.clone(), inner()?),
                _ => return Err("'field' must be a text.".to_owned()),
            },
            "any_array_value" => Self::AnyArrayValue(inner()?),
            other => return Err(format!("Unknown filter type '{other}'.")),
        })
    }

    pub fn matches(&self, value: &Json) -> bool {
        match self {
            Self::Equals(wanted) => same(value, wanted),
            Self::NotEquals(wanted) => !same(value, wanted),
            Self::IsNull => value.is_null(),
            Self::NonNull => !value.is_null(),
            Self::Contains(wanted) => match (value, wanted) {
                (Json::Array(items), wanted) => items.iter().any(|item| same(item, wanted)),
                (Json::String(text), Json::String(part)) => text.contains(part.as_str()),
                _ => false,
            },
            Self::And(all) => all.iter().all(|matcher| matcher.matches(value)),
            Self::Or(any) => any.iter().any(|matcher| matcher.matches(value)),
            Self::Not(matcher) => !matcher.matches(value),
            Self::Field(field, matcher) => matcher.matches(value.get(field).unwrap_or(&Json::Null)),
            Self::AnyArrayValue(matcher) => {
                value.as_array().is_some_and(|items| items.iter().any(|item| matcher.matches(item)))
            }
        }
    }
}

/// JSON equality; 1 and 1.0 are equal.
fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    // Filters read better where they are written.
    #![allow(clippy::needless_pass_by_value)]

    use serde_json::json;

    use super::*;

    fn event() -> Json {
        json!({
            "object_type": "lead",
            "user_id": "user_A",
            "api_key_id": null,
            "changed_fields": ["name", "custom.cf_x"],
            "data": { "name": "Nordlicht", "custom.cf_x": [1, 2.5],
                "contacts": [{ "title": "CEO" }, { "title": null }] },
        })
    }

    fn holds(filter: &Json) -> bool {
        Matcher::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(&event())
    }

    fn field(name: &str, filter: Json) -> Json {
        json!({ "type": "field_accessor", "field": name, "filter": filter })
    }

    #[test]
    fn each_matcher_holds_and_fails() {
        let yes_and_no = [
            (
                field("user_id", json!({"type":"equals","value":"user_A"})),
                field("user_id", json!({"type":"equals","value":"user_B"})),
            ),
            (
                field("api_key_id", json!({"type":"not_equals","value":"key_A"})),
                field("user_id", json!({"type":"not_equals","value":"user_A"})),
            ),
            (field("api_key_id", json!({"type":"is_null"})), field("user_id", json!({"type":"is_null"}))),
            (field("no_such", json!({"type":"is_null"})), field("no_such", json!({"type":"non_null"}))),
            (
                field("changed_fields", json!({"type":"contains","value":"name"})),
                field("changed_fields", json!({"type":"contains","value":"nam"})),
            ),
            (
                field("data", field("name", json!({"type":"contains","value":"licht"}))),
                field("data", field("name", json!({"type":"contains","value":"Licht"}))),
            ),
            (
                field("data", field("custom.cf_x", json!({"type":"contains","value":1.0}))),
                field("data", field("custom", json!({"type":"non_null"}))),
            ),
            (
                field(
                    "data",
                    field(
                        "contacts",
                        json!({"type":"any_array_value",
                            "filter":field("title", json!({"type":"equals","value":"CEO"}))}),
                    ),
                ),
                field("data", json!({"type":"any_array_value","filter":{"type":"non_null"}})),
            ),
            (
                json!({"type":"and","filters":[field("user_id", json!({"type":"non_null"})),
                    field("api_key_id", json!({"type":"is_null"}))]}),
                json!({"type":"and","filters":[field("user_id", json!({"type":"non_null"})),
                    field("user_id", json!({"type":"is_null"}))]}),
            ),
            (
                json!({"type":"or","filters":[field("user_id", json!({"type":"is_null"})),
                    field("data", json!({"type":"non_null"}))]}),
                json!({"type":"or","filters":[]}),
            ),
            (
                json!({"type":"not","filter":field("user_id", json!({"type":"is_null"}))}),
                json!({"type":"not","filter":field("user_id", json!({"type":"non_null"}))}),
            ),
        ];
        for (yes, no) in yes_and_no {
            assert!(holds(&yes), "{yes}");
            assert!(!holds(&no), "{no}");
        }
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for wrong in [
            json!("equals"),
            json!({}),
            json!({"type":"like","value":"x"}),
            json!({"type":"equals"}),
            json!({"type":"and","filters":{}}),
            json!({"type":"or"}),
            json!({"type":"not"}),
            json!({"type":"field_accessor","field":1,"filter":{"type":"is_null"}}),
            json!({"type":"field_accessor","field":"data"}),
            json!({"type":"not","filter":{"type":"no_such"}}),
        ] {
            assert!(Matcher::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
