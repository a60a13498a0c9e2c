//! Receives a post, keeps its bytes, and answers at the end.
//!
//! [`Hook::answer`] is the path of one request: receive, verify, map, publish, and only then 202. Cheap checks come
//! first: method, content type and size are checked before the body is read. A permit of `requests.max.in.flight` is
//! taken once the client is known; before that a post has the memory that [`crate::budget`] lends. A connection on
//! which no client has been known yet is closed after a refusal.
//!
//! What always holds: 202 is answered only after `publish` has returned, so the future may be dropped at any await, as
//! happens when a client disconnects; and no other code sees the body before [`verify`] has removed the credentials.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use hyper::{
    Method, Request,
    body::{Body, Incoming},
    header::HeaderMap,
    http::request,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, Publisher, Reaction};
use towpath_listener::Peer;
use towpath_mapping::Mapper;
use tracing::{debug, warn};

use crate::{
    body::read_body,
    budget::Charge,
    content,
    door::Door,
    map::{Mapped, Unmapped, map},
    metrics::{HookMetrics, RequestMetrics, UNKNOWN},
    reply::{Answer, Refusal, accepted},
    unready::Unready,
    verify::{Clients, Unverified, verify},
};

/// Time for requests in flight to end. A stopping worker has 10 seconds in all.
const DRAIN_DEADLINE: Duration = Duration::from_secs(8);

/// The parts of a webhook that come from its config.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: String,
    /// `/hooks/<name>`.
    pub(crate) path: String,
    pub(crate) clients: Clients,
    pub(crate) mappers: BTreeMap<String, Mapper>,
    pub(crate) body_max_bytes: usize,
    pub(crate) requests_max: u32,
    pub(crate) metrics: HookMetrics,
}

pub(crate) struct Hook<P> {
    setup: Arc<Setup>,
    door: Arc<Door>,
    out: P,
    unready: Arc<Unready>,
    /// Cancelled when no more requests are accepted.
    closing: CancellationToken,
    /// One permit per request of a known client.
    permits: Arc<Semaphore>,
    /// Receives the first error that ends the webhook.
    failed: mpsc::Sender<Error>,
}

