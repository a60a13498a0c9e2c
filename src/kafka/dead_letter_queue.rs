//! A topic for dead letters, in the form that Kafka Connect's tools know: the original records, with headers that give
//! the reason.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::AdminClient,
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::Delivery},
    util::Timeout,
};
use towpath_api::{Result, StoredDeadLetter};

use super::{
    client::{KafkaSettings, refused_settings, unavailable},
    topics,
};

/// The maximum time for which librdkafka retries a record.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Large enough for every record that another topic accepted, and for its headers.
const MAX_BYTES: &str = "100000000";

/// The connector, as the headers name it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The name of the connector.
    pub connector: String,
    /// The number of tasks, which decides the task of a record.
    pub tasks: u32,
}

/// Sends the dead letters of one connector.
pub struct DeadLetterQueue {
    topic: String,
    replication: i32,
    /// `None` adds no headers.
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

    /// Creates the topic if it is absent, with one partition.
    ///
    /// # Errors
    /// Retry while no broker answers. Fatal [`codes::TOPIC_REFUSED`](super::codes::TOPIC_REFUSED) when the broker
    /// cannot create such a topic.
    pub async fn ensure(&self) -> Result<()> {
        topics::ensure_queue(&self.admin, &self.topic, self.replication).await
    }

    /// Sends letters, and returns once the broker has all of them.
    ///
    /// A letter that is too large for the topic is sent without its value, which stays in the store; the header
    /// `towpath.error.value` says so.
    ///
    /// # Errors
    /// Retry while the broker does not accept them; some may be in the topic already.
    pub async fn publish(&self, letters: &[StoredDeadLetter]) -> Result<()> {
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

    async fn send(&self, letter: &StoredDeadLetter, whole: bool) -> Result<Delivery, KafkaError> {
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
                value: Some(b"too large for this topic; the value is kept with the dead letter in the sink's store"),
            });
        }
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
        record.key = letter.key.as_deref();
        record.payload = letter.value.as_deref().filter(|_| whole);
        record.timestamp = letter.timestamp_ms;
        self.producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)
    }
}

/// Kafka Connect's headers, with its names as far as it has them, and Towpath's error code. They are appended to the
/// headers of the record, also if the record has been through such a topic before.
fn context_headers(context: &Context, letter: &StoredDeadLetter) -> [(&'static str, String); 11] {
    let StoredDeadLetter { partition, offset, code, reason, .. } = letter;
    let task = (0..context.tasks).find(|task| super::share::is_mine(partition, *task, context.tasks)).unwrap_or(0);
    let (stage, class) = match (letter.stage.as_str(), code.as_str()) {
        // Some codes are shared by key and value; the reason then begins with `the key`.
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
