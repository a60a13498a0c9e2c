//! Compares tables with the records of a topic before anything is written.

use std::sync::Arc;

use apache_avro::schema::Schema;
use tokio_postgres::Client;
use towpath_api::Result;

use super::{ddl, desired::DesiredTable, diff::diff, metadata::Purpose, mismatch::key_mismatch, place, place::names};
use crate::{
    config::{InsertMode, PostgresSinkConfig, PrimaryKeyMode},
    connection::connect,
    key::Keys,
    sqlstate::setup_error,
};

/// The differences between a table and the records of its topic.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// The table, for people; for example `acme.transactions`.
    pub table: String,
    /// The statements that the sink would run with the first record.
    pub makes: Vec<String>,
    /// Differences that the sink would not remove, each a sentence without a full stop.
    pub lacks: Vec<String>,
    /// The statements that remove them, in the order to run them.
    pub mends: Vec<String>,
}

/// Compares the tables of `topic` with its decoded schemas: `key` for the keys (`None` if its records have none), and
/// `value` for the records in its values. Changes nothing.
///
/// # Errors
/// Retry while the database is unavailable; fatal if the topic cannot have a table, or the keys cannot be a primary
/// key.
pub async fn preflight(
    config: &PostgresSinkConfig,
    topic: &str,
    key: Option<Arc<Schema>>,
    value: Arc<Schema>,
) -> Result<Vec<Preflight>> {
    let client = connect(config, "towpath/preflight").await?;
    let (name, _) = place::find(&client, &names(config, topic)?, topic).await?;
    let history = name.history();
    let schemas: Vec<_> = key.iter().cloned().chain([Arc::clone(&value)]).collect();
    if config.insert_mode == InsertMode::Insert {
        return Ok(vec![
            table(&client, DesiredTable::of_log((&name, topic), config, config.primary_key(), schemas)).await?,
        ]);
    }
    let keys = Keys::new(config.primary_key(), &config.pk_fields);
    let from_value = config.primary_key() == PrimaryKeyMode::RecordValue;
    let key_schemas = if from_value { vec![Arc::clone(&value)] } else { key.into_iter().collect() };
    let mut tables = Vec::new();
    if key_schemas.is_empty() {
        let what = "the topic's records have no key, and pk.mode=record_key takes the row's from it".to_owned();
        tables.push(Preflight { table: name.to_string(), makes: vec![], lacks: vec![what], mends: vec![] });
    } else {
        keys.require(&key_schemas).map_err(|problem| key_mismatch(&name, config.schema_mismatch, &problem))?;
        tables.push(
            table(&client, DesiredTable::of_state((&name, topic), config, keys, vec![value], key_schemas)?).await?,
        );
    }
    if config.history_enabled {
        tables.push(
            table(&client, DesiredTable::of_log((&history, topic), config, PrimaryKeyMode::Kafka, schemas)).await?,
        );
    }
    Ok(tables)
}

async fn table(client: &Client, mut desired: DesiredTable<'_>) -> Result<Preflight> {
    let diff = diff(client, &mut desired).await?;
    let desired = &desired;
    let name = desired.name;
    let mut makes = Vec::new();
    if diff.exists {
        makes.extend(diff.widened.iter().map(|widening| widening.sql(name)));
        makes.extend(diff.loosened.iter().map(|loosening| ddl::drop_not_null(name, &loosening.column)));
        makes.extend(
            (!diff.missing.is_empty())
                .then(|| ddl::add_columns(name, &diff.missing, desired.purpose == Purpose::State)),
        );
        makes.extend(
            (!diff.missing_metadata.is_empty()).then(|| ddl::add_metadata_columns(name, &diff.missing_metadata)),
        );
    } else if diff.mismatches.is_empty() {
        makes.push(ddl::create(desired, diff.has_schema, &diff.missing));
    }
    let mut mends = diff.remedies();
    let mut lacks: Vec<String> = diff.mismatches.into_iter().map(|mismatch| mismatch.problem).collect();
    if let Some((what, grant)) = missing_rights(client, desired, diff.exists, !makes.is_empty()).await? {
        lacks.push(what);
        mends.push(grant);
    }
    Ok(Preflight { table: name.to_string(), makes, lacks, mends })
}

/// The right that the role needs and lacks, and the statement that grants it.
async fn missing_rights(
    client: &Client,
    desired: &DesiredTable<'_>,
    exists: bool,
    makes: bool,
) -> Result<Option<(String, String)>> {
    let name = desired.name;
    let sql = "SELECT current_user::text,
                      CASE WHEN to_regnamespace($2) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
                           ELSE has_schema_privilege(to_regnamespace($2)::oid,
                                CASE WHEN $3 THEN 'USAGE' ELSE 'CREATE' END) END,
                      NOT $3 OR has_table_privilege(to_regclass($1)::oid, 'SELECT, INSERT')
                        AND has_table_privilege(to_regclass($1)::oid, 'INSERT')
                          AND ($4 OR has_table_privilege(to_regclass($1)::oid, 'UPDATE')),
                      NOT $3 OR NOT $5 OR pg_has_role(
                          (SELECT relowner FROM pg_class WHERE oid = to_regclass($1)), 'USAGE')";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&name.sql(), &crate::name::quoted(&name.schema), &exists, &(desired.purpose == Purpose::Log), &makes];
    let row = client.query_one(sql, &parameters).await;
    let row = row.map_err(|error| setup_error(format!("read the rights on table {name}"), error))?;
    let (role, schema, table, owner): (String, bool, bool, bool) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let grant = |grant: String| Some((format!("role `{role}` lacks rights"), grant));
    let role_name = crate::name::quoted(&role);
    Ok(if !schema {
        grant(format!(
            "GRANT CREATE ON DATABASE … TO {role_name}, or CREATE and USAGE on schema {}",
            crate::name::quoted(&name.schema)
        ))
    } else if !table {
        grant(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {role_name}", name.sql()))
    } else if !owner {
        grant(format!("ALTER TABLE {} OWNER TO {role_name}, or run its statements yourself", name.sql()))
    } else {
        None
    })
}
