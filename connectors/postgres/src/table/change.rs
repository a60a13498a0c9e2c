//! Changes of existing columns.

use super::ddl;
use crate::name::{TableName, quoted};

/// A column that gets a type which holds more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Widening {
    pub(super) column: String,
    /// `None` for a part of the key.
    pub(super) field: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
    /// True if each value becomes its JSON.
    pub(super) to_json: bool,
}

impl Widening {
    /// The statement that makes the change.
    pub(super) fn sql(&self, table: &TableName) -> String {
        if self.to_json {
            ddl::alter_to_json(table, &self.column)
        } else {
            let column = quoted(&self.column);
            let using = match self.from.as_str() {
                // Whatever the time zone of the session.
                "date" if self.to.ends_with("with time zone") => format!("{column}::timestamp AT TIME ZONE 'UTC'"),
                // The text has all digits of the number; a cast to numeric has 15 or 6.
                "real" | "double precision" if self.to.starts_with("numeric") => format!("{column}::text::numeric"),
                _ => format!("{column}::{}", self.to),
            };
            ddl::alter_type(table, &self.column, &self.to, &using)
        }
    }
}

/// A column that loses `NOT NULL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loosening {
    pub(super) column: String,
    pub(super) field: String,
    pub(super) ty: String,
}

/// A column whose comment has an older label of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relabelling {
    pub(super) column: String,
    pub(super) field: String,
    pub(super) ty: String,
    pub(super) from: String,
    pub(super) to: String,
}
