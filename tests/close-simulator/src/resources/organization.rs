//! The organization with its settings and members (reference, section 4.7). Changes have no events, not even a new
//! currency that shows on every opportunity (4.3).

use serde_json::{Map, Value as Json};

use super::{custom_field, nested, status};
use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Deed, U},
        object,
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        render::{self, Scene, Selection},
        resource::{AUTHOR_IDS, DATES, Field, GET, LIST, Laws, Resource, Type, Unset},
    },
    world::{
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

/// The members of an organization in `/me/` (reference, section 1.4).
pub const OF_ME: &[&str] = &[
    "id",
    "name",
    "currency",
    "plan_type",
    "lead_statuses",
    "opportunity_statuses",
    "pipelines",
    "lead_custom_fields",
    "created_by",
    "updated_by",
    "date_created",
    "date_updated",
];

/// The organization. Stored, not shown: the orders of its settings, as `lead_status_order`.
pub static ORGANIZATION: Resource = Resource {
    name: "organization",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            Field::computed("id", |s| s.record.id.into()),
            Field::stored("name", Type::Text(255)).writable().not_null(),
            Field::stored("currency", Type::Text(3)).writable().not_null(),
            Field::text("plan_type"),
            Field::stored("enable_unsubscribe_link", Type::Bool).writable().unset(Unset::False),
            Field::stored("require_unsubscribe_link", Type::Bool).writable().unset(Unset::False),
            Field::computed("memberships", |s| members(s, true)).only(LIST | GET),
            Field::computed("inactive_memberships", |s| members(s, false)).only(LIST | GET),
            Field::computed("lead_statuses", |s| {
                nested::list(s.view, status::of_leads(s.view), &nested::only(&["id", "label"]))
            })
            .only(LIST | GET),
            Field::computed("opportunity_statuses", |s| {
                nested::list(
                    s.view,
                    status::of_opportunities(s.view),
                    &nested::only(&["id", "label", "type", "pipeline_id"]),
                )
            })
            .only(LIST | GET),
            Field::computed("pipelines", |s| nested::list(s.view, s.view.all(Kind::Pipeline), &Selection::Default))
                .only(LIST | GET),
            Field::computed("lead_custom_fields", |s| {
                nested::list(s.view, custom_field::schema::own(s.view, "lead", None), &Selection::Default)
            })
            .only(LIST | GET),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws {
        revise,
        updated: |change, before, id, body| {
            follow(change, before, id, body);
            Ok(())
        },
        ..Laws::PLAIN
    },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: U,
        permit: |_, caller, deed, _| deed == Deed::Read || caller.is_admin(),
        section: "4.7",
        ..Collection::new("organization", &[Kind::Organization])
    }],
    endpoints: &[Endpoint {
        method: "GET",
        path: "organization/{}",
        handler: Handler::Read(get),
        section: "4.7",
        exactness: Exactness::Documented,
    }],
};

fn members(scene: &Scene<'_>, active: bool) -> Value {
    let chosen = scene.view.all(Kind::Membership).filter(|membership| membership.is("is_active") == active);
    nested::list(scene.view, chosen, &Selection::Default)
}

/// Reads the organization; `_expand=memberships__user,inactive_memberships__user` puts the whole user into each
/// membership.
fn get(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let text = &request.segments[0];
    let organization = view.parse_id(text).filter(|id| id.kind() == Kind::Organization).and_then(|id| view.get(id));
    let mut answer = object::shown(view, organization.ok_or_else(|| Refusal::missing(text))?, request, 200);
    let expanded: Vec<&str> = request
        .param("_expand")
        .unwrap_or("")
        .split(',')
        .filter_map(|part| part.trim().strip_suffix("__user"))
        .filter(|list| matches!(*list, "memberships" | "inactive_memberships"))
        .collect();
    if !expanded.is_empty() {
        let mut body: Map<String, Json> =
            serde_json::from_slice(&answer.body).expect("what was rendered is a JSON object");
        for list in expanded {
            for membership in body.get_mut(list).and_then(Json::as_array_mut).into_iter().flatten() {
                let user = membership["user_id"].as_str().and_then(|text| view.get(view.parse_id(text)?));
                membership["user"] = user.map_or(Json::Null, |user| {
                    let mut out = Vec::new();
                    render::write(view, user, render::GET, &Selection::Default, &mut out);
                    serde_json::from_slice(&out).expect("what was rendered is JSON")
                });
            }
        }
        answer = Answer::json(200, &Json::Object(body));
    }
    Ok(answer)
}

fn revise(_change: &mut Change<'_>, _before: &Record, after: &mut Record, _body: &Body) -> Result<(), Refusal> {
    let currency = after.text("currency").unwrap_or_default();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Refusal::field("currency", "Not a valid ISO 4217 currency code."));
    }
    Ok(())
}

/// Stores the order of statuses in a body, and updates opportunities after a change of the currency.
fn follow(change: &mut Change<'_>, before: &Record, id: Id, body: &Body) {
    for (name, kind, order) in [
        ("lead_statuses", Kind::LeadStatus, status::LEAD_ORDER),
        ("opportunity_statuses", Kind::OpportunityStatus, status::OPPORTUNITY_ORDER),
    ] {
        let ids: Vec<Id> =
            nested::named_ids(&change.view(), body, name).into_iter().filter(|status| status.kind() == kind).collect();
        if !ids.is_empty() {
            nested::reorder(change, id, order, &ids);
        }
    }
    let currency = change.whole().field_of(Some(id), "currency");
    if change.world.switches.currency_moves_date_updated && before.get("currency") != Some(&currency) {
        let opportunities: Vec<Id> = change.whole().all(Kind::Opportunity).map(|record| record.id).collect();
        for opportunity in opportunities {
            change.touch(opportunity);
        }
    }
}
