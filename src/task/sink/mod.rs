//! A sink task: finds its partitions, runs one [`SinkPartition`] for each, and reports their progress.
//!
//! The task stops a partition that another worker has claimed, and continues with the others. It ends when no partition
//! is left.

mod adaptive;
pub(crate) mod anchor;
mod budget;
mod caught;
mod collect;
mod connections;
mod context;
mod dead_letters;
mod deletes;
mod ending;
mod holding;
mod pace;
mod partition;
mod progress;
mod report;
mod resume;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use towpath_api::{Error, ErrorType, OpenSink, Reaction, Result, TopicPartition};

pub(crate) use self::{
    budget::Budget,
    connections::Connections,
    context::SinkContext,
    pace::{Limits, Pace},
};
use self::{
    partition::SinkPartition,
    progress::Progress,
    report::{REPORT, Reporter},
};
use super::codes;
use crate::{
    config::Selection,
    kafka::{codes::UNKNOWN_TOPIC, consumer::is_mine, dead_letter_queue::DeadLetterQueue},
    telemetry::Stage,
};

/// Interval between searches for new topics and partitions.
const DISCOVERY: Duration = Duration::from_secs(3);

/// One task of a sink connector.
pub(crate) struct SinkTask<O: OpenSink> {
    selection: Selection,
    context: Arc<SinkContext<O>>,
    partitions: BTreeMap<TopicPartition, Arc<Progress>>,
    /// Partitions that another worker has claimed. They stay on the board with that reason, and are not claimed again.
    let_go: BTreeMap<TopicPartition, Arc<Progress>>,
    /// The topic for dead letters, in the one task that copies them.
    queue: Option<DeadLetterQueue>,
    /// Selected topics that do not exist.
    missing: BTreeSet<Arc<str>>,
    reporter: Reporter,
}

/// The end of one part of the task: a partition that another worker has claimed, or any part that was stopped.
type Ended = Option<(TopicPartition, Error)>;

impl<O: OpenSink> SinkTask<O> {
    /// Creates the task. It ends when the context's `stop` is cancelled.
    pub(crate) fn new(selection: Selection, context: Arc<SinkContext<O>>, queue: Option<DeadLetterQueue>) -> Self {
        let (partitions, let_go, missing) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { selection, context, partitions, let_go, queue, missing, reporter: Reporter::default() }
    }

    /// Runs until the task is stopped, or until other workers have claimed all of its partitions. An error of one part
    /// never ends the task: the part waits, and the others continue.
    ///
    /// # Errors
    /// The error that ended the task, already reported.
    pub(crate) async fn run(mut self) -> Result<()> {
        let context = Arc::clone(&self.context);
        let (connector, task) = (&context.connector, context.task);
        tracing::info!(connector = %connector, task, "sink task {connector}-{task} starts");
        let mut running: JoinSet<Ended> = JoinSet::new();
        if let Some(queue) = self.queue.take() {
            let sending = dead_letters::run(Arc::clone(&context), queue);
            running.spawn(async {
                sending.await;
                None
            });
        }
        let outcome = self.supervise(&mut running).await;
        // Before the parts end, which may take minutes if the store is silent: the task is not running any more.
        match &outcome {
            Ok(()) => context.health.closing(),
            Err(error) if error.reaction == Reaction::Fenced => context.health.fenced(Stage::Apply, error),
            Err(error) => context.health.failed(Stage::Apply, error),
        }
        context.stop.cancel();
        // Batches in flight finish; the worker's deadline bounds this.
        while running.join_next().await.is_some() {}
        self.reporter.finish(&context, &self.partitions).await;
        if outcome.is_ok() {
            context.health.stopped();
        }
        tracing::info!(connector = %connector, task, "sink task {connector}-{task} has stopped");
        outcome
    }

