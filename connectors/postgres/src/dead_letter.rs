//! Records that can never be applied: unchanged, with the reason, in `towpath.dead_letter`.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use tokio_postgres::{Client, Statement};
use towpath_api::{Batch, Body, DeadLetterStreak, Error, ErrorType, Record, Result, json::hexadecimal};

use crate::{
    codes,
    fold::RowKind,
    key::Unkeyed,
    sqlstate::{refuses_values, setup_error},
};

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
                      unknown; give the topic one partition, or set `version.field` to a field of the envelope's \
                      `source`, such as `source.lsn`, since a truncate has no record";
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

    /// A record that still waited for a row it refers to when the topic was truncated or re-created.
    pub(crate) fn waited_for_a_topic_that_is_gone(record: &'a Record) -> Self {
        let reason = "the record waited for a row that it refers to when its topic was truncated or re-created";
        let (code, error_type) = (codes::WAITING_SUPERSEDED, ErrorType::Constraint);
        Self { record, stage: "apply", code, error_type, reason: reason.to_owned() }
    }

    /// A partial update that is older than its row.
    pub(crate) fn stale_partial(record: &'a Record) -> Self {
        let reason = "the row has a newer version, so the fields of this partial update cannot be applied".to_owned();
        Self { record, stage: "apply", code: codes::STALE_PARTIAL_UPDATE, error_type: ErrorType::Conflict, reason }
    }
}

/// Checks whether these dead letters of a batch may be stored. `streak` counts the dead letters before the batch;
/// returns the streak at the end of the batch. Records that waited are not next to its new ones in the topic, so they
/// have a streak of their own, and only as far as their offsets have no gap.
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
    let counts = |record: &&Record| !matches!(record.body, Body::Tombstone(_));
    let (waited, new) = batch.records.split_at(batch.records.partition_point(|record| record.offset < batch.from));
    let Some(first) = letters.iter().min_by_key(|letter| letter.record.offset) else {
        return Ok(if new.iter().any(|record| counts(&record)) { streak.ended() } else { streak });
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
    let add = |streak: &mut DeadLetterStreak, record: &Record| {
        match types.get(&record.offset) {
            Some(error_type) => streak.add_dead_letter(*error_type),
            None => *streak = streak.ended(),
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
        })
    };
    let (mut apart, mut next) = (streak.ended(), None);
    for record in waited.iter().filter(counts) {
        if next != Some(record.offset) {
            apart = apart.ended();
        }
        next = Some(record.offset + 1);
        add(&mut apart, record)?;
    }
    new.iter().filter(counts).try_for_each(|record| add(&mut streak, record))?;
    Ok(streak)
}

/// The insert of one dead letter. A letter of the same record (its offset was replayed) is updated. A letter of another
/// record at the offset stays: the topic was truncated or re-created, and the new letter has the next generation.
const INSERT: &str = r#"
WITH known AS (
    SELECT generation, key IS NOT DISTINCT FROM $8 AND value IS NOT DISTINCT FROM $9 AND headers = $10
        AND record_time IS NOT DISTINCT FROM to_timestamp($11::double precision / 1000) AS is_same
    FROM towpath.dead_letter WHERE sink = $1 AND topic = $2 AND partition = $3 AND "offset" = $4)
INSERT INTO towpath.dead_letter
    (sink, topic, partition, "offset", stage, error_code, error_text, key, value, headers, record_time, generation)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, to_timestamp($11::double precision / 1000), coalesce(
    (SELECT max(generation) FROM known WHERE is_same), (SELECT max(generation) + 1 FROM known), 0))
ON CONFLICT (sink, topic, partition, "offset", generation) DO UPDATE
    SET stage = EXCLUDED.stage, error_code = EXCLUDED.error_code, error_text = EXCLUDED.error_text,
        last_seen = clock_timestamp(), published_at = NULL, publish_error = NULL"#;

