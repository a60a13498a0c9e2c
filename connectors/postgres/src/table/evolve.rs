//! Creates and alters tables.

use tokio_postgres::{Client, error::SqlState};
use towpath_api::{Error, ErrorType, Result};

use super::{
    DDL_LOCK, Table,
    catalog::{columns_in_order, fix_column_name, grants, note_labels, note_mixed},
    ddl,
    dependents::{Dependent, lock_views},
    desired::DesiredTable,
    diff::acceptable_diff,
    difference::TableDiff,
    metadata::Purpose,
    mismatch::{Mismatch, mismatch_error},
    names::require_live_view,
    schema_changes::{self, Cause},
};
use crate::{
    codes,
    config::SchemaEvolution,
    name::{TableName, literal, quoted},
    sqlstate::{blocked_by_dependents, setup_error},
};

/// Rewriting a column of a large table takes long. The worker gives up on a silent store after five minutes.
const ALTER_TIMEOUT: &str = "SET LOCAL statement_timeout = '4min'";

/// Creates or alters the table so that each field has a column. Returns the table, and whether anything was changed.
///
/// A lock is taken only if something has to change; the table is then compared again. The lock is that of the table,
/// because it lasts until the transaction ends, and the rows of one table may take long: others must not wait. The
/// first tables of a schema are created one after the other.
///
/// # Errors
/// `postgres.schema_mismatch` when the table does not fit and may not or cannot be altered. The error lists each
/// mismatch, and the statements to run as help. It is retry or poison, as `schema.mismatch` says.
pub(crate) async fn ensure(client: &Client, mut desired: DesiredTable<'_>, cause: Cause<'_>) -> Result<(Table, bool)> {
    let diff = acceptable_diff(client, &mut desired).await?;
    if diff.is_complete() {
        return Ok((diff.into_table(desired), false));
    }
    let name = desired.name;
    let doing = |what: &str| format!("{what} table {name}");
    let schema = if diff.has_schema { String::new() } else { lock(&quoted(&name.schema)) };
    run(client, doing("lock the definition of"), &(schema + &lock(&name.sql()))).await?;
    let diff = acceptable_diff(client, &mut desired).await?;
    let altered = !diff.is_complete();
    if altered {
        evolve(client, &desired, &diff, cause).await?;
    }
    Ok((diff.into_table(desired), altered))
}

/// The statement that takes the lock of a table or schema until the transaction ends. Two names may share a lock.
fn lock(name: &str) -> String {
    format!("SELECT pg_advisory_xact_lock(hashtextextended({}, {DDL_LOCK}));", literal(name))
}

/// Adds all that is missing. The caller holds the lock.
async fn evolve(client: &Client, desired: &DesiredTable<'_>, diff: &TableDiff, cause: Cause<'_>) -> Result<()> {
    let name = desired.name;
    let doing = |what: &str| format!("{what} table {name}");
    if !diff.exists {
        require_never_filled(client, name).await?;
    }
    for (field, column) in &diff.unnamed {
        fix_column_name(client, name, field, column).await?;
    }
    if !diff.mixed.is_empty() {
        note_mixed(client, name, &diff.mixed).await?;
    }
    if desired.config.schema_evolution != SchemaEvolution::Evolve {
        return Ok(());
    }
    let makes_view = desired.has_live_view() && diff.changes_view();
    if makes_view {
        require_live_view(client, desired).await?;
    }
    run(client, doing("alter"), ALTER_TIMEOUT).await?;
    let (mut rights, mut dependents) = (Vec::new(), Vec::new());
    if diff.exists {
        if !diff.widened.is_empty() && makes_view {
            // The type of a column cannot change while a view shows it. The live view is re-created below.
            rights = grants(client, &name.live_view()).await?;
            let sql = format!("DROP VIEW IF EXISTS {}", name.live_view().sql());
            client
                .batch_execute(&sql)
                .await
                .map_err(|error| blocked(desired, error, &name.live_view().to_string(), None))?;
        }
        dependents = take_down(client, desired, diff).await?;
        for widening in &diff.widened {
            let sql = widening.sql(name);
            let altered = client.batch_execute(&sql).await;
            altered.map_err(|error| {
                let what = format!("column `{}`, which must become {},", widening.column, widening.to);
                blocked(desired, error, &what, Some(&sql))
            })?;
        }
        let loosened = diff.loosened.iter().map(|loosening| ddl::drop_not_null(name, &loosening.column));
        let loosened: Vec<String> = loosened.collect();
        run(client, doing("allow null in columns of"), &loosened.join("; ")).await?;
        if !diff.missing.is_empty() {
            let fills = desired.purpose == Purpose::State;
            run(client, doing("add columns to"), &ddl::add_columns(name, &diff.missing, fills)).await?;
        }
        if !diff.missing_metadata.is_empty() {
            run(client, doing("add columns to"), &ddl::add_metadata_columns(name, &diff.missing_metadata)).await?;
            run(client, doing("comment on"), &ddl::metadata_comments(name, &diff.missing_metadata)).await?;
        }
    } else {
        run(client, doing("create"), &ddl::create(desired, diff.has_schema, &diff.missing)).await?;
        run(client, doing("comment on"), &ddl::table_comments(desired)).await?;
    }
    run(client, doing("comment on"), &ddl::field_comments(name, &diff.missing)).await?;
    let relabelled = diff.relabelled.iter().map(|label| ddl::column_comment(name, &label.column, &label.to));
    run(client, doing("comment on"), &relabelled.collect::<String>()).await?;
    if diff.notes.is_some_and(|notes| notes.of_columns) {
        note_labels(client, name, &labelled(desired, diff)).await?;
    }
    if diff.notes.is_some_and(|notes| notes.of_changes) {
        schema_changes::store(client, desired, diff, cause).await?;
    }
    if makes_view {
        let columns = columns_in_order(client, name).await?;
        run(client, doing("create the live view of"), &ddl::live_view(name, &columns)).await?;
        run(client, doing("restore the grants on the live view of"), &rights.join("; ")).await?;
    }
    for view in &dependents {
        view.put_up(client).await?;
    }
    run(client, doing("alter"), "SET LOCAL statement_timeout = '30s'").await?;
    tracing::info!(
        table = %name, columns.added = diff.missing.len(), columns.widened = diff.widened.len(),
        columns.relabelled = diff.relabelled.len(), "added {} columns to table {name}, widened {}, relabelled {}",
        diff.missing.len(), diff.widened.len(), diff.relabelled.len()
    );
    Ok(())
}

