//! Reading the event log (reference, section 6).
//!
//! `list` finds a page, `filter` reads the filters, `cursor` is a position in the log, `sight` decides visibility, and
//! `write` serializes an event, also for webhooks.

mod cursor;
mod filter;
mod list;
mod sight;
mod write;

use crate::{
    http::{Answer, Endpoint, Exactness, Handler, Request, Source},
    model::Refusal,
    world::{people::Caller, view::View},
};
pub use write::{Parts, write};

pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[
        Endpoint {
            method: "GET",
            path: "event",
            handler: Handler::Read(list::list),
            section: "6.1",
            exactness: Exactness::Documented,
        },
        Endpoint {
            method: "GET",
            path: "event/{}",
            handler: Handler::Read(get),
            section: "6.1",
            exactness: Exactness::Documented,
        },
    ],
};

fn get(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let text = &request.segments[0];
    let mut sight = sight::Sight::of(view, caller);
    let event = view
        .parse_id(text)
        .and_then(|id| view.world.events.get(id))
        .filter(|event| sight.sees(event))
        .ok_or_else(|| Refusal::missing(text))?;
    let mut out = Vec::with_capacity(2048);
    write(view, event, sight.parts(event), &mut out);
    Ok(Answer::json_bytes(200, out))
}
