//! Connects the doorbell of a Close source with the listener that all webhooks of the worker share.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use towpath_api::{Placement, Result};
use towpath_close::{Doorbell, OpenCloseSource};
use towpath_webhook::{LentHook, Listener};

use super::{Connector, Resources};

/// The time to remove the subscription of a connector that is closed.
const REMOVAL: Duration = Duration::from_secs(10);

/// Makes the name known before the first connector is announced, so that no post is answered 404.
pub(super) fn expect(connector: &str, resources: &Resources) {
    resources.intake.listener().expect(connector);
}

/// Opens `/hooks/<connector>` for the posts of Close, for as long as the returned connector is open. Without a doorbell
/// the connector is returned as it is.
///
/// # Errors
/// Fatal if the listener cannot bind to its addresses, or if the name cannot be part of a path.
pub(super) async fn hang(
    connector: &str,
    opener: OpenCloseSource,
    inner: Box<dyn Connector>,
    resources: &Resources,
) -> Result<Box<dyn Connector>> {
    let Some(doorbell) = opener.doorbell() else { return Ok(inner) };
    let listener = resources.intake.listener().clone();
    if let Err(error) = listener.announce([connector]).await {
        listener.forget(connector).await;
        return Err(error);
    }
    let lent = listener.lend(connector, Doorbell::BODY_MAX_BYTES, move |headers, body| {
        std::future::ready(doorbell.post(&headers, &body))
    });
    match lent {
        Ok(hook) => Ok(Box::new(WithDoorbell { name: connector.to_owned(), inner, listener, opener, _hook: hook })),
        Err(error) => {
            listener.forget(connector).await;
            Err(error)
        }
    }
}

/// A connector whose hook is open. Its name stays known to the listener until it is closed.
struct WithDoorbell {
    name: String,
    inner: Box<dyn Connector>,
    listener: Listener,
    opener: OpenCloseSource,
    _hook: LentHook,
}

impl Connector for WithDoorbell {
    fn tasks(&self) -> u32 {
        self.inner.tasks()
    }

    fn placement(&self) -> Placement {
        self.inner.placement()
    }

    fn task(&self, task: u32, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
        self.inner.task(task, stop)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Self { name, inner, listener, opener, _hook } = *self;
            inner.close().await;
            listener.forget(&name).await;
            // It can stay: Close pauses a subscription that nobody answers, and the next start finds it by its address.
            match timeout(REMOVAL, opener.remove_webhook()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(
                    connector = %name, code = error.code, error = %error.chain(),
                    "the webhook subscription of connector {name} stays at Close"
                ),
                Err(_) => {
                    tracing::warn!(connector = %name, "the webhook subscription of connector {name} stays at Close");
                }
            }
        })
    }
}
