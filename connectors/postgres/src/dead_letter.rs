//! Records that can never be applied: unchanged, with the reason, in `towpath.dead_letter`.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use tokio_postgres::Client;
use towpath_api::{Batch, Body, DeadLetterStreak, Error, ErrorType, Record, Result, json::hexadecimal};

use crate::{codes, fold::RowKind, key::Unkeyed, sqlstate::setup_error};

/// The end of the year 9999. A producer may set any time, and a time that Postgres cannot hold must not prevent the
/// dead letter.
const LAST_MILLISECOND: i64 = 253_402_300_799_999;

/// A record to be dead-lettered.
#[derive(Debug)]
pub(crate) struct DeadLetter<'a> {
    pub(crate) record: &'a Record,
    /// The stage at which the record failed: `decode_key`, `decode` or `apply`.
    pub(crate) stage: &'static str,
    pub(crate) code: &'static str,
    pub(crate) error_type: ErrorType,
    /// The reason, without any value of the record.
    pub(crate) reason: String,
}

impl<'a> DeadLetter<'a> {
    /// A record that cannot be decoded.
    pub(crate) fn undecodable(record: &'a Record) -> Self {
        let (code, reason, of_key) = match &record.body {
            Body::Undecodable { code, reason, of_key } => (*code, reason.clone(), *of_key),
            Body::Change(_) | Body::Tombstone(_) | Body::Filtered => (codes::DECODE_UNKNOWN, String::new(), false),
        };
        Self {
            record,
            stage: if of_key { "decode_key" } else { "decode" },
            code,
            error_type: ErrorType::Decode,
            reason,
        }
    }

    /// A record without a key.
    pub(crate) fn unkeyed(record: &'a Record, (code, reason): Unkeyed) -> Self {
        Self { record, stage: "apply", code, error_type: ErrorType::Mapping, reason: reason.to_owned() }
    }

    /// A record without the header that has the key.
    pub(crate) fn without_event_id(record: &'a Record) -> Self {
        let reason = "the record has no header `towpath_event_id`, and pk.mode=event_id needs one";
        Self::unkeyed(record, (codes::EVENT_ID_ABSENT, reason))
    }

    /// A truncate without a version, of a table with rows of several partitions.
    pub(crate) fn truncate_across_partitions(record: &'a Record) -> Self {
        let reason = "the table has rows of other partitions, and without versions of the source their order is \
                      unknown; give the topic one partition, or set `version.field`";
        Self::unkeyed(record, (codes::TRUNCATE_ACROSS_PARTITIONS, reason))
    }

    /// A record whose order is unknown, because another partition wrote the row of its key.
    pub(crate) fn undecided(kind: RowKind, record: &'a Record) -> Self {
        let (code, reason) = if kind.ends() {
            let reason = "another partition wrote the row shortly before the delete or after it, and no version orders \
                          the two, so the delete may be older; partitions were probably added to the topic";
            (codes::UNDECIDED_DELETE, reason)
        } else {
            let reason = "another partition wrote the row shortly before the record or after it, and no version orders \
                          the two, so the record may be older; partitions were probably added to the topic";
            (codes::UNDECIDED_CHANGE, reason)
        };
        Self { record, stage: "apply", code, error_type: ErrorType::Conflict, reason: reason.to_owned() }
    }

    /// A partial update that is older than its row.
    pub(crate) fn stale_partial(record: &'a Record) -> Self {
        let reason = "the row has a newer version, so the fields of this partial update cannot be applied".to_owned();
        Self { record, stage: "apply", code: codes::STALE_PARTIAL_UPDATE, error_type: ErrorType::Conflict, reason }
    }
}

