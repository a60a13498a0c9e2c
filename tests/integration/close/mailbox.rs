//! A mail server on this machine that takes every letter.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::ARRIVAL;
use crate::stack::try_for;

/// The letters that have arrived, with their headers.
pub(crate) struct Mailbox {
    port: u16,
    letters: Arc<Mutex<Vec<String>>>,
}

impl Mailbox {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let letters = Arc::<Mutex<Vec<String>>>::default();
        let arrived = Arc::clone(&letters);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&arrived)));
            }
        });
        Self { port, letters }
    }

    /// The lines of a source that sends its letters here.
    pub(crate) fn keys(&self) -> String {
        format!(
            "notify.email = \"admin@example.com\"\nnotify.from = \"towpath@example.com\"\n\
             notify.smtp.url = \"smtp://127.0.0.1:{}\"\n",
            self.port
        )
    }

    /// Waits for the letter with this number, from 0, whose subject has this text.
    pub(crate) async fn letter(&self, number: usize, subject: &str) -> String {
        let arrived = || self.letters.lock().expect("no panic").clone();
        let letter = try_for(ARRIVAL, || async { arrived().get(number).cloned() }).await;
        let letter = letter.unwrap_or_else(|| panic!("no letter about `{subject}`: {:?}", arrived()));
        let found = letter.lines().find(|line| line.starts_with("Subject: ")).unwrap_or_default();
        assert!(found.contains(subject), "{letter}");
        letter
    }
}

async fn take(stream: TcpStream, letters: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if line.starts_with("DATA") {
            stream.write_all(b"354 go on\r\n").await?;
            let mut letter = String::new();
            while !letter.ends_with("\r\n.\r\n") {
                stream.read_line(&mut letter).await?;
            }
            letters.lock().expect("no panic").push(letter.replace("\r\n", "\n"));
        }
        stream.write_all(b"250 ok\r\n").await?;
    }
}
