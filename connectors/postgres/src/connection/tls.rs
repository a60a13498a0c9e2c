//! TLS as libpq has it: the same library (OpenSSL), and the same rules about which certificate is accepted.
//!
//! So a self-signed certificate is trusted if it is in the file of trusted certificates, whatever its extensions, and a
//! certificate without alternative names is matched by its common name.

use std::{error::Error as StdError, fs, net::IpAddr, path::Path};

use openssl::{
    error::ErrorStack,
    nid::Nid,
    pkey::{PKey, Private},
    ssl::{self, ConnectConfiguration, SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode, SslVersion},
    x509::{X509, X509Ref, X509VerifyResult, store::X509StoreBuilder},
};
use postgres_openssl::{MakeTlsConnector, set_postgresql_alpn};
use tokio_postgres::Error as PgError;
use towpath_api::{Error, ErrorType, Result};

use super::target::{Roots, SslMode, Tls};
use crate::codes;

/// `X509_V_ERR_IP_ADDRESS_MISMATCH` of OpenSSL.
const ADDRESS_MISMATCH: i32 = 64;

/// Makes connections with TLS.
///
/// # Errors
/// Fatal if a file cannot be used.
pub(super) fn connector(tls: &Tls, ssl_mode: SslMode) -> Result<MakeTlsConnector> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(unusable)?;
    trust(&mut builder, &tls.roots)?;
    let checks = ssl_mode >= SslMode::VerifyCa || tls.roots != Roots::Unset;
    builder.set_verify(if checks { SslVerifyMode::PEER } else { SslVerifyMode::NONE });
    if let Some((certificate, key)) = &tls.certificate {
        identify(&mut builder, certificate, key, tls.key_password.as_deref())?;
    }
    let [min, max] = tls.versions.map(|version| version.map(number));
    builder.set_min_proto_version(min.or(Some(SslVersion::TLS1_2))).map_err(unusable)?;
    builder.set_max_proto_version(max).map_err(unusable)?;
    set_postgresql_alpn(&mut builder).map_err(unusable)?;
    let mut connector = MakeTlsConnector::new(builder.build());
    let (sends_host, names_host) = (tls.sends_host, ssl_mode == SslMode::VerifyFull);
    connector.set_callback(move |connection, host| {
        connection.set_use_server_name_indication(sends_host);
        connection.set_verify_hostname(names_host);
        if names_host && host.parse::<IpAddr>().is_ok() {
            accept_named_address(connection, host.to_owned());
        }
        Ok(())
    });
    Ok(connector)
}

fn number(version: &str) -> SslVersion {
    if version == "TLSv1.3" { SslVersion::TLS1_3 } else { SslVersion::TLS1_2 }
}

/// The builder trusts the certificates of the system; these are others.
fn trust(builder: &mut SslConnectorBuilder, roots: &Roots) -> Result<()> {
    let (Roots::File(path) | Roots::FileAndSystem(path)) = roots else { return Ok(()) };
    let certificates = X509::stack_from_pem(&read(path, "certificates")?);
    let certificates = certificates.map_err(|error| unreadable(path, "certificates").because(error))?;
    if certificates.is_empty() {
        return Err(unreadable(path, "certificates"));
    }
    let mut store = X509StoreBuilder::new().map_err(unusable)?;
    if matches!(roots, Roots::FileAndSystem(_)) {
        store.set_default_paths().map_err(unusable)?;
    }
    certificates.into_iter().try_for_each(|certificate| store.add_cert(certificate)).map_err(unusable)?;
    builder.set_cert_store(store.build());
    Ok(())
}

/// Sets our own certificate and its key.
fn identify(builder: &mut SslConnectorBuilder, certificate: &Path, key: &Path, password: Option<&str>) -> Result<()> {
    builder
        .set_certificate_chain_file(certificate)
        .map_err(|error| unreadable(certificate, "a certificate").because(error))?;
    let bytes = read(key, "a key")?;
    let key_of = private_key(&bytes, password).map_err(|error| unreadable(key, "a key").because(error))?;
    builder.set_private_key(&key_of).map_err(|error| unreadable(key, "the key of `sslcert`").because(error))
}

/// The key in a file: PEM, or DER as the JDBC driver has it. Without a password none is asked for.
fn private_key(bytes: &[u8], password: Option<&str>) -> Result<PKey<Private>, ErrorStack> {
    let password = password.unwrap_or_default().as_bytes();
    if bytes.starts_with(b"-----BEGIN") {
        return PKey::private_key_from_pem_passphrase(bytes, password);
    }
    PKey::private_key_from_der(bytes).or_else(|_| PKey::private_key_from_pkcs8_passphrase(bytes, password))
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, what).because(error))
}

fn unreadable(path: &Path, what: &str) -> Error {
    Error::fatal(codes::TLS, ErrorType::Config, format!("read {what} from {}", path.display()))
        .with_help("correct `connection.ssl.ca`, or `sslrootcert`, `sslcert`, `sslkey` and `sslpassword` of the URL")
}

fn unusable(error: ErrorStack) -> Error {
    Error::fatal(codes::TLS, ErrorType::Config, "set up TLS").because(error)
}

/// OpenSSL compares an address with the addresses in the certificate only. libpq also takes it for a name.
fn accept_named_address(connection: &mut ConnectConfiguration, host: String) {
    connection.set_verify_callback(SslVerifyMode::PEER, move |is_right, context| {
        let is_named = !is_right
            && context.error().as_raw() == ADDRESS_MISMATCH
            && context.current_cert().is_some_and(|certificate| names(certificate, &host));
        if is_named {
            context.set_error(X509VerifyResult::OK);
        }
        is_right || is_named
    });
}

fn names(certificate: &X509Ref, host: &str) -> bool {
    match certificate.subject_alt_names() {
        Some(names) => names.iter().any(|name| name.dnsname() == Some(host)),
        None => certificate
            .subject_name()
            .entries_by_nid(Nid::COMMONNAME)
            .any(|name| name.data().to_string().is_ok_and(|name| name == host)),
    }
}

/// Returns true if the server was reached, and TLS with it failed.
pub(super) fn has_failed(error: &PgError) -> bool {
    handshake_error(error).is_some()
}

/// The error of a server whose certificate is not accepted, or that has no TLS: neither changes by waiting.
pub(super) fn refusal(doing: &str, error: PgError) -> Result<Error, PgError> {
    let lacks_tls = error.as_db_error().is_none()
        && error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS");
    let (why, help) = if lacks_tls {
        ("the server does not offer TLS, which `sslmode` requires", "turn on `ssl` in the server, or change `sslmode`")
    } else if handshake_error(&error).is_some_and(is_untrusted) {
        (
            "the certificate of the server is not accepted",
            "set `connection.ssl.ca` to the server's certificate or that of its authority, and connect to a host that \
             the certificate names; `sslmode=require` in the URL accepts any certificate, and `sslmode=disable` does \
             without TLS",
        )
    } else {
        return Err(error);
    };
    Ok(Error::fatal(codes::TLS, ErrorType::Config, format!("{doing}: {why}")).with_help(help).because(error))
}

fn handshake_error(error: &PgError) -> Option<&ssl::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<ssl::Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn is_untrusted(error: &ssl::Error) -> bool {
    error.ssl_error().is_some_and(|stack| {
        stack.errors().iter().any(|error| error.reason().is_some_and(|reason| reason == "certificate verify failed"))
    })
}
