//! A worker as its user runs it: the binary, config files, HTTP.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    accounting,
    stack::{delete_topics, env, eventually, unique},
};

/// The secret of the client `acme` in every test; a canary that must not appear in any output.
pub(crate) const SECRET: &str = "canary-4f9c1d7e-secret";

/// The two objects that most tests use.
pub(crate) const DEALS: &str = r#"{"type":"record","name":"deals","fields":[
    {"name":"id","type":"string"},
    {"name":"title","type":"string"},
    {"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}],"default":null},
    {"name":"won","type":["null","boolean"],"default":null},
    {"name":"closed_at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null}]}"#;
pub(crate) const AGENTS: &str = r#"{"type":"record","name":"agents","fields":[
    {"name":"id","type":"long"},{"name":"name","type":"string"},
    {"name":"role","type":["null","string"],"default":null}]}"#;

/// A worker process with its config folder; killed when dropped.
pub(crate) struct Worker {
    /// Topic prefix, schema in Postgres, and part of the connectors' names.
    pub(crate) name: String,
    folder: TempDir,
    connectors: Vec<String>,
    child: Option<Child>,
    /// Whether this process has answered: after that it must answer until it ends.
    has_answered: bool,
    /// The length of the log when the process was started.
    log_before: usize,
    /// Whether a process of this worker has ended: what it counted is gone, and only the store says what it did.
    has_died: bool,
    /// Whether several keys of its topics are one key to the table, or a record is rightly left out.
    rows_show_less: bool,
    failpoints: String,
    rest: String,
    hooks: String,
    pub(crate) http: Client,
}

impl Worker {
    /// Prepares a worker; `connectors` are added with [`Worker::webhook`], [`Worker::sink`] or [`Worker::file`].
    pub(crate) fn new(theme: &str) -> Self {
        Self::named(unique(theme))
    }

