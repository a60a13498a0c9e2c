//! The event log as it is read (reference, section 6).
//!
//! `list` finds a page, `filter` reads what may be asked for, `cursor` names a place in the log, `sight` decides who
//! sees what, `write` gives an event its form, which webhooks share.

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

/// What is served.
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
