//! Meaning of the parts of the legacy query text for objects of a type.

use super::{
    advanced,
    condition::{Bounds, Condition, Loose, Op},
    field::Field,
    moments::{self, Interval},
    order::Order,
    query::{Node, Query},
    text::{self, Literal, Term},
    types::{self, CONTACT, LEAD, OPPORTUNITY, Part, Target},
    words::{Mode, Words},
};
use crate::{
    model::{Kind, Moment},
    world::view::View,
};

/// The meaning of a text for objects of a type; `offset_minutes` is the offset of the caller's days.
pub fn query(view: &View<'_>, target: Target, text: &str, offset_minutes: i32) -> Query {
    nested(view, target, text, offset_minutes, 0)
}

/// As [`query`], inside `depth` saved searches.
pub fn nested(view: &View<'_>, target: Target, text: &str, offset_minutes: i32, depth: usize) -> Query {
    let mut reader = Reader { view, now: view.world.clock.now(), offset_minutes, depth, orders: Vec::new() };
    let node = reader.node(target, &text::read(text));
    Query { node, orders: reader.orders }
}

struct Reader<'v> {
    view: &'v View<'v>,
    now: Moment,
    offset_minutes: i32,
    depth: usize,
    orders: Vec<Order>,
}

/// Synonyms of properties: the kind, the synonym, and the property.
const SYNONYMS: &[(Option<Kind>, &str, &str)] = &[
    (Some(Kind::Lead), "company", "name"),
    (Some(Kind::Lead), "lead_name", "name"),
    (Some(Kind::Lead), "lead_status", "status_id"),
    (Some(Kind::Lead), "website", "url"),
    (Some(Kind::Task), "due_date", "date"),
    (Some(Kind::Task), "complete", "is_complete"),
    (Some(Kind::Task), "user", "assigned_to"),
    (None, "created", "date_created"),
    (None, "updated", "date_updated"),
    (None, "status", "status_id"),
    (None, "user", "user_id"),
    (None, "pipeline", "pipeline_id"),
    (None, "sequence", "sequence_id"),
    (None, "template", "template_id"),
    (None, "outcome", "outcome_id"),
];

/// Properties of a lead that belong to its contacts and addresses.
const OF_PARTS: &[(&str, &str, &str)] = &[
    ("email", "contact_email", "email"),
    ("email_address", "contact_email", "email"),
    ("phone", "contact_phone", "phone"),
    ("phone_number", "contact_phone", "phone"),
    ("contact_name", "contact", "name"),
    ("contact_title", "contact", "title"),
    ("title", "contact", "title"),
    ("city", "address", "city"),
    ("state", "address", "state"),
    ("zip", "address", "zipcode"),
    ("zipcode", "address", "zipcode"),
    ("country", "address", "country"),
];

