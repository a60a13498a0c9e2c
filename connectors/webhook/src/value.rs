//! JSON to Avro, value by value, by the agreed schema and strictly.
//!
//! | Avro | JSON |
//! |---|---|
//! | `boolean`, `string` | the same; a string without U+0000, which Postgres cannot hold |
//! | `int`, `long` | a number without point and exponent, in range |
//! | `float`, `double` | a finite number |
//! | `decimal(p,s)` | a number or a string of digits, taken exactly |
//! | `bytes`, `fixed` | a string in padded base64 |
//! | `enum` | a string, one of the symbols |
//! | `uuid`, `date`, `time-*`, `timestamp-*`, `local-timestamp-*` | a string, as `scalar` says |
//! | `record`, `map` | an object; unknown fields of a record are refused, absent ones take their default or null |
//! | `array` | an array |
//! | union | null, or the first branch that fits |

use std::{borrow::Cow, collections::HashMap};

use apache_avro::{
    schema::{DecimalSchema, EnumSchema, InnerDecimalSchema, Name, RecordField, RecordSchema, Schema, UnionSchema},
    types::Value,
};

use crate::{
    json::{Json, Members},
    misfit::{Misfits, Path, Wrong, did_you_mean, expected, quote, show},
    scalar,
};

/// The named types of a schema.
pub(crate) type Names = HashMap<Name, Schema>;

/// A body has at most 10,000 values, each visited once; only nested unions visit one more often.
const MAX_STEPS: u32 = 100_000;

/// One walk over one body.
pub(crate) struct Walk<'s> {
    names: &'s Names,
    steps: u32,
    /// What did not fit so far.
    pub(crate) wrong: Misfits,
}

impl<'s> Walk<'s> {
    pub(crate) fn new(names: &'s Names) -> Self {
        Self { names, steps: 0, wrong: Misfits::default() }
    }

    /// Notes that the value at `at` breaks a rule.
    fn refuse<T>(&mut self, at: &Path<'_>, wrong: Wrong) -> Option<T> {
        self.wrong.add(at, wrong);
        None
    }

    /// The Avro value of `json`; `None` when it does not fit, which is then noted.
    pub(crate) fn value(&mut self, schema: &Schema, json: &Json<'_>, at: &Path<'_>) -> Option<Value> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.refuse(at, Wrong::new("range", "too many ways to read this value"));
        }
        match (schema, json) {
            (Schema::Ref { name }, _) => match self.names.get(name) {
                Some(named) => self.value(named, json, at),
                None => self.refuse(at, Wrong::new("type", format!("the schema does not define `{name}`"))),
            },
            (Schema::Union(union), _) => self.union(union, json, at),
            (Schema::Array(array), Json::Array(items)) => {
                let before = self.wrong.total();
                let value =
                    |(index, item)| self.value(&array.items, item, &Path::Index(at, index)).unwrap_or(Value::Null);
                let values = items.iter().enumerate().map(value).collect();
                (self.wrong.total() == before).then_some(Value::Array(values))
            }
            (Schema::Map(map), Json::Object(members)) => {
                let before = self.wrong.total();
                let mut values = HashMap::with_capacity(members.len());
                for (name, json) in members {
                    let at = &Path::Name(at, name);
                    if let Err(wrong) = storable(name) {
                        self.wrong.add(at, wrong);
                    }
                    values.insert(name.to_string(), self.value(&map.types, json, at).unwrap_or(Value::Null));
                }
                (self.wrong.total() == before).then_some(Value::Map(values))
            }
            (Schema::Record(record), Json::Object(members)) => self.record(record, members, at).map(Value::Record),
            _ => scalar_value(schema, json).map_or_else(|wrong| self.refuse(at, wrong), Some),
        }
    }

    fn union(&mut self, union: &UnionSchema, json: &Json<'_>, at: &Path<'_>) -> Option<Value> {
        let branches = || {
            (0_u32..).zip(union.variants()).filter(|(_, branch)| (**branch == Schema::Null) == (*json == Json::Null))
        };
        let wrap = |index| move |value| Value::Union(index, Box::new(value));
        match (branches().next(), branches().nth(1)) {
            // With one branch in question its own complaint says most.
            (Some((index, branch)), None) => self.value(branch, json, at).map(wrap(index)),
            (None, _) if *json == Json::Null => self.refuse(at, expected(describe(union.variants()), json)),
            _ => {
                for (index, branch) in branches() {
                    let mut attempt = Walk { names: self.names, steps: self.steps, wrong: Misfits::default() };
                    let fits = attempt.value(branch, json, at);
                    self.steps = attempt.steps;
                    if let Some(value) = fits {
                        return Some(Value::Union(index, Box::new(value)));
                    }
                }
                self.refuse(at, expected(describe(union.variants()), json))
            }
        }
    }

    /// A record that lies within another; it is always whole.
    fn record(&mut self, record: &RecordSchema, members: &Members<'_>, at: &Path<'_>) -> Option<Vec<(String, Value)>> {
        let before = self.wrong.total();
        let present = self.present(record, members.iter().map(|(name, json)| (&**name, json)), at);
        let fields = record.fields.iter().zip(present).map(|(field, value)| {
            let value = value.or_else(|| absent(field, self.names)).unwrap_or_else(|| self.missing(field, at));
            (field.name.clone(), value)
        });
        let fields = fields.collect();
        (self.wrong.total() == before).then_some(fields)
    }

    /// The fields of `record` that are given, by their place in the schema. A wrong one is noted and stands as null.
    pub(crate) fn present<'j>(
        &mut self,
        record: &RecordSchema,
        members: impl Iterator<Item = (&'j str, &'j Json<'j>)>,
        at: &Path<'_>,
    ) -> Vec<Option<Value>> {
        let mut values = vec![None; record.fields.len()];
        for (name, json) in members {
            let at = &Path::Name(at, name);
            if let Some(&index) = record.lookup.get(name) {
                values[index] = Some(self.value(&record.fields[index].schema, json, at).unwrap_or(Value::Null));
            } else {
                let near = did_you_mean(name, record.fields.iter().map(|field| &*field.name));
                self.wrong.add(at, Wrong::new("unknown", format!("the schema has no field {}{near}", quote(name))));
            }
        }
        values
    }

    /// Notes that `field` is missing in the record at `at`; null stands in for it.
    pub(crate) fn missing(&mut self, field: &RecordField, at: &Path<'_>) -> Value {
        self.wrong.add(&Path::Name(at, &field.name), Wrong::new("required", "missing required field"));
        Value::Null
    }
}

