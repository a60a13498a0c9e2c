//! The types of objects that a search can name, and how objects are related: lead to contacts, contact to its email
//! addresses, call to its lead. Addresses of all sorts are parts of a contact or lead, not objects.

use crate::{
    model::{Kind, Record, Value},
    world::view::View,
};

/// Entries of a list inside a contact or lead that search treats as objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `emails` of a contact.
    Email,
    /// `phones` of a contact.
    Phone,
    /// `urls` of a contact.
    Url,
    /// `addresses` of a lead.
    Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Records(&'static [Kind]),
    Part(Part),
}

/// A type by its names; answers carry the first one.
pub struct ObjectType {
    /// In lower case; plurals are those of the legacy query.
    pub names: &'static [&'static str],
    pub target: Target,
}

pub const LEAD: Target = Target::Records(&[Kind::Lead]);
pub const CONTACT: Target = Target::Records(&[Kind::Contact]);
pub const OPPORTUNITY: Target = Target::Records(&[Kind::Opportunity]);
/// Tasks that people create.
pub const TASK: Target = Target::Records(&[Kind::Task]);

const fn records(names: &'static [&'static str], kinds: &'static [Kind]) -> ObjectType {
    ObjectType { names, target: Target::Records(kinds) }
}

const fn part(names: &'static [&'static str], part: Part) -> ObjectType {
    ObjectType { names, target: Target::Part(part) }
}

/// Every type. Leads and contacts come first: the public endpoint returns only them (reference, section 2.6).
pub static TYPES: &[ObjectType] = &[
    records(&["lead", "leads"], &[Kind::Lead]),
    records(&["contact", "contacts"], &[Kind::Contact]),
    records(&["opportunity", "opportunities", "opps"], &[Kind::Opportunity]),
    records(&["task", "tasks", "lead_task"], &[Kind::Task]),
    records(&["call", "calls"], &[Kind::Call]),
    records(&["email", "emails"], &[Kind::Email]),
    records(&["email_thread", "email_threads"], &[Kind::EmailThread]),
    records(&["sms", "sms_messages", "sms_message", "texts"], &[Kind::Sms]),
    records(&["whatsapp_message", "whatsapp_messages"], &[Kind::WhatsAppMessage]),
    records(&["meeting", "meetings"], &[Kind::Meeting]),
    records(&["note", "notes"], &[Kind::Note]),
    records(&["custom_activity", "custom_activities"], &[Kind::CustomActivity]),
    records(&["form_submission", "form_submissions"], &[Kind::FormSubmission]),
    records(&["lead_status_change", "lead_status_changes"], &[Kind::LeadStatusChange]),
    records(&["opportunity_status_change", "opportunity_status_changes"], &[Kind::OpportunityStatusChange]),
    records(&["task_completed"], &[Kind::TaskCompleted]),
    records(&["created_activity"], &[Kind::Created]),
    records(&["custom_object", "custom_objects"], &[Kind::CustomObject]),
    records(
        &["sequence_subscription", "sequence_subscriptions", "email_sequence_subscription"],
        &[Kind::SequenceSubscription],
    ),
    records(&["activity", "activities"], Kind::ACTIVITIES),
    part(&["contact_email", "email_address", "email_addresses"], Part::Email),
    part(&["contact_phone", "phone", "phones", "phone_number", "phone_numbers"], Part::Phone),
    part(&["contact_url", "urls"], Part::Url),
    part(&["address", "addresses"], Part::Address),
];

/// The type of this name; types of activities may be written `activity.call`.
pub fn named(name: &str) -> Option<&'static ObjectType> {
    let name = name.strip_prefix("activity.").unwrap_or(name);
    TYPES.iter().find(|one| one.names.contains(&name))
}

/// The name that answers give to objects of a kind.
pub fn name_of(kind: Kind) -> &'static str {
    TYPES.iter().find(|one| one.target.only() == Some(kind)).map_or("object", |one| one.names[0])
}

