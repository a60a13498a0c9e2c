//! Changes of existing columns.

use super::ddl;
use crate::name::TableName;

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
            ddl::alter_type(table, &self.column, &self.to)
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
