//! The event log as it is read (reference, section 6).

use crate::http::{Answer, Endpoint, Exactness, Handler, Request, Source};
use crate::model::moment::Stamps;
use crate::model::render::{write_key, write_text, write_value};
use crate::model::{Id, Refusal, Value};
use crate::world::events::Event;
use crate::world::people::Caller;
use crate::world::view::View;

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[
        Endpoint { method: "GET", path: "event", handler: Handler::Read(list), section: "6.1", exactness: Exactness::Documented },
        Endpoint {
            method: "GET",
            path: "event/{}",
            handler: Handler::Read(get),
            section: "6.1",
            exactness: Exactness::Documented,
        },
    ],
};

fn list(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let wants = |name: &str, id: Option<Id>| request.param(name).is_none_or(|text| view.parse_id(text) == id);
    let mut out = b"{\"data\":[".to_vec();
    let mut count = 0;
    for (_, event) in view.world.events.older(None) {
        let named = |name: &str, value: &str| request.param(name).is_none_or(|text| text == value);
        if event.visible > view.now || !wants("object_id", Some(event.object)) || !wants("lead_id", event.lead) {
            continue;
        }
        if !named("object_type", event.object_type) || !named("action", event.action) {
            continue;
        }
        if count > 0 {
            out.push(b',');
        }
        write(view, event, true, &mut out);
        count += 1;
        if count == 50 {
            break;
        }
    }
    out.extend_from_slice(b"],\"cursor_next\":null,\"cursor_previous\":null}");
    Ok(Answer::json_bytes(200, out))
}

fn get(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let text = &request.segments[0];
    let event = view.parse_id(text).and_then(|id| view.world.events.get(id)).ok_or_else(|| Refusal::missing(text))?;
    let mut out = Vec::new();
    write(view, event, true, &mut out);
    Ok(Answer::json_bytes(200, out))
}

/// Appends an event as the log and webhooks show it; `full` with `data` and `previous_data`.
pub fn write(view: &View<'_>, event: &Event, full: bool, out: &mut Vec<u8>) {
    let seed = view.seed();
    out.push(b'{');
    let fields: [(&str, Value); 13] = [
        ("id", event.id.into()),
        ("date_created", event.created.into()),
        ("date_updated", event.updated.into()),
        ("organization_id", view.organization().into()),
        ("user_id", event.user.into()),
        ("request_id", event.request.into()),
        ("api_key_id", event.api_key.into()),
        ("oauth_client_id", event.oauth.as_ref().map(|(client, _)| *client).into()),
        ("oauth_scope", event.oauth.as_ref().map(|(_, scope)| std::sync::Arc::clone(scope)).into()),
        ("object_type", event.object_type.into()),
        ("object_id", event.object.into()),
        ("lead_id", event.lead.into()),
        ("action", event.action.into()),
    ];
    for (name, value) in &fields {
        if !out.ends_with(b"{") {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_value(value, seed, Stamps::Naive, out);
    }
    out.extend_from_slice(b",\"changed_fields\":[");
    for (at, key) in event.changed.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_key(*key, seed, out);
    }
    out.extend_from_slice(b"],\"meta\":");
    out.extend_from_slice(&event.meta);
    if full {
        for (name, part) in [("data", &event.data), ("previous_data", &event.previous)] {
            out.push(b',');
            write_text(name, out);
            out.push(b':');
            out.extend_from_slice(part.as_deref().unwrap_or(b"null"));
        }
    }
    out.push(b'}');
}
