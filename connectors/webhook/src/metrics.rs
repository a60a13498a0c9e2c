//! Metrics of the webhook.
//!
//! Labels are names from the config, `_unknown` for other names, and closed sets: no value from a client becomes a
//! series. Every series that can exist is present from the start with 0.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::reply::Reason;

/// The label of a client or object that the config does not name.
pub(crate) const UNKNOWN: &str = "_unknown";
/// Answers to a known client.
const CODES: [&str; 6] = ["202", "400", "404", "413", "422", "503"];
/// Answers before the client is known.
const CODES_UNKNOWN: [&str; 8] = ["400", "401", "405", "408", "413", "415", "499", "503"];
/// Reasons to reject the post of a known client.
const REASONS: [Reason; 4] = [Reason::Malformed, Reason::TooLarge, Reason::UnknownObject, Reason::Schema];
/// Reasons to reject a post before its client is known.
const REASONS_UNKNOWN: [Reason; 3] = [Reason::Credentials, Reason::Malformed, Reason::TooLarge];
/// Buckets from a post without any wait to one that timed out.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics of all webhook sources of a worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WebhookMetrics {
    requests: IntCounterVec,
    events: IntCounterVec,
    rejections: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    received_bytes: IntCounterVec,
}

impl WebhookMetrics {
    /// Creates the metrics and registers them with `registry`.
    ///
    /// # Errors
    /// A name is already registered.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let duration = HistogramOpts::new(
            "towpath_webhook_request_duration_seconds",
            "Time from the head of a request to its answer, with Kafka's acknowledgement",
        );
        let duration = HistogramVec::new(duration.buckets(SECONDS.to_vec()), &["connector"])?;
        registry.register(Box::new(duration.clone()))?;
        let in_flight = Opts::new("towpath_webhook_requests_in_flight", "Requests under way");
        let in_flight = IntGaugeVec::new(in_flight, &["connector"])?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            requests: counter(
                "towpath_webhook_requests_total",
                "Requests by answer; 499 for a client that went away before it",
                &["connector", "client", "code"],
            )?,
            events: counter(
                "towpath_webhook_events_total",
                "Events in requests of known clients, accepted or rejected",
                &["connector", "client", "object", "outcome"],
            )?,
            rejections: counter(
                "towpath_webhook_rejections_total",
                "Requests refused for what the client sent",
                &["connector", "client", "reason"],
            )?,
            received_bytes: counter("towpath_source_received_bytes_total", "Payload bytes received", &["connector"])?,
            duration,
            in_flight,
        })
    }

    /// The metrics of one connector: every series that can exist, at 0 or at the value that an earlier run left.
    pub(crate) fn of_connector<'a>(
        &self,
        connector: &str,
        clients: impl Iterator<Item = &'a str>,
        objects: &[&str],
    ) -> HookMetrics {
        for client in clients {
            CODES.iter().for_each(|code| drop(self.requests.with_label_values(&[connector, client, *code])));
            for object in objects {
                for outcome in ["accepted", "rejected"] {
                    drop(self.events.with_label_values(&[connector, client, *object, outcome]));
                }
            }
            drop(self.events.with_label_values(&[connector, client, UNKNOWN, "rejected"]));
            REASONS
                .iter()
                .for_each(|reason| drop(self.rejections.with_label_values(&[connector, client, reason.as_str()])));
        }
        CODES_UNKNOWN.iter().for_each(|code| drop(self.requests.with_label_values(&[connector, UNKNOWN, *code])));
        REASONS_UNKNOWN
            .iter()
            .for_each(|reason| drop(self.rejections.with_label_values(&[connector, UNKNOWN, reason.as_str()])));
        HookMetrics {
            connector: connector.into(),
            duration: self.duration.with_label_values(&[connector]),
            in_flight: self.in_flight.with_label_values(&[connector]),
            received_bytes: self.received_bytes.with_label_values(&[connector]),
            all: self.clone(),
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
    all: WebhookMetrics,
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
        self.hook.all.events.with_label_values(&[&*self.hook.connector, self.client(), object, outcome]).inc_by(count);
    }

    /// Counts a refusal that the client caused.
    pub(crate) fn rejected(&self, reason: Reason) {
        self.hook.all.rejections.with_label_values(&[&*self.hook.connector, self.client(), reason.as_str()]).inc();
    }

    /// Sets the status of the answer and returns the time since the request began.
    pub(crate) fn answered(&mut self, status: hyper::StatusCode) -> Duration {
        self.code = CODES.into_iter().chain(CODES_UNKNOWN).find(|code| *code == status.as_str()).unwrap_or("500");
        self.started.elapsed()
    }
}

impl Drop for RequestMetrics<'_> {
    fn drop(&mut self) {
        self.hook.in_flight.dec();
        self.hook.duration.observe(self.started.elapsed().as_secs_f64());
        self.hook.all.requests.with_label_values(&[&*self.hook.connector, self.client(), self.code]).inc();
    }
}
