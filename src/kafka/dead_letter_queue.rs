//! A topic for dead letters, as Kafka Connect's tools know it: the records as they came, with headers that say why they
//! are there.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::AdminClient,
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::Delivery},
    util::Timeout,
};
use towpath_api::{Result, SetAside};

use super::{
    client::{KafkaSettings, refused_settings, unavailable},
    topics,
};

/// How long a record may take; librdkafka tries again by itself meanwhile.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// The queue takes what the topic it came from took, and its headers.
const MAX_BYTES: &str = "100000000";

/// What the headers say of the connector.
#[derive(Debug, Clone)]
pub struct Context {
    /// The name of the connector.
    pub connector: String,
    /// How many tasks it has, from which the task of a record follows.
    pub tasks: u32,
}

/// Sends dead letters of one connector.
pub struct DeadLetterQueue {
    topic: String,
    replication: i32,
    /// `None` where no headers are wanted.
    context: Option<Context>,
    producer: FutureProducer,
    admin: Arc<AdminClient<DefaultClientContext>>,
}

impl DeadLetterQueue {
    /// Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(
        kafka: &KafkaSettings,
        connector: &str,
        topic: &str,
        replication: i32,
        context: Option<Context>,
    ) -> Result<Self> {
        let mut settings = kafka.client(&format!("{connector}-dlq"));
        let admin = Arc::new(settings.create().map_err(refused_settings)?);
        settings.set("enable.idempotence", "true").set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string());
        if settings.get("message.max.bytes").is_none() {
            settings.set("message.max.bytes", MAX_BYTES);
        }
        let producer = settings.create().map_err(refused_settings)?;
        Ok(Self { topic: topic.to_owned(), replication, context, producer, admin })
    }

    /// Makes the topic, with one partition, unless it is there.
    ///
    /// # Errors
    /// Retry while no broker answers; fatal `kafka.topic_refused` when the broker cannot make such a topic.
    pub async fn ensure(&self) -> Result<()> {
        topics::ensure_queue(&self.admin, &self.topic, self.replication).await
    }

    /// Sends letters, and returns once the broker has all of them.
    ///
    /// A letter that is larger than the topic takes goes without its value, which stays in the store; the header
    /// `towpath.error.value` says so.
    ///
    /// # Errors
    /// Retry while the broker does not take them; some may be there already.
    pub async fn publish(&self, letters: &[SetAside]) -> Result<()> {
        let sent = futures::future::join_all(letters.iter().map(|letter| self.send(letter, true))).await;
        for (letter, sent) in letters.iter().zip(sent) {
            let sent = match sent {
                Err(KafkaError::MessageProduction(Code::MessageSizeTooLarge)) => self.send(letter, false).await,
                sent => sent,
            };
            sent.map_err(|error| unavailable(format!("send dead letters to topic `{}`", self.topic), error))?;
        }
        Ok(())
    }

    async fn send(&self, letter: &SetAside, whole: bool) -> Result<Delivery, KafkaError> {
        let mut headers = OwnedHeaders::new_with_capacity(letter.headers.len() + 12);
        for (name, value) in &letter.headers {
            headers = headers.insert(Header { key: name, value: value.as_deref() });
        }
        if let Some(context) = &self.context {
            for (name, value) in context_headers(context, letter) {
                headers = headers.insert(Header { key: name, value: Some(value.as_bytes()) });
            }
        }
        if !whole {
            headers = headers.insert(Header {
                key: "towpath.error.value",
                value: Some(b"too large for this topic; see towpath.dead_letter"),
            });
        }
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
        record.key = letter.key.as_deref();
        record.payload = letter.value.as_deref().filter(|_| whole);
        record.timestamp = letter.timestamp_ms;
        self.producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)
    }
}

/// Kafka Connect's headers, in its words as far as it has one, and our code. They are added behind those that the
/// record has, also where it has been through a queue before.
fn context_headers(context: &Context, letter: &SetAside) -> [(&'static str, String); 11] {
    let SetAside { partition, offset, code, reason, .. } = letter;
    let task = (0..context.tasks).find(|task| super::consumer::is_mine(partition, *task, context.tasks)).unwrap_or(0);
    let (stage, class) = match (letter.stage.as_str(), code.as_str()) {
        // Some codes are of key and value alike; the reason then begins with which.
        ("decode", code) if code.starts_with("decode.key") || reason.starts_with("the key ") => {
            ("KEY_CONVERTER", "towpath::avro::codec::Decoder")
        }
        ("decode", _) => ("VALUE_CONVERTER", "towpath::avro::codec::Decoder"),
        _ => ("TASK_PUT", "towpath_api::Sink"),
    };
    [
        ("__connect.errors.topic", partition.topic.to_string()),
        ("__connect.errors.partition", partition.partition.to_string()),
        ("__connect.errors.offset", offset.to_string()),
        ("__connect.errors.connector.name", context.connector.clone()),
        ("__connect.errors.task.id", task.to_string()),
        ("__connect.errors.stage", stage.to_owned()),
        ("__connect.errors.class.name", class.to_owned()),
        ("__connect.errors.exception.class.name", code.clone()),
        ("__connect.errors.exception.message", reason.clone()),
        ("__connect.errors.exception.stacktrace", format!("{code}: {reason}")),
        ("towpath.error.code", code.clone()),
    ]
}
