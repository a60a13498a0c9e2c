//! The order of a record and the row of its key, in SQL.
//!
//! Versions decide if both have one and they differ. Otherwise offsets decide, which are comparable within one
//! partition only. If the row came from another partition, the order is unknown: the record is applied if its time in
//! the topic is [`LATER_BY_MS`] after the row was written, as when a key has moved because partitions were added, and
//! is a dead letter otherwise. A row without a partition (-1) existed before Towpath and precedes every record.

use super::PARTITION;
use crate::config::MetadataColumns;

/// Covers the difference between the clocks of a producer and the database.
pub(super) const LATER_BY_MS: i64 = 10_000;

/// The expressions of a record: of the input rows, or of `EXCLUDED`.
#[derive(Debug, Clone, Copy)]
struct Names {
    ts: &'static str,
    seq: &'static str,
    offset: &'static str,
    partition: &'static str,
}

const INPUT: Names = Names { ts: "x.ts", seq: "x.seq", offset: "x.o", partition: PARTITION };
const EXCLUDED: Names = Names {
    ts: "EXCLUDED._towpath_ts",
    seq: "EXCLUDED._towpath_seq",
    offset: "EXCLUDED._towpath_offset",
    partition: "EXCLUDED._towpath_partition",
};

/// SQL: the version of the row after a record is applied. A record without a version keeps the version of the row, so
/// that no older version comes back.
pub(super) const KEPT_TS: &str = "greatest(x.ts, t._towpath_ts)";
pub(super) const KEPT_SEQ: &str = "CASE WHEN x.ts < t._towpath_ts THEN t._towpath_seq ELSE x.seq END";

/// SQL: the order is known, and the record comes later than the row.
fn follows(Names { ts, seq, offset, partition }: Names) -> String {
    format!(
        "CASE WHEN {ts} <> 0 AND ({ts}, {seq}) <> (t._towpath_ts, t._towpath_seq)
           THEN ({ts}, {seq}) > (t._towpath_ts, t._towpath_seq)
           ELSE t._towpath_partition IN ({partition}, -1) AND {offset} > t._towpath_offset END"
    )
}

/// [`follows`] in `ON CONFLICT DO UPDATE`, where the time of the record is not available.
pub(super) fn excluded_follows() -> String {
    follows(EXCLUDED)
}

/// SQL: the order of the input row and the row in the table is unknown, apart from their times.
pub(super) fn is_unordered(metadata: MetadataColumns) -> String {
    if metadata == MetadataColumns::None {
        return "false".to_owned();
    }
    format!(
        "((x.ts = 0 OR (x.ts, x.seq) = (t._towpath_ts, t._towpath_seq))
          AND t._towpath_partition NOT IN ({PARTITION}, -1))"
    )
}

/// SQL: the input row is applied to the row in the table. Needs the times of the records, as `x.tm`, with
/// [`MetadataColumns::Full`].
pub(super) fn is_newer(metadata: MetadataColumns) -> String {
    let unordered = is_unordered(metadata);
    match metadata {
        MetadataColumns::None => "true".to_owned(),
        MetadataColumns::Version => format!("({})", follows(INPUT)),
        MetadataColumns::Full => format!(
            "({} OR ({unordered}
              AND x.tm OPERATOR(pg_catalog.>) (extract(epoch FROM t._towpath_applied_at)
                OPERATOR(pg_catalog.*) 1000 OPERATOR(pg_catalog.+) {LATER_BY_MS})))",
            follows(INPUT)
        ),
    }
}

/// SQL: the order is unknown, and the row is not yet deleted if the input row is a delete (`gone`). Only for input rows
/// that are not newer.
pub(super) fn is_undecided(metadata: MetadataColumns, gone: &str) -> String {
    if metadata == MetadataColumns::None {
        return "false".to_owned();
    }
    format!("({} AND NOT ({gone} AND t._towpath_deleted))", is_unordered(metadata))
}

/// SQL: the order is known, and the input row changes nothing.
pub(super) fn is_settled(metadata: MetadataColumns) -> String {
    format!("NOT ({} OR {})", follows(INPUT), is_unordered(metadata))
}

/// SQL: the row in the table has already applied the input row, because its last record comes later in the same
/// partition.
pub(super) fn is_known(metadata: MetadataColumns) -> String {
    if metadata == MetadataColumns::None {
        return "true".to_owned();
    }
    format!("({PARTITION} = t._towpath_partition AND x.o <= t._towpath_offset)")
}
