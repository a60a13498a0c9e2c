//! The metadata columns, `_towpath_*`.

use crate::config::MetadataColumns;

/// The purpose of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// One row per record: the present state.
    State,
    /// One row per change.
    Log,
}

impl Purpose {
    /// The comment on the table.
    pub(super) fn comment(self) -> &'static str {
        match self {
            Self::State => "Written by Towpath: the present state of a Kafka topic, one row per record.",
            Self::Log => "Written by Towpath: the history of a Kafka topic, one row per change.",
        }
    }

    /// The metadata columns of such a table, in order.
    pub(super) fn metadata_columns(self, columns: MetadataColumns) -> Vec<MetadataColumn> {
        use MetadataColumn as C;
        match (self, columns) {
            (_, MetadataColumns::None) => vec![],
            (Self::State, MetadataColumns::Version) => vec![C::Ts, C::Seq, C::Offset, C::Partition, C::Deleted],
            (Self::State, MetadataColumns::Full) => {
                vec![C::Ts, C::Seq, C::Offset, C::AppliedAt, C::Partition, C::Deleted]
            }
            (Self::Log, MetadataColumns::Version) => vec![C::Op, C::Changed, C::Ts, C::Seq],
            (Self::Log, MetadataColumns::Full) => vec![C::Op, C::Changed, C::Ts, C::Seq, C::AppliedAt],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataColumn {
    Ts,
    Seq,
    Offset,
    AppliedAt,
    Partition,
    Deleted,
    Op,
    Changed,
}

impl MetadataColumn {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ts => "_towpath_ts",
            Self::Seq => "_towpath_seq",
            Self::Offset => "_towpath_offset",
            Self::AppliedAt => "_towpath_applied_at",
            Self::Partition => "_towpath_partition",
            Self::Deleted => "_towpath_deleted",
            Self::Op => "_towpath_op",
            Self::Changed => "_towpath_changed",
        }
    }

    /// The type as `format_type` prints it.
    pub(super) fn ty(self) -> &'static str {
        match self {
            Self::Ts | Self::Seq | Self::Offset => "bigint",
            Self::AppliedAt => "timestamp with time zone",
            Self::Partition => "integer",
            Self::Deleted => "boolean",
            Self::Op => "text",
            Self::Changed => "jsonb",
        }
    }

    pub(super) fn definition(self) -> String {
        match self {
            Self::Changed => self.ty().to_owned(),
            Self::AppliedAt => format!("{} NOT NULL DEFAULT now()", self.ty()),
            _ => format!("{} NOT NULL", self.ty()),
        }
    }

    /// The default for rows that existed before Towpath: they count as older than every record.
    pub(super) fn default_for_existing(self) -> &'static str {
        match self {
            Self::Ts => " DEFAULT 0",
            Self::Seq | Self::Offset | Self::Partition => " DEFAULT -1",
            Self::Deleted => " DEFAULT false",
            Self::Op => " DEFAULT 'read'",
            Self::AppliedAt | Self::Changed => "",
        }
    }

    pub(super) fn comment(self) -> &'static str {
        match self {
            Self::Ts => "Version of the row, first part; 0 if the offset is the version.",
            Self::Seq => "Version of the row, second part.",
            Self::Offset => "Offset of the Kafka record that last wrote the row.",
            Self::AppliedAt => "When the row was last written.",
            Self::Partition => "Partition of the Kafka record that last wrote the row.",
            Self::Deleted => "The record was deleted in the source; its last values are kept.",
            Self::Op => "Operation of the record: create, update, delete, read, truncate or tombstone.",
            Self::Changed => "The fields that a partial update carried; null: all of them.",
        }
    }
}
