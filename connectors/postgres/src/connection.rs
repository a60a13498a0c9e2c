//! Opens a connection, with limits that keep a stuck session from blocking others, and with the two search paths of a
//! session.

mod target;
mod tls;
mod words;

use tokio_postgres::{
    Client, Config, Error as PgError, NoTls, SimpleQueryMessage,
    config::{Host, SslMode as Attempted},
};
use towpath_api::{Error, ErrorType, Result};

use self::target::{SslMode, Target};
use crate::{codes, config::PostgresSinkConfig, name::literal, sqlstate::database_error};

/// Session settings. The timeouts keep a frozen worker from holding row locks forever; the generic plan serves arrays
/// of any length. Notices and warnings of triggers may quote rows, so the server sends none.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '30s';
    SET search_path = pg_catalog, pg_temp; SET timezone = 'UTC'; SET client_min_messages = error;
    SET standard_conforming_strings = on; SET plan_cache_mode = force_generic_plan";

/// The schemas in which unqualified names are looked up.
///
/// Anybody who may create objects in a schema of the path can put an operator or a function of theirs in place of a
/// built-in one (CVE-2018-1058). So the sink's own statements search the catalog alone. Only statements that write rows
/// of the user's tables search the role's path, for which functions of triggers, constraints and defaults were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchPath {
    OfSink,
    /// The path that the role has in this database, after the catalog.
    OfRole,
}

impl SearchPath {
    /// The statement that sets it until the transaction ends.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::OfSink => "SET LOCAL search_path = pg_catalog, pg_temp",
            Self::OfRole => {
                "SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('towpath.search_path'), true)"
            }
        }
    }
}

/// The reason why `connection.url` cannot be used, which follows its name in a sentence; `None` if it can.
pub(crate) fn fault_of_url(config: &PostgresSinkConfig) -> Option<String> {
    Target::of(config).err()
}

/// Connects under the name `application`, which `pg_stat_activity` shows.
///
/// # Errors
/// Retry while the server is unavailable or refuses the credentials; fatal for unusable URL or TLS settings, and for a
/// server whose certificate is not accepted.
pub(crate) async fn connect(config: &PostgresSinkConfig, application: &str) -> Result<Client> {
    let mut target = Target::of(config).map_err(|reason| {
        Error::fatal(codes::URL, ErrorType::Config, format!("read `connection.url`: it {reason}"))
            .with_help("set `connection.url` to a URL such as `postgres://host:5432/database`")
    })?;
    target.options.application_name(application);
    let doing = format!("connect to Postgres at {}", address(&target.options));
    let client = open(target, &doing).await?;
    let failed = |error| database_error("apply the session settings", error);
    let shown = client.simple_query("SHOW search_path").await.map_err(failed)?;
    let role_path = shown.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).filter(|path| !path.is_empty()),
        _ => None,
    });
    // Without the temporary schema in the path, its relations and types would precede those of the catalog.
    let path: Vec<&str> = ["pg_catalog", "pg_temp"].into_iter().chain(role_path).collect();
    let keep = format!("SELECT set_config('towpath.search_path', {}, false)", literal(&path.join(", ")));
    client.batch_execute(&format!("{SETTINGS}; {keep}")).await.map_err(failed)?;
    Ok(client)
}

/// Connects in the ways that `sslmode` permits, in libpq's order. The second way is tried if the server refuses the
/// first, not if the server cannot be reached.
async fn open(target: Target, doing: &str) -> Result<Client> {
    let Target { mut options, ssl_mode, tls } = target;
    let ways: &[Attempted] = match ssl_mode {
        SslMode::Disable => &[Attempted::Disable],
        SslMode::Allow => &[Attempted::Disable, Attempted::Require],
        SslMode::Prefer => &[Attempted::Prefer, Attempted::Disable],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Attempted::Require],
    };
    let mut failed = None;
    for way in ways {
        options.ssl_mode(*way);
        let opened = if *way == Attempted::Disable {
            options.connect(NoTls).await.map(|(client, connection)| {
                tokio::spawn(connection);
                client
            })
        } else {
            options.connect(tls::connector(&tls, ssl_mode)?).await.map(|(client, connection)| {
                tokio::spawn(connection);
                client
            })
        };
        match opened {
            Ok(client) => return Ok(client),
            Err(error) if is_refused(&error) => {
                // With TLS the server says more.
                if *way != Attempted::Disable || failed.is_none() {
                    failed = Some(error);
                }
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    // There is at least one way.
    let Some(error) = failed else { return Err(Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing)) };
    Err(tls::refusal(doing, error).unwrap_or_else(|error| database_error(doing, error)))
}

/// Returns true if a server has answered and refuses this way of connecting, with or without TLS.
fn is_refused(error: &PgError) -> bool {
    tls::has_failed(error) || error.code().is_some_and(|state| state.code().starts_with("28"))
}

/// `host:port,host:port/database`, without the user and the password.
fn address(options: &Config) -> String {
    let ports = options.get_ports();
    let place = |(at, host): (usize, &Host)| match host {
        Host::Tcp(name) => format!("{name}:{}", ports.get(at).or(ports.first()).unwrap_or(&5432)),
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<_> = options.get_hosts().iter().enumerate().map(place).collect();
    format!("{}/{}", hosts.join(","), options.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests;
