//! Tables, columns and views made from the schema of the records.
//!
//! Nothing is ever dropped or narrowed. What is made here lies in the transaction of the batch that needs it, before any of
//! its rows: two partitions that meet a new field at once wait for each other here and nowhere else.

use std::{collections::HashMap, sync::Arc};

use apache_avro::schema::{RecordField, RecordSchema, Schema};
use tokio_postgres::Client;
use towpath_api::{Error, ErrorType, Identity, Result};

use crate::{
    column::ColumnType,
    name::{TableName, column, literal, quoted},
    sqlstate::refused_setup,
};

/// Taken by whoever changes a table or the bookkeeping, for the time of a transaction ("towpath" in ASCII, read as a number).
pub(crate) const DDL_LOCK: i64 = 0x0074_6f77_7061_7468;

/// A table as this connection knows it.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    /// The type of the column `id`.
    pub(crate) key: ColumnType,
    /// The columns that hold fields, without `id` and without Towpath's own.
    pub(crate) columns: Vec<Column>,
    /// The record schemas that the columns come from.
    pub(crate) schemas: Vec<Arc<Schema>>,
    /// Field of the Avro schema → position in `columns`.
    by_field: HashMap<String, usize>,
}

/// A column that holds a field.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name, not quoted.
    pub(crate) name: String,
    /// The name of the field.
    pub(crate) field: String,
    pub(crate) ty: ColumnType,
}

impl Table {
    /// The position of a field's column.
    pub(crate) fn position(&self, field: &str) -> Option<usize> {
        self.by_field.get(field).copied()
    }

    /// Whether each field of `schema` has its column, of the right type.
    pub(crate) fn holds(&self, schema: &Arc<Schema>) -> bool {
        self.schemas.iter().any(|known| Arc::ptr_eq(known, schema))
    }
}

/// The fields of a record schema that become columns of their own: all but the key.
pub(crate) fn payload(schema: &Schema) -> impl Iterator<Item = &RecordField> {
    let fields = match schema {
        Schema::Record(RecordSchema { fields, .. }) => fields.as_slice(),
        _ => &[],
    };
    fields.iter().filter(|field| field.name != "id")
}

/// Makes sure that `name` exists with a column for each field of `schemas`; says what it looks like, and whether anything was made.
///
/// Only who has something to make takes the lock, and then looks again.
///
/// # Errors
/// Fatal when a type has no column, or when the table is there with another shape; the text names the column and both types.
pub(crate) async fn ensure(
    client: &Client,
    name: &TableName,
    key: &Identity,
    schemas: Vec<Arc<Schema>>,
) -> Result<(Table, bool)> {
    let key = match key {
        Identity::Long(_) => ColumnType::Bigint,
        _ => ColumnType::Text,
    };
    let found = look(client, name, key, &schemas).await?;
    if found.is_complete() {
        return Ok((found.into_table(name, key, schemas), false));
    }
    let doing = |what: &str| format!("{what} table {name}");
    run(client, doing("lock the shape of"), &format!("SELECT pg_advisory_xact_lock({DDL_LOCK})")).await?;
    let mut found = look(client, name, key, &schemas).await?;
    let made = !found.is_complete();
    if made {
        for (field, column) in &found.unnamed {
            agree(client, name, field, column).await?;
        }
        let missing = std::mem::take(&mut found.missing);
        if found.exists {
            if !missing.is_empty() {
                run(client, doing("add columns to"), &add_columns(name, &missing)).await?;
            }
        } else {
            run(client, doing("create"), &create(name, key, &missing)).await?;
        }
        run(client, doing("comment on"), &comments(name, &missing)).await?;
        run(client, doing("show the live rows of"), &live_view(name, &columns_in_order(client, name).await?)).await?;
        tracing::info!(table = %name, columns.added = missing.len(), "made {} columns in table {name}", missing.len());
    }
    Ok((found.into_table(name, key, schemas), made))
}

