//! A task of a sink: finds its partitions, runs one [`SinkPartition`] for each, and says how far they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rdkafka::{ClientConfig, consumer::CommitMode};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, ErrorType, OpenSink, Result, TopicPartition};

use super::{
    budget::Budget,
    collect::Limits,
    connections::Connections,
    dead_letters,
    health::TaskHealth,
    pace::Pace,
    sink_partition::{Progress, Shared, SinkPartition},
};
use crate::{
    avro::{codec::Reading, registry::Registry},
    kafka::{
        consumer::{Selection, TopicConsumer, is_mine},
        dead_letter_queue::DeadLetterQueue,
    },
    telemetry::{ConnectorMetrics, SinkMetrics, Stage},
};

/// How often new topics and partitions are looked for.
const DISCOVERY: Duration = Duration::from_secs(3);
/// How often lag is measured and the group's offsets are brought up to date.
const REPORT: Duration = Duration::from_secs(1);

/// One task of a sink connector.
pub(super) struct SinkTask<O: OpenSink> {
    connector: String,
    task: u32,
    tasks: u32,
    selection: Selection,
    shared: Arc<Shared<O>>,
    partitions: BTreeMap<TopicPartition, Arc<Progress>>,
    queue: Option<DeadLetterQueue>,
    /// Topics that were there and are not.
    missing: BTreeSet<Arc<str>>,
}

/// What a sink task is made of.
pub(super) struct SinkTaskParts<O: OpenSink> {
    pub(super) connector: String,
    /// Its number, from 0, and how many there are.
    pub(super) task: u32,
    pub(super) tasks: u32,
    pub(super) selection: Selection,
    pub(super) opener: O,
    pub(super) connections_max: u32,
    pub(super) limits: Limits,
    pub(super) linger: Duration,
    /// Where dead letters go as well, in the one task that sends them.
    pub(super) queue: Option<DeadLetterQueue>,
    /// Told when there are new ones; one for all tasks of the connector.
    pub(super) set_aside: Arc<Notify>,
    pub(super) pace: Pace,
    pub(super) kafka: ClientConfig,
    pub(super) registry: Registry,
    pub(super) reading: Reading,
    pub(super) health: TaskHealth,
    pub(super) connector_metrics: ConnectorMetrics,
    pub(super) sink_metrics: SinkMetrics,
}

impl<O: OpenSink> SinkTask<O> {
    /// Makes the task. It ends when `stop` is cancelled.
    ///
    /// # Errors
    /// Fatal when the Kafka client refuses a setting.
    pub(super) fn new(parts: SinkTaskParts<O>, stop: &CancellationToken) -> Result<Self> {
        let shared = Arc::new(Shared {
            connector: parts.connector.clone(),
            consumer: TopicConsumer::new(parts.kafka, &parts.connector)?,
            registry: parts.registry,
            reading: parts.reading,
            connections: Connections::new(parts.opener, parts.connections_max, parts.sink_metrics.clone()),
            linger: parts.linger,
            set_aside: parts.set_aside,
            pace: parts.pace,
            // A batch and the next one for each connection.
            budget: Budget::new(2 * parts.connections_max as usize * parts.limits.bytes),
            health: parts.health,
            connector_metrics: parts.connector_metrics,
            sink_metrics: parts.sink_metrics,
            stop: stop.child_token(),
        });
        let SinkTaskParts { connector, task, tasks, selection, queue, .. } = parts;
        Ok(Self {
            connector,
            task,
            tasks,
            selection,
            shared,
            partitions: BTreeMap::new(),
            queue,
            missing: BTreeSet::new(),
        })
    }

    /// Runs until stopped, or until one partition ends with an error that waiting does not cure; then all of them end.
    pub(super) async fn run(mut self) -> Result<()> {
        tracing::info!(connector = %self.connector, task = self.task, "sink task {}-{} starts", self.connector, self.task);
        let mut running: JoinSet<Result<()>> = JoinSet::new();
        if let Some(queue) = self.queue.take() {
            running.spawn(dead_letters::run(Arc::clone(&self.shared), queue, Arc::clone(&self.shared.set_aside)));
        }
        let outcome = self.supervise(&mut running).await;
        self.shared.stop.cancel();
        // Batches in flight finish; the worker's deadline bounds this.
        while running.join_next().await.is_some() {}
        self.report(CommitMode::Sync).await;
        match &outcome {
            Ok(()) => self.shared.health.stopped(),
            Err(error) => self.shared.health.failed(Stage::Apply, error),
        }
        tracing::info!(connector = %self.connector, task = self.task, "sink task {}-{} has stopped", self.connector, self.task);
        outcome
    }