    async fn supervise(&mut self, running: &mut JoinSet<Ended>) -> Result<()> {
        let stop = self.context.stop.clone();
        let mut report = interval(REPORT);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut discovery = interval(DISCOVERY);
        discovery.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut attempt = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(ended) = running.join_next() => match ended {
                    Ok(None) => {}
                    Ok(Some((partition, error))) => self.let_go(partition, error)?,
                    // A part catches the panics of its work, so this is a bug beside the work.
                    Err(_) => {
                        let doing = "carry a part of the task, which ended by a bug";
                        let error = Error::fatal(codes::PANIC, ErrorType::Internal, doing);
                        return Err(error.with_help("report this bug with the log"));
                    }
                },
                _ = report.tick() => {
                    self.context.connections.close_lost();
                    self.reporter.report(&self.context, &self.partitions);
                }
                _ = discovery.tick() => match self.context.consumer.partitions(&self.selection).await {
                    Ok(found) => {
                        self.report_missing(&found);
                        self.start_new(found, running);
                        self.context.health.report_running("topics");
                        attempt = 0;
                    }
                    Err(error) => {
                        // If no partition runs yet, no other part reports that the broker is unavailable.
                        attempt += 1;
                        self.context.health.report_retrying("topics", Stage::Consume, &error, attempt, DISCOVERY);
                    }
                },
            }
        }
    }

    /// Removes a partition that another worker has claimed: to claim it again would only fence that worker.
    ///
    /// # Errors
    /// The fencing error if no partition is left.
    fn let_go(&mut self, partition: TopicPartition, error: Error) -> Result<()> {
        self.context.health.error(Stage::Apply, &error);
        tracing::warn!(
            connector = %self.context.connector, topic = %partition.topic, partition = partition.partition,
            code = error.code, error = %error.chain(), help = error.help(),
            "another worker has claimed {partition}; this task has let go of it"
        );
        if let Some(progress) = self.partitions.remove(&partition) {
            progress.let_go(&error);
            self.let_go.insert(partition, progress);
        }
        if self.partitions.is_empty() { Err(error) } else { Ok(()) }
    }

    /// Reports selected topics that do not exist: librdkafka reports that after half a minute only.
    fn report_missing(&mut self, found: &[TopicPartition]) {
        let existing: BTreeSet<&str> = found.iter().map(|partition| &*partition.topic).collect();
        let read: BTreeSet<Arc<str>> = self.partitions.keys().map(|partition| Arc::clone(&partition.topic)).collect();
        let named = self.selection.names().iter().map(|name| Arc::from(name.as_str()));
        for topic in named.chain(read.iter().cloned()).collect::<BTreeSet<Arc<str>>>() {
            let part = format!("topic {topic}");
            if !existing.contains(&*topic) {
                let (why, help) = if read.contains(&topic) {
                    (
                        "it was deleted, or the right to see it was revoked. Applied records stay",
                        "remove the topic from `topics`, or re-create it",
                    )
                } else {
                    (
                        "it does not exist yet, or this client may not see it",
                        "create the topic; it is read as soon as it exists",
                    )
                };
                let doing = format!("read topic `{topic}`: {why}");
                let error = Error::retry(UNKNOWN_TOPIC, ErrorType::NotFound, doing).with_help(help);
                self.context.health.report_retrying(&part, Stage::Consume, &error, 1, DISCOVERY);
                self.missing.insert(topic);
            } else if self.missing.remove(&topic) {
                self.context.health.report_running(&part);
            }
        }
    }

    fn start_new(&mut self, found: Vec<TopicPartition>, running: &mut JoinSet<Ended>) {
        let SinkContext { task, tasks, health, sink_metrics, .. } = &*self.context;
        for partition in found.into_iter().filter(|partition| is_mine(partition, *task, *tasks)) {
            if self.partitions.contains_key(&partition) || self.let_go.contains_key(&partition) {
                continue;
            }
            let progress =
                Arc::new(Progress::new(health.partition(&partition), sink_metrics.waiting(&partition.topic)));
            self.partitions.insert(partition.clone(), Arc::clone(&progress));
            let carried = SinkPartition::new(Arc::clone(&self.context), partition.clone(), progress);
            running.spawn(async { carried.run().await.err().map(|error| (partition, error)) });
        }
    }
}