impl<P: Publisher> Hook<P> {
    pub(crate) fn new(
        setup: Arc<Setup>,
        door: Arc<Door>,
        out: P,
        unready: Arc<Unready>,
        closing: CancellationToken,
        failed: mpsc::Sender<Error>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(setup.requests_max as usize));
        Self { setup, door, out, unready, closing, permits, failed }
    }

    /// Refuses further requests and waits for those in flight, at most [`DRAIN_DEADLINE`].
    pub(crate) async fn drain(&self) {
        self.closing.cancel();
        if timeout(DRAIN_DEADLINE, self.permits.acquire_many(self.setup.requests_max)).await.is_err() {
            let left = self.setup.requests_max as usize - self.permits.available_permits();
            warn!(
                connector = self.setup.name,
                requests = left,
                "the webhook stopped before {left} requests were answered"
            );
        }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Answer {
        let mut metrics = self.setup.metrics.request();
        let answer = match self.walk(request, peer, &mut metrics).await {
            Ok(answer) => answer,
            Err(refusal) => {
                if let Some(reason) = refusal.reason {
                    metrics.rejected(reason);
                }
                let client = metrics.client.as_deref().unwrap_or(UNKNOWN);
                debug!(
                    connector = self.setup.name,
                    client,
                    code = refusal.code,
                    status = refusal.status.as_u16(),
                    "refused a post"
                );
                refusal.answer_to(peer, &self.setup.path)
            }
        };
        metrics.answered(answer.status());
        answer
    }

    async fn walk(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        metrics: &mut RequestMetrics<'_>,
    ) -> Result<Answer, Refusal> {
        let (head, body) = request.into_parts();
        let sender = self.door.sender(peer, &head.headers);
        if let Err(refusal) = self.admit(&head, &body, sender) {
            return Err(refusal.unread(&head, body));
        }
        let mut memory = self.door.bodies.body(sender);
        let body = read_body(body, self.setup.body_max_bytes, &mut memory).await?;
        self.setup.metrics.received_bytes.inc_by(body.len() as u64);

        let entry = Entry {
            setup: self.setup.clone(),
            permits: self.permits.clone(),
            closing: self.closing.clone(),
            traceparent: traceparent(&head.headers).map(ToOwned::to_owned),
        };
        let judged = self.door.judge(body.len(), move || entry.judge(&body, memory)).await;
        let Judged { client, entered } = judged.ok_or_else(Refusal::draining)?.map_err(|unverified| {
            let guessed = matches!(unverified, Unverified::Credentials);
            if guessed && self.door.attempts.failed(sender) { Refusal::attempts() } else { unverified.into() }
        })?;
        metrics.client = Some(client);
        self.door.attempts.succeeded(sender);
        peer.becomes_known();

        let (_permit, mapped) = entered?;
        let Mapped { object, events, is_array } = mapped.inspect_err(|unmapped| match unmapped {
            Unmapped::Schema { object, events, .. } => metrics.events(object, "rejected", *events),
            _ => metrics.events(UNKNOWN, "rejected", 1),
        })?;

        let keys: Vec<_> = events.iter().map(|event| event.key.clone()).collect();
        let object = object.name();
        if self.unready.has(object) {
            return Err(Refusal::unready(object));
        }
        match self.out.publish(events).await {
            Ok(placed) => {
                metrics.events(object, "accepted", keys.len());
                Ok(accepted(&keys, &placed, is_array))
            }
            Err(error) => {
                let refusal = Refusal::unpublished(&error);
                if refusal.reason.is_some() {
                    metrics.events(object, "rejected", keys.len());
                }
                self.report(object, error);
                Err(refusal)
            }
        }
    }

    /// Checks everything that needs no body.
    fn admit(&self, head: &request::Parts, body: &Incoming, sender: IpAddr) -> Result<(), Refusal> {
        if self.closing.is_cancelled() {
            return Err(Refusal::draining());
        }
        if head.method != Method::POST {
            return Err(Refusal::method());
        }
        content::check(&head.headers).map_err(|why| Refusal::content_type(&why))?;
        let max = self.setup.body_max_bytes;
        if body.size_hint().lower() > max as u64 {
            return Err(Refusal::body_too_large(max));
        }
        if self.door.attempts.refuses(sender) { Err(Refusal::attempts()) } else { Ok(()) }
    }

    /// Logs the reason of a 503, which the client does not get. The worker logs errors that end the webhook.
    fn report(&self, object: &str, error: Error) {
        if error.reaction == Reaction::Fenced {
            // Full if another request has reported the same error first.
            let _ = self.failed.try_send(error);
            return;
        }
        if error.reaction == Reaction::Fatal {
            self.unready.refused(object);
        }
        let (connector, code, error_type) = (&self.setup.name, error.code, error.error_type);
        warn!(connector, object, code, %error_type, error = error.chain(), "cannot publish a post's events");
    }
}

/// The way from the bytes of a body to its events. It can take long, so it awaits nothing and borrows nothing.
struct Entry {
    setup: Arc<Setup>,
    permits: Arc<Semaphore>,
    closing: CancellationToken,
    traceparent: Option<String>,
}

/// A post of a known client, mapped if it was let in.
struct Judged {
    client: Arc<str>,
    entered: Result<(OwnedSemaphorePermit, Result<Mapped, Unmapped>), Refusal>,
}

impl Entry {
    fn judge(self, body: &[u8], memory: Charge) -> Result<Judged, Unverified> {
        let (client, post) = verify(body, &self.setup.clients)?;
        // The permit bounds the memory of known clients.
        drop(memory);
        let entered = self.enter().map(|permit| (permit, map(&post, &self.setup.mappers, self.traceparent.as_deref())));
        Ok(Judged { client, entered })
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if self.closing.is_cancelled() {
            return Err(Refusal::draining());
        }
        self.permits.clone().try_acquire_owned().map_err(|_| Refusal::overloaded())
    }
}

/// The W3C trace context if it is well formed: version 00, no part all zeros.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let mut hex = |length: usize| {
        let part = parts.next()?;
        let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (part.len() == length && is_hex).then_some(part)
    };
    let (version, trace, span, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let given = |id: &str| id.bytes().any(|byte| byte != b'0');
    (version == "00" && given(trace) && given(span) && parts.next().is_none()).then_some(text)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_well_formed_trace_context_is_passed_on() {
        let name = HeaderName::from_static("traceparent");
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(&headers(&[(name.clone(), good)])), Some(good));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(traceparent(&headers(&[(name.clone(), bad)])), None, "{bad}");
        }
    }
}
