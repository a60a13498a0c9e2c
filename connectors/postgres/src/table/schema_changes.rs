//! The record of what a sink has changed of its tables, in `towpath.schema_changes`.

use tokio_postgres::Client;
use towpath_api::Result;

use super::{ddl, desired::DesiredTable, difference::TableDiff, metadata::MetadataColumn};
use crate::sqlstate::setup_error;

/// Creates the table of changes; without the right to create it, the sink works without.
pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS towpath.schema_changes (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    sink         text        NOT NULL,
    topic        text        NOT NULL,
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    column_name  text        NOT NULL,
    field        text,
    change       text        NOT NULL CHECK (change IN ('add', 'widen', 'loosen', 'relabel')),
    from_type    text,
    to_type      text,
    from_label   text,
    to_label     text
);
COMMENT ON TABLE  towpath.schema_changes
    IS 'One row for each column that a sink has added or changed, written in the transaction of the change.';
COMMENT ON COLUMN towpath.schema_changes.id IS 'Grows; changes of one table are in the order of their ids.';
COMMENT ON COLUMN towpath.schema_changes.at IS 'When the sink made the change.';
COMMENT ON COLUMN towpath.schema_changes.sink IS 'The connector that made the change.';
COMMENT ON COLUMN towpath.schema_changes.topic IS 'The Kafka topic whose records needed the change.';
COMMENT ON COLUMN towpath.schema_changes.table_schema IS 'The schema of the table.';
COMMENT ON COLUMN towpath.schema_changes.table_name IS 'The table.';
COMMENT ON COLUMN towpath.schema_changes.column_name IS 'The column.';
COMMENT ON COLUMN towpath.schema_changes.field
    IS 'The field of the records that the column holds. Null: a part of the key, or a column of Towpath.';
COMMENT ON COLUMN towpath.schema_changes.change
    IS 'add: the column is new. widen: its type holds more. loosen: it accepts null. relabel: its comment has the new '
       'label of the field.';
COMMENT ON COLUMN towpath.schema_changes.from_type IS 'The type before; null for a new column.';
COMMENT ON COLUMN towpath.schema_changes.to_type IS 'The type from then on.';
COMMENT ON COLUMN towpath.schema_changes.from_label IS 'The comment on the column before, if it was changed.';
COMMENT ON COLUMN towpath.schema_changes.to_label IS 'The comment on the column from then on, if it was set.';
";

/// The connector and the topic that need a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    pub(crate) sink: &'a str,
    pub(crate) topic: &'a str,
}

/// A row of `towpath.schema_changes`.
#[derive(Default)]
struct Row {
    column: String,
    field: Option<String>,
    change: &'static str,
    from_type: Option<String>,
    to_type: Option<String>,
    from_label: Option<String>,
    to_label: Option<String>,
}

/// Stores a row for each change of the table.
pub(super) async fn store(
    client: &Client,
    desired: &DesiredTable<'_>,
    diff: &TableDiff,
    cause: Cause<'_>,
) -> Result<()> {
    let rows = rows(desired, diff);
    let texts = |of: fn(&Row) -> Option<&str>| rows.iter().map(of).collect::<Vec<_>>();
    let sql = "INSERT INTO towpath.schema_changes
                 (sink, topic, table_schema, table_name, column_name, field, change, from_type, to_type, from_label,
                  to_label)
               SELECT $1, $2, $3, $4, c.* FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                 $10::text[], $11::text[]) AS c";
    let stored = client
        .execute(
            sql,
            &[
                &cause.sink,
                &cause.topic,
                &desired.name.schema,
                &desired.name.table,
                &texts(|row| Some(&row.column)),
                &texts(|row| row.field.as_deref()),
                &texts(|row| Some(row.change)),
                &texts(|row| row.from_type.as_deref()),
                &texts(|row| row.to_type.as_deref()),
                &texts(|row| row.from_label.as_deref()),
                &texts(|row| row.to_label.as_deref()),
            ],
        )
        .await;
    stored.map(drop).map_err(|error| setup_error("write to towpath.schema_changes", error))
}

fn rows(desired: &DesiredTable<'_>, diff: &TableDiff) -> Vec<Row> {
    let own = |own: &MetadataColumn| Row {
        column: own.name().to_owned(),
        change: "add",
        to_type: Some(own.ty().to_owned()),
        to_label: Some(own.comment().to_owned()),
        ..Row::default()
    };
    let mut rows = Vec::new();
    if !diff.exists {
        rows.extend(desired.keys.iter().map(|key| Row {
            column: key.name.clone(),
            change: "add",
            to_type: Some(key.ty.sql()),
            ..Row::default()
        }));
    }
    rows.extend(diff.missing.iter().map(|(column, field)| Row {
        column: column.name.clone(),
        field: Some(column.field.clone()),
        change: "add",
        to_type: Some(column.ty.sql()),
        to_label: Some(ddl::label(field)),
        ..Row::default()
    }));
    if diff.exists {
        rows.extend(diff.missing_metadata.iter().map(own));
    } else {
        rows.extend(desired.metadata_columns().iter().map(own));
    }
    rows.extend(diff.loosened.iter().map(|loosening| Row {
        column: loosening.column.clone(),
        field: Some(loosening.field.clone()),
        change: "loosen",
        from_type: Some(format!("{} NOT NULL", loosening.ty)),
        to_type: Some(loosening.ty.clone()),
        ..Row::default()
    }));
    rows.extend(diff.widened.iter().map(|widening| Row {
        column: widening.column.clone(),
        field: widening.field.clone(),
        change: "widen",
        from_type: Some(widening.from.clone()),
        to_type: Some(widening.to.clone()),
        ..Row::default()
    }));
    rows.extend(diff.relabelled.iter().map(|relabelling| Row {
        column: relabelling.column.clone(),
        field: Some(relabelling.field.clone()),
        change: "relabel",
        from_type: Some(relabelling.ty.clone()),
        to_type: Some(relabelling.ty.clone()),
        from_label: Some(relabelling.from.clone()),
        to_label: Some(relabelling.to.clone()),
    }));
    rows
}
