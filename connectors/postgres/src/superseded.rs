//! Rows of records that their topic no longer has, because it was truncated, or deleted and re-created.
//!
//! New records take the offsets of the old ones. Compared by offset, a new record would be older than a row that an old
//! one wrote, and a table of changes would already have it. So the rows of old records at or after the first new offset
//! become older than every new record, and changes move to another topic name. Dead letters need no change: a letter of
//! another record has its own generation. Records that wait for a row become dead letters. Nothing is deleted.

use tokio_postgres::{Client, Error as PgError, Transaction, types::ToSql};
use towpath_api::{Anchor, Result, Superseded, TopicPartition};

use crate::{
    codes,
    config::{PostgresSinkConfig, PrimaryKeyMode},
    connection::SearchPath,
    name::{TableName, quoted},
    offsets,
    sqlstate::setup_error,
    table::KAFKA_COLUMNS,
    waiting,
};

/// Large tables take long, and a policy must not hide rows: then the statement fails.
const SETTINGS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL row_security = off";

/// Rows of the present state that an old record has written. `$1` is the partition, `$2` the first new offset.
const STATE: &str = "_towpath_partition = $1 AND (_towpath_offset >= $2 OR _towpath_ts = 0 AND _towpath_seq >= $2)";
/// A version of the source stays. Partition -1 is that of rows older than every record of any partition, since a
/// re-created topic may have its keys in other partitions.
const END_STATE: &str = "_towpath_offset = least(_towpath_offset, $2 - 1),
    _towpath_seq = CASE WHEN _towpath_ts = 0 THEN least(_towpath_seq, $2 - 1) ELSE _towpath_seq END,
    _towpath_partition = CASE WHEN _towpath_ts = 0 AND $2 = 0 THEN -1 ELSE $1 END";
/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    State,
    Log,
}

/// A partition, and the table that its topic fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'t> {
    pub(crate) table: &'t TableName,
    pub(crate) config: &'t PostgresSinkConfig,
    pub(crate) partition: &'t TopicPartition,
}

impl Target<'_> {
    /// The key of a table of changes.
    fn log_key(&self) -> Vec<&str> {
        let renamed = self.config.primary_key() == PrimaryKeyMode::Kafka && !self.config.pk_fields.is_empty();
        if renamed { self.config.pk_fields.iter().map(String::as_str).collect() } else { KAFKA_COLUMNS.to_vec() }
    }
}

/// As [`offsets::seek`], and supersedes the rows of the table and of its history.
pub(crate) async fn seek(
    client: &mut Client,
    sink: &str,
    owner: &str,
    target: Target<'_>,
    to: i64,
    anchor: Option<Anchor>,
    count_only: bool,
) -> Result<Vec<Superseded>> {
    let partition = target.partition;
    offsets::refuse_while_running(client, sink, partition).await?;
    let failed = |error| setup_error(format!("supersede the rows of {partition}; nothing was changed"), error);
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(SETTINGS).await.map_err(failed)?;
    // First, because a claim waits for this row.
    let epoch = offsets::set(&transaction, sink, owner, partition, to, anchor).await?;
    let mut found = Vec::new();
    for name in [target.table, &target.table.history()] {
        let Some(holds) = holds(&transaction, target, name).await.map_err(failed)? else { continue };
        found.push(supersede(&transaction, target, name, holds, (to, epoch), count_only).await.map_err(failed)?);
    }
    found.push(dead_letters(&transaction, sink, partition, to).await.map_err(failed)?);
    let rows = waiting::supersede(transaction.client(), sink, partition, to).await?;
    if rows > 0 {
        let effect = format!("become dead letters (`{}`)", codes::WAITING_SUPERSEDED);
        found.push(Superseded { what: "waiting records".to_owned(), rows, effect });
    }
    if count_only {
        transaction.rollback().await.map_err(failed)?;
    } else {
        transaction.commit().await.map_err(failed)?;
    }
    Ok(found)
}

/// The kind of a table that the topic fills; `None` if no record is compared with its rows.
async fn holds(transaction: &Transaction<'_>, target: Target<'_>, name: &TableName) -> Result<Option<Holds>, PgError> {
    let sql = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0
                 AND NOT attisdropped AND EXISTS (SELECT FROM towpath.tables
                   WHERE table_schema = $2 AND table_name = $3 AND topic = $4)";
    let topic = &*target.partition.topic;
    let rows = transaction.query(sql, &[&name.sql(), &name.schema, &name.table, &topic]).await?;
    let columns: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    let has = |wanted: &[&str]| wanted.iter().all(|name| columns.contains(name));
    Ok(if has(&["_towpath_ts", "_towpath_seq", "_towpath_offset", "_towpath_partition"]) {
        Some(Holds::State)
    } else if has(&target.log_key()) {
        Some(Holds::Log)
    } else {
        None
    })
}

/// Changes or counts the rows of one table. `to` is the first new offset.
async fn supersede(
    transaction: &Transaction<'_>,
    target: Target<'_>,
    name: &TableName,
    holds: Holds,
    (to, epoch): (i64, i64),
    count_only: bool,
) -> Result<Superseded, PgError> {
    let TopicPartition { topic, partition } = target.partition;
    let (topic, apart) = (&**topic, format!("{topic}~{epoch}"));
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![partition, &to];
    let (which, change, effect) = match holds {
        Holds::State => {
            let effect = "stay, and are older than every new record".to_owned();
            (STATE.to_owned(), END_STATE.to_owned(), effect)
        }
        Holds::Log => {
            let key: Vec<_> = target.log_key().into_iter().map(quoted).collect();
            parameters.push(&topic);
            let which = format!("{} = $3 AND {} = $1 AND {} >= $2", key[0], key[1], key[2]);
            (which, format!("{} = $4", key[0]), format!("stay, and move to `{apart}` in column {}", key[0]))
        }
    };
    let table = name.sql();
    let rows = if count_only {
        let counted =
            transaction.query_one(&format!("SELECT count(*) FROM {table} WHERE {which}"), &parameters).await?;
        counted.get::<_, i64>(0).unsigned_abs()
    } else {
        if holds == Holds::Log {
            parameters.push(&apart);
        }
        transaction.batch_execute(SearchPath::OfRole.sql()).await?;
        let changed = transaction.execute(&format!("UPDATE {table} SET {change} WHERE {which}"), &parameters).await?;
        // Triggers and constraints that would wait for COMMIT.
        transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
        transaction.batch_execute(SearchPath::OfSink.sql()).await?;
        changed
    };
    Ok(Superseded { what: format!("rows of {name}"), rows, effect })
}

async fn dead_letters(
    transaction: &Transaction<'_>,
    sink: &str,
    partition: &TopicPartition,
    to: i64,
) -> Result<Superseded, PgError> {
    let sql = r#"SELECT count(*) FROM towpath.dead_letter
                 WHERE sink = $1 AND topic = $2 AND partition = $3 AND "offset" >= $4"#;
    let row = transaction.query_one(sql, &[&sink, &&*partition.topic, &partition.partition, &to]).await?;
    let effect = "stay; a new one at the same offset has a higher `generation`".to_owned();
    Ok(Superseded { what: "dead letters".to_owned(), rows: row.get::<_, i64>(0).unsigned_abs(), effect })
}
