//! Faults of the database and of its data, each by name, against a real worker. Faults of the environment are waited
//! for and dead-letter nothing. A single refused record is dead-lettered alone. A fault that a person must fix stops
//! the task. Afterwards all rows are there.
//!
//! Each test has its own role and database, so that it can break them.

use serde_json::json;
use tokio_postgres::{Client, NoTls};

use crate::{
    stack::{Shared, database, env, eventually, rows, rows_become, shared},
    worker::Worker,
};

/// The maximum growth of a worker's memory while its database is away, in KiB. The posts of a test are far smaller; a
/// leak in a retry loop is larger.
const MEMORY: u64 = 64 * 1024;

/// A worker with a database that can be broken.
struct Patient {
    worker: Worker,
    /// A superuser, in the worker's database.
    admin: Client,
    posted: u32,
    /// The minimum number of refusals by the server before the fault is fixed.
    refusals: usize,
    _stack: Shared,
}

impl Patient {
    async fn new(theme: &str) -> Self {
        let stack = shared().await;
        let worker = Worker::new(theme);
        let name = worker.name.clone();
        let anywhere = database().await;
        for sql in
            [format!("CREATE ROLE {name} LOGIN PASSWORD 'first'"), format!("CREATE DATABASE {name} OWNER {name}")]
        {
            anywhere.batch_execute(&sql).await.unwrap();
        }
        let url = env("DATABASE_URL");
        let (server, _) = url.rsplit_once('/').unwrap();
        let (admin, connection) = tokio_postgres::connect(&format!("{server}/{name}"), NoTls).await.unwrap();
        tokio::spawn(connection);
        let (_, place) = server.rsplit_once('@').unwrap();
        let url = format!("postgres://{name}:first@{place}/{name}");
        let worker = worker
            .webhook("")
            .sink_at(&url, "errors.retry.delay.max.ms = 200\nerrors.retry.timeout = 0\n")
            .start()
            .await;
        let mut patient = Self { worker, admin, posted: 0, refusals: 1, _stack: stack };
        patient.post(3).await;
        patient.has_all_but(&[]).await;
        patient
    }

    /// Posts records with numbers as titles.
    async fn post(&mut self, records: u32) {
        for _ in 0..records {
            let number = self.posted;
            self.worker.accept("deals", "create", format!("d-{number:04}"), json!({"title": number.to_string()})).await;
            self.posted += 1;
        }
    }

    /// Runs SQL as a superuser; `{n}` stands for the name of the schema, the role and the database.
    async fn sql(&self, sql: &str) {
        self.admin.batch_execute(&sql.replace("{n}", &self.worker.name)).await.unwrap();
    }

    /// A trigger on the table that raises this error for rows that meet `condition`.
    async fn refuse(&self, condition: &str, sqlstate: &str) {
        self.sql(&format!(
            "CREATE FUNCTION {{n}}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {{n}}.deals FOR EACH ROW WHEN ({condition})
             EXECUTE FUNCTION {{n}}.refuse()"
        ))
        .await;
    }

    /// Ends the connections of the worker, so that settings of the role take effect.
    async fn disconnect(&self) {
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{n}'").await;
    }

    async fn state_becomes(&self, state: &str) {
        eventually(&format!("the state is {state}"), || async {
            (self.worker.state("pg").await == state).then_some(())
        })
        .await;
    }

