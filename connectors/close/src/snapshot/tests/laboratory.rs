//! A simulator, topics in memory, and a snapshot loop between them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use apache_avro::schema::Schema;
use close_simulator::{Options, Running, Simulator};
use serde_json::Value as Json;
use tokio::sync::Notify;
use towpath_api::{
    ChangeEvent, Depth, Error, ErrorType, Journal, Lifecycle, Object, Placed, Position, Published, PublishedRecords,
    Reading, Result, Version,
};

use crate::{
    catalogue::Kind,
    client::{Close, Lane, tests as client},
    context::Context,
    memory::{self, Records},
    metrics::CloseMetrics,
    moment::Moment,
    position::ClosePosition,
    position::FinishedRun,
    publish::publisher,
    report::Report,
    snapshot::run,
    structure::Structure,
};

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Topics and position of a task, which survive its kills.
#[derive(Clone, Default)]
pub(crate) struct Topics(Arc<Held>);

#[derive(Default)]
struct Held {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    records: Records,
    position: Option<Position>,
    transactions: usize,
    /// The number of the transaction that fails, and all after it.
    fails_at: Option<usize>,
    /// Records of an object that are to be lost on their way.
    losing: Option<(String, usize)>,
}

impl Topics {
    pub(crate) fn position(&self) -> ClosePosition {
        let position = self.0.state.lock().unwrap().position.clone();
        position.map(|position| ClosePosition::read(position).unwrap()).unwrap_or_default()
    }

    pub(crate) fn change_position(&self, change: impl FnOnce(&mut ClosePosition)) {
        let mut position = self.position();
        change(&mut position);
        self.0.state.lock().unwrap().position = Some(position.write());
    }

    /// The transaction after this number of others fails, as if the process was killed.
    pub(crate) fn fail_after(&self, transactions: Option<usize>) {
        let mut state = self.0.state.lock().unwrap();
        state.fails_at = transactions.map(|transactions| state.transactions + transactions);
    }

    /// Loses records of an object that are published.
    pub(super) fn loses(&self, object: &str, records: usize) {
        self.0.state.lock().unwrap().losing = Some((object.to_owned(), records));
    }

    pub(crate) fn records(&self, object: &str) -> Vec<Published> {
        self.0.state.lock().unwrap().records.of(object)
    }

    pub(crate) fn clear_records(&self) {
        self.0.state.lock().unwrap().records.clear();
    }

    /// The live rows of an object: by id, its version and its fields.
    pub(crate) fn table(&self, object: &str) -> BTreeMap<String, (Version, BTreeMap<String, String>)> {
        let live = memory::table(self.records(object)).into_iter();
        live.map(|(id, row)| {
            let after = row.after.unwrap_or_default();
            let fields = after.into_iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
            (id, (row.version.unwrap(), fields))
        })
        .collect()
    }

    pub(crate) fn ids(&self, object: &str) -> BTreeSet<String> {
        self.table(object).into_keys().collect()
    }

    /// Puts a record into a topic, as the change loop would.
    pub(crate) fn put(&self, event: &ChangeEvent) {
        self.0.state.lock().unwrap().records.append(event);
    }

    pub(crate) async fn until<T>(&self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = found(self) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("what is waited for happens")
    }
}

impl Journal for Topics {
    async fn prepare(&mut self, _: &Arc<Object>) -> Result<()> {
        Ok(())
    }

    async fn position(&mut self) -> Result<Option<Position>> {
        Ok(self.0.state.lock().unwrap().position.clone())
    }

    async fn check(&mut self, _: &ChangeEvent) -> Result<()> {
        Ok(())
    }

    fn records(&self) -> Arc<dyn PublishedRecords> {
        Arc::new(self.clone())
    }