/// A table beside what it should look like.
struct Found {
    exists: bool,
    columns: Vec<Column>,
    by_field: HashMap<String, usize>,
    /// Columns that are not there yet, with the field that each is for.
    missing: Vec<(Column, RecordField)>,
    /// Fields and the names chosen for their columns, which are not written down yet.
    unnamed: Vec<(String, String)>,
}

impl Found {
    fn is_complete(&self) -> bool {
        self.exists && self.missing.is_empty() && self.unnamed.is_empty()
    }

    fn into_table(self, name: &TableName, key: ColumnType, schemas: Vec<Arc<Schema>>) -> Table {
        Table { name: name.clone(), key, columns: self.columns, schemas, by_field: self.by_field }
    }
}

/// Compares the table with the schemas; changes nothing.
async fn look(client: &Client, name: &TableName, key: ColumnType, schemas: &[Arc<Schema>]) -> Result<Found> {
    let present = columns_of(client, name).await?;
    let mut found = Found {
        exists: !present.is_empty(),
        columns: Vec::new(),
        by_field: HashMap::new(),
        missing: Vec::new(),
        unnamed: Vec::new(),
    };
    if found.exists {
        check_own_columns(name, key, &present)?;
    }
    let mut named = agreed_names(client, name).await?;
    for field in schemas.iter().flat_map(|schema| payload(schema)) {
        let ty = ColumnType::of(&field.schema).map_err(|reason| no_column(name, field, &reason))?;
        if let Some(same) = found.by_field.get(&field.name).map(|&at| &found.columns[at]) {
            if same.ty != ty {
                return Err(other_shape(name, &same.name, &ty.sql(), &same.ty.sql()));
            }
            continue;
        }
        let column_name = if let Some(agreed) = named.get(&field.name) {
            agreed.clone()
        } else {
            let fresh = column(&field.name, |name| name == "id" || named.values().any(|other| other == name));
            found.unnamed.push((field.name.clone(), fresh.clone()));
            named.insert(field.name.clone(), fresh.clone());
            fresh
        };
        let wanted = Column { name: column_name, field: field.name.clone(), ty };
        match present.get(&wanted.name) {
            None => found.missing.push((wanted.clone(), field.clone())),
            Some(have) if *have == ty.sql() => {}
            Some(have) => return Err(other_shape(name, &wanted.name, &ty.sql(), have)),
        }
        found.by_field.insert(field.name.clone(), found.columns.len());
        found.columns.push(wanted);
    }
    Ok(found)
}

/// Schema and table: the key, the fields, then Towpath's own columns.
fn create(name: &TableName, key: ColumnType, fields: &[(Column, RecordField)]) -> String {
    let columns: String = fields.iter().map(|(column, _)| format!("{} {}, ", quoted(&column.name), column.ty.sql())).collect();
    let (schema, table) = (quoted(&name.schema), name.sql());
    format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE {table} (
            id {key} PRIMARY KEY, {columns}
            _towpath_ts bigint NOT NULL,
            _towpath_seq bigint NOT NULL,
            _towpath_offset bigint NOT NULL,
            _towpath_applied_at timestamp with time zone NOT NULL,
            _towpath_partition integer NOT NULL,
            _towpath_deleted boolean NOT NULL);
         COMMENT ON TABLE {table} IS 'Written by Towpath: the present state of a Kafka topic, one row a record.';
         COMMENT ON COLUMN {table}._towpath_ts IS 'Version of the row, first part; 0 where the offset is the version.';
         COMMENT ON COLUMN {table}._towpath_seq IS 'Version of the row, second part.';
         COMMENT ON COLUMN {table}._towpath_offset IS 'Offset of the Kafka record that the row was last written from.';
         COMMENT ON COLUMN {table}._towpath_applied_at IS 'When the row was last written.';
         COMMENT ON COLUMN {table}._towpath_partition IS 'Partition of the Kafka record that the row was last written from.';
         COMMENT ON COLUMN {table}._towpath_deleted IS 'The record was deleted in the source; the values are its last ones.';",
        key = key.sql(),
    )
}

