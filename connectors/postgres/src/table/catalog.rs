//! The current state of a table, from the system catalogs.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::{Client, GenericClient, error::SqlState};
use towpath_api::Result;

use super::metadata::Purpose;
use crate::{
    name::{TableName, quoted},
    sqlstate::setup_error,
};

/// The current state of a table.
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the catalog")]
#[derive(Debug, Default)]
pub(crate) struct CurrentTable {
    /// The columns by name; empty if the table does not exist.
    pub(crate) columns: HashMap<String, CurrentColumn>,
    /// True if the table is partitioned in Postgres.
    pub(crate) is_partitioned: bool,
    /// True if the role may create objects in the schema.
    pub(crate) may_create: bool,
    /// True if the view of the live rows exists.
    pub(crate) has_live_view: bool,
    /// The comment on the table.
    pub(crate) comment: Option<String>,
    /// True if the role may alter the table.
    pub(crate) is_owned: bool,
    /// True if row security or rules rule out `COPY`.
    pub(crate) guarded: bool,
    /// The columns that the table has or had; those that were dropped count towards the 1,600 that a table may have.
    pub(crate) attributes: i16,
    /// The columns of each unique index that is neither partial nor deferrable and has no expressions.
    pub(crate) unique: Vec<BTreeSet<String>>,
}

/// The current state of a column.
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the catalog")]
#[derive(Debug, Clone)]
pub(crate) struct CurrentColumn {
    /// The type as `format_type` prints it: `numeric(12,2)`, `character varying(20)`, the name of a domain.
    pub(crate) declared: String,
    /// The type with its modifier; of a domain, its base type.
    pub(crate) ty: String,
    /// The type without its modifier.
    pub(crate) base: String,
    pub(crate) is_domain: bool,
    /// The schema of the type's operators, quoted, if the type is one of an extension.
    pub(crate) operators: Option<String>,
    pub(crate) not_null: bool,
    pub(crate) is_primary: bool,
    pub(crate) comment: Option<String>,
    pub(crate) has_default: bool,
    pub(crate) is_identity: bool,
    /// True if the column is computed, so that it cannot be written.
    pub(crate) is_computed: bool,
    /// True if only an insert can write the column: an identity that is always generated.
    pub(crate) is_generated: bool,
    /// True if Towpath added the column for a field: see [`CurrentTable::is_made_here`].
    pub(crate) is_ours: bool,
}

impl CurrentColumn {
    /// Returns true if a row without a value for the column gets one.
    pub(crate) fn fills_itself(&self) -> bool {
        self.has_default || self.is_identity || self.is_computed
    }
}

impl CurrentTable {
    pub(crate) fn exists(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Returns true if Towpath created the table.
    pub(crate) fn is_made_here(&self) -> bool {
        [Purpose::State, Purpose::Log].iter().any(|purpose| self.comment.as_deref() == Some(purpose.comment()))
    }

    /// Returns true if `ON CONFLICT` can name these columns.
    pub(crate) fn is_key<'a>(&self, columns: impl Iterator<Item = &'a str>) -> bool {
        let columns: BTreeSet<&str> = columns.collect();
        self.unique
            .iter()
            .any(|key| key.len() == columns.len() && key.iter().all(|name| columns.contains(name.as_str())))
    }

