//! Schema `towpath`: the owner and the next offset of each partition.
//!
//! `sink_partition` has one row for each partition of each sink. Its `epoch` is the fencing token; its `next_offset` is
//! the first offset not yet applied. A transaction that changes the row locks it until its end, so a claim waits for a
//! batch in flight and then reads the outcome of that batch. `cluster_id` and the anchor show whether the topic is
//! still the one that the offset refers to.

use std::sync::Once;

use tokio_postgres::{Client, Statement, error::SqlState, types::ToSql};
use towpath_api::{Batch, Beginning, Claim, DeadLetterStreak, Error, ErrorType, Result, TopicPartition, failpoint};

use crate::{
    codes,
    fencing::is_fenced,
    name::TableName,
    offsets::anchor_in,
    sqlstate::database_error,
    table::{DDL_LOCK, schema_changes},
    waiting,
};

const CREATE: &str = r#"
DO $$ BEGIN
    IF to_regnamespace('towpath') IS NULL THEN
        CREATE SCHEMA towpath;
    END IF;
END $$;
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
COMMENT ON TABLE  towpath.sink_partition IS 'One row per partition: the next offset, and the owner that may apply it.';
COMMENT ON COLUMN towpath.sink_partition.next_offset IS 'The first Kafka offset that is not applied yet.';
COMMENT ON COLUMN towpath.sink_partition.epoch
    IS 'Fencing token: grows with each claim; a batch of an older claim changes nothing.';
COMMENT ON COLUMN towpath.sink_partition.cluster_id
    IS 'The Kafka cluster of the topic. Null: the next claim stores the cluster that it finds.';
COMMENT ON COLUMN towpath.sink_partition.anchor_offset
    IS 'The last applied record, by which the topic is recognized. Null: the topic is not checked.';
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
ALTER TABLE towpath.dead_letter
    ADD COLUMN IF NOT EXISTS published_at  timestamptz,
    ADD COLUMN IF NOT EXISTS publish_error text,
    ADD COLUMN IF NOT EXISTS generation    integer NOT NULL DEFAULT 0;
DO $$ DECLARE old text; BEGIN
    SELECT conname INTO old FROM pg_constraint
        WHERE conrelid = 'towpath.dead_letter'::regclass AND contype = 'p' AND cardinality(conkey) = 4;
    IF FOUND THEN
        EXECUTE format('ALTER TABLE towpath.dead_letter DROP CONSTRAINT %I, '
            'ADD PRIMARY KEY (sink, topic, partition, "offset", generation)', old);
    END IF;
END $$;
COMMENT ON COLUMN towpath.dead_letter.generation
    IS 'Counts the records that the offset has had: the topic was truncated or re-created in between.';
CREATE INDEX IF NOT EXISTS dead_letter_unpublished ON towpath.dead_letter (sink, topic, partition, "offset")
    WHERE published_at IS NULL;
COMMENT ON COLUMN towpath.dead_letter.published_at
    IS 'When it was written to the topic of errors.deadletterqueue.topic.name.';
COMMENT ON COLUMN towpath.dead_letter.publish_error
    IS 'Why that topic will never accept it. Set it to null to try again.';
COMMENT ON TABLE  towpath.dead_letter IS 'Records that could not be applied, unchanged, with the reason.';
COMMENT ON COLUMN towpath.dead_letter.headers
    IS 'Pairs of name and value, in order, each text, or {"hex": "\x00"} where it is not UTF-8; a value may be null.';
CREATE TABLE IF NOT EXISTS towpath.tables (
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    topic        text        NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_schema, table_name)
);
COMMENT ON TABLE  towpath.tables
    IS 'The topic that fills each table. A table has one topic, because offsets of two topics cannot be compared.';
CREATE TABLE IF NOT EXISTS towpath.columns (
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    field        text        NOT NULL,
    column_name  text        NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_schema, table_name, field),
    UNIQUE (table_schema, table_name, column_name)
);
COMMENT ON TABLE  towpath.columns IS 'The column of each field; fixed when the field is first seen.';
"#;

/// What the sink works without, if it may not create it: see `Notes` in `table/catalog.rs`.
const CREATE_NOTES: &str = "
ALTER TABLE towpath.columns
    ADD COLUMN IF NOT EXISTS mixed       boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS labelled_ms bigint;
ALTER TABLE towpath.tables
    ADD COLUMN IF NOT EXISTS truncated_ts  bigint,
    ADD COLUMN IF NOT EXISTS truncated_seq bigint;
