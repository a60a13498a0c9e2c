//! A TCP proxy in front of Postgres that makes the network fail at the worst moment.
//!
//! It parses a small part of the protocol: a message is a type, a length and a body; COMMIT is a simple query that ends
//! with it; a transaction is a batch of the sink if its compare-and-set has answered `UPDATE 1`, which no claim does.
//! Everything else passes as bytes. Connections must use `sslmode=disable`.

use std::{
    io::{Error, ErrorKind, Result},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, sink},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use crate::stack::env;

/// The progress of a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// The client has sent it; the server has received nothing.
    BeforeServer,
    /// The server has received it; its answer has not reached the proxy.
    AtServer,
    /// The proxy has the answer; the client has received nothing.
    BeforeClient,
    /// The client has the answer.
    AtClient,
}

/// The action of the network at a [`Moment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// The connection ends on both sides. The server still processes all bytes that it has received.
    Cut,
    /// Nothing passes on this connection until [`Proxy::release`].
    Stall,
    Delay(Duration),
}

/// A direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// Decides at each moment of each COMMIT; the second argument is true for a batch.
type Script = Box<dyn FnMut(Moment, bool) -> Fault + Send>;

/// A change to the next simple query that begins with a text.
enum Tampering {
    /// The server gets this query instead.
    Replace(&'static str),
    /// The server gets this query before it; the client does not get the answer.
    Precede(&'static str),
}

struct Plan {
    script: Mutex<Script>,
    tampering: Mutex<Option<(&'static str, Tampering)>>,
    /// Bytes that passed since the last [`Proxy::cut_after`], by direction.
    passed: [AtomicU64; 2],
    /// The number of bytes that may pass before the cut.
    allowed: [AtomicU64; 2],
    released: watch::Sender<u64>,
    /// True while packets vanish in both directions. See [`Proxy::swallow`].
    swallows: watch::Sender<bool>,
    /// Connections that were opened meanwhile.
    silenced: AtomicU64,
}

/// The proxy, which runs until the end of the test.
pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

impl Proxy {
    /// A proxy to the database of this run that passes everything.
    pub(crate) async fn start() -> Self {
        let target = target();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let unlimited = || [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)];
        let plan = Arc::new(Plan {
            script: Mutex::new(Box::new(|_, _| Fault::Nothing)),
            tampering: Mutex::new(None),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            allowed: unlimited(),
            released: watch::Sender::new(0),
            swallows: watch::Sender::new(false),
            silenced: AtomicU64::new(0),
        });
        let shared = Arc::clone(&plan);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                // The kernel has accepted the connection; nothing else answers.
                if *shared.swallows.borrow() {
                    shared.silenced.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        let _client = client;
                        shared.passes_again().await;
                    });
                    continue;
                }
                // An unreachable server is a connection that ends.
                if let Ok(server) = TcpStream::connect(&target).await {
                    tokio::spawn(connection(client, server, shared));
                }
            }
        });
        Self { port, plan }
    }

    /// `connection.url` through the proxy.
    pub(crate) fn url(&self) -> String {
        format!("{}?sslmode=disable", env("DATABASE_URL").replace(&target(), &format!("127.0.0.1:{}", self.port)))
    }

    /// Sets the rule for the next commits.
    pub(crate) fn script(&self, script: impl FnMut(Moment, bool) -> Fault + Send + 'static) {
        *self.plan.script.lock().unwrap() = Box::new(script);
    }

    /// Cuts or stalls the next COMMIT of a batch at one moment, once.
    pub(crate) fn next_commit(&self, moment: Moment, fault: Fault) {
        let mut armed = true;
        self.script(move |now, is_batch| {
            let hits = armed && is_batch && now == moment;
            armed &= !hits;
            if hits { fault } else { Fault::Nothing }
        });
    }

    /// Replaces the next simple query that begins with `start`, once.
    pub(crate) fn replace_next(&self, start: &'static str, query: &'static str) {
        *self.plan.tampering.lock().unwrap() = Some((start, Tampering::Replace(query)));
    }

    /// Sends another query before the next simple query that begins with `start`, once.
    pub(crate) fn precede_next(&self, start: &'static str, query: &'static str) {
        *self.plan.tampering.lock().unwrap() = Some((start, Tampering::Precede(query)));
    }

    /// Returns true if the query of [`Proxy::replace_next`] or [`Proxy::precede_next`] was sent.
    pub(crate) fn has_tampered(&self) -> bool {
        self.plan.tampering.lock().unwrap().is_none()
    }

    /// Cuts the connection after this number of bytes in one direction; the rest of the message does not pass.
    pub(crate) fn cut_after(&self, way: Way, bytes: u64) {
        self.pass_all();
        self.plan.allowed[way as usize].store(bytes, Ordering::SeqCst);
    }

    /// Ends [`Proxy::cut_after`], and resets the counts to 0.
    pub(crate) fn pass_all(&self) {
        for way in [Way::ToServer, Way::ToClient] {
            self.plan.allowed[way as usize].store(u64::MAX, Ordering::SeqCst);
            self.plan.passed[way as usize].store(0, Ordering::SeqCst);
        }
    }

    /// Bytes since [`Proxy::pass_all`] or [`Proxy::cut_after`].
    pub(crate) fn passed(&self, way: Way) -> u64 {
        self.plan.passed[way as usize].load(Ordering::SeqCst)
    }

    /// Lets nothing pass any more in either direction, and closes nothing: open connections and new ones stay silent,
    /// as behind a firewall that drops packets. False ends it, and cuts those connections: what was swallowed is lost.
    #[cfg(feature = "failpoints")]
    pub(crate) fn swallow(&self, swallows: bool) {
        self.plan.swallows.send_replace(swallows);
    }

    /// Connections that were opened while packets vanished.
    #[cfg(feature = "failpoints")]
    pub(crate) fn silenced(&self) -> u64 {
        self.plan.silenced.load(Ordering::SeqCst)
    }

    /// Releases stalled connections.
    pub(crate) fn release(&self) {
        self.plan.released.send_modify(|times| *times += 1);
    }
}

