//! The idempotent producer, and its replacement when it cannot continue.
//!
//! Records that the producer retries by itself are written once and in order. A record that times out may have been
//! written and is never reported as acknowledged; librdkafka then drains the records in flight and continues with a new
//! producer epoch, so the instance stays usable. An instance is replaced after an error that librdkafka calls fatal,
//! and when it is stuck (`stuck.rs`).
//!
//! No record of an old instance is written after a record of its successor: the old one accepts nothing more, its queue
//! is dropped, and its requests in flight are answered, before the successor exists. Calls wait meanwhile.
//!
//! The cost and the gain of `linger.ms`, measured against the broker of `dev/stack` on 2 cores with records of 12
//! columns and `acks=all`:
//!
//! | linger | one call at a time, p50 | 64 calls at once | batches of 10,000 |
//! |---|---|---|---|
//! | 0 ms | 0.4 ms | 31,000/s | 227,000/s |
//! | 1 ms | 1.4 ms | 30,000/s | 267,000/s |
//! | 5 ms | 5.4 ms | 10,000/s | 225,000/s |
//!
//! With 1 ms, records that arrive close together share most of their requests. Compression then gave 182,000/s (lz4)
//! and 235,000/s (zstd) in batches, so nothing is compressed unless the operator sets `kafka.compression.type`.

use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use rdkafka::{
    ClientConfig, Message as _,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig, future_producer::Delivery},
};
use tokio::{sync::watch, time::timeout};
use towpath_api::{Result, failpoint};

use super::stuck::Stuck;
use crate::kafka::client::{code, refused_settings};

/// The time for which a call waits for the successor of an instance.
const SUCCESSION: Duration = Duration::from_secs(1);
/// The time for which the records in flight of an old instance are awaited. Longer than their timeout by default.
const DRAIN: Duration = Duration::from_secs(6);
/// The time for which the leader of a partition may take to answer a fresh client.
const QUERY: Duration = Duration::from_secs(3);
/// Pause between attempts to create a successor, and between looks at who still uses an old instance.
const PAUSE: Duration = Duration::from_millis(200);

/// A producer that is always usable again after a while.
pub(in crate::kafka) struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    /// The connector, for the log.
    name: String,
    open: Box<dyn Fn() -> Result<FutureProducer> + Send + Sync>,
    /// `None` while an instance is replaced.
    current: watch::Sender<Option<Arc<Instance>>>,
    stuck: Stuck,
}

/// One producer of librdkafka. Records of one key are written in the order in which they were queued.
pub(in crate::kafka) struct Instance {
    number: u64,
    producer: FutureProducer,
    /// True if a successor is to come: nothing more is queued.
    closed: RwLock<bool>,
}

/// A queued record whose acknowledgement can be awaited.
pub(in crate::kafka) struct Sent {
    delivery: DeliveryFuture,
    instance: u64,
    queued: Instant,
}

