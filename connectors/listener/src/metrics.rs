//! Open connections, and the reasons for which a listener closed a connection.

use prometheus::{IntCounterVec, IntGauge, Opts};

/// The reason for which the listener closed a connection. An idle connection that is closed after its answer has none,
/// and neither has a connection that the client closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The head of the first request did not arrive in time.
    NoRequest,
    /// The client did not read its answer in time.
    Unread,
    /// The peer acknowledges nothing any more.
    Vanished,
    /// It was the oldest connection of an unknown client when a new one needed its place.
    Displaced,
    /// It was new, and all places were held by known clients.
    Full,
}

impl Closed {
    const ALL: [Self; 5] = [Self::NoRequest, Self::Unread, Self::Vanished, Self::Displaced, Self::Full];

    fn as_str(self) -> &'static str {
        match self {
            Self::NoRequest => "no_request",
            Self::Unread => "unread",
            Self::Vanished => "vanished",
            Self::Displaced => "displaced",
            Self::Full => "full",
        }
    }
}

/// The metrics of one listener. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    pub(crate) open: IntGauge,
    closed: IntCounterVec,
}

impl ListenerMetrics {
    /// From the number of open connections, and a counter with the one label `reason`. Every series of the counter is
    /// present from the start.
    pub fn new(open: IntGauge, closed: IntCounterVec) -> Self {
        Closed::ALL.into_iter().for_each(|reason| drop(closed.with_label_values(&[reason.as_str()])));
        Self { open, closed }
    }

    pub(crate) fn closed(&self, reason: Closed) {
        self.closed.with_label_values(&[reason.as_str()]).inc();
    }

    #[cfg(test)]
    pub(crate) fn count(&self, reason: Closed) -> u64 {
        self.closed.with_label_values(&[reason.as_str()]).get()
    }
}

impl Default for ListenerMetrics {
    /// Metrics that no registry shows.
    fn default() -> Self {
        let open = IntGauge::new("open", "open").expect("a valid name");
        let closed = IntCounterVec::new(Opts::new("closed", "closed"), &["reason"]).expect("a valid name");
        Self::new(open, closed)
    }
}
