//! Metrics of the webhook.
//!
//! Labels are names from the config, `_unknown` for other names, and closed sets: no value from a client becomes a
//! series. Every series that can exist is present from the start with 0.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};
use towpath_api::families;
use towpath_listener::ListenerMetrics;

use crate::reply::Reason;

/// The label of a client or object that the config does not name.
pub(crate) const UNKNOWN: &str = "_unknown";
/// Answers to a known client.
const CODES: [&str; 6] = ["202", "400", "404", "413", "422", "503"];
/// Answers before the client is known.
const CODES_UNKNOWN: [&str; 9] = ["400", "401", "405", "408", "413", "415", "429", "499", "503"];
/// Answers to requests that name no connector, or whose head cannot be read.
const CODES_NOWHERE: [&str; 3] = ["400", "404", "431"];
/// Reasons to reject the post of a known client.
const REASONS: [Reason; 4] = [Reason::Malformed, Reason::TooLarge, Reason::UnknownObject, Reason::Schema];
/// Reasons to reject a post before its client is known.
const REASONS_UNKNOWN: [Reason; 4] = [Reason::Credentials, Reason::Malformed, Reason::TooLarge, Reason::ContentType];
/// Reasons to reject a request that names no connector.
const REASONS_NOWHERE: [Reason; 3] = [Reason::Malformed, Reason::TooLarge, Reason::UnknownConnector];
/// Buckets from a post without any wait to one that timed out.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

families! {
    struct WebhookFamilies {
        /// Requests by answer; 499 for a client that went away before it
        requests: IntCounterVec = "towpath_webhook_requests_total" [connector, client, code],
        /// Events in requests of known clients, accepted or rejected
        events: IntCounterVec = "towpath_webhook_events_total" [connector, client, object, outcome],
        /// Requests refused for what the client sent
        rejections: IntCounterVec = "towpath_webhook_rejections_total" [connector, client, reason],
        /// Time from the head of a request to its answer, with Kafka's acknowledgement
        duration: HistogramVec = "towpath_webhook_request_duration_seconds" [connector] in SECONDS,
        /// Requests under way
        in_flight: IntGaugeVec = "towpath_webhook_requests_in_flight" [connector],
        /// Open connections of the listener of all webhooks
        connections: IntGauge = "towpath_webhook_connections" [],
        /// Connections that the listener closed: without a request in time, with an answer that was not read, of a
        /// peer that vanished, displaced by a new connection, or new with all places held by known clients
        closed: IntCounterVec = "towpath_webhook_connections_closed_total" [reason],
        /// Payload bytes received
        received_bytes: IntCounterVec = "towpath_source_received_bytes_total" [connector],
    }
}

/// The metric families of all webhook sources of a worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WebhookMetrics(WebhookFamilies);

impl Default for WebhookMetrics {
    /// Metrics that no registry shows.
    fn default() -> Self {
        Self::register(&Registry::new()).expect("an empty registry has no name twice")
    }
}

