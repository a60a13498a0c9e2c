//! The statements that create and alter tables, for the sink to run and for people to read.

use apache_avro::schema::RecordField;

use super::{
    Column,
    desired::DesiredTable,
    metadata::{MetadataColumn, Purpose},
};
use crate::{
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

/// Adds columns for fields.
pub(super) fn add_columns(name: &TableName, fields: &[(Column, RecordField)]) -> String {
    let columns: Vec<_> =
        fields.iter().map(|(column, _)| format!("ADD COLUMN {} {}", quoted(&column.name), column.ty.sql())).collect();
    format!("ALTER TABLE {} {}", name.sql(), columns.join(", "))
}

/// Adds metadata columns to a table that another tool created. Existing rows count as older than every record.
pub(super) fn add_metadata_columns(name: &TableName, own: &[MetadataColumn]) -> String {
    let columns: Vec<_> = own
        .iter()
        .map(|own| format!("ADD COLUMN {} {}{}", own.name(), own.definition(), own.default_for_existing()))
        .collect();
    format!("ALTER TABLE {} {}", name.sql(), columns.join(", "))
}

/// Changes the type of a column and keeps its values.
pub(super) fn alter_type(name: &TableName, column: &str, ty: &str) -> String {
    let column = quoted(column);
    format!("ALTER TABLE {} ALTER COLUMN {column} TYPE {ty} USING {column}::{ty}", name.sql())
}

/// As [`alter_type`], by way of the text of the values, for types without a direct cast.
pub(super) fn alter_type_by_text(name: &TableName, column: &str, ty: &str) -> String {
    let column = quoted(column);
    format!("ALTER TABLE {} ALTER COLUMN {column} TYPE {ty} USING {column}::text::{ty}", name.sql())
}

/// Changes the type of a column to jsonb: each value becomes its JSON, a text a JSON string.
pub(super) fn alter_to_json(name: &TableName, column: &str) -> String {
    let column = quoted(column);
    format!("ALTER TABLE {} ALTER COLUMN {column} TYPE jsonb USING to_jsonb({column})", name.sql())
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