impl Producer {
    /// Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub(in crate::kafka) fn new(name: &str, settings: ClientConfig) -> Result<Self> {
        Self::opened_by(name, move || {
            let mut settings = settings.clone();
            // In a test, an instance that delivers nothing although the broker answers others.
            if cfg!(feature = "failpoints")
                && failpoint::hit("producer_opened").now_or_never().is_some_and(|it| it.is_err())
            {
                settings.set("bootstrap.servers", "127.0.0.1:9");
            }
            settings.create().map_err(refused_settings)
        })
    }

    fn opened_by(name: &str, open: impl Fn() -> Result<FutureProducer> + Send + Sync + 'static) -> Result<Self> {
        let first = Instance { number: 0, producer: open()?, closed: RwLock::new(false) };
        let (current, _) = watch::channel(Some(Arc::new(first)));
        let shared = Shared { name: name.to_owned(), open: Box::new(open), current, stuck: Stuck::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The instance to which all records of one call are sent, so that they keep their order.
    ///
    /// # Errors
    /// [`KafkaError::Canceled`] when it takes too long to replace an instance; nothing was sent.
    pub(in crate::kafka) async fn instance(&self) -> Result<Arc<Instance>, KafkaError> {
        let mut current = self.shared.current.subscribe();
        let found = timeout(SUCCESSION, current.wait_for(Option::is_some)).await;
        found.ok().and_then(Result::ok).and_then(|current| current.clone()).ok_or(KafkaError::Canceled)
    }

    /// Queues a record.
    ///
    /// # Errors
    /// Those of librdkafka; [`KafkaError::Canceled`] when the instance is being replaced.
    pub(in crate::kafka) fn send(
        &self,
        instance: &Instance,
        record: FutureRecord<'_, [u8], [u8]>,
    ) -> Result<Sent, KafkaError> {
        let closed = instance.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(KafkaError::Canceled);
        }
        let sent = instance.producer.send_result(record).map_err(|(error, _)| error);
        drop(closed);
        if sent.is_err() {
            self.shared.renew_if_dead(instance.number);
        }
        Ok(Sent { delivery: sent?, instance: instance.number, queued: Instant::now() })
    }

    /// Waits until the broker has a record of `topic` for good, or until the outcome is certain to stay unknown.
    pub(in crate::kafka) async fn acknowledged(&self, topic: &str, sent: Sent) -> Result<Delivery, KafkaError> {
        match sent.delivery.await {
            Ok(Ok(delivery)) => {
                self.shared.stuck.acknowledged(topic, delivery.partition);
                Ok(delivery)
            }
            Ok(Err((error, record))) => {
                self.shared.renew_if_dead(sent.instance);
                if code(&error) == Some(Code::MessageTimedOut) {
                    let partition = record.partition().max(0);
                    Shared::renew_if_stuck(&self.shared, topic, partition, sent.queued, sent.instance);
                }
                Err(error)
            }
            // The instance was dropped together with its queue.
            Err(_) => Err(KafkaError::Canceled),
        }
    }
}

impl Shared {
    fn renew_if_dead(self: &Arc<Self>, number: u64) {
        let is_dead = self
            .current
            .borrow()
            .as_ref()
            .is_some_and(|current| current.number == number && current.producer.client().fatal_error().is_some());
        if is_dead {
            self.renew(number, "a fatal error");
        }
    }

    /// Asks the leader of the partition with a fresh client, and replaces instance `number` if it is stuck.
    fn renew_if_stuck(self: &Arc<Self>, topic: &str, partition: i32, queued: Instant, number: u64) {
        if !self.stuck.may_query() {
            return;
        }
        let (shared, topic) = (Arc::clone(self), topic.to_owned());
        std::thread::spawn(move || {
            let asked = Instant::now();
            let fresh = (shared.open)();
            let answers = fresh.is_ok_and(|fresh| fresh.client().fetch_watermarks(&topic, partition, QUERY).is_ok());
            if shared.stuck.answered(&topic, partition, answers, queued, asked) {
                let why = format!("records of {topic}[{partition}] timed out although its leader answers");
                shared.renew(number, &why);
            }
        });
    }

    /// Replaces instance `number` if it is current.
    fn renew(self: &Arc<Self>, number: u64, why: &str) {
        let mut old = None;
        self.current.send_if_modified(|current| {
            old = current.take_if(|current| current.number == number);
            old.is_some()
        });
        let Some(old) = old else { return };
        tracing::warn!(connector = %self.name, "the producer is renewed after {why}");
        let shared = Arc::downgrade(self);
        std::thread::spawn(move || succeed(&shared, old));
    }
}

