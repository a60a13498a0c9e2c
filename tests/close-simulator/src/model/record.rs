//! One object as it is stored: the values that cannot be computed from other objects, compactly.
//!
//! Labels, names of users and nested objects are not stored here: `render` looks them up, so that a rename shows
//! everywhere immediately (reference, section 12, item 20).

use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Day, Id, Kind, Moment};

/// The name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// As it is written.
    Name(&'static str),
    /// A custom field by its definition, written `custom.cf_…`.
    Custom(Id),
}

/// One value. 24 bytes; cheap to clone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Null,
    Bool(bool),
    /// An integer or decimal, as in JSON.
    Number(#[serde(with = "number")] serde_json::Number),
    Text(Arc<str>),
    Moment(Moment),
    Day(Day),
    Id(Id),
    List(Arc<[Value]>),
    Object(Arc<[(Key, Value)]>),
    /// Any JSON, stored compactly and returned as received.
    Json(Arc<str>),
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: Id,
    /// Its lead; `None` for a lead itself and for objects without a lead.
    pub lead: Option<Id>,
    /// `date_created`.
    pub created: Moment,
    /// `date_updated`.
    pub updated: Moment,
    /// `created_by`.
    pub author: Option<Id>,
    /// `updated_by`.
    pub editor: Option<Id>,
    /// Fields that are set, in no guaranteed order; a missing field is unset.
    pub fields: Vec<(Key, Value)>,
}

impl Record {
    /// An object without fields, created at a moment.
    pub fn new(id: Id, created: Moment) -> Self {
        Self { id, lead: None, created, updated: created, author: None, editor: None, fields: Vec::new() }
    }

    pub fn kind(&self) -> Kind {
        self.id.kind()
    }

    /// The value of a field; `None` and [`Value::Null`] both mean unset.
    pub fn value(&self, key: Key) -> Option<&Value> {
        self.fields.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The value of a field that is not a custom field.
    pub fn get(&self, name: &'static str) -> Option<&Value> {
        self.value(Key::Name(name))
    }

    /// The field as text, if it is text.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// The field as a reference, if it is a reference.
    pub fn id_of(&self, name: &'static str) -> Option<Id> {
        self.get(name).and_then(Value::as_id)
    }

    /// Returns true if the field is set and true.
    pub fn is(&self, name: &'static str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    /// The field as an integer, if it is an integer.
    pub fn int(&self, name: &'static str) -> Option<i64> {
        self.get(name).and_then(Value::as_int)
    }

    /// The field as a moment, if it is a moment.
    pub fn moment(&self, name: &'static str) -> Option<Moment> {
        match self.get(name) {
            Some(Value::Moment(at)) => Some(*at),
            _ => None,
        }
    }

    /// Sets a field; null unsets it.
    pub fn put(&mut self, key: Key, value: Value) {
        match self.fields.iter().position(|(k, _)| *k == key) {
            Some(at) if value == Value::Null => {
                self.fields.remove(at);
            }
            Some(at) => self.fields[at].1 = value,
            None if value == Value::Null => {}
            None => self.fields.push((key, value)),
        }
    }

    /// Sets a field that is not a custom field; null unsets it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.put(Key::Name(name), value.into());
    }

    /// Builder form of [`Record::set`].
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }
}

impl Value {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_id(&self) -> Option<Id> {
        match self {
            Value::Id(id) => Some(*id),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The items of a list; empty for other values.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => {
                members.iter().find(|(key, _)| matches!(key, Key::Name(n) if *n == name)).map(|(_, v)| v)
            }
            _ => None,
        }
    }

    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Value::List(items.into_iter().collect())
    }

    /// An object with these members in this order.
    pub fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Value::Object(members.into_iter().map(|(name, value)| (Key::Name(name), value)).collect())
    }

    pub fn json(value: &serde_json::Value) -> Self {
        Value::Json(value.to_string().into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}
impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Value::Text(text)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Number(value.into())
    }
}
impl From<Id> for Value {
    fn from(id: Id) -> Self {
        Value::Id(id)
    }
}
impl From<Moment> for Value {
    fn from(at: Moment) -> Self {
        Value::Moment(at)
    }
}
impl From<Day> for Value {
    fn from(day: Day) -> Self {
        Value::Day(day)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// Returns the one copy of a name for the life of the process: for the few names that come from a file.
pub fn intern(name: &str) -> &'static str {
    static NAMES: parking_lot::Mutex<Option<FxHashSet<&'static str>>> = parking_lot::Mutex::new(None);
    let mut names = NAMES.lock();
    let names = names.get_or_insert_with(FxHashSet::default);
    if let Some(known) = names.get(name) {
        return known;
    }
    let leaked: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(leaked);
    leaked
}

#[derive(Serialize, Deserialize)]
enum StoredKey {
    Name(String),
    Custom(Id),
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Key::Name(name) => StoredKey::Name((*name).to_owned()),
            Key::Custom(id) => StoredKey::Custom(*id),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match StoredKey::deserialize(deserializer)? {
            StoredKey::Name(name) => Key::Name(intern(&name)),
            StoredKey::Custom(id) => Key::Custom(id),
        })
    }
}

/// Numbers by type: `serde_json` reads its own from self-describing formats only.
mod number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use serde_json::Number;

    #[derive(Serialize, Deserialize)]
    enum Stored {
        Int(i64),
        Large(u64),
        Decimal(f64),
    }

    pub(super) fn serialize<S: Serializer>(number: &Number, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Stored::Int(int),
            (None, Some(large)) => Stored::Large(large),
            (None, None) => Stored::Decimal(number.as_f64().unwrap_or(0.0)),
        };
        stored.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Int(int) => int.into(),
            Stored::Large(large) => large.into(),
            Stored::Decimal(value) => Number::from_f64(value).ok_or_else(|| de::Error::custom("no finite number"))?,
        })
    }
}
