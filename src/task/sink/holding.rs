//! The claim of one partition, and the state that outlives a batch.
//!
//! The claim is renewed after every error and after each loss of the store. This module neither reads records nor
//! writes rows.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use towpath_api::{
    Applied, Batch, Claim, DeadLetterStreak, Error, ErrorType, OpenSink, Result, Sink as _, TopicPartition, failpoint,
};

use super::{
    anchor,
    connections::{SILENCE, no_answer},
    context::SinkContext,
    progress::Progress,
};
use crate::{
    kafka::codes::TOPIC_RECREATED,
    task::{
        codes,
        health::{Backoff, Trouble},
    },
    telemetry::Stage,
};

/// Time after the silence was reported, after which the connection is closed.
const SILENCE_GIVEN_UP: Duration = Duration::from_mins(5);

/// A partition of this task, with its claim if it has one.
pub(super) struct Holding<O: OpenSink> {
    pub(super) context: Arc<SinkContext<O>>,
    pub(super) partition: TopicPartition,
    /// The partition as the state and the log name it, `topic[partition]`.
    pub(super) name: String,
    pub(super) progress: Arc<Progress>,
    pub(super) claim: Option<Claim>,
    /// The first offset of the topic at the last claim.
    pub(super) earliest: i64,
    /// True if the store may have records that wait: see [`Sink::waiting`](towpath_api::Sink::waiting). So it may after
    /// each claim, because an older copy of the store has records that had ended their wait.
    pub(super) waits: bool,
    backoff: Backoff,
    /// The delays while the partition waits for a person.
    patience: Backoff,
    /// True if a batch could not be stored and was dropped. A claim alone does not show that the cause is gone.
    is_stuck: bool,
    /// Changes at each loss of the store.
    losses: watch::Receiver<u64>,
}

impl<O: OpenSink> Holding<O> {
    /// Holds `partition` without a claim.
    pub(super) fn new(context: Arc<SinkContext<O>>, partition: TopicPartition, progress: Arc<Progress>) -> Self {
        let (name, losses) = (partition.to_string(), context.connections.losses());
        let (backoff, patience) = (context.health.backoff(), context.health.patience());
        let (claim, earliest, waits, is_stuck) = (None, 0, true, false);
        Self { context, partition, name, progress, claim, earliest, waits, backoff, patience, is_stuck, losses }
    }

    /// Claims the partition, or renews our own claim, and checks that the topic has the offset to continue from.
    pub(super) async fn claim(&mut self) -> Result<Claim> {
        self.losses.mark_unchanged();
        self.waits = true;
        let mut range = self.context.consumer.range(&self.partition).await?;
        let claim = self.answered("claim", async {
            let mut lent = self.context.connections.lend().await?;
            let claim = lent.sink.claim(&self.partition, &range.beginning, self.claim.as_ref()).await?;
            lent.give_back();
            Ok::<_, Error>(claim)
        });
        let mut claim = claim.await?;
        claim.streak = match &self.claim {
            Some(mine) => mine.streak_at(claim.next_offset),
            None => DeadLetterStreak::with_limit(self.context.streak_limit),
        };
        // Kept before anything else can fail: the next claim must recognize this one as ours.
        let previous = self.claim.replace(claim.clone());
        let before = previous.as_ref().map(|previous| previous.next_offset);
        if let Some(previous) = previous.filter(|previous| claim.next_offset != previous.next_offset) {
            // It was set for the topic as it is now.
            self.context.consumer.forget(&self.partition);
            if claim.next_offset < previous.next_offset {
                self.log_store_went_back(previous.next_offset, claim.next_offset);
            }
        }
        tracing::info!(
            topic = %self.partition.topic, partition = self.partition.partition, epoch = claim.epoch,
            offset = claim.next_offset, before, table = %claim.target,
            "claimed {} from offset {}", self.partition, claim.next_offset
        );
        if anchor::require_in_range(&claim, &range).is_err() {
            // The topic keeps growing, and an older owner may have applied records that arrived after the first
            // request.
            range = self.context.consumer.range(&self.partition).await?;
            anchor::require_in_range(&claim, &range)?;
        }
        claim.anchor = anchor::checkable(&claim, &range);
        self.earliest = range.beginning.earliest;
        if self.progress.metrics().is_none() {
            let topic = &*self.partition.topic;
            let object = topic.rsplit_once('.').map_or(topic, |(_, object)| object);
            self.progress.claimed(self.context.sink_metrics.partition(&self.partition, &claim.target, object));
        }
        self.progress.advance_to(claim.next_offset);
        Ok(claim)
    }

