//! The names of the live view and of the history, which belong to a table of ours without being its name. An object
//! that somebody else made under such a name is never replaced, dropped, altered or written to: the table waits.

use tokio_postgres::Client;
use towpath_api::{Error, ErrorType, Result};

use super::{catalog::CurrentTable, ddl::VIEW_COMMENT, desired::DesiredTable, metadata::Purpose};
use crate::{
    codes,
    config::InsertMode,
    name::{TableName, quoted},
    sqlstate::setup_error,
};

/// Refuses to create or replace the live view of a table while something else has its name.
///
/// # Errors
/// Fatal `postgres.name_taken`.
pub(super) async fn require_live_view(client: &Client, desired: &DesiredTable<'_>) -> Result<()> {
    let view = desired.name.live_view();
    match foreign_object(client, desired.name, &view).await? {
        None => Ok(()),
        Some(kind) => Err(taken(desired.name, &view, &format!("its live view: {kind} has that name"))),
    }
}

/// Refuses a history table that is not ours.
///
/// # Errors
/// Fatal `postgres.name_taken`.
pub(super) fn require_history(desired: &DesiredTable<'_>, current: &CurrentTable) -> Result<()> {
    let is_history = desired.purpose == Purpose::Log && desired.config.insert_mode != InsertMode::Insert;
    let is_ours =
        current.columns.contains_key("_towpath_op") || current.comment.as_deref() == Some(Purpose::Log.comment());
    if !is_history || !current.exists() || is_ours {
        return Ok(());
    }
    let why = "a history: it lacks both the column `_towpath_op` and the comment of a history";
    Err(taken(desired.name, desired.name, why))
}

fn taken(table: &TableName, name: &TableName, why: &str) -> Error {
    let doing =
        format!("write to table {table}: {name} exists and is not {why}. It is left as it is, and nothing was written");
    Error::fatal(codes::NAME_TAKEN, ErrorType::Config, doing)
        .with_help(format!("rename or drop {name}; the table goes on within a minute"))
}

/// The kind of the object that has the name of the live view and is not one of ours; `None` if there is none.
async fn foreign_object(client: &Client, table: &TableName, view: &TableName) -> Result<Option<String>> {
    let failed = |error| setup_error(format!("look for the live view {view}"), error);
    let sql =
        "SELECT CASE c.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'S' THEN 'a sequence'
                      WHEN 'i' THEN 'an index' WHEN 'I' THEN 'an index' WHEN 'c' THEN 'a type' ELSE 'a table' END,
                      CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END,
                      ARRAY(SELECT attname::text FROM pg_attribute
                            WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum),
                      coalesce(obj_description(c.oid, 'pg_class'), '')
                 FROM pg_class c WHERE c.oid = to_regclass($1)";
    if let Some(row) = client.query_opt(sql, &[&view.sql()]).await.map_err(failed)? {
        let (kind, definition, columns, comment): (String, Option<String>, Vec<String>, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let is_ours = definition.is_some_and(|definition| {
            let from = shown_by(&definition, &columns, table);
            from.is_some_and(|from| comment == VIEW_COMMENT || is_named(&from, table))
        });
        return Ok((!is_ours).then_some(kind));
    }
    // A view is also a type, so a domain or an enum of its name is in the way. The name of an array type is not: the
    // server gives it another one.
    let sql = "SELECT 1 FROM pg_type WHERE typname = $1 AND typnamespace = to_regnamespace($2)
                 AND typrelid = 0 AND typcategory <> 'A'";
    let found = client.query_opt(sql, &[&view.table, &quoted(&view.schema)]).await.map_err(failed)?;
    Ok(found.map(|_| "a type".to_owned()))
}

/// The table that a view shows, as the server prints it, if the view has the definition of a live view: plain columns
/// of one table, and no other condition than `NOT _towpath_deleted`.
fn shown_by(definition: &str, columns: &[String], expected: &TableName) -> Option<String> {
    let definition = bare(definition);
    let (_, rest) = definition.rsplit_once("FROM")?;
    let (from, _) = rest.rsplit_once("WHERE")?;
    let is_plain = from.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '.'));
    let table = match is_named(from, expected) {
        true => bare(&expected.table),
        false if is_plain => from.rsplit('.').next()?.to_owned(),
        false => return None,
    };
    // Servers before version 16 print the table before each column.
    let is_ours = [String::new(), format!("{table}.")].iter().any(|prefix| {
        let columns: Vec<String> = columns.iter().map(|column| bare(&format!("{prefix}{column}"))).collect();
        definition == format!("SELECT{}FROM{from}WHERENOT{prefix}_towpath_deleted", columns.join(","))
    });
    is_ours.then(|| from.to_owned())
}

/// Returns true if `printed` names the table, with or without its schema.
fn is_named(printed: &str, table: &TableName) -> bool {
    printed == bare(&table.table) || printed == bare(&table.to_string())
}

/// A text without quotation marks, parentheses, semicolons and white space.
fn bare(text: &str) -> String {
    text.replace(['"', '(', ')', ';'], "").split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_columns_of_one_table_without_deleted_rows_are_a_live_view() {
        let columns = ["id".to_owned(), "Big Name".to_owned()];
        let table = |table: &str| TableName { schema: "acme".to_owned(), table: table.to_owned() };
        let shown = |definition: &str| shown_by(definition, &columns, &table("leads"));
        for definition in [
            " SELECT id,\n    \"Big Name\"\n   FROM acme.deals\n  WHERE (NOT _towpath_deleted);",
            " SELECT deals.id,\n    deals.\"Big Name\"\n   FROM acme.deals\n  WHERE NOT deals._towpath_deleted;",
        ] {
            assert_eq!(shown(definition).as_deref(), Some("acme.deals"), "{definition}");
        }
        for definition in [
            " SELECT id,\n    upper(\"Big Name\") AS \"Big Name\"\n   FROM acme.deals\n  WHERE (NOT _towpath_deleted);",
            " SELECT id,\n    \"Big Name\"\n   FROM acme.deals\n  WHERE ((NOT _towpath_deleted) AND (id = 1));",
            " SELECT id,\n    \"Big Name\"\n   FROM acme.deals;",
            " SELECT id,\n    \"Big Name\"\n   FROM (a.d\n     CROSS JOIN a.x)\n  WHERE (NOT _towpath_deleted);",
            " SELECT id\n   FROM acme.deals\n  WHERE (NOT _towpath_deleted);",
        ] {
            assert_eq!(shown(definition), None, "{definition}");
        }
        let exact = " SELECT id,\n    \"Big Name\"\n   FROM acme.\"Order-Item FROM\"\n  WHERE (NOT _towpath_deleted);";
        assert_eq!(
            shown_by(exact, &columns, &table("Order-Item FROM")),
            None,
            "the rest of the text is cut at the name"
        );
        let exact = exact.replace(" FROM\"", "\"");
        let found = shown_by(&exact, &columns, &table("Order-Item"));
        assert_eq!(found.as_deref(), Some("acme.Order-Item"));
        assert_eq!(shown(&exact), None);
    }
}