    async fn supervise(&mut self, running: &mut JoinSet<Result<()>>) -> Result<()> {
        let stop = self.shared.stop.clone();
        let mut report = interval(REPORT);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut discovery = interval(DISCOVERY);
        discovery.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut attempt = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(ended) = running.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(error),
                    Err(panic) => return Err(Error::fatal("internal.panic", ErrorType::Internal, "carry a partition").because(panic)),
                },
                _ = report.tick() => {
                    self.shared.connections.close_lost();
                    self.report(CommitMode::Async).await;
                }
                _ = discovery.tick() => match self.shared.consumer.partitions(&self.selection).await {
                    Ok(found) => {
                        self.report_missing(&found);
                        self.start_new(found, running);
                        self.shared.health.works("topics");
                        attempt = 0;
                    }
                    Err(error) => {
                        // No partition may be running yet to say that the broker is away.
                        attempt += 1;
                        self.shared.health.troubled("topics", Stage::Consume, &error, attempt, DISCOVERY);
                    }
                },
            }
        }
    }

    /// Says of topics that are named or read, and not there, that they are not: librdkafka says so after half a minute
    /// only.
    fn report_missing(&mut self, found: &[TopicPartition]) {
        let there: BTreeSet<&str> = found.iter().map(|partition| &*partition.topic).collect();
        let read: BTreeSet<Arc<str>> = self.partitions.keys().map(|partition| Arc::clone(&partition.topic)).collect();
        let named = self.selection.names().iter().map(|name| Arc::from(name.as_str()));
        for topic in named.chain(read.iter().cloned()).collect::<BTreeSet<Arc<str>>>() {
            let part = format!("topic {topic}");
            if !there.contains(&*topic) {
                let why = if read.contains(&topic) {
                    "it is not there any more, so it was deleted, or the right to see it was taken. What was applied stays; leave it out of \
                     `topics`, or make it anew"
                } else {
                    "it is not there yet, or this client may not see it; it is read as soon as it is"
                };
                let doing = format!("read topic `{topic}`: {why}");
                let error = Error::retry("kafka.unknown_topic", ErrorType::NotFound, doing);
                self.shared.health.troubled(&part, Stage::Consume, &error, 1, DISCOVERY);
                self.missing.insert(topic);
            } else if self.missing.remove(&topic) {
                self.shared.health.works(&part);
            }
        }
    }

    fn start_new(&mut self, found: Vec<TopicPartition>, running: &mut JoinSet<Result<()>>) {
        for partition in found.into_iter().filter(|partition| is_mine(partition, self.task, self.tasks)) {
            if self.partitions.contains_key(&partition) {
                continue;
            }
            let progress = Arc::new(Progress::new());
            self.partitions.insert(partition.clone(), Arc::clone(&progress));
            running.spawn(SinkPartition::new(Arc::clone(&self.shared), partition, progress).run());
        }
    }

    /// Measures the lag, and tells the group how far the store is.
    async fn report(&self, mode: CommitMode) {
        let mut offsets = Vec::with_capacity(self.partitions.len());
        for (partition, progress) in &self.partitions {
            let Some(next) = progress.take_report() else { continue };
            offsets.push((partition.clone(), next));
        }
        for (partition, progress) in &self.partitions {
            if let (Some(next), Some(metrics), Some(end)) =
                (progress.next_offset(), progress.metrics.get(), self.shared.consumer.end(partition))
            {
                metrics.lag(end - next);
                if end <= next {
                    metrics.caught_up(std::time::SystemTime::now());
                }
            }
        }
        let shown = self.shared.consumer.show_progress(offsets, mode);
        // A broker that is away must not hold up the end.
        let _ = tokio::time::timeout(Duration::from_secs(2), shown).await;
    }
}
