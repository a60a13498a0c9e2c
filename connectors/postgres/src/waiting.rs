//! Records that wait for a row they refer to: in `towpath.waiting`, with their bytes, from the transaction that moves
//! the offset past them to the transaction that writes them or dead-letters them.
//!
//! The table is the only memory of a wait, so a crash ends none and repeats none. A wait begins and ends only after the
//! compare-and-set of the partition, which excludes every older claim. Only records at or after the stored offset are
//! removed without it: they are read again.

use std::{collections::HashSet, time::Duration};

use tokio_postgres::{Client, Row, types::ToSql};
use towpath_api::{Arena, Batch, Body, Error, ErrorType, Payload, Record, Result, TopicPartition, WaitingRecord};

use crate::{
    codes,
    dead_letter::{self, DeadLetter},
    sqlstate::database_error,
};

/// Maximum waiting records of a partition. If more would wait, the whole batch is retried instead: then its table is
/// probably filled before the table that it refers to, and the other partitions continue.
const MOST: usize = 1_000;
/// Maximum bytes of the waiting records of a partition, all of which are read with each batch.
const MOST_BYTES: usize = 8 << 20;

pub(crate) const CREATE: &str = r#"
CREATE TABLE IF NOT EXISTS towpath.waiting (
    sink          text        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    "offset"      bigint      NOT NULL,
    key           bytea,
    value         bytea,
    header_names  bytea[]     NOT NULL,
    header_values bytea[]     NOT NULL,
    record_time   bigint      NOT NULL,
    since         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (sink, topic, partition, "offset")
);
COMMENT ON TABLE towpath.waiting
    IS 'Records that wait for a row they refer to, or behind such a record of their key; until errors.retry.timeout.';
"#;

/// The waiting records of a partition. Forgets those from the next offset on: the offset was set back, and they are
/// read from the topic again.
pub(crate) async fn read(client: &Client, sink: &str, partition: &TopicPartition) -> Result<Vec<WaitingRecord>> {
    let rows = client
        .query(
            r#"WITH reread AS (
                 DELETE FROM towpath.waiting AS w USING towpath.sink_partition AS p
                 WHERE w.sink = $1 AND w.topic = $2 AND w.partition = $3
                   AND p.sink = $1 AND p.topic = $2 AND p.partition = $3 AND w."offset" >= p.next_offset)
               SELECT w."offset", w.record_time, w.key, w.value, w.header_names, w.header_values, w.since
               FROM towpath.waiting AS w JOIN towpath.sink_partition AS p USING (sink, topic, partition)
               WHERE sink = $1 AND topic = $2 AND partition = $3 AND w."offset" < p.next_offset ORDER BY 1"#,
            &[&sink, &&*partition.topic, &partition.partition],
        )
        .await
        .map_err(|error| database_error(format!("read the waiting records of {partition}"), error))?;
    Ok(rows.iter().map(record).collect())
}

fn record(row: &Row) -> WaitingRecord {
    let (names, values): (Vec<Vec<u8>>, Vec<Option<Vec<u8>>>) = (row.get(4), row.get(5));
    let names = names.iter().map(|name| String::from_utf8_lossy(name).into_owned());
    WaitingRecord {
        offset: row.get(0),
        timestamp_ms: row.get(1),
        key: row.get(2),
        value: row.get(3),
        headers: names.zip(values).collect(),
        since: row.get(6),
    }
}

/// Returns true if `waiting`, records of `batch`, are more than may wait alone.
pub(crate) fn are_too_many(batch: &Batch, waiting: &[Record]) -> bool {
    let size = |record: &Record| {
        let Payload { key, value, headers } = record.payload;
        [key, value, Some(headers)].into_iter().flatten().map(|span| batch.arena.get(span).len()).sum::<usize>()
    };
    waiting.len() > MOST || waiting.iter().map(size).sum::<usize>() > MOST_BYTES
}