/// Ends an instance and then creates its successor.
fn succeed(shared: &Weak<Shared>, mut old: Arc<Instance>) {
    *old.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    old.producer.purge(PurgeConfig::default().queue());
    if old.producer.flush(DRAIN).is_err() {
        old.producer.purge(PurgeConfig::default().queue().inflight());
    }
    while let Some(shared) = shared.upgrade() {
        match (shared.open)() {
            Ok(producer) => {
                let fresh = Instance { number: old.number + 1, producer, closed: RwLock::new(false) };
                shared.current.send_replace(Some(Arc::new(fresh)));
                break;
            }
            Err(error) => {
                tracing::error!(
                    connector = %shared.name, code = error.code, error = %error.chain(), help = error.help(),
                    "cannot renew the producer"
                );
            }
        }
        drop(shared);
        std::thread::sleep(PAUSE);
    }
    // Its end takes a while, so it must not fall to a call that still holds the instance.
    while let Err(held) = Arc::try_unwrap(old) {
        old = held;
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rdkafka::{
        mocking::MockCluster,
        producer::DefaultProducerContext,
        types::{RDKafkaApiKey, RDKafkaRespErr},
    };

    use super::*;
    use crate::kafka::publisher::settings::guarantee;

    type Broker = MockCluster<'static, DefaultProducerContext>;

    fn broker() -> Broker {
        let broker = MockCluster::new(1).unwrap();
        broker.create_topic("notes", 1, 1).unwrap();
        broker
    }

    fn settings(bootstrap: &str) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", bootstrap).set("message.timeout.ms", "1500").set("linger.ms", "0");
        guarantee(&mut settings).unwrap();
        settings
    }

    async fn publish(producer: &Producer, value: &str) -> Result<Delivery, KafkaError> {
        let instance = producer.instance().await?;
        let record = FutureRecord::to("notes").key(&b"k"[..]).payload(value.as_bytes());
        let sent = producer.send(&instance, record)?;
        drop(instance);
        producer.acknowledged("notes", sent).await
    }

    /// Publishes until acknowledged; returns the errors before.
    async fn accepted(producer: &Producer, value: &str) -> Vec<KafkaError> {
        let begun = Instant::now();
        let mut errors = Vec::new();
        loop {
            match publish(producer, value).await {
                Ok(_) => return errors,
                Err(error) => errors.push(error),
            }
            assert!(begun.elapsed() < Duration::from_secs(40), "{errors:?}");
        }
    }

    fn number(producer: &Producer) -> Option<u64> {
        producer.shared.current.borrow().as_ref().map(|instance| instance.number)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_fatal_error_is_survived_by_a_fresh_instance() {
        let broker = broker();
        let producer = Producer::new("lab", settings(&broker.bootstrap_servers())).unwrap();
        publish(&producer, "first").await.unwrap();
        let desynchronized = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        broker.request_errors(RDKafkaApiKey::Produce, &[desynchronized]);
        let old = producer.instance().await.unwrap();
        let error = publish(&producer, "lost").await.unwrap_err();
        assert_eq!(explained(error), "kafka.producer_renewed");
        accepted(&producer, "second").await;
        assert_eq!(number(&producer), Some(1));
        // A call that has begun with the old instance cannot queue anything behind its successor.
        let record = FutureRecord::to("notes").key(&b"k"[..]).payload(&b"late"[..]);
        assert_eq!(explained(producer.send(&old, record).err().unwrap()), "kafka.producer_renewed");
    }

    fn explained(error: KafkaError) -> &'static str {
        super::super::refusal::explain("publish", error).code
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_instance_whose_deliveries_time_out_while_the_leader_answers_is_replaced() {
        let broker = broker();
        let (good, opened) = (broker.bootstrap_servers(), Arc::new(AtomicU32::new(0)));
        let open = {
            let opened = Arc::clone(&opened);
            // The first instance reaches no broker, as one that has lost the leader.
            move || {
                let first = opened.fetch_add(1, Ordering::SeqCst) == 0;
                settings(if first { "127.0.0.1:1" } else { &good }).create().map_err(refused_settings)
            }
        };
        let producer = Producer::opened_by("lab", open).unwrap();
        let errors = accepted(&producer, "late").await;
        let codes: Vec<_> = errors.into_iter().map(explained).collect();
        assert!(codes.len() >= 2 && codes[0] == "kafka.timeout", "{codes:?}");
        assert_eq!(number(&producer), Some(1));
        publish(&producer, "next").await.unwrap();
        assert_eq!(number(&producer), Some(1), "an instance that works is kept");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_outage_renews_nothing() {
        let broker = broker();
        let producer = Producer::new("lab", settings(&broker.bootstrap_servers())).unwrap();
        publish(&producer, "first").await.unwrap();
        broker.broker_down(-1).unwrap();
        for _ in 0..3 {
            assert_eq!(explained(publish(&producer, "lost").await.unwrap_err()), "kafka.timeout");
        }
        broker.broker_up(-1).unwrap();
        accepted(&producer, "second").await;
        assert_eq!(number(&producer), Some(0));
    }
}
