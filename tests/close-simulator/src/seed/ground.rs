//! The material for leads: the people, statuses, fields and accounts of the organization that generators pick from.

use std::sync::Arc;

use super::library::Library;
use crate::{
    model::{Id, Kind, Moment, Record, Value},
    world::World,
};

/// A custom field as a generator sees it.
#[derive(Clone, Debug)]
pub struct CustomField {
    /// Its definition.
    pub id: Id,
    /// `type` of the definition.
    pub ty: &'static str,
    /// Whether values are lists.
    pub multiple: bool,
    /// The choices, if it has them.
    pub choices: Vec<Arc<str>>,
    /// Share of records that have a value.
    pub share: f64,
}

/// A person of the organization.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user.
    pub id: Id,
    /// First and last name.
    pub name: Arc<str>,
    /// The address.
    pub email: Arc<str>,
}

/// A status of opportunities.
#[derive(Clone, Copy, Debug)]
pub struct DealStatus {
    /// The status.
    pub id: Id,
    /// Its pipeline.
    pub pipeline: Id,
    /// `active`, `won` or `lost`.
    pub ty: &'static str,
}

/// Everything that leads are made from.
pub struct Ground {
    /// Of the data set.
    pub seed: u64,
    /// When the organization was founded.
    pub born: Moment,
    /// Until when the generated past reaches; what came later is told by the event log.
    pub settled: Moment,
    /// The organization's time.
    pub now: Moment,
    /// Members.
    pub people: Vec<Person>,
    /// Users that were removed and are still named by what they did.
    pub former: Vec<Id>,
    /// Statuses of leads.
    pub statuses: Vec<Id>,
    /// Statuses of opportunities.
    pub deal_statuses: Vec<DealStatus>,
    /// Custom fields of leads.
    pub lead_fields: Vec<CustomField>,
    /// Custom fields of contacts.
    pub contact_fields: Vec<CustomField>,
    /// Custom fields of opportunities.
    pub opportunity_fields: Vec<CustomField>,
    /// Types of custom activities with their fields.
    pub activity_types: Vec<(Id, Vec<CustomField>)>,
    /// Types of custom objects with their fields.
    pub object_types: Vec<(Id, Vec<CustomField>)>,
    /// Sequences.
    pub sequences: Vec<Id>,
    /// Email templates.
    pub templates: Vec<Id>,
    /// Connected mailboxes with their user and address.
    pub accounts: Vec<(Id, Person)>,
    /// Numbers of the organization.
    pub numbers: Vec<Arc<str>>,
    /// Outcomes of calls and of meetings.
    pub outcomes: Vec<Id>,
    /// Imports that were done: their ids and when.
    pub imports: Vec<(Id, Moment)>,
    /// Shared texts.
    pub library: Library,
}

impl Ground {
    /// The ground as the foundation left it.
    pub fn new(world: &World, settled: Moment) -> Self {
        let all = |kind: Kind| -> Vec<Arc<Record>> {
            world
                .store
                .of_kind(kind, Moment::FIRST, Moment::LAST)
                .filter_map(|id| world.store.get(id).cloned())
                .collect()
        };
        let deal_statuses = all(Kind::OpportunityStatus)
            .iter()
            .filter_map(|status| {
                let ty = match status.text("type")? {
                    "won" => "won",
                    "lost" => "lost",
                    _ => "active",
                };
                Some(DealStatus { id: status.id, pipeline: status.id_of("pipeline_id")?, ty })
            })
            .collect();
        let born = world.store.get(world.organization()).map_or(settled, |organization| organization.created);
        let (mut people, mut former) = (Vec::new(), Vec::new());
        for membership in all(Kind::Membership) {
            let Some(user) = membership.id_of("user_id").and_then(|id| world.store.get(id)) else { continue };
            if membership.is("is_active") {
                people.push(Person::of(user));
            } else {
                former.push(user.id);
            }
        }
        Self {
            seed: world.seed,
            born,
            settled,
            now: world.clock.now(),
            people,
            former,
            statuses: all(Kind::LeadStatus).iter().map(|status| status.id).collect(),
            deal_statuses,
            lead_fields: vec![CustomField {
                id: Id::new(Kind::CustomField, 1),
                ty: "user",
                multiple: false,
                choices: Vec::new(),
                share: 0.7,
            }],
            contact_fields: Vec::new(),
            opportunity_fields: Vec::new(),
            activity_types: Vec::new(),
            object_types: Vec::new(),
            sequences: Vec::new(),
            templates: Vec::new(),
            accounts: Vec::new(),
            numbers: Vec::new(),
            outcomes: Vec::new(),
            imports: Vec::new(),
            library: Library::new(world.seed),
        }
    }
}

impl Person {
    /// The person of a user's record.
    pub fn of(user: &Record) -> Self {
        let text = |name| match user.get(name) {
            Some(Value::Text(text)) => Arc::clone(text),
            _ => Arc::from(""),
        };
        Self { id: user.id, name: text("full_name"), email: text("email") }
    }
}
