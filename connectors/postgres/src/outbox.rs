//! Dead letters to publish to a topic: those not yet published, and the mark after publishing.
//!
//! The transaction of a batch stores its dead letters in the table. So none is lost, and after a crash between
//! publishing and marking, a dead letter is published again.

use serde_json::Value as Json;
use tokio_postgres::{Client, Row};
use towpath_api::{Result, StoredDeadLetter, TopicPartition};

use crate::sqlstate::database_error;

/// Maximum bytes of the letters that are read at once. A single letter may be larger.
const BYTES_AT_ONCE: i64 = 16 << 20;

/// At most `most` unpublished dead letters of a sink, and at most [`BYTES_AT_ONCE`], by topic, partition and offset.
pub(crate) async fn unpublished(client: &Client, sink: &str, most: usize) -> Result<Vec<StoredDeadLetter>> {
    let rows = client
        .query(
            r#"WITH first AS (
                 SELECT * FROM towpath.dead_letter
                 WHERE sink = $1 AND published_at IS NULL AND publish_error IS NULL
                 ORDER BY topic, partition, "offset", generation LIMIT $2),
               sized AS (
                 SELECT *, row_number() OVER in_order AS place, sum(coalesce(octet_length(key), 0)::bigint
                   + coalesce(octet_length(value), 0) + octet_length(headers::text)) OVER in_order AS bytes
                 FROM first WINDOW in_order AS (ORDER BY topic, partition, "offset", generation))
               SELECT topic, partition, "offset", (extract(epoch FROM last_seen) * 1000000)::bigint,
                 (extract(epoch FROM record_time) * 1000)::bigint, stage, error_code, error_text, key, value, headers
               FROM sized WHERE place = 1 OR bytes <= $3::bigint ORDER BY place"#,
            &[&sink, &i64::try_from(most).unwrap_or(i64::MAX), &BYTES_AT_ONCE],
        )
        .await
        .map_err(|error| database_error("read dead letters", error))?;
    Ok(rows.iter().map(letter).collect())
}

fn letter(row: &Row) -> StoredDeadLetter {
    StoredDeadLetter {
        partition: TopicPartition { topic: row.get::<_, &str>(0).into(), partition: row.get(1) },
        offset: row.get(2),
        revision: row.get(3),
        timestamp_ms: row.get(4),
        stage: row.get(5),
        code: row.get(6),
        reason: row.get(7),
        key: row.get(8),
        value: row.get(9),
        headers: headers(&row.get(10)),
    }
}

/// Reads the headers as `dead_letter.rs` stores them: pairs of a name and a value, each a text or `{"hex": "\x…"}`; a
/// value may be null.
fn headers(stored: &Json) -> Vec<(String, Option<Vec<u8>>)> {
    let bytes = |stored: &Json| match stored {
        Json::String(text) => Some(text.clone().into_bytes()),
        Json::Object(bytes) => bytes.get("hex").and_then(Json::as_str).map(bytes_of),
        _ => None,
    };
    let pair = |pair: &Json| {
        let name = bytes(&pair[0]).unwrap_or_default();
        (String::from_utf8_lossy(&name).into_owned(), bytes(&pair[1]))
    };
    stored.as_array().into_iter().flatten().map(pair).collect()
}

/// Decodes `\x` and hexadecimal digits.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.trim_start_matches("\\x").chars().filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Marks dead letters as published, except those that were stored again meanwhile: they are published again.
pub(crate) async fn mark_published(client: &Client, sink: &str, letters: &[StoredDeadLetter]) -> Result<()> {
    let topics: Vec<&str> = letters.iter().map(|letter| &*letter.partition.topic).collect();
    let partitions: Vec<i32> = letters.iter().map(|letter| letter.partition.partition).collect();
    let offsets: Vec<i64> = letters.iter().map(|letter| letter.offset).collect();
    let revisions: Vec<i64> = letters.iter().map(|letter| letter.revision).collect();
    client
        .execute(
            r#"UPDATE towpath.dead_letter AS d SET published_at = clock_timestamp()
               FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[])
                 AS x (topic, partition, "offset", revision)
               WHERE d.sink = $1 AND d.topic = x.topic AND d.partition = x.partition AND d."offset" = x."offset"
                 AND (extract(epoch FROM d.last_seen) * 1000000)::bigint = x.revision"#,
            &[&sink, &topics, &partitions, &offsets, &revisions],
        )
        .await
        .map_err(|error| database_error("mark dead letters as published", error))?;
    Ok(())
}

/// Stores the reason why a dead letter will never be in the topic, unless it was stored again meanwhile.
pub(crate) async fn mark_unpublishable(
    client: &Client,
    sink: &str,
    letter: &StoredDeadLetter,
    reason: &str,
) -> Result<()> {
    let StoredDeadLetter { partition, offset, revision, .. } = letter;
    client
        .execute(
            r#"UPDATE towpath.dead_letter SET publish_error = $6
               WHERE sink = $1 AND topic = $2 AND partition = $3 AND "offset" = $4
                 AND (extract(epoch FROM last_seen) * 1000000)::bigint = $5"#,
            &[&sink, &&*partition.topic, &partition.partition, offset, revision, &reason],
        )
        .await
        .map_err(|error| database_error("mark a dead letter as refused by its topic", error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use towpath_api::json::hexadecimal;

    use super::*;

    #[test]
    fn stored_headers_are_read_back_unchanged() {
        let name = json!({"hex": hexadecimal("né".as_bytes())});
        let stored = json!([["a", "text"], ["a", null], ["b", {"hex": hexadecimal(&[0, 255, 16])}], [name, "text"]]);
        let expected =
            [("a", Some(&b"text"[..])), ("a", None), ("b", Some(&[0, 255, 16][..])), ("né", Some(&b"text"[..]))];
        let found = headers(&stored);
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(found, expected);
    }
}