    /// Like [`Worker::new`], with the name of another worker, to share its topics and tables.
    pub(crate) fn named(name: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the config");
        let (rest, hooks) = (format!("http://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
        let worker = format!(
            "bootstrap.servers = \"{}\"\nschema.registry.url = \"{}\"\nlisteners = \"{rest}\"\n\
             webhook.listeners = \"{hooks}\"\n",
            env("KAFKA_BOOTSTRAP"),
            env("SCHEMA_REGISTRY_URL")
        );
        let worker_of = Self {
            name,
            folder,
            connectors: Vec::new(),
            child: None,
            has_answered: false,
            log_before: 0,
            has_died: false,
            rows_show_less: false,
            failpoints: String::new(),
            rest,
            hooks,
            http: Client::builder().no_proxy().build().expect("an HTTP client"),
        };
        worker_of.write("worker.toml", &worker);
        worker_of.write("deals.avsc", DEALS);
        worker_of.write("agents.avsc", AGENTS);
        worker_of
    }

    /// Sets a key of the worker's own file, and replaces its present value.
    pub(crate) fn setting(self, key: &str, value: &str) -> Self {
        let text = std::fs::read_to_string(self.folder.path().join("worker.toml")).expect("the config can be read");
        let others: String = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} =")))
            .map(|line| format!("{line}\n"))
            .collect();
        self.write("worker.toml", &format!("{others}{key} = \"{value}\"\n"));
        self
    }

    /// A file of the config folder.
    pub(crate) fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).expect("the config can be written");
    }

    /// Adds a connector from a config file; `${NAME}` stands for the worker's unique name.
    pub(crate) fn file(mut self, file: &str, text: &str) -> Self {
        self.write(file, &text.replace("${NAME}", &self.name));
        if Path::new(file).extension().is_some_and(|extension| extension == "toml") {
            self.connectors.push(file.to_owned());
        }
        self
    }

    /// Adds a webhook source for `deals` and `agents`, named `hook-<name>`, with further lines.
    pub(crate) fn webhook(self, more: &str) -> Self {
        let text = format!(
            "name = \"hook-${{NAME}}\"\nconnector.class = \"WebhookSource\"\ntopic.prefix = \"${{NAME}}\"\n\
             topic.replication.factor = 1\n\
             topic.partitions = 3\nobjects = \"deals,agents\"\n\"objects.deals.schema\" = \"deals.avsc\"\n\
             \"objects.agents.schema\" = \"agents.avsc\"\nclients.acme.secret = \"{SECRET}\"\n{more}"
        );
        self.file("webhook.toml", &text)
    }

    /// Adds a Postgres sink for all topics of the worker's prefix, named `pg-<name>`, with further lines.
    pub(crate) fn sink(self, more: &str) -> Self {
        self.sink_at(&env("DATABASE_URL"), more)
    }

    /// Like [`Worker::sink`], with another URL of the database, or as another role.
    pub(crate) fn sink_at(self, url: &str, more: &str) -> Self {
        let delay = if more.contains("errors.retry.delay.max.ms") { "" } else { "errors.retry.delay.max.ms = 1000\n" };
        let text = format!(
            "name = \"pg-${{NAME}}\"\nconnector.class = \"PostgresSink\"\ntopics.regex = \"${{NAME}}\\\\..*\"\n\
             connection.url = \"{url}\"\n{delay}{more}"
        );
        self.file("postgres.toml", &text)
    }

    /// Runs another command in the config folder, to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Output {
        towpath(self.folder.path()).args(arguments).output().expect("the binary can be started")
    }

    /// Sets `FAILPOINTS` for the next start: `after_cas=3*off->1*return(kill)`, and so on. Has no effect without the
    /// feature.
    pub(crate) fn failpoints(&mut self, failpoints: &str) {
        failpoints.clone_into(&mut self.failpoints);
    }

    /// Starts the process without waiting. Its log is a file in the config folder.
    pub(crate) fn spawn(&mut self) {
        self.log_before = self.log().len();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log file");
        let child = towpath(self.folder.path())
            .args(["run", "worker.toml"])
            .args(&self.connectors)
            .env("FAILPOINTS", &self.failpoints)
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the binary can be started");
        (self.child, self.has_answered) = (Some(child), false);
    }

    /// For topics of which the rows do not show the last record of each key: several keys are one to the table, or the
    /// last record is rightly left out.
    pub(crate) fn whose_rows_show_less(mut self) -> Self {
        self.rows_show_less = true;
        self
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start(mut self) -> Self {
        self.spawn();
        self.is_ready().await;
        self
    }

    /// Waits until `/readyz` answers 200. Panics at once if the process ends before.
    pub(crate) async fn is_ready(&mut self) {
        let child = std::cell::RefCell::new(self.child.as_mut().expect("a started worker"));
        let (http, url) = (&self.http, format!("{}/readyz", self.rest));
        let probe = || async {
            let ended = child.borrow_mut().try_wait().expect("a child process");
            assert_eq!(ended, None, "the worker has ended before it was ready");
            let answer = http.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        };
        eventually(&format!("the worker is ready; its log: {}", self.folder.path().join("log").display()), probe).await;
        self.has_answered = true;
    }

    /// The log of the worker until now.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Kills the process and waits for its end; first checks that it accounts for each record.
    pub(crate) fn kill(&mut self) {
        self.accounts_for_each_record().unwrap_or_else(|wrong| panic!("{wrong}; the worker's log:\n{}", self.log()));
        self.end();
    }

    fn end(&mut self) {
        self.has_died |= self.child.is_some();
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().expect("the process has ended");
        }
    }

    /// Whether the process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none()))
    }

    /// Sends a signal by name, such as `TERM`; first checks that the process accounts for each record.
    pub(crate) fn signal(&mut self, signal: &str) {
        self.must_account_for_each_record();
        let pid = self.child.as_ref().expect("a running worker").id().to_string();
        let status = Command::new("kill").args([format!("-{signal}"), pid]).status().expect("kill can be run");
        assert!(status.success());
    }

    /// Resident memory of the process, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let pid = self.child.as_ref().expect("a running worker").id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line about its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.has_died = true;
        let child = std::cell::RefCell::new(self.child.take().expect("a running worker"));
        eventually("the worker ends", || async { child.borrow_mut().try_wait().expect("a child process") }).await
    }

    /// The URL for posts.
    pub(crate) fn hook(&self) -> String {
        format!("{}/hooks/hook-{}", self.hooks, self.name)
    }

    /// Posts an unchanged body to the webhook.
    pub(crate) async fn post_raw(&self, body: impl Into<reqwest::Body>) -> reqwest::Result<Response> {
        self.http.post(self.hook()).header("content-type", "application/json").body(body).send().await
    }

    /// Posts one event with the right credentials; returns the status and the answer.
    pub(crate) async fn post(&self, object: &str, action: &str, id: impl Into<Value>, data: Value) -> (u16, Value) {
        let answer = self.post_raw(post(object, action, id, &data).to_string()).await.expect("the worker answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Posts one event that must be accepted.
    pub(crate) async fn accept(&self, object: &str, action: &str, id: impl Into<Value>, data: Value) -> Value {
        let (status, answer) = self.post(object, action, id, data).await;
        assert_eq!(status, 202, "{answer}");
        answer
    }

    /// The output of `towpath tap` for the topic of an object; `more` has further options.
    pub(crate) fn tap(&self, object: &str, more: &[&str]) -> Vec<Value> {
        let topic = format!("{}.{object}", self.name);
        let mut tap = towpath(self.folder.path());
        let tapped = tap.args(["tap", "--worker", "worker.toml", "-o", "json", "--topic", &topic]).args(more).output();
        let tapped = tapped.expect("the binary can be started");
        assert!(tapped.status.success(), "{}", String::from_utf8_lossy(&tapped.stderr));
        let records = serde_json::Deserializer::from_slice(&tapped.stdout).into_iter();
        records.collect::<Result<_, _>>().expect("tap prints JSON")
    }

    /// The state of a connector, `hook` or `pg`; empty while it does not have one.
    pub(crate) async fn state(&self, connector: &str) -> String {
        let (_, text) = self.get("/towpath/v1/connectors").await;
        let connectors: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let name = format!("{connector}-{}", self.name);
        let found = connectors.iter().find(|connector| connector["name"] == name);
        found.map(|connector| connector["state"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }

    /// Returns true if a task of the sink has failed, or another worker has claimed a partition of it. A worker that
    /// does not answer yet has lost nothing.
    pub(crate) async fn has_lost_a_partition(&self) -> bool {
        let Ok(answer) = self.http.get(format!("{}/towpath/v1/connectors", self.rest)).send().await else {
            return false;
        };
        let connectors: Vec<Value> = answer.json().await.unwrap_or_default();
        let name = format!("pg-{}", self.name);
        connectors.iter().filter(|connector| connector["name"] == name).any(|connector| {
            connector["state"] == "failed"
                || connector["state"] == "degraded"
                || connector.to_string().contains("postgres.fenced")
        })
    }

    /// The URL of the management listener.
    pub(crate) fn rest(&self) -> &str {
        &self.rest
    }

    /// GET of a path of the management listener.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("{}{path}", self.rest)).send().await.expect("the worker answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// The sum of all series of a metric whose labels contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        sum(&text, name, labels)
    }

    /// Checks that this process accounts for each record: in its metrics, records read = applied + skipped +
    /// dead-lettered, exactly; and records read = records that the topic has between the first claim and the next
    /// offset.
    ///
    /// Without tokio, because it runs when a worker is dropped. A process that ends meanwhile, or has not answered any
    /// request yet, is not wrong; any other must answer.
    fn accounts_for_each_record(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let mut wrong = String::new();
        // A batch that is being counted now is complete at the next attempt.
        while begun.elapsed() < Duration::from_secs(5) {
            if !self.is_alive() {
                self.has_died |= self.child.is_some();
                return Ok(());
            }
            // A busy sink counts on between two answers.
            let answers = ["/metrics", "/towpath/v1/connectors", "/metrics"].map(|path| self.answer(path));
            match answers.into_iter().collect::<Result<Vec<_>, _>>() {
                Ok(answers) => {
                    self.has_answered = true;
                    match self.adds_up([&answers[0], &answers[2]], &answers[1]) {
                        Ok(()) => return Ok(()),
                        Err(unequal) => wrong = unequal,
                    }
                }
                Err(_) if !self.has_answered => return Ok(()),
                Err(error) => wrong = format!("the worker lives and does not say what it has done: {error}"),
            }
        }
        Err(wrong)
    }

    /// `metrics` are those before and after the answer `connectors`.
    fn adds_up(&self, metrics: [&str; 2], connectors: &str) -> Result<(), String> {
        let sink = format!("pg-{}", self.name);
        let labels = format!("connector=\"{sink}\"");
        let of = |name| sum(metrics[1], name, &labels);
        let read = of("towpath_sink_records_read_total");
        let applied = of("towpath_sink_records_applied_total");
        let skipped = of("towpath_sink_records_skipped_total");
        let dead_letters = of("towpath_dlq_records_total");
        // All are whole numbers far below 2^53, so sums are exact.
        if (read - applied - skipped - dead_letters).abs() > 0.5 {
            return Err(format!(
                "{read} records read, {applied} applied, {skipped} skipped, {dead_letters} dead-lettered: \
                 they do not add up"
            ));
        }
        let connectors = serde_json::from_str(connectors).map_err(|error| format!("no JSON: {error}"))?;
        let log = self.log();
        accounting::of_process(log.get(self.log_before..).unwrap_or_default(), &connectors, &sink, |topic| {
            let labels = format!("{labels},topic=\"{topic}\"");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of records")]
            let records = metrics.map(|metrics| sum(metrics, "towpath_sink_records_read_total", &labels) as u64);
            records
        })
    }

    /// Checks that the store has what the processes of this worker that have ended did.
    fn store_accounts_for_each_key(&self) -> Result<(), String> {
        match std::fs::read_to_string(self.folder.path().join("postgres.toml")) {
            Ok(config) if self.has_died && !self.rows_show_less => {
                accounting::of_store(&format!("pg-{}", self.name), &config)
            }
            _ => Ok(()),
        }
    }

    /// The body of an answer 200 of the management listener.
    fn answer(&self, path: &str) -> Result<String, String> {
        let address = self.rest.trim_start_matches("http://");
        let mut answer = Vec::new();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
            stream.read_to_end(&mut answer)
        });
        asked.map_err(|error| format!("{path}: {error}"))?;
        let text = String::from_utf8_lossy(&answer);
        match text.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
            _ => Err(format!("{path}: {text}")),
        }
    }

    /// Runs the check at the end of each worker now.
    pub(crate) fn must_account_for_each_record(&mut self) {
        self.accounts_for_each_record().expect("the conservation law");
    }
}