/// `host:port` of the database.
fn target() -> String {
    let url = env("DATABASE_URL");
    let rest = url.rsplit_once('@').map_or(url.as_str(), |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// Whether the open transaction is a batch, and whether a COMMIT is in flight.
#[derive(Default)]
struct Talk {
    is_batch: AtomicBool,
    commits: AtomicBool,
    /// The answers up to the next one that ends a query are not for the client.
    hides: AtomicBool,
    /// Held until the action at [`Moment::AtServer`] is decided: the answer waits for it.
    undecided: tokio::sync::Mutex<()>,
}

async fn connection(client: TcpStream, server: TcpStream, plan: Arc<Plan>) {
    // Small messages are sent at once; otherwise each would wait for the acknowledgement of the previous one.
    for side in [&client, &server] {
        let _ = side.set_nodelay(true);
    }
    let (client_read, client_write) = client.into_split();
    let (server_read, mut server_write) = server.into_split();
    let talk = Talk::default();
    let mut from_server = BufReader::new(server_read);
    {
        let upwards = upwards(BufReader::new(client_read), &mut server_write, &talk, &plan);
        let downwards = downwards(&mut from_server, client_write, &talk, &plan);
        // The first to end also ends the connection; the client's halves are closed here.
        tokio::select! {
            _ = upwards => {}
            _ = downwards => {}
        }
    }
    // The server gets an orderly end, so that it first processes the bytes that it has received.
    let _ = server_write.shutdown().await;
    let _ = copy(&mut from_server, &mut sink()).await;
}

async fn upwards(mut from: BufReader<OwnedReadHalf>, to: &mut OwnedWriteHalf, talk: &Talk, plan: &Plan) -> Result<()> {
    // The first message does not have a type.
    let length = from.read_u32().await?;
    let mut first = length.to_be_bytes().to_vec();
    read_body(&mut from, length, &mut first).await?;
    plan.pass(to, &first, Way::ToServer).await?;
    loop {
        let mut message = message(&mut from).await?;
        match plan.tampering(&message) {
            Some(Tampering::Replace(other)) => message = query(other),
            Some(Tampering::Precede(other)) => {
                talk.hides.store(true, Ordering::SeqCst);
                to.write_all(&query(other)).await?;
            }
            None => {}
        }
        let commits = message[0] == b'Q' && message.ends_with(b"COMMIT\0");
        if !commits {
            plan.pass(to, &message, Way::ToServer).await?;
            continue;
        }
        plan.happens(Moment::BeforeServer, talk).await?;
        talk.commits.store(true, Ordering::SeqCst);
        let _undecided = talk.undecided.lock().await;
        plan.pass(to, &message, Way::ToServer).await?;
        plan.happens(Moment::AtServer, talk).await?;
    }
}

async fn downwards(
    from: &mut BufReader<OwnedReadHalf>,
    mut to: OwnedWriteHalf,
    talk: &Talk,
    plan: &Plan,
) -> Result<()> {
    loop {
        let message = message(from).await?;
        if talk.hides.load(Ordering::SeqCst) {
            talk.hides.store(message[0] != b'Z', Ordering::SeqCst);
            continue;
        }
        // The first statement of a batch; the first statement of a claim is a SELECT.
        if message[0] == b'C' && message[5..] == *b"UPDATE 1\0" {
            talk.is_batch.store(true, Ordering::SeqCst);
        }
        let ends = message[0] == b'Z' && talk.commits.swap(false, Ordering::SeqCst);
        let answers = message[0] == b'C' && message[5..] == *b"COMMIT\0";
        if answers {
            drop(talk.undecided.lock().await);
            plan.happens(Moment::BeforeClient, talk).await?;
        }
        plan.pass(&mut to, &message, Way::ToClient).await?;
        if ends {
            plan.happens(Moment::AtClient, talk).await?;
        }
        // Ready for a query, outside a transaction.
        if message[0] == b'Z' && message[5..] == *b"I" {
            talk.is_batch.store(false, Ordering::SeqCst);
        }
    }
}

impl Plan {
    fn tampering(&self, message: &[u8]) -> Option<Tampering> {
        let mut tampering = self.tampering.lock().unwrap();
        let (_, tampering) =
            tampering.take_if(|(start, _)| message[0] == b'Q' && message[5..].starts_with(start.as_bytes()))?;
        Some(tampering)
    }

    async fn happens(&self, moment: Moment, talk: &Talk) -> Result<()> {
        let fault = (self.script.lock().unwrap())(moment, talk.is_batch.load(Ordering::SeqCst));
        match fault {
            Fault::Nothing => Ok(()),
            Fault::Cut => Err(Error::from(ErrorKind::ConnectionAborted)),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Fault::Stall => {
                let mut released = self.released.subscribe();
                let _ = released.changed().await;
                Ok(())
            }
        }
    }

    /// Waits until packets no longer vanish.
    async fn passes_again(&self) {
        let _ = self.swallows.subscribe().wait_for(|swallows| !swallows).await;
    }

    /// Writes a message, or the part of it that may pass before the cut.
    async fn pass(&self, to: &mut OwnedWriteHalf, message: &[u8], way: Way) -> Result<()> {
        if *self.swallows.borrow() {
            self.passes_again().await;
            return Err(Error::from(ErrorKind::ConnectionAborted));
        }
        let length = u64::try_from(message.len()).expect("a message fits into memory");
        let before = self.passed[way as usize].fetch_add(length, Ordering::SeqCst);
        let room = self.allowed[way as usize].load(Ordering::SeqCst).saturating_sub(before);
        if room >= length {
            return to.write_all(message).await;
        }
        let _ = to.write_all(&message[..usize::try_from(room).expect("less than a message")]).await;
        Err(Error::from(ErrorKind::ConnectionAborted))
    }
}

/// A simple query.
fn query(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len() + 5).expect("a short text");
    [b"Q", &length.to_be_bytes()[..], text.as_bytes(), b"\0"].concat()
}

/// The next message: type, length, body.
async fn message(from: &mut BufReader<OwnedReadHalf>) -> Result<Vec<u8>> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut message = vec![kind];
    message.extend(length.to_be_bytes());
    read_body(from, length, &mut message).await?;
    Ok(message)
}

/// Reads the body of a message whose length, including its own four bytes, is known.
async fn read_body(from: &mut BufReader<OwnedReadHalf>, length: u32, into: &mut Vec<u8>) -> Result<()> {
    let start = into.len();
    let body = usize::try_from(length).ok().and_then(|length| length.checked_sub(4)).ok_or(ErrorKind::InvalidData)?;
    into.resize(start + body, 0);
    from.read_exact(&mut into[start..]).await?;
    Ok(())
}
