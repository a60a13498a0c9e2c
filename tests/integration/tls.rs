//! TLS to Postgres: each `sslmode` does what it does in libpq, with certificates as people make them.

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{X509, X509Builder, X509NameBuilder, extension::BasicConstraints},
};
use tokio_postgres::Client;
use towpath_api::{OpenSink as _, Reaction};

use crate::{
    laboratory::Laboratory,
    stack::{env, eventually, rows},
};

/// A certificate with its key.
struct Identity {
    certificate: X509,
    key: PKey<Private>,
}

impl Identity {
    /// As `openssl req -x509 -subj /CN=…` makes it: its own authority, without alternative names.
    fn self_signed(name: &str) -> Self {
        Self::new(name, None)
    }

    /// As in the manual of Postgres: signed by an authority, in version 1, without any extension.
    fn signed_by(name: &str, authority: &Self) -> Self {
        Self::new(name, Some(authority))
    }

    fn new(common_name: &str, authority: Option<&Self>) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", common_name).unwrap();
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(if authority.is_some() { 0 } else { 2 }).unwrap();
        builder.set_serial_number(&BigNum::from_u32(rand::random()).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(authority.map_or(&name, |by| by.certificate.subject_name())).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
        builder.set_pubkey(&key).unwrap();
        if authority.is_none() {
            builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        }
        builder.sign(authority.map_or(&key, |by| &by.key), MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }
}

/// The server of the stack with TLS, until this is dropped.
struct Secured {
    client: Client,
}

impl Secured {
    /// Makes the server use this certificate.
    async fn with(client: Client, identity: &Identity) -> Self {
        let key = identity.key.private_key_to_pem_pkcs8().unwrap();
        for (file, pem) in [("test.crt", identity.pem()), ("test.key", key)] {
            let pem = String::from_utf8(pem).unwrap();
            let write = format!(
                "COPY (SELECT regexp_split_to_table('{}', '\n')) TO PROGRAM 'umask 077; rm -f {file}; cat > {file}'",
                pem.trim_end()
            );
            client.batch_execute(&write).await.unwrap();
        }
        for setting in ["ssl_cert_file = 'test.crt'", "ssl_key_file = 'test.key'", "ssl = on"] {
            client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
        }
        let secured = Self { client };
        secured.reload("on").await;
        secured
    }

    async fn reload(&self, ssl: &str) {
        self.client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        eventually("the server has read its settings", || async {
            (rows(&self.client, "SHOW ssl").await == [ssl]).then_some(())
        })
        .await;
    }

    /// Turns TLS off.
    async fn end(self) -> Client {
        for setting in ["ssl", "ssl_cert_file", "ssl_key_file"] {
            self.client.batch_execute(&format!("ALTER SYSTEM RESET {setting}")).await.unwrap();
        }
        self.reload("off").await;
        self.client
    }
}

/// The database of the stack with these parameters.
fn url(more: &str) -> String {
    let url = env("DATABASE_URL").replace("localhost", "127.0.0.1");
    format!("{}?{more}", url.split('?').next().unwrap_or_default())
}

/// Connects, and returns whether the connection has TLS, or the code of the error and its text.
async fn connect(lab: &Laboratory, url: &str, more: &[(&str, &str)]) -> Result<bool, (&'static str, String)> {
    match lab.opener_at(url, "test", more).open().await {
        Ok(_sink) => {
            let sql = "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                       WHERE a.application_name = 'towpath/$' ORDER BY a.backend_start DESC LIMIT 1";
            Ok(lab.ask(sql).await == ["t"])
        }
        Err(error) => {
            assert_eq!(error.reaction, Reaction::Fatal, "waiting would not help: {}", error.chain());
            Err((error.code, format!("{} {}", error.chain(), error.help().unwrap_or_default())))
        }
    }
}

#[tokio::test]
async fn each_sslmode_accepts_what_libpq_accepts() {
    let lab = Laboratory::new("tls").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, identity: &Identity| {
        let path = folder.path().join(name);
        std::fs::write(&path, identity.pem()).unwrap();
        path.display().to_string()
    };
    let server = Identity::self_signed("127.0.0.1");
    let (trusted, other) = (file("server.pem", &server), file("other.pem", &Identity::self_signed("127.0.0.1")));
    let none = crate::stack::database().await;
    assert_eq!(connect(&lab, &url(""), &[]).await, Ok(false), "a server without TLS");
    let (code, text) = connect(&lab, &url("sslmode=require"), &[]).await.unwrap_err();
    assert!(code == "postgres.tls" && text.contains("does not offer TLS"), "{text}");

    let secured = Secured::with(none, &server).await;
    for (more, is_secure) in [
        ("", true),
        ("sslmode=disable", false),
        ("sslmode=allow", false),
        ("sslmode=prefer", true),
        ("sslmode=require", true),
        ("sslmode=require&channel_binding=require", true),
        (&format!("sslmode=require&sslrootcert={trusted}"), true),
        (&format!("sslmode=verify-ca&sslrootcert={trusted}"), true),
        (&format!("sslmode=verify-full&sslrootcert={trusted}"), true),
        // Without TLS after all, as psql does.
        (&format!("sslrootcert={other}"), false),
    ] {
        assert_eq!(connect(&lab, &url(more), &[]).await, Ok(is_secure), "{more}");
    }
    assert_eq!(connect(&lab, &url(""), &[("connection.ssl.ca", &trusted)]).await, Ok(true));
    let jdbc = format!("jdbc:postgresql://{}", url("").rsplit_once('@').unwrap().1);
    let (user, password) = credentials();
    let keys = [("connection.user", user.as_str()), ("connection.password", password.as_str())];
    assert_eq!(connect(&lab, &format!("{jdbc}sslmode=require"), &keys).await, Ok(true));

    for (more, keys) in [
        ("sslmode=verify-full".to_owned(), vec![]),
        (format!("sslmode=verify-full&sslrootcert={other}"), vec![]),
        (format!("sslmode=verify-ca&sslrootcert={other}"), vec![]),
        (format!("sslmode=require&sslrootcert={other}"), vec![]),
        (String::new(), vec![("connection.ssl.ca", other.as_str())]),
    ] {
        let (code, text) = connect(&lab, &url(&more), &keys).await.unwrap_err();
        assert!(code == "postgres.tls" && text.contains("`connection.ssl.ca`"), "{more}: {text}");
    }

    let named = Identity::self_signed("db");
    let by_name = file("named.pem", &named);
    let secured = Secured::with(secured.end().await, &named).await;
    let (code, text) =
        connect(&lab, &url(&format!("sslmode=verify-full&sslrootcert={by_name}")), &[]).await.unwrap_err();
    assert!(code == "postgres.tls" && text.contains("host"), "{text}");
    let of_authority = format!("sslmode=verify-ca&sslrootcert={by_name}");
    assert_eq!(connect(&lab, &url(&of_authority), &[]).await, Ok(true), "whatever its name");

    let authority = Identity::self_signed("our own authority");
    let root = file("root.pem", &authority);
    let secured = Secured::with(secured.end().await, &Identity::signed_by("127.0.0.1", &authority)).await;
    assert_eq!(connect(&lab, &url(&format!("sslmode=verify-full&sslrootcert={root}")), &[]).await, Ok(true));
    secured.end().await;
}

/// User and password of the database of the stack.
fn credentials() -> (String, String) {
    let url = env("DATABASE_URL");
    let (_, rest) = url.split_once("://").unwrap();
    let (user, password) = rest.split_once('@').unwrap().0.split_once(':').unwrap();
    (user.to_owned(), password.to_owned())
}
