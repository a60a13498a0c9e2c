//! Fills the arrays of a statement from the rows of a batch.

use apache_avro::{schema::Schema, types::Value};
use towpath_api::{Change, Identity};

use super::{Parameters, Refused, columns_of};
use crate::{
    column::{ColumnArray, ColumnType, Unfit, fields_of},
    config::MetadataColumns,
    fold::{Content, Field, Row},
    key::{KeyColumn, Keys},
    table::{Column, Table},
};

impl Parameters {
    /// Adds the keys and, if the table has columns for them, versions and offsets.
    ///
    /// # Errors
    /// The columns of the key do not hold that of a row in `rows`.
    pub(super) fn add_keys_and_versions(
        &mut self,
        table: &Table,
        keys: Keys<'_>,
        rows: &[&Row<'_>],
    ) -> Result<(), Refused> {
        self.add_keys(table, keys, rows)?;
        if table.metadata == MetadataColumns::None {
            return Ok(());
        }
        let [mut ts, mut seq] = [(); 2].map(|()| ColumnArray::with_capacity(ColumnType::Bigint, rows.len()));
        for row in rows {
            ts.push_i64(row.version.0);
            seq.push_i64(row.version.1);
        }
        self.add("ts", ts);
        self.add("seq", seq);
        self.add("o", numbers(rows, |row| row.record.offset));
        Ok(())
    }

    /// Adds the keys.
    ///
    /// # Errors
    /// As for [`Parameters::add_keys_and_versions`].
    pub(super) fn add_keys(&mut self, table: &Table, keys: Keys<'_>, rows: &[&Row<'_>]) -> Result<(), Refused> {
        for (at, array) in key_arrays(&table.keys, keys, rows)?.into_iter().enumerate() {
            self.add(format!("k{at}"), array);
        }
        Ok(())
    }

    /// Adds the times of the records, as `tm`, if the table has a column to compare them with.
    pub(super) fn add_times(&mut self, table: &Table, rows: &[&Row<'_>]) {
        if table.metadata == MetadataColumns::Full {
            self.add("tm", numbers(rows, |row| row.timestamp_ms));
        }
    }
}

fn numbers(rows: &[&Row<'_>], number: impl Fn(&Row<'_>) -> i64) -> ColumnArray {
    let mut array = ColumnArray::with_capacity(ColumnType::Bigint, rows.len());
    rows.iter().for_each(|row| array.push_i64(number(row)));
    array
}

/// One array for each part of the key.
fn key_arrays(columns: &[KeyColumn], keys: Keys<'_>, rows: &[&Row<'_>]) -> Result<Vec<ColumnArray>, Refused> {
    let mut arrays: Vec<_> = columns.iter().map(|key| ColumnArray::of(key.ty, key.form, rows.len())).collect();
    // Nearly always one schema for the whole batch.
    let mut known: Option<(&Schema, Vec<&Schema>)> = None;
    for (place, row) in rows.iter().enumerate() {
        let schema: &Schema = row.key_schema;
        if !known.as_ref().is_some_and(|(last, _)| std::ptr::eq(*last, schema)) {
            known = Some((schema, keys.parts(schema).into_iter().map(|part| &part.schema).collect()));
        }
        let parts = known.as_ref().map_or(&[][..], |(_, parts)| parts);
        let identities = match &*row.key {
            Identity::Parts(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        };
        if identities.len() != arrays.len() || parts.len() != arrays.len() {
            return Err(Refused::of_key(place, columns.first(), Unfit::RANGE));
        }
        for (((array, column), identity), part) in arrays.iter_mut().zip(columns).zip(identities).zip(parts) {
            array.push_key(identity, part).map_err(|why| Refused::of_key(place, Some(column), why))?;
        }
    }
    Ok(arrays)
}

/// One boolean for each row.
pub(super) fn flags(rows: &[&Row<'_>], flag: impl Fn(&Row<'_>) -> bool) -> ColumnArray {
    let mut array = ColumnArray::with_capacity(ColumnType::Boolean, rows.len());
    rows.iter().for_each(|row| array.push_bool(flag(row)));
    array
}

/// One bit for each column that is 1 if the row sets it; the lowest first, as `get_bit` counts.
pub(super) fn masks(table: &Table, rows: &[&Row<'_>]) -> ColumnArray {
    let mut array = ColumnArray::with_capacity(ColumnType::Bytea, rows.len());
    let mut mask = vec![0_u8; table.columns.len().div_ceil(8).max(1)];
    for row in rows {
        mask.fill(0);
        for position in columns_of(table, row) {
            mask[position / 8] |= 1 << (position % 8);
        }
        array.push_bytea(&mask);
    }
    array
}

/// The values of one column for all rows; null if a row does not carry the field.
pub(super) fn values(column: &Column, rows: &[&Row<'_>]) -> Result<ColumnArray, Refused> {
    let mut array = ColumnArray::of(column.ty, column.form, rows.len());
    let mut lookup = FieldLookup::new(&column.field);
    for (place, row) in rows.iter().enumerate() {
        let field = match &row.content {
            Content::Nothing => None,
            Content::One(change) => lookup.find(change),
            Content::Merged(fields) => fields.get(column.field.as_str()).copied(),
        };
        match field {
            None => array.push_null(),
            Some(Field { value, schema }) => {
                array.push(value, schema).map_err(|why| Refused::of_column(place, column, why))?;
            }
        }
    }
    Ok(array)
}

/// Finds one field in many changes. The index is looked up once per schema; a batch has one or two.
pub(super) struct FieldLookup<'a> {
    field: &'a str,
    schema: Option<&'a Schema>,
    place: Option<usize>,
}

impl<'a> FieldLookup<'a> {
    pub(super) fn new(field: &'a str) -> Self {
        Self { field, schema: None, place: None }
    }

    pub(super) fn find(&mut self, change: &'a Change) -> Option<Field<'a>> {
        let fields = fields_of(&change.schema);
        if !self.schema.is_some_and(|schema| std::ptr::eq(schema, change.schema.as_ref())) {
            self.place = fields.iter().position(|field| field.name == self.field);
            self.schema = Some(&change.schema);
        }
        let place = self.place?;
        if let Some(changed) = &change.changed {
            changed.binary_search(&u16::try_from(place).ok()?).ok()?;
        }
        let value: &Value = change.after.as_ref()?.get(place)?;
        Some(Field { value, schema: &fields[place].schema })
    }
}
