//! Reads and sets the stored offsets of a connector, for `towpath offsets`.

use tokio_postgres::{Client, GenericClient, Row};
use towpath_api::{Anchor, Error, ErrorType, Result, StoredOffset, TopicPartition};

use crate::{
    codes,
    sqlstate::{database_error, setup_error},
};

/// The stored offset of each partition of `sink`, by topic and partition.
pub(crate) async fn positions(client: &Client, sink: &str) -> Result<Vec<StoredOffset>> {
    let sql =
        "SELECT topic, partition, next_offset, epoch, owner, anchor_offset, anchor_hash FROM towpath.sink_partition
               WHERE sink = $1 ORDER BY topic, partition";
    let rows = client.query(sql, &[&sink]).await.map_err(|error| database_error("read the stored offsets", error))?;
    let stored = |row: &Row| StoredOffset {
        partition: TopicPartition { topic: row.get::<_, &str>(0).into(), partition: row.get(1) },
        next_offset: row.get(2),
        epoch: row.get(3),
        anchor: anchor_in(row, 5),
        owner: row.get(4),
    };
    Ok(rows.iter().map(stored).collect())
}

/// The anchor in the columns `anchor_offset` and `anchor_hash`; `at` is the index of the first.
pub(crate) fn anchor_in(row: &Row, at: usize) -> Option<Anchor> {
    let (offset, hash) = (row.get::<_, Option<i64>>(at), row.get::<_, Option<&[u8]>>(at + 1));
    offset.zip(hash.and_then(|hash| hash.try_into().ok())).map(|(offset, hash)| Anchor { offset, hash })
}

/// Sets the next offset of a partition under a new epoch, after a transaction in flight has ended.
///
/// Clears the cluster, so that the next claim stores the cluster that it finds. A task that starts between the check
/// and the change is fenced by the new epoch.
///
/// # Errors
/// Fatal `postgres.connector_running` while another connection of this connector is open in the same database.
pub(crate) async fn seek(
    client: &Client,
    sink: &str,
    owner: &str,
    partition: &TopicPartition,
    to: i64,
    anchor: Option<Anchor>,
) -> Result<()> {
    refuse_while_running(client, sink, partition).await?;
    set(client, sink, owner, partition, to, anchor).await.map(drop)
}

/// Sets the next offset, and returns the new epoch.
pub(crate) async fn set(
    client: &impl GenericClient,
    sink: &str,
    owner: &str,
    partition: &TopicPartition,
    to: i64,
    anchor: Option<Anchor>,
) -> Result<i64> {
    let (offset, hash) = (anchor.map(|anchor| anchor.offset), anchor.as_ref().map(|anchor| &anchor.hash[..]));
    let sql = "INSERT INTO towpath.sink_partition AS p
                 (sink, topic, partition, next_offset, epoch, owner, anchor_offset, anchor_hash)
               VALUES ($1, $2, $3, $4, 1, $5, $6, $7)
               ON CONFLICT (sink, topic, partition) DO UPDATE
                 SET next_offset = EXCLUDED.next_offset, epoch = p.epoch + 1, owner = EXCLUDED.owner, cluster_id = NULL,
                     anchor_offset = EXCLUDED.anchor_offset, anchor_hash = EXCLUDED.anchor_hash,
                     updated_at = clock_timestamp()
               RETURNING epoch";
    client
        .query_one(sql, &[&sink, &&*partition.topic, &partition.partition, &to, &owner, &offset, &hash])
        .await
        .map(|row| row.get(0))
        .map_err(|error| setup_error(format!("set the offset of {partition} to {to}"), error))
}

/// All connections of a connector have the same application name, and a stopped connector has none.
pub(crate) async fn refuse_while_running(client: &Client, sink: &str, partition: &TopicPartition) -> Result<()> {
    // The server cuts long names, so ours is read back instead of built again.
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = current_setting('application_name')
                 AND pid <> pg_backend_pid()";
    let row = client.query_one(sql, &[]).await;
    let others: i64 = row.map_err(|error| database_error("look for connections of the connector", error))?.get(0);
    if others == 0 {
        return Ok(());
    }
    let doing = format!(
        "set the offset of {partition}: connector `{sink}` is running (other connections to the database: {others}); \
         nothing was changed"
    );
    Err(Error::fatal(codes::CONNECTOR_RUNNING, ErrorType::Conflict, doing)
        .with_help(format!("stop the worker that runs `{sink}`, then set the offset again")))
}
