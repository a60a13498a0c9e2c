//! A query as it is tested against one object after another, whether it came as a tree or as text.

use super::{
    condition::Condition,
    field::Field,
    order::Order,
    types::{Part, Subject, Target},
    words::{Search, Words},
};
use crate::{
    model::{Id, Key, Kind, Moment, Record, Value},
    world::view::View,
};

/// A query with its order.
#[derive(Clone)]
pub struct Query {
    /// The condition.
    pub node: Node,
    /// Empty for no particular order.
    pub orders: Vec<Order>,
}

/// A condition on an object.
#[derive(Clone)]
pub enum Node {
    /// Always true.
    Every,
    /// Never true.
    Nothing,
    Not(Box<Node>),
    /// All are true.
    All(Vec<Node>),
    /// At least one is true.
    Any(Vec<Node>),
    /// The object has a type.
    Type(Target),
    /// The object has this id.
    Id(Id),
    /// Words in its texts and in those of objects shown with it.
    Words(Words),
    /// It is related to an object of a type that fulfills the node.
    Related(Target, Box<Node>),
    /// A property of a type's object fulfills the condition.
    Field(Target, Field, Condition),
    /// The object is in one of several slices of equal size: index, number of slices.
    Slice(u64, u64),
}

/// The texts of an object that free words search; all custom fields besides.
const TEXTS: &[&str] = &["name", "description", "url", "title", "note", "text", "subject", "body_text", "user_note"];

impl Node {
    /// Returns true if the subject fulfills the condition.
    pub fn holds<'v>(&self, view: &'v View<'_>, subject: Subject<'v>) -> bool {
        match self {
            Node::Every => true,
            Node::Nothing => false,
            Node::Not(node) => !node.holds(view, subject),
            Node::All(nodes) => nodes.iter().all(|node| node.holds(view, subject)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(view, subject)),
            Node::Type(target) => target.fits(subject),
            Node::Id(id) => matches!(subject, Subject::Record(record) if record.id == *id),
            Node::Words(words) => {
                let mut search = words.search();
                texts(view, subject, &mut search);
                search.found()
            }
            Node::Related(target, node) => target.any(view, subject, &mut |other| node.holds(view, other)),
            Node::Field(target, field, condition) => target.fits(subject) && condition.holds(view, field, subject),
            Node::Slice(slice, slices) => subject.record().id.serial() % slices == slice % slices,
        }
    }

    /// The kinds out of `of` that can match.
    pub fn kinds(&self, of: &[Kind]) -> Vec<Kind> {
        let set = self.kind_set();
        of.iter().copied().filter(|kind| set & (1 << *kind as u8) != 0).collect()
    }

    fn kind_set(&self) -> u128 {
        match self {
            Node::Type(Target::Records(kinds)) | Node::Field(Target::Records(kinds), ..) => {
                kinds.iter().fold(0, |set, kind| set | 1 << *kind as u8)
            }
            Node::Type(Target::Part(_)) | Node::Nothing => 0,
            Node::Not(node) => match &**node {
                Node::Type(_) => !node.kind_set(),
                _ => u128::MAX,
            },
            Node::All(nodes) => nodes.iter().fold(u128::MAX, |set, node| set & node.kind_set()),
            Node::Any(nodes) => nodes.iter().fold(0, |set, node| set | node.kind_set()),
            Node::Id(id) => 1 << id.kind() as u8,
            _ => u128::MAX,
        }
    }

    /// Bounds of `date_created`, both inclusive, that contain every match.
    pub fn created(&self) -> (Moment, Moment) {
        let ever = (Moment(i64::MIN), Moment::LAST);
        match self {
            Node::All(nodes) => {
                nodes.iter().map(Node::created).fold(ever, |all, one| (all.0.max(one.0), all.1.min(one.1)))
            }
            Node::Field(_, Field::Created, condition) => {
                let within = match condition {
                    Condition::Moments { within, .. } => Some(*within),
                    Condition::Loose(loose) => loose.within,
                    _ => None,
                };
                within.map_or(ever, |within| {
                    (
                        within.from.unwrap_or(ever.0),
                        within.before.map_or(ever.1, |before| Moment(before.0.saturating_sub(1))),
                    )
                })
            }
            _ => ever,
        }
    }

    /// The only object that can match, if the query names one.
    pub fn only(&self) -> Option<Id> {
        match self {
            Node::Id(id) => Some(*id),
            Node::All(nodes) => nodes.iter().find_map(Node::only),
            _ => None,
        }
    }
}

fn texts<'v>(view: &'v View<'_>, subject: Subject<'v>, search: &mut Search<'_>) {
    let record = match subject {
        Subject::Part(_, part, entry) => return entry_texts(part, entry, search),
        Subject::Record(record) => record,
    };
    own_texts(record, search);
    match record.kind() {
        Kind::Lead => {
            for entry in record.get(Part::Address.list()).map(Value::items).unwrap_or_default() {
                entry_texts(Part::Address, entry, search);
            }
            for contact in view.of_lead(record.id, Kind::Contact) {
                if search.found() {
                    return;
                }
                contact_texts(contact, search);
            }
            for note in view.of_lead(record.id, Kind::Note) {
                if search.found() {
                    return;
                }
                own_texts(note, search);
            }
        }
        Kind::Contact => contact_texts(record, search),
        _ => {}
    }
}

fn own_texts(record: &Record, search: &mut Search<'_>) {
    for (key, value) in &record.fields {
        if let (Key::Custom(_), Value::Text(text)) = (key, value) {
            search.read(text);
        } else if let (Key::Name(name), Value::Text(text)) = (key, value)
            && TEXTS.contains(name)
        {
            search.read(text);
        }
        if search.found() {
            return;
        }
    }
}

fn contact_texts(contact: &Record, search: &mut Search<'_>) {
    own_texts(contact, search);
    for part in [Part::Email, Part::Phone, Part::Url] {
        for entry in contact.get(part.list()).map(Value::items).unwrap_or_default() {
            entry_texts(part, entry, search);
        }
    }
}

fn entry_texts(part: Part, entry: &Value, search: &mut Search<'_>) {
    let members = if part == Part::Address { part.members() } else { &part.members()[..1] };
    for text in members.iter().filter_map(|member| entry.member(member)).filter_map(Value::as_text) {
        search.read(text);
    }
}