/// Ends the wait of the records from `to` on, whose offsets are those of other records now: the topic has them no more,
/// so they become dead letters. Part of the transaction that sets the offset. Returns their number.
pub(crate) async fn supersede(client: &Client, sink: &str, partition: &TopicPartition, to: i64) -> Result<u64> {
    let sql = r#"WITH ended AS (
                   DELETE FROM towpath.waiting WHERE sink = $1 AND topic = $2 AND partition = $3 AND "offset" >= $4
                   RETURNING "offset", record_time, key, value, header_names, header_values, since)
                 SELECT * FROM ended ORDER BY 1"#;
    let rows = client.query(sql, &[&sink, &&*partition.topic, &partition.partition, &to]).await;
    let rows = rows.map_err(|error| database_error(format!("end the waits of {partition}"), error))?;
    let (mut arena, mut records) = (Arena::default(), Vec::with_capacity(rows.len()));
    for ended in rows.iter().map(record) {
        let payload = ended.copy_into(&mut arena);
        let WaitingRecord { offset, timestamp_ms, .. } = ended;
        records.push(Record { offset, timestamp_ms, body: Body::Filtered, payload });
    }
    let letters: Vec<_> = records.iter().map(DeadLetter::waited_for_a_topic_that_is_gone).collect();
    let batch = Batch { partition: partition.clone(), from: to, to, anchor: None, records: Vec::new(), arena };
    dead_letter::store(client, sink, &batch, &letters).await?;
    Ok(rows.len() as u64)
}

/// The offsets whose wait has lasted longer than `limit`.
pub(crate) async fn overdue(
    client: &Client,
    sink: &str,
    partition: &TopicPartition,
    limit: Option<Duration>,
) -> Result<HashSet<i64>> {
    let Some(limit) = limit else { return Ok(HashSet::new()) };
    let sql = r#"SELECT "offset" FROM towpath.waiting WHERE sink = $1 AND topic = $2 AND partition = $3
                   AND since < clock_timestamp() - $4::double precision * interval '1 second'"#;
    let rows = client.query(sql, &[&sink, &&*partition.topic, &partition.partition, &limit.as_secs_f64()]).await;
    let rows = rows.map_err(|error| database_error(format!("read the waiting records of {partition}"), error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Ends the wait of the records of `batch` that have waited, and begins or continues that of `waiting`, which are not
/// in `batch`. Part of the batch's transaction.
///
/// # Errors
/// Fatal if somebody else has ended a wait: the batch must be dropped, and the waiting records read again.
pub(crate) async fn settle(client: &Client, sink: &str, batch: &Batch, waiting: &[Record]) -> Result<()> {
    let TopicPartition { topic, partition } = &batch.partition;
    let failed = |error| database_error(format!("keep the waiting records of {}", batch.partition), error);
    let offsets: Vec<i64> =
        batch.records.iter().map(|record| record.offset).take_while(|offset| *offset < batch.from).collect();
    if !offsets.is_empty() {
        let sql = r#"DELETE FROM towpath.waiting
                     WHERE sink = $1 AND topic = $2 AND partition = $3 AND "offset" = ANY ($4)"#;
        let ended = client.execute(sql, &[&sink, &&**topic, partition, &offsets]).await.map_err(failed)?;
        if ended != offsets.len() as u64 {
            let doing = format!("apply waiting records of {}: their wait has ended meanwhile", batch.partition);
            return Err(Error::fatal(codes::OFFSET_MOVED, ErrorType::Conflict, doing)
                .with_help("rows of `towpath.waiting` were deleted by hand; the partition goes on without them"));
        }
    }
    for record in waiting.iter().filter(|record| record.offset >= batch.from) {
        let piece = |span| batch.arena.get(span);
        let headers = batch.arena.headers(record.payload.headers);
        let (names, values): (Vec<&[u8]>, Vec<Option<&[u8]>>) =
            headers.map(|(name, value)| (name.as_bytes(), value)).unzip();
        let parameters: [&(dyn ToSql + Sync); 9] = [
            &sink,
            &&**topic,
            partition,
            &record.offset,
            &record.payload.key.map(piece),
            &record.payload.value.map(piece),
            &names,
            &values,
            &record.timestamp_ms,
        ];
        let sql = r#"INSERT INTO towpath.waiting
                       (sink, topic, partition, "offset", key, value, header_names, header_values, record_time)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"#;
        client.execute(sql, &parameters).await.map_err(failed)?;
    }
    Ok(())
}
