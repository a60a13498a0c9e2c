//! Schema `towpath`: who owns a partition, and which offset comes next.
//!
//! `sink_partition` has one row for each partition of each sink. Its `epoch` is the fencing token, its `next_offset`
//! the first offset that is not applied yet. The row is locked by whoever changes it until the transaction ends, so a
//! claim waits for a batch in flight and then reads how that batch ended. `cluster_id` and the anchor tell whether the
//! topic is still the one that the offset was made for.

use tokio_postgres::{Client, Row, Statement, types::ToSql};
use towpath_api::{Anchor, Batch, Beginning, Claim, Error, ErrorType, Result, StoredOffset, TopicPartition, failpoint};

use crate::{fencing::is_fenced, name::TableName, sqlstate::database_error, table::DDL_LOCK};

const CREATE: &str = r#"
CREATE SCHEMA IF NOT EXISTS towpath;
CREATE TABLE IF NOT EXISTS towpath.sink_partition (
    sink        text        NOT NULL,
    topic       text        NOT NULL,
    partition   integer     NOT NULL CHECK (partition >= 0),
    next_offset bigint      NOT NULL CHECK (next_offset >= 0),
    epoch       bigint      NOT NULL CHECK (epoch > 0),
    owner       text        NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (sink, topic, partition)
) WITH (fillfactor = 50);
ALTER TABLE towpath.sink_partition
    ADD COLUMN IF NOT EXISTS cluster_id    text,
    ADD COLUMN IF NOT EXISTS anchor_offset bigint,
    ADD COLUMN IF NOT EXISTS anchor_hash   bytea;
COMMENT ON TABLE  towpath.sink_partition IS 'One row a partition: what is applied, and who may apply the next.';
COMMENT ON COLUMN towpath.sink_partition.next_offset IS 'The first Kafka offset that is not applied yet.';
COMMENT ON COLUMN towpath.sink_partition.epoch IS 'Fencing token: grows with each claim; a batch of an older claim changes nothing.';
COMMENT ON COLUMN towpath.sink_partition.cluster_id IS 'The Kafka cluster that the topic is in.';
COMMENT ON COLUMN towpath.sink_partition.anchor_offset IS 'The last record that was applied, by which the topic is known again. Null: it is not checked.';
COMMENT ON COLUMN towpath.sink_partition.anchor_hash IS 'SHA-256 of that record: key, value and timestamp.';
CREATE TABLE IF NOT EXISTS towpath.dead_letter (
    sink         text        NOT NULL,
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    "offset"     bigint      NOT NULL,
    stage        text        NOT NULL,
    error_code   text        NOT NULL,
    error_text   text        NOT NULL,
    key          bytea,
    value        bytea,
    headers      jsonb       NOT NULL DEFAULT '[]',
    record_time  timestamptz,
    first_seen   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (sink, topic, partition, "offset")
);
ALTER TABLE towpath.dead_letter ADD COLUMN IF NOT EXISTS published_at timestamptz;
CREATE INDEX IF NOT EXISTS dead_letter_unpublished ON towpath.dead_letter (sink, topic, partition, "offset") WHERE published_at IS NULL;
COMMENT ON COLUMN towpath.dead_letter.published_at IS 'When the topic of errors.deadletterqueue.topic.name got it.';
COMMENT ON TABLE  towpath.dead_letter IS 'Records that could not be applied, as they came, with the reason.';
COMMENT ON COLUMN towpath.dead_letter.headers IS 'Pairs of name and value, in order; a value is text, or {"hex": "\x…"} where it is not UTF-8, or null.';
CREATE TABLE IF NOT EXISTS towpath.tables (
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    topic        text        NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_schema, table_name)
);
COMMENT ON TABLE  towpath.tables IS 'Which topic fills which table: offsets of two topics say nothing about each other, so a table has one.';
CREATE TABLE IF NOT EXISTS towpath.columns (
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    field        text        NOT NULL,
    column_name  text        NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_schema, table_name, field),
    UNIQUE (table_schema, table_name, column_name)
);
COMMENT ON TABLE  towpath.columns IS 'Which column holds which field; fixed when the field is first seen.';
"#;