/// Checks whether these dead letters of a batch may be stored. `streak` counts the dead letters before the batch;
/// returns the streak at the end of the batch.
///
/// # Errors
/// Fatal if none is tolerated, or if they are too many in a row: draining the topic into the dead letters would hide
/// the cause.
pub(crate) fn accept(
    letters: &[DeadLetter<'_>],
    batch: &Batch,
    mut streak: DeadLetterStreak,
    tolerate_poison: bool,
) -> Result<DeadLetterStreak> {
    let mut others = batch.records.iter().filter(|record| !matches!(record.body, Body::Tombstone(_)));
    let Some(first) = letters.iter().min_by_key(|letter| letter.record.offset) else {
        return Ok(if others.next().is_none() { streak } else { streak.ended() });
    };
    let (offset, reason, code) = (first.record.offset, &first.reason, first.code);
    if !tolerate_poison {
        let doing = format!(
            "apply offset {offset} of {}: {reason} ({code}); nothing from offset {} on was written",
            batch.partition, batch.from
        );
        return Err(Error::fatal(codes::POISON, ErrorType::Constraint, doing)
            .with_help("fix the record's source, or set `errors.tolerance=all` to dead-letter such records"));
    }
    let types: HashMap<i64, ErrorType> =
        letters.iter().map(|letter| (letter.record.offset, letter.error_type)).collect();
    for record in others {
        match types.get(&record.offset) {
            Some(error_type) => streak.add_dead_letter(*error_type),
            None => streak = streak.ended(),
        }
        streak.check(|| {
            format!(
                "apply {}: {} records in a row up to offset {} would be dead letters, the first of this batch because \
                 {reason} ({code}); nothing from offset {} on was written",
                batch.partition,
                streak.length(),
                record.offset,
                batch.from
            )
        })?;
    }
    Ok(streak)
}

/// Stores dead letters in the open transaction of `client`. A dead letter stored before (its offset was replayed) is
/// updated.
pub(crate) async fn store(client: &Client, sink: &str, batch: &Batch, letters: &[DeadLetter<'_>]) -> Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let failed = |error| setup_error("store dead letters in towpath.dead_letter", error);
    let statement = client
        .prepare(
            r#"INSERT INTO towpath.dead_letter AS d
                 (sink, topic, partition, "offset", stage, error_code, error_text, key, value, headers, record_time)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, to_timestamp($11::double precision / 1000))
               ON CONFLICT (sink, topic, partition, "offset") DO UPDATE
                 SET stage = EXCLUDED.stage, error_code = EXCLUDED.error_code, error_text = EXCLUDED.error_text,
                     key = EXCLUDED.key,
                     value = EXCLUDED.value, headers = EXCLUDED.headers, record_time = EXCLUDED.record_time,
                     last_seen = clock_timestamp(), published_at = NULL, publish_error = NULL"#,
        )
        .await
        .map_err(failed)?;
    let partition = &batch.partition;
    for letter in letters {
        let payload = &letter.record.payload;
        let piece = |span| batch.arena.get(span);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
        let time =
            (1..=LAST_MILLISECOND).contains(&letter.record.timestamp_ms).then_some(letter.record.timestamp_ms as f64);
        client
            .execute(
                &statement,
                &[
                    &sink,
                    &&*partition.topic,
                    &partition.partition,
                    &letter.record.offset,
                    &letter.stage,
                    &letter.code,
                    &letter.reason.replace('\0', ""),
                    &payload.key.map(piece),
                    &payload.value.map(piece),
                    &headers(batch, letter.record),
                    &time,
                ],
            )
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Headers as pairs, in order. Names may repeat, so an object would lose some.
fn headers(batch: &Batch, record: &Record) -> Json {
    let pair = |(name, value): (&str, Option<&[u8]>)| {
        let value = match value.map(std::str::from_utf8) {
            None => Json::Null,
            Some(Ok(text)) if !text.contains('\0') => json!(text),
            _ => json!({ "hex": hexadecimal(value.unwrap_or_default()) }),
        };
        json!([name.replace('\0', ""), value])
    };
    batch.arena.headers(record.payload.headers).map(pair).collect()
}
