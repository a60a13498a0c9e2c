//! A mail server on this machine: plain, with STARTTLS, or with TLS from the start.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// Of `localhost`, valid for a hundred years; its key is beside it.
pub(super) const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/certificate.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/key.pem");

/// A letter as it arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Letter {
    pub(super) from: String,
    pub(super) to: String,
    /// The user that sent it, if it authenticated.
    pub(super) user: Option<String>,
    /// Headers and body, with soft line breaks of quoted-printable removed.
    pub(super) text: String,
}

/// What the server refuses.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refuse {
    Nothing,
    Receiver(&'static str),
    Password,
}

#[derive(Debug)]
struct Shared {
    letters: Mutex<Vec<Letter>>,
    /// All commands of all clients, without the text of letters.
    said: Mutex<String>,
    refuse: Mutex<Refuse>,
}

pub(super) struct MailServer {
    pub(super) port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    StartTls,
    Tls,
}

impl MailServer {
    pub(super) async fn plain() -> Self {
        Self::start(Kind::Plain).await
    }

    pub(super) async fn start_tls() -> Self {
        Self::start(Kind::StartTls).await
    }

    pub(super) async fn tls() -> Self {
        Self::start(Kind::Tls).await
    }

    async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Shared { letters: Mutex::default(), said: Mutex::default(), refuse: Mutex::new(Refuse::Nothing) });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, kind, Arc::clone(&serving)));
            }
        });
        Self { port, shared }
    }

    pub(super) fn refuse(&self, refuse: Refuse) {
        *self.shared.refuse.lock().unwrap() = refuse;
    }

    pub(super) fn letters(&self) -> Vec<Letter> {
        self.shared.letters.lock().unwrap().clone()
    }

    pub(super) fn said(&self) -> String {
        self.shared.said.lock().unwrap().clone()
    }
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_file(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Errors end a connection: a client that does not trust the certificate hangs up.
async fn connection(stream: TcpStream, kind: Kind, shared: Arc<Shared>) -> std::io::Result<()> {
    match kind {
        Kind::Plain => drop(talk(stream, false, true, &shared).await?),
        Kind::Tls => drop(talk(acceptor().accept(stream).await?, false, true, &shared).await?),
        Kind::StartTls => {
            if let Some(stream) = talk(stream, true, true, &shared).await? {
                talk(acceptor().accept(stream).await?, false, false, &shared).await?;
            }
        }
    }
    Ok(())
}

/// Talks SMTP until the client quits; returns the stream after STARTTLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    start_tls: bool,
    greets: bool,
    shared: &Shared,
) -> std::io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220 mail ready\r\n").await?;
    }
    let (mut letter, mut user) = (Letter::default(), None);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        shared.said.lock().unwrap().push_str(&line);
        let command = line.trim_end();
        let refuse = *shared.refuse.lock().unwrap();
        let path = || command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" if start_tls => "250-mail\r\n250 STARTTLS\r\n",
            "EHLO" => "250-mail\r\n250 AUTH PLAIN\r\n",
            "STARTTLS" if start_tls => {
                stream.write_all(b"220 go ahead\r\n").await?;
                return Ok(Some(stream.into_inner()));
            }
            "AUTH" if matches!(refuse, Refuse::Password) => "535 5.7.8 authentication failed\r\n",
            "AUTH" => {
                user = Some(authenticated(command));
                "235 ok\r\n"
            }
            "MAIL" => {
                letter = Letter { from: path(), user: user.clone(), ..Letter::default() };
                "250 ok\r\n"
            }
            "RCPT" if matches!(refuse, Refuse::Receiver(refused) if refused == path()) => "550 5.1.1 no such user\r\n",
            "RCPT" => {
                letter.to = path();
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut text).await? == 0 {
                        return Ok(None);
                    }
                }
                letter.text = text.replace("=\r\n", "").replace("\r\n", "\n");
                shared.letters.lock().unwrap().push(std::mem::take(&mut letter));
                "250 taken\r\n"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(None);
            }
            "RSET" | "NOOP" => "250 ok\r\n",
            _ => "502 what?\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The user of `AUTH PLAIN <base64 of NUL user NUL password>`.
fn authenticated(command: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let base64 = command.rsplit(' ').next().unwrap_or_default();
    let text = String::from_utf8(STANDARD.decode(base64).unwrap_or_default()).unwrap_or_default();
    text.split('\0').nth(1).unwrap_or_default().to_owned()
}
