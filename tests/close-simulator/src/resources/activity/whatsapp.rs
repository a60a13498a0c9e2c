//! WhatsApp messages.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// whatsapp_message.
pub static WHATSAPP_MESSAGE: Resource = Resource {
    name: "whatsapp_message",
    event: Some(|_| "activity.whatsapp_message"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("activity/whatsapp_message", &[Kind::WhatsAppMessage])], endpoints: &[] };
