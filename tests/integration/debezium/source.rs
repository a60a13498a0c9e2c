//! A source database, its connectors, and the comparison of its tables with those that Towpath fills.

use std::{cell::RefCell, process::Command, time::Duration};

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::Host};

use crate::{
    stack::{PATIENCE, delete_topics, env, eventually, stack, try_for, unique},
    worker::Worker,
};

/// In each source, for comparisons: Debezium's `Bits`, which are whole bytes, the least significant first, without the
/// length.
const BITS: &str = r"
    CREATE FUNCTION bits(v text) RETURNS text LANGUAGE sql RETURNS NULL ON NULL INPUT AS $$
        SELECT '\x' || coalesce(string_agg(
            lpad(to_hex(lpad(right(left(v, length(v) - 8 * at), 8), 8, '0')::bit(8)::int), 2, '0'), '' ORDER BY at), '')
        FROM generate_series(0, (length(ltrim(v, '0')) - 1) / 8) at WHERE ltrim(v, '0') <> ''
    $$;";

/// What Debezium writes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// Kafka's `JsonConverter` with schemas.
    Json,
    /// Apicurio's converter, framed as Confluent's.
    Avro,
}

/// A database that Debezium reads; dropped with its connectors and topics.
pub(super) struct Source {
    name: String,
    pub(super) client: Client,
    connectors: RefCell<Vec<String>>,
}

/// A running connector of Debezium: the prefix of its topics.
pub(super) struct Stream {
    prefix: String,
    form: Form,
}

impl Source {
    /// Creates a database with these statements.
    pub(super) async fn new(theme: &str, tables: &str) -> Self {
        static CONNECT: OnceCell<()> = OnceCell::const_new();
        let starts = || async {
            tokio::task::spawn_blocking(|| stack(&["start", "connect"])).await.expect("Connect is started");
        };
        CONNECT.get_or_init(starts).await;
        let name = unique(theme);
        let any = connected(&env("DATABASE_URL").parse().expect("a URL")).await;
        any.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a new database");
        any.batch_execute(&format!("ALTER DATABASE {name} SET timezone = 'UTC'")).await.expect("a setting");
        let client = connected(&config(&name)).await;
        client.batch_execute(&format!("{BITS}{tables}")).await.unwrap_or_else(|error| panic!("{error:?}"));
        Self { name, client, connectors: RefCell::default() }
    }

