//! The keys that limit how fast a sink writes, independent of its store.

use std::time::Duration;

use towpath_keys::{ByteSize, Check, config_keys};

config_keys! {
    /// The rate at which a sink writes.
    pub struct DeliveryConfig {
        /// How long a transaction that is not full waits for more records. With 0, it does not wait.
        #[key("linger.ms", range = Duration::ZERO..=Duration::from_mins(1))]
        pub linger: Duration = Duration::ZERO,
        /// The maximum number of records per second, over all tasks of the connector. Without it, the database is the
        /// only limit. With it, a transaction has at most the records of a twentieth of a second.
        #[key("write.rows.per.second", range = 1..)]
        pub write_rows_per_second: Option<u32>,
        /// The maximum number of bytes of keys, values and headers per second, over all tasks of the connector.
        #[key("write.bytes.per.second", range = ByteSize::bytes(1)..)]
        pub write_bytes_per_second: Option<ByteSize>,
        /// The duration of a transaction above which the connector slows down: first with smaller transactions, then
        /// with pauses between them. While transactions take less time than this, it returns to full speed step by
        /// step.
        #[key("write.latency.target.ms", range = Duration::from_millis(1)..)]
        pub write_latency_target: Option<Duration>,
    }
}

impl Check for DeliveryConfig {}
