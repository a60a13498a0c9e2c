//! The effect of a fault on an answer, or on the connection.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    faults::{Fault, Faults, Kind},
};

/// The result of a request that meets a fault.
#[derive(Debug)]
pub enum Outcome {
    Answer(Answer),
    /// This answer, with the connection closed after this many bytes of its body.
    Cut(Answer, usize),
    /// The connection is reset.
    Reset,
    /// No answer; the connection ends after this time, or never.
    Silence(Option<Duration>),
}

/// Damages an answer. `answer` is given if the fault lets the request be carried out.
pub fn damage(faults: &Faults, fault: &Fault, answer: Option<Answer>) -> Outcome {
    let status = fault.spec.status;
    match (fault.spec.kind, answer) {
        (Kind::Hang, _) => Outcome::Silence(fault.delay()),
        (Kind::Reset, _) => Outcome::Reset,
        (Kind::Status, _) => {
            let status = status.unwrap_or(503);
            Outcome::Answer(Answer::json(
                status,
                &json!({ "error": format!("The server answered with status {status}.") }),
            ))
        }
        (Kind::Empty, _) => Outcome::Answer(Answer::empty(status.unwrap_or(200))),
        (Kind::Html429, _) => Outcome::Answer(page(429, "Too Many Requests")),
        (Kind::Html502, _) => Outcome::Answer(page(502, "Bad Gateway")),
        (Kind::CutBody, Some(answer)) => {
            let half = answer.body.len() / 2;
            Outcome::Cut(answer, half)
        }
        (Kind::BadJson, Some(mut answer)) => {
            // Without its last third the text ends inside a value; for a body as short as `{}` its end is missing.
            answer.body.truncate((answer.body.len() * 2 / 3).max(1));
            if answer.body.is_empty() {
                answer.body.push(b'{');
            }
            Outcome::Answer(answer)
        }
        (Kind::WrongCursor, Some(answer)) => Outcome::Answer(misled(faults, answer)),
        (_, Some(answer)) => Outcome::Answer(answer),
        (_, None) => Outcome::Silence(None),
    }
}

fn page(status: u16, title: &str) -> Answer {
    let body = format!(
        "<html>\r\n<head><title>{status} {title}</title></head>\r\n\
         <body>\r\n<center><h1>{status} {title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    Answer { status, body: body.into_bytes(), content_type: "text/html", ..Answer::default() }
}

/// Replaces the cursor with one that leads back: to the first page that had a cursor, to newer events, or, without
/// either, to an unknown place.
fn misled(faults: &Faults, mut answer: Answer) -> Answer {
    let Ok(mut json) = serde_json::from_slice::<Json>(&answer.body) else { return answer };
    let newer = json["cursor_previous"].as_str().map(str::to_owned);
    let Some(cursor) = ["cursor_next", "cursor"].into_iter().find_map(|name| {
        let text = json.get(name)?.as_str()?.to_owned();
        Some((name, text))
    }) else {
        return answer;
    };
    let (name, right) = cursor;
    let first = faults.cursor.lock().get_or_insert_with(|| right.clone()).clone();
    let other = [Some(first), newer].into_iter().flatten().find(|other| *other != right);
    json[name] = other.unwrap_or_else(|| right.chars().rev().collect()).into();
    answer.body = serde_json::to_vec(&json).expect("it was JSON");
    answer
}

/// A body that announces its whole length and ends early.
#[derive(Debug)]
pub struct CutBody {
    part: Option<Bytes>,
    promised: u64,
    pause: Pin<Box<tokio::time::Sleep>>,
}

impl CutBody {
    /// The first `length` bytes of a body.
    pub fn new(mut body: Bytes, length: usize) -> Self {
        // At least one byte must be missing, even from an empty body.
        let promised = (body.len() as u64).max(length as u64 + 1);
        body.truncate(length);
        Self { part: Some(body), promised, pause: Box::pin(tokio::time::sleep(Duration::from_millis(30))) }
    }
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.part.take() {
            Some(part) if !part.is_empty() => Poll::Ready(Some(Ok(Frame::data(part)))),
            // The sent bytes leave the machine before the connection breaks.
            _ => self.pause.as_mut().poll(context).map(|()| Some(Err(std::io::Error::other("cut as asked for")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(faults: &Faults, answer: &Json) -> Json {
        serde_json::from_slice(&misled(faults, Answer::json(200, answer)).body).unwrap()
    }

    #[test]
    fn a_wrong_cursor_leads_back_to_the_first_page_or_to_newer_events_or_nowhere() {
        let faults = Faults::default();
        assert_eq!(after(&faults, &json!({ "data": [], "cursor": "ab1" }))["cursor"], "1ba", "there is no other yet");
        assert_eq!(after(&faults, &json!({ "data": [], "cursor": "cd2" }))["cursor"], "ab1", "back to the first");
        let events = json!({ "cursor_next": "ab1", "cursor_previous": "new" });
        assert_eq!(after(&faults, &events), json!({ "cursor_next": "new", "cursor_previous": "new" }));
        let last = json!({ "data": [], "cursor": null });
        assert_eq!(after(&faults, &last), last, "the end stays the end");
    }
}