COMMENT ON COLUMN towpath.tables.truncated_ts
    IS 'Version of the last truncate, with truncated_seq: older records are stale.';
COMMENT ON COLUMN towpath.columns.mixed
    IS 'The column is jsonb because the field has values of several types; a text in it is a JSON string.';
COMMENT ON COLUMN towpath.columns.labelled_ms
    IS 'Time of the record whose schema gave the column its comment, in milliseconds since 1970.';
";

/// Creates whatever schema `towpath` lacks. Safe to run from many connections at once.
pub(crate) async fn ensure(client: &Client) -> Result<()> {
    let exists = client
        .query_one(
            // If the newest column of a table exists, so does all of it, even if an older version created the table.
            "SELECT to_regclass('towpath.columns') IS NOT NULL AND to_regclass('towpath.tables') IS NOT NULL
                AND to_regclass('towpath.waiting') IS NOT NULL
                AND (SELECT count(*) = 3 FROM pg_attribute WHERE NOT attisdropped
                    AND (attrelid = to_regclass('towpath.sink_partition') AND attname = 'anchor_hash'
                        OR attrelid = to_regclass('towpath.dead_letter')
                            AND attname IN ('generation', 'publish_error'))),
                to_regclass('towpath.schema_changes') IS NOT NULL
                AND (SELECT count(*) = 2 FROM pg_attribute WHERE NOT attisdropped
                    AND (attrelid = to_regclass('towpath.columns') AND attname = 'labelled_ms'
                        OR attrelid = to_regclass('towpath.tables') AND attname = 'truncated_seq'))",
            &[],
        )
        .await
        .map_err(|error| database_error("look up schema towpath", error))?;
    // One message is one transaction, which releases the lock at its end.
    let locked = |sql: &str| format!("SELECT pg_advisory_xact_lock({DDL_LOCK}); {sql}");
    if !exists.get::<_, bool>(0) {
        let created = client.batch_execute(&locked(&format!("{CREATE} {}", waiting::CREATE))).await;
        created.map_err(|error| database_error("create schema towpath", error))?;
    }
    if exists.get(1) {
        return Ok(());
    }
    match client.batch_execute(&locked(&format!("{CREATE_NOTES} {}", schema_changes::CREATE))).await {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                tracing::warn!(
                    error = %error,
                    "the role may not create towpath.schema_changes or alter towpath.columns and towpath.tables: \
                     changes of columns are not noted, labels of columns are not updated, no column becomes jsonb, \
                     and truncates with a version are not applied; let the owner of \
                     schema towpath run a worker once, or run: {CREATE_NOTES} {}", schema_changes::CREATE
                );
            });
            Ok(())
        }
        created => created.map_err(|error| database_error("create towpath.schema_changes", error)),
    }
}

/// Begins a batch. The compare-and-set is sent right after it. If the server cancelled this statement, the
/// compare-and-set would run and commit alone; so it requires this setting, which ends with the transaction.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL towpath.in_batch = 'yes'";

/// The first statement of each batch. It changes one row if the caller's claim is the newest and nothing was applied
/// since.
pub(crate) const COMPARE_AND_SET: &str = "UPDATE towpath.sink_partition
    SET next_offset = $4, anchor_offset = CASE WHEN $4::bigint > $5::bigint THEN $7 ELSE anchor_offset END,
      anchor_hash = CASE WHEN $4::bigint > $5::bigint THEN $8 ELSE anchor_hash END, updated_at = clock_timestamp()
    WHERE sink = $1 AND topic = $2 AND partition = $3 AND next_offset = $5 AND epoch = $6
      AND pg_catalog.current_setting('towpath.in_batch', true) = 'yes'";

const FENCED_HELP: &str = "stop one of the two workers that run this connector, then restart the task on the other";

/// Runs [`COMPARE_AND_SET`], prepared as `statement`. Returns true if it changed its row.
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

