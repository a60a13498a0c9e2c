//! The field of a plain record that marks deletes, as Debezium's `ExtractNewRecordState` writes it with
//! `delete.tombstone.handling.mode=rewrite`.

use std::sync::Arc;

use apache_avro::{schema::Schema, types::Value};

use crate::avro::{
    codes,
    refusal::Refusal,
    schema::shape::{Plain, without_field},
};

/// Debezium's name of the field.
pub const DELETED_FIELD: &str = "__deleted";

/// The field in records of one schema.
#[derive(Debug)]
pub(super) struct DeletedField {
    pub(super) position: usize,
    /// The record without the field.
    pub(super) others: Arc<Schema>,
}

impl DeletedField {
    /// Finds the field; `None` as for [`Plain::mark`].
    pub(super) fn find(name: &str, plain: &Plain) -> Option<Self> {
        let position = plain.mark(name)?;
        Some(Self { position, others: Arc::new(without_field(&plain.content.schema, position)) })
    }
}

/// Returns true if the value of the field marks a delete: true, or the operation `d`. Null, false and the operations
/// `c`, `u` and `r` mark other changes.
///
/// # Errors
/// `decode.deleted_field` for any other value.
pub(super) fn is_delete(mark: &Value, name: &str) -> Result<bool, Refusal> {
    match mark {
        Value::Null => Ok(false),
        Value::Boolean(mark) => Ok(*mark),
        Value::Union(_, mark) => is_delete(mark, name),
        Value::String(mark) | Value::Enum(_, mark) => match mark.as_str() {
            "true" | "d" => Ok(true),
            "false" | "c" | "u" | "r" => Ok(false),
            _ => Err(unknown(name)),
        },
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Refusal {
    let reason = format!(
        "field `{name}` is not one of true, false, c, u, r and d; if it does not mark deletes, change `delete.field`"
    );
    Refusal::new(codes::DELETED_FIELD, reason)
}
