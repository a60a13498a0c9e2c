//! The webhook of Close as a doorbell: a verified post wakes the reading of the event log, and carries nothing.
//!
//! ```text
//! POST /hooks/<connector> ─ signature ─ ring ─ changes        each minute: subscription
//! ```
//!
//! `subscription` keeps exactly one subscription with our URL at Close, and the position has that URL: a start with
//! another `webhook.url`, or without one, deletes the subscription of before. `signature` verifies posts. The listener
//! belongs to another connector: the worker hands its posts to [`Doorbell::post`].
//!
//! What always holds: a post is verified over its raw bytes before anything else, and nothing of it is used. So a lost,
//! repeated or late post costs nothing but time, up to `poll.interval`.

pub(crate) mod catalogue;
mod signature;
mod subscription;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use reqwest::{StatusCode, header::HeaderMap};
use tokio::sync::Notify;
use towpath_api::{Lifecycle, Result};
use towpath_keys::Secret;
use tracing::info;

use self::subscription::{Ensured, Subscription};
use crate::{client::Close, context::Context, metrics::Series};

/// The name of this part of the source, for people.
const PART: &str = "webhook of Close";
/// The pause between two looks at the subscription: Close pauses subscriptions by itself.
const LOOK: Duration = Duration::from_mins(1);

/// The doorbell of one connector. Clones share it.
#[derive(Clone, Default)]
pub struct Doorbell {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    bell: Arc<Notify>,
    /// The key of the subscription, in hex; `None` until Close was asked for it.
    key: RwLock<Option<Secret>>,
    series: OnceLock<Series>,
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorbell").finish_non_exhaustive()
    }
}

impl Doorbell {
    /// The largest body to accept. The event of a large record has some hundred kilobytes.
    pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

    /// Judges a post by its headers and its raw body, and rings if it is from Close: 200, or 401 for any other sender;
    /// 503 while the key of the subscription is not known yet, so that Close posts it again.
    pub fn post(&self, headers: &HeaderMap, body: &[u8]) -> StatusCode {
        let key = self.shared.key.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(key) = key else { return StatusCode::SERVICE_UNAVAILABLE };
        let verified = signature::verify(&key, headers, body);
        if let Some(series) = self.shared.series.get() {
            series.doorbell(verified);
        }
        if !verified {
            return StatusCode::UNAUTHORIZED;
        }
        self.ring();
        StatusCode::OK
    }

    /// Wakes who waits for the bell, now or next.
    pub(crate) fn ring(&self) {
        self.shared.bell.notify_one();
    }

    /// The bell. One waits for it; rings that nobody waited for count as one.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.bell)
    }

    /// Keeps the subscription of a running source, if it has a webhook, and deletes that of an earlier `webhook.url`.
    /// Does not return.
    pub(crate) async fn attend(&self, context: &Context) {
        let wanted = context.config.webhook_url.as_deref();
        let _ = self.shared.series.set(context.metrics.of(&context.connector));
        let types: Vec<&str> = context.kinds.iter().flat_map(|kind| kind.events).copied().collect();
        let subscription = wanted.map(|url| Subscription::new(&context.close, url, catalogue::pairs(&types)));
        self.keep(subscription, &context.life, || settle(context, wanted)).await;
    }

    /// Keeps the subscription at Close: makes it, takes over one that is there, and looks after it each minute. While
    /// that fails, the part waits visibly and changes are polled. `settle` comes first, until it has succeeded. Does
    /// not return.
    ///
    /// # Cancel safety
    /// Safe. The subscription stays at Close: the connector cannot know whether it is stopped for a minute or for good,
    /// and Close keeps posts for it for three days. [`remove`] deletes it.
    async fn keep<F: Future<Output = Result<()>>>(
        &self,
        mut subscription: Option<Subscription<'_>>,
        life: &Lifecycle,
        settle: impl Fn() -> F,
    ) {
        let mut attempt = 0;
        loop {
            let kept = match (settle().await, &mut subscription) {
                (Ok(()), Some(subscription)) => self.look(subscription).await,
                (settled, _) => settled,
            };
            match kept {
                Ok(()) => {
                    life.part_works(PART);
                    attempt = 0;
                }
                Err(error) => {
                    attempt += 1;
                    life.part_waits(PART, &error, attempt, LOOK);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes or repairs the subscription, and learns its key.
    async fn look(&self, subscription: &mut Subscription<'_>) -> Result<()> {
        let Ensured { key, changed } = subscription.ensure().await?;
        let known = self.shared.key.write().unwrap_or_else(PoisonError::into_inner).replace(key);
        if known.is_none() || changed {
            info!(url = subscription.url, "Close posts changes to the webhook");
            // Events may not have been posted, or in vain.
            self.ring();
        }
        Ok(())
    }
}

/// Deletes the subscription of an earlier `webhook.url`, and stores the wanted one before it is made, so that no kill
/// leaves a subscription that nobody knows.
///
/// # Errors
/// Those of the client and the journal.
async fn settle(context: &Context, wanted: Option<&str>) -> Result<()> {
    let stored = context.outbox.position().webhook;
    if stored.as_deref() == wanted {
        return Ok(());
    }
    if let Some(earlier) = &stored {
        remove(&context.close, earlier).await?;
        info!(url = earlier, "the subscription of an earlier `webhook.url` is deleted at Close");
    }
    let wanted = wanted.map(str::to_owned);
    context.outbox.publish(Vec::new(), |position| position.webhook = wanted).await
}

/// Deletes the subscriptions with this URL, for a connector that is closed for good.
///
/// # Errors
/// Those of the client.
pub(crate) async fn remove(close: &Close, url: &str) -> Result<()> {
    Subscription::new(close, url, Vec::new()).remove().await
}
