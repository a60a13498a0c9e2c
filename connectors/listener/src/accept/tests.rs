//! Connections of clients that send nothing, read nothing, vanish, or are many.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    address: SocketAddr,
    metrics: ListenerMetrics,
    accepting: Accepting,
}

/// Answers every request with `size` bytes; a request for `/known` is of a known client.
async fn serve_answers(limits: Limits, size: usize) -> Running {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let metrics = ListenerMetrics::default();
    let answer = Bytes::from(vec![b'a'; size]);
    let services = move |peer: Peer| {
        let answer = answer.clone();
        service_fn(move |request: Request<Incoming>| {
            if request.uri().path() == "/known" {
                peer.becomes_known();
            }
            let answer = answer.clone();
            async move { Ok::<_, Infallible>(Response::new(Full::new(answer))) }
        })
    };
    let refusal = |status| {
        let mut refusal = Response::new(Full::new(Bytes::from_static(b"refused by us")));
        *refusal.status_mut() = status;
        refusal
    };
    let accepting = Accepting::start("test", vec![socket], limits, metrics.clone(), services, refusal);
    Running { address, metrics, accepting }
}

fn limits(connections: usize, connections_per_address: usize) -> Limits {
    Limits { connections, connections_per_address, proxies: Vec::new() }
}

impl Running {
    async fn connect(&self, send: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(send).await.unwrap();
        stream
    }

    /// Waits for a number of open connections; the clock may be paused.
    async fn has_open(&self, count: i64) {
        while self.metrics.open.get() != count {
            tokio::task::yield_now().await;
        }
    }
}

/// Reads until the end; returns the bytes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_head_ends_in_seconds_and_is_counted() {
    let running = serve_answers(limits(10, 10), 10).await;
    let started = Instant::now();
    let (mut silent, mut slow) = (running.connect(b"").await, running.connect(b"GET / HTTP/1.1\r\nhost").await);
    assert!(!rest(&mut silent).await.starts_with(b"HTTP/1.1 2"));
    assert!(!rest(&mut slow).await.starts_with(b"HTTP/1.1 2"));
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    running.has_open(0).await;
    assert_eq!(running.metrics.count(Closed::NoRequest), 2);
}

#[tokio::test]
async fn a_head_that_is_refused_gets_an_answer_with_a_body_and_reads_on() {
    let running = serve_answers(limits(10, 10), 10).await;
    let many: String = (0..70).map(|number| format!("x-{number}: 1\r\n")).collect();
    let long = |bytes: usize| format!("cookie: {}\r\n", "a".repeat(bytes));
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", long(20_000)), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", long(8_000_000)), 431),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)), 431),
        ("GET / HTTP/1.1\r\nbad header: 1\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n{}", "a".repeat(8_000_000)), 400),
        ("GET / HTTP/7\r\n\r\n".to_owned(), 400),
        ("{\"not\": \"a request\"}\r\n\r\n".to_owned(), 400),
    ] {
        for earlier in [false, true] {
            let mut stream = running.connect(b"").await;
            if earlier {
                stream.write_all(REQUEST).await.unwrap();
                let mut buffer = [0; 1_000];
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(buffer[..read].starts_with(b"HTTP/1.1 200 "));
            }
            // As simple clients do, it reads nothing before it has written everything.
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
            let start = &request[..request.len().min(40)];
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start}: {answer}");
            assert!(answer.ends_with("content-length: 13\r\n\r\nrefused by us"), "{start}: {answer}");
            assert!(answer.contains("connection: close\r\n"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_refused_head_behind_a_request_is_answered_after_it() {
    let running = serve_answers(limits(10, 10), 100_000).await;
    let mut stream = running.connect(&[REQUEST, b"bad\r\n\r\n"].concat()).await;
    let answers = timeout(Duration::from_secs(10), rest(&mut stream)).await.unwrap();
    let answers = String::from_utf8_lossy(&answers);
    assert_eq!((answers.matches("HTTP/1.1 200 ").count(), answers.matches("HTTP/1.1 400 ").count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_and_is_not_counted() {
    let running = serve_answers(limits(10, 10), 10).await;
    let mut idle = running.connect(REQUEST).await;
    assert!(rest(&mut idle).await.starts_with(b"HTTP/1.1 200 "));
    running.has_open(0).await;
    assert_eq!(running.metrics.count(Closed::NoRequest), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_answers_loses_its_place() {
    let running = serve_answers(limits(10, 10), 100_000).await;
    let started = Instant::now();
    // Far more than the kernel holds for both ends.
    let reads_nothing = running.connect(&REQUEST.repeat(500)).await;
    while running.metrics.count(Closed::Unread) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(started.elapsed() < Duration::from_secs(30), "it holds its place");
    }
    running.has_open(0).await;
    drop(reads_nothing);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_but_steadily_gets_its_answer() {
    let running = serve_answers(limits(10, 10), 8_000_000).await;
    let mut slow = running.connect(REQUEST).await;
    let (mut read, mut buffer) = (0, vec![0; 400_000]);
    while read < 8_000_000 {
        let bytes = slow.read(&mut buffer).await.unwrap();
        assert_ne!(bytes, 0, "the connection ended after {read} bytes");
        read += bytes;
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    assert_eq!(running.metrics.count(Closed::Unread), 0);
}

#[tokio::test]
async fn silent_connections_never_keep_a_new_client_out() {
    let running = serve_answers(limits(20, 20), 10).await;
    let mut known = running.connect(b"GET /known HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut buffer = [0; 1_000];
    assert_ne!(known.read(&mut buffer).await.unwrap(), 0);
    let mut hostile = Vec::new();
    for _ in 0..200 {
        hostile.push(running.connect(b"P").await);
    }
    let mut new = running.connect(REQUEST).await;
    let read = timeout(Duration::from_secs(10), new.read(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200 "));
    // The connection of a known client is older than all of them and still open.
    known.write_all(REQUEST).await.unwrap();
    let read = timeout(Duration::from_secs(10), known.read(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200 "));
    assert!(running.metrics.open.get() <= 21, "{}", running.metrics.open.get());
    assert!(running.metrics.count(Closed::Displaced) >= 180);
}

#[tokio::test]
async fn a_stopped_listener_drains_its_connections() {
    let mut running = serve_answers(limits(10, 10), 10).await;
    let mut idle = running.connect(REQUEST).await;
    let mut buffer = [0; 1_000];
    assert_ne!(idle.read(&mut buffer).await.unwrap(), 0);
    running.accepting.stop().await;
    assert_eq!(rest(&mut idle).await, b"");
    timeout(Duration::from_secs(5), running.accepting.drain()).await.unwrap();
    assert_eq!(running.metrics.open.get(), 0);
}

#[tokio::test]
async fn a_peer_that_vanishes_is_noticed_by_the_kernel() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = socket.accept().await.unwrap();
    let descriptor = std::os::fd::AsFd::as_fd(&accepted).try_clone_to_owned().unwrap();
    let _stream = Stream::new(accepted, Arc::default());
    let options = socket2::Socket::from(descriptor);
    assert!(options.keepalive().unwrap());
    assert_eq!(options.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
    assert_eq!(options.tcp_user_timeout().unwrap(), Some(Duration::from_secs(20)));
    assert!(options.send_buffer_size().unwrap() <= 256 * 1024);
}
