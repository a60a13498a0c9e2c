//! Tests with toy connectors, which need no Kafka: the test sets the behavior of each task.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use towpath_api::{Placement, TopicPartition};
use towpath_keys::{Flat, read};

use super::*;
use crate::telemetry::{Metrics, Readiness, State, StatusBoard};

/// The behavior of a toy task after it has reported its start.
#[derive(Clone, Copy, PartialEq)]
enum Behavior {
    Run,
    Panic,
}

/// A connector with a task for each behavior. It sends the number of each task that starts.
struct Toy {
    name: &'static str,
    behaviors: Vec<Behavior>,
    starts: mpsc::UnboundedSender<u32>,
    board: StatusBoard,
    _open: Arc<()>,
}

impl Connector for Toy {
    fn tasks(&self) -> u32 {
        u32::try_from(self.behaviors.len()).unwrap()
    }

    fn placement(&self) -> Placement {
        Placement::OneWorker
    }

    fn task(&self, task: u32, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
        let (behavior, starts) = (self.behaviors[task as usize], self.starts.clone());
        let status = self.board.task(self.name, task as usize);
        Box::pin(async move {
            status.running();
            starts.send(task).unwrap();
            assert!(behavior == Behavior::Run, "a bug of the toy");
            stop.cancelled().await;
            status.stopped();
            Ok(())
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct Laboratory {
    herder: Herder,
    metrics: Metrics,
    board: StatusBoard,
    starts: mpsc::UnboundedReceiver<u32>,
    open: Arc<()>,
}

impl Laboratory {
    /// A herder with one open connector `toy`, whose tasks run.
    async fn with(behaviors: &[Behavior]) -> Self {
        let keys = [
            ("bootstrap.servers", "127.0.0.1:1"),
            ("schema.registry.url", "http://127.0.0.1:1"),
            ("webhook.listeners", "http://127.0.0.1:0"),
        ];
        let (config, _) = read(&Flat::from_strings(keys)).unwrap();
        let (metrics, readiness) = (Metrics::new(), Readiness::new());
        let board = StatusBoard::new(&metrics);
        let mut herder = Herder::new(Resources::new(&config, &metrics, &readiness, &board).unwrap());
        let (sender, starts) = mpsc::unbounded_channel();
        let open = Arc::new(());
        let toy = Toy {
            name: "toy",
            behaviors: behaviors.to_vec(),
            starts: sender,
            board: board.clone(),
            _open: Arc::clone(&open),
        };
        herder.connectors.insert("toy".to_owned(), Box::new(toy));
        let mut laboratory = Self { herder, metrics, board, starts, open };
        for id in laboratory.herder.tasks_of("toy") {
            laboratory.herder.start(&id);
            laboratory.started(id.task).await;
        }
        laboratory
    }

    async fn started(&mut self, task: u32) {
        let started = tokio::time::timeout(Duration::from_secs(10), self.starts.recv()).await;
        assert_eq!(started.expect("the task starts"), Some(task));
    }

    fn states(&self) -> Vec<State> {
        self.board.connectors().iter().flat_map(|toy| toy.tasks.iter().map(|task| task.state)).collect()
    }
}

fn id(task: u32) -> TaskId {
    TaskId { connector: "toy".to_owned(), task }
}

#[tokio::test]
async fn one_task_is_stopped_and_restarted_while_the_others_run() {
    let mut laboratory = Laboratory::with(&[Behavior::Run; 3]).await;
    laboratory.herder.stop(&id(1)).await;
    assert_eq!(laboratory.states(), [State::Running, State::Stopped, State::Running]);
    assert!(laboratory.herder.is_running(&id(0)) && !laboratory.herder.is_running(&id(1)));
    laboratory.herder.start(&id(1));
    laboratory.started(1).await;
    laboratory.herder.restart(&id(2)).await;
    laboratory.started(2).await;
    assert_eq!(laboratory.states(), [State::Running; 3]);
    assert!(laboratory.starts.try_recv().is_err(), "no other task was started");
}

#[tokio::test]
async fn a_task_that_runs_is_not_started_twice() {
    let mut laboratory = Laboratory::with(&[Behavior::Run]).await;
    laboratory.herder.start(&id(0));
    laboratory.herder.stop(&id(0)).await;
    assert!(laboratory.starts.try_recv().is_err());
}

#[tokio::test]
async fn a_panic_fails_its_task_and_no_other() {
    let mut laboratory = Laboratory::with(&[Behavior::Run, Behavior::Panic]).await;
    assert_eq!(laboratory.herder.next_ended().await, Some(id(1)));
    assert_eq!(laboratory.states(), [State::Running, State::Failed]);
    let error = laboratory.board.connectors()[0].tasks[1].error.clone().unwrap();
    assert_eq!(error.code, "internal.panic");
    assert!(!error.chain.contains("a bug of the toy"), "a panic's message may hold a payload: {}", error.chain);
    laboratory.herder.restart(&id(1)).await;
    laboratory.started(1).await;
}

/// The families of the golden file that have the label `connector`, ordered by name.
fn connector_families() -> Vec<&'static str> {
    let golden = include_str!("../../../tests/fixtures/metrics_of_a_worker.txt");
    let families = golden.lines().filter_map(|family| {
        let (name, labels) = (family.split(' ').next()?, family.rsplit(' ').next()?);
        labels.split(',').any(|label| label == "connector").then_some(name)
    });
    families.collect()
}

/// The families that have a series of the connector, ordered by name.
fn families_of(connector: &str, metrics: &Metrics) -> Vec<String> {
    let families = metrics.registry().gather();
    let labels_of = |family: &prometheus::proto::MetricFamily| {
        family.get_metric().iter().flat_map(|series| series.get_label().to_vec()).collect::<Vec<_>>()
    };
    let has_series = |family: &&prometheus::proto::MetricFamily| {
        labels_of(family).iter().any(|label| (label.name(), label.value()) == ("connector", connector))
    };
    families.iter().filter(has_series).map(|family| family.name().to_owned()).collect()
}

/// The definition of a webhook source `hook`, whose schema is in `folder`.
fn webhook(folder: &std::path::Path) -> ConnectorDefinition {
    let schema = r#"{"type":"record","name":"deals","fields":[{"name":"id","type":"string"}]}"#;
    std::fs::write(folder.join("deals.avsc"), schema).unwrap();
    let keys = [
        ("name", "hook"),
        ("connector.class", "WebhookSource"),
        ("topic.prefix", "acme"),
        ("objects", "deals"),
        ("objects.deals.schema", "deals.avsc"),
        ("clients.acme.secret", "s"),
    ];
    ConnectorDefinition::read(&Flat::from_strings(keys).with_base_dir(folder)).unwrap().0
}

#[tokio::test]
async fn a_closed_connector_is_dropped_and_leaves_board_and_metrics() {
    let mut laboratory = Laboratory::with(&[Behavior::Run; 2]).await;
    assert!(laboratory.metrics.encode().contains(r#"connector="toy""#));
    laboratory.herder.close("toy").await;
    assert_eq!(Arc::strong_count(&laboratory.open), 1, "the connector was dropped");
    assert!(laboratory.board.connectors().is_empty());
    assert!(!laboratory.metrics.encode().contains(r#"connector="toy""#), "{}", laboratory.metrics.encode());

    // A connector with series in all families: a webhook has those of sources, and the test adds the others.
    let folder = tempfile::tempdir().unwrap();
    laboratory.herder.open(&[webhook(folder.path())]).await.unwrap();
    let id = TaskId { connector: "hook".to_owned(), task: 0 };
    laboratory.herder.start(&id);
    let source = laboratory.herder.resources.source_metrics.clone().connector("hook");
    source.read("deals");
    source.written("acme.deals");
    let partition = TopicPartition { topic: "acme.deals".into(), partition: 0 };
    let sink = laboratory.metrics.sink("hook");
    let partition = (sink.partition(&partition, "deals", "deals"), sink.waiting(&partition.topic));
    partition.0.lag(0);
    let complete = async {
        while families_of("hook", &laboratory.metrics) != connector_families() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let complete = tokio::time::timeout(Duration::from_secs(10), complete).await;
    assert!(complete.is_ok(), "{:?} instead of {:?}", families_of("hook", &laboratory.metrics), connector_families());
    laboratory.herder.close("hook").await;
    assert!(laboratory.board.connectors().is_empty());
    assert_eq!(families_of("hook", &laboratory.metrics), [""; 0]);
    assert!(!laboratory.metrics.encode().contains(r#""hook""#), "{}", laboratory.metrics.encode());
}

#[tokio::test]
async fn a_drain_ends_every_task_and_leaves_connectors_open() {
    let mut laboratory = Laboratory::with(&[Behavior::Run; 3]).await;
    laboratory.herder.drain().await;
    assert_eq!(laboratory.states(), [State::Stopped; 3]);
    assert_eq!(Arc::strong_count(&laboratory.open), 2, "clients still get a response");
}
