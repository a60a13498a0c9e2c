//! The statement of a standard view, for the tables that exist. Pure.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use towpath_api::{StandardView, ViewTable};

use crate::name::{TableName, literal, quoted};

/// A column of every table that a view reads. Tables without it cannot tell deleted rows from others.
pub(super) const DELETED: &str = "_towpath_deleted";

/// The query of a view over the tables of `schema`, of which those of `present` exist.
pub(super) fn query(view: &StandardView, schema: &str, present: &[&str]) -> String {
    let mut out = String::with_capacity(view.sql.len() * 2);
    let mut rest = view.sql.trim_end();
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let inside =
            after[1..].split_once('}').filter(|(inside, _)| inside.starts_with(|c: char| c.is_ascii_lowercase()));
        let Some((inside, behind)) = inside else {
            // A brace of the query itself.
            out.push('{');
            rest = &after[1..];
            continue;
        };
        out.push_str(&replacement(view, schema, present, inside));
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn replacement(view: &StandardView, schema: &str, present: &[&str], inside: &str) -> String {
    if inside == "schema" {
        return literal(schema);
    }
    let (name, expression) = inside.split_once(':').map_or((inside, None), |(name, then)| (name, Some(then)));
    let exists = present.contains(&name);
    match (expression, exists) {
        (Some(expression), true) => expression.to_owned(),
        (Some(_), false) => "NULL".to_owned(),
        (None, true) => TableName { schema: schema.to_owned(), table: name.to_owned() }.sql(),
        (None, false) => view.tables.iter().find(|table| table.name == name).map_or_else(String::new, empty),
    }
}

/// A table without rows, in place of one that does not exist.
fn empty(table: &ViewTable) -> String {
    let columns = table.columns.iter().map(|(name, ty)| format!("NULL::{ty} AS {}, ", quoted(name)));
    format!("(SELECT {}false AS {DELETED} WHERE false)", columns.collect::<String>())
}

/// The comments on the columns.
pub(super) fn column_comments(view: &StandardView, name: &TableName) -> String {
    let comment = |(column, text): &(&str, &str)| {
        format!("COMMENT ON COLUMN {}.{} IS {};", name.sql(), quoted(column), literal(text))
    };
    view.columns.iter().map(comment).collect()
}

/// A hash of all statements that create a view; 16 hexadecimal digits.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize()[..8].iter().fold(String::with_capacity(16), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use towpath_api::ViewHome;

    use super::*;

    const VIEW: StandardView = StandardView {
        name: "open_deals",
        home: ViewHome::Tables,
        about: "Deals.",
        tables: &[
            ViewTable { name: "deal", columns: &[("id", "text")], is_required: true },
            ViewTable { name: "note", columns: &[("id", "text"), ("text", "text")], is_required: false },
        ],
        columns: &[("id", "The deal's id.")],
        sql: "SELECT id FROM {deal}",
    };

    #[test]
    fn a_missing_table_is_empty_and_its_expressions_are_null() {
        let view = StandardView { sql: "SELECT {note:count(n.id)}::bigint FROM {deal} AS d, {note} AS n", ..VIEW };
        assert_eq!(
            query(&view, "acme", &["deal", "note"]),
            r#"SELECT count(n.id)::bigint FROM "acme"."deal" AS d, "acme"."note" AS n"#
        );
        assert_eq!(
            query(&view, "acme", &["deal"]),
            r#"SELECT NULL::bigint FROM "acme"."deal" AS d, (SELECT NULL::text AS "id", NULL::text AS "text", "#
                .to_owned()
                + r"false AS _towpath_deleted WHERE false) AS n"
        );
    }

    #[test]
    fn other_braces_stay_and_the_schema_is_a_literal() {
        let view = StandardView { sql: "SELECT {schema}, '{}', id ~ '^a{2}' FROM {deal}\n", ..VIEW };
        assert_eq!(query(&view, "o'neil", &["deal"]), r#"SELECT 'o''neil', '{}', id ~ '^a{2}' FROM "o'neil"."deal""#);
    }

    #[test]
    fn parts_of_a_hash_do_not_run_together() {
        assert_eq!(hash(&["ab", "c"]).len(), 16);
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}