    async fn publish(&mut self, events: &[ChangeEvent], position: Position) -> Result<Vec<Placed>> {
        {
            let mut state = self.0.state.lock().unwrap();
            if state.fails_at.is_some_and(|at| state.transactions >= at) {
                return Err(Error::retry("test.killed", ErrorType::Internal, "commit"));
            }
            state.transactions += 1;
            for event in events {
                if let Some((object, left)) = &mut state.losing
                    && *left > 0
                    && object == event.object.name()
                {
                    *left -= 1;
                    continue;
                }
                state.records.append(event);
            }
            state.position = Some(position);
        }
        self.0.changed.notify_waiters();
        Ok(Vec::new())
    }
}

impl PublishedRecords for Topics {
    fn ends<'a>(&'a self, object: &'a str) -> Reading<'a, Vec<i64>> {
        Box::pin(async move { Ok(vec![i64::try_from(self.records(object).len()).unwrap()]) })
    }

    fn read<'a>(
        &'a self,
        object: &'a str,
        from: &'a [i64],
        depth: Depth,
        each: &'a mut (dyn FnMut(Published) + Send),
    ) -> Reading<'a, ()> {
        Box::pin(async move {
            memory::read(self.records(object), from, depth, each);
            Ok(())
        })
    }

    fn schema<'a>(&'a self, _: &'a str) -> Reading<'a, Option<Arc<Schema>>> {
        Box::pin(async { Ok(None) })
    }
}

/// A simulator and the topics of a source that reads it.
pub(crate) struct Laboratory {
    pub(crate) close: Running,
    pub(crate) topics: Topics,
    pub(crate) report: Report,
    keys: Vec<(String, String)>,
    /// For requests that fail while Close answers others.
    pub(crate) patience: Duration,
    /// Bytes of an answer at most.
    pub(crate) largest: usize,
    /// The parts of the source that wait.
    pub(crate) seen: Arc<client::Seen>,
    life: Lifecycle,
}

/// A snapshot loop that runs.
pub(crate) struct Loop {
    pub(crate) context: Context,
    ended: tokio::task::JoinHandle<Result<()>>,
}

impl Loop {
    /// The error with which it ends; `None` if the first run has ended before.
    pub(crate) async fn ends(mut self) -> Option<Error> {
        let mut finished = self.context.report.finished();
        let before = finished.borrow_and_update().as_ref().map(|run| run.generation);
        let run = finished.wait_for(|run| run.as_ref().map(|run| run.generation) > before);
        tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                ended = &mut self.ended => Some(ended.unwrap().unwrap_err()),
                _ = run => None,
            }
        })
        .await
        .expect("it ends")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.ended.abort();
    }
}

impl Laboratory {
    /// With this number of leads; `objects` are read.
    pub(crate) async fn new(leads: usize, objects: &str) -> Self {
        let close = Simulator::start(Options { seed: 7, leads, ..Options::default() }).await.unwrap();
        let topics = Topics::default();
        // The change loop has fixed the log's mark, and never lags.
        topics.change_position(|position| position.log = Some(Moment(i64::MAX)));
        let keys = vec![("objects".to_owned(), objects.to_owned())];
        let (seen, life) = client::Seen::life();
        let (patience, largest) = (PATIENCE, usize::MAX);
        Self { close, topics, report: Report::default(), keys, patience, largest, seen, life }
    }

