//! The keys of the topic for dead letters, named as in Kafka Connect.

use towpath_keys::{Check, config_keys};

config_keys! {
    /// Keys of the topic that a sink copies its dead letters to.
    pub struct DeadLetterQueueConfig {
        /// A topic for copies of the dead letters, with unchanged keys, values and headers. A dead letter is first
        /// stored in `towpath.dead_letter`, and from there sent to the topic at least once. Dead letters that were
        /// stored before this key was set are sent as well. If empty, no copies are sent.
        #[key("errors.deadletterqueue.topic.name")]
        pub topic: String = String::new(),
        /// The replication factor of that topic, if the connector creates it. The topic then has one partition.
        #[key("errors.deadletterqueue.topic.replication.factor", range = 1..)]
        pub replication: i32 = 3,
        /// Whether to add the headers `__connect.errors.*` with the origin of the record and the error.
        #[key("errors.deadletterqueue.context.headers.enable")]
        pub context_headers: bool = false,
    }
}

impl Check for DeadLetterQueueConfig {}

impl DeadLetterQueueConfig {
    /// The topic, if one is configured.
    pub fn topic(&self) -> Option<&str> {
        Some(self.topic.as_str()).filter(|topic| !topic.is_empty())
    }
}