    /// Waits until the store was lost at least once since the last claim.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn store_lost(&mut self) {
        // The sender lives as long as the task's context.
        if self.losses.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns true if the store was lost since the last claim.
    pub(super) fn has_lost_the_store(&self) -> bool {
        self.losses.has_changed().unwrap_or(false)
    }

    /// Checks after a loss of the store that the stored offset did not move. A partition without new records would not
    /// notice otherwise.
    ///
    /// # Errors
    /// Retry if the offset moved, or while the store is unavailable.
    pub(super) async fn require_unmoved(&mut self) -> Result<()> {
        let known = self.claim.as_ref().map(|claim| claim.next_offset);
        let claim = self.claim().await?;
        if known != Some(claim.next_offset) {
            return Err(offset_moved(&self.partition));
        }
        self.report_claimed();
        Ok(())
    }

    /// Advances the claim to the end of `batch`, which is stored.
    pub(super) fn advance(&mut self, batch: &Batch, applied: &Applied) {
        if let Some(claim) = &mut self.claim {
            (claim.next_offset, claim.anchor, claim.streak) = (batch.to, batch.anchor, applied.streak);
        }
        self.progress.advance_to(batch.to);
        self.recover();
    }

    /// Reports that the partition makes progress after all, or that nothing is left which it could not store.
    pub(super) fn recover(&mut self) {
        self.is_stuck = false;
        if self.backoff.has_waited() {
            self.backoff = self.context.health.backoff();
        }
        if self.patience.has_waited() {
            self.patience = self.context.health.patience();
        }
        self.report_running();
    }

    /// Notes that a batch could not be read or stored before something is changed, and was dropped.
    pub(super) fn note_stuck(&mut self) {
        self.is_stuck = true;
    }

    /// Returns true if the partition has waited for a person and has not worked since.
    pub(super) fn waits_for_action(&self) -> bool {
        self.patience.has_waited()
    }

    /// Returns true if a batch could not be stored, and none was since.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Reports that the partition is claimed and read again, unless it could not store its last batch.
    pub(super) fn report_claimed(&mut self) {
        if !self.is_stuck {
            if self.patience.has_waited() {
                self.patience = self.context.health.patience();
            }
            self.report_running();
        }
    }

    /// Reports that the partition makes progress, or has nothing to do.
    pub(super) fn report_running(&self) {
        self.progress.working();
        self.context.health.report_running(&self.name);
    }

    /// Reports an error and waits: a while for the environment, longer for a person. Returns false if the task is
    /// stopped meanwhile.
    pub(super) async fn wait(&mut self, stage: Stage, error: &Error) -> bool {
        let context = Arc::clone(&self.context);
        self.progress.waiting(error);
        let trouble = if context.connections.are_refused() { Trouble::of_all } else { Trouble::of };
        let backoff = if error.needs_action() { &mut self.patience } else { &mut self.backoff };
        context.health.wait_after(trouble(&self.name, stage, error), backoff, &context.stop).await
    }

    /// Awaits an answer of the store. The state reports a long silence. After minutes of silence the connection is
    /// closed with its running statement, and the next claim finds the outcome.
    pub(super) async fn answered<T, E: From<Error>>(
        &self,
        doing: &str,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let (silence, given_up) =
            (failpoint::limit("silence", SILENCE), failpoint::limit("silence_given_up", SILENCE_GIVEN_UP));
        let silent = || no_answer(&format!("{doing} {}", self.partition));
        let mut answer = pin!(answer);
        if let Ok(answer) = timeout(silence, &mut answer).await {
            return answer;
        }
        self.progress.waiting(&silent());
        self.context.health.report_retrying(&self.name, Stage::Apply, &silent(), 1, given_up);
        timeout(given_up, answer).await.unwrap_or_else(|_| Err(silent().into()))
    }

    fn log_store_went_back(&self, from: i64, to: i64) {
        tracing::warn!(
            topic = %self.partition.topic, partition = self.partition.partition, code = codes::STORE_WENT_BACK,
            from, to,
            "the store has gone back from offset {from} to {to} of {}: it was restored to an older copy, or its offset \
             was set back. The missing records are read from Kafka and applied again; no row goes back in time",
            self.partition
        );
    }
}

/// The error of a partition whose stored offset is not the expected one.
pub(super) fn offset_moved(partition: &TopicPartition) -> Error {
    Error::retry(codes::OFFSET_MOVED, ErrorType::Conflict, format!("continue {partition} at the store's offset"))
}

/// The error of a partition whose topic was deleted and re-created since it was opened.
pub(super) fn recreated_while_read(partition: &TopicPartition) -> Error {
    let doing = format!(
        "read {partition}: its topic was deleted and re-created. The records of the new topic are compared with the \
         applied ones; nothing of them was written"
    );
    Error::retry(TOPIC_RECREATED, ErrorType::NotFound, doing)
}
