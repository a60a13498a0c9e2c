//! Copies dead letters from the store into a topic, if one is configured.
//!
//! One task of a connector does this for all tasks. It queries the store when it is notified, and periodically, since
//! another process may have dead-lettered records. A letter is marked as sent after the broker has acknowledged it, so
//! each letter is sent at least once. A letter that the broker will never accept is marked with the reason, and blocks
//! no other.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use towpath_api::{OpenSink, Result, Sink as _, StoredDeadLetter};

use super::{
    caught::caught,
    connections::{SILENCE, no_answer},
    context::SinkContext,
};
use crate::{kafka::dead_letter_queue::DeadLetterQueue, telemetry::Stage};

/// Letters per request: each may be as large as the largest record.
const PER_REQUEST: usize = 20;
/// Interval between queries without a notification.
const PERIOD: Duration = Duration::from_secs(10);
/// The name of this part in the task's state.
const PART: &str = "dead letters";

/// Sends dead letters until the task is stopped. After an error it waits, for a person if need be, and the partitions
/// continue: the letters are safe in the store.
pub(super) async fn run<O: OpenSink>(context: Arc<SinkContext<O>>, queue: DeadLetterQueue) {
    let mut backoff = context.health.backoff();
    let mut ensured = false;
    while !context.stop.is_cancelled() {
        let sending = caught("send dead letters", async {
            if !ensured {
                queue.ensure().await?;
            }
            send_all(&context, &queue).await
        });
        let sent = tokio::select! {
            () = context.stop.cancelled() => break,
            sent = sending => sent,
        };
        // After an error the topic may be gone.
        ensured = sent.is_ok();
        match sent {
            Ok(()) => {
                if backoff.has_waited() {
                    backoff = context.health.backoff();
                }
                context.health.report_running(PART);
                tokio::select! {
                    () = context.stop.cancelled() => break,
                    () = context.dead_lettered.notified() => {}
                    () = tokio::time::sleep(PERIOD) => {}
                }
            }
            Err(error) => {
                context.connector_metrics.dead_letter_not_written();
                if !context.health.wait(PART, Stage::Produce, &error, &mut backoff, &context.stop).await {
                    break;
                }
            }
        }
    }
    context.health.forget(PART);
}

/// Sends letters until the store has no more.
async fn send_all<O: OpenSink>(context: &SinkContext<O>, queue: &DeadLetterQueue) -> Result<()> {
    loop {
        let letters = unpublished(context).await?;
        if letters.is_empty() {
            return Ok(());
        }
        let refusals = queue.publish(&letters).await?;
        let (mut sent, mut refused) = (Vec::new(), Vec::new());
        for (letter, refusal) in letters.into_iter().zip(refusals) {
            match refusal {
                None => sent.push(letter),
                Some(error) => {
                    context.connector_metrics.dead_letter_not_written();
                    tracing::error!(
                        connector = context.connector, code = error.code, error = %error.chain(), help = error.help(),
                        "a dead letter is not in its topic"
                    );
                    refused.push((letter, error.chain()));
                }
            }
        }
        answered("mark the dead letters as sent", async {
            let mut lent = context.connections.lend().await?;
            lent.sink.published(&sent).await?;
            for (letter, reason) in &refused {
                lent.sink.unpublishable(letter, reason).await?;
            }
            lent.give_back();
            Ok(())
        })
        .await?;
    }
}

async fn unpublished<O: OpenSink>(context: &SinkContext<O>) -> Result<Vec<StoredDeadLetter>> {
    answered("read dead letters", async {
        let mut lent = context.connections.lend().await?;
        let letters = lent.sink.unpublished(PER_REQUEST).await?;
        lent.give_back();
        Ok(letters)
    })
    .await
}

async fn answered<T>(doing: &str, answer: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(SILENCE, answer).await.unwrap_or_else(|_| Err(no_answer(doing)))
}
