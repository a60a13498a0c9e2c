//! What `connection.url` and the keys beside it mean, without a server.

use towpath_keys::{Flat, read};

use super::{
    address,
    target::{Roots, SslMode, Target},
};
use crate::config::PostgresSinkConfig;

fn target(keys: &[(&str, &str)]) -> Result<Target, String> {
    match read::<PostgresSinkConfig>(&Flat::from_strings(keys.iter().copied())) {
        Ok((config, _)) => Ok(Target::of(&config).unwrap_or_else(|reason| panic!("checked: {reason}"))),
        Err(problems) => Err(problems.iter().map(|problem| problem.message.as_str()).collect()),
    }
}

fn of_url(url: &str) -> Result<Target, String> {
    target(&[("connection.url", url)])
}

#[test]
fn every_sslmode_of_libpq_is_known() {
    for (more, mode) in [
        ("", SslMode::Prefer),
        ("?sslmode=disable", SslMode::Disable),
        ("?sslmode=allow", SslMode::Allow),
        ("?sslmode=prefer", SslMode::Prefer),
        ("?sslmode=require", SslMode::Require),
        ("?sslmode=verify-ca&sslrootcert=ca.pem", SslMode::VerifyCa),
        ("?sslmode=verify-full", SslMode::VerifyFull),
        ("?sslrootcert=system", SslMode::VerifyFull),
        ("?sslrootcert=ca.pem", SslMode::Prefer),
    ] {
        assert_eq!(of_url(&format!("postgres://db/x{more}")).map(|target| target.ssl_mode), Ok(mode), "{more}");
    }
    let by_key = target(&[("connection.url", "postgres://db/x"), ("connection.ssl.ca", "ca.pem")]).unwrap();
    assert_eq!((by_key.ssl_mode, by_key.tls.roots), (SslMode::VerifyFull, Roots::FileAndSystem("ca.pem".into())));
    let by_socket = of_url("postgres:///x?host=/run/postgresql&sslmode=require").unwrap();
    assert_eq!(by_socket.ssl_mode, SslMode::Disable, "as in libpq");
}

#[test]
fn a_parameter_that_cannot_be_followed_is_refused_by_its_name() {
    for (more, named) in [
        ("sslmode=sometimes", "verify-full"),
        ("sslmode=verify-ca", "`connection.ssl.ca`"),
        ("sslrootcert=system&sslmode=require", "`sslrootcert=system`"),
        ("sslnegotiation=direct", "`sslnegotiation=direct`"),
        ("sslcert=a.pem", "`sslkey`"),
        ("sslcrl=a.pem", "`sslcrl`"),
        ("reWriteBatchedInserts=true&prepareThreshold=0", "`prepareThreshold`, `reWriteBatchedInserts`"),
        ("target_session_attrs=standby", "`target_session_attrs`"),
        ("client_encoding=LATIN1", "`client_encoding`"),
        ("gssencmode=require", "`gssencmode`"),
        ("port=no", "`port`"),
        ("ssl_min_protocol_version=TLSv1.0", "`ssl_min_protocol_version`"),
    ] {
        let url = format!("postgres://me:canary@db/x?{more}");
        let text = of_url(&url).err().unwrap_or_else(|| panic!("{more} is accepted"));
        assert!(text.contains(named) && text.contains("connection.url") && !text.contains("canary"), "{more}: {text}");
    }
    for url in ["mysql://db/x", "db", "postgres:///x"] {
        assert!(of_url(url).is_err_and(|text| text.contains("connection.url")), "{url}");
    }
}

#[test]
fn an_address_names_every_host_with_its_port_and_no_secret() {
    for (url, expected) in [
        ("postgres://me:canary@a:1,b/x?target_session_attrs=primary", "a:1,b:5432/x"),
        ("host=a,b port=5433 dbname=x password='ca\\'nary'", "a:5433,b:5433/x"),
        ("jdbc:postgresql://db:5433/x?user=me&password=canary", "db:5433/x"),
        ("hostaddr=127.0.0.1 dbname=x", "127.0.0.1:5432/x"),
    ] {
        let target = of_url(url).unwrap_or_else(|text| panic!("{text}"));
        assert_eq!(address(&target.options), expected);
    }
}
