//! Trouble of the database and of its data, each by name, against a real worker. The environment is waited for and sets
//! nothing aside; one record that is refused is set aside alone; what a person must mend stops the task. Afterwards
//! everything is there.
//!
//! Each test has a role and a database of its own, so that it can break them.

use serde_json::json;
use tokio_postgres::{Client, NoTls};

use crate::{
    stack::{Shared, database, env, eventually, rows, rows_become, shared},
    worker::Worker,
};

/// How much more memory a worker may hold while its database is away, in KiB. The posts of a test are far smaller; a
/// leak in a retry loop is not.
const MEMORY: u64 = 64 * 1024;

/// A worker with a database that can be broken.
struct Patient {
    worker: Worker,
    /// A superuser, in the worker's database.
    admin: Client,
    posted: u32,
    /// How often the server must have refused before what broke it is mended.
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

    /// Runs SQL as a superuser; `{n}` stands for the name of schema, role and database.
    async fn sql(&self, sql: &str) {
        self.admin.batch_execute(&sql.replace("{n}", &self.worker.name)).await.unwrap();
    }

    /// A trigger on the table that raises this error, for the rows of which `condition` holds.
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

    /// Every record that was posted is in the table, but for these.
    async fn has_all_but(&self, missing: &[u32]) {
        let expected: Vec<String> = (0..self.posted)
            .filter(|number| !missing.contains(number))
            .map(|number| format!("d-{number:04}|{number}"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        rows_become(&self.admin, &format!("SELECT id, title FROM {}.deals ORDER BY id", self.worker.name), &expected)
            .await;
    }

    /// The ids whose records were set aside, with the code.
    async fn set_aside(&self) -> Vec<String> {
        rows(&self.admin, "SELECT error_code FROM towpath.dead_letter ORDER BY \"offset\"").await
    }

    /// What the fault of the environment must look like between `breaks` and `mends`, and after; `sqlstate` is what the
    /// server says.
    async fn waits_out(mut self, breaks: &str, sqlstate: &str, mends: &str) {
        let before = self.worker.memory();
        self.sql(breaks).await;
        self.disconnect().await;
        self.post(30).await;
        // That connections were ended is not what this is about.
        let told = format!("SQLSTATE {sqlstate}");
        eventually(&told, || async { (self.worker.log().matches(&told).count() >= self.refusals).then_some(()) }).await;
        self.state_becomes("retrying").await;
        assert_eq!(self.set_aside().await, [""; 0], "trouble of the environment sets nothing aside");
        self.post(10).await;
        self.sql(mends).await;
        self.has_all_but(&[]).await;
        self.state_becomes("running").await;
        assert_eq!(self.set_aside().await, [""; 0], "trouble of the environment sets nothing aside");
        let after = self.worker.memory();
        assert!(after < before + MEMORY, "{after} KiB, {before} KiB before");
        self.end().await;
    }

    /// As [`Patient::waits_out`], where waiting does not help: the task stops, and goes on when it is started again
    /// after `mends`.
    async fn stops_until(mut self, breaks: &str, mends: &str) {
        self.sql(breaks).await;
        self.post(30).await;
        self.state_becomes("failed").await;
        assert_eq!(self.set_aside().await, [""; 0], "a fault of the setup sets nothing aside");
        self.sql(mends).await;
        self.worker.kill();
        self.worker.spawn();
        self.worker.is_ready().await;
        self.post(10).await;
        self.has_all_but(&[]).await;
        assert_eq!(self.set_aside().await, [""; 0], "a fault of the setup sets nothing aside");
        self.end().await;
    }

    /// As [`Patient::waits_out`], where a table has not the shape that it needs: nothing is set aside, and the worker
    /// goes on by itself.
    async fn pauses_until(mut self, breaks: &str, mends: &str) {
        self.sql(breaks).await;
        self.post(30).await;
        eventually("the mismatch is told", || async {
            self.worker.log().contains("postgres.schema_mismatch").then_some(())
        })
        .await;
        self.state_becomes("retrying").await;
        self.sql(mends).await;
        self.has_all_but(&[]).await;
        assert_eq!(self.set_aside().await, [""; 0], "a fault of the setup sets nothing aside");
        self.state_becomes("running").await;
        self.end().await;
    }

    /// As [`Patient::waits_out`], where the data is at fault: the one record is set aside, and nobody waits.
    async fn sets_aside_one(mut self, refusal: &str) {
        let refused = self.posted + 7;
        self.post(20).await;
        self.has_all_but(&[refused]).await;
        assert_eq!(self.set_aside().await, [refusal]);
        self.state_becomes("running").await;
        assert!(self.worker.metric("towpath_retries_total", "stage=\"apply\"").await < 0.5, "nobody waited");
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
async fn a_database_that_is_read_only_is_waited_for() {
    let patient = Patient::new("readonly").await;
    let (breaks, mends) = (
        "ALTER ROLE {n} SET default_transaction_read_only = on",
        "ALTER ROLE {n} RESET default_transaction_read_only; SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE usename = '{n}'",
    );
    patient.waits_out(breaks, "25006", mends).await;
}

#[tokio::test]
async fn a_disk_that_is_full_is_waited_for() {
    let patient = Patient::new("disk").await;
    patient.refuse("true", "53100").await;
    patient.waits_out("SELECT", "53100", "DROP TRIGGER refuse ON {n}.deals").await;
}

#[tokio::test]
async fn a_password_that_was_rotated_is_waited_for() {
    let patient = Patient::new("password").await;
    patient.waits_out("ALTER ROLE {n} PASSWORD 'second'", "28P01", "ALTER ROLE {n} PASSWORD 'first'").await;
}

#[tokio::test]
async fn a_table_that_somebody_has_locked_is_waited_for() {
    let mut patient = Patient::new("lock").await;
    // Until the limit on waiting for a lock has passed twice, and the task says so.
    patient.refusals = 2;
    patient.waits_out("BEGIN; LOCK TABLE {n}.deals IN ACCESS EXCLUSIVE MODE", "55P03", "ROLLBACK").await;
}

#[tokio::test]
async fn a_statement_that_always_takes_too_long_is_tried_in_parts_and_waited_for() {
    let patient = Patient::new("slow").await;
    // The server's own limit of 30 s, made shorter by the first statement of each batch: it holds for those behind it.
    // One row takes longer.
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
async fn backends_that_are_terminated_again_and_again_lose_and_double_nothing() {
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
    assert_eq!(patient.set_aside().await, [""; 0]);
    patient.end().await;
}

#[tokio::test]
async fn a_role_that_lost_its_rights_stops_the_task_until_it_has_them_again() {
    let patient = Patient::new("rights").await;
    patient.stops_until("REVOKE INSERT ON {n}.deals FROM {n}", "GRANT INSERT ON {n}.deals TO {n}").await;
}

#[tokio::test]
async fn a_column_whose_type_somebody_changed_holds_up_its_table_until_it_is_changed_back() {
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
async fn a_table_that_somebody_dropped_stops_the_task_until_it_is_back() {
    let patient = Patient::new("dropped").await;
    let breaks = "CREATE TABLE {n}.kept AS SELECT * FROM {n}.deals; DROP TABLE {n}.deals CASCADE";
    // With the rows that were applied; those that were not come from the topic.
    let mends = "ALTER TABLE {n}.kept RENAME TO deals; ALTER TABLE {n}.deals ADD PRIMARY KEY (id);
                 ALTER TABLE {n}.deals OWNER TO {n}";
    patient.stops_until(breaks, mends).await;
}

#[tokio::test]
async fn a_trigger_that_refuses_one_row_sets_exactly_that_record_aside() {
    let patient = Patient::new("trigger").await;
    patient.refuse("NEW.title = '10'", "22023").await;
    patient.sets_aside_one("postgres.refused_value").await;
}

#[tokio::test]
async fn a_foreign_key_without_its_row_sets_exactly_that_record_aside() {
    let patient = Patient::new("foreign").await;
    // Checked at COMMIT, the worst case: the error names no statement.
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
