//! Rows of events that Close did not give when the event was read: refused, or failing while others are not. And rows
//! that an event tells to be other than their last event, as the leads of a merge that ended with an error.
//!
//! The event counts as published, so that the log goes on, and the position says which row is to be read. Some of them
//! are read each minute, for as long as it takes; a later event with its row makes that needless. If too many of an
//! object wait, the object is compared instead. What always holds: no row is forgotten before it was read, or its
//! object is held in the position as one that differs.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::timeout;
use towpath_api::{ChangeEvent, Result};

use super::{
    carrier::carry,
    mapping::{Single, part_of, read_single},
};
use crate::{
    catalogue::{Kind, kind},
    context::Context,
    moment::Moment,
    position::ClosePosition,
    record::{missing, read_row},
};

/// Rows of an object that may wait: the position holds them.
const MOST: usize = 100;
/// The pause between two readings.
const PAUSE: Duration = Duration::from_mins(1);
/// Rows that are read again at once: each may fail.
const STEP: usize = 20;
/// Rows that are read at a time.
const AT_ONCE: usize = 4;

/// A row, and the time of an event that tells of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    object: &'static str,
    id: String,
    at: Moment,
}

impl Place {
    pub(super) fn new(kind: &Kind, id: String, at: Moment) -> Self {
        Self { object: kind.name, id, at }
    }
}

/// Notes rows that Close did not give, at Close's time `now`. If too many of an object wait, it is due to be compared.
pub(super) fn note(position: &mut ClosePosition, unread: Vec<Place>, now: Moment) {
    for Place { object, id, at } in unread {
        if position.asks_for(object, id, at) > MOST {
            tracing::warn!(object, "over {MOST} rows of {object} are to be read by their ids: all of it is compared");
            position.unread.remove(object);
            position.differs(object, format!("over {MOST} rows could not be read after their events"), now);
        }
    }
}

/// Forgets rows that are read: as they were at that time or later.
pub(super) fn forget(position: &mut ClosePosition, read: &[Place]) {
    for Place { object, id, at } in read {
        let Some(waiting) = position.unread.get_mut(*object) else { continue };
        if waiting.get(id).is_some_and(|noted| noted <= at) {
            waiting.remove(id);
        }
        if waiting.is_empty() {
            position.unread.remove(*object);
        }
    }
}

/// The reading of these rows.
pub(super) struct Unread {
    context: Context,
    /// The row that was asked for last.
    last: Option<Place>,
    /// Objects of which rows wait, or may have waited.
    shown: BTreeSet<&'static str>,
}

impl Unread {
    pub(super) fn new(context: &Context) -> Self {
        // An earlier run of the source may have shown any of them.
        let shown = context.kinds.iter().map(|kind| kind.name).collect();
        Self { context: context.clone(), last: None, shown }
    }

    /// Reads these rows until the task is stopped. The log does not wait for it.
    ///
    /// # Errors
    /// As [`Self::again`].
    pub(super) async fn keep(&mut self) -> Result<()> {
        loop {
            self.again().await?;
            carry(&self.context, PAUSE).await?;
            let _asked = timeout(PAUSE, self.context.rows_asked.notified()).await;
        }
    }

    /// Reads some of the rows again, each in its turn, and publishes those that Close gives.
    ///
    /// # Errors
    /// Those of the client that concern more than one object, and of the publisher.
    async fn again(&mut self) -> Result<()> {
        let waiting = self.waiting();
        if waiting.is_empty() && self.shown.is_empty() {
            return Ok(());
        }
        self.shown.extend(waiting.iter().map(|place| place.object));
        let from = waiting.partition_point(|place| self.last.as_ref().is_some_and(|last| place <= last));
        let turn: Vec<Place> = waiting.iter().cycle().skip(from).take(STEP.min(waiting.len())).cloned().collect();
        self.last = turn.last().cloned();
        let context = &self.context;
        let read = stream::iter(turn).map(|place| async move { read(context, place).await });
        let read: Vec<Option<(Place, Option<ChangeEvent>)>> = read.buffer_unordered(AT_ONCE).try_collect().await?;
        let (places, records): (Vec<Place>, Vec<Option<ChangeEvent>>) = read.into_iter().flatten().unzip();
        if !places.is_empty() {
            let change = move |position: &mut ClosePosition| forget(position, &places);
            self.context.outbox.publish(records.into_iter().flatten().collect(), change).await?;
        }
        self.shows();
        Ok(())
    }

    /// The rows that wait, in their order.
    fn waiting(&self) -> Vec<Place> {
        self.context.outbox.look(|position| {
            let rows = position.unread.iter().flat_map(|(object, rows)| rows.iter().map(move |row| (object, row)));
            rows.filter_map(|(object, (id, at))| Some(Place::new(kind(object)?, id.clone(), *at))).collect()
        })
    }

    /// Shows objects of which no row waits any more as working.
    fn shows(&mut self) {
        let waiting: BTreeSet<&'static str> = self.waiting().into_iter().map(|place| place.object).collect();
        for kind in self.shown.difference(&waiting).filter_map(|object| kind(object)) {
            self.context.life.part_works(&part_of(kind));
        }
        self.shown = waiting;
    }
}

/// The record of a row, if it has one; `None` if Close does not give it yet.
async fn read(context: &Context, place: Place) -> Result<Option<(Place, Option<ChangeEvent>)>> {
    let structure = context.structure();
    let selected = context.kinds.iter().find(|kind| kind.name == place.object);
    let Some(shape) = selected.and_then(|kind| structure.shape(kind)) else { return Ok(Some((place, None))) };
    let asked = context.close.now();
    let record = match read_single(context, &context.close, shape.kind, &place.id).await? {
        Single::Row(row, read_at) => read_row(shape, &row, read_at).ok().map(|(record, _)| record),
        Single::Gone => Some(missing(shape, &place.id, place.at, asked.unwrap_or(place.at))),
        Single::TooLarge => None,
        Single::Refused => return Ok(None),
    };
    Ok(Some((place, record)))
}

#[cfg(test)]
mod tests;
