//! The columns of Towpath's own.

use crate::config::MetadataColumns;

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// One row a record: its present state.
    State,
    /// One row a change.
    Log,
}

impl Purpose {
    /// What the comment of the table says.
    pub(super) fn comment(self) -> &'static str {
        match self {
            Self::State => "Written by Towpath: the present state of a Kafka topic, one row a record.",
            Self::Log => "Written by Towpath: the history of a Kafka topic, one row a change.",
        }
    }

    /// The columns that tables of this kind have, in their order.
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

/// A column of Towpath's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataColumn {
    /// First part of the version.
    Ts,
    /// Second part of the version.
    Seq,
    /// Where the row was last written from.
    Offset,
    /// When it was.
    AppliedAt,
    /// Where the row was last written from.
    Partition,
    /// The mark of a soft delete.
    Deleted,
    /// What a change did.
    Op,
    /// What a partial update carried.
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

    /// What rows get that were there before Towpath: they are older than every record.
    pub(super) fn before_all(self) -> &'static str {
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
            Self::Ts => "Version of the row, first part; 0 where the offset is the version.",
            Self::Seq => "Version of the row, second part.",
            Self::Offset => "Offset of the Kafka record that the row was last written from.",
            Self::AppliedAt => "When the row was last written.",
            Self::Partition => "Partition of the Kafka record that the row was last written from.",
            Self::Deleted => "The record was deleted in the source; the values are its last ones.",
            Self::Op => "What the record did: create, update, delete, read, truncate or tombstone.",
            Self::Changed => "The fields that a partial update carried; null: all of them.",
        }
    }
}