    /// Starts a connector for the tables in `public`, and waits until it has read them and streams.
    pub(super) async fn stream(&self, form: Form, more: &[(&str, &str)]) -> Stream {
        let prefix = format!("{}_{}", self.name, self.connectors.borrow().len());
        self.connectors.borrow_mut().push(prefix.clone());
        let database = config(&self.name);
        let host = match &database.get_hosts()[0] {
            Host::Tcp(host) => host.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let mut config = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": host,
            "database.port": database.get_ports()[0].to_string(),
            "database.user": database.get_user(),
            "database.password": String::from_utf8_lossy(database.get_password().unwrap_or_default()),
            "database.dbname": self.name,
            "topic.prefix": prefix,
            "plugin.name": "pgoutput",
            "slot.name": prefix,
            "slot.drop.on.stop": "true",
            "publication.name": prefix,
            "publication.autocreate.mode": "filtered",
            "schema.include.list": "public",
            // Truncates are skipped by default.
            "skipped.operations": "none",
            "poll.interval.ms": "20",
            "topic.creation.default.replication.factor": "1",
            "topic.creation.default.partitions": "3",
        });
        let registry = env("SCHEMA_REGISTRY_URL").replace("/apis/ccompat/v7", "/apis/registry/v2");
        for side in ["key", "value"] {
            let mut set = |key: &str, value: &str| config[format!("{side}.converter{key}")] = json!(value);
            match form {
                Form::Json => set("", "org.apache.kafka.connect.json.JsonConverter"),
                Form::Avro => {
                    set("", "io.apicurio.registry.utils.converter.AvroConverter");
                    set(".apicurio.registry.url", &registry);
                    set(".apicurio.registry.auto-register", "true");
                    set(".apicurio.registry.as-confluent", "true");
                    set(".apicurio.registry.use-id", "contentId");
                    set(".apicurio.registry.headers.enabled", "false");
                }
            }
            // Otherwise a null becomes the default of its column.
            set(".replace.null.with.default", "false");
        }
        for (key, value) in more {
            config[*key] = json!(value);
        }
        let url = format!("{}/connectors/{prefix}", env("CONNECT_URL"));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = http.put(format!("{url}/config")).json(&config).send().await.expect("Connect answers");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
        eventually("the connector streams", || async {
            let status: Value = http.get(format!("{url}/status")).send().await.ok()?.json().await.ok()?;
            let text = status.to_string();
            assert!(!text.contains("FAILED"), "{text}");
            // A slot is active while it is created, too.
            let streams = format!(
                "SELECT FROM pg_replication_slots JOIN pg_stat_replication ON pid = active_pid \
                 WHERE slot_name = '{prefix}' AND state IN ('catchup', 'streaming')"
            );
            let streams = self.client.query(streams.as_str(), &[]).await.expect("the database answers");
            (!streams.is_empty()).then_some(())
        })
        .await;
        Stream { prefix, form }
    }

    /// Executes statements on the source, outside of a transaction.
    pub(super) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// A worker whose sink writes the topics of a connector into `schema`; see [`Stream::table`].
    pub(super) async fn sink(&self, stream: &Stream, schema: &str, more: &str) -> Worker {
        let url = env("DATABASE_URL");
        let url = url.rsplit_once('/').expect("a URL with a database").0;
        let converter = match stream.form {
            Form::Json => "json",
            Form::Avro => "avro",
        };
        let has = |key: &str| more.contains(key);
        let topics =
            if has("topics.regex") { String::new() } else { format!("topics.regex = \"{}\\\\..*\"\n", stream.prefix) };
        let text = format!(
            "name = \"pg-${{NAME}}\"\nconnector.class = \"PostgresSink\"\n{topics}\
             connection.url = \"{url}/{}\"\nerrors.retry.delay.max.ms = 1000\n\
             table.name.format = \"{schema}.${{topic}}\"\n\
             key.converter = \"{converter}\"\nvalue.converter = \"{converter}\"\n{more}",
            self.name
        );
        Worker::named(unique("dbz")).file("postgres.toml", &text).whose_rows_show_less().start().await
    }

    /// Waits until the live rows of the target are those of the source.
    pub(super) async fn agrees(&self, stream: &Stream, schema: &str, table: &str) {
        // The types that Towpath's own tables have as jsonb.
        let catalogue = format!(
            "SELECT format('%I', column_name), format(CASE \
                WHEN udt_name = '_numeric' THEN 'to_jsonb(%I::text[])' \
                WHEN udt_name = '_timestamptz' THEN 'replace(to_jsonb(%I)::text, ''+00:00'', ''Z'')' \
                WHEN data_type = 'ARRAY' THEN 'to_jsonb(%I)' WHEN udt_name = 'varbit' THEN 'bits(%I::text)' \
                WHEN udt_name = 'hstore' THEN 'hstore_to_jsonb(%I)' \
                WHEN udt_name = 'json' THEN '%I::jsonb' ELSE '%I' END, \
                column_name) \
             FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
        );
        let columns = self.client.query(catalogue.as_str(), &[]).await.expect("columns");
        let columns: Vec<(String, String)> = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
        let shown: Vec<&str> = columns.iter().map(|(_, shown)| shown.as_str()).collect();
        // Towpath's names are lower snake case.
        let own: Vec<String> =
            columns.iter().map(|(name, _)| name.trim_matches('"').to_lowercase().replace(' ', "_")).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let target = format!("{}_live", stream.table(schema, table));
        self.compare(&target, &listed(&shown, &format!("public.{table}")), &listed(&own, &target)).await;
    }

    /// Waits until both queries give the same rows.
    pub(super) async fn compare(&self, what: &str, source: &str, target: &str) {
        let last = RefCell::new(Vec::new());
        let probe = || async {
            let expected = self.texts(source).await.unwrap_or_else(|error| panic!("{source}: {error}"));
            let found = self.texts(target).await.unwrap_or_else(|error| vec![error]);
            let differing = [("source", &expected, &found), ("target", &found, &expected)]
                .into_iter()
                .flat_map(|(side, these, those)| {
                    these.iter().filter(|row| !those.contains(row)).map(move |row| format!("{side}: {row:.300}"))
                })
                .collect::<Vec<_>>();
            let equal = expected == found;
            last.replace(differing);
            if !equal {
                rest().await;
            }
            equal.then_some(())
        };
        let done = try_for(PATIENCE, probe).await;
        assert!(done.is_some(), "{what} differs from its source: {:#?}", last.borrow());
    }

    /// The first column of each row, or the text of the error.
    pub(super) async fn texts(&self, sql: &str) -> Result<Vec<String>, String> {
        let messages = self.client.simple_query(sql).await.map_err(|error| format!("{error:?}"))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Waits until a table or a query gives these rows; the columns of a row are separated by ` | `, text is quoted.
    pub(super) async fn becomes(&self, columns: &[&str], from: &str, expected: &[&str]) {
        let values = expected.iter().map(|row| format!("($${row}$$)")).collect::<Vec<_>>().join(", ");
        let source = if expected.is_empty() {
            "SELECT 1 WHERE false".to_owned()
        } else {
            format!("SELECT v FROM (VALUES {values}) e(v) ORDER BY 1")
        };
        self.compare(from, &source, &listed(columns, from)).await;
    }

    /// The dead letters of a connector's topics in one sink: table and code.
    pub(super) async fn dead_letters(&self, worker: &Worker) -> Vec<String> {
        let sql = format!(
            "SELECT DISTINCT split_part(topic, '.', 3) || ' ' || error_code FROM towpath.dead_letter \
            WHERE sink = 'pg-{}' ORDER BY 1",
            worker.name
        );
        self.texts(&sql).await.expect("dead letters")
    }
}

