//! The offsets that the store of a sink has, apart from the sink's tasks.

use futures::future::BoxFuture;
use towpath_api::{Anchor, Result, Sink, StoredOffset, Superseded, TopicPartition};

use crate::config::Selection;

/// A connection to the offsets of one sink connector.
pub struct SinkOffsets {
    /// The topics that the connector reads.
    pub selection: Selection,
    pub store: Box<dyn StoredOffsets>,
}

/// The part of [`Sink`] that is about stored offsets, for stores of any class.
pub trait StoredOffsets: Send {
    /// See [`Sink::positions`].
    fn positions(&mut self) -> BoxFuture<'_, Result<Vec<StoredOffset>>>;

    /// See [`Sink::seek`].
    fn seek<'a>(
        &'a mut self,
        partition: &'a TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
    ) -> BoxFuture<'a, Result<()>>;

    /// See [`Sink::seek_new_records`].
    fn seek_new_records<'a>(
        &'a mut self,
        partition: &'a TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
        count_only: bool,
    ) -> BoxFuture<'a, Result<Vec<Superseded>>>;
}

impl<S: Sink> StoredOffsets for S {
    fn positions(&mut self) -> BoxFuture<'_, Result<Vec<StoredOffset>>> {
        Box::pin(Sink::positions(self))
    }

    fn seek<'a>(
        &'a mut self,
        partition: &'a TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(Sink::seek(self, partition, to, anchor))
    }

    fn seek_new_records<'a>(
        &'a mut self,
        partition: &'a TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
        count_only: bool,
    ) -> BoxFuture<'a, Result<Vec<Superseded>>> {
        Box::pin(Sink::seek_new_records(self, partition, to, anchor, count_only))
    }
}
