//! Standard views that show a column whose type changes: Postgres refuses the change while they exist. They are taken
//! down before, and put up again in the same transaction, with comments, options and grants. Views of other people are
//! left, and keep the column from being changed.

use tokio_postgres::{Client, types::ToSql};
use towpath_api::Result;

use super::{DDL_LOCK, catalog::grants};
use crate::{
    name::{TableName, quoted},
    sqlstate::setup_error,
    view_mark::{FINGERPRINT, ViewMark, mark},
};

/// The statement that takes the lock of all standard views until the transaction ends. A transaction that drops one to
/// alter its table and a transaction that creates one over that table would otherwise wait for each other.
pub(crate) fn lock_views() -> String {
    format!("SELECT pg_advisory_xact_lock(hashtextextended('standard views', {DDL_LOCK}))")
}

/// A standard view, with what is needed to create it again.
#[derive(Debug)]
pub(super) struct Dependent {
    pub(super) name: TableName,
    mark: ViewMark,
    /// The statements that create the view with its comments and grants, but not its mark.
    statements: Vec<String>,
}

impl Dependent {
    /// The standard views that show one of these columns of the table.
    pub(super) async fn of(client: &Client, table: &TableName, columns: &[String]) -> Result<Vec<Self>> {
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |error| setup_error(format!("look for views of table {table}"), error);
        let sql = format!(
            "SELECT n.nspname::text, v.relname::text, coalesce(obj_description(v.oid, 'pg_class'), ''), {FINGERPRINT},
                    coalesce(' WITH (' || array_to_string(v.reloptions, ', ') || ')', ''),
                    rtrim(pg_get_viewdef(v.oid), '; '),
                    ARRAY(SELECT format('COMMENT ON COLUMN %I.%I.%I IS %L', n.nspname, v.relname, a.attname,
                                        d.description)
                          FROM pg_attribute a JOIN pg_description d ON d.objoid = v.oid AND d.objsubid = a.attnum
                            AND d.classoid = 'pg_class'::regclass
                          WHERE a.attrelid = v.oid AND a.attnum > 0 ORDER BY a.attnum)
             FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace
             WHERE v.relkind = 'v' AND v.oid IN (
                 SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                   JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
                   AND d.refobjid = to_regclass($1) AND a.attname::text = ANY ($2))
             ORDER BY 1, 2"
        );
        let parameters: [&(dyn ToSql + Sync); 2] = [&table.sql(), &columns];
        let mut found = Vec::new();
        for row in client.query(&sql, &parameters).await.map_err(failed)? {
            let Some(mark) = ViewMark::of(row.get(2), row.get(3)) else { continue };
            let name = TableName { schema: row.get(0), table: row.get(1) };
            let (options, definition): (&str, &str) = (row.get(4), row.get(5));
            let mut statements = vec![format!("CREATE VIEW {}{options} AS {definition}", name.sql())];
            statements.extend(row.get::<_, Vec<String>>(6));
            statements.extend(grants(client, &name).await?);
            found.push(Self { name, mark, statements });
        }
        Ok(found)
    }

    /// The statement that drops the view.
    pub(super) fn drop(&self) -> String {
        format!("DROP VIEW {}", self.name.sql())
    }

    /// The statements that create it again, for a person to run. Without its mark it would count as somebody else's.
    pub(super) fn statements(&self) -> impl Iterator<Item = String> {
        self.statements.iter().cloned().chain([self.mark.statement(&self.name)])
    }

    /// Creates the view again. If its query does not fit the new type, the view stays away, and the sink creates it by
    /// its present query, or reports why not.
    pub(super) async fn put_up(&self, client: &Client) -> Result<()> {
        let failed = |error| setup_error(format!("create view {} again", self.name), error);
        let savepoint = quoted("dependent_view");
        client.batch_execute(&format!("SAVEPOINT {savepoint}")).await.map_err(failed)?;
        match client.batch_execute(&self.statements.join("; ")).await {
            Ok(()) => {
                mark(client, &self.name, &self.mark.text, &self.mark.query).await?;
                client.batch_execute(&format!("RELEASE SAVEPOINT {savepoint}")).await.map_err(failed)
            }
            Err(error) if client.is_closed() => Err(failed(error)),
            Err(error) => {
                let back = format!("ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}");
                client.batch_execute(&back).await.map_err(failed)?;
                let error = failed(error);
                tracing::warn!(
                    view = %self.name, error.code = error.code,
                    "view {} was dropped with its grants, because a column has another type now, to which its query \
                     does not fit: {}", self.name, error.chain()
                );
                Ok(())
            }
        }
    }
}