impl Reader<'_> {
    fn node(&mut self, target: Target, term: &Term) -> Node {
        match term {
            Term::Every => Node::Every,
            Term::Word(word) => words(word),
            Term::Phrase(phrase) => Node::Words(Words::new(phrase, Mode::Phrase)),
            Term::Not(term) => Node::Not(Box::new(self.node(target, term))),
            Term::All(terms) => Node::All(terms.iter().map(|term| self.node(target, term)).collect()),
            Term::Any(terms) => Node::Any(terms.iter().map(|term| self.node(target, term)).collect()),
            Term::OneOf(name, literals) => {
                Node::Any(literals.iter().map(|literal| self.property(target, name, Op::Is, literal)).collect())
            }
            Term::Related(name, inside) => match related(target, name) {
                Some(other) => Node::Related(other, Box::new(self.node(other, inside))),
                None => Node::All(vec![words(name), self.node(target, inside)]),
            },
            Term::Property(name, Op::IsNot, literal) => {
                Node::Not(Box::new(self.property(target, name, Op::Is, literal)))
            }
            Term::Property(name, op, literal) => self.property(target, name, *op, literal),
        }
    }

    fn property(&mut self, target: Target, name: &str, op: Op, literal: &Literal) -> Node {
        let lower = name.to_lowercase();
        let text = match literal {
            Literal::Every => "*",
            Literal::Text(text) => text,
        };
        match lower.as_str() {
            "sort" => {
                self.orders.extend(self.order(target, text));
                return Node::Every;
            }
            "slice" => return slice(text),
            "in" => return self.saved(target, text),
            "has" => {
                if let Some(other) = related(target, text) {
                    return Node::Related(other, Box::new(Node::Every));
                }
            }
            _ => {}
        }
        self.known(target, &lower, name, op, literal).unwrap_or_else(|| words(&format!("{name} {text}")))
    }

    fn known(&self, target: Target, lower: &str, name: &str, op: Op, literal: &Literal) -> Option<Node> {
        if let Some((_, other, member)) = OF_PARTS.iter().find(|(name, ..)| *name == lower)
            && let Some(other) = types::named(other).map(|one| one.target)
            && (target == LEAD || target == CONTACT && matches!(other, Target::Part(Part::Email | Part::Phone)))
        {
            return Some(Node::Related(other, Box::new(self.known(other, member, member, op, literal)?)));
        }
        if (target == LEAD || target == CONTACT)
            && let Some(other) = related(target, lower)
        {
            return Some(match literal {
                Literal::Every => Node::Related(other, Box::new(Node::Every)),
                Literal::Text(text) => match text.parse::<f64>() {
                    Ok(number) => Node::Field(target, Field::Count(other), Condition::Numbers(bounds(op, number))),
                    Err(_) => Node::Related(other, Box::new(words(text))),
                },
            });
        }
        if target == OPPORTUNITY && lower == "status" {
            let named = ["status_id", "status_type"].into_iter().filter_map(|name| self.field(target, name));
            return Some(Node::Any(named.map(|field| self.compared(target, field, op, literal)).collect()));
        }
        if lower.starts_with("custom.") {
            // An unknown custom field has no values; it is not read as words.
            let field = Field::named(self.view, target, &format!("custom.{}", &name["custom.".len()..]));
            return Some(field.map_or(Node::Nothing, |field| self.compared(target, field, op, literal)));
        }
        if let Some(field) = self.field(target, lower) {
            return Some(self.compared(target, field, op, literal));
        }
        // `opportunity_value`, `call_duration`, `task_date`: a property of a child.
        for one in types::TYPES {
            for prefix in one.names {
                let Some(rest) = lower.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')) else { continue };
                if let Some(field) = self.field(one.target, rest) {
                    return Some(Node::Related(one.target, Box::new(self.compared(one.target, field, op, literal))));
                }
            }
        }
        Field::custom(self.view, name).map(|field| self.compared(target, field, op, literal))
    }

    /// The property of a name or of one of its synonyms.
    fn field(&self, target: Target, name: &str) -> Option<Field> {
        if let Some(field) = Field::named(self.view, target, name) {
            return Some(field);
        }
        let kinds = match target {
            Target::Records(kinds) => kinds,
            Target::Part(_) => return None,
        };
        // Activities have no field `date`.
        if name == "date" && kinds.iter().all(|kind| kind.is_activity()) {
            return Some(Field::Created);
        }
        let synonym =
            SYNONYMS.iter().find(|(kind, from, _)| *from == name && kind.is_none_or(|kind| kinds == [kind]))?.2;
        Field::named(self.view, target, synonym)
    }

    fn compared(&self, target: Target, field: Field, op: Op, literal: &Literal) -> Node {
        let text = match literal {
            Literal::Every => return Node::Field(target, field, Condition::Exists),
            Literal::Text(text) if text.is_empty() && op == Op::Is => {
                return Node::Not(Box::new(Node::Field(target, field, Condition::Exists)));
            }
            Literal::Text(text) => text,
        };
        let id = match (&**text, self.view.caller) {
            ("me", Some(caller)) => Some(caller.user),
            _ => self.view.parse_id(text),
        };
        let within = moments::legacy(text, self.now, self.offset_minutes).map(|(first, after)| match op {
            Op::Is | Op::IsNot => Interval { from: Some(first), before: Some(after) },
            Op::Gt => Interval { from: Some(after), before: None },
            Op::Gte => Interval { from: Some(first), before: None },
            Op::Lt => Interval { from: None, before: Some(first) },
            Op::Lte => Interval { from: None, before: Some(after) },
        });
        let loose = Loose {
            op,
            words: Words::new(text, Mode::Phrase),
            number: text.parse().ok(),
            id,
            within,
            offset_minutes: self.offset_minutes,
            text: text.clone(),
        };
        Node::Field(target, field, Condition::Loose(Box::new(loose)))
    }

    fn order(&self, target: Target, text: &str) -> Option<Order> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let lower = name.to_lowercase();
        let field = related(target, &lower)
            .map(Field::Count)
            .or_else(|| self.field(target, &lower))
            .or_else(|| Field::custom(self.view, name.strip_prefix("custom.")?))?;
        Some(Order { target, field, descending })
    }

    fn saved(&self, target: Target, text: &str) -> Node {
        advanced::saved_search(self.view, target, text, self.offset_minutes, self.depth).unwrap_or(Node::Nothing)
    }
}

/// The type of related objects with a name. The `emails` of a contact are its addresses, those of a lead are messages.
fn related(target: Target, name: &str) -> Option<Target> {
    match (target.only(), name) {
        (Some(Kind::Contact), "emails" | "email") => Some(Target::Part(Part::Email)),
        _ => types::named(name).map(|one| one.target).filter(|other| *other != target),
    }
}

fn words(text: &str) -> Node {
    let mode = if text.contains(char::is_whitespace) {
        Mode::FullWords
    } else if text.ends_with('*') {
        Mode::Beginnings
    } else {
        // A word of several parts, such as `acme-corp` or an address.
        Mode::Phrase
    };
    Node::Words(Words::new(text, mode))
}

fn bounds(op: Op, number: f64) -> Bounds {
    let some = Some(number);
    match op {
        Op::Is | Op::IsNot => Bounds { gte: some, lte: some, ..Bounds::default() },
        Op::Gt => Bounds { gt: some, ..Bounds::default() },
        Op::Gte => Bounds { gte: some, ..Bounds::default() },
        Op::Lt => Bounds { lt: some, ..Bounds::default() },
        Op::Lte => Bounds { lte: some, ..Bounds::default() },
    }
}

/// `slice:2/5`: each object is in exactly one of the five slices.
fn slice(text: &str) -> Node {
    let parts = text
        .split_once('/')
        .and_then(|(slice, slices)| Some((slice.trim().parse().ok()?, slices.trim().parse().ok()?)));
    match parts {
        Some((slice, slices)) if slices > 0 => Node::Slice(slice, slices),
        _ => Node::Every,
    }
}
