//! The form of an event, in the log and in webhooks (reference, section 6.3): dates without offset, while those in
//! `data` have one.

use std::sync::Arc;

use crate::{
    model::{
        Value,
        moment::Stamps,
        render::{write_key, write_text, write_value},
    },
    world::{events::Event, view::View},
};

/// The parts of an event to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    All,
    /// `data` and `previous_data` are null.
    NullData,
    /// `data` and `previous_data` are missing.
    WithoutData,
}

pub fn write(view: &View<'_>, event: &Event, parts: Parts, out: &mut Vec<u8>) {
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
        ("oauth_scope", event.oauth.as_ref().map(|(_, scope)| Arc::clone(scope)).into()),
        ("object_type", event.object_type.into()),
        ("object_id", event.object.into()),
        ("lead_id", event.lead.into()),
        ("action", event.action.into()),
    ];
    for (name, value) in &fields {
        write_text(name, out);
        out.push(b':');
        write_value(value, seed, Stamps::Naive, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"changed_fields\":[");
    for (at, key) in event.changed.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_key(*key, seed, out);
    }
    out.extend_from_slice(b"],\"meta\":");
    out.extend_from_slice(&event.meta);
    if parts != Parts::WithoutData {
        for (name, part) in [("data", &event.data), ("previous_data", &event.previous)] {
            out.push(b',');
            write_text(name, out);
            out.push(b':');
            let part = part.as_deref().filter(|_| parts == Parts::All);
            out.extend_from_slice(part.unwrap_or(b"null"));
        }
    }
    if view.switches().unknown_fields {
        out.extend_from_slice(b",\"x_unannounced\":{\"of\":\"the future\"}");
    }
    out.push(b'}');
}
