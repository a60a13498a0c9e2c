//! Templates of mails and messages (reference, section 4.10).

use crate::{
    http::{
        Collection, Endpoint, Exactness, Handler, Source,
        collection::{Filter, Test},
    },
    model::{
        Kind, Record, Refusal, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::change::{Body, Change},
};

/// An email template. `is_shared` and `is_archived` are always stored.
pub static EMAIL_TEMPLATE: Resource = Resource {
    name: "email_template",
    event: Some(|_| "email_template"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("subject", Type::Text(2_000)).writable().unset(Unset::Text("")),
            Field::stored("body", Type::Text(1 << 20)).writable().unset(Unset::Text("")),
            Field::stored("is_shared", Type::Bool).writable().not_null(),
            Field::stored("is_archived", Type::Bool).writable().not_null(),
            Field::stored("attachments", Type::List(&Type::Json)).writable().unset(Unset::EmptyList),
            Field::stored("unsubscribe_link", Type::Json).writable(),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: TEMPLATE_LAWS,
};

/// An SMS template. `is_shared` and `is_archived` are always stored.
pub static SMS_TEMPLATE: Resource = Resource {
    name: "sms_template",
    event: Some(|_| "sms_template"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("text", Type::Text(10_000)).required(),
            Field::stored("is_shared", Type::Bool).writable().not_null(),
            Field::stored("is_archived", Type::Bool).writable().not_null(),
            Field::stored("attachments", Type::List(&Type::Json)).writable().unset(Unset::EmptyList),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: TEMPLATE_LAWS,
};

const TEMPLATE_LAWS: Laws = Laws { prepare, revise, deleting, ..Laws::PLAIN };

const FILTERS: &[Filter] = &[
    Filter { param: "is_archived", test: Test::Field("is_archived") },
    Filter { param: "is_shared", test: Test::Field("is_shared") },
];

pub static SOURCE: Source = Source {
    collections: &[
        Collection { filters: FILTERS, section: "4.10", ..Collection::new("email_template", &[Kind::EmailTemplate]) },
        Collection {
            filters: FILTERS,
            created_status: 201,
            deleted_status: 204,
            section: "4.10",
            ..Collection::new("sms_template", &[Kind::SmsTemplate])
        },
    ],
    endpoints: &[Endpoint {
        method: "GET",
        path: "email_template/{}/render",
        handler: Handler::Read(super::template_render::render),
        section: "4.10",
        exactness: Exactness::Inferred,
    }],
};

fn prepare(change: &mut Change<'_>, template: &mut Record, _: &Body) -> Result<(), Refusal> {
    if template.is("is_shared") {
        change.require("manage_team_email_templates")?;
    }
    for flag in ["is_shared", "is_archived"] {
        if template.get(flag).is_none() {
            template.set(flag, false);
        }
    }
    Ok(())
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, _: &Body) -> Result<(), Refusal> {
    if after.is("is_shared") || !own(change, before) { change.require("manage_team_email_templates") } else { Ok(()) }
}

fn deleting(change: &mut Change<'_>, template: &Record) -> Result<(), Refusal> {
    if own(change, template) { Ok(()) } else { change.require("manage_team_email_templates") }
}

/// Returns true if it is private to the caller.
fn own(change: &Change<'_>, template: &Record) -> bool {
    !template.is("is_shared") && (template.author.is_none() || template.author == change.actor.user)
}