/// Drops the standard views of the columns that change their type, in the way of which they are.
async fn take_down(client: &Client, desired: &DesiredTable<'_>, diff: &TableDiff) -> Result<Vec<Dependent>> {
    let columns: Vec<String> = diff.widened.iter().map(|widening| widening.column.clone()).collect();
    let mut dependents = Dependent::of(client, desired.name, &columns).await?;
    if !dependents.is_empty() {
        run(client, "lock the standard views".to_owned(), &lock_views()).await?;
        // They may have been replaced in the meantime.
        dependents = Dependent::of(client, desired.name, &columns).await?;
    }
    for view in &dependents {
        let dropped = client.batch_execute(&view.drop()).await;
        dropped.map_err(|error| blocked(desired, error, &view.name.to_string(), None))?;
    }
    Ok(dependents)
}

/// The fields whose columns get a comment, each with the time of the record whose schema gives it.
fn labelled(desired: &DesiredTable<'_>, diff: &TableDiff) -> Vec<(String, i64)> {
    let labels = desired.labels();
    let added = diff.missing.iter().map(|(column, _)| &column.field);
    let fields = added.chain(diff.relabelled.iter().map(|relabelling| &relabelling.field));
    fields.filter_map(|field| labels.get(field.as_str()).map(|(_, time)| (field.clone(), *time))).collect()
}

/// Requires that the missing table never existed. A table that was dropped or renamed would be created without the rows
/// that were applied before, and nobody would notice.
///
/// # Errors
/// Fatal `postgres.table_missing`.
async fn require_never_filled(client: &Client, name: &TableName) -> Result<()> {
    let sql = "SELECT count(*) FROM towpath.columns WHERE table_schema = $1 AND table_name = $2";
    let row = client.query_one(sql, &[&name.schema, &name.table]).await;
    let columns: i64 = row.map_err(|error| setup_error(format!("look for earlier columns of {name}"), error))?.get(0);
    if columns == 0 {
        return Ok(());
    }
    let doing = format!("write to table {name}: it was created before and is gone. Nothing was written");
    let forget =
        format!("DELETE FROM towpath.columns WHERE table_schema = '{}' AND table_name = '{}'", name.schema, name.table);
    Err(Error::fatal(codes::TABLE_MISSING, ErrorType::NotFound, doing).with_help(format!(
        "restore the table, and it is filled on; or, to fill it again from the start of the topic, stop the worker, \
         run `{forget}`, and set the offsets of its topic to `earliest` with `towpath offsets set`"
    )))
}

/// The error of a column that cannot change its type because other views or rules use it, or because altering a large
/// table would hold its lock for too long. Both need a person.
fn blocked(desired: &DesiredTable<'_>, error: tokio_postgres::Error, what: &str, sql: Option<&str>) -> Error {
    let why = if blocked_by_dependents(&error) {
        "is used by another view or rule, which must be dropped and re-created"
    } else if error.code() == Some(&SqlState::QUERY_CANCELED) {
        "takes longer than four minutes to alter, while the table cannot be read"
    } else {
        return setup_error(format!("widen a column of table {}", desired.name), error);
    };
    let remedies: Vec<String> = sql.iter().map(|sql| (*sql).to_owned()).collect();
    let mismatch = Mismatch { problem: format!("{what} {why}"), remedy: None };
    mismatch_error(desired.name, desired.config.schema_mismatch, &[mismatch], &remedies)
}

async fn run(client: &Client, doing: String, sql: &str) -> Result<()> {
    if sql.is_empty() {
        return Ok(());
    }
    client.batch_execute(sql).await.map_err(|error| setup_error(doing, error))
}
