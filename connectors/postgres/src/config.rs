//! The keys of the Postgres sink.

use std::path::PathBuf;

use towpath_api::{
    config::{Check, Problems, Secret},
    config_enum, config_keys,
};

config_enum! {
    /// How a delete arrives in the table.
    pub enum DeleteMode {
        /// The row stays with its values and `_towpath_deleted = true`; the view `<table>_live` shows the others.
        Soft = "soft",
        /// The row goes.
        Hard = "hard",
    }
}

config_keys! {
    /// Keys of the Postgres sink.
    pub struct PostgresSinkConfig {
        /// The topics to read, each by its name. Exactly one of `topics` and `topics.regex` must be given.
        #[key("topics")]
        pub topics: Vec<String> = vec![],
        /// A regular expression for the whole name of the topics to read; new ones are picked up as they appear.
        #[key("topics.regex")]
        pub topics_regex: Option<String>,
        /// Where the database is: `postgres://host:port/database`, with `?sslmode=disable|prefer|require` at need.
        #[key("connection.url")]
        pub connection_url: String,
        /// The role to connect as. It needs `CREATE` on the database, or the schemas must exist and be its own.
        #[key("connection.user")]
        pub connection_user: Option<String>,
        /// The password of the role.
        #[key("connection.password")]
        pub connection_password: Option<Secret>,
        /// A file of certificates (PEM) to trust beside those of the system, for a server with a certificate of your own.
        #[key("connection.ssl.ca")]
        pub connection_ssl_ca: Option<PathBuf>,
        /// Connections that a task may hold; that many partitions are written side by side.
        #[key("connections.max", range = 1..=64)]
        pub connections_max: u32 = 4,
        /// Which table a topic fills; `${topic}` stands for its name. The first dot parts schema and table.
        #[key("table.name.format")]
        pub table_name_format: String = "${topic}".to_owned(),
        /// How a delete arrives in the table.
        #[key("delete.mode")]
        pub delete_mode: DeleteMode = DeleteMode::Soft,
        /// Records in one transaction, at most. A transaction holds what arrived while the one before it ran.
        #[key("batch.max.rows", alias = "batch.size", range = 1..=100_000)]
        pub batch_max_rows: u32 = 5_000,
        /// Bytes of keys and values in one transaction, at most (a single larger record still goes alone).
        #[key("batch.max.bytes")]
        pub batch_max_bytes: towpath_api::config::ByteSize = towpath_api::config::ByteSize::mib(8),
    }
}

impl Check for PostgresSinkConfig {
    fn check(&self, problems: &mut Problems) {
        if self.topics.is_empty() == self.topics_regex.is_none() {
            problems.invalid("topics", "exactly one of `topics` and `topics.regex` must be given");
        }
        if !self.table_name_format.contains("${topic}") && (self.topics.len() > 1 || self.topics_regex.is_some()) {
            // Offsets of different topics say nothing about each other's order.
            problems.invalid(
                "table.name.format",
                "must contain `${topic}` where several topics are read: two topics cannot share a table",
            );
        }
        if let Some(pattern) = &self.topics_regex
            && regex::Regex::new(pattern).is_err()
        {
            problems.invalid("topics.regex", "is no regular expression");
        }
        if self.connection_url.parse::<tokio_postgres::Config>().is_err() {
            problems.invalid("connection.url", "is no Postgres URL; one looks like `postgres://host:5432/database`");
        }
    }
}
