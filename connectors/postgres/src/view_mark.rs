//! The mark of a standard view, at the end of its comment: `[towpath view <query> <definition>]`.
//!
//! `query` is the hash of the statements that created the view; another one means that it has to be created again.
//! `definition` is the server's version and the hash of the definition as that version prints it, so a view that
//! somebody else has replaced since is recognized: replacing a view keeps its comment.

use tokio_postgres::{GenericClient, types::ToSql};
use towpath_api::Result;

use crate::{
    name::{TableName, literal},
    sqlstate::setup_error,
};

/// The expression for the fingerprint of the view `v` (`pg_class`) as it stands.
pub(crate) const FINGERPRINT: &str = "(current_setting('server_version_num')::integer / 10000)::text || ':'
    || left(md5(pg_get_viewdef(v.oid)), 16)";

const START: &str = " [towpath view ";

/// The mark of a view that Towpath has created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViewMark {
    /// The comment before the mark.
    pub(crate) text: String,
    pub(crate) query: String,
    definition: String,
}

impl ViewMark {
    /// The mark in a comment, if the view is still as Towpath has created it. `fingerprint` is that of the view as it
    /// stands. Another version of the server may print the same definition differently, so the comment decides then.
    pub(crate) fn of(comment: &str, fingerprint: &str) -> Option<Self> {
        let (text, mark) = comment.rsplit_once(START)?;
        let (query, definition) = mark.strip_suffix(']')?.split_once(' ')?;
        let version = |of: &str| of.split_once(':').map(|(version, _)| version.to_owned());
        let is_unchanged = definition == fingerprint || version(definition) != version(fingerprint);
        is_unchanged.then(|| Self { text: text.to_owned(), query: query.to_owned(), definition: definition.to_owned() })
    }

    /// The statement that writes the comment as it was.
    pub(crate) fn statement(&self, view: &TableName) -> String {
        format!("COMMENT ON VIEW {} IS {}", view.sql(), literal(&self.comment()))
    }

    fn comment(&self) -> String {
        format!("{}{START}{} {}]", self.text, self.query, self.definition)
    }
}

/// Comments on a view that was just created.
pub(crate) async fn mark(client: &impl GenericClient, view: &TableName, text: &str, query: &str) -> Result<()> {
    let failed = |error| setup_error(format!("comment on view {view}"), error);
    let sql = format!("SELECT {FINGERPRINT} FROM pg_class v WHERE v.oid = to_regclass($1)");
    let parameters: [&(dyn ToSql + Sync); 1] = [&view.sql()];
    let row = client.query_one(&sql, &parameters).await.map_err(failed)?;
    let mark = ViewMark { text: text.to_owned(), query: query.to_owned(), definition: row.get(0) };
    client.batch_execute(&mark.statement(view)).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_unless_the_definition_differs() {
        let mark = ViewMark { text: "All [deals].".into(), query: "1a2b".into(), definition: "17:ff".into() };
        assert_eq!(ViewMark::of(&mark.comment(), "17:ff"), Some(mark.clone()));
        assert_eq!(ViewMark::of(&mark.comment(), "17:fe"), None, "somebody else replaced it");
        assert_eq!(ViewMark::of(&mark.comment(), "18:fe"), Some(mark), "the server was upgraded");
        for comment in
            ["", "All deals.", "All deals. [towpath view 1a2b]", "All deals. [towpath view 1a2b 17:ff] or so"]
        {
            assert_eq!(ViewMark::of(comment, "17:ff"), None, "{comment}");
        }
    }
}