/// Stores dead letters in the open transaction of `client`.
///
/// A letter that the database refuses, because its encoding lacks a character of a header, is stored in ASCII.
pub(crate) async fn store(client: &Client, sink: &str, batch: &Batch, letters: &[DeadLetter<'_>]) -> Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let failed = |error| setup_error("store dead letters in towpath.dead_letter", error);
    let statement = client.prepare(INSERT).await.map_err(failed)?;
    let insert = |letter, form| insert(client, &statement, sink, batch, letter, form);
    client.batch_execute("SAVEPOINT letters").await.map_err(failed)?;
    let mut refused = None;
    for letter in letters {
        if let Err(error) = insert(letter, Form::Text).await {
            refused = Some(error);
            break;
        }
    }
    match refused {
        None => return client.batch_execute("RELEASE SAVEPOINT letters").await.map_err(failed),
        Some(error) if !refuses_values(&error) => return Err(failed(error)),
        Some(_) => client.batch_execute("ROLLBACK TO SAVEPOINT letters").await.map_err(failed)?,
    }
    for letter in letters {
        client.batch_execute("SAVEPOINT letter").await.map_err(failed)?;
        if let Err(error) = insert(letter, Form::Text).await {
            if !refuses_values(&error) {
                return Err(failed(error));
            }
            client.batch_execute("ROLLBACK TO SAVEPOINT letter").await.map_err(failed)?;
            insert(letter, Form::Ascii).await.map_err(failed)?;
        }
        client.batch_execute("RELEASE SAVEPOINT letter").await.map_err(failed)?;
    }
    Ok(())
}

/// The characters of a stored dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// Headers with other characters are stored as hexadecimal digits.
    Ascii,
}

impl Form {
    fn allows(self, text: &str) -> bool {
        !text.contains('\0') && (self == Self::Text || text.is_ascii())
    }
}

async fn insert(
    client: &Client,
    statement: &Statement,
    sink: &str,
    batch: &Batch,
    letter: &DeadLetter<'_>,
    form: Form,
) -> Result<u64, tokio_postgres::Error> {
    let (partition, payload) = (&batch.partition, &letter.record.payload);
    let piece = |span| batch.arena.get(span);
    let mut reason = letter.reason.replace('\0', "");
    if !form.allows(&reason) {
        reason = reason.replace(|character: char| !character.is_ascii(), "?");
    }
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
    let time =
        (1..=LAST_MILLISECOND).contains(&letter.record.timestamp_ms).then_some(letter.record.timestamp_ms as f64);
    client
        .execute(
            statement,
            &[
                &sink,
                &&*partition.topic,
                &partition.partition,
                &letter.record.offset,
                &letter.stage,
                &letter.code,
                &reason,
                &payload.key.map(piece),
                &payload.value.map(piece),
                &headers(batch, letter.record, form),
                &time,
            ],
        )
        .await
}

/// Headers as pairs, in order. Names may repeat, so an object would lose some.
fn headers(batch: &Batch, record: &Record, form: Form) -> Json {
    let pair = |(name, value): (&str, Option<&[u8]>)| {
        let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) if form.allows(text) => json!(text),
            _ => json!({ "hex": hexadecimal(bytes) }),
        };
        json!([text(name.as_bytes()), value.map_or(Json::Null, text)])
    };
    batch.arena.headers(record.payload.headers).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use towpath_api::{Arena, Payload, TopicPartition};

    use super::*;

    #[test]
    fn records_that_waited_are_in_a_row_only_as_far_as_they_were_in_the_topic() {
        let streak_of = |offsets: &[i64], from| {
            let record =
                |&offset| Record { offset, timestamp_ms: 0, body: Body::Filtered, payload: Payload::default() };
            let partition = TopicPartition { topic: "t".into(), partition: 0 };
            let (records, arena) = (offsets.iter().map(record).collect(), Arena::default());
            let batch = Batch { partition, from, to: from + 3, anchor: None, records, arena };
            let letters: Vec<_> = batch.records.iter().map(DeadLetter::waited_for_a_topic_that_is_gone).collect();
            accept(&letters, &batch, DeadLetterStreak::with_limit(3), true).map(|streak| streak.length())
        };
        assert_eq!(streak_of(&[0, 2, 3, 7, 9], 9).unwrap(), 1);
        assert_eq!(streak_of(&[0, 1], 9).unwrap(), 0, "they say nothing about the next record");
        assert!(streak_of(&[1, 2, 3], 9).is_err() && streak_of(&[7, 9, 10, 11], 9).is_err());
    }
}
