//! Opens a connection, with limits that keep a stuck session from blocking others.

use std::{fs::File, io::BufReader, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio_postgres::{Client, Config, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use towpath_api::{Error, ErrorType, Result};

use crate::{codes, config::PostgresSinkConfig, sqlstate::database_error};

/// Session settings. The timeouts keep a frozen worker from holding row locks forever; the generic plan serves arrays
/// of any length. Notices and warnings of triggers may quote rows, so the server sends none.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '30s';
    SET search_path = pg_catalog, pg_temp; SET timezone = 'UTC'; SET client_min_messages = error;
    SET standard_conforming_strings = on; SET plan_cache_mode = force_generic_plan";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this long without an acknowledgement from the peer, the connection counts as lost.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects under the name `application`, which `pg_stat_activity` shows.
///
/// # Errors
/// Retry while the server is unavailable or refuses the credentials; fatal for unusable URL or TLS settings.
pub(crate) async fn connect(config: &PostgresSinkConfig, application: &str) -> Result<Client> {
    let mut options: Config = config.connection_url.parse().map_err(|error: tokio_postgres::Error| {
        Error::fatal(codes::URL, ErrorType::Config, "read `connection.url`")
            .with_help("set `connection.url` to a URL such as `postgres://host:5432/database`")
            .because(error)
    })?;
    if let Some(user) = &config.connection_user {
        options.user(user);
    }
    if let Some(password) = &config.connection_password {
        options.password(password.reveal());
    }
    options
        .application_name(application)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(NETWORK_TIMEOUT)
        .keepalives_idle(NETWORK_TIMEOUT);
    let doing = format!("connect to Postgres at {}", address(&options));
    let client = if options.get_ssl_mode() == SslMode::Disable {
        let (client, connection) =
            options.connect(tokio_postgres::NoTls).await.map_err(|error| database_error(&doing, error))?;
        tokio::spawn(connection);
        client
    } else {
        let tls = MakeRustlsConnect::new(tls(config)?);
        let (client, connection) = options.connect(tls).await.map_err(|error| database_error(&doing, error))?;
        tokio::spawn(connection);
        client
    };
    client.batch_execute(SETTINGS).await.map_err(|error| database_error("apply the session settings", error))?;
    Ok(client)
}

/// `host:port/database`, without the user and the password.
fn address(options: &Config) -> String {
    let hosts: Vec<_> = options
        .get_hosts()
        .iter()
        .map(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    let port = options.get_ports().first().copied().unwrap_or(5432);
    format!("{}:{port}/{}", hosts.join(","), options.get_dbname().unwrap_or_default())
}

/// Trusts the certificates of the system and those in `connection.ssl.ca`.
fn tls(config: &PostgresSinkConfig) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &config.connection_ssl_ca {
        let wrong = || {
            Error::fatal(codes::TLS, ErrorType::Config, format!("read certificates from {}", path.display()))
                .with_help("set `connection.ssl.ca` to a readable file of PEM certificates")
        };
        let file = File::open(path).map_err(|error| wrong().because(error))?;
        let certificates = certificates(BufReader::new(file)).map_err(|error| wrong().because(error))?;
        roots.add_parsable_certificates(certificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::fatal(codes::TLS, ErrorType::Config, "set up TLS").because(error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn certificates(reader: impl std::io::Read) -> std::io::Result<Vec<CertificateDer<'static>>> {
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::pem_reader_iter(reader).collect::<Result<Vec<_>, _>>().map_err(std::io::Error::other)
}
