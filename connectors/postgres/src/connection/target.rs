//! Where and how to connect: `connection.url` and the keys beside it, checked.
//!
//! Each keyword of libpq is followed, or refused by its name. No text here contains a value that could be a secret.

use std::path::PathBuf;

use tokio_postgres::{Config, config::Host};

use super::words::{Words, words};
use crate::config::PostgresSinkConfig;

/// The time limit of one attempt to connect, in seconds.
const CONNECT_TIMEOUT: &str = "5";
/// After this number of seconds without an acknowledgement from the peer, the connection counts as lost.
const NETWORK_TIMEOUT: &str = "30";

/// Keywords that the client library reads as libpq does.
const PASSED_ON: [&str; 15] = [
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "user",
];

/// `sslmode`, with the meanings of libpq (`PostgreSQL` manual, section "SSL Support" of libpq).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    /// Without TLS, and with it if the server requires TLS.
    Allow,
    /// With TLS, and without it if that fails.
    Prefer,
    /// With TLS. The certificate is checked only if a file of trusted certificates is given.
    Require,
    VerifyCa,
    /// The certificate must be trusted and name the host.
    VerifyFull,
}

/// The certificates to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Any certificate is accepted, except with [`SslMode::VerifyFull`], which trusts the system's.
    Unset,
    System,
    /// Those of a file alone.
    File(PathBuf),
    /// Those of a file, in addition to the system's.
    FileAndSystem(PathBuf),
}

/// The settings of TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) roots: Roots,
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    pub(super) key_password: Option<String>,
    pub(super) sends_host: bool,
    pub(super) versions: [Option<&'static str>; 2],
}

/// A database and the way to it.
pub(super) struct Target {
    pub(super) options: Config,
    pub(super) ssl_mode: SslMode,
    pub(super) tls: Tls,
}

impl Target {
    /// Reads the keys `connection.*`.
    ///
    /// # Errors
    /// The reason why `connection.url` cannot be used, which follows its name in a sentence.
    pub(super) fn of(config: &PostgresSinkConfig) -> Result<Self, String> {
        let mut words = words(&config.connection_url)
            .ok_or("is not a Postgres URL, such as `postgres://host:5432/database`, nor keywords, such as `host=db`")?;
        if let Some(user) = &config.connection_user {
            words.insert("user".to_owned(), user.clone());
        }
        if let Some(password) = &config.connection_password {
            words.insert("password".to_owned(), password.reveal().to_owned());
        }
        let (tls, ssl_mode) = tls(&mut words, config)?;
        session(&mut words)?;
        refuse_unknown(&words)?;
        let text: Vec<String> = words.iter().map(|(word, value)| format!("{word}={}", quoted(value))).collect();
        let mut options: Config = text.join(" ").parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            format!("cannot be used{cause}")
        })?;
        if options.get_hosts().is_empty() {
            if options.get_hostaddrs().is_empty() {
                return Err("names no host".to_owned());
            }
            for address in options.get_hostaddrs().to_vec() {
                options.host(address.to_string());
            }
        }
        // As libpq: there is no TLS through a socket of the system.
        let is_local = options.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        Ok(Self { options, ssl_mode: if is_local { SslMode::Disable } else { ssl_mode }, tls })
    }
}

