//! A hook that answers for another connector of the worker, such as one whose outside system posts to wake it.
//!
//! Here are the limits that hold for every stranger: method, size, memory, wrong guesses. The other connector knows who
//! may post, and reports a stranger with 401. Nothing is published.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{CONNECTION, HeaderValue, RETRY_AFTER},
};
use towpath_listener::Peer;

use crate::{
    body::read_body,
    door::Door,
    hooks::Answers,
    reply::{Answer, Refusal},
};

/// The function of the other connector.
type Judge = Box<dyn Fn(HeaderMap, Bytes) -> Pin<Box<dyn Future<Output = StatusCode> + Send>> + Send + Sync>;

pub(crate) struct Lent {
    /// `/hooks/<name>`.
    path: String,
    body_max_bytes: usize,
    door: Arc<Door>,
    judge: Judge,
}

impl Lent {
    pub(crate) fn new<F, A>(name: &str, body_max_bytes: usize, door: Arc<Door>, answer: F) -> Self
    where
        F: Fn(HeaderMap, Bytes) -> A + Send + Sync + 'static,
        A: Future<Output = StatusCode> + Send + 'static,
    {
        let judge: Judge = Box::new(move |headers, body| Box::pin(answer(headers, body)));
        Self { path: format!("/hooks/{name}"), body_max_bytes, door, judge }
    }

    async fn walk(&self, request: Request<Incoming>, peer: &Peer) -> Result<Answer, Refusal> {
        let (head, body) = request.into_parts();
        let sender = self.door.sender(peer, &head.headers);
        let refusal = if head.method != Method::POST {
            Some(Refusal::method())
        } else if body.size_hint().lower() > self.body_max_bytes as u64 {
            Some(Refusal::body_too_large(self.body_max_bytes))
        } else if self.door.attempts.refuses(sender) {
            Some(Refusal::attempts())
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return Err(refusal.unread(&head, body));
        }
        let mut memory = self.door.bodies.body(sender);
        let body = read_body(body, self.body_max_bytes, &mut memory).await?;
        let status = (self.judge)(head.headers, body).await;
        if status == StatusCode::UNAUTHORIZED {
            if self.door.attempts.failed(sender) {
                return Err(Refusal::attempts());
            }
        } else if status.is_success() {
            self.door.attempts.succeeded(sender);
            peer.becomes_known();
        }
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = status;
        if !status.is_success() && !peer.is_known() {
            // A stranger has one request.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        Ok(answer)
    }
}

impl Answers for Lent {
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move {
            let walked = self.walk(request, &peer).await;
            walked.unwrap_or_else(|refusal| refusal.answer_to(&peer, &self.path))
        })
    }
}