/// Makes what is missing of schema `towpath`. Safe to run from many connections at once.
pub(crate) async fn ensure(client: &Client) -> Result<()> {
    let exists = client
        .query_one(
            // The newest column of a table tells that all of it is there, also where an older version made the table.
            "SELECT to_regclass('towpath.columns') IS NOT NULL AND to_regclass('towpath.tables') IS NOT NULL
                AND (SELECT count(*) = 2 FROM pg_attribute WHERE NOT attisdropped
                    AND (attrelid = to_regclass('towpath.sink_partition') AND attname = 'anchor_hash'
                        OR attrelid = to_regclass('towpath.dead_letter') AND attname = 'published_at'))",
            &[],
        )
        .await
        .map_err(|error| database_error("look for schema towpath", error))?;
    if exists.get(0) {
        return Ok(());
    }
    // One message, so one transaction: the lock goes with it.
    let sql = format!("SELECT pg_advisory_xact_lock({DDL_LOCK}); {CREATE}");
    client.batch_execute(&sql).await.map_err(|error| database_error("create schema towpath", error))
}

/// Begins a batch. The compare-and-set is sent right behind it and would stand alone, and be committed alone, should
/// this be cancelled; so it asks for the mark, which ends with the transaction.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL towpath.in_batch = 'yes'";

/// The first statement of each batch. It must change one row: the caller's claim is the newest, and nothing was applied
/// since.
pub(crate) const COMPARE_AND_SET: &str = "UPDATE towpath.sink_partition
    SET next_offset = $4, anchor_offset = $7, anchor_hash = $8, updated_at = clock_timestamp()
    WHERE sink = $1 AND topic = $2 AND partition = $3 AND next_offset = $5 AND epoch = $6
      AND current_setting('towpath.in_batch', true) = 'yes'";

/// Runs [`COMPARE_AND_SET`], prepared as `statement`; tells whether it changed its row.
pub(crate) async fn compare_and_set(
    client: &Client,
    statement: &Statement,
    sink: &str,
    claim: &Claim,
    batch: &Batch,
) -> Result<bool, tokio_postgres::Error> {
    let TopicPartition { topic, partition } = &batch.partition;
    let anchor = batch.anchor.as_ref();
    let (offset, hash) = (anchor.map(|anchor| anchor.offset), anchor.map(|anchor| &anchor.hash[..]));
    let parameters: [&(dyn ToSql + Sync); 8] =
        [&sink, &&**topic, partition, &batch.to, &batch.from, &claim.epoch, &offset, &hash];
    Ok(client.execute(statement, &parameters).await? == 1)
}