/// What a field is when it is absent: its default, or null where it may be null, or nothing.
pub(crate) fn absent(field: &RecordField, names: &Names) -> Option<Value> {
    if let Ok(Some(default)) = default(field, names) {
        return Some(default);
    }
    match &field.schema {
        Schema::Null => Some(Value::Null),
        Schema::Union(union) => (0_u32..)
            .zip(union.variants())
            .find(|(_, branch)| **branch == Schema::Null)
            .map(|(index, _)| Value::Union(index, Box::new(Value::Null))),
        _ => None,
    }
}

/// The default of a field as a value; an error when it does not fit the field's own schema.
pub(crate) fn default(field: &RecordField, names: &Names) -> Result<Option<Value>, apache_avro::Error> {
    let resolve = |json: &serde_json::Value| Value::try_from(json.clone())?.resolve_with_names(&field.schema, names);
    field.default.as_ref().map(resolve).transpose()
}

fn scalar_value(schema: &Schema, json: &Json<'_>) -> Result<Value, Wrong> {
    let value = match (schema, json) {
        (Schema::Null, Json::Null) => Value::Null,
        (Schema::Boolean, Json::Bool(value)) => Value::Boolean(*value),
        (Schema::Int, Json::Number(digits)) => Value::Int(integer(digits, "32")?),
        (Schema::Long, Json::Number(digits)) => Value::Long(integer(digits, "64")?),
        (Schema::Float, Json::Number(digits)) => {
            let number = digits.parse().ok().filter(|number: &f32| number.is_finite());
            Value::Float(number.ok_or_else(|| Wrong::new("range", format!("out of the range of a float: {digits}")))?)
        }
        (Schema::Double, Json::Number(digits)) => {
            let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
            Value::Double(number.ok_or_else(|| Wrong::new("range", format!("out of the range of a double: {digits}")))?)
        }
        (Schema::Decimal(decimal), Json::Number(text)) => decimal_value(decimal, text)?,
        (Schema::Decimal(decimal), Json::Text(text)) => decimal_value(decimal, text)?,
        (Schema::String, Json::Text(text)) => Value::String(storable(text)?.to_owned()),
        (Schema::Bytes, Json::Text(text)) => Value::Bytes(scalar::bytes(text)?),
        (Schema::Fixed(fixed), Json::Text(text)) => scalar::fixed(text, fixed.size)?,
        (Schema::Enum(symbols), Json::Text(text)) => symbol(symbols, text)?,
        (Schema::Uuid(_), Json::Text(text)) => Value::Uuid(scalar::uuid(text)?),
        (Schema::Date, Json::Text(text)) => Value::Date(scalar::date(text)?),
        (Schema::TimeMillis, Json::Text(text)) => {
            Value::TimeMillis(i32::try_from(scalar::time(text, 3)?).unwrap_or(i32::MAX))
        }
        (Schema::TimeMicros, Json::Text(text)) => Value::TimeMicros(scalar::time(text, 6)?),
        (Schema::TimestampMillis, Json::Text(text)) => Value::TimestampMillis(scalar::timestamp(text, 3)?),
        (Schema::TimestampMicros, Json::Text(text)) => Value::TimestampMicros(scalar::timestamp(text, 6)?),
        (Schema::TimestampNanos, Json::Text(text)) => Value::TimestampNanos(scalar::timestamp(text, 9)?),
        (Schema::LocalTimestampMillis, Json::Text(text)) => {
            Value::LocalTimestampMillis(scalar::local_timestamp(text, 3)?)
        }
        (Schema::LocalTimestampMicros, Json::Text(text)) => {
            Value::LocalTimestampMicros(scalar::local_timestamp(text, 6)?)
        }
        (Schema::LocalTimestampNanos, Json::Text(text)) => {
            Value::LocalTimestampNanos(scalar::local_timestamp(text, 9)?)
        }
        _ => return Err(expected(describe(std::slice::from_ref(schema)), json)),
    };
    Ok(value)
}

