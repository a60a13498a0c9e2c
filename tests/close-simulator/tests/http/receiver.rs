//! A receiver of webhooks: hands on what arrives through a channel, and answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::{Barrier, mpsc};

/// How a request is answered.
#[derive(Clone)]
pub enum Reaction {
    Status(u16),
    /// 307 to a path of the receiver.
    Redirect(&'static str),
    /// Never.
    Hang,
    /// The connection is closed after the request was read.
    Reset,
    /// 200 as soon as as many requests are here as the barrier wants.
    Meet(Arc<Barrier>),
}

/// What arrived.
#[derive(Debug)]
pub struct Received {
    pub path: String,
    pub headers: hyper::HeaderMap,
    pub raw: Bytes,
    pub body: Value,
}

pub struct Receiver {
    address: SocketAddr,
    arrived: mpsc::UnboundedReceiver<Received>,
    reactions: Arc<Mutex<Reactions>>,
}

struct Reactions {
    next: VecDeque<Reaction>,
    then: Reaction,
}

impl Receiver {
    /// Answers everything with 200.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (tell, arrived) = mpsc::unbounded_channel();
        let reactions = Arc::new(Mutex::new(Reactions { next: VecDeque::new(), then: Reaction::Status(200) }));
        let shared = Arc::clone(&reactions);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, reactions) = (tell.clone(), Arc::clone(&shared));
                let service = service_fn(move |request| respond(request, tell.clone(), Arc::clone(&reactions)));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, arrived, reactions }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The next answers in order, and the one that follows for good.
    pub fn answer(&self, next: impl IntoIterator<Item = Reaction>, then: Reaction) {
        *self.reactions.lock().unwrap() = Reactions { next: next.into_iter().collect(), then };
    }

    /// The next request.
    pub async fn next(&mut self) -> Received {
        tokio::time::timeout(Duration::from_secs(20), self.arrived.recv()).await.expect("a delivery").expect("the receiver runs")
    }

    /// What has arrived and was not looked at.
    pub fn rest(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.arrived.try_recv().ok()).collect()
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    tell: mpsc::UnboundedSender<Received>,
    reactions: Arc<Mutex<Reactions>>,
) -> Result<hyper::Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let raw = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    let reaction = {
        let mut reactions = reactions.lock().unwrap();
        reactions.next.pop_front().unwrap_or_else(|| reactions.then.clone())
    };
    let _ = tell.send(Received { path: head.uri.path().to_owned(), headers: head.headers, raw, body });
    let answer = hyper::Response::builder();
    let answer = match reaction {
        Reaction::Status(status) => answer.status(status),
        Reaction::Redirect(path) => answer.status(307).header("location", path),
        Reaction::Hang => std::future::pending().await,
        Reaction::Reset => return Err(std::io::Error::other("closed on purpose")),
        Reaction::Meet(barrier) => {
            barrier.wait().await;
            answer.status(200)
        }
    };
    Ok(answer.body(Full::default()).expect("an answer"))
}
