//! What every test stands on: the real broker, registry and database, and a corner of them for itself.

use std::{
    future::Future,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio_postgres::{Client, NoTls, Row};

/// How long anything may take before a test gives up; the machine may be slow and busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A name that no other test has, usable as topic prefix, schema and connector.
pub(crate) fn unique(theme: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("{theme}{}_{}", NEXT.fetch_add(1, Ordering::Relaxed), &id[..8])
}

/// Held by a test that needs the stack as it is; [`alone`] waits for all of them.
pub(crate) type Shared = tokio::sync::RwLockReadGuard<'static, ()>;

static STACK: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

/// For a test that only uses the stack.
pub(crate) async fn shared() -> Shared {
    STACK.read().await
}

/// For a test that restarts parts of the stack: no other runs meanwhile.
pub(crate) async fn alone() -> tokio::sync::RwLockWriteGuard<'static, ()> {
    STACK.write().await
}

/// An address of the stack, as `dev/stack env` prints it.
pub(crate) fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: these tests need the stack; run them with `make test`"))
}

/// Runs `dev/stack COMMAND…` on the stack of this run.
pub(crate) fn stack(arguments: &[&str]) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dev/stack");
    let status = Command::new(script).args(arguments).status().expect("dev/stack can be run");
    assert!(status.success(), "dev/stack {arguments:?} failed");
}

/// Tries until `probe` gives something, and fails with `what` when it does not in time.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// A connection of the test's own.
pub(crate) async fn database() -> Client {
    let (client, connection) = tokio_postgres::connect(&env("DATABASE_URL"), NoTls).await.expect("the database answers");
    tokio::spawn(connection);
    client
}

/// What a query gives, each row as text with `|` between its columns, as `psql -At` prints it.
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

/// Waits until a query gives exactly these rows. A table that is not there yet gives none.
pub(crate) async fn rows_become(client: &Client, sql: &str, expected: &[&str]) {
    let last = std::cell::RefCell::new(Vec::new());
    let probe = || async {
        let exists = client.simple_query(sql).await.is_ok();
        let found = if exists { rows(client, sql).await } else { vec!["(no such table)".to_owned()] };
        let done = found == expected;
        last.replace(found);
        done.then_some(())
    };
    let what = format!("{sql} gives {expected:#?}");
    if tokio::time::timeout(PATIENCE, eventually(&what, probe)).await.is_err() {
        panic!("{what}; it gave {:#?}", last.borrow());
    }
}

/// One value of a query that gives one row.
pub(crate) async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, sql: &str) -> T {
    let row: Row = client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    row.get(0)
}
