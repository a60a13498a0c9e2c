//! The statements that create and alter tables, for the sink to run and for people to read.

use apache_avro::schema::{RecordField, Schema};
use serde_json::Value as Json;
use towpath_api::json::DEFAULT;

use super::{
    Column,
    desired::DesiredTable,
    metadata::{MetadataColumn, Purpose},
};
use crate::{
    column::{ColumnType, not_null},
    key::KeyColumn,
    name::{TableName, literal, quoted},
};

/// Creates the table, and its schema if `has_schema` is false: first the key, then the fields, then the metadata
/// columns. `CREATE SCHEMA IF NOT EXISTS` would need the right to create schemas even if the schema exists.
pub(super) fn create(desired: &DesiredTable<'_>, has_schema: bool, fields: &[(Column, RecordField)]) -> String {
    let mut columns: Vec<String> =
        desired.keys.iter().map(|key| format!("{} {} NOT NULL", quoted(&key.name), key.ty.sql())).collect();
    columns.extend(fields.iter().map(|(column, _)| format!("{} {}", quoted(&column.name), column.ty.sql())));
    columns.extend(desired.metadata_columns().iter().map(|own| format!("{} {}", own.name(), own.definition())));
    if !desired.keys.is_empty() {
        columns.push(format!("PRIMARY KEY ({})", key_list(&desired.keys)));
    }
    let schema = format!("CREATE SCHEMA IF NOT EXISTS {}; ", quoted(&desired.name.schema));
    format!(
        "{}CREATE TABLE {} ({}){}",
        if has_schema { "" } else { &schema },
        desired.name.sql(),
        columns.join(", "),
        // Free space on each page lets updates stay on the page and out of the index.
        if desired.purpose == Purpose::State { " WITH (fillfactor = 80)" } else { "" },
    )
}

/// The columns of the key, quoted, separated by commas.
pub(super) fn key_list(keys: &[KeyColumn]) -> String {
    keys.iter().map(|key| quoted(&key.name)).collect::<Vec<_>>().join(", ")
}

/// Adds columns for fields. Rows that are there get the defaults that the schema states, if `fills` is true; later rows
/// have the values of their records.
pub(super) fn add_columns(name: &TableName, fields: &[(Column, RecordField)], fills: bool) -> String {
    let (mut columns, mut without) = (Vec::new(), Vec::new());
    for (column, field) in fields {
        let (quoted, default) = (quoted(&column.name), fills.then(|| default(column.ty, field)).flatten());
        without.extend(default.iter().map(|_| format!("ALTER COLUMN {quoted} DROP DEFAULT")));
        let default = default.map_or_else(String::new, |default| format!(" DEFAULT {default}"));
        columns.push(format!("ADD COLUMN {quoted} {}{default}", column.ty.sql()));
    }
    let added = format!("ALTER TABLE {} {}", name.sql(), columns.join(", "));
    if without.is_empty() { added } else { format!("{added}; ALTER TABLE {} {}", name.sql(), without.join(", ")) }
}

/// The default of a field in SQL. The epoch is not used: Debezium writes it in place of `now()` and of all other
/// functions.
fn default(ty: ColumnType, field: &RecordField) -> Option<String> {
    use ColumnType as C;
    let micros = |from: &str, micros: i64| format!("{from} + interval '{micros} microseconds'");
    let is_epoch = |text: &str| text.starts_with("1970-01-01") || text.starts_with("00:00:00");
    let unit = if matches!(
        not_null(&field.schema),
        Schema::TimeMillis | Schema::TimestampMillis | Schema::LocalTimestampMillis
    ) {
        1_000
    } else {
        1
    };
    Some(match (ty, field.custom_attributes.get(DEFAULT)?) {
        (C::Boolean, Json::Bool(flag)) => flag.to_string(),
        (C::Integer, Json::Number(number)) => i32::try_from(number.as_i64()?).ok()?.to_string(),
        (C::Bigint | C::MicroDuration, Json::Number(number)) => number.as_i64()?.to_string(),
        (C::Real | C::DoublePrecision, Json::Number(number)) => number.to_string(),
        (C::Date, Json::Number(days)) if days.as_i64()? != 0 => {
            format!("date '1970-01-01' + {}", days.as_i64().filter(|days| (-700_000..3_000_000).contains(days))?)
        }
        (C::Time | C::Timestamp | C::Timestamptz, Json::Number(number)) if number.as_i64()? != 0 => {
            let from = match ty {
                C::Time => "time '00:00'",
                C::Timestamp => "timestamp '1970-01-01'",
                _ => "timestamptz '1970-01-01 00:00:00+00'",
            };
            let since = number.as_i64()?.checked_mul(unit)?;
            // Of this era and up to year 9999, and of one day.
            let range =
                if ty == C::Time { 0..86_400_000_000 } else { -60_000_000_000_000_000..253_000_000_000_000_000 };
            micros(from, range.contains(&since).then_some(since)?)
        }
        (C::Date | C::Time | C::Timestamp | C::Timestamptz, Json::String(text)) if is_epoch(text) => return None,
        (C::JsonText, Json::String(text)) if serde_json::from_str::<Json>(text).is_err() => return None,
        (_, Json::String(text)) if is_of(ty, text) => literal(text),
        _ => return None,
    })
}

