//! The keys that say how fast a sink's records are carried into its store, whatever store that is.

use std::time::Duration;

use towpath_keys::{ByteSize, Check, config_keys};

config_keys! {
    /// How fast a sink writes.
    pub struct DeliveryConfig {
        /// How long a transaction waits for more records while it is not full. 0 writes what is here, at once.
        #[key("linger.ms", range = Duration::ZERO..=Duration::from_mins(1))]
        pub linger: Duration = Duration::ZERO,
        /// Records that the connector may write in a second, all its tasks together; without it as many as the database
        /// takes. A transaction then holds no more than a twentieth of a second's worth.
        #[key("write.rows.per.second", range = 1..)]
        pub write_rows_per_second: Option<u32>,
        /// Bytes of keys, values and headers that the connector may write in a second, all its tasks together.
        #[key("write.bytes.per.second", range = ByteSize::bytes(1)..)]
        pub write_bytes_per_second: Option<ByteSize>,
        /// How long a transaction may take before the connector writes less: smaller transactions first, then pauses
        /// between them. It goes back to full speed step by step while the database answers faster than this.
        #[key("write.latency.target.ms", range = Duration::from_millis(1)..)]
        pub write_latency_target: Option<Duration>,
    }
}

impl Check for DeliveryConfig {}