/// Takes a partition over, waiting for the transaction of an older owner to end.
///
/// # Errors
/// Fenced when `previous` is given and somebody else has claimed since; fatal when another topic fills the table, or
/// when the partition is known from another cluster.
#[expect(clippy::too_many_arguments, reason = "all that a claim names")]
pub(crate) async fn claim(
    client: &mut Client,
    sink: &str,
    owner: &str,
    table: &TableName,
    companions: &[TableName],
    partition: &TopicPartition,
    beginning: &Beginning,
    previous: Option<&Claim>,
) -> Result<Claim> {
    let failed = |error| database_error(format!("claim {partition}"), error);
    let transaction = client.transaction().await.map_err(failed)?;
    let held = transaction
        .query_opt(
            "SELECT epoch, owner, cluster_id FROM towpath.sink_partition WHERE sink = $1 AND topic = $2 AND partition = $3 FOR UPDATE",
            &[&sink, &&*partition.topic, &partition.partition],
        )
        .await
        .map_err(failed)?;
    let cluster_id = held.as_ref().and_then(|row| row.get::<_, Option<&str>>(2));
    beginning.refuse_other_cluster(partition, cluster_id)?;
    let (held, holder) = held.as_ref().map_or((0, ""), |row| (row.get::<_, i64>(0), row.get(1)));
    let mine = previous.map_or(0, |previous| previous.epoch);
    // A claim of our own whose answer was lost has raised the epoch as well: nobody else has our name.
    if previous.is_some() && is_fenced(held, holder, mine, owner) {
        return Err(Error::fenced(
            "postgres.fenced",
            format!(
                "claim {partition} again: {holder} has it with epoch {held}, this task had {mine}; another worker runs this connector"
            ),
        ));
    }
    // A database restored to an older copy holds a smaller epoch than ours; the next one must be greater than both.
    let row = transaction
        .query_one(
            "INSERT INTO towpath.sink_partition AS p (sink, topic, partition, next_offset, epoch, owner, cluster_id)
             VALUES ($1, $2, $3, $4, $5::bigint + 1, $6, $7)
             ON CONFLICT (sink, topic, partition) DO UPDATE
               SET epoch = greatest(p.epoch, $5::bigint) + 1, owner = EXCLUDED.owner, updated_at = clock_timestamp(),
                   cluster_id = coalesce(p.cluster_id, EXCLUDED.cluster_id)
             RETURNING epoch, next_offset, anchor_offset, anchor_hash",
            &[
                &sink,
                &&*partition.topic,
                &partition.partition,
                &beginning.earliest,
                &mine,
                &owner,
                &beginning.cluster_id.as_deref(),
            ],
        )
        .await
        .map_err(failed)?;
    // The table and what lies companions it. The update that changes nothing returns the row that is there, whoever made
    // it.
    let names: Vec<String> = companions.iter().chain([table]).map(|name| name.table.clone()).collect();
    let taken = transaction
        .query(
            "INSERT INTO towpath.tables AS t (table_schema, table_name, topic) SELECT $1, name, $3 FROM unnest($2::text[]) AS name
             ON CONFLICT (table_schema, table_name) DO UPDATE SET topic = t.topic RETURNING topic",
            &[&table.schema, &names, &&*partition.topic],
        )
        .await
        .map_err(failed)?;
    if let Some(topic) = taken.iter().map(|row| row.get::<_, &str>(0)).find(|topic| *topic != &*partition.topic) {
        return Err(Error::fatal(
            "postgres.table_taken",
            ErrorType::Config,
            format!(
                "claim {partition}: its table {table}, or its view or history, belongs to topic `{topic}` (towpath.tables), and two topics cannot \
                 share a table; nothing was written, change `table.name.format` or leave one of the topics out"
            ),
        ));
    }
    transaction.commit().await.map_err(failed)?;
    failpoint::hit("after_claim").await?;
    let anchor = anchor(&row, 2);
    let (epoch, next_offset) = (row.get(0), row.get(1));
    Ok(Claim { partition: partition.clone(), epoch, next_offset, anchor, target: table.to_string().into() })
}

/// The anchor in the columns `anchor_offset` and `anchor_hash`, of which `at` is the first.
fn anchor(row: &Row, at: usize) -> Option<Anchor> {
    let (offset, hash) = (row.get::<_, Option<i64>>(at), row.get::<_, Option<&[u8]>>(at + 1));
    offset.zip(hash.and_then(|hash| hash.try_into().ok())).map(|(offset, hash)| Anchor { offset, hash })
}

/// The stored offset of each partition of `sink`.
pub(crate) async fn positions(client: &Client, sink: &str) -> Result<Vec<StoredOffset>> {
    let sql =
        "SELECT topic, partition, next_offset, epoch, owner, anchor_offset, anchor_hash FROM towpath.sink_partition
               WHERE sink = $1 ORDER BY topic, partition";
    let rows = client.query(sql, &[&sink]).await.map_err(|error| database_error("read the stored offsets", error))?;
    let stored = |row: &Row| StoredOffset {
        partition: TopicPartition { topic: row.get::<_, &str>(0).into(), partition: row.get(1) },
        next_offset: row.get(2),
        epoch: row.get(3),
        anchor: anchor(row, 5),
        owner: row.get(4),
    };
    Ok(rows.iter().map(stored).collect())
}