/// Returns true if a worker has a metric of this name with these labels: a sum over none is 0, which may be the
/// expected number.
fn is_declared(name: &str, labels: &str) -> bool {
    let declared =
        [include_str!("../fixtures/metrics_of_a_worker.txt"), include_str!("../fixtures/metrics_of_close.txt")];
    let family = ["_count", "_sum", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let has = |line: &str| {
        let mut words = line.split(' ');
        words.next().is_some_and(|found| found == name || found == family)
            && words.nth(1).is_some_and(|found| {
                // Before each `="` stands a label; the first may be cut off at its front.
                let used =
                    labels.match_indices("=\"").map(|(at, _)| labels[..at].rsplit(',').next().unwrap_or_default());
                used.into_iter().all(|label| found.split(',').any(|known| known.ends_with(label)))
            })
    };
    declared.iter().any(|file| file.lines().any(has))
}

/// The sum of all series of a metric whose labels contain `labels`.
fn sum(text: &str, name: &str, labels: &str) -> f64 {
    assert!(is_declared(name, labels), "a worker has no metric {name} with {labels}");
    text.lines()
        .filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

impl Drop for Worker {
    fn drop(&mut self) {
        let accounts = self.accounts_for_each_record();
        self.end();
        let accounts = accounts.and_then(|()| self.store_accounts_for_each_key());
        if let (Err(wrong), false) = (accounts, std::thread::panicking()) {
            panic!("{wrong}; the worker's log:\n{}", self.log());
        }
        if std::thread::panicking() {
            eprintln!("--- the worker's log ---\n{}", self.log());
        } else if self.connectors.iter().any(|file| file == "close.toml") {
            // A Close source has a topic for each of some sixty objects.
            delete_topics(&format!("{}.", self.name));
        }
    }
}

/// The body of a post of the client `acme`.
pub(crate) fn post(object: &str, action: &str, id: impl Into<Value>, data: &Value) -> Value {
    json!({"clientid": "acme", "clientSecret": SECRET, "objectname": object, "action": action,
        "id": id.into(), "data": data})
}

/// The binary, to be run in `folder`.
pub(crate) fn towpath(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// A port that is free, and that no other worker of this run gets.
///
/// Below the ports that the system gives to outgoing connections and to listeners that ask for any: another test cannot
/// be given it before the worker binds it, nor while the worker is restarted.
fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Runs at the same time begin at different ports.
    let begin = std::process::id().wrapping_mul(397);
    let next = || {
        let at = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        u16::try_from(FIRST + at).expect("below 2^16")
    };
    let mut ports = std::iter::repeat_with(next).take(COUNT as usize);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