impl Stream {
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The target of a source table in the schema of a sink.
    pub(super) fn table(&self, schema: &str, table: &str) -> String {
        format!("{schema}.{}_public_{table}", self.prefix)
    }
}

/// A query for the rows of a table as text, null and empty kept apart.
pub(super) fn listed(columns: &[&str], from: &str) -> String {
    // A cast to text cuts the blanks of a `char(n)` and adds the mask of an address.
    let text = |column: &&str| {
        format!("CASE WHEN ({column}) IS NOT NULL THEN quote_literal(format('%s', {column})) ELSE 'NULL' END")
    };
    let columns = columns.iter().map(text).collect::<Vec<_>>().join(", ");
    format!("SELECT concat_ws(' | ', {columns}) FROM {from} ORDER BY 1")
}

/// Between two comparisons, which are too much work for a poll every few milliseconds.
pub(super) async fn rest() {
    tokio::time::sleep(Duration::from_millis(250)).await;
}

fn config(database: &str) -> Config {
    let mut config: Config = env("DATABASE_URL").parse().expect("a URL");
    config.dbname(database);
    config
}

async fn connected(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("the database answers");
    tokio::spawn(connection);
    client
}

impl Drop for Source {
    fn drop(&mut self) {
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|ran| ran.status.success())
        };
        for connector in self.connectors.borrow().iter() {
            let url = format!("{}/connectors/{connector}", env("CONNECT_URL"));
            run("curl", &["-sf", "--noproxy", "*", "-X", "DELETE", &url]);
        }
        // The database of a red test may explain it; its slots would keep the log of the whole server.
        let ended = if std::thread::panicking() {
            "SELECT".to_owned()
        } else {
            format!("DROP DATABASE {} WITH (FORCE)", self.name)
        };
        let slots = format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{}'",
            self.name
        );
        let url = env("DATABASE_URL");
        let dropped = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            run("psql", &["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", &slots, "-c", &ended, &url])
        });
        delete_topics(&self.name);
        delete_topics(&format!("heartbeats.{}", self.name));
        assert!(dropped || std::thread::panicking(), "the database {} cannot be dropped", self.name);
    }
}