    /// Reads the state of a table, which need not exist.
    pub(crate) async fn of(client: &Client, name: &TableName) -> Result<Self> {
        let failed = |error| setup_error(format!("read the definition of table {name}"), error);
        let columns = client
            .query(
                "SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(b.oid, b.modifier),
                        format_type(b.oid, NULL), t.typtype = 'd',
                        CASE WHEN of.typtype = 'b' AND of.typcategory <> 'A' AND n.nspname <> 'pg_catalog'
                             THEN quote_ident(n.nspname) END,
                        a.attnotnull, EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid
                          AND i.indisprimary AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])),
                        col_description(a.attrelid, a.attnum), a.atthasdef AND a.attgenerated = '',
                        a.attidentity <> '', a.attgenerated <> '', a.attidentity = 'a'
                 FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
                   CROSS JOIN LATERAL (
                     WITH RECURSIVE base (oid, modifier, depth) AS (
                       SELECT a.atttypid, a.atttypmod, 0
                       UNION ALL SELECT d.typbasetype, d.typtypmod, base.depth + 1
                         FROM base JOIN pg_type AS d ON d.oid = base.oid WHERE d.typtype = 'd')
                     SELECT oid, modifier FROM base ORDER BY depth DESC LIMIT 1) AS b
                   JOIN pg_type AS of ON of.oid = b.oid JOIN pg_namespace AS n ON n.oid = of.typnamespace
                 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped",
                &[&name.sql()],
            )
            .await
            .map_err(failed)?;
        let column = |row: &tokio_postgres::Row| CurrentColumn {
            declared: row.get(1),
            ty: row.get(2),
            base: row.get(3),
            is_domain: row.get(4),
            operators: row.get(5),
            not_null: row.get(6),
            is_primary: row.get(7),
            comment: row.get(8),
            has_default: row.get(9),
            is_identity: row.get(10),
            is_computed: row.get(11),
            is_generated: row.get(12),
            is_ours: false,
        };
        let columns: HashMap<_, _> = columns.iter().map(|row| (row.get(0), column(row))).collect();
        if columns.is_empty() {
            return Ok(Self::default());
        }
        let unique = client
            .query(
                "SELECT array_agg(a.attname::text) FROM pg_index i
                   JOIN pg_attribute a ON a.attrelid = i.indrelid
                     AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                 WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate
                   AND i.indpred IS NULL AND i.indexprs IS NULL
                 GROUP BY i.indexrelid",
                &[&name.sql()],
            )
            .await
            .map_err(failed)?;
        let guarded = client
            .query_one(
                "SELECT relrowsecurity OR relhasrules, to_regclass($2) IS NOT NULL,
                       has_schema_privilege(relnamespace, 'CREATE'), relkind = 'p', obj_description(oid, 'pg_class'),
                       pg_has_role(relowner, 'USAGE'), relnatts
                 FROM pg_class WHERE oid = to_regclass($1)",
                &[&name.sql(), &name.live_view().sql()],
            )
            .await
            .map_err(failed)?;
        let unique = unique.iter().map(|row| row.get::<_, Vec<String>>(0).into_iter().collect()).collect();
        Ok(Self {
            columns,
            unique,
            guarded: guarded.get(0),
            has_live_view: guarded.get(1),
            may_create: guarded.get(2),
            is_partitioned: guarded.get(3),
            comment: guarded.get(4),
            is_owned: guarded.get(5),
            attributes: guarded.get(6),
        })
    }
}

/// Returns true if the schema of a table exists.
pub(crate) async fn schema_exists(client: &Client, name: &TableName) -> Result<bool> {
    let found = client.query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&quoted(&name.schema)]).await;
    found.map(|row| row.get(0)).map_err(|error| setup_error(format!("look for schema {}", name.schema), error))
}

