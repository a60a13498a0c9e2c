//! The keys about a topic for dead letters, named as in Kafka Connect.

use towpath_keys::{Check, config_keys};

config_keys! {
    /// Where dead letters of a sink go beside its store.
    pub struct DeadLetterQueueConfig {
        /// A topic that dead letters go to as well, with key, value and headers as they came. They are in
        /// `towpath.dead_letter` first and are sent from there, at least once; those that are there already when this
        /// is set are sent too. Empty: no topic.
        #[key("errors.deadletterqueue.topic.name")]
        pub topic: String = String::new(),
        /// The replication of that topic where it has to be made; it then has one partition.
        #[key("errors.deadletterqueue.topic.replication.factor", range = 1..)]
        pub replication: i32 = 3,
        /// Whether headers `__connect.errors.*` say where a record came from and why it is there.
        #[key("errors.deadletterqueue.context.headers.enable")]
        pub context_headers: bool = false,
    }
}

impl Check for DeadLetterQueueConfig {}

impl DeadLetterQueueConfig {
    /// The topic, if there is to be one.
    pub fn topic(&self) -> Option<&str> {
        Some(self.topic.as_str()).filter(|topic| !topic.is_empty())
    }
}
