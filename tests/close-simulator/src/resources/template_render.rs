//! An email template rendered for one lead and contact: `GET /email_template/{id}/render/`.
//!
//! Either `lead_id` (with `contact_id`) names the recipient, or `query`, `entry` and `mode` pick one of the leads that
//! a query finds.

use serde_json::{Value as Json, json};

use crate::{
    http::{Answer, Request},
    model::{
        Kind, Record, Refusal,
        render::{self, Selection},
    },
    resources::search,
    world::{people::Caller, view::View},
};

/// Maximum `entry`.
const LAST_ENTRY: usize = 100;

/// Answers with the rendered template, or `{}` if the entry does not exist.
pub(super) fn render(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let text = &request.segments[0];
    let template = view
        .parse_id(text)
        .filter(|id| id.kind() == Kind::EmailTemplate)
        .and_then(|id| view.see(id))
        .ok_or_else(|| Refusal::missing(text))?;
    let Some((lead, contact)) = whom(view, request)? else { return Ok(Answer::json(200, &json!({}))) };
    Ok(Answer::json(200, &filled(view, template, lead, contact, view.get(caller.user))))
}

/// `{"body", "subject", "email", "contact_id", "contact_display_name", "lead_id", "lead_display_name"}` of a template
/// for a recipient.
pub(super) fn filled(
    view: &View<'_>,
    template: &Record,
    lead: &Record,
    contact: Option<&Record>,
    user: Option<&Record>,
) -> Json {
    let of = |record: Option<&Record>| record.map_or(Json::Null, |record| shown(view, record));
    let (lead_json, contact_json, user) = (of(Some(lead)), of(contact), of(user));
    let fill = |name| fill(template.text(name).unwrap_or(""), &lead_json, &contact_json, &user);
    json!({
        "body": fill("body"),
        "subject": fill("subject"),
        "email": contact_json["emails"][0]["email"],
        "contact_id": contact.map(|contact| view.id_text(contact.id)),
        "contact_display_name": display_name(&contact_json),
        "lead_id": view.id_text(lead.id),
        "lead_display_name": display_name(&lead_json),
    })
}

fn whom<'v>(view: &'v View<'_>, request: &Request) -> Result<Option<(&'v Record, Option<&'v Record>)>, Refusal> {
    if let Some(text) = request.param("lead_id") {
        let lead = view.parse_id(text).filter(|id| id.kind() == Kind::Lead).and_then(|id| view.see(id));
        let lead = lead.ok_or_else(|| Refusal::missing(text))?;
        let contact = match request.param("contact_id") {
            Some(text) => Some(
                view.parse_id(text)
                    .and_then(|id| view.see(id))
                    .filter(|contact| contact.kind() == Kind::Contact && contact.lead == Some(lead.id))
                    .ok_or_else(|| Refusal::missing(text))?,
            ),
            None => view.of_lead(lead.id, Kind::Contact).next(),
        };
        return Ok(Some((lead, contact)));
    }
    let Some(query) = request.param("query") else {
        return Err(Refusal::bad("Either lead_id and contact_id or query and entry must be given."));
    };
    let entry = request.param("entry").map_or(Ok(0), str::parse::<usize>).ok().filter(|entry| *entry <= LAST_ENTRY);
    let entry = entry.ok_or_else(|| Refusal::bad(format!("entry must be an integer from 0 to {LAST_ENTRY}.")))?;
    let leads = search::select(view, Some(query), None, Some(LAST_ENTRY + 1))?;
    match request.param("mode").unwrap_or("lead") {
        "lead" => {
            let lead = leads.get(entry).and_then(|id| view.see(*id));
            Ok(lead.map(|lead| (lead, view.of_lead(lead.id, Kind::Contact).next())))
        }
        "contact" => {
            let mut contacts = leads.iter().filter_map(|id| view.see(*id)).flat_map(|lead| {
                let contacts: Vec<_> = view.of_lead(lead.id, Kind::Contact).collect();
                contacts.into_iter().map(move |contact| (lead, Some(contact)))
            });
            Ok(contacts.nth(entry))
        }
        _ => Err(Refusal::bad("mode must be one of: lead, contact.")),
    }
}

fn shown(view: &View<'_>, record: &Record) -> Json {
    let mut out = Vec::new();
    render::write(view, record, render::LIST, &Selection::Default, &mut out);
    serde_json::from_slice(&out).unwrap_or(Json::Null)
}

fn display_name(record: &Json) -> &Json {
    if record["display_name"].is_null() { &record["name"] } else { &record["display_name"] }
}

/// Replaces `{{ lead.display_name }}`, `{{ contact.first_name }}` and similar; unknown placeholders become empty.
fn fill(text: &str, lead: &Json, contact: &Json, user: &Json) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((tag, after)) = tag.split_once("}}") else {
            out.push_str("{{");
            rest = tag;
            break;
        };
        let (object, member) = tag.trim().split_once('.').unwrap_or((tag.trim(), ""));
        let record = match object {
            "lead" => lead,
            "contact" => contact,
            _ => user,
        };
        let name = record["name"].as_str().or(record["display_name"].as_str()).unwrap_or("");
        match member {
            "first_name" if object == "contact" => out.push_str(name.split(' ').next().unwrap_or("")),
            "last_name" if object == "contact" => out.push_str(name.split_once(' ').map_or("", |(_, last)| last)),
            "email" if object == "contact" => out.push_str(contact["emails"][0]["email"].as_str().unwrap_or("")),
            member => match &record[member] {
                Json::String(text) => out.push_str(text),
                Json::Null => {}
                other => out.push_str(&other.to_string()),
            },
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
