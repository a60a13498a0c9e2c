//! Tables, columns and views made from the schema of the records.
//!
//! Nothing is ever dropped or narrowed. What is made here lies in the transaction of the batch that needs it, before
//! any of its rows: two partitions that meet a new field at once wait for each other here and nowhere else. What cannot
//! be made without loss, or may not be, is refused with the statement that a person would run.

mod catalogue;
mod ddl;
mod fit;
mod look;
mod own;
pub(crate) mod preflight;
mod wish;

use std::{collections::HashMap, sync::Arc};

use apache_avro::schema::Schema;
use tokio_postgres::{Client, error::SqlState};
use towpath_api::{Error, ErrorType, Result};

use self::{
    catalogue::{agree, columns_in_order, grants},
    look::{Found, Refusal, look},
};
pub(crate) use self::{
    own::{OwnColumn, Purpose},
    wish::Wish,
};
use crate::{
    column::ColumnType,
    config::{MetadataColumns, SchemaEvolution, SchemaMismatch},
    key::KeyColumn,
    name::TableName,
    sqlstate::{refused_setup, shape_in_use},
};

/// Taken by whoever changes a table or the bookkeeping, for the time of a transaction ("towpath" in ASCII, read as a
/// number).
pub(crate) const DDL_LOCK: i64 = 0x0074_6f77_7061_7468;
/// The code of records whose table has not the shape that they need.
pub(crate) const MISMATCH: &str = "postgres.schema_mismatch";
/// The code of records that no one statement can write, since a field has types in them that no column joins.
pub(crate) const MIXED: &str = "postgres.mixed_shapes";
/// A column of a large table takes its time to be rewritten; the worker gives a silent store up after five minutes.
const ALTER_TIMEOUT: &str = "SET LOCAL statement_timeout = '4min'";

/// A table as this connection knows it.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    pub(crate) metadata: MetadataColumns,
    /// The primary key.
    pub(crate) keys: Vec<KeyColumn>,
    /// The columns that hold fields, without the key and without Towpath's own.
    pub(crate) columns: Vec<Column>,
    /// The record schemas that the columns and the key come from.
    pub(crate) schemas: Vec<Arc<Schema>>,
    pub(crate) key_schemas: Vec<Arc<Schema>>,
    /// Whether rows can come by `COPY`.
    pub(crate) is_copyable: bool,
    /// Whether its rows lie in partitions.
    pub(crate) is_partitioned: bool,
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
    /// What values are cast to, where the column has another type.
    pub(crate) cast: Option<String>,
}

impl Table {
    /// A table of which only this is known.
    pub(crate) fn bare(name: &TableName, metadata: MetadataColumns) -> Self {
        let (keys, columns, schemas, key_schemas) = Default::default();
        Self {
            name: name.clone(),
            metadata,
            keys,
            columns,
            schemas,
            key_schemas,
            is_copyable: false,
            is_partitioned: false,
            by_field: HashMap::new(),
        }
    }

    /// The position of a field's column.
    pub(crate) fn position(&self, field: &str) -> Option<usize> {
        self.by_field.get(field).copied()
    }

    /// Whether each field of these schemas has its column, of the right type.
    pub(crate) fn holds(&self, schema: &Arc<Schema>) -> bool {
        self.schemas.iter().chain(&self.key_schemas).any(|known| Arc::ptr_eq(known, schema))
    }
}

/// Makes sure that the table exists with a column for each field; says what it looks like, and whether anything was
/// made.
///
/// Only who has something to make takes the lock, and then looks again.
///
/// # Errors
/// [`MISMATCH`] when the table has not the shape and may not or cannot get it; says what lacks and which statements
/// mend it. It is waited for or the data's, as `schema.mismatch` says.
pub(crate) async fn ensure(client: &Client, wish: Wish<'_>) -> Result<(Table, bool)> {
    let found = look(client, &wish).await?;
    if found.is_complete() {
        return Ok((found.into_table(wish), false));
    }
    let name = wish.name;
    let doing = |what: &str| format!("{what} table {name}");
    run(client, doing("lock the shape of"), &format!("SELECT pg_advisory_xact_lock({DDL_LOCK})")).await?;
    let found = look(client, &wish).await?;
    let made = !found.is_complete();
    if made {
        make(client, &wish, &found).await?;
    }
    Ok((found.into_table(wish), made))
}