/// The subject of a condition.
#[derive(Clone, Copy)]
pub enum Subject<'v> {
    Record(&'v Record),
    /// An entry of a list, with its owner.
    Part(&'v Record, Part, &'v Value),
}

impl<'v> Subject<'v> {
    /// The object, or the owner of the entry.
    pub fn record(self) -> &'v Record {
        match self {
            Subject::Record(record) | Subject::Part(record, ..) => record,
        }
    }
}

impl Part {
    /// The field of the owner that lists it.
    pub fn list(self) -> &'static str {
        match self {
            Part::Email => "emails",
            Part::Phone => "phones",
            Part::Url => "urls",
            Part::Address => "addresses",
        }
    }

    /// The members that a query can name; the first is the entry's value.
    pub fn members(self) -> &'static [&'static str] {
        match self {
            Part::Email => &["email", "type", "is_unsubscribed"],
            Part::Phone => &["phone", "type", "country"],
            Part::Url => &["url", "type"],
            Part::Address => &["city", "address_1", "address_2", "state", "zipcode", "country", "label"],
        }
    }
}

impl Target {
    /// The kind, if there is only one.
    pub fn only(self) -> Option<Kind> {
        match self {
            Target::Records([kind]) => Some(*kind),
            _ => None,
        }
    }

    /// Returns true if the subject has the type.
    pub fn fits(self, subject: Subject<'_>) -> bool {
        match (self, subject) {
            (Target::Records(kinds), Subject::Record(record)) => kinds.contains(&record.kind()),
            (Target::Part(part), Subject::Part(_, of, _)) => part == of,
            _ => false,
        }
    }

    /// Calls `visit` for each related object of the type until it returns true; returns whether it did.
    pub fn any<'v>(self, view: &'v View<'_>, from: Subject<'v>, visit: &mut dyn FnMut(Subject<'v>) -> bool) -> bool {
        let record = from.record();
        let lead = if record.kind() == Kind::Lead { Some(record.id) } else { record.lead };
        match self {
            Target::Records([Kind::Lead]) => {
                lead.and_then(|id| view.get(id)).is_some_and(|lead| visit(Subject::Record(lead)))
            }
            Target::Records([Kind::Contact]) => match record.kind() {
                Kind::Lead => view.of_lead(record.id, Kind::Contact).any(|contact| visit(Subject::Record(contact))),
                Kind::Contact => visit(Subject::Record(record)),
                _ => record
                    .id_of("contact_id")
                    .and_then(|id| view.get(id))
                    .is_some_and(|contact| visit(Subject::Record(contact))),
            },
            Target::Records(kinds) => {
                let Some(lead) = lead else { return false };
                let contact = (record.kind() == Kind::Contact).then_some(record.id);
                kinds.iter().any(|kind| {
                    view.of_lead(lead, *kind)
                        .filter(|other| contact.is_none() || other.id_of("contact_id") == contact)
                        .any(|other| visit(Subject::Record(other)))
                })
            }
            Target::Part(part) => match (record.kind(), part) {
                (Kind::Lead, Part::Email | Part::Phone | Part::Url) => {
                    view.of_lead(record.id, Kind::Contact).any(|contact| entries(contact, part, visit))
                }
                (Kind::Lead, Part::Address) | (Kind::Contact, _) => entries(record, part, visit),
                _ => false,
            },
        }
    }

    /// The number of related objects of the type.
    pub fn count(self, view: &View<'_>, from: Subject<'_>) -> usize {
        let mut count = 0;
        self.any(view, from, &mut |_| {
            count += 1;
            false
        });
        count
    }
}

fn entries<'v>(record: &'v Record, part: Part, visit: &mut dyn FnMut(Subject<'v>) -> bool) -> bool {
    record
        .get(part.list())
        .is_some_and(|list| list.items().iter().any(|entry| visit(Subject::Part(record, part, entry))))
}
