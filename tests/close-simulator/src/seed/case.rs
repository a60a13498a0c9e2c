//! One lead with all its objects, generated from its own stream of draws.

use std::sync::Arc;

use super::{
    company, conversation, deal,
    draw::Draw,
    ground::{CustomField, DealStatus, Ground, Person},
    happening, mail,
    plan::Plan,
    sheet::Sheet,
};
use crate::model::{Id, Key, Kind, Moment, Record, Value};

/// A contact as the rest of its lead needs it.
pub struct Somebody {
    pub id: Id,
    /// Empty for a contact without a name.
    pub name: Arc<str>,
    pub email: Option<Arc<str>>,
    pub phone: Option<Arc<str>>,
}

/// A lead that is being generated.
pub struct Case<'g> {
    pub ground: &'g Ground,
    pub draw: Draw,
    /// The counts of its objects.
    pub plan: Plan,
    pub lead: Id,
    /// Date of creation.
    pub born: Moment,
    /// The user who works on it.
    pub owner: &'g Person,
    pub contacts: Vec<Somebody>,
    pub objects: Vec<Id>,
    /// Its opportunities with their statuses.
    pub deals: Vec<(Id, DealStatus)>,
    /// Its completed tasks: id, text, assignee.
    pub done: Vec<(Id, Value, Option<Id>)>,
    /// The last change of any of its objects.
    pub latest: Moment,
    /// The import that created it.
    pub import: Option<Id>,
}

/// The plan of the `index`th lead, without generating it.
pub fn plan(seed: u64, index: u64) -> Plan {
    Plan::draw(&mut Draw::new(seed, index))
}

/// Generates the `index`th lead.
pub fn make(ground: &Ground, index: u64, sheet: &mut Sheet) {
    let mut draw = Draw::new(ground.seed, index);
    let plan = Plan::draw(&mut draw);
    let import = draw.chance(0.12).then(|| *draw.pick(&ground.imports));
    let born = if let Some((_, at)) = import {
        at
    } else {
        // The organization grew: later months have more leads.
        let first = ground.born.plus_days(60);
        let span = ground.settled.plus_days(-1).millis_since(first) as f64;
        let at = first.plus_millis((draw.unit().powf(0.75) * span) as i64);
        draw.moment(at, at.plus_secs(3_600)).min(ground.settled)
    };
    let owner = draw.pick_front(&ground.people);
    let lead = sheet.id(Kind::Lead);
    let mut case = Case {
        ground,
        draw,
        plan,
        lead,
        born,
        owner,
        contacts: Vec::new(),
        objects: Vec::new(),
        deals: Vec::new(),
        done: Vec::new(),
        latest: born,
        import: import.map(|(id, _)| id),
    };
    company::contacts(&mut case, sheet);
    company::objects(&mut case, sheet);
    deal::opportunities(&mut case, sheet);
    deal::tasks(&mut case, sheet);
    deal::notifications(&mut case, sheet);
    conversation::notes(&mut case, sheet);
    conversation::calls(&mut case, sheet);
    conversation::messages(&mut case, sheet);
    mail::threads(&mut case, sheet);
    happening::meetings(&mut case, sheet);
    happening::custom_activities(&mut case, sheet);
    happening::traces(&mut case, sheet);
    happening::subscriptions(&mut case, sheet);
    company::lead(&mut case, sheet);
}

impl Case<'_> {
    /// Returns true with this probability.
    pub fn chance(&mut self, share: f64) -> bool {
        self.draw.chance(share)
    }

    /// A moment after the lead's creation, more often in its first weeks.
    pub fn moment(&mut self) -> Moment {
        let span = self.ground.settled.millis_since(self.born).max(1) as f64;
        let unit = self.draw.unit();
        let from = self.born.plus_millis((unit * unit * span) as i64);
        let to = from.plus_secs(600).min(self.ground.settled);
        self.draw.moment(from.min(to), to)
    }

    /// A moment at or after another, within the past.
    pub fn after(&mut self, at: Moment) -> Moment {
        if at >= self.ground.settled || self.chance(0.5) {
            return at;
        }
        let to = at.plus_days(self.draw.between(0, 20)).min(self.ground.settled);
        self.draw.moment(at, to)
    }

    /// An author: mostly the owner, sometimes a colleague, a former user, or nobody.
    pub fn somebody(&mut self) -> Option<Id> {
        let at = self.draw.unit();
        if at < 0.7 {
            Some(self.owner.id)
        } else if at < 0.9 {
            Some(self.draw.pick_front(&self.ground.people).id)
        } else if at < 0.96 && !self.ground.former.is_empty() {
            Some(*self.draw.pick(&self.ground.former))
        } else {
            None
        }
    }

    /// The index of a contact, or none.
    pub fn contact(&mut self) -> Option<usize> {
        (!self.contacts.is_empty() && self.chance(0.85)).then(|| self.draw.below(self.contacts.len()))
    }

    /// A record of this lead by some author, changed again later in half of the cases.
    pub fn record(&mut self, sheet: &mut Sheet, kind: Kind, at: Moment) -> Record {
        let author = self.somebody();
        let mut record = sheet.record(kind, at, Some(self.lead), author);
        record.updated = self.after(at);
        if record.updated > at && self.chance(0.3) {
            record.editor = self.somebody();
        }
        self.latest = self.latest.max(record.updated);
        record
    }

    /// Gives a record values of custom fields.
    pub fn customize(&mut self, record: &mut Record, fields: &[CustomField]) {
        for field in fields {
            if !self.draw.chance(field.share) {
                continue;
            }
            let value = if field.multiple {
                let mut items = Vec::new();
                for _ in 0..self.draw.tail(1.5, 3) {
                    let item = self.value(field);
                    if item != Value::Null && !items.contains(&item) {
                        items.push(item);
                    }
                }
                if items.is_empty() { Value::Null } else { Value::list(items) }
            } else {
                self.value(field)
            };
            if value != Value::Null {
                record.fields.push((Key::Custom(field.id), value));
            }
        }
    }

    fn value(&mut self, field: &CustomField) -> Value {
        let around = self.born;
        match field.ty {
            "number" if self.draw.chance(0.3) => {
                serde_json::Number::from_f64(self.draw.between(0, 1_000_000) as f64 / 100.0)
                    .map_or(Value::Null, Value::Number)
            }
            "number" => self.draw.between(-5, 5_000).into(),
            "date" => self.draw.day(around, 400, 800).into(),
            "datetime" => Moment(around.0 + self.draw.between(0, 90 * 86_400_000_000)).into(),
            "choices" => Arc::clone(self.draw.pick(&field.choices)).into(),
            "user" => self.somebody().into(),
            "contact" => self.contact().map(|at| self.contacts[at].id).into(),
            "custom_object" if self.objects.is_empty() => Value::Null,
            "custom_object" => (*self.draw.pick(&self.objects)).into(),
            "hidden" if self.draw.chance(0.5) => self.draw.between(1, 1 << 40).into(),
            "hidden" => format!("ext-{:08x}", self.draw.between(0, i64::from(u32::MAX))).into(),
            "textarea" => {
                let at = self.ground.library.note(&mut self.draw);
                Arc::clone(&self.ground.library.notes[at]).into()
            }
            _ if self.draw.chance(0.05) => "".into(),
            _ => Arc::clone(self.draw.pick(&self.ground.library.subjects)).into(),
        }
    }
}