/// Sets the next offset of a partition under a new epoch, waiting for the transaction of an owner to end.
pub(crate) async fn seek(
    client: &mut Client,
    sink: &str,
    owner: &str,
    partition: &TopicPartition,
    to: i64,
    anchor: Option<Anchor>,
) -> Result<()> {
    let (offset, hash) = (anchor.map(|anchor| anchor.offset), anchor.as_ref().map(|anchor| &anchor.hash[..]));
    let sql = "INSERT INTO towpath.sink_partition AS p (sink, topic, partition, next_offset, epoch, owner, anchor_offset, anchor_hash)
               VALUES ($1, $2, $3, $4, 1, $5, $6, $7)
               ON CONFLICT (sink, topic, partition) DO UPDATE
                 SET next_offset = EXCLUDED.next_offset, epoch = p.epoch + 1, owner = EXCLUDED.owner,
                     anchor_offset = EXCLUDED.anchor_offset, anchor_hash = EXCLUDED.anchor_hash, updated_at = clock_timestamp()";
    client
        .execute(sql, &[&sink, &&*partition.topic, &partition.partition, &to, &owner, &offset, &hash])
        .await
        .map(drop)
        .map_err(|error| database_error(format!("set the offset of {partition}"), error))
}

/// Why a compare-and-set changed nothing: somebody else has the partition, or the database went back to an older copy.
pub(crate) async fn lost_claim_error(client: &Client, sink: &str, owner: &str, claim: &Claim, batch: &Batch) -> Error {
    let TopicPartition { topic, partition } = &batch.partition;
    let doing = format!("apply offsets {}..{} of {}; nothing was written", batch.from, batch.to, batch.partition);
    let sql = "SELECT epoch, next_offset, owner FROM towpath.sink_partition WHERE sink = $1 AND topic = $2 AND partition = $3";
    match client.query_opt(sql, &[&sink, &&**topic, partition]).await {
        Err(error) => database_error(doing, error),
        Ok(Some(row)) if is_fenced(row.get(0), row.get(2), claim.epoch, owner) => Error::fenced(
            "postgres.fenced",
            format!(
                "{doing}: {} has claimed the partition (epoch {}, ours {})",
                row.get::<_, &str>(2),
                row.get::<_, i64>(0),
                claim.epoch
            ),
        ),
        Ok(Some(row)) => Error::retry(
            "postgres.offset_moved",
            ErrorType::Conflict,
            format!("{doing}: the stored offset is {}; going on from there", row.get::<_, i64>(1)),
        ),
        Ok(None) => Error::retry(
            "postgres.offset_moved",
            ErrorType::Conflict,
            format!("{doing}: the partition has no row in towpath.sink_partition any more"),
        ),
    }
}

/// What a role cannot do without, said once at connect.
pub(crate) async fn require_primary(client: &Client) -> Result<()> {
    let row = client
        .query_one("SELECT pg_is_in_recovery(), current_setting('server_version_num')::integer", &[])
        .await
        .map_err(|error| database_error("ask the server for its version", error))?;
    if row.get(0) {
        return Err(Error::retry(
            "postgres.read_only",
            ErrorType::Unavailable,
            "write to a server that is a standby; waiting for it to be promoted",
        ));
    }
    let version: i32 = row.get(1);
    if version < 120_000 {
        return Err(Error::fatal(
            "postgres.version",
            ErrorType::Config,
            format!("work with server version {version}; PostgreSQL 12 or newer is needed"),
        ));
    }
    Ok(())
}
