//! Where the primary key of a row comes from.

use std::{borrow::Cow, sync::Arc};

use apache_avro::{
    schema::{RecordField, Schema},
    types::Value,
};
use towpath_api::{Change, Identity, RecordKey};

use crate::{
    column::{ColumnType, joined},
    config::PrimaryKeyMode,
    name::column,
    table::{KeyColumn, fields_of},
};

/// Takes keys from records, by `pk.mode` and `pk.fields`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys<'c> {
    from_value: bool,
    fields: &'c [String],
}

/// The key of one record.
#[derive(Debug, Clone)]
pub(crate) struct Keyed<'a> {
    pub(crate) identity: Cow<'a, Identity>,
    /// The record schema in which the parts are described.
    pub(crate) schema: &'a Arc<Schema>,
}

/// A record that has no key: its code, and the reason.
pub(crate) type Unkeyed = (&'static str, &'static str);

const KEY_ABSENT: Unkeyed = ("apply.key_absent", "the record has no key, and pk.mode=record_key takes the row's from it");
const FIELD_ABSENT: Unkeyed = ("apply.key_absent", "the value lacks a field of pk.fields");
const FIELD_NULL: Unkeyed = ("apply.key_null", "a field of pk.fields is null");
const FIELD_TYPE: Unkeyed = ("apply.key_type", "a field of pk.fields has a type that cannot be a key");

impl<'c> Keys<'c> {
    /// For tables of state.
    pub(crate) fn new(mode: PrimaryKeyMode, fields: &'c [String]) -> Self {
        Self { from_value: mode == PrimaryKeyMode::RecordValue, fields }
    }

    /// The key that records have in their topic.
    #[cfg(test)]
    pub(crate) const fn by_record() -> Self {
        Self { from_value: false, fields: &[] }
    }

    /// The key of a change.
    pub(crate) fn of<'a>(&self, change: &'a Change) -> Result<Keyed<'a>, Unkeyed> {
        if !self.from_value {
            return change.key.as_ref().map(Self::of_record).ok_or(KEY_ABSENT);
        }
        let values = change.after.as_deref().ok_or(FIELD_ABSENT)?;
        let part = |name: &String| {
            let at = fields_of(&change.schema).iter().position(|field| field.name == *name).ok_or(FIELD_ABSENT)?;
            identity(values.get(at).ok_or(FIELD_ABSENT)?)
        };
        let identity = match self.fields {
            [one] => part(one)?,
            several => Identity::Parts(several.iter().map(part).collect::<Result<_, _>>()?),
        };
        Ok(Keyed { identity: Cow::Owned(identity), schema: &change.schema })
    }

    /// The key that a record has in its topic.
    pub(crate) fn of_record(key: &RecordKey) -> Keyed<'_> {
        Keyed { identity: Cow::Borrowed(&key.identity), schema: &key.schema }
    }

    /// The fields that make up keys described by `schema`, in their order.
    pub(crate) fn parts<'s>(&self, schema: &'s Schema) -> Vec<&'s RecordField> {
        let fields = fields_of(schema);
        if self.from_value {
            self.fields.iter().filter_map(|name| fields.iter().find(|field| field.name == *name)).collect()
        } else {
            fields.iter().collect()
        }
    }

    /// The columns of the primary key for keys described by `schemas`, and the fields that they hold.
    ///
    /// # Errors
    /// The schemas describe different keys, or one that no column holds; a primary key is never changed.
    pub(crate) fn columns(&self, schemas: &[Arc<Schema>]) -> Result<(Vec<KeyColumn>, Vec<String>), String> {
        let mut columns: Vec<KeyColumn> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (at, schema) in schemas.iter().enumerate() {
            let parts = self.parts(schema);
            if at > 0 && (parts.len() != names.len() || parts.iter().zip(&names).any(|(part, name)| part.name != *name)) {
                let now: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
                return Err(format!("the key was ({}) and now is ({})", names.join(", "), now.join(", ")));
            }
            for (place, part) in parts.iter().enumerate() {
                let ty = ColumnType::of_field(part).map_err(|reason| format!("field `{}` of the key is {reason}", part.name))?;
                match columns.get_mut(place) {
                    None => {
                        columns.push(KeyColumn { name: self.column_name(&part.name, place, parts.len())?, ty, cast: None });
                        names.push(part.name.clone());
                    }
                    Some(known) => {
                        let both = joined(known.ty, ty);
                        known.ty = both.ok_or_else(|| {
                            format!("field `{}` of the key was {} and now is {}", part.name, known.ty.sql(), ty.sql())
                        })?;
                    }
                }
            }
        }
        // Fields that are called as the key's columns are hold the same.
        names.extend(columns.iter().map(|column| column.name.clone()));
        Ok((columns, names))
    }

    fn column_name(&self, field: &str, place: usize, parts: usize) -> Result<String, String> {
        if self.from_value || self.fields.is_empty() {
            return Ok(column(field, |_| false));
        }
        if self.fields.len() != parts {
            return Err(format!("the key has {parts} parts, and pk.fields has {} names", self.fields.len()));
        }
        Ok(self.fields[place].clone())
    }
}

/// A value as a part of a key.
fn identity(value: &Value) -> Result<Identity, Unkeyed> {
    Ok(match value {
        Value::Null => return Err(FIELD_NULL),
        Value::Union(_, inner) => identity(inner)?,
        Value::String(text) | Value::Enum(_, text) => Identity::Text(text.clone()),
        Value::Boolean(flag) => Identity::Boolean(*flag),
        Value::Int(number) | Value::Date(number) | Value::TimeMillis(number) => Identity::Long((*number).into()),
        Value::Long(number)
        | Value::TimeMicros(number)
        | Value::TimestampMillis(number)
        | Value::TimestampMicros(number)
        | Value::LocalTimestampMillis(number)
        | Value::LocalTimestampMicros(number) => Identity::Long(*number),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => Identity::Bytes(bytes.clone()),
        Value::Uuid(uuid) => Identity::Bytes(uuid.as_bytes().to_vec()),
        Value::Decimal(decimal) => Identity::Bytes(num_bigint::BigInt::from(decimal.clone()).to_signed_bytes_be()),
        Value::BigDecimal(number) => Identity::of_big_decimal(number),
        _ => return Err(FIELD_TYPE),
    })
}
