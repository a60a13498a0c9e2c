//! The primary key of a row, taken from records.

use std::{borrow::Cow, sync::Arc};

use apache_avro::{
    schema::{RecordField, Schema},
    types::Value,
};
use towpath_api::{Body, Change, Identity, RecordKey};

use crate::{
    codes,
    column::{ColumnType, Form, common_type, fields_of},
    config::PrimaryKeyMode,
    name::{column_name, identifier},
};

/// Takes keys from records, as `pk.mode` and `pk.fields` say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys<'c> {
    from_value: bool,
    fields: &'c [String],
}

/// The key of one record.
#[derive(Debug, Clone)]
pub(crate) struct Keyed<'a> {
    pub(crate) identity: Cow<'a, Identity>,
    /// The record schema that describes the parts.
    pub(crate) schema: &'a Arc<Schema>,
}

/// A column of the primary key.
#[derive(Debug, Clone)]
pub(crate) struct KeyColumn {
    /// Not quoted.
    pub(crate) name: String,
    /// The name of its field, if the table may have the column under that name.
    pub(crate) exact: Option<String>,
    pub(crate) ty: ColumnType,
    pub(crate) form: Form,
    /// The type that values are cast to, if the column's type differs from `ty`.
    pub(crate) cast: Option<String>,
    /// The schema of the operators of the column's type, quoted, if it is not that of the server.
    pub(crate) operators: Option<String>,
    /// The type of the column, for people; empty if Towpath adds the column.
    pub(crate) declared: String,
}

impl KeyColumn {
    /// A column of this type.
    pub(crate) fn new(name: String, ty: ColumnType) -> Self {
        Self { name, exact: None, ty, form: Form::Plain, cast: None, operators: None, declared: String::new() }
    }
}

/// A field of records that the key holds, so it needs no other column.
#[derive(Debug, Clone)]
pub(crate) struct KeyField {
    name: String,
    ty: ColumnType,
}

impl KeyField {
    /// Returns true if a field of this name and type has the same value as the key. A key that is not a record has one
    /// part, named `id`, and the value may have an unrelated field `id`.
    pub(crate) fn holds(&self, name: &str, ty: ColumnType) -> bool {
        let text_of_uuid =
            matches!((self.ty, ty), (ColumnType::Text, ColumnType::Uuid) | (ColumnType::Uuid, ColumnType::Text));
        self.name == name && (text_of_uuid || common_type(self.ty, ty).is_some())
    }
}

/// Why a record has no key: a code, and the reason.
pub(crate) type Unkeyed = (&'static str, &'static str);

const KEY_ABSENT: Unkeyed = (
    codes::KEY_ABSENT,
    "the record has no key, and pk.mode=record_key needs one; for a topic without keys use a connector of its own, \
     with `insert.mode=insert`, or with `pk.mode=record_value` and `pk.fields`",
);
const FIELD_ABSENT: Unkeyed = (codes::KEY_ABSENT, "the value lacks a field of pk.fields");
const FIELD_NULL: Unkeyed = (codes::KEY_NULL, "a field of pk.fields is null");
const FIELD_TYPE: Unkeyed = (codes::KEY_TYPE, "a field of pk.fields has a type that cannot be a key");

impl<'c> Keys<'c> {
    /// For tables of the present state.
    pub(crate) fn new(mode: PrimaryKeyMode, fields: &'c [String]) -> Self {
        Self { from_value: mode == PrimaryKeyMode::RecordValue, fields }
    }

    /// Takes the key that a record has in its topic.
    #[cfg(test)]
    pub(crate) const fn by_record() -> Self {
        Self { from_value: false, fields: &[] }
    }

