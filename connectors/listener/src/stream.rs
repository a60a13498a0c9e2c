//! The socket of one connection, with a deadline for answers that the client does not read, and with answers of our own
//! for heads that hyper refuses by itself.
//!
//! The deadline counts progress, not time alone: it begins when the socket takes no more bytes, and ends when all of
//! them are taken. A client that reads a byte now and then gains nothing, because only a whole step of progress starts
//! it anew. The kernel covers what a process cannot see: a peer that vanished while its connection waits for something
//! else, and bytes that are still unsent after the end.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy, sink},
    net::TcpStream,
    time::{Sleep, sleep, timeout},
};

/// Time in which a client has to take [`STEP`] bytes of an answer, or the rest of it.
const UNREAD_DEADLINE: Duration = Duration::from_secs(10);
const STEP: usize = 16 * 1024;
/// Bytes of an answer that the kernel may hold; it doubles the number for its own needs.
const SEND_BUFFER: usize = 64 * 1024;
/// Time without an acknowledgement of sent bytes, after which the kernel gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// A silent peer is asked after this time, then at intervals.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Time for a refused client to take its answer and to end what it sends, and the bytes of it that are read. Most
/// clients read no answer before they have written all of their request.
const REFUSED_DEADLINE: Duration = Duration::from_secs(5);
const REFUSED_BYTES: u64 = 64 * 1024 * 1024;

/// What a connection has seen so far, for its stream and its server.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Requests whose head was read.
    pub(crate) requests: AtomicUsize,
    /// Requests for which the service has returned an answer.
    pub(crate) answers: AtomicUsize,
    /// Set when an answer was not read in time.
    pub(crate) unread: AtomicBool,
}

pub(crate) struct Stream {
    socket: TcpStream,
    seen: Arc<Seen>,
    /// The number of requests when all of them were answered and all answers were taken.
    settled: usize,
    /// True after an answer of hyper's own was withheld.
    withheld: bool,
    /// Running while the socket takes no bytes.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes taken since the deadline was set.
    taken: usize,
}

impl Stream {
    /// Sets the options of `socket`.
    pub(crate) fn new(socket: TcpStream, seen: Arc<Seen>) -> Self {
        // Answers are sent whole, so delaying a segment would only add latency.
        let _ = socket.set_nodelay(true);
        let options = SockRef::from(&socket);
        // A socket that does not take an option works without it; the deadlines of this process still hold.
        let _ = options.set_send_buffer_size(SEND_BUFFER);
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
        let _ = options.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        let _ = options.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self { socket, seen, settled: 0, withheld: false, deadline: None, taken: 0 }
    }

    /// Returns true if `bytes` are an answer that hyper gives by itself, to a head that it cannot read: no request is
    /// under way. Such an answer has no body, so the bytes are withheld and [`Stream::refuse`] sends a better one.
    fn withholds(&mut self, bytes: &[u8]) -> bool {
        let is_settled = self.seen.requests.load(Ordering::Relaxed) == self.settled;
        self.withheld |= is_settled && bytes.starts_with(b"HTTP/1.");
        self.withheld
    }

    /// Sends `answer` in place of the withheld one, and reads what the client still sends: a connection that is closed
    /// with bytes unread is reset, and the client might lose the answer.
    pub(crate) async fn refuse(mut self, answer: &[u8]) {
        if !self.withheld {
            return;
        }
        let socket = &mut self.socket;
        let refusing = async {
            socket.write_all(answer).await?;
            socket.shutdown().await?;
            copy(&mut socket.take(REFUSED_BYTES), &mut sink()).await
        };
        let _ = timeout(REFUSED_DEADLINE, refusing).await;
    }

    /// Passes the result of a write on; a write that waits fails when the deadline passes.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.taken += written.as_ref().map_or(0, |bytes| *bytes);
            if self.taken >= STEP {
                self.deadline = None;
            }
            return Poll::Ready(written);
        }
        if self.deadline.is_none() {
            self.taken = 0;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(UNREAD_DEADLINE)));
        ready!(deadline.as_mut().poll(cx));
        self.seen.unread.store(true, Ordering::Relaxed);
        // The unsent bytes are dropped with the socket instead of waiting in the kernel for the client.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answers")))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.withholds(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.withholds(bytes.first().map_or(&[], |bytes| bytes)) {
            return Poll::Ready(Ok(bytes.iter().map(|bytes| bytes.len()).sum()));
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Called after the last byte of an answer was taken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.deadline = None;
        let requests = self.seen.requests.load(Ordering::Relaxed);
        if self.seen.answers.load(Ordering::Relaxed) == requests {
            self.settled = requests;
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.withheld {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