impl WebhookMetrics {
    /// Creates the families and registers them with `registry`.
    ///
    /// # Errors
    /// A name is already registered.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        WebhookFamilies::register(registry).map(Self)
    }

    /// The metrics of the listener of all webhooks.
    pub(crate) fn of_listener(&self) -> ListenerMetrics {
        ListenerMetrics::new(self.0.connections.clone(), self.0.closed.clone())
    }

    /// Removes the series of a connector. Call it after the connector's source has stopped: a request in flight would
    /// create some of the series again.
    pub fn remove_connector(&self, connector: &str) {
        self.0.remove_connector(connector);
    }

    /// The metrics of one connector: every series that can exist, at 0 or at the value that an earlier run left.
    pub(crate) fn of_connector<'a>(
        &self,
        connector: &str,
        clients: impl Iterator<Item = &'a str>,
        objects: &[&str],
    ) -> HookMetrics {
        let Self(families) = self;
        for client in clients {
            CODES.iter().for_each(|code| drop(families.requests.with_label_values(&[connector, client, *code])));
            for object in objects {
                for outcome in ["accepted", "rejected"] {
                    drop(families.events.with_label_values(&[connector, client, *object, outcome]));
                }
            }
            drop(families.events.with_label_values(&[connector, client, UNKNOWN, "rejected"]));
            REASONS
                .iter()
                .for_each(|reason| drop(families.rejections.with_label_values(&[connector, client, reason.as_str()])));
        }
        self.start(connector, &CODES_UNKNOWN, &REASONS_UNKNOWN);
        self.of_name(connector)
    }

    /// The metrics of requests that name no connector, under [`UNKNOWN`].
    pub(crate) fn of_nowhere(&self) -> HookMetrics {
        self.start(UNKNOWN, &CODES_NOWHERE, &REASONS_NOWHERE);
        self.of_name(UNKNOWN)
    }

    /// Creates the series of unknown clients of a connector.
    fn start(&self, connector: &str, codes: &[&str], reasons: &[Reason]) {
        let Self(families) = self;
        codes.iter().for_each(|code| drop(families.requests.with_label_values(&[connector, UNKNOWN, *code])));
        reasons
            .iter()
            .for_each(|reason| drop(families.rejections.with_label_values(&[connector, UNKNOWN, reason.as_str()])));
    }

    /// The metrics of a connector, without creating the series of its clients.
    pub(crate) fn of_name(&self, connector: &str) -> HookMetrics {
        let Self(families) = self;
        HookMetrics {
            connector: connector.into(),
            duration: families.duration.with_label_values(&[connector]),
            in_flight: families.in_flight.with_label_values(&[connector]),
            received_bytes: families.received_bytes.with_label_values(&[connector]),
            families: families.clone(),
        }
    }
}

/// The metrics of one connector.
#[derive(Debug)]
pub(crate) struct HookMetrics {
    connector: Arc<str>,
    duration: Histogram,
    in_flight: IntGauge,
    pub(crate) received_bytes: IntCounter,
    families: WebhookFamilies,
}

impl HookMetrics {
    /// Begins a request. The returned guard counts it when it ends, even if its client disconnects and it is dropped.
    pub(crate) fn request(&self) -> RequestMetrics<'_> {
        self.in_flight.inc();
        RequestMetrics { hook: self, started: Instant::now(), client: None, code: "499" }
    }
}

pub(crate) struct RequestMetrics<'m> {
    hook: &'m HookMetrics,
    started: Instant,
    /// The client, once it is known.
    pub(crate) client: Option<Arc<str>>,
    code: &'static str,
}

impl RequestMetrics<'_> {
    fn client(&self) -> &str {
        self.client.as_deref().unwrap_or(UNKNOWN)
    }

    /// Counts events of a known client. `object` is a name from the config, or [`UNKNOWN`].
    pub(crate) fn events(&self, object: &str, outcome: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.hook
            .families
            .events
            .with_label_values(&[&*self.hook.connector, self.client(), object, outcome])
            .inc_by(count);
    }

    /// Counts a refusal that the client caused.
    pub(crate) fn rejected(&self, reason: Reason) {
        self.hook.families.rejections.with_label_values(&[&*self.hook.connector, self.client(), reason.as_str()]).inc();
    }

    /// Sets the status of the answer and returns the time since the request began.
    pub(crate) fn answered(&mut self, status: hyper::StatusCode) -> Duration {
        let mut codes = CODES.into_iter().chain(CODES_UNKNOWN).chain(CODES_NOWHERE);
        self.code = codes.find(|code| *code == status.as_str()).unwrap_or("500");
        self.started.elapsed()
    }
}

impl Drop for RequestMetrics<'_> {
    fn drop(&mut self) {
        self.hook.in_flight.dec();
        self.hook.duration.observe(self.started.elapsed().as_secs_f64());
        self.hook.families.requests.with_label_values(&[&*self.hook.connector, self.client(), self.code]).inc();
    }
}
