//! The fields that a search is asked for. A search gives only the fields that it is asked for, and may not know some
//! that a row has: this is checked on a few rows, and rows are read by their ids if a search cannot give all of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::catalogue::Kind;

/// The fields of the searches of one object.
#[derive(Debug)]
pub(super) struct Fields {
    names: BTreeSet<String>,
    tried: usize,
    checked: usize,
    by_id: bool,
}

impl Fields {
    /// Rows that are compared, of the first page and in all: a row of a later page may be the first to have a field.
    const OF_FIRST_PAGE: usize = 3;
    const IN_ALL: usize = 20;

    /// Those of the object's schema, and all custom fields.
    pub(super) fn of(kind: &Kind) -> Self {
        let schema: Json = serde_json::from_str(kind.base).unwrap_or_default();
        let fields = schema.get("fields").and_then(Json::as_array).into_iter().flatten();
        let own = fields.filter_map(|field| field.get("name")?.as_str()).filter(|name| !name.starts_with('_'));
        let mut names: BTreeSet<String> = own.map(str::to_owned).collect();
        names.extend(["id", "date_created", "date_updated"].map(str::to_owned));
        if kind.custom.is_some() {
            names.insert("custom".to_owned());
        }
        Self { names, tried: 0, checked: 0, by_id: false }
    }

    pub(super) fn names(&self) -> Vec<String> {
        if self.by_id { Self::ids() } else { self.names.iter().cloned().collect() }
    }

    /// The fields of a search for rows that are read by their ids.
    pub(super) fn ids() -> Vec<String> {
        ["id", "date_created"].map(str::to_owned).to_vec()
    }

    /// The number of rows of a page that are to be compared.
    pub(super) fn samples(&self) -> usize {
        let enough = self.by_id || self.checked >= Self::IN_ALL || self.tried >= Self::IN_ALL * 4;
        match self.checked {
            _ if enough => 0,
            0..Self::OF_FIRST_PAGE => Self::OF_FIRST_PAGE,
            _ => 1,
        }
    }

    /// True if a search does not give all fields, so that rows are read by their ids.
    pub(super) fn by_id(&self) -> bool {
        self.by_id
    }

    /// Compares a row as a search for `asked` gave it with the same row by its id. Rows that changed in between say
    /// nothing: the index of a search lags.
    pub(super) fn compare(
        &mut self,
        kind: &Kind,
        asked: &[String],
        found: &Map<String, Json>,
        whole: &Map<String, Json>,
    ) {
        self.tried += 1;
        if found.get("date_updated") != whole.get("date_updated") {
            return;
        }
        self.checked += 1;
        let expected = |name: &str, value: &Json| !value.is_null() && !kind.ignored.contains(&name);
        for (name, _) in whole.iter().filter(|(name, value)| expected(name, value) && !found.contains_key(*name)) {
            let was_asked = if name.starts_with("custom.") { "custom" } else { name };
            if asked.iter().any(|asked| asked == was_asked) {
                self.by_id = true;
            } else if self.names.insert(name.clone()) {
                self.checked = 0;
            }
        }
    }

    /// A row could not be read for a comparison.
    pub(super) fn unread(&mut self) {
        self.tried += 1;
    }

    /// Searches refuse these fields: only ids are asked for.
    pub(super) fn refused(&mut self) {
        self.by_id = true;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::kind;

    fn row(extra: &Json) -> Map<String, Json> {
        let mut row = json!({"id": "lead_1", "date_updated": "2026-01-01"}).as_object().unwrap().clone();
        row.extend(extra.as_object().unwrap().clone());
        row
    }

    fn compared(found: &Json, whole: &Json) -> (Fields, Vec<String>) {
        let lead = kind("lead").unwrap();
        let mut fields = Fields::of(lead);
        let asked = fields.names();
        fields.compare(lead, &asked, &row(found), &row(whole));
        (fields, asked)
    }

    #[test]
    fn a_field_that_was_not_asked_for_is_asked_for() {
        let (fields, asked) = compared(&json!({}), &json!({"new_field": 1}));
        assert!(!fields.by_id() && !asked.contains(&"new_field".to_owned()));
        assert!(fields.names().contains(&"new_field".to_owned()));
    }

    #[test]
    fn rows_are_read_by_id_if_a_search_does_not_give_what_is_asked_for() {
        assert!(compared(&json!({}), &json!({"name": "Ann"})).0.by_id());
        assert!(compared(&json!({}), &json!({"custom.cf_1": "Ann"})).0.by_id());
        assert!(!compared(&json!({}), &json!({"name": null, "contacts": [1]})).0.by_id());
    }

    #[test]
    fn rows_that_changed_in_between_say_nothing() {
        let (fields, _) = compared(&json!({"date_updated": "2025-01-01"}), &json!({"name": "Ann"}));
        assert!(!fields.by_id() && fields.samples() > 1);
    }
}
