//! Letters over SMTP. The text is `letter`'s.

use std::{collections::HashSet, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use tokio::time::timeout;
use towpath_api::{Error, ErrorType, Result};

use super::{
    Deliver, From,
    letter::{Settings, letter},
    root,
};
use crate::{
    codes,
    config::{
        CloseConfig,
        notify::{Encryption, MailServer, mail_server},
    },
    position::Outstanding,
};

/// The time for one letter, from the connection to the acknowledgement.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The time for each answer of the mail server.
const ANSWER: Duration = Duration::from_secs(20);
/// Characters of a mail server's answer in an error.
const QUOTED: usize = 160;

/// Writes letters to the addresses of the config.
pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    host: String,
    sender: Mailbox,
    receivers: Vec<Mailbox>,
    /// Who has got the letter that is being delivered, and its id.
    delivered: (String, HashSet<String>),
    from: From,
    settings: Settings,
}

impl Mail {
    /// `None` if the config has no address.
    ///
    /// # Errors
    /// Fatal if `notify.smtp.ca` cannot be read.
    pub(super) fn new(config: &CloseConfig, from: &From) -> Result<Option<Self>> {
        let (false, Some(sender), Some(url)) =
            (config.notify_email.is_empty(), &config.notify_from, &config.notify_smtp_url)
        else {
            return Ok(None);
        };
        Self::by(mail_server(url).map_err(failed_preparing)?, config, sender, from).map(Some)
    }

    /// Letters by this mail server.
    pub(super) fn by(server: MailServer, config: &CloseConfig, sender: &str, from: &From) -> Result<Self> {
        let failed = failed_preparing;
        let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| failed(error.to_string()));
        let tls = || -> Result<TlsParameters> {
            let mut parameters = TlsParameters::builder(server.host.clone());
            if let Some(path) = &config.notify_smtp_ca {
                let unreadable = |reason: String| failed(format!("the file `{}` {reason}", path.display()));
                let pem = std::fs::read(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
                let certificate = Certificate::from_pem(&pem).map_err(|error| unreadable(error.to_string()))?;
                parameters = parameters.add_root_certificate(certificate);
            }
            parameters.build().map_err(|error| failed(error.to_string()))
        };
        let encryption = match server.encryption {
            Encryption::Tls => Tls::Wrapper(tls()?),
            Encryption::StartTls => Tls::Required(tls()?),
            Encryption::None => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.as_str())
            .port(server.port)
            .tls(encryption)
            .timeout(Some(ANSWER));
        if let (Some(user), Some(password)) = (server.user, &config.notify_smtp_password) {
            transport = transport.credentials(Credentials::new(user, password.reveal().to_owned()));
        }
        Ok(Self {
            transport: transport.build(),
            host: server.host,
            sender: mailbox(sender)?,
            receivers: config.notify_email.iter().map(|text| mailbox(text)).collect::<Result<_>>()?,
            delivered: Default::default(),
            from: from.clone(),
            settings: Settings::of(config),
        })
    }

    fn message(&self, to: &Mailbox, id: &str, subject: &str, body: &str) -> Result<Message> {
        let unusable = |error: lettre::error::Error| {
            Error::fatal(codes::NOTICE_EMAIL, ErrorType::Internal, "write a letter").because(error)
        };
        // The same for each attempt, so that a mail system can drop a repeated letter.
        let message_id = format!("<{id}.{}@towpath.invalid>", self.from.organization);
        Message::builder()
            .from(self.sender.clone())
            .to(to.clone())
            .subject(subject)
            .message_id(Some(message_id))
            .header(ContentType::TEXT_PLAIN)
            .raw_header(automatic())
            .body(body.to_owned())
            .map_err(unusable)
    }

    async fn send(&self, message: Message) -> Result<()> {
        let doing = || format!("send a letter by the mail server {}", self.host);
        match timeout(TIMEOUT, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(&error, doing())),
            Err(_) => Err(Error::retry(codes::NOTICE_EMAIL, ErrorType::Timeout, doing()).because("it does not answer")),
        }
    }
}

/// Tells mail systems that nobody waits for an answer (RFC 3834).
fn automatic() -> lettre::message::header::HeaderValue {
    let name = lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted");
    lettre::message::header::HeaderValue::new(name, "auto-generated".to_owned())
}

fn failed_preparing(reason: String) -> Error {
    let doing = "prepare letters to `notify.email`";
    Error::fatal(codes::NOTICE_EMAIL, ErrorType::Config, doing).because(reason)
}

fn failure(error: &lettre::transport::smtp::Error, doing: String) -> Error {
    // The server's answer: one line of it, without control characters.
    let cause: String = root(error).chars().filter(|c| !c.is_control()).take(QUOTED).collect();
    let status = error.status().map(u16::from);
    let cause = status.map_or_else(|| cause.clone(), |status| format!("{status} {cause}"));
    if error.is_permanent() {
        let error_type = if matches!(status, Some(530 | 534 | 535)) { ErrorType::Auth } else { ErrorType::BadRequest };
        let help = if error_type == ErrorType::Auth {
            "check the user of `notify.smtp.url` and `notify.smtp.password`"
        } else {
            "check `notify.email` and `notify.from` with the mail server"
        };
        return Error::fatal(codes::NOTICE_EMAIL, error_type, doing).because(cause).with_help(help);
    }
    if error.is_tls() || fails_handshake(error) {
        let help = "check the certificate of the mail server, and `notify.smtp.ca` if its authority is your own";
        return Error::fatal(codes::NOTICE_EMAIL, ErrorType::Config, doing).because(cause).with_help(help);
    }
    let error_type = if error.is_timeout() { ErrorType::Timeout } else { ErrorType::Unavailable };
    Error::retry(codes::NOTICE_EMAIL, error_type, doing).because(cause)
}

/// True if TLS found the fault, such as a certificate that is not trusted: an outage has other kinds.
fn fails_handshake(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let input = error.downcast_ref::<std::io::Error>();
        if input.is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData) {
            return true;
        }
        next = error.source();
    }
    false
}

impl Deliver for Mail {
    /// One letter for each address: an address that is refused keeps no other from its letter.
    async fn deliver(&mut self, notice: &Outstanding) -> Result<()> {
        let id = notice.id();
        if self.delivered.0 != id {
            self.delivered = (id.clone(), HashSet::new());
        }
        let (subject, body) = letter(&notice.notice, &self.from, &self.settings);
        let mut failed = None;
        for receiver in self.receivers.clone() {
            let address = receiver.email.to_string();
            if self.delivered.1.contains(&address) {
                continue;
            }
            let message = self.message(&receiver, &id, &subject, &body)?;
            match self.send(message).await {
                Ok(()) => drop(self.delivered.1.insert(address)),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
