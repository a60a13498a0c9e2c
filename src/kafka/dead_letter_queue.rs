//! A topic for dead letters, in the form that Kafka Connect's tools know: the original records, with headers that give
//! the reason.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::AdminClient,
    client::DefaultClientContext,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::FutureRecord,
};
use towpath_api::{Error, ErrorType, Result, StoredDeadLetter};

use super::{
    client::{KafkaSettings, refused_settings, unavailable},
    codes,
    publisher::{
        producer::{Instance, Producer},
        refusal::{is_of_a_batch, is_size},
        settings::{guarantee, set_default},
    },
    topics,
};

/// The maximum time for which librdkafka retries a record.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Large enough for every record that another topic accepted, and for its headers.
const MAX_BYTES: &str = "100000000";
/// Letters in flight together have about this many bytes at most.
const IN_FLIGHT_BYTES: usize = 4 * 1_024 * 1_024;

/// The timestamp of the original record, in milliseconds since the epoch.
const TIMESTAMP_HEADER: &str = "towpath.record.timestamp";

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
    producer: Producer,
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
        guarantee(&mut settings)?;
        set_default(&mut settings, "message.max.bytes", MAX_BYTES);
        settings
            .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
            // Each letter has a request of its own: the broker refuses a batch because of one of its records.
            .set("batch.num.messages", "1")
            .set("linger.ms", "0");
        let producer = Producer::new(connector, settings)?;
        Ok(Self { topic: topic.to_owned(), replication, context, producer, admin })
    }

    /// Creates the topic if it is absent, with one partition.
    ///
    /// # Errors
    /// Retry while no broker answers. Fatal [`codes::TOPIC_REFUSED`] when the broker
    /// cannot create such a topic.
    pub async fn ensure(&self) -> Result<()> {
        topics::ensure_queue(&self.admin, &self.topic, self.replication).await
    }

    /// Sends letters, and returns once the broker has answered for all of them: the reason for each letter that it will
    /// never accept, `None` for a letter that is in the topic.
    ///
    /// A letter that is too large for the topic is sent without its value, which stays in the store; the header
    /// `towpath.error.value` says so.
    ///
    /// # Errors
    /// Retry while the broker does not accept them; some may be in the topic already.
    pub async fn publish(&self, letters: &[StoredDeadLetter]) -> Result<Vec<Option<Error>>> {
        let mut answers = Vec::with_capacity(letters.len());
        for letters in in_flight_together(letters) {
            let instance = self.producer.instance().await.map_err(|error| self.unavailable(error))?;
            let sent = letters.iter().map(|letter| self.settle(&instance, letter));
            for settled in futures::future::join_all(sent).await {
                answers.push(settled?);
            }
        }
        Ok(answers)
    }

    async fn settle(&self, instance: &Instance, letter: &StoredDeadLetter) -> Result<Option<Error>> {
        let mut sent = self.send(instance, letter, true).await;
        if letter.value.is_some() && sent.as_ref().is_err_and(is_size) {
            sent = self.send(instance, letter, false).await;
        }
        match sent {
            Ok(()) => Ok(None),
            Err(error) if is_of_a_batch(&error) => {
                let (topic, StoredDeadLetter { partition, offset, .. }) = (&self.topic, letter);
                let doing = format!(
                    "send the dead letter of {}[{}] at offset {offset} to topic `{topic}`: the broker refuses it, also \
                     without its value. It is kept in the store",
                    partition.topic, partition.partition
                );
                let refused = Error::poison(codes::RECORD_REFUSED, ErrorType::BadRequest, doing).because(error);
                Ok(Some(refused.with_help(format!(
                    "check `max.message.bytes` and `cleanup.policy` of topic `{topic}`; to send the letter again, \
                     clear its `publish_error`"
                ))))
            }
            Err(error) => Err(self.unavailable(error)),
        }
    }

    async fn send(&self, instance: &Instance, letter: &StoredDeadLetter, whole: bool) -> Result<(), KafkaError> {
        let mut headers = OwnedHeaders::new_with_capacity(letter.headers.len() + 13);
        for (name, value) in &letter.headers {
            headers = headers.insert(Header { key: name, value: value.as_deref() });
        }
        if let Some(context) = &self.context {
            for (name, value) in context_headers(context, letter) {
                headers = headers.insert(Header { key: name, value: Some(value.as_bytes()) });
            }
        }
        // The record gets the present time, or retention could delete it at once.
        if let Some(timestamp) = letter.timestamp_ms {
            headers = headers.insert(Header { key: TIMESTAMP_HEADER, value: Some(timestamp.to_string().as_bytes()) });
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
        let sent = self.producer.send(instance, record)?;
        self.producer.acknowledged(&self.topic, sent).await.map(drop)
    }

    fn unavailable(&self, error: KafkaError) -> Error {
        unavailable(format!("send dead letters to topic `{}`", self.topic), error)
    }
}

/// Splits letters into runs that may be in flight together: a large one is alone.
fn in_flight_together(letters: &[StoredDeadLetter]) -> impl Iterator<Item = &[StoredDeadLetter]> {
    let mut bytes = 0;
    letters.chunk_by(move |previous, next| {
        bytes += size(previous);
        let fits = bytes + size(next) <= IN_FLIGHT_BYTES;
        if !fits {
            bytes = 0;
        }
        fits
    })
}

fn size(letter: &StoredDeadLetter) -> usize {
    let StoredDeadLetter { key, value, headers, .. } = letter;
    let headers = headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
    [key, value].into_iter().flatten().map(Vec::len).chain(headers).sum()
}

/// Kafka Connect's headers, with its names as far as it has them, and Towpath's error code. They are appended to the
/// headers of the record, also if the record has been through such a topic before.
fn context_headers(context: &Context, letter: &StoredDeadLetter) -> [(&'static str, String); 11] {
    let StoredDeadLetter { partition, offset, code, reason, .. } = letter;
    let task = (0..context.tasks).find(|task| super::share::is_mine(partition, *task, context.tasks)).unwrap_or(0);
    let (stage, class) = match letter.stage.as_str() {
        "decode_key" => ("KEY_CONVERTER", "towpath::avro::codec::Decoder"),
        "decode" => ("VALUE_CONVERTER", "towpath::avro::codec::Decoder"),
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
