//! What differs between a list and its topic.

use std::collections::HashSet;

use futures::{StreamExt as _, stream};
use towpath_api::{ChangeEvent, Error, Key, Result, Version};
use tracing::warn;

use super::{
    known::Known,
    read::{Round, Row},
};
use crate::{
    brake::Brake,
    catalogue::{Kind, Listing},
    client::concerns_one_object,
    context::Context,
    moment::Moment,
    position::{Held, ObjectEnd},
    record::{self, Shape, read_row},
};

/// Events of one step.
const STEP: usize = 500;
/// Rows that are read by their ids at a time.
const AT_ONCE: usize = 4;

/// Rows that a list lacks.
#[derive(Default)]
struct Missing {
    there: Vec<ChangeEvent>,
    gone: Vec<ChangeEvent>,
}

/// The comparison of one list.
pub(super) struct Comparison<'a> {
    context: &'a Context,
    round: &'a Round<'a>,
    kind: &'static Kind,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(context: &'a Context, round: &'a Round<'a>, kind: &'static Kind) -> Self {
        Self { context, round, kind }
    }

    /// Reads the list, and publishes what differs, then the deletes of what is gone. Returns the number of rows.
    ///
    /// # Errors
    /// Those of the client, the journal and the topic. `DELETES_WAIT` if more is gone than may be deleted
    /// without approval: what differs is published then.
    pub(super) async fn carry_out(&self, known: &mut Known) -> Result<u64> {
        let rows = self.round.rows(self.kind).await?;
        let read = rows.len() as u64;
        let metrics = self.context.metrics.of(&self.context.connector);
        metrics.rows_read(self.kind.name, rows.len());
        let rows = self.mapped(rows).await?;
        let listed: HashSet<Key> = rows.iter().map(|event| event.key.clone()).collect();
        let differing: Vec<ChangeEvent> = rows.into_iter().filter_map(|event| known.differing(event)).collect();
        self.publish(known, differing).await?;
        let (of, unlisted) = {
            let live = || known.live();
            let unlisted = live().filter(|(key, _)| !listed.contains(key));
            (live().count() as u64, unlisted.map(|(key, version)| (key.clone(), version)).collect::<Vec<_>>())
        };
        let (allowed, all) = (self.allowed(of), unlisted.len() as u64);
        let Missing { there, gone } = self.missing(known, unlisted, allowed).await?;
        self.publish(known, there).await?;
        if gone.len() as u64 > allowed {
            return Err(self.awaits_approval(ObjectEnd::AwaitsApproval { unlisted: all, allowed, of }).await?);
        }
        self.publish(known, gone).await?;
        self.waits_no_more().await?;
        Ok(read)
    }

    async fn publish(&self, known: &mut Known, events: Vec<ChangeEvent>) -> Result<()> {
        let metrics = self.context.metrics.of(&self.context.connector);
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let step: Vec<ChangeEvent> = events.by_ref().take(STEP).collect();
            self.context.outbox.publish(step.clone(), |_| ()).await?;
            metrics.rows_published(self.kind.name, step.len());
            step.iter().for_each(|event| known.published(event));
        }
        Ok(())
    }

    /// Maps rows; if a custom field is unknown, the structure is read again first.
    async fn mapped(&self, rows: Vec<Row>) -> Result<Vec<ChangeEvent>> {
        let structure = self.context.structure();
        let Some(shape) = structure.shape(self.kind) else { return Ok(Vec::new()) };
        let (events, renew) = map(shape, &rows);
        if !renew {
            return Ok(events);
        }
        let newer = self.context.try_renew_structure(&structure).await?;
        Ok(newer.shape(self.kind).map_or(events, |shape| map(shape, &rows).0))
    }

    /// The rows that the list lacks: those that are there nevertheless, and the deletes of those that are surely gone.
    /// A row of which Close says neither stays as it is. If more than `allowed` are gone, some were not looked at.
    async fn missing(&self, known: &Known, unlisted: Vec<(Key, Version)>, allowed: u64) -> Result<Missing> {
        let structure = self.context.structure();
        let mut missing = Missing::default();
        let Some(shape) = structure.shape(self.kind).filter(|_| !unlisted.is_empty()) else { return Ok(missing) };
        if !self.kind.has_single || self.kind.listing == Listing::Organization {
            let again = Round::new(self.context).rows(self.kind).await?;
            let there: HashSet<Key> = self.mapped(again).await?.into_iter().map(|event| event.key).collect();
            let gone = unlisted.into_iter().filter(|(key, _)| !there.contains(key));
            missing.gone = gone.map(|(key, version)| self.deleted(shape, &key.to_string(), version)).collect();
            return Ok(missing);
        }
        let look = |(key, version): (Key, Version)| async move {
            let id = key.to_string();
            (self.round.single(self.kind, &id).await, id, version)
        };
        let mut looks = stream::iter(unlisted).map(look).buffer_unordered(AT_ONCE);
        while let Some((row, id, version)) = looks.next().await {
            match row {
                Ok(None) => missing.gone.push(self.deleted(shape, &id, version)),
                Ok(Some(row)) => {
                    let rows = self.mapped(vec![row]).await?;
                    missing.there.extend(rows.into_iter().filter_map(|event| known.differing(event)));
                }
                Err(error) if concerns_one_object(&error) => {
                    let (object, error) = (self.kind.name, error.chain());
                    warn!(
                        object,
                        id, error, "{object} {id} is not listed, and Close does not say that it is gone: it stays"
                    );
                }
                Err(error) => return Err(error),
            }
            if missing.gone.len() as u64 > allowed {
                break;
            }
        }
        Ok(missing)
    }

    /// The deletes that need no approval, or have it, of an object with `of` rows.
    fn allowed(&self, of: u64) -> u64 {
        let approved = match self.held() {
            Some(ObjectEnd::AwaitsApproval { allowed, .. }) => allowed,
            _ => 0,
        };
        Brake::of(&self.context.config).allowed(of).max(approved)
    }

    fn held(&self) -> Option<ObjectEnd> {
        self.context.outbox.look(|position| position.held.get(self.kind.name).map(|held| held.end.clone()))
    }

    /// Says in the position that deletes wait for an approval, which raises the number that is allowed; the error.
    async fn awaits_approval(&self, end: ObjectEnd) -> Result<Error> {
        let error = end.error(self.kind);
        if self.held().as_ref() != Some(&end) {
            let (name, since) = (self.kind.name.to_owned(), self.context.close.now().unwrap_or_default());
            let held = Held { end, since, again: false };
            self.context.outbox.publish(Vec::new(), |position| drop(position.held.insert(name, held))).await?;
        }
        Ok(error)
    }

    async fn waits_no_more(&self) -> Result<()> {
        if self.held().is_some() {
            let name = self.kind.name;
            self.context.outbox.publish(Vec::new(), |position| drop(position.held.remove(name))).await?;
            self.context.life.part_works(&format!("comparison of {name}"));
        }
        Ok(())
    }

    /// The delete of a row, newer than its record.
    fn deleted(&self, shape: &Shape, id: &str, version: Version) -> ChangeEvent {
        let after = Moment(version.seq.saturating_add(1));
        let read_at = self.context.close.now().map_or(after, |now| now.max(after));
        record::missing(shape, id, Moment(version.ts), read_at)
    }
}

fn map(shape: &Shape, rows: &[Row]) -> (Vec<ChangeEvent>, bool) {
    let mut renew = false;
    let mut event = |row: &Row| match read_row(shape, &row.content, row.read_at) {
        Ok((event, misfits)) => {
            renew |= misfits.custom;
            Some(event)
        }
        Err(_) => None,
    };
    let events = rows.iter().filter_map(&mut event).collect();
    (events, renew)
}
