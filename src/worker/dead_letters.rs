//! Sends dead letters that are in the store on into a topic, where one is configured.
//!
//! One task of a connector does it for all. It looks when it is told that there are new ones, and now and then besides,
//! for another process may have set some aside. A letter is noted as sent after the broker has it, so each is sent at
//! least once.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::timeout};
use towpath_api::{Error, ErrorType, OpenSink, Reaction, Result, SetAside, Sink as _};

use super::sink_partition::Shared;
use crate::{kafka::dead_letter_queue::DeadLetterQueue, telemetry::Stage};

/// Letters at a time: each may be as large as a record can be.
const AT_A_TIME: usize = 20;
/// How often it looks without being told.
const LOOK: Duration = Duration::from_secs(10);
/// The store's own limits are shorter.
const SILENCE: Duration = Duration::from_secs(40);
/// What the state calls this part of the task.
const PART: &str = "dead letters";

/// Sends what there is until the task is stopped.
///
/// # Errors
/// One that waiting does not cure, such as a topic that cannot be made.
pub(super) async fn run<O: OpenSink>(
    shared: Arc<Shared<O>>,
    queue: DeadLetterQueue,
    set_aside: Arc<Notify>,
) -> Result<()> {
    let mut backoff = shared.health.backoff();
    let mut ensured = false;
    while !shared.stop.is_cancelled() {
        let mut sending = pin!(async {
            if !ensured {
                queue.ensure().await?;
                ensured = true;
            }
            send_all(&shared, &queue).await
        });
        let sent = tokio::select! {
            () = shared.stop.cancelled() => break,
            sent = &mut sending => sent,
        };
        match sent {
            Ok(()) => {
                if backoff.has_waited() {
                    backoff = shared.health.backoff();
                }
                shared.health.works(PART);
                tokio::select! {
                    () = shared.stop.cancelled() => break,
                    () = set_aside.notified() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
            Err(error) if error.reaction == Reaction::Retry => {
                shared.connector_metrics.dead_letter_not_written();
                if !shared.health.wait(PART, Stage::Produce, &error, &mut backoff, &shared.stop).await {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    shared.health.forget(PART);
    Ok(())
}

/// Sends letters until none is left.
async fn send_all<O: OpenSink>(shared: &Shared<O>, queue: &DeadLetterQueue) -> Result<()> {
    loop {
        let letters = unpublished(shared).await?;
        if letters.is_empty() {
            return Ok(());
        }
        queue.publish(&letters).await?;
        answered("note which dead letters were sent", async {
            let mut lent = shared.connections.lend().await?;
            lent.sink.published(&letters).await?;
            lent.give_back();
            Ok(())
        })
        .await?;
    }
}

async fn unpublished<O: OpenSink>(shared: &Shared<O>) -> Result<Vec<SetAside>> {
    answered("read dead letters", async {
        let mut lent = shared.connections.lend().await?;
        let letters = lent.sink.unpublished(AT_A_TIME).await?;
        lent.give_back();
        Ok(letters)
    })
    .await
}

async fn answered<T>(doing: &str, answer: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = || Error::retry("sink.no_answer", ErrorType::Timeout, format!("{doing}: the store does not answer"));
    timeout(SILENCE, answer).await.unwrap_or_else(|_| Err(silent()))
}
