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
    pub id: Id,
    /// `type` of the definition.
    pub ty: &'static str,
    pub multiple: bool,
    pub choices: Vec<Arc<str>>,
    /// Share of records that have a value.
    pub share: f64,
}

/// A user as generators need it.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: Id,
    /// First and last name.
    pub name: Arc<str>,
    pub email: Arc<str>,
}

#[derive(Clone, Copy, Debug)]
pub struct DealStatus {
    pub id: Id,
    pub pipeline: Id,
    /// `active`, `won` or `lost`.
    pub ty: &'static str,
}

pub struct Ground {
    /// Seed of the data set.
    pub seed: u64,
    /// The founding of the organization.
    pub born: Moment,
    /// The end of the generated past; the event log covers everything later.
    pub settled: Moment,
    /// The organization's time.
    pub now: Moment,
    pub people: Vec<Person>,
    /// Removed users that records still name.
    pub former: Vec<Id>,
    pub statuses: Vec<Id>,
    pub deal_statuses: Vec<DealStatus>,
    pub lead_fields: Vec<CustomField>,
    pub contact_fields: Vec<CustomField>,
    pub opportunity_fields: Vec<CustomField>,
    /// Types of custom activities with their fields.
    pub activity_types: Vec<(Id, Vec<CustomField>)>,
    /// Types of custom objects with their fields.
    pub object_types: Vec<(Id, Vec<CustomField>)>,
    pub sequences: Vec<Id>,
    pub templates: Vec<Id>,
    /// Connected mailboxes with their user and address.
    pub accounts: Vec<(Id, Person)>,
    /// Phone numbers of the organization.
    pub numbers: Vec<Arc<str>>,
    pub outcomes: Vec<Id>,
    /// Finished imports: their ids and times.
    pub imports: Vec<(Id, Moment)>,
    pub library: Library,
}

impl Ground {
    /// The ground after the foundation.
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
    pub fn of(user: &Record) -> Self {
        let text = |name| match user.get(name) {
            Some(Value::Text(text)) => Arc::clone(text),
            _ => Arc::from(""),
        };
        Self { id: user.id, name: text("full_name"), email: text("email") }
    }
}