    pub(crate) fn key(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.keys.retain(|(key, _)| key != name);
        self.keys.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn switches(&self, switches: &Json) {
        client::set_switches(&self.close, switches);
    }

    pub(crate) async fn context(&self) -> (Context, crate::publish::Publishing) {
        let keys: Vec<(&str, &str)> = self.keys.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let config = client::config(&self.close.base_url(), &self.close.key("admin").unwrap(), &keys);
        let metrics = CloseMetrics::unregistered();
        let close = Close::new("close", &config, &metrics).unwrap();
        let close = close.with_patience(self.patience).with_largest(self.largest);
        close.get(Lane::Changes, "me/", &[]).await.unwrap();
        let kinds: Vec<&'static Kind> = config.kinds();
        let structure = Structure::load(&close, &kinds, HashMap::new()).await.unwrap();
        let (outbox, publishing) = publisher(self.topics.position(), metrics.of("close"));
        let (records, life) = (Arc::new(self.topics.clone()), self.life.clone());
        let config = Arc::new(config);
        let report = self.report.clone();
        let context = Context::new("close", config, close, outbox, records, metrics, report, life, structure);
        // The log tells nothing here.
        context.log_walked.send_replace(Moment(i64::MAX));
        (context, publishing)
    }

    /// Starts the loop, as a process that has just begun.
    pub(crate) async fn start(&self) -> Loop {
        let (context, publishing) = self.context().await;
        let mut topics = self.topics.clone();
        let of_loop = context.clone();
        let ended = tokio::spawn(async move {
            tokio::select! {
                ended = publishing.run(&mut topics) => ended,
                ended = run(&of_loop) => ended,
            }
        });
        Loop { context, ended }
    }

    /// Runs the loop until the run with this number has ended.
    pub(crate) async fn until_run(&self, generation: u32) -> FinishedRun {
        let _running = self.start().await;
        self.run_ends(generation).await
    }

    pub(crate) async fn run_ends(&self, generation: u32) -> FinishedRun {
        let ended = |topics: &Topics| topics.position().last_run.filter(|run| run.generation >= generation);
        self.topics.until(ended).await
    }

    /// The ids that an object truly has.
    pub(crate) async fn truth(&self, object: &str) -> BTreeMap<String, Json> {
        let url = format!("{}/_control/truth/?object={object}", self.host());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        rows.filter_map(|row| Some((row["id"].as_str()?.to_owned(), row))).collect()
    }

    pub(crate) async fn true_ids(&self, object: &str) -> BTreeSet<String> {
        self.truth(object).await.into_keys().collect()
    }

    pub(crate) fn host(&self) -> String {
        let base = self.close.base_url();
        base.trim_end_matches("/api/v1/").trim_end_matches('/').to_owned()
    }

    pub(crate) async fn control(&self, path: &str, body: &Json) -> Json {
        let url = format!("{}/_control/{path}", self.host());
        let answer = reqwest::Client::new().post(url).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// The number of requests so far, of endpoints with this prefix.
    pub(crate) async fn requests(&self, prefix: &str) -> u64 {
        let url = format!("{}/_control/counters/", self.host());
        let counters: Json = reqwest::get(url).await.unwrap().json().await.unwrap();
        let rows = counters["requests"].as_array().expect("counters have requests");
        let of = |row: &&Json| row["endpoint"].as_str().is_some_and(|endpoint| endpoint.starts_with(prefix));
        rows.iter().filter(of).map(|row| row["requests"].as_u64().unwrap()).sum()
    }

    /// A request that changes something at Close; the answer.
    pub(crate) async fn write(&self, method: reqwest::Method, path: &str, body: &Json) -> Json {
        let (url, key) = (format!("{}{path}", self.close.base_url()), self.close.key("admin").unwrap());
        let request = reqwest::Client::new().request(method, url).basic_auth(key, Some("")).json(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Deletes objects at Close without anybody being told.
    pub(crate) async fn delete(&self, path: &str, ids: impl IntoIterator<Item = &String>) {
        for id in ids {
            let url = format!("{}{path}/{id}/", self.close.base_url());
            let key = self.close.key("admin").unwrap();
            let answer = reqwest::Client::new().delete(url).basic_auth(key, Some("")).send().await.unwrap();
            assert!(answer.status().is_success());
        }
    }

    /// Prints what differs between two records of the same row.
    pub(crate) fn shows_differences(&self, object: &str) {
        let mut last: BTreeMap<String, Published> = BTreeMap::new();
        for record in self.topics.records(object) {
            let id = record.key.to_string();
            if let Some(before) = last.insert(id.clone(), record.clone()) {
                let fields = before.after.iter().flatten().zip(record.after.iter().flatten());
                fields.filter(|(before, after)| before != after).for_each(|differ| println!("{id}: {differ:?}"));
            }
        }
    }

    pub(crate) fn compares_now(&self) {
        self.topics.change_position(|position| position.compared = Some(Moment(0)));
    }
}