/// Takes the words about TLS.
fn tls(words: &mut Words, config: &PostgresSinkConfig) -> Result<(Tls, SslMode), String> {
    let roots = match (words.remove("sslrootcert").filter(|file| !file.is_empty()), &config.connection_ssl_ca) {
        (Some(_), Some(_)) => {
            return Err("has `sslrootcert`, and `connection.ssl.ca` is set: use one of them".to_owned());
        }
        (Some(file), None) if file == "system" => Roots::System,
        (Some(file), None) => Roots::File(file.into()),
        (None, Some(file)) => Roots::FileAndSystem(file.clone()),
        (None, None) => Roots::Unset,
    };
    let mode = words.remove("sslmode");
    let ssl_mode = match mode.as_deref() {
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        Some("prefer") => SslMode::Prefer,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => {
            return Err(
                "has an `sslmode` that is not disable, allow, prefer, require, verify-ca or verify-full".to_owned()
            );
        }
        None if matches!(roots, Roots::System | Roots::FileAndSystem(_)) => SslMode::VerifyFull,
        None => SslMode::Prefer,
    };
    let roots = match roots {
        // Anybody can get a certificate of an authority that the system trusts, for another name.
        Roots::FileAndSystem(file) if ssl_mode != SslMode::VerifyFull => Roots::File(file),
        roots => roots,
    };
    match roots {
        Roots::System if ssl_mode != SslMode::VerifyFull => {
            return Err("has `sslrootcert=system`, which only `sslmode=verify-full` can use".to_owned());
        }
        // Anybody can get a certificate of an authority that the system trusts.
        Roots::Unset if ssl_mode == SslMode::VerifyCa => {
            return Err("has `sslmode=verify-ca`, which needs `connection.ssl.ca` or `sslrootcert`".to_owned());
        }
        _ => {}
    }
    let is_direct = words.get("sslnegotiation").is_some_and(|negotiation| negotiation == "direct");
    if is_direct && ssl_mode < SslMode::Require {
        return Err("has `sslnegotiation=direct`, which needs `sslmode=require`, verify-ca or verify-full".to_owned());
    }
    let mut file = |word: &str| words.remove(word).filter(|file| !file.is_empty()).map(PathBuf::from);
    let certificate = match (file("sslcert"), file("sslkey")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => return Err("must have both `sslcert` and `sslkey`, or neither".to_owned()),
    };
    let certificate = match words.remove("sslcertmode").as_deref() {
        Some("disable") => None,
        None | Some("allow") => certificate,
        Some(_) => return Err("has an `sslcertmode` that is not disable or allow".to_owned()),
    };
    let mut version = |word: &str| match words.remove(word).as_deref() {
        None | Some("") => Ok(None),
        Some("TLSv1.2") => Ok(Some("TLSv1.2")),
        Some("TLSv1.3") => Ok(Some("TLSv1.3")),
        Some(_) => Err(format!("has a `{word}` that is not TLSv1.2 or TLSv1.3")),
    };
    let versions = [version("ssl_min_protocol_version")?, version("ssl_max_protocol_version")?];
    // libpq has not compressed since version 14.
    words.remove("sslcompression");
    let sends_host = words.remove("sslsni").is_none_or(|sends| sends != "0");
    let tls = Tls { roots, certificate, key_password: words.remove("sslpassword"), sends_host, versions };
    Ok((tls, ssl_mode))
}

/// Takes or translates the words about the session.
fn session(words: &mut Words) -> Result<(), String> {
    // The session has the name of the connector, which other parts look for.
    words.remove("application_name");
    words.remove("fallback_application_name");
    match words.remove("client_encoding").map(|name| name.to_ascii_lowercase().replace(['-', '_'], "")).as_deref() {
        None | Some("" | "auto" | "utf8" | "unicode") => {}
        Some(_) => return Err("has a `client_encoding` that is not UTF8".to_owned()),
    }
    match words.remove("gssencmode").as_deref() {
        None | Some("" | "disable" | "prefer") => {}
        Some(_) => return Err("has a `gssencmode` that is not disable or prefer".to_owned()),
    }
    match words.remove("target_session_attrs").as_deref() {
        None | Some("" | "any") => {}
        Some("read-write" | "primary") => {
            words.insert("target_session_attrs".to_owned(), "read-write".to_owned());
        }
        Some(_) => {
            let reason = "asks for a server that the sink cannot write to: `target_session_attrs` can be any, \
                          primary or read-write";
            return Err(reason.to_owned());
        }
    }
    if let Some(count) = words.remove("keepalives_count") {
        words.insert("keepalives_retries".to_owned(), count);
    }
    // libpq counts milliseconds, the client library seconds.
    let unacknowledged = words.remove("tcp_user_timeout").and_then(|limit| limit.parse::<u64>().ok());
    let unacknowledged = unacknowledged.map_or_else(|| NETWORK_TIMEOUT.to_owned(), |ms| ms.div_ceil(1_000).to_string());
    words.insert("tcp_user_timeout".to_owned(), unacknowledged);
    for (word, value) in [("connect_timeout", CONNECT_TIMEOUT), ("keepalives_idle", NETWORK_TIMEOUT)] {
        words.entry(word.to_owned()).or_insert_with(|| value.to_owned());
    }
    Ok(())
}

fn refuse_unknown(words: &Words) -> Result<(), String> {
    let ours = ["target_session_attrs", "tcp_user_timeout"];
    let unknown: Vec<String> = words
        .keys()
        .filter(|word| !PASSED_ON.contains(&word.as_str()) && !ours.contains(&word.as_str()))
        .map(|word| format!("`{word}`"))
        .collect();
    match unknown.len() {
        0 => Ok(()),
        1 => Err(format!("has the parameter {}, which is not supported; remove it", unknown.join(", "))),
        _ => Err(format!("has the parameters {}, which are not supported; remove them", unknown.join(", "))),
    }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}
