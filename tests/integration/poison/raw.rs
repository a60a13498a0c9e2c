//! A producer for records that no client library lets through, such as header names that are not UTF-8: one request of
//! Kafka's protocol (`Produce`, version 3) for each record, over a connection of its own.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::stack::env;

/// A record as the broker stores it.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) timestamp_ms: i64,
}

/// Writes a record to partition 0 of a topic, and returns its offset.
pub(super) fn produce(topic: &str, record: &Raw) -> i64 {
    let mut stream = TcpStream::connect(env("KAFKA_BOOTSTRAP")).expect("the broker answers");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let batch = batch(record);
    let mut request = Vec::new();
    // Produce, version 3, correlation id, client id; no transaction; acks=all, timeout; one topic with one partition.
    request.extend([0, 0, 0, 3, 0, 0, 0, 1]);
    put_text(&mut request, "lab");
    request.extend((-1_i16).to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    put_text(&mut request, topic);
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes());
    request.extend(length(&batch).to_be_bytes());
    request.extend(batch);
    stream.write_all(&length(&request).to_be_bytes()).expect("a request");
    stream.write_all(&request).expect("a request");
    let mut size = [0; 4];
    stream.read_exact(&mut size).expect("an answer");
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).expect("a length")];
    stream.read_exact(&mut answer).expect("an answer");
    // Correlation id, one topic by name, one partition by number; then error and offset.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    let error = i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes"));
    assert_eq!(error, 0, "the broker accepts {record:?}");
    i64::from_be_bytes(answer[at + 2..at + 10].try_into().expect("eight bytes"))
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).expect("a short text").to_be_bytes());
    into.extend(text.as_bytes());
}

fn length(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("a length")
}

/// A record batch of version 2 with this record alone.
fn batch(record: &Raw) -> Vec<u8> {
    // Attributes and the deltas of timestamp and offset.
    let mut body = vec![0, 0, 0];
    put_bytes(&mut body, record.key.as_deref());
    put_bytes(&mut body, record.value.as_deref());
    put_number(&mut body, i64::try_from(record.headers.len()).expect("a few headers"));
    for (name, value) in &record.headers {
        put_bytes(&mut body, Some(name));
        put_bytes(&mut body, value.as_deref());
    }
    // Attributes, the last delta, both timestamps, no idempotent producer, one record.
    let mut checked = vec![0; 6];
    checked.extend(record.timestamp_ms.to_be_bytes());
    checked.extend(record.timestamp_ms.to_be_bytes());
    checked.extend([0xff; 14]);
    checked.extend(1_i32.to_be_bytes());
    put_number(&mut checked, i64::from(length(&body)));
    checked.extend(body);
    // The first offset, the length of the rest, the leader's epoch, the version, the checksum.
    let mut batch = vec![0; 8];
    batch.extend((length(&checked) + 9).to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

fn put_bytes(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_number(into, bytes.map_or(-1, |bytes| i64::from(length(bytes))));
    into.extend(bytes.unwrap_or_default());
}

/// A number of variable length, as in Avro.
pub(super) fn put_number(into: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        into.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    into.push(rest.to_le_bytes()[0]);
}

/// The Castagnoli checksum.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