/// Takes a partition over after the transaction of the earlier owner has ended.
///
/// # Errors
/// Fenced if `previous` is given and another owner has claimed since; fatal if another topic fills the table, or if the
/// stored cluster is another.
#[expect(clippy::too_many_arguments, reason = "the parts of a claim")]
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
            "SELECT epoch, owner, cluster_id FROM towpath.sink_partition
             WHERE sink = $1 AND topic = $2 AND partition = $3 FOR UPDATE",
            &[&sink, &&*partition.topic, &partition.partition],
        )
        .await
        .map_err(failed)?;
    let cluster_id = held.as_ref().and_then(|row| row.get::<_, Option<&str>>(2));
    beginning.refuse_other_cluster(partition, cluster_id)?;
    let (held, holder) = held.as_ref().map_or((0, ""), |row| (row.get::<_, i64>(0), row.get(1)));
    let mine = previous.map_or(0, |previous| previous.epoch);
    // Our own claim whose answer was lost has also raised the epoch, under our name.
    if previous.is_some() && is_fenced(held, holder, mine, owner) {
        return Err(Error::fenced(
            codes::FENCED,
            format!(
                "claim {partition} again: {holder} has claimed it with epoch {held}, after this task's epoch {mine}"
            ),
        )
        .with_help(FENCED_HELP));
    }
    // A database restored from an older copy has a smaller epoch than ours; the next epoch must exceed both.
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
    // The table, its view and its history. The update changes nothing; it returns an existing row with its topic.
    let names: Vec<String> = companions.iter().chain([table]).map(|name| name.table.clone()).collect();
    let taken = transaction
        .query(
            "INSERT INTO towpath.tables AS t (table_schema, table_name, topic)
              SELECT $1, name, $3 FROM unnest($2::text[]) AS name
             ON CONFLICT (table_schema, table_name) DO UPDATE SET topic = t.topic RETURNING topic",
            &[&table.schema, &names, &&*partition.topic],
        )
        .await
        .map_err(failed)?;
    if let Some(topic) = taken.iter().map(|row| row.get::<_, &str>(0)).find(|topic| *topic != &*partition.topic) {
        return Err(Error::fatal(
            codes::TABLE_TAKEN,
            ErrorType::Config,
            format!(
                "claim {partition}: its table {table}, or the view or history of that table, belongs to topic \
                 `{topic}`, and two topics cannot share a table; nothing was written"
            ),
        )
        .with_help("change `table.name.format`, or leave out one of the topics"));
    }
    transaction.commit().await.map_err(failed)?;
    failpoint::hit("after_claim").await?;
    let anchor = anchor_in(&row, 2);
    let (epoch, next_offset) = (row.get(0), row.get(1));
    let (partition, target) = (partition.clone(), table.to_string().into());
    Ok(Claim { partition, epoch, next_offset, anchor, target, streak: DeadLetterStreak::default() })
}

/// Why a compare-and-set changed nothing: another owner has the partition, or the stored offset is another.
pub(crate) async fn lost_claim_error(client: &Client, sink: &str, owner: &str, claim: &Claim, batch: &Batch) -> Error {
    let TopicPartition { topic, partition } = &batch.partition;
    let doing = format!("apply offsets {}..{} of {}; nothing was written", batch.from, batch.to, batch.partition);
    let sql = "SELECT epoch, next_offset, owner FROM towpath.sink_partition
                   WHERE sink = $1 AND topic = $2 AND partition = $3";
    match client.query_opt(sql, &[&sink, &&**topic, partition]).await {
        Err(error) => database_error(doing, error),
        Ok(Some(row)) if is_fenced(row.get(0), row.get(2), claim.epoch, owner) => Error::fenced(
            codes::FENCED,
            format!(
                "{doing}: {} has claimed the partition (epoch {}, ours {})",
                row.get::<_, &str>(2),
                row.get::<_, i64>(0),
                claim.epoch
            ),
        )
        .with_help(FENCED_HELP),
        Ok(Some(row)) => Error::retry(
            codes::OFFSET_MOVED,
            ErrorType::Conflict,
            format!("{doing}: the stored offset is {}, and reading resumes there", row.get::<_, i64>(1)),
        ),
        Ok(None) => {
            Error::retry(codes::OFFSET_MOVED, ErrorType::Conflict, format!("{doing}: the stored offset is gone"))
        }
    }
}

/// Checks the server once per connection.
///
/// # Errors
/// Retry for a standby; fatal for a version before 12.
pub(crate) async fn require_primary(client: &Client) -> Result<()> {
    let row = client
        .query_one("SELECT pg_is_in_recovery(), current_setting('server_version_num')::integer", &[])
        .await
        .map_err(|error| database_error("read the version of the server", error))?;
    if row.get(0) {
        return Err(Error::retry(
            codes::READ_ONLY,
            ErrorType::Unavailable,
            "write to a standby; waiting for its promotion",
        ));
    }
    let version: i32 = row.get(1);
    if version < 120_000 {
        return Err(Error::fatal(
            codes::VERSION,
            ErrorType::Config,
            format!("work with server version {version}: PostgreSQL 12 is the oldest supported"),
        )
        .with_help("upgrade the server"));
    }
    Ok(())
}
