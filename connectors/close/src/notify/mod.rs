//! Tells people and programs that a run of the snapshot has ended, that the event log had a gap, and that deletes await
//! approval.
//!
//! ```text
//! the step that ends a run ─ position.notices ─┬─ record of the object `sync_run`
//!                                              ├─ signed post to `notify.webhook.url`   (post)
//!                                              └─ letter to `notify.email`              (mail, letter)
//! ```
//!
//! A notice stays in the position until each of its channels has delivered it, so a notice is delivered at least once,
//! also over restarts; only if a channel fails for so long that eight newer ones wait is the oldest dropped, with a
//! warning. The record is written in the step that removes it: exactly once. The channels do not wait for each other,
//! and none of them stops the source: a channel that fails shows as a part that waits, and tries again without end.

mod letter;
mod mail;
mod post;

use std::{sync::Arc, time::Duration};

use towpath_api::{Error, Lifecycle, Result, delay_of_preparing};
use tracing::info;

use self::{mail::Mail, post::Posts};
use crate::{
    context::Context,
    metrics::Series,
    position::{Channel, ClosePosition, Notice, Outstanding, channels},
    publish::Outbox,
    sync_run,
};

/// The pause between two looks at the position.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause between two attempts to deliver.
const LONGEST: Duration = Duration::from_mins(10);

/// Delivers notices until the task is stopped.
///
/// # Errors
/// Only when the publisher has ended.
pub(crate) async fn run(context: &Context) -> Result<()> {
    let organization = context.outbox.position().organization;
    let from = From { connector: context.connector.to_string(), organization };
    let series = context.metrics.of(&context.connector);
    let desk = Desk { outbox: context.outbox.clone(), life: context.life.clone(), series };
    let channels = channels(&context.config);
    let posts = Posts::new(&context.config, &from);
    let mail = Mail::new(&context.config, &from);
    tokio::try_join!(
        desk.write_records(&from, &channels),
        desk.deliver(Channel::Post, posts),
        desk.deliver(Channel::Letter, mail)
    )
    .map(drop)
}

/// Where notices come from.
#[derive(Debug, Clone)]
struct From {
    connector: String,
    organization: String,
}

/// A way to deliver notices.
trait Deliver: Send {
    /// Returns after the notice is delivered. Called again after an error; what was delivered of the same notice need
    /// not be repeated then.
    fn deliver(&mut self, notice: &Outstanding) -> impl Future<Output = Result<()>> + Send;
}

/// Takes notices out of the position, and notes there what was delivered.
struct Desk {
    outbox: Outbox,
    life: Lifecycle,
    series: Series,
}

impl Desk {
    /// Writes the records of runs, and notes gaps of the log for `channels`.
    async fn write_records(&self, from: &From, channels: &[Channel]) -> Result<()> {
        let object = Arc::new(sync_run::object()?);
        let part = Channel::Record.part();
        let mut attempt = 0;
        while let Err(error) = self.outbox.prepare(Arc::clone(&object)).await {
            attempt += 1;
            let delay = delay_of_preparing(attempt);
            self.life.part_waits(part, &error, attempt, delay);
            tokio::time::sleep(delay).await;
        }
        self.life.part_works(part);
        loop {
            let position = self.outbox.position();
            if let Some(gap) = position.notices.untold_gap(position.gap) {
                let channels = channels.to_vec();
                self.outbox.publish(Vec::new(), move |position| position.notices.gap(gap, &channels)).await?;
            }
            if let Some(outstanding) = position.notices.next(Channel::Record)
                && let Notice::Run { run } = &outstanding.notice
            {
                let event = run.event(&object, &from.organization);
                self.outbox.publish(vec![event], done(Channel::Record, outstanding.id())).await?;
                self.series.notice(Channel::Record.label(), outstanding.kind(), true);
                info!(
                    connector = %from.connector, generation = run.generation, kind = run.kind.as_str(),
                    rows = run.rows(), published = run.published(), deleted = run.deleted(), complete = run.complete(),
                    seconds = run.seconds(), skipped = run.skipped(), differing = run.differing(),
                    schema_changes = run.schema_changes.values().map(Vec::len).sum::<usize>(),
                    "sync {} is completed", run.generation
                );
                continue;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Delivers over one channel. Without a way to deliver, what is outstanding from an earlier config is dropped.
    async fn deliver(&self, channel: Channel, mut way: Result<Option<impl Deliver>>) -> Result<()> {
        let mut attempt = 0;
        loop {
            let Some(outstanding) = self.outbox.position().notices.next(channel).cloned() else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let delivered = match &mut way {
                Ok(Some(way)) => way.deliver(&outstanding).await,
                Ok(None) => {
                    self.outbox.publish(Vec::new(), done(channel, outstanding.id())).await?;
                    continue;
                }
                // The keys were checked; what they need of the machine, such as a file of certificates, was not there.
                Err(error) => Err(Error::fatal(error.code, error.error_type, error.chain())),
            };
            self.series.notice(channel.label(), outstanding.kind(), delivered.is_ok());
            match delivered {
                Ok(()) => {
                    attempt = 0;
                    self.life.part_works(channel.part());
                    self.outbox.publish(Vec::new(), done(channel, outstanding.id())).await?;
                }
                Err(error) => {
                    attempt += 1;
                    let delay = delay(attempt);
                    self.life.part_waits(channel.part(), &error, attempt, delay);
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}

/// The change of the position once `channel` has delivered the notice.
fn done(channel: Channel, id: String) -> impl FnOnce(&mut ClosePosition) + Send + 'static {
    move |position| position.notices.done(channel, &id)
}

/// The innermost cause of an error, such as `connection refused`.
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// Two seconds, doubled with each attempt.
fn delay(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests;