    /// Asserts that every posted record is in the table, except these.
    async fn has_all_but(&self, missing: &[u32]) {
        let expected: Vec<String> = (0..self.posted)
            .filter(|number| !missing.contains(number))
            .map(|number| format!("d-{number:04}|{number}"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        rows_become(&self.admin, &format!("SELECT id, title FROM {}.deals ORDER BY id", self.worker.name), &expected)
            .await;
    }

    /// The ids of dead-lettered records, with the code.
    async fn dead_letters(&self) -> Vec<String> {
        rows(&self.admin, "SELECT error_code FROM towpath.dead_letter ORDER BY \"offset\"").await
    }

    /// Asserts that a fault between `breaks` and `mends` is waited for; `sqlstate` is the server's error code.
    async fn waits_out(mut self, breaks: &str, sqlstate: &str, mends: &str) {
        let before = self.worker.memory();
        self.sql(breaks).await;
        self.disconnect().await;
        self.post(30).await;
        // Ended connections are expected and not the subject of the test.
        let told = format!("SQLSTATE {sqlstate}");
        eventually(&told, || async { (self.worker.log().matches(&told).count() >= self.refusals).then_some(()) }).await;
        self.state_becomes("retrying").await;
        assert_eq!(self.dead_letters().await, [""; 0], "a fault of the environment dead-letters nothing");
        self.post(10).await;
        self.sql(mends).await;
        self.has_all_but(&[]).await;
        self.state_becomes("running").await;
        assert_eq!(self.dead_letters().await, [""; 0], "a fault of the environment dead-letters nothing");
        let after = self.worker.memory();
        assert!(after < before + MEMORY, "{after} KiB, {before} KiB before");
        self.end().await;
    }

    /// Like [`Patient::waits_out`], for a fault that waiting alone does not fix: the table waits, and resumes by itself
    /// after `mends`.
    async fn stops_until(mut self, breaks: &str, mends: &str) {
        self.sql(breaks).await;
        self.post(30).await;
        self.state_becomes("degraded").await;
        assert_eq!(self.dead_letters().await, [""; 0], "a fault of the setup dead-letters nothing");
        self.sql(mends).await;
        self.post(10).await;
        self.has_all_but(&[]).await;
        self.state_becomes("running").await;
        assert_eq!(self.dead_letters().await, [""; 0], "a fault of the setup dead-letters nothing");
        self.end().await;
    }

    /// Like [`Patient::waits_out`], for a table of the wrong shape: nothing is dead-lettered, and the worker resumes by
    /// itself.
    async fn pauses_until(mut self, breaks: &str, mends: &str) {
        self.sql(breaks).await;
        self.post(30).await;
        eventually("the mismatch is reported", || async {
            self.worker.log().contains("postgres.schema_mismatch").then_some(())
        })
        .await;
        self.state_becomes("retrying").await;
        self.sql(mends).await;
        self.has_all_but(&[]).await;
        assert_eq!(self.dead_letters().await, [""; 0], "a fault of the setup dead-letters nothing");
        self.state_becomes("running").await;
        self.end().await;
    }

    /// Like [`Patient::waits_out`], for a fault of the data: the one record is dead-lettered, and the task does not
    /// wait.
    async fn sets_aside_one(mut self, refusal: &str) {
        let refused = self.posted + 7;
        self.post(20).await;
        self.has_all_but(&[refused]).await;
        assert_eq!(self.dead_letters().await, [refusal]);
        self.state_becomes("running").await;
        assert!(self.worker.metric("towpath_retries_total", "stage=\"apply\"").await < 0.5, "the task did not wait");
        self.end().await;
    }

    async fn end(self) {
        let Self { worker, admin, _stack, .. } = self;
        let name = worker.name.clone();
        drop((worker, admin));
        let anywhere = database().await;
        for sql in [format!("DROP DATABASE {name} WITH (FORCE)"), format!("DROP ROLE {name}")] {
            anywhere.batch_execute(&sql).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_without_free_connections_is_waited_for() {
    let patient = Patient::new("connections").await;
    patient.waits_out("ALTER ROLE {n} CONNECTION LIMIT 0", "53300", "ALTER ROLE {n} CONNECTION LIMIT -1").await;
}

#[tokio::test]
async fn a_read_only_database_is_waited_for() {
    let patient = Patient::new("readonly").await;
    let (breaks, mends) = (
        "ALTER ROLE {n} SET default_transaction_read_only = on",
        "ALTER ROLE {n} RESET default_transaction_read_only; SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE usename = '{n}'",
    );
    patient.waits_out(breaks, "25006", mends).await;
}

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    let patient = Patient::new("disk").await;
    patient.refuse("true", "53100").await;
    patient.waits_out("SELECT", "53100", "DROP TRIGGER refuse ON {n}.deals").await;
}

#[tokio::test]
async fn a_rotated_password_is_waited_for() {
    let patient = Patient::new("password").await;
    patient.waits_out("ALTER ROLE {n} PASSWORD 'second'", "28P01", "ALTER ROLE {n} PASSWORD 'first'").await;
}

#[tokio::test]
async fn a_locked_table_is_waited_for() {
    let mut patient = Patient::new("lock").await;
    // Until the lock timeout has passed twice, and the task reports it.
    patient.refusals = 2;
    patient.waits_out("BEGIN; LOCK TABLE {n}.deals IN ACCESS EXCLUSIVE MODE", "55P03", "ROLLBACK").await;
}

#[tokio::test]
async fn a_statement_that_always_times_out_is_split_and_retried() {
    let patient = Patient::new("slow").await;
    // The first statement of each batch lowers the server's limit of 30 s, so the lower limit applies to the later
    // statements. One row takes longer.
    patient
        .sql(
            "CREATE FUNCTION {n}.hurry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM set_config('statement_timeout', '200', true); RETURN NULL; END $$;
             CREATE TRIGGER hurry AFTER UPDATE ON towpath.sink_partition FOR EACH ROW EXECUTE FUNCTION {n}.hurry();
             CREATE FUNCTION {n}.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW;
             END $$;
             CREATE TRIGGER dawdle BEFORE INSERT OR UPDATE ON {n}.deals FOR EACH ROW WHEN (NEW.title = '20')
                 EXECUTE FUNCTION {n}.dawdle()",
        )
        .await;
    patient.waits_out("SELECT", "57014", "DROP TRIGGER dawdle ON {n}.deals").await;
}

#[tokio::test]
async fn repeatedly_terminated_backends_lose_and_duplicate_nothing() {
    let mut patient = Patient::new("terminate").await;
    let mut ended = 0;
    while ended < 30 {
        patient.post(5).await;
        let end =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", patient.worker.name);
        ended += rows(&patient.admin, &end).await.len();
    }
    patient.has_all_but(&[]).await;
    patient.state_becomes("running").await;
    assert_eq!(patient.dead_letters().await, [""; 0]);
    patient.end().await;
}

#[tokio::test]
async fn a_role_that_lost_its_rights_stops_the_task_until_it_has_them_again() {
    let patient = Patient::new("rights").await;
    patient.stops_until("REVOKE INSERT ON {n}.deals FROM {n}", "GRANT INSERT ON {n}.deals TO {n}").await;
}

#[tokio::test]
async fn a_changed_column_type_holds_up_its_table_until_it_is_changed_back() {
    let patient = Patient::new("retyped").await;
    let with_view = |alter: &str| {
        format!(
            "DROP VIEW {{n}}.deals_live; {alter};
             CREATE VIEW {{n}}.deals_live AS SELECT * FROM {{n}}.deals WHERE NOT _towpath_deleted;
             ALTER VIEW {{n}}.deals_live OWNER TO {{n}}"
        )
    };
    let breaks = with_view("ALTER TABLE {n}.deals ALTER won TYPE integer USING won::integer");
    let mends = with_view("ALTER TABLE {n}.deals ALTER won TYPE boolean USING won::boolean");
    patient.pauses_until(&breaks, &mends).await;
}

#[tokio::test]
async fn a_dropped_table_stops_the_task_until_it_is_back() {
    let patient = Patient::new("dropped").await;
    let breaks = "CREATE TABLE {n}.kept AS SELECT * FROM {n}.deals; DROP TABLE {n}.deals CASCADE";
    // With the applied rows; the topic has the unapplied ones.
    let mends = "ALTER TABLE {n}.kept RENAME TO deals; ALTER TABLE {n}.deals ADD PRIMARY KEY (id);
                 ALTER TABLE {n}.deals OWNER TO {n}";
    patient.stops_until(breaks, mends).await;
}

#[tokio::test]
async fn a_trigger_that_refuses_one_row_dead_letters_exactly_that_record() {
    let patient = Patient::new("trigger").await;
    patient.refuse("NEW.title = '10'", "22023").await;
    patient.sets_aside_one("postgres.refused_value").await;
}

#[tokio::test]
async fn a_foreign_key_without_its_row_dead_letters_exactly_that_record() {
    let patient = Patient::new("foreign").await;
    // Checked at COMMIT, the worst case: the error does not name a statement.
    patient
        .sql(
            "CREATE TABLE {n}.titles (title text PRIMARY KEY);
             INSERT INTO {n}.titles SELECT n::text FROM generate_series(0, 100) AS n WHERE n <> 10;
             GRANT SELECT, UPDATE ON {n}.titles TO {n};
             ALTER TABLE {n}.deals ADD FOREIGN KEY (title) REFERENCES {n}.titles DEFERRABLE INITIALLY DEFERRED",
        )
        .await;
    patient.sets_aside_one("postgres.foreign_key").await;
}
