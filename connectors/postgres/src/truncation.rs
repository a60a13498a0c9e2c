//! The version of the last truncate of a table. A record of another partition that is read later, and is older, must
//! not bring its row back: nothing else is left of a row that a hard delete removed, or that was not there yet.

use towpath_api::Result;

use crate::{
    config::{DeleteMode, InsertMode, MetadataColumns, PostgresSinkConfig},
    fold::RowVersion,
    sqlstate::{row_error, setup_error},
    transaction::Transaction,
};

/// As JSON, which lacks the columns if the role may not add them.
const LAST: &str = "SELECT (pg_catalog.to_jsonb(t) ->> 'truncated_ts')::bigint,
                           (pg_catalog.to_jsonb(t) ->> 'truncated_seq')::bigint
    FROM towpath.tables AS t WHERE t.table_schema = $1 AND t.table_name = $2 FOR SHARE";

const NOTE: &str = "UPDATE towpath.tables SET truncated_ts = $3, truncated_seq = $4
    WHERE table_schema = $1 AND table_name = $2
      AND (truncated_ts IS NULL OR (truncated_ts, truncated_seq) < ($3::bigint, $4::bigint))";

/// Returns true if truncates are applied, and records have versions to compare with theirs.
fn applies(config: &PostgresSinkConfig) -> bool {
    config.truncate_enabled
        && config.delete_mode != DeleteMode::Ignore
        && config.metadata_columns != MetadataColumns::None
        && config.insert_mode != InsertMode::Insert
}

/// The version of the last truncate. The row in `towpath.tables` stays locked against [`note`] until the end of the
/// transaction, so that a truncate sees the rows of all records that did not know of it.
///
/// # Errors
/// As of a statement without records.
pub(crate) async fn last(transaction: &mut Transaction<'_>) -> Result<Option<RowVersion>> {
    if !applies(transaction.config) {
        return Ok(None);
    }
    let (name, statement) = (transaction.table, transaction.prepare(LAST).await?);
    let found = transaction.client.query_opt(&statement, &[&name.schema, &name.table]).await;
    let found = found.map_err(|error| setup_error(format!("look for the last truncate of table {name}"), error))?;
    Ok(found.and_then(|row| Some((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))))
}

/// Notes a truncate with a version, before its rows are deleted.
///
/// # Errors
/// As of a statement with records.
pub(crate) async fn note(transaction: &Transaction<'_>, (ts, seq): RowVersion) -> Result<()> {
    if ts == 0 {
        return Ok(());
    }
    let name = transaction.table;
    let noted = transaction.client.execute(NOTE, &[&name.schema, &name.table, &ts, &seq]).await;
    noted.map(drop).map_err(|error| row_error(format!("note the truncate of table {name}"), error))
}
