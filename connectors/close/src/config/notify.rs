//! The keys `notify.*`, checked and read. Nothing here connects.

use lettre::message::Mailbox;
use reqwest::Url;
use towpath_keys::{Problems, Secret};

use super::CloseConfig;
use crate::address::{host, http_url, is_loopback, is_unencrypted};

/// The least length of a secret that signs posts, in bytes, as of Standard Webhooks.
const SECRET_MIN: usize = 24;
const SECRET_MAX: usize = 64;

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
    pub(crate) user: Option<String>,
}

/// The way in which a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// From the start: `smtps`.
    Tls,
    /// By STARTTLS, without which nothing is sent: `smtp`.
    StartTls,
    /// Not at all: `smtp` to this machine.
    None,
}

/// Reports what is wrong with the keys.
pub(super) fn check(config: &CloseConfig, problems: &mut Problems) {
    match (&config.notify_webhook_url, &config.notify_webhook_secret) {
        (Some(url), secret) => {
            match http_url(url) {
                Ok(url) if is_unencrypted(&url) => {
                    problems.warn("notify.webhook.url", "posts to another host go unencrypted: use https");
                }
                Ok(_) => {}
                Err(reason) => problems.invalid("notify.webhook.url", reason),
            }
            match secret {
                None => problems.missing("notify.webhook.secret", "required, because `notify.webhook.url` is given"),
                Some(secret) => {
                    if let Err(reason) = signing_key(secret) {
                        problems.invalid("notify.webhook.secret", reason);
                    }
                }
            }
        }
        (None, Some(_)) => problems.invalid("notify.webhook.secret", "given, but `notify.webhook.url` is not"),
        (None, None) => {}
    }
    for address in &config.notify_email {
        if address.parse::<Mailbox>().is_err() {
            problems.invalid("notify.email", format!("must be e-mail addresses, and `{address}` is not one"));
        }
    }
    if !config.notify_email.is_empty() {
        if config.notify_from.is_none() {
            problems.missing("notify.from", "required, because `notify.email` is given");
        }
        if config.notify_smtp_url.is_none() {
            problems.missing("notify.smtp.url", "required, because `notify.email` is given");
        }
    }
    if config.notify_from.as_ref().is_some_and(|from| from.parse::<Mailbox>().is_err()) {
        problems.invalid("notify.from", "must be an e-mail address such as `Towpath <towpath@example.com>`");
    }
    match config.notify_smtp_url.as_deref().map(mail_server) {
        Some(Err(reason)) => problems.invalid("notify.smtp.url", reason),
        Some(Ok(server)) if server.user.is_none() && config.notify_smtp_password.is_some() => {
            problems.invalid("notify.smtp.password", "given, but `notify.smtp.url` names no user");
        }
        Some(Ok(server)) if server.user.is_some() && config.notify_smtp_password.is_none() => {
            problems.missing("notify.smtp.password", "required, because `notify.smtp.url` names a user");
        }
        _ => {}
    }
}

/// The bytes of a secret: those in base64 after `whsec_`, or those of the text.
pub(crate) fn signing_key(secret: &Secret) -> Result<Vec<u8>, String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let key = match secret.reveal().strip_prefix("whsec_") {
        Some(base64) => {
            STANDARD.decode(base64).map_err(|_| "has something else than base64 after `whsec_`".to_owned())?
        }
        None => secret.reveal().as_bytes().to_vec(),
    };
    if key.len() < SECRET_MIN {
        return Err(format!("must have at least {SECRET_MIN} bytes"));
    }
    if secret.reveal().starts_with("whsec_") && key.len() > SECRET_MAX {
        return Err(format!("must have at most {SECRET_MAX} bytes"));
    }
    Ok(key)
}

