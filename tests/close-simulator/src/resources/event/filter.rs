//! Filters of the log: the combinations of section 6.1, each with bounds of `date_updated`.

use crate::{
    http::Request,
    model::{Id, Moment, Refusal},
    world::{
        events::{By, Event},
        switches::Unlisted,
        view::View,
    },
};

const OBJECT_TYPE: u8 = 1;
const OBJECT_ID: u8 = 2;
const LEAD_ID: u8 = 4;
const ACTION: u8 = 8;
const USER_ID: u8 = 16;
const REQUEST_ID: u8 = 32;

const NAMES: [(&str, u8); 6] = [
    ("object_type", OBJECT_TYPE),
    ("object_id", OBJECT_ID),
    ("lead_id", LEAD_ID),
    ("action", ACTION),
    ("user_id", USER_ID),
    ("request_id", REQUEST_ID),
];

/// The combinations that Close lists, and no filter at all.
const LISTED: [u8; 16] = [
    0,
    OBJECT_TYPE | OBJECT_ID,
    OBJECT_TYPE | ACTION,
    OBJECT_ID | ACTION,
    LEAD_ID | OBJECT_TYPE,
    LEAD_ID | OBJECT_TYPE | ACTION,
    LEAD_ID | USER_ID | OBJECT_TYPE,
    LEAD_ID | USER_ID | OBJECT_TYPE | ACTION,
    LEAD_ID | USER_ID,
    USER_ID | OBJECT_ID,
    USER_ID | OBJECT_ID | ACTION,
    USER_ID | OBJECT_TYPE,
    USER_ID | OBJECT_TYPE | ACTION,
    LEAD_ID,
    USER_ID,
    REQUEST_ID,
];

/// The value of an id filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Any,
    One(Id),
    /// Not an id of this organization: nothing matches.
    Nobodys,
}

impl Wanted {
    fn one(self) -> Option<Id> {
        match self {
            Self::One(id) => Some(id),
            Self::Any | Self::Nobodys => None,
        }
    }

    fn is(self, id: Option<Id>) -> bool {
        match self {
            Self::Any => true,
            Self::One(wanted) => id == Some(wanted),
            Self::Nobodys => false,
        }
    }
}

/// The filters of a request.
#[derive(Debug)]
pub(super) struct Filter<'r> {
    object_type: Option<&'r str>,
    action: Option<&'r str>,
    object: Wanted,
    lead: Wanted,
    user: Wanted,
    request: Wanted,
}

impl<'r> Filter<'r> {
    /// Reads the parameters; an empty one counts as absent.
    pub(super) fn read(view: &View<'_>, request: &'r Request) -> Result<Self, Refusal> {
        let text = |name: &str| request.param(name).filter(|text| !text.is_empty());
        let given = NAMES.iter().filter(|(name, _)| text(name).is_some());
        let combination = given.clone().fold(0, |all, (_, bit)| all | bit);
        if view.switches().event_filters == Unlisted::Refuse && !LISTED.contains(&combination) {
            let names: Vec<&str> = given.map(|(name, _)| *name).collect();
            return Err(Refusal::bad(format!("Unsupported combination of filters: {}.", names.join(", "))));
        }
        let id = |name: &str| match text(name) {
            None => Wanted::Any,
            Some(text) => view.parse_id(text).map_or(Wanted::Nobodys, Wanted::One),
        };
        Ok(Self {
            object_type: text("object_type"),
            action: text("action"),
            object: id("object_id"),
            lead: id("lead_id"),
            user: id("user_id"),
            request: id("request_id"),
        })
    }

    /// Returns true if nothing can match.
    pub(super) fn is_nothing(&self) -> bool {
        [self.object, self.lead, self.user, self.request].contains(&Wanted::Nobodys)
    }

    /// The narrowest part of the log that holds all matches.
    pub(super) fn by(&self) -> By<'r> {
        match (self.object.one(), self.request.one(), self.lead.one(), self.user.one()) {
            (Some(object), ..) => By::Object(object),
            (_, Some(request), ..) => By::Request(request),
            (_, _, Some(lead), _) => By::Lead(lead),
            (.., user) => match (self.object_type, self.action, user) {
                (Some(object_type), _, Some(user)) => By::UserOn(user, object_type),
                (Some(object_type), Some(action), None) => By::Action(object_type, action),
                (.., Some(user)) => By::User(user),
                _ => By::All,
            },
        }
    }

    pub(super) fn matches(&self, event: &Event) -> bool {
        self.object_type.is_none_or(|name| name == event.object_type)
            && self.action.is_none_or(|name| name == event.action)
            && self.object.is(Some(event.object))
            && self.lead.is(event.lead)
            && self.user.is(event.user)
            && self.request.is(event.request)
    }
}

/// Bounds of `date_updated`, both inclusive, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from: Moment,
    pub(super) to: Moment,
}

impl Bounds {
    pub(super) const NONE: Self = Self { from: Moment(i64::MIN), to: Moment::LAST };

    /// Reads `date_updated__gt` and the other bounds.
    pub(super) fn read(request: &Request) -> Result<Self, Refusal> {
        let mut bounds = Self::NONE;
        if let Some(at) = request.moment("date_updated__gt")? {
            bounds.from = bounds.from.max(Moment(at.0.saturating_add(1)));
        }
        if let Some(at) = request.moment("date_updated__gte")? {
            bounds.from = bounds.from.max(at);
        }
        if let Some(at) = request.moment("date_updated__lt")? {
            bounds.to = bounds.to.min(Moment(at.0.saturating_sub(1)));
        }
        if let Some(at) = request.moment("date_updated__lte")? {
            bounds.to = bounds.to.min(at);
        }
        Ok(bounds)
    }
}