/// Returns true if the text of a default is one of the type. Old registries accepted any, and one that the server
/// refuses would keep the column from being added.
fn is_of(ty: ColumnType, text: &str) -> bool {
    use ColumnType as C;
    match ty {
        C::Text | C::JsonText => !text.contains('\0'),
        C::Numeric { precision, .. } => {
            text.parse::<apache_avro::BigDecimal>().is_ok()
                && text.bytes().filter(u8::is_ascii_digit).count() <= precision as usize
        }
        C::AnyNumeric => text.len() < 1_000 && text.parse::<apache_avro::BigDecimal>().is_ok(),
        C::Uuid => text.parse::<apache_avro::Uuid>().is_ok(),
        C::Date => text.parse::<jiff::civil::Date>().is_ok(),
        C::Time => text.parse::<jiff::civil::Time>().is_ok(),
        C::Timestamp => text.parse::<jiff::civil::DateTime>().is_ok(),
        C::Timestamptz => text.parse::<jiff::Timestamp>().is_ok(),
        _ => false,
    }
}

/// Adds metadata columns to a table that another tool created. Existing rows count as older than every record.
pub(super) fn add_metadata_columns(name: &TableName, own: &[MetadataColumn]) -> String {
    let columns: Vec<_> = own
        .iter()
        .map(|own| format!("ADD COLUMN {} {}{}", own.name(), own.definition(), own.default_for_existing()))
        .collect();
    format!("ALTER TABLE {} {}", name.sql(), columns.join(", "))
}

/// Changes the type of a column: each value becomes that of the expression `using`.
pub(super) fn alter_type(name: &TableName, column: &str, ty: &str, using: &str) -> String {
    format!("ALTER TABLE {} ALTER COLUMN {} TYPE {ty} USING {using}", name.sql(), quoted(column))
}

/// Renames a column of the table, and of its live view if it has one.
pub(super) fn rename_column(name: &TableName, from: &str, to: &str, has_view: bool) -> String {
    let (from, to, view) = (quoted(from), quoted(to), name.live_view().sql());
    let of_view = if has_view { format!("; ALTER VIEW {view} RENAME COLUMN {from} TO {to}") } else { String::new() };
    format!("ALTER TABLE {} RENAME COLUMN {from} TO {to}{of_view}", name.sql())
}

/// Changes the type of a column to jsonb: each value becomes its JSON, a text a JSON string.
pub(super) fn alter_to_json(name: &TableName, column: &str) -> String {
    alter_type(name, column, "jsonb", &format!("to_jsonb({})", quoted(column)))
}

/// Renames a column that has the name of one of ours.
pub(super) fn put_aside(name: &TableName, column: &str) -> String {
    format!("ALTER TABLE {} RENAME COLUMN {} TO {}", name.sql(), quoted(column), quoted(&format!("{column}_before")))
}

/// Allows null in a column.
pub(super) fn drop_not_null(name: &TableName, column: &str) -> String {
    format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", name.sql(), quoted(column))
}

/// Comments on the table and on its metadata columns.
pub(super) fn table_comments(desired: &DesiredTable<'_>) -> String {
    let table = desired.name.sql();
    let mut sql = format!("COMMENT ON TABLE {table} IS {};", literal(desired.purpose.comment()));
    sql.push_str(&metadata_comments(desired.name, &desired.metadata_columns()));
    sql
}

/// Comments on metadata columns.
pub(super) fn metadata_comments(name: &TableName, own: &[MetadataColumn]) -> String {
    own.iter()
        .map(|own| format!("COMMENT ON COLUMN {}.{} IS {};", name.sql(), own.name(), literal(own.comment())))
        .collect()
}

/// Comments on columns: the name of the field, and its documentation in the schema.
pub(super) fn field_comments(name: &TableName, fields: &[(Column, RecordField)]) -> String {
    fields.iter().map(|(column, field)| column_comment(name, &column.name, &label(field))).collect()
}

/// The comment on the column of a field.
pub(super) fn label(field: &RecordField) -> String {
    field.doc.as_deref().map_or_else(|| field.name.clone(), |doc| format!("{}: {doc}", field.name))
}

/// Sets the comment on a column.
pub(super) fn column_comment(name: &TableName, column: &str, label: &str) -> String {
    format!("COMMENT ON COLUMN {}.{} IS {};", name.sql(), quoted(column), literal(label))
}

/// The comment on a live view.
pub(super) const VIEW_COMMENT: &str = "Written by Towpath: the rows that are not deleted.";

/// The view of the live rows: all columns except `_towpath_deleted`, in the order of the table, because a view can only
/// grow at its end.
pub(super) fn live_view(name: &TableName, columns: &[String]) -> String {
    let columns: Vec<_> =
        columns.iter().filter(|column| *column != "_towpath_deleted").map(|column| quoted(column)).collect();
    format!(
        "CREATE OR REPLACE VIEW {view} AS SELECT {} FROM {} WHERE NOT _towpath_deleted; COMMENT ON VIEW {view} IS {}",
        columns.join(", "),
        name.sql(),
        literal(VIEW_COMMENT),
        view = name.live_view().sql(),
    )
}
