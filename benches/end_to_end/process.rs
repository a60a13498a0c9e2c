//! A worker process, and its resource usage.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// An address of the stack, as `dev/stack env` prints it.
pub(crate) fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this with `make bench`"))
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A worker with its config folder; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    pub(crate) rest: String,
    pub(crate) hooks: String,
    folder: tempfile::TempDir,
}

impl Worker {
    /// Starts a worker with these connector files.
    pub(crate) fn start(files: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (rest, hooks) = (format!("http://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
        let worker = format!(
            "bootstrap.servers = \"{}\"\nschema.registry.url = \"{}\"\nlisteners = \"{rest}\"\n\
             webhook.listeners = \"{hooks}\"\nlog.level = \"warn\"\n",
            env("KAFKA_BOOTSTRAP"),
            env("SCHEMA_REGISTRY_URL")
        );
        fs::write(folder.path().join("worker.toml"), worker).expect("the config can be written");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("the config can be written");
        }
        let connectors = files.iter().map(|(name, _)| *name).filter(|name| !name.contains("avsc"));
        let child = Command::new(env!("CARGO_BIN_EXE_towpath"))
            .args(["run", "worker.toml"])
            .args(connectors)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary can be started");
        Self { child, rest, hooks, folder }
    }

    /// Waits until the worker is ready for posts.
    pub(crate) async fn is_ready(&self) {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        for _ in 0..1_500 {
            if http.get(format!("{}/readyz", self.rest)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the worker is not ready after 30 s");
    }

    /// The records of a topic, decoded.
    pub(crate) fn tap(&self, topic: &str) -> Vec<serde_json::Value> {
        let tap = ["tap", "--worker", "worker.toml", "-o", "ndjson", "--topic", topic];
        let tapped = Command::new(env!("CARGO_BIN_EXE_towpath")).args(tap).current_dir(self.folder.path()).output();
        let tapped = tapped.expect("the binary can be started");
        assert!(tapped.status.success(), "{}", String::from_utf8_lossy(&tapped.stderr));
        let records = serde_json::Deserializer::from_slice(&tapped.stdout).into_iter();
        records.collect::<Result<_, _>>().expect("tap prints JSON")
    }

    /// Processor time used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process runs");
        // Fields 14 and 15 (user and system time, in ticks of 1/100 s), counted after the name in parentheses.
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
        ticks / 100.0
    }

    /// Peak resident memory, in MiB.
    pub(crate) fn peak_rss_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches("kB").trim().parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The config of a Postgres sink for the topics of `prefix`.
pub(crate) fn sink_config(prefix: &str) -> String {
    format!(
        "name = \"pg-{prefix}\"\nconnector.class = \"PostgresSink\"\ntopics.regex = \"{prefix}\\\\..*\"\n\
         connection.url = \"{}\"\n",
        env("DATABASE_URL")
    )
}
