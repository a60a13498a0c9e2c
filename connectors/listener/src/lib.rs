//! An HTTP/1.1 listener that strangers cannot hold: the one of the webhooks and the one of the management API.
//!
//! | file | subject |
//! |---|---|
//! | `accept` | the accept loops, and one connection from its first byte to its end |
//! | `places` | the limits on connections, in all and for each address |
//! | `stream` | the socket: its options, and the deadline for answers that the client does not read |
//! | `address` | addresses as the limits count them, and networks |
//! | `metrics` | open connections, and the reasons for which a connection was closed |
//!
//! It reads no body and knows no path, no client and no secret: the service that it serves decides which connection has
//! proved to be of a known client ([`Peer::is_known`]). It has no TLS; a proxy in front provides that.
//!
//! What always holds:
//! * A connection without a request in progress ends after 10 seconds.
//! * An answer that the client does not read ends its connection: at least 16 KiB have to be taken in 10 seconds.
//! * A peer that vanishes ends its connection after about 30 seconds, whatever the connection waits for.
//! * A new connection never waits for a place: if there is none, the oldest connection of an unknown client is closed.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod accept;
mod address;
mod metrics;
mod places;
mod stream;

pub use accept::Accepting;
pub use address::{Network, counted};
pub use hyper_util::service::TowerToHyperService;
pub use metrics::ListenerMetrics;
pub use places::{Limits, Peer};