fn add_columns(name: &TableName, fields: &[(Column, RecordField)]) -> String {
    let columns: Vec<_> =
        fields.iter().map(|(column, _)| format!("ADD COLUMN {} {}", quoted(&column.name), column.ty.sql())).collect();
    format!("ALTER TABLE {} {}", name.sql(), columns.join(", "))
}

/// Each column says which field it holds, and what the schema says about it.
fn comments(name: &TableName, fields: &[(Column, RecordField)]) -> String {
    let comment = |(column, field): &(Column, RecordField)| {
        let label = field.doc.as_deref().map_or_else(|| field.name.clone(), |doc| format!("{}: {doc}", field.name));
        format!("COMMENT ON COLUMN {}.{} IS {};", name.sql(), quoted(&column.name), literal(&label))
    };
    fields.iter().map(comment).collect()
}

/// All columns but the mark itself, in the order of the table: a view may only grow at its end.
fn live_view(name: &TableName, columns: &[String]) -> String {
    let columns: Vec<_> = columns.iter().filter(|column| *column != "_towpath_deleted").map(|column| quoted(column)).collect();
    format!(
        "CREATE OR REPLACE VIEW {} AS SELECT {} FROM {} WHERE NOT _towpath_deleted",
        name.live_view().sql(),
        columns.join(", "),
        name.sql()
    )
}

fn check_own_columns(name: &TableName, key: ColumnType, present: &HashMap<String, String>) -> Result<()> {
    for (column, ty) in [
        ("id", key.sql()),
        ("_towpath_ts", "bigint".into()),
        ("_towpath_seq", "bigint".into()),
        ("_towpath_offset", "bigint".into()),
        ("_towpath_applied_at", "timestamp with time zone".into()),
        ("_towpath_partition", "integer".into()),
        ("_towpath_deleted", "boolean".into()),
    ] {
        match present.get(column) {
            Some(found) if *found == ty => {}
            found => return Err(other_shape(name, column, &ty, found.map_or("missing", String::as_str))),
        }
    }
    Ok(())
}

fn no_column(name: &TableName, field: &RecordField, reason: &str) -> Error {
    Error::fatal(
        "postgres.unsupported_type",
        ErrorType::Schema,
        format!(
            "make a column of table {name} for field `{}`: no column type holds {reason}; nothing was written, \
             change the field's type or leave the topic out",
            field.name
        ),
    )
}

fn other_shape(name: &TableName, column: &str, wanted: &str, found: &str) -> Error {
    Error::fatal(
        "postgres.other_shape",
        ErrorType::Schema,
        format!(
            "write to table {name}: column `{column}` should be {wanted} and is {found}; nothing was written, \
             alter the column or set `table.name.format` to another table"
        ),
    )
}

async fn run(client: &Client, doing: String, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(|error| refused_setup(doing, error))
}

/// Column → type as `format_type` prints it; empty when there is no such table.
async fn columns_of(client: &Client, name: &TableName) -> Result<HashMap<String, String>> {
    let sql = "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
               WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
    let rows = client.query(sql, &[&name.sql()]).await.map_err(|error| refused_setup(format!("look at table {name}"), error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn columns_in_order(client: &Client, name: &TableName) -> Result<Vec<String>> {
    let sql =
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let rows = client.query(sql, &[&name.sql()]).await.map_err(|error| refused_setup(format!("look at table {name}"), error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Field → column, as fixed when the field was first seen.
async fn agreed_names(client: &Client, name: &TableName) -> Result<HashMap<String, String>> {
    let sql = "SELECT field, column_name FROM towpath.columns WHERE table_schema = $1 AND table_name = $2";
    let rows = client.query(sql, &[&name.schema, &name.table]).await;
    let rows = rows.map_err(|error| refused_setup("read the names of columns from towpath.columns", error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn agree(client: &Client, name: &TableName, field: &str, column: &str) -> Result<()> {
    let sql = "INSERT INTO towpath.columns (table_schema, table_name, field, column_name) VALUES ($1, $2, $3, $4)";
    let stored = client.execute(sql, &[&name.schema, &name.table, &field, &column]).await;
    stored.map(drop).map_err(|error| refused_setup("fix the name of a column in towpath.columns", error))
}
