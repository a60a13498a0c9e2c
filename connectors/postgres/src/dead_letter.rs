//! Records that can never be applied, as they came, with the reason.

use std::collections::HashSet;

use serde_json::{Value as Json, json};
use tokio_postgres::Client;
use towpath_api::{Batch, Body, Error, ErrorType, Record, Result, json::hexadecimal};

use crate::{key::Unkeyed, sqlstate::setup_error, table::MISMATCH};

/// The end of the year 9999. A producer may set any time, and one that Postgres cannot hold must not keep the record
/// from being set aside.
const LAST_MILLISECOND: i64 = 253_402_300_799_999;

/// A record to be set aside.
#[derive(Debug)]
pub(crate) struct DeadLetter<'a> {
    pub(crate) record: &'a Record,
    /// Where it failed: `decode` or `apply`.
    pub(crate) stage: &'static str,
    /// The code, `area.reason`.
    pub(crate) code: &'static str,
    /// The coarse cause, for metrics.
    pub(crate) error_type: ErrorType,
    /// Why, without any value of the record.
    pub(crate) reason: String,
}

impl<'a> DeadLetter<'a> {
    /// For a record that could not be read.
    pub(crate) fn undecodable(record: &'a Record) -> Self {
        let (code, reason) = match &record.body {
            Body::Undecodable { code, reason } => (*code, reason.clone()),
            Body::Change(_) | Body::Tombstone(_) | Body::Filtered => ("decode.unknown", String::new()),
        };
        Self { record, stage: "decode", code, error_type: ErrorType::Decode, reason }
    }

    /// For a record that has no key to find its row by.
    pub(crate) fn unkeyed(record: &'a Record, (code, reason): Unkeyed) -> Self {
        Self { record, stage: "apply", code, error_type: ErrorType::Mapping, reason: reason.to_owned() }
    }

    /// For a record without the header that its key is taken from.
    pub(crate) fn without_event_id(record: &'a Record) -> Self {
        let reason = "the record has no header `towpath_event_id`, and pk.mode=event_id takes the row's key from it";
        Self::unkeyed(record, ("apply.event_id_absent", reason))
    }

    /// For a truncate of a table whose rows come from several partitions.
    pub(crate) fn truncate_across_partitions(record: &'a Record) -> Self {
        let reason = "the table has rows of other partitions, and without versions of the source nothing says which of them came before; \
                      give the topic one partition, or set `version.field`";
        Self::unkeyed(record, ("apply.truncate_across_partitions", reason))
    }

    /// For a delete without a version whose row, which has one, was written from another partition.
    pub(crate) fn undecided_delete(record: &'a Record) -> Self {
        let reason = "the delete has no version, its row has one and was written from another partition, so that nothing says which of them is \
                      newer; were partitions added to the topic?";
        Self::unkeyed(record, ("apply.undecided_delete", reason))
    }

    /// For a partial update that is older than its row.
    pub(crate) fn stale_partial(record: &'a Record) -> Self {
        let reason =
            "the row holds a newer version, so the fields of this partial update have no place in it".to_owned();
        Self { record, stage: "apply", code: "stale_partial_update", error_type: ErrorType::Conflict, reason }
    }
}

/// So many records set aside in a row are no accident of the data: something is wrong with all of them.
const SYSTEMATIC: usize = 100;

/// Whether these records may be set aside.
///
/// # Errors
/// Fatal when none may be, or when they are so many in a row that draining the topic into the dead letters would hide
/// what is wrong.
pub(crate) fn accept(letters: &[DeadLetter<'_>], batch: &Batch, tolerate_poison: bool) -> Result<()> {
    let Some(first) = letters.iter().min_by_key(|letter| letter.record.offset) else { return Ok(()) };
    let (offset, reason, code) = (first.record.offset, &first.reason, first.code);
    if !tolerate_poison {
        let doing = format!(
            "apply offset {offset} of {}: {reason} ({code}); nothing from offset {} on was written. With errors.tolerance=all it becomes a dead letter",
            batch.partition, batch.from
        );
        return Err(Error::fatal("postgres.poison", ErrorType::Constraint, doing));
    }
    // That a table has another shape is known, and `schema.mismatch` says what to do.
    let accidents = letters.iter().filter(|letter| letter.code != MISMATCH);
    let set_aside: HashSet<i64> = accidents.map(|letter| letter.record.offset).collect();
    let mut in_a_row = 0;
    for record in batch.records.iter().filter(|record| !matches!(record.body, Body::Tombstone(_))) {
        in_a_row = if set_aside.contains(&record.offset) { in_a_row + 1 } else { 0 };
        if in_a_row >= SYSTEMATIC {
            let doing = format!(
                "apply {}: {SYSTEMATIC} records in a row up to offset {} would be dead letters, the first because {reason} ({code}); nothing from \
                 offset {} on was written. Mend the cause and restart",
                batch.partition, record.offset, batch.from
            );
            return Err(Error::fatal("postgres.systematic", ErrorType::Constraint, doing));
        }
    }
    Ok(())
}

/// Stores dead letters, in the transaction that is open on `client`.
///
/// One that is there already (its offset was replayed) is renewed.
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
                 SET stage = EXCLUDED.stage, error_code = EXCLUDED.error_code, error_text = EXCLUDED.error_text, key = EXCLUDED.key,
                     value = EXCLUDED.value, headers = EXCLUDED.headers, record_time = EXCLUDED.record_time,
                     last_seen = clock_timestamp(), published_at = NULL"#,
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

/// Headers in their order, as pairs: names may repeat, so an object would lose some.
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