/// The names of the columns, in the order of the table.
pub(crate) async fn columns_in_order(client: &Client, name: &TableName) -> Result<Vec<String>> {
    let sql = "SELECT attname FROM pg_attribute
                   WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let rows = client
        .query(sql, &[&name.sql()])
        .await
        .map_err(|error| setup_error(format!("read the definition of table {name}"), error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The grants on a view, as statements that restore them.
pub(crate) async fn grants(client: &impl GenericClient, view: &TableName) -> Result<Vec<String>> {
    let sql = "SELECT format('GRANT %s ON %s TO %s%s', acl.privilege_type, $1::text,
                             CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
                             CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
               FROM pg_class c, aclexplode(c.relacl) acl WHERE c.oid = to_regclass($1) AND acl.grantee <> c.relowner";
    let rows = client.query(sql, &[&view.sql()]).await;
    let rows = rows.map_err(|error| setup_error(format!("read the grants on view {view}"), error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The column of a field, as fixed when the field was first seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedColumn {
    pub(crate) name: String,
    /// True if the column is jsonb because its field has values of several types.
    pub(crate) is_mixed: bool,
    /// The time of the record whose schema gave the column its comment, in milliseconds since the epoch.
    pub(crate) labelled_ms: Option<i64>,
}

/// The column of each field.
pub(crate) async fn column_names(client: &Client, name: &TableName) -> Result<HashMap<String, NamedColumn>> {
    // By way of JSON, since a role without the right to alter the table may have one without the newer columns.
    let sql = "SELECT field, column_name, coalesce((to_jsonb(c) ->> 'mixed')::boolean, false),
                      (to_jsonb(c) ->> 'labelled_ms')::bigint
               FROM towpath.columns c WHERE table_schema = $1 AND table_name = $2";
    let rows = match client.query(sql, &[&name.schema, &name.table]).await {
        // Before the first start schema `towpath` does not exist, and no name is fixed.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(HashMap::new()),
        rows => rows.map_err(|error| setup_error("read the names of columns from towpath.columns", error))?,
    };
    let named =
        |row: &tokio_postgres::Row| NamedColumn { name: row.get(1), is_mixed: row.get(2), labelled_ms: row.get(3) };
    Ok(rows.iter().map(|row| (row.get(0), named(row))).collect())
}

/// Fixes the name of the column of a field.
pub(crate) async fn fix_column_name(client: &Client, name: &TableName, field: &str, column: &str) -> Result<()> {
    let sql = "INSERT INTO towpath.columns (table_schema, table_name, field, column_name) VALUES ($1, $2, $3, $4)";
    let stored = client.execute(sql, &[&name.schema, &name.table, &field, &column]).await;
    stored.map(drop).map_err(|error| setup_error("fix the name of a column in towpath.columns", error))
}

/// The newer parts of schema `towpath` that exist and that the role may write: a role that may create nothing works
/// without them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notes {
    /// `towpath.columns` has the columns `mixed` and `labelled_ms`.
    pub(crate) of_columns: bool,
    /// `towpath.schema_changes` exists.
    pub(crate) of_changes: bool,
}

impl Notes {
    pub(crate) async fn of(client: &Client) -> Result<Self> {
        let sql = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('towpath.columns')
                            AND attname = 'labelled_ms' AND NOT attisdropped)
                          AND coalesce(has_table_privilege(to_regclass('towpath.columns')::oid, 'UPDATE'), false),
                          coalesce(has_table_privilege(to_regclass('towpath.schema_changes')::oid, 'INSERT'), false)";
        let row = client.query_one(sql, &[]).await;
        let row = row.map_err(|error| setup_error("look for the newer parts of schema towpath", error))?;
        Ok(Self { of_columns: row.get(0), of_changes: row.get(1) })
    }
}

/// Notes that the columns of these fields are jsonb because their values have several types.
pub(crate) async fn note_mixed(client: &Client, name: &TableName, fields: &[String]) -> Result<()> {
    let sql = "UPDATE towpath.columns SET mixed = true
               WHERE table_schema = $1 AND table_name = $2 AND field = ANY ($3)";
    let stored = client.execute(sql, &[&name.schema, &name.table, &fields]).await;
    stored.map(drop).map_err(|error| setup_error("note columns of several types in towpath.columns", error))
}

/// Notes when the comments on the columns of these fields were given: the time of a record, for each field.
pub(crate) async fn note_labels(client: &Client, name: &TableName, labelled: &[(String, i64)]) -> Result<()> {
    let (fields, times): (Vec<&str>, Vec<i64>) = labelled.iter().map(|(field, time)| (&**field, *time)).unzip();
    let sql =
        "UPDATE towpath.columns c SET labelled_ms = given.ms FROM unnest($3::text[], $4::bigint[]) AS given (field, ms)
               WHERE table_schema = $1 AND table_name = $2 AND c.field = given.field";
    let stored = client.execute(sql, &[&name.schema, &name.table, &fields, &times]).await;
    stored.map(drop).map_err(|error| setup_error("note the comments on columns in towpath.columns", error))
}
