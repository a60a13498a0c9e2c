//! Access to the real broker, registry and database, with unique names for each test.

use std::{
    future::Future,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    metadata::MetadataTopic,
};
use tokio_postgres::{Client, NoTls};

/// The timeout of every wait in a test; the machine may be slow and busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Returns a unique name, usable as topic prefix, schema and connector.
pub(crate) fn unique(theme: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("{theme}{}_{}", NEXT.fetch_add(1, Ordering::Relaxed), &id[..8])
}

/// Held by a test that needs the stack unchanged; [`alone`] waits for all of them.
pub(crate) type Shared = tokio::sync::RwLockReadGuard<'static, ()>;

static STACK: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

/// For a test that only uses the stack.
pub(crate) async fn shared() -> Shared {
    STACK.read().await
}

/// For a test that restarts parts of the stack: no other test runs meanwhile.
pub(crate) async fn alone() -> tokio::sync::RwLockWriteGuard<'static, ()> {
    STACK.write().await
}

/// An address of the stack, as `dev/stack env` prints it.
pub(crate) fn env(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: these tests need the stack; run them with `make test`"))
}

/// Runs `dev/stack COMMAND…` on the stack of this run.
pub(crate) fn stack(arguments: &[&str]) {
    assert!(try_stack(arguments), "dev/stack {arguments:?} failed");
}

fn try_stack(arguments: &[&str]) -> bool {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dev/stack");
    Command::new(script).args(arguments).status().expect("dev/stack can be run").success()
}

/// A part of the stack that is stopped until this is dropped, even by a failing test. Requires [`alone`].
pub(crate) struct Outage(&'static str);

impl Outage {
    pub(crate) fn of(part: &'static str) -> Self {
        let outage = Self(part);
        stack(&["stop", part]);
        outage
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        let is_back = try_stack(&["start", self.0]);
        assert!(is_back || std::thread::panicking(), "{} does not start again", self.0);
    }
}

/// The seed of this run: printed, and read from `TOWPATH_SEED` to repeat a run.
pub(crate) fn seed(theme: &str) -> u64 {
    let seed = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("{theme}: TOWPATH_SEED={seed}");
    seed
}

/// Polls `probe` until it returns a value, and panics with `what` after [`PATIENCE`].
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, probe: impl FnMut() -> F) -> T {
    try_for_long(probe).await.unwrap_or_else(|| panic!("not within {PATIENCE:?}: {what}"))
}

/// Polls `probe` until it returns a value; `None` after [`PATIENCE`].
async fn try_for_long<T, F: Future<Output = Option<T>>>(probe: impl FnMut() -> F) -> Option<T> {
    try_for(PATIENCE, probe).await
}

/// Polls `probe` until it returns a value; `None` after `patience`.
pub(crate) async fn try_for<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    mut probe: impl FnMut() -> F,
) -> Option<T> {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let tried = async {
        loop {
            tick.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
    };
    tokio::time::timeout(patience, tried).await.ok()
}

/// Deletes the topics with this prefix. A broker with many partitions takes minutes to start again, which other tests
/// make it do. Blocks.
pub(crate) fn delete_topics(prefix: &str) {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", env("KAFKA_BOOTSTRAP"));
    let admin: AdminClient<DefaultClientContext> = settings.create().expect("a client");
    let Ok(metadata) = admin.inner().fetch_metadata(None, PATIENCE) else { return };
    let names: Vec<&str> = metadata.topics().iter().map(MetadataTopic::name).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
    // A topic that stays disturbs no other test.
    let _ = futures::executor::block_on(admin.delete_topics(&names, &AdminOptions::new()));
}

/// Opens a new connection.
pub(crate) async fn database() -> Client {
    let (client, connection) =
        tokio_postgres::connect(&env("DATABASE_URL"), NoTls).await.expect("the database answers");
    tokio::spawn(connection);
    client
}

/// The rows of a query, each as text with `|` between its columns, as `psql -At` prints it.
pub(crate) async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    messages
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("")).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        })
        .collect()
}

/// Waits until a query returns exactly these rows. A missing table has none.
pub(crate) async fn rows_become(client: &Client, sql: &str, expected: &[&str]) {
    let last = std::cell::RefCell::new(Vec::new());
    let probe = || async {
        let exists = client.simple_query(sql).await.is_ok();
        let found = if exists { rows(client, sql).await } else { vec!["(no such table)".to_owned()] };
        let done = found == expected;
        last.replace(found);
        done.then_some(())
    };
    let done = try_for_long(probe).await;
    assert!(done.is_some(), "{sql} gives {expected:#?} within {PATIENCE:?}; it gave {:#?}", last.borrow());
}
