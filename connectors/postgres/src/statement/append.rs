//! One row per change, for `insert.mode=insert` and history tables.

use towpath_api::{Batch, Body, Change, Identity, Record, RecordKey};

use super::{Parameters, Refused, Statement, arrays::FieldLookup, input_column, input_keys, key_names};
use crate::{
    column::{ColumnArray, ColumnType, Unfit, fields_of},
    config::{MetadataColumns, PrimaryKeyMode},
    fold::{Field, version},
    name::quoted,
    table::{Column, Table},
};

/// A record that is appended as a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended<'a> {
    pub(crate) record: &'a Record,
    /// The id of the event; empty unless it is the primary key.
    pub(crate) event_id: &'a str,
}

impl<'a> Appended<'a> {
    fn change(self) -> Option<&'a Change> {
        match &self.record.body {
            Body::Change(change) => Some(change),
            _ => None,
        }
    }

    fn key(self) -> Option<&'a RecordKey> {
        match &self.record.body {
            Body::Change(change) => change.key.as_ref(),
            Body::Tombstone(key) => key.as_ref(),
            Body::Filtered | Body::Undecodable { .. } => None,
        }
    }

    fn op(self) -> &'static str {
        self.change().map_or("tombstone", |change| change.op.as_str())
    }
}

/// Adds a row for each record. The number of affected rows is the number of records that are new.
///
/// # Errors
/// A record in `records` has a value that its column does not hold.
pub(crate) fn append(
    table: &Table,
    pk: PrimaryKeyMode,
    batch: &Batch,
    records: &[Appended<'_>],
) -> Result<Statement, Refused> {
    let mut parameters = Parameters::default();
    let (mut list, mut row) = (key_names(&table.keys), Vec::new());
    let bigint = || ColumnArray::with_capacity(ColumnType::Bigint, records.len());
    let text = || ColumnArray::with_capacity(ColumnType::Text, records.len());
    match pk {
        PrimaryKeyMode::EventId => {
            let mut ids = text();
            records.iter().for_each(|record| ids.push_text(record.event_id));
            parameters.add("k0", ids);
            row.extend(input_keys(&table.keys));
        }
        PrimaryKeyMode::None => {}
        PrimaryKeyMode::Kafka | PrimaryKeyMode::RecordKey | PrimaryKeyMode::RecordValue => {
            parameters.topic = Some(batch.partition.topic.to_string());
            parameters.partition = Some(batch.partition.partition);
            let mut offsets = bigint();
            records.iter().for_each(|record| offsets.push_i64(record.record.offset));
            parameters.add("k2", offsets);
            row.extend(["$1::text".to_owned(), "$2::integer".to_owned(), input_column('k', 2, None)]);
        }
    }
    for (at, column) in table.columns.iter().enumerate() {
        parameters.add(format!("c{at}"), values(column, records)?);
        row.push(input_column('c', at, column.cast.as_deref()));
        list.push(quoted(&column.name));
    }
    if table.metadata != MetadataColumns::None {
        let (mut ops, mut ts, mut seq) = (text(), bigint(), bigint());
        let mut changed = ColumnArray::with_capacity(ColumnType::JsonText, records.len());
        for record in records {
            ops.push_text(record.op());
            let version = record.change().map_or((0, record.record.offset), |change| version(record.record, change));
            ts.push_i64(version.0);
            seq.push_i64(version.1);
            match record.change().and_then(changed_names) {
                None => changed.push_null(),
                Some(names) => changed.push_json_text(&names),
            }
        }
        for (name, column, array) in [
            ("op", "_towpath_op", ops),
            ("changed", "_towpath_changed", changed),
            ("ts", "_towpath_ts", ts),
            ("seq", "_towpath_seq", seq),
        ] {
            parameters.add(name, array);
            list.push(column.to_owned());
            row.push(format!("x.{name}"));
        }
        if table.metadata == MetadataColumns::Full {
            list.push("_towpath_applied_at".to_owned());
            row.push("pg_catalog.now()".to_owned());
        }
    }
    let conflict = if table.keys.is_empty() {
        String::new()
    } else {
        format!(" ON CONFLICT ({}) DO NOTHING", key_names(&table.keys).join(", "))
    };
    let (list, row, name) = (list.join(", "), row.join(", "), table.name.sql());
    let sql = format!(
        "INSERT INTO {name} ({list}) OVERRIDING SYSTEM VALUE SELECT {row} FROM {}{conflict}",
        parameters.rows()
    );
    Ok(parameters.into_statement(sql))
}

/// The names of the fields that a partial update carries, as a JSON array.
fn changed_names(change: &Change) -> Option<String> {
    let fields = fields_of(&change.schema);
    let names =
        change.changed.as_ref()?.iter().filter_map(|&at| fields.get(usize::from(at)).map(|field| field.name.as_str()));
    serde_json::to_string(&names.collect::<Vec<_>>()).ok()
}

/// The values of one column, from the value of each record or, if that lacks the field, from the key.
fn values(column: &Column, records: &[Appended<'_>]) -> Result<ColumnArray, Refused> {
    let mut array = ColumnArray::of(column.ty, column.form, records.len());
    let mut lookup = FieldLookup::new(&column.field);
    for (place, record) in records.iter().enumerate() {
        let pushed = match (record.change().and_then(|change| lookup.find(change)), record.key()) {
            (Some(Field { value, schema }), _) => array.push(value, schema),
            (None, Some(key)) => push_part(&mut array, &column.field, key),
            (None, None) => {
                array.push_null();
                Ok(())
            }
        };
        pushed.map_err(|why| Refused::of_column(place, column, why))?;
    }
    Ok(array)
}

fn push_part(array: &mut ColumnArray, field: &str, key: &RecordKey) -> Result<(), Unfit> {
    let fields = fields_of(&key.schema);
    let found = fields.iter().position(|part| part.name == field);
    let part = found.and_then(|at| match &key.identity {
        Identity::Parts(parts) => parts.get(at),
        one => Some(one),
    });
    if let (Some(part), Some(at)) = (part, found) {
        return array.push_key(part, &fields[at].schema);
    }
    array.push_null();
    Ok(())
}
