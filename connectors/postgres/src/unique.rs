//! Rows whose unique value another row still has.
//!
//! A row that is marked as deleted keeps its values, so it also keeps those that must be unique, which the source has
//! freed. It gives them up when a record needs them: they become null. If none of them may be null, the row is removed,
//! unless rows of other tables would be changed with it. Its version is lost then; an older record that arrives late
//! finds the value taken.
//!
//! Records of one batch that exchange unique values are written after their rows have given these up, too.

use std::collections::BTreeSet;

use tokio_postgres::{Client, types::ToSql};
use towpath_api::{Record, Result};

use crate::{
    config::{DeleteMode, MetadataColumns},
    connection::SearchPath,
    fold::{Row, Rules, fold},
    key::Keys,
    name::TableName,
    sqlstate::{row_error, setup_error},
    statement::{self, Exclusive, Statement, out_of_range},
    table::Table,
    transaction::Transaction,
};

/// The unique indexes and exclusion constraints of a table; and whether a row can be removed without a change to rows
/// of other tables.
const CATALOG: &str = r"
SELECT ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) AS n ORDER BY n),
    ARRAY(SELECT format('OPERATOR(%I.%s)', s.nspname, o.oprname) FROM generate_series(1, i.indnkeyatts) AS n
        JOIN pg_opclass c ON c.oid = i.indclass[n - 1]
        LEFT JOIN pg_constraint x ON x.conindid = i.indexrelid AND x.contype = 'x'
        JOIN pg_operator o ON o.oid = coalesce(x.conexclop[n], (SELECT a.amopopr FROM pg_amop a
            WHERE a.amopfamily = c.opcfamily AND a.amopstrategy = 3 AND a.amoplefttype = c.opcintype
                AND a.amoprighttype = c.opcintype))
        JOIN pg_namespace s ON s.oid = o.oprnamespace ORDER BY n),
    pg_get_expr(i.indpred, i.indrelid, true),
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND used.columns @> ARRAY[a.attnum]),
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND used.columns @> ARRAY[a.attnum]
        AND NOT a.attnotnull AND a.attgenerated = ''),
    NOT EXISTS (SELECT FROM pg_constraint f WHERE f.confrelid = i.indrelid AND f.contype = 'f'
        AND f.confdeltype IN ('c', 'n', 'd'))
FROM pg_index i, LATERAL (SELECT array_agg(number) AS columns FROM (
        SELECT unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) UNION
        SELECT d.refobjsubid::int2 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid) AS u (number)
    WHERE number > 0) AS used
WHERE i.indrelid = to_regclass($1) AND (i.indisunique OR i.indisexclusion) AND i.indisvalid";

async fn exclusives(client: &Client, table: &Table) -> Result<(Vec<Exclusive>, bool)> {
    let failed = |error| setup_error(format!("read the unique indexes of table {}", table.name), error);
    let parameters: [&(dyn ToSql + Sync); 1] = [&table.name.sql()];
    let found = client.query(CATALOG, &parameters).await.map_err(failed)?;
    let is_key = |name: &String| table.keys.iter().any(|key| key.name == *name);
    let removable = found.first().is_some_and(|row| row.get(5));
    let exclusives = found.iter().map(|row| {
        let (parts, equals): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
        let (columns, mut nullable): (Vec<String>, Vec<String>) = (row.get(3), row.get(4));
        nullable.retain(|name| !is_key(name) && !name.starts_with("_towpath_"));
        Exclusive { parts: parts.into_iter().zip(equals).collect(), predicate: row.get(2), columns, nullable }
    });
    let others = exclusives.filter(|exclusive| !exclusive.columns.iter().all(is_key) && !exclusive.parts.is_empty());
    Ok((others.collect(), removable))
}

/// The table of the batch, its keys, and the rows of some of its records.
struct Place<'t, 'a> {
    table: std::sync::Arc<Table>,
    keys: Keys<'t>,
    rows: Vec<Row<'a>>,
}

fn place<'t, 'a>(transaction: &Transaction<'t>, records: &'a [Record]) -> Option<Place<'t, 'a>> {
    let config = transaction.config;
    let name: &TableName = transaction.table;
    let table = transaction.cached(name)?;
    let keys = Keys::new(config.primary_key(), &config.pk_fields);
    let compares_versions = config.metadata_columns != MetadataColumns::None;
    let rows = fold(records, Rules { keys, delete_mode: config.delete_mode, compares_versions, truncated: None }).rows;
    Some(Place { table, keys, rows })
}

/// Takes unique values from deleted rows that keep a record from being written. Returns true if there were any.
pub(crate) async fn free(transaction: &mut Transaction<'_>, record: &Record) -> Result<bool> {
    let config = transaction.config;
    if config.delete_mode != DeleteMode::Soft || config.metadata_columns == MetadataColumns::None {
        return Ok(false);
    }
    let Some(Place { table, keys, rows }) = place(transaction, std::slice::from_ref(record)) else { return Ok(false) };
    transaction.search(SearchPath::OfSink).await?;
    let (exclusives, removes) = exclusives(transaction.client, &table).await?;
    let mut freed = 0;
    for row in rows.iter().filter(|row| !row.kind.ends()) {
        for exclusive in &exclusives {
            let statement = statement::free(&table, keys, exclusive, row, removes).map_err(out_of_range)?;
            if let Some(statement) = statement {
                freed += run(transaction, &table, &statement).await?;
            }
        }
    }
    Ok(freed > 0)
}

/// Takes unique values from the rows that records will overwrite: those of columns that each of the records sets again.
/// Returns true if there were any.
pub(crate) async fn vacate(transaction: &mut Transaction<'_>, records: &[Record]) -> Result<bool> {
    let Some(Place { table, keys, rows }) = place(transaction, records) else { return Ok(false) };
    transaction.search(SearchPath::OfSink).await?;
    let (exclusives, _) = exclusives(transaction.client, &table).await?;
    let rows: Vec<&Row<'_>> = rows.iter().filter(|row| row.round == 0).collect();
    // Any other column would stay null.
    let carried: Vec<_> = rows.iter().map(|row| statement::columns_of(&table, row)).collect();
    let is_set_again = |name: &String| {
        let at = table.columns.iter().position(|column| column.name == *name);
        at.is_some_and(|at| carried.iter().all(|columns| columns.contains(&at)))
    };
    let nullable = exclusives.into_iter().flat_map(|exclusive| exclusive.nullable);
    let columns: BTreeSet<String> = nullable.filter(is_set_again).collect();
    if columns.is_empty() || rows.is_empty() {
        return Ok(false);
    }
    let columns: Vec<String> = columns.into_iter().collect();
    let statement = statement::vacate(&table, keys, &columns, &rows).map_err(out_of_range)?;
    Ok(run(transaction, &table, &statement).await? > 0)
}

/// Runs a statement that returns a number of rows.
async fn run(transaction: &mut Transaction<'_>, table: &Table, statement: &Statement) -> Result<i64> {
    transaction.search(SearchPath::OfRole).await?;
    let answer = transaction.client.query_one(&statement.sql, &statement.parameters()).await;
    let answer = answer.map_err(|error| row_error(format!("free unique values of table {}", table.name), error))?;
    Ok(answer.get(0))
}
