//! The table of a topic: the one that exists under a name that the topic may fill, or a new one.
//!
//! A table or schema that exists under its exact name is taken, and a new one gets the folded name. A table that the
//! topic has filled is never left for another one.

use tokio_postgres::{Client, error::SqlState};
use towpath_api::{Error, ErrorType, Result};

use crate::{
    codes,
    config::PostgresSinkConfig,
    name::TableName,
    naming::{Forms, Names},
    sqlstate::setup_error,
};

/// What the database has under one of the names.
#[derive(Debug)]
struct Found {
    name: TableName,
    has_schema: bool,
    has_table: bool,
    /// True if the topic has filled the table.
    is_filled: bool,
}

/// The names that the table of a topic may have.
///
/// # Errors
/// Fatal `postgres.table_name`.
pub(crate) fn names(config: &PostgresSinkConfig, topic: &str) -> Result<Names> {
    let names = config.naming().map_err(|(_, why)| why).and_then(|naming| naming.names(topic));
    names.map_err(|why| {
        Error::fatal(codes::TABLE_NAME, ErrorType::Config, format!("name the table of topic `{topic}`: {why}"))
            .with_help("set `table.name.format` and `table.name.regex`, or leave the topic out")
    })
}

/// Finds the table that the topic fills or will fill. Returns true with it if the table exists.
///
/// 1. A table that the topic has filled, even if it is gone.
/// 2. A table that exists, exact names first.
/// 3. A new table, in the schema that exists, the exact one first.
pub(crate) async fn find(client: &Client, names: &Names, topic: &str) -> Result<(TableName, bool)> {
    let found = look(client, names, topic).await?;
    let filled = found.iter().find(|found| found.is_filled);
    if let Some(taken) = filled.or_else(|| found.iter().find(|found| found.has_table)) {
        return Ok((taken.name.clone(), taken.has_table));
    }
    let schema = found.iter().find(|found| found.has_schema).map(|found| found.name.schema.clone());
    let new = names.folded();
    Ok((TableName { schema: schema.unwrap_or(new.schema), table: new.table }, false))
}

/// Looks for each combination of the names, exact names first.
async fn look(client: &Client, Names { schema, table }: &Names, topic: &str) -> Result<Vec<Found>> {
    let forms = |forms: &Forms| [forms.exact.clone(), forms.folded.clone()];
    let pairs = forms(schema).into_iter().flat_map(|schema| forms(table).map(|table| (schema.clone(), table)));
    let (schemas, tables): (Vec<String>, Vec<String>) = pairs.unzip();
    let sql = |filled: &str| {
        format!(
            "SELECT c.schema, c.name, EXISTS (SELECT FROM pg_namespace WHERE nspname = c.schema), c.exists, {filled}
             FROM (SELECT u.*, EXISTS (SELECT FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
                                       WHERE n.nspname = u.schema AND r.relname = u.name
                                         AND r.relkind IN ('r', 'p', 'f')) AS exists
                   FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (schema, name, place)) AS c
             WHERE $3::text IS NOT NULL ORDER BY c.place"
        )
    };
    let filled = "EXISTS (SELECT FROM towpath.tables t
                          WHERE t.table_schema = c.schema AND t.table_name = c.name AND t.topic = $3)
                  AND (c.exists OR EXISTS (SELECT FROM towpath.columns l
                                           WHERE l.table_schema = c.schema AND l.table_name = c.name))";
    let rows = match client.query(&sql(filled), &[&schemas, &tables, &topic]).await {
        // Before the first start schema `towpath` does not exist.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
            client.query(&sql("false"), &[&schemas, &tables, &topic]).await
        }
        rows => rows,
    };
    let rows = rows.map_err(|error| setup_error(format!("look for the table of topic `{topic}`"), error))?;
    let found = |row: &tokio_postgres::Row| Found {
        name: TableName { schema: row.get(0), table: row.get(1) },
        has_schema: row.get(2),
        has_table: row.get(3),
        is_filled: row.get(4),
    };
    Ok(rows.iter().map(found).collect())
}