fn integer<T: std::str::FromStr>(digits: &str, bits: &str) -> Result<T, Wrong> {
    if digits.contains(['.', 'e', 'E']) {
        return Err(expected("an integer, without point and exponent", &Json::Number(digits)));
    }
    digits.parse().map_err(|_| Wrong::new("range", format!("out of the range of a {bits}-bit integer: {digits}")))
}

fn decimal_value(decimal: &DecimalSchema, text: &str) -> Result<Value, Wrong> {
    let bytes = scalar::decimal(text, decimal.precision, decimal.scale)?;
    match &decimal.inner {
        InnerDecimalSchema::Fixed(fixed) if bytes.len() > fixed.size => {
            Err(Wrong::new("precision", format!("more than {} bytes can hold: {}", fixed.size, quote(text))))
        }
        _ => Ok(Value::Decimal(bytes.into())),
    }
}

/// Postgres has no text with U+0000.
pub(crate) fn storable(text: &str) -> Result<&str, Wrong> {
    if text.contains('\0') { Err(Wrong::new("format", "a string must not hold U+0000")) } else { Ok(text) }
}

fn symbol(schema: &EnumSchema, text: &str) -> Result<Value, Wrong> {
    if let Some((index, symbol)) = (0_u32..).zip(&schema.symbols).find(|(_, symbol)| *symbol == text) {
        return Ok(Value::Enum(index, symbol.clone()));
    }
    let near = did_you_mean(text, schema.symbols.iter().map(String::as_str));
    let known =
        if schema.symbols.len() <= 20 { format!("; known: {}", schema.symbols.join(", ")) } else { String::new() };
    Err(Wrong::new("enum", format!("got {}{known}{near}", show(&Json::Text(Cow::Borrowed(text))))))
}

/// What fits these schemas, in the words of JSON.
fn describe(schemas: &[Schema]) -> String {
    let words: Vec<String> = schemas
        .iter()
        .map(|schema| match schema {
            Schema::Null => "null".into(),
            Schema::Boolean => "true or false".into(),
            Schema::Int => "an integer (32 bit)".into(),
            Schema::Long => "an integer (64 bit)".into(),
            Schema::Float | Schema::Double => "a number".into(),
            Schema::Decimal(_) => "a decimal, as number or string".into(),
            Schema::Bytes | Schema::Fixed(_) => "a string in base64".into(),
            Schema::String => "a string".into(),
            Schema::Enum(_) => "a string (one of the known symbols)".into(),
            Schema::Uuid(_) => "a UUID string".into(),
            Schema::Date => "a date string `YYYY-MM-DD`".into(),
            Schema::TimeMillis | Schema::TimeMicros => "a time string `HH:MM:SS[.fraction]`".into(),
            Schema::TimestampMillis | Schema::TimestampMicros | Schema::TimestampNanos => {
                "an RFC 3339 string with zone".into()
            }
            Schema::LocalTimestampMillis | Schema::LocalTimestampMicros | Schema::LocalTimestampNanos => {
                "a date and time string without zone".into()
            }
            Schema::Array(_) => "an array".into(),
            Schema::Map(_) | Schema::Record(_) => "an object".into(),
            Schema::Ref { name } => format!("a `{}`", name.name()),
            Schema::Union(_) | Schema::BigDecimal | Schema::Duration(_) => "another type".into(),
        })
        .collect();
    words.join(" or ")
}
