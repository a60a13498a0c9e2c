//! What has no events is read again and again, and what differs is published.
//!
//! Users, roles, pipelines and so on have no events, and neither has the role of a membership. These objects are read
//! whole at the start and each `lists.interval`; the snapshot leaves them out ([`Kind::is_read_by_lists`]) and waits
//! until each was read once.
//!
//! ```text
//! round ─ read: all rows of a list ─ compare: what differs from the topic (known), what is gone ─ publish
//! ```
//!
//! What always holds: nothing is deleted before a list was whole and the row is missing a second time, or Close says by
//! 404 that it is gone.

mod compare;
mod known;
mod read;

use std::time::Duration;

use futures::future::try_join_all;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
    try_join,
};
use towpath_api::Result;

use self::{compare::Comparison, known::Known, read::Round};
use crate::{catalogue::Kind, client::concerns_one_object, context::Context};

/// The pause between two rounds, however often they are asked for.
const BREATH: Duration = Duration::from_secs(1);
/// Lists that are read at a time.
const AT_ONCE: usize = 4;

/// One list, and what its topic has, once that is read.
struct List {
    kind: &'static Kind,
    known: Option<Known>,
    /// Readings in a row that failed.
    failed: u32,
}

/// Reads the lists until the task is stopped.
///
/// # Errors
/// Those of the journal and the topics, and an API key that Close refuses. A list that Close does not give waits alone.
pub(crate) async fn keep_lists(context: &Context) -> Result<()> {
    let owned = context.kinds.iter().copied().filter(|kind| kind.is_read_by_lists());
    let mut lists: Vec<List> = owned.map(|kind| List { kind, known: None, failed: 0 }).collect();
    let turns = Semaphore::new(AT_ONCE);
    let mut renewal = Instant::now() + context.config.lists_interval;
    loop {
        let began = Instant::now();
        let renewing = async {
            // Fields and types may change without an event that Close lists.
            if renewal <= began { context.try_renew_structure(&context.structure()).await.map(drop) } else { Ok(()) }
        };
        let round = Round::new(context);
        // A list for which Close is waited does not hold up the others.
        let keeping = try_join_all(lists.iter_mut().map(|list| list.keep(context, &round, &turns)));
        try_join!(renewing, keeping)?;
        if renewal <= began {
            renewal = began + context.config.lists_interval;
        }
        sleep(BREATH.min(context.config.lists_interval)).await;
        let _wanted = timeout_at(began + context.config.lists_interval, context.lists.wanted()).await;
    }
}

impl List {
    /// Reads the list, and publishes what differs from its topic.
    ///
    /// # Errors
    /// Those that concern more than this list.
    async fn keep(&mut self, context: &Context, round: &Round<'_>, turns: &Semaphore) -> Result<()> {
        // The semaphore is never closed.
        let _turn = turns.acquire().await;
        let part = format!("list {}", self.kind.name);
        match self.read(context, round).await {
            Ok(()) => {
                self.failed = 0;
                context.life.part_works(&part);
                Ok(())
            }
            Err(error) if !concerns_one_object(&error) => Err(error),
            Err(error) => {
                self.failed += 1;
                context.life.part_waits(&part, &error, self.failed, context.config.lists_interval);
                Ok(())
            }
        }
    }

    async fn read(&mut self, context: &Context, round: &Round<'_>) -> Result<()> {
        let known = match self.known.take() {
            Some(known) => known,
            None => Known::read(&*context.records, self.kind.name).await?,
        };
        let known = self.known.insert(known);
        let rows = Comparison::new(context, round, self.kind).carry_out(known).await?;
        context.lists.was_read(self.kind, rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
