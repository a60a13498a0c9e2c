//! The objects of Close: how each is listed, and which events tell of it. Pure facts, from Close's documentation.
//!
//! An object is a line in one of the files below, its schema in `avro/close/<name>.avsc`, and its place in [`KINDS`].

mod activities;
mod crm;
#[cfg(test)]
pub(crate) mod laboratory;
mod organization;
mod settings;
#[cfg(test)]
mod tests;
mod workflow;

/// An object of Close: one topic, one table.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The name, as in the topic `<topic.prefix>.<name>`.
    pub(crate) name: &'static str,
    /// The path of its list below the base, with a slash at its end.
    pub(crate) path: &'static str,
    /// The way to read all of it.
    pub(crate) listing: Listing,
    /// The `object_type`s of its events; empty if it has none.
    pub(crate) events: &'static [&'static str],
    /// True if the data of its events is the whole row. If not, an event only tells that the list has changed.
    pub(crate) whole_events: bool,
    /// The kind of its custom fields: the part after `custom_field_schema/`, or `activity`, `custom_object` for all
    /// types of these.
    pub(crate) custom: Option<&'static str>,
    /// Its Avro schema without custom fields.
    pub(crate) base: &'static str,
    /// Fields of its rows that are left out: volatile, computed at the time of the request, or objects of their own.
    pub(crate) ignored: &'static [&'static str],
    /// True if `<path><id>/` gives one.
    pub(crate) has_single: bool,
    /// The field with the time of the last change; `None` if it has none.
    pub(crate) updated: Option<&'static str>,
    /// The fields that make the id of a row without `id`.
    pub(crate) key: &'static [&'static str],
    /// The right without which Close refuses its list; `None` if Close's documentation names none.
    pub(crate) right: Option<&'static str>,
}

/// The way to read all rows of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// `POST /data/search/`, sorted by `date_created`: leads and contacts.
    Searched,
    /// Ranges of `date_created`, newest first, with these further parameters.
    Dated(&'static [(&'static str, &'static str)]),
    /// The whole list, paged by `_skip` where it pages, with these further parameters.
    Full(&'static [(&'static str, &'static str)]),
    /// As `Full`; each row is then read by its id, since the list leaves fields out.
    FullThenSingle(&'static [(&'static str, &'static str)]),
    /// One list for each row of another object, which the parameter names.
    PerParent { parent: &'static str, parameter: &'static str },
    /// Part of the organization.
    Organization,
}

/// A [`Kind`] with the schema `avro/close/<name>.avsc`.
macro_rules! object {
    ($name:literal, $path:literal) => {
        crate::catalogue::Kind::new($name, $path, include_str!(concat!("../../../../avro/close/", $name, ".avsc")))
    };
}
use object;

impl Kind {
    /// An object that is listed whole, has no events and no custom fields, can be read by id, and has `date_updated`.
    const fn new(name: &'static str, path: &'static str, base: &'static str) -> Self {
        Self {
            name,
            path,
            listing: Listing::Full(&[]),
            events: &[],
            whole_events: true,
            custom: None,
            base,
            ignored: &[],
            has_single: true,
            updated: Some("date_updated"),
            key: &[],
            right: None,
        }
    }

    const fn listing(self, listing: Listing) -> Self {
        Self { listing, ..self }
    }

    const fn events(self, events: &'static [&'static str]) -> Self {
        Self { events, ..self }
    }

    const fn custom(self, custom: &'static str) -> Self {
        Self { custom: Some(custom), ..self }
    }

    const fn ignoring(self, ignored: &'static [&'static str]) -> Self {
        Self { ignored, ..self }
    }

    const fn without_single(self) -> Self {
        Self { has_single: false, ..self }
    }

    const fn updated(self, updated: Option<&'static str>) -> Self {
        Self { updated, ..self }
    }

    const fn key(self, key: &'static [&'static str]) -> Self {
        Self { key, ..self }
    }

    const fn right(self, right: &'static str) -> Self {
        Self { right: Some(right), ..self }
    }

    /// True if the lists read this object again and again, since no event tells of it; the snapshot leaves it out.
    pub(crate) fn is_read_by_lists(&self) -> bool {
        match self.listing {
            Listing::Organization => true,
            Listing::Full(_) | Listing::FullThenSingle(_) => self.events.is_empty(),
            Listing::Searched | Listing::Dated(_) | Listing::PerParent { .. } => false,
        }
    }
}

/// True if a text can be an id of Close, which is put into a path.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// All objects; what others refer to comes first.
pub(crate) static KINDS: &[Kind] = &[
    organization::ORGANIZATION,
    organization::USER,
    organization::ROLE,
    organization::MEMBERSHIP,
    organization::GROUP,
    settings::LEAD_STATUS,
    settings::PIPELINE,
    settings::OPPORTUNITY_STATUS,
    settings::CUSTOM_FIELD_LEAD,
    settings::CUSTOM_FIELD_CONTACT,
    settings::CUSTOM_FIELD_OPPORTUNITY,
    settings::CUSTOM_FIELD_ACTIVITY,
    settings::CUSTOM_FIELD_CUSTOM_OBJECT,
    settings::CUSTOM_FIELD_SHARED,
    settings::CUSTOM_ACTIVITY_TYPE,
    settings::CUSTOM_OBJECT_TYPE,
    settings::OUTCOME,
    settings::INTEGRATION_LINK,
    organization::CONNECTED_ACCOUNT,
    organization::SEND_AS,
    organization::PHONE_NUMBER,
    organization::BLOCKED_PHONE_NUMBER,
    organization::SCHEDULING_LINK,
    organization::SHARED_SCHEDULING_LINK,
    crm::LEAD,
    crm::CONTACT,
    crm::OPPORTUNITY,
    crm::TASK,
    crm::CUSTOM_OBJECT,
    activities::NOTE,
    activities::CALL,
    activities::EMAIL_THREAD,
    activities::EMAIL,
    activities::SMS,
    activities::WHATSAPP_MESSAGE,
    activities::MEETING,
    activities::CUSTOM_ACTIVITY,
    activities::CREATED,
    activities::FORM_SUBMISSION,
    activities::LEAD_STATUS_CHANGE,
    activities::OPPORTUNITY_STATUS_CHANGE,
    activities::LEAD_MERGE,
    activities::TASK_COMPLETED,
    activities::IMPORT_UPDATE,
    crm::COMMENT_THREAD,
    crm::COMMENT,
    workflow::SMART_VIEW,
    workflow::EMAIL_TEMPLATE,
    workflow::SMS_TEMPLATE,
    workflow::SEQUENCE,
    workflow::SEQUENCE_SUBSCRIPTION,
    workflow::PLAYBOOK,
    workflow::DIALER,
    workflow::BULK_ACTION_EMAIL,
    workflow::BULK_ACTION_EDIT,
    workflow::BULK_ACTION_DELETE,
    workflow::BULK_ACTION_SEQUENCE_SUBSCRIPTION,
    workflow::EXPORT,
    workflow::UNSUBSCRIBED_EMAIL,
];

pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The object that events of this `object_type` tell of. Close adds types of tasks, so each `task.…` is a task.
pub(crate) fn kind_of_event(object_type: &str) -> Option<&'static Kind> {
    let known = KINDS.iter().find(|kind| kind.events.contains(&object_type));
    known.or_else(|| if object_type.starts_with("task.") { kind(crm::TASK.name) } else { None })
}