/// Makes what lacks. The lock is held.
async fn make(client: &Client, wish: &Wish<'_>, found: &Found) -> Result<()> {
    let name = wish.name;
    let doing = |what: &str| format!("{what} table {name}");
    for (field, column) in &found.unnamed {
        agree(client, name, field, column).await?;
    }
    if wish.config.schema_evolution != SchemaEvolution::Evolve {
        return Ok(());
    }
    run(client, doing("alter"), ALTER_TIMEOUT).await?;
    let mut rights = Vec::new();
    if found.exists {
        if !found.widened.is_empty() && wish.has_live_view() {
            // A view that shows a column keeps its type from changing; ours is made again below.
            rights = grants(client, &name.live_view()).await?;
            let sql = format!("DROP VIEW IF EXISTS {}", name.live_view().sql());
            client
                .batch_execute(&sql)
                .await
                .map_err(|error| in_use(wish, error, &name.live_view().to_string(), None))?;
        }
        for (column, ty) in &found.widened {
            let sql = ddl::alter_type(name, column, ty);
            let altered = client.batch_execute(&sql).await;
            altered.map_err(|error| {
                in_use(wish, error, &format!("column `{column}`, which has to be {ty},"), Some(&sql))
            })?;
        }
        let loosened: Vec<String> = found.loosened.iter().map(|column| ddl::drop_not_null(name, column)).collect();
        run(client, doing("let null into"), &loosened.join("; ")).await?;
        if !found.missing.is_empty() {
            run(client, doing("add columns to"), &ddl::add_columns(name, &found.missing)).await?;
        }
        if !found.missing_own.is_empty() {
            run(client, doing("add columns to"), &ddl::add_own_columns(name, &found.missing_own)).await?;
            run(client, doing("comment on"), &ddl::own_comments(name, &found.missing_own)).await?;
        }
    } else {
        run(client, doing("create"), &ddl::create(wish, &found.missing)).await?;
        run(client, doing("comment on"), &ddl::table_comments(wish)).await?;
    }
    run(client, doing("comment on"), &ddl::field_comments(name, &found.missing)).await?;
    if wish.has_live_view() {
        let columns = columns_in_order(client, name).await?;
        run(client, doing("show the live rows of"), &ddl::live_view(name, &columns)).await?;
        run(client, doing("give back the rights to the view of"), &rights.join("; ")).await?;
    }
    run(client, doing("alter"), "SET LOCAL statement_timeout = '30s'").await?;
    tracing::info!(
        table = %name, columns.added = found.missing.len(), columns.widened = found.widened.len(),
        "made {} columns in table {name}, widened {}", found.missing.len(), found.widened.len()
    );
    Ok(())
}

/// Views and rules of others keep what they use as it is, and a large table takes longer than a worker should hold its
/// lock: both are for a person.
fn in_use(wish: &Wish<'_>, error: tokio_postgres::Error, what: &str, sql: Option<&str>) -> Error {
    let why = if shape_in_use(&error) {
        "is used by another view or rule, which has to be dropped and made again"
    } else if error.code() == Some(&SqlState::QUERY_CANCELED) {
        "takes longer than four minutes to alter, in which nobody could read the table"
    } else {
        return refused_setup(format!("widen a column of table {}", wish.name), error);
    };
    let mends: Vec<String> = sql.iter().map(|sql| (*sql).to_owned()).collect();
    mismatch(wish, &[Refusal { what: format!("{what} {why}"), remedy: None }], &mends)
}

/// All that is wrong at once, and all statements that mend it.
fn mismatch(wish: &Wish<'_>, refusals: &[Refusal], mends: &[String]) -> Error {
    let what: Vec<_> = refusals.iter().map(|refusal| refusal.what.as_str()).collect();
    let mend = if mends.is_empty() { String::new() } else { format!(" It is mended by: {}", mends.join("; ")) };
    let doing = |fate: &str| format!("write to table {}: {}; {fate}{mend}", wish.name, what.join("; "));
    match wish.config.schema_mismatch {
        SchemaMismatch::Pause => Error::retry(
            MISMATCH,
            ErrorType::Schema,
            doing("nothing was written, and the records wait until it is mended."),
        ),
        SchemaMismatch::DeadLetter => Error::poison(MISMATCH, ErrorType::Schema, doing("the record was not written.")),
    }
}

async fn run(client: &Client, doing: String, sql: &str) -> Result<()> {
    if sql.is_empty() {
        return Ok(());
    }
    client.batch_execute(sql).await.map_err(|error| refused_setup(doing, error))
}
