//! `WhatsApp` messages, which integrations add (reference, section 4.6). `message_html` and `text` follow from
//! `message_markdown`.

use super::{rich_text, shared, telephone};
use crate::{
    http::{
        Collection, Source,
        collection::{C, D, Filter, G, L, Test, U},
    },
    model::{
        Kind, Stamps,
        resource::{AUTHORS, Field, Resource, Type, Unset, Write},
    },
};

pub static WHATSAPP_MESSAGE: Resource = Resource {
    name: "whatsapp_message",
    event: Some(|_| "activity.whatsapp_message"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "WhatsAppMessage".into())],
        shared::BASE,
        &[
            Field::stored("direction", Type::Choice(&["incoming", "outgoing"]))
                .write(Write::Once)
                .unset(Unset::Text("outgoing")),
            Field { nullable: false, ..Field::text("external_whatsapp_message_id").write(Write::RequiredOnce) },
            Field::text("message_markdown").required(),
            Field::computed("message_html", |s| {
                rich_text::html_of(s.record.text("message_markdown").unwrap_or("")).into()
            }),
            Field::computed("text", |s| {
                s.record.text("message_markdown").unwrap_or("").replace(['*', '_', '~', '`'], "").into()
            }),
        ],
        telephone::LOCAL,
        telephone::REMOTE,
        &[
            shared::ATTACHMENTS,
            Field::stored("response_to_id", Type::Ref(&[Kind::WhatsAppMessage])).writable(),
            Field::text("integration_link").writable(),
            Field::text("integration_name").writable(),
            Field::text("source").unset(Unset::Text("External")),
        ],
        AUTHORS,
        shared::SETTABLE_DATES,
    ],
    custom_fields: false,
    laws: shared::LAWS,
};

const FILTERS: &[Filter] = &shared::filters_and(Filter {
    param: "external_whatsapp_message_id",
    test: Test::Field("external_whatsapp_message_id"),
});

pub static SOURCE: Source = Source {
    collections: &[Collection {
        filters: FILTERS,
        ..shared::collection("activity/whatsapp_message", &[Kind::WhatsAppMessage], L | G | C | U | D)
    }],
    endpoints: &[],
};
