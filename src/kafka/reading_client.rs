//! One librdkafka consumer of a sink task, and its events.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as Polling, Wake, Waker},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    config::RDKafkaLogLevel,
    consumer::{Consumer as _, ConsumerContext, StreamConsumer},
};

use super::{
    client::refused_settings,
    incarnation::{DEBUG_CONTEXT, Incarnations},
    reach::Reach,
};

/// Pause between looks at who still uses a lost client.
const PAUSE: Duration = Duration::from_millis(200);

/// Receives the events of one client.
#[derive(Debug)]
pub(super) struct Context {
    incarnations: Arc<Incarnations>,
    reach: Reach,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, _: &str, line: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        match level {
            Emerg | Alert | Critical | Error => tracing::error!(target: "librdkafka", "librdkafka: {line}"),
            Warning => tracing::warn!(target: "librdkafka", "librdkafka: {line}"),
            Notice | Info => tracing::info!(target: "librdkafka", "librdkafka: {line}"),
            Debug => {
                self.incarnations.observe(line);
                tracing::debug!(target: "librdkafka", "librdkafka: {line}");
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.reach.observe(&statistics, Instant::now());
    }
}

impl ConsumerContext for Context {}

/// A consumer without a group membership, with its events.
pub(super) struct ReadingClient {
    consumer: Arc<StreamConsumer<Context>>,
    incarnations: Arc<Incarnations>,
    /// Held while events are taken from the queue and handled, so that nobody sees the queue empty before its last
    /// event is handled.
    serving: Mutex<()>,
}

impl ReadingClient {
    /// Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub(super) fn new(mut settings: ClientConfig, incarnations: Arc<Incarnations>) -> towpath_api::Result<Arc<Self>> {
        let debug =
            settings.get("debug").map_or_else(|| DEBUG_CONTEXT.into(), |asked| format!("{asked},{DEBUG_CONTEXT}"));
        settings.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
        let context = Context { incarnations: Arc::clone(&incarnations), reach: Reach::default() };
        let consumer = settings.create_with_context::<_, StreamConsumer<Context>>(context).map_err(refused_settings)?;
        let client = Arc::new(Self { consumer: Arc::new(consumer), incarnations, serving: Mutex::default() });
        // Serves callbacks and errors of the whole client; records never come this way. Ends with the last clone.
        let main = Arc::downgrade(&client);
        tokio::spawn(async move {
            while let Some(client) = main.upgrade() {
                let _ = tokio::time::timeout(Duration::from_secs(1), client.next_event()).await;
            }
        });
        Ok(client)
    }

    pub(super) fn consumer(&self) -> &Arc<StreamConsumer<Context>> {
        &self.consumer
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.consumer.context().reach
    }

    /// Returns true if the client never connects again, and has to be replaced.
    pub(super) fn is_lost(&self) -> bool {
        self.reach().lost().is_cancelled()
    }

    pub(super) fn incarnations(&self) -> &Incarnations {
        &self.incarnations
    }

    /// Handles all events that the client has already reported.
    pub(super) fn handle_events(&self) {
        let again = Arc::new(Again::default());
        let waker = Waker::from(Arc::clone(&again));
        let mut polling = Polling::from_waker(&waker);
        loop {
            again.0.store(false, Ordering::Release);
            let mut event = pin!(self.next_event());
            // After an event the consumer wakes its task at once.
            if event.as_mut().poll(&mut polling).is_pending() && !again.0.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Handles the next events.
    async fn next_event(&self) {
        let mut event = pin!(self.consumer.recv());
        let polled = std::future::poll_fn(|polling| {
            let _serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
            event.as_mut().poll(polling).map(Result::err)
        });
        if let Some(error) = polled.await {
            tracing::debug!(%error, "the Kafka client reports an error");
        }
    }
}

impl Drop for ReadingClient {
    /// The last owner of a client closes it, which may take a while without a broker. So a thread of its own closes a
    /// lost client, not the task that still held it.
    fn drop(&mut self) {
        if self.is_lost() {
            let consumer = Arc::clone(&self.consumer);
            std::thread::spawn(move || {
                while Arc::strong_count(&consumer) > 1 {
                    std::thread::sleep(PAUSE);
                }
                drop(consumer);
            });
        }
    }
}

/// Notes that a future wants to be polled again.
#[derive(Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}