/// The mail server of a URL.
pub(crate) fn mail_server(text: &str) -> Result<MailServer, String> {
    let url: Url = text.parse().map_err(|_| "must be a URL such as `smtps://user@mail.example.com`".to_owned())?;
    if host(&url).is_empty() {
        return Err("must name a host".to_owned());
    }
    if url.password().is_some() {
        return Err("must not contain a password: use `notify.smtp.password`".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("must have nothing after the host and the port".to_owned());
    }
    let (encryption, port) = match url.scheme() {
        "smtps" => (Encryption::Tls, 465),
        "smtp" if is_loopback(&url) => (Encryption::None, 25),
        "smtp" => (Encryption::StartTls, 587),
        _ => return Err("must begin with `smtps://` or `smtp://`".to_owned()),
    };
    let user = Some(url.username()).filter(|user| !user.is_empty()).map(decoded).transpose()?;
    Ok(MailServer { host: host(&url).to_owned(), port: url.port().unwrap_or(port), encryption, user })
}

/// A user name with its percent signs resolved: `towpath%40example.com`.
fn decoded(user: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(user.len());
    let mut rest = user.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("has a percent sign without two hex digits in its user".to_owned());
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
    }
    String::from_utf8(bytes).map_err(|_| "has a user that is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, read};

    use super::*;

    #[test]
    fn a_mail_server_is_encrypted_unless_it_is_this_machine() {
        let server = |url| mail_server(url).map(|server| (server.host, server.port, server.encryption, server.user));
        let user = Some("towpath@example.com".to_owned());
        let tls = ("mail.example.com".to_owned(), 465, Encryption::Tls, user);
        assert_eq!(server("smtps://towpath%40example.com@mail.example.com"), Ok(tls));
        let start = ("mail.example.com".to_owned(), 2525, Encryption::StartTls, None);
        assert_eq!(server("smtp://mail.example.com:2525"), Ok(start));
        for local in ["smtp://127.0.0.1", "smtp://localhost/", "smtp://[::1]"] {
            assert_eq!(mail_server(local).unwrap().encryption, Encryption::None, "{local}");
        }
        for wrong in ["mail.example.com", "smtp://", "http://h", "smtps://u:canary@h", "smtps://h/inbox", "smtp://%f@h"]
        {
            assert!(mail_server(wrong).unwrap_err().starts_with("must") || wrong.contains("%f"), "{wrong}");
        }
    }

    #[test]
    fn a_signing_secret_has_enough_bytes() {
        let key = |secret: &str| signing_key(&Secret::new(secret));
        assert_eq!(key("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3").unwrap(), b"0123456789abcdef01234567");
        assert_eq!(key("0123456789abcdef01234567").unwrap(), b"0123456789abcdef01234567");
        for short in ["secret", "whsec_c2VjcmV0", "whsec_?"] {
            assert!(key(short).is_err_and(|reason| !reason.contains("c2VjcmV0")), "{short}");
        }
    }

    #[test]
    fn keys_that_need_each_other_are_asked_for() {
        let problems = |keys: &[(&str, &str)]| {
            let keys = [("close.api.key", "k")].iter().chain(keys).copied();
            let problems = read::<CloseConfig>(&Flat::from_strings(keys)).err().unwrap_or_default();
            problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(problems(&[("notify.email", "a@example.com")]), ["notify.from", "notify.smtp.url"]);
        assert_eq!(problems(&[("notify.webhook.url", "https://h")]), ["notify.webhook.secret"]);
        assert_eq!(problems(&[("notify.webhook.secret", "0123456789abcdef01234567")]), ["notify.webhook.secret"]);
        assert_eq!(problems(&[("notify.smtp.url", "smtps://u@h")]), ["notify.smtp.password"]);
        assert_eq!(
            problems(&[("notify.smtp.url", "smtps://h"), ("notify.smtp.password", "p")]),
            ["notify.smtp.password"]
        );
        assert_eq!(problems(&[("notify.email", "nobody")]), ["notify.email", "notify.from", "notify.smtp.url"]);
        let all = [("notify.email", "a@example.com, B <b@example.com>"), ("notify.from", "Towpath <t@example.com>")];
        let more = [("notify.smtp.url", "smtps://u@h"), ("notify.smtp.password", "p")];
        assert_eq!(problems(&[all, more].concat()), [""; 0]);
    }
}