    /// The key of a change.
    pub(crate) fn of<'a>(&self, change: &'a Change) -> Result<Keyed<'a>, Unkeyed> {
        if !self.from_value {
            return change.key.as_ref().map(|key| self.of_record(key)).ok_or(KEY_ABSENT);
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

    /// The key of the row for the key that a record has in its topic: the parts that `pk.fields` names, in that order,
    /// or all.
    pub(crate) fn of_record<'a>(&self, key: &'a RecordKey) -> Keyed<'a> {
        let whole = Keyed { identity: Cow::Borrowed(&key.identity), schema: &key.schema };
        let (Some(chosen), Identity::Parts(parts)) = (self.chosen(&key.schema), &key.identity) else { return whole };
        if chosen.len() == parts.len() && chosen.is_sorted() {
            return whole;
        }
        let mut chosen: Vec<_> = chosen.into_iter().filter_map(|at| parts.get(at).cloned()).collect();
        let identity = if chosen.len() == 1 { chosen.swap_remove(0) } else { Identity::Parts(chosen) };
        Keyed { identity: Cow::Owned(identity), ..whole }
    }

    /// The places in the record's key of the fields that `pk.fields` names; `None` if it names none of them, so that
    /// all are taken and its names are those of their columns.
    fn chosen(&self, schema: &Schema) -> Option<Vec<usize>> {
        if self.from_value || self.fields.is_empty() {
            return None;
        }
        let places: Vec<usize> = self.fields.iter().filter_map(|name| place(fields_of(schema), name)).collect();
        (!places.is_empty()).then_some(places)
    }

    /// Requires that `pk.fields` can be read in one way only for keys described by these schemas: as fields of the key,
    /// or as names for all of its columns, by position.
    ///
    /// # Errors
    /// The reason why not.
    pub(crate) fn require(&self, schemas: &[Arc<Schema>]) -> Result<(), String> {
        if self.from_value || self.fields.is_empty() {
            return Ok(());
        }
        schemas.iter().try_for_each(|schema| {
            let fields = fields_of(schema);
            let places: Vec<Option<usize>> = self.fields.iter().map(|name| place(fields, name)).collect();
            let key = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
            if places.iter().all(Option::is_none) {
                let names = places.len();
                return if names == fields.len() {
                    Ok(())
                } else {
                    Err(format!("pk.fields has {names} names, and none is a field of the records' key ({key})"))
                };
            }
            for (at, name) in self.fields.iter().enumerate() {
                if places[at].is_none() {
                    return Err(format!("pk.fields names `{name}`, and the fields of the records' key are ({key})"));
                }
                if places[..at].contains(&places[at]) {
                    return Err(format!("pk.fields names a field of the records' key ({key}) twice, as `{name}`"));
                }
            }
            Ok(())
        })
    }

    /// The schema that describes the key of a record, if it has one.
    pub(crate) fn schema_of<'a>(&self, body: &'a Body) -> Option<&'a Arc<Schema>> {
        match body {
            Body::Change(change) if self.from_value => Some(&change.schema),
            Body::Change(change) => change.key.as_ref().map(|key| &key.schema),
            Body::Tombstone(key) => key.as_ref().map(|key| &key.schema),
            Body::Undecodable { .. } | Body::Filtered => None,
        }
    }

    /// The fields that make up keys described by `schema`, in their order.
    pub(crate) fn parts<'s>(&self, schema: &'s Schema) -> Vec<&'s RecordField> {
        let fields = fields_of(schema);
        if self.from_value {
            return self.fields.iter().filter_map(|name| fields.iter().find(|field| field.name == *name)).collect();
        }
        match self.chosen(schema) {
            Some(places) => places.into_iter().map(|at| &fields[at]).collect(),
            None => fields.iter().collect(),
        }
    }

    /// Returns true if different keys of these schemas may have equal bytes: 5 as `decimal(10,0)` and 0.5 as
    /// `decimal(10,1)` do.
    pub(crate) fn are_ambiguous(&self, schemas: &[Arc<Schema>]) -> bool {
        let whole = |schema: &Schema| matches!(schema, Schema::Int | Schema::Long);
        let same = |a: &RecordField, b: &RecordField| {
            a.name == b.name && (a.schema == b.schema || (whole(&a.schema) && whole(&b.schema)))
        };
        schemas.windows(2).any(|pair| {
            let (a, b) = (self.parts(&pair[0]), self.parts(&pair[1]));
            a.len() != b.len() || a.iter().zip(&b).any(|(a, b)| !same(a, b))
        })
    }

    /// The columns of the primary key for keys described by `schemas`, and the fields that they hold.
    ///
    /// # Errors
    /// The schemas describe different keys, or a key that no column holds. A primary key never changes.
    pub(crate) fn columns(&self, schemas: &[Arc<Schema>]) -> Result<(Vec<KeyColumn>, Vec<KeyField>), String> {
        let mut columns: Vec<KeyColumn> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (at, schema) in schemas.iter().enumerate() {
            let parts = self.parts(schema);
            if at > 0 && (parts.len() != names.len() || parts.iter().zip(&names).any(|(part, name)| part.name != *name))
            {
                let now: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
                return Err(format!("the key was ({}) and now is ({})", names.join(", "), now.join(", ")));
            }
            for (place, part) in parts.iter().enumerate() {
                let ty = ColumnType::of_field(part)
                    .map_err(|reason| format!("field `{}` of the key is {reason}", part.name))?;
                match columns.get_mut(place) {
                    None => {
                        let given = self.fields.get(place).filter(|_| !self.from_value);
                        let exact = given.is_none().then(|| part.name.clone());
                        let taken = |name: &str| columns.iter().any(|column| column.name == name);
                        let name = given.cloned().unwrap_or_else(|| column_name(&part.name, taken));
                        columns.push(KeyColumn { exact, ..KeyColumn::new(name, ty) });
                        names.push(part.name.clone());
                    }
                    Some(known) => {
                        let both = common_type(known.ty, ty);
                        known.ty = both.ok_or_else(|| {
                            format!("field `{}` of the key was {} and now is {}", part.name, known.ty.sql(), ty.sql())
                        })?;
                    }
                }
            }
        }
        let field = |(name, column): (String, &KeyColumn)| KeyField { name, ty: column.ty };
        let mut fields: Vec<KeyField> = names.into_iter().zip(&columns).map(field).collect();
        // Fields named as the columns in pk.fields have the value of the key.
        if !self.fields.is_empty() {
            fields.extend(columns.iter().map(|column| field((column.name.clone(), column))));
        }
        Ok((columns, fields))
    }
}

/// The place of the field that `name` means: the field of that name, or of one that becomes the same column.
fn place(fields: &[RecordField], name: &str) -> Option<usize> {
    let exact = fields.iter().position(|field| field.name == name);
    exact.or_else(|| fields.iter().position(|field| identifier(&field.name) == identifier(name)))
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
