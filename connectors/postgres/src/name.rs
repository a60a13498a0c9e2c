//! Valid names: lower snake case, at most 63 bytes. One function quotes them.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// `NAMEDATALEN - 1`: the server silently cuts longer identifiers.
pub(crate) const MAX_BYTES: usize = 63;
/// Every table has these columns (`PostgreSQL` manual, section 5.6).
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
/// Bytes kept of a name that gets a hash: `_` and 8 hexadecimal digits follow.
const STEM_BYTES: usize = MAX_BYTES - 9;

/// Quotes an identifier, doubling the quotation marks in it. Nothing counts as already quoted.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text as a literal (standard-conforming strings), for statements that take no parameters, such as `COMMENT`.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}

/// The name of a column, table or schema for `source`, of the form `[a-z_][a-z0-9_]{0,62}`.
///
/// `leadId`, `Lead-Id` and `lead id` all become `lead_id`. A name that loses letters or is too long gets a hash of the
/// source as suffix, so that different sources keep different names.
pub(crate) fn identifier(source: &str) -> String {
    let mut name = String::with_capacity(source.len());
    let mut lost = false;
    let mut previous = '_';
    for letter in source.chars() {
        match letter {
            'a'..='z' | '0'..='9' | '_' => name.push(letter),
            'A'..='Z' => {
                if previous.is_ascii_lowercase() || previous.is_ascii_digit() {
                    name.push('_');
                }
                name.push(letter.to_ascii_lowercase());
            }
            '-' | '.' | ' ' | ':' | '/' => name.push('_'),
            _ => {
                name.push('_');
                lost = true;
            }
        }
        previous = letter;
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() {
        name.insert(0, '_');
    }
    if lost || name.len() > MAX_BYTES { with_hash(&name, source) } else { name }
}

/// The name of a column: [`identifier`], with the hash also if the name is taken or reserved.
pub(crate) fn column_name(source: &str, taken: impl Fn(&str) -> bool) -> String {
    let name = identifier(source);
    if taken(&name) || name.starts_with("_towpath_") || SYSTEM_COLUMNS.contains(&name.as_str()) {
        with_hash(&name, source)
    } else {
        name
    }
}

/// The first 54 bytes of the name, and 8 digits of the hash of the source.
fn with_hash(name: &str, source: &str) -> String {
    let mut out: String = name.chars().take(STEM_BYTES).collect();
    out.push('_');
    for byte in &Sha256::digest(source.as_bytes())[..4] {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// A schema and a table in it, not quoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TableName {
    pub(crate) schema: String,
    pub(crate) table: String,
}

impl TableName {
    /// `"schema"."table"`, ready for a statement.
    pub(crate) fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }

    /// The view of the rows that are not deleted.
    pub(crate) fn live_view(&self) -> Self {
        self.with_suffix("_live")
    }

    /// The table of all changes.
    pub(crate) fn history(&self) -> Self {
        self.with_suffix("_history")
    }

    /// Cuts a long table name, never the suffix.
    fn with_suffix(&self, suffix: &str) -> Self {
        let plain = format!("{}{suffix}", self.table);
        let table = if plain.len() <= MAX_BYTES {
            plain
        } else {
            // The hash takes nine bytes.
            let stem: String = self.table.chars().take(MAX_BYTES - 9 - suffix.len()).collect();
            let hash = with_hash("", &self.table);
            format!("{stem}{hash}{suffix}")
        };
        Self { schema: self.schema.clone(), table }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (source, name) in [
            ("leadId", "lead_id"),
            ("lead_id", "lead_id"),
            ("Lead-Id", "lead_id"),
            ("HTTPStatus", "httpstatus"),
            ("cf_9Ab", "cf_9_ab"),
            ("1st", "_1st"),
        ] {
            assert_eq!(identifier(source), name, "{source}");
        }
    }

    #[test]
    fn a_name_that_loses_letters_or_is_taken_gets_a_hash() {
        assert!(identifier("größe").starts_with("gr__e_"));
        assert_ne!(identifier("größe"), identifier("gräße"));
        assert!(column_name("leadId", |name| name == "lead_id").starts_with("lead_id_"));
        assert!(column_name("_towpath_seq", |_| false).len() > "_towpath_seq".len());
        assert!(column_name("xmin", |_| false).starts_with("xmin_"));
    }

    proptest! {
        #[test]
        fn every_name_is_valid_in_postgres(source in ".{0,200}", taken in any::<bool>()) {
            for name in [identifier(&source), column_name(&source, |_| taken)] {
                prop_assert!((1..=MAX_BYTES).contains(&name.len()));
                prop_assert!(name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_'));
                let is_valid = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_');
                prop_assert!(name.chars().all(is_valid));
            }
            let view = TableName { schema: "s".into(), table: identifier(&source) }.live_view();
            prop_assert!(view.table.len() <= MAX_BYTES && view.table.ends_with("_live"));
        }

        #[test]
        fn long_names_that_differ_stay_different(a in "[a-z]{70,90}", b in "[a-z]{70,90}") {
            prop_assert_eq!(identifier(&a) == identifier(&b), a == b);
        }

        #[test]
        fn a_quoted_name_cannot_end_early(name in ".*") {
            let inner = quoted(&name);
            let inner = &inner[1..inner.len() - 1];
            prop_assert!(!inner.replace("\"\"", "").contains('"'));
        }
    }
}
