//! The keys of the worker.

use towpath_keys::{ByteSize, Check, ListenerAddress, Pairs, Problems, config_enum, config_keys};
use towpath_listener::Network;

config_enum! {
    /// The format of log lines.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

config_keys! {
    /// Keys of the worker's own file.
    pub struct WorkerConfig {
        /// The brokers to connect to first: `host:port`, separated by commas.
        #[key("bootstrap.servers")]
        pub bootstrap_servers: String,
        /// The name of the worker's group. Kafka clients are named `towpath-<group.id>-<role>`, and the column `owner`
        /// of `towpath.sink_partition` begins with `<group.id>@<host>:`.
        #[key("group.id")]
        pub group_id: String = "towpath".to_owned(),
        /// The URL of the schema registry, which must have the API of Confluent's.
        #[key("schema.registry.url")]
        pub schema_registry_url: String,
        /// The addresses that serve health and metrics.
        #[key("listeners")]
        pub listeners: Vec<ListenerAddress> = vec![ListenerAddress::new("127.0.0.1", 8083)],
        /// The addresses that accept webhook posts, at `POST /hooks/<connector name>`.
        #[key("webhook.listeners")]
        pub webhook_listeners: Vec<ListenerAddress> = vec![ListenerAddress::new("0.0.0.0", 8080)],
        /// The maximum number of connections to `webhook.listeners`. A further connection takes the place of the oldest
        /// one on which no client has posted yet.
        #[key("webhook.connections.max", range = 16..=100_000)]
        pub webhook_connections_max: usize = 4_096,
        /// The maximum number of those connections from one address. An IPv6 address counts as its network of 64 bits.
        /// If all posts come through a proxy, name it in `webhook.proxies`.
        #[key("webhook.connections.max.per.address", range = 1..=100_000)]
        pub webhook_connections_max_per_address: usize = 1_024,
        /// The maximum memory for request bodies whose senders are not known yet. One address gets half of it. The
        /// first 8 KiB of each body do not count. A body that finds no memory is refused with 503 and `Retry-After`.
        #[key("webhook.bodies.max.bytes", range = ByteSize::mib(1)..)]
        pub webhook_bodies_max: ByteSize = ByteSize::mib(64),
        /// The addresses of trusted proxies in front of `webhook.listeners`, or their networks, such as `10.0.0.0/8`.
        /// Their connections have no limit for each address, and the last address in `X-Forwarded-For` that is not one
        /// of these counts as the sender of a post.
        #[key("webhook.proxies")]
        pub webhook_proxies: Vec<String> = vec![],
        /// The format of log lines.
        #[key("log.format")]
        pub log_format: LogFormat = LogFormat::Text,
        /// The events to log: a level (`error`, `warn`, `info`, `debug`, `trace`), or directives such as
        /// `info,towpath=debug`.
        #[key("log.level")]
        pub log_level: String = "info".to_owned(),
        /// The compacted topic that keeps the positions of source tasks. It is created if it is absent. A task writes
        /// its position and its events in one transaction, with the transactional id
        /// `towpath.<group.id>.<connector>.<task>`; ACLs have to allow both.
        #[key("offset.storage.topic")]
        pub offset_storage_topic: String = "towpath-offsets".to_owned(),
        /// The replication factor of `offset.storage.topic` when it is created. Without it, the broker's default is
        /// used.
        #[key("offset.storage.replication.factor", range = 1..)]
        pub offset_storage_replication: Option<i32>,
        /// The number of partitions of `offset.storage.topic` when it is created.
        #[key("offset.storage.partitions", range = 1..)]
        pub offset_storage_partitions: i32 = 25,
        /// Settings of librdkafka for all Kafka clients, such as `kafka.security.protocol` and `kafka.sasl.password`.
        /// The mechanisms of `kafka.sasl.mechanism` are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER, the last
        /// one with `kafka.sasl.oauthbearer.method=oidc` too; GSSAPI (Kerberos) needs `cargo build --features gssapi`.
        #[key("kafka.{}")]
        pub kafka: Pairs,
    }
}

impl Check for WorkerConfig {
    fn check(&self, problems: &mut Problems) {
        if self.bootstrap_servers.trim().is_empty() {
            problems.invalid("bootstrap.servers", "must not be empty");
        }
        if self.group_id.trim().is_empty() {
            problems.invalid("group.id", "must not be empty");
        }
        if self.offset_storage_topic.trim().is_empty() {
            problems.invalid("offset.storage.topic", "must not be empty");
        }
        if !is_http(&self.schema_registry_url) {
            problems.invalid("schema.registry.url", "must begin with `http://` or `https://`");
        }
        // Connect's default port is for `listeners` alone; senders of posts know the port from the config only.
        if self.webhook_listeners.iter().any(|address| address.port().is_none()) {
            problems.invalid("webhook.listeners", "must name the port, as in `http://0.0.0.0:8080`");
        }
        for (at, network) in self.webhook_proxies.iter().enumerate() {
            if let Err(reason) = network.parse::<Network>() {
                problems.invalid("webhook.proxies", format!("entry {} {reason}", at + 1));
            }
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log_level).is_err() {
            problems.invalid("log.level", "must be a level such as `info`, or directives such as `info,towpath=debug`");
        }
    }
}

impl WorkerConfig {
    /// The networks of trusted proxies.
    pub fn proxies(&self) -> impl Iterator<Item = Network> {
        self.webhook_proxies.iter().filter_map(|network| network.parse().ok())
    }
}

fn is_http(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, read};

    use super::*;

    const NEEDED: [(&str, &str); 2] = [("bootstrap.servers", "b:9092"), ("schema.registry.url", "http://r")];

    #[test]
    fn two_keys_are_enough() {
        let (config, _) = read::<WorkerConfig>(&Flat::from_strings(NEEDED)).unwrap();
        assert_eq!((config.group_id.as_str(), config.log_level.as_str()), ("towpath", "info"));
        assert_eq!(config.listeners, ["http://127.0.0.1:8083".parse().unwrap()]);
        assert_eq!(config.webhook_listeners, ["http://0.0.0.0:8080".parse().unwrap()]);
    }

    #[test]
    fn unusable_values_are_refused() {
        for (key, value) in [
            ("listeners", "127.0.0.1:8083"),
            ("listeners", "https://127.0.0.1:8083"),
            ("webhook.listeners", "http://127.0.0.1"),
            ("webhook.listeners", "http://h:80/path"),
            ("webhook.connections.max", "1"),
            ("webhook.bodies.max.bytes", "1KiB"),
            ("webhook.proxies", "10.0.0.0/8,proxy"),
            ("group.id", " "),
            ("log.level", "info,towpath=loud"),
            ("log.format", "xml"),
        ] {
            let flat = Flat::from_strings(NEEDED.into_iter().chain([(key, value)]));
            let found = read::<WorkerConfig>(&flat).unwrap_err();
            assert_eq!((found.len(), found[0].key.as_str()), (1, key), "{key} = {value}: {found:?}");
        }
    }
}
