//! One JSON value into one Avro value, strictly by the schema.
//!
//! | Avro | JSON |
//! |---|---|
//! | `boolean`, `string` | the same; strings must not contain U+0000, which Postgres cannot store |
//! | `int`, `long` | a number in range, without decimal point and exponent |
//! | `float`, `double` | a finite number |
//! | `decimal(p,s)` | a number or a string of digits, taken exactly |
//! | `bytes`, `fixed` | a string in padded base64 |
//! | `enum` | a string, one of the symbols |
//! | `uuid`, `date`, `time-*`, `timestamp-*`, `local-timestamp-*` | a string, as `scalar` and `time` say |
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
    misfit::{Misfits, Path, Violation, expected, quote, show},
    scalar, time,
};

/// The named types of a schema.
pub(crate) type Names = HashMap<Name, Schema>;

/// Maximum visits of values. A body has at most 10,000 values; only nested unions visit a value more than once.
const MAX_STEPS: u32 = 100_000;
/// Maximum fields of all records of a body, absent ones included: `{}` takes two bytes, its record one value per field
/// of the schema.
const MAX_FIELDS: usize = 250_000;

/// The value that each field of a record takes when it is absent, by the record's name.
pub(crate) type Absent = HashMap<Name, Vec<Option<Value>>>;

/// Maps the values of one body.
pub(crate) struct Walk<'s> {
    names: &'s Names,
    absent: &'s Absent,
    steps: u32,
    fields: usize,
    pub(crate) misfits: Misfits,
}

impl<'s> Walk<'s> {
    pub(crate) fn new(names: &'s Names, absent: &'s Absent) -> Self {
        Self { names, absent, steps: 0, fields: 0, misfits: Misfits::default() }
    }

    /// Reports a violation at `at`.
    fn refuse<T>(&mut self, at: &Path<'_>, wrong: Violation) -> Option<T> {
        self.misfits.add(at, wrong);
        None
    }

    /// The Avro value of `json`; `None` after a misfit, which is reported.
    pub(crate) fn value(&mut self, schema: &Schema, json: &Json<'_>, at: &Path<'_>) -> Option<Value> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.refuse(at, Violation::new("range", "the value has too many possible readings"));
        }
        match (schema, json) {
            (Schema::Ref { name }, _) => match self.names.get(name) {
                Some(named) => self.value(named, json, at),
                None => self.refuse(at, Violation::new("type", format!("the schema does not define `{name}`"))),
            },
            (Schema::Union(union), _) => self.union(union, json, at),
            (Schema::Array(array), Json::Array(items)) => {
                let before = self.misfits.total();
                let value =
                    |(index, item)| self.value(&array.items, item, &Path::Index(at, index)).unwrap_or(Value::Null);
                let values = items.iter().enumerate().map(value).collect();
                (self.misfits.total() == before).then_some(Value::Array(values))
            }
            (Schema::Map(map), Json::Object(members)) => {
                let before = self.misfits.total();
                let mut values = HashMap::with_capacity(members.len());
                for (name, json) in members {
                    let at = &Path::Name(at, name);
                    if let Err(wrong) = storable(name) {
                        self.misfits.add(at, wrong);
                    }
                    values.insert(name.to_string(), self.value(&map.types, json, at).unwrap_or(Value::Null));
                }
                (self.misfits.total() == before).then_some(Value::Map(values))
            }
            (Schema::Record(record), Json::Object(members)) => self.record(record, members, at).map(Value::Record),
            (Schema::Enum(symbols), Json::Text(text)) => self.symbol(symbols, text, at),
            _ => scalar_value(schema, json).map_or_else(|wrong| self.refuse(at, wrong), Some),
        }
    }

    fn union(&mut self, union: &UnionSchema, json: &Json<'_>, at: &Path<'_>) -> Option<Value> {
        let branches = || {
            (0_u32..).zip(union.variants()).filter(|(_, branch)| (**branch == Schema::Null) == (*json == Json::Null))
        };
        let wrap = |index| move |value| Value::Union(index, Box::new(value));
        match (branches().next(), branches().nth(1)) {
            // The misfits of the only candidate are more precise than a list of types.
            (Some((index, branch)), None) => self.value(branch, json, at).map(wrap(index)),
            (None, _) if *json == Json::Null => self.refuse(at, expected(describe(union.variants()), json)),
            _ => {
                for (index, branch) in branches() {
                    let mut attempt = Walk { misfits: Misfits::unlisted(), ..*self };
                    let fits = attempt.value(branch, json, at);
                    (self.steps, self.fields) = (attempt.steps, attempt.fields);
                    if let Some(value) = fits {
                        return Some(Value::Union(index, Box::new(value)));
                    }
                }
                self.refuse(at, expected(describe(union.variants()), json))
            }
        }
    }

    /// A record within another record; it is always whole.
    fn record(&mut self, record: &RecordSchema, members: &Members<'_>, at: &Path<'_>) -> Option<Vec<(String, Value)>> {
        let before = self.misfits.total();
        let present = self.present(record, members.iter().map(|(name, json)| (&**name, json)), at);
        let defaults = self.absent.get(&record.name);
        let fields = record.fields.iter().zip(present).enumerate().map(|(index, (field, value))| {
            let default = || match defaults.and_then(|defaults| defaults.get(index)) {
                Some(default) => default.clone(),
                None => absent(field, self.names),
            };
            let value = value.or_else(default).unwrap_or_else(|| self.missing(field, at));
            (field.name.clone(), value)
        });
        let fields = fields.collect();
        (self.misfits.total() == before).then_some(fields)
    }

    fn symbol(&mut self, schema: &EnumSchema, text: &str, at: &Path<'_>) -> Option<Value> {
        if let Some((index, symbol)) = (0_u32..).zip(&schema.symbols).find(|(_, symbol)| *symbol == text) {
            return Some(Value::Enum(index, symbol.clone()));
        }
        let near = self.misfits.suggest(text, schema.symbols.iter().map(String::as_str));
        let known =
            if schema.symbols.len() <= 20 { format!("; known: {}", schema.symbols.join(", ")) } else { String::new() };
        let got = show(&Json::Text(Cow::Borrowed(text)));
        self.refuse(at, Violation::new("enum", format!("got {got}{known}{near}")))
    }

    /// The given fields of `record`, by their place in the schema. A field that does not fit is reported and null.
    /// Empty after too many fields, which are reported.
    pub(crate) fn present<'j>(
        &mut self,
        record: &RecordSchema,
        members: impl Iterator<Item = (&'j str, &'j Json<'j>)>,
        at: &Path<'_>,
    ) -> Vec<Option<Value>> {
        self.fields += record.fields.len();
        if self.fields > MAX_FIELDS {
            let message = "the records of the post have more than 250,000 fields; send fewer records per request";
            self.misfits.add(at, Violation::new("range", message));
            return Vec::new();
        }
        let mut values = vec![None; record.fields.len()];
        for (name, json) in members {
            let at = &Path::Name(at, name);
            if let Some(&index) = record.lookup.get(name) {
                values[index] = Some(self.value(&record.fields[index].schema, json, at).unwrap_or(Value::Null));
            } else {
                let near = self.misfits.suggest(name, record.fields.iter().map(|field| &*field.name));
                self.misfits
                    .add(at, Violation::new("unknown", format!("the schema has no field {}{near}", quote(name))));
            }
        }
        values
    }

    /// Reports that `field` is missing in the record at `at` and returns null in its place.
    pub(crate) fn missing(&mut self, field: &RecordField, at: &Path<'_>) -> Value {
        self.misfits.add(&Path::Name(at, &field.name), Violation::new("required", "missing required field"));
        Value::Null
    }
}

/// The value of an absent field: its default, else null if the schema allows it, else `None`.
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

/// The default of a field as a value; an error if it does not fit the schema of the field.
pub(crate) fn default(field: &RecordField, names: &Names) -> Result<Option<Value>, apache_avro::Error> {
    let resolve = |json: &serde_json::Value| Value::try_from(json.clone())?.resolve_with_names(&field.schema, names);
    field.default.as_ref().map(resolve).transpose()
}

fn scalar_value(schema: &Schema, json: &Json<'_>) -> Result<Value, Violation> {
    let out_of_range = |kind: &str| Violation::new("range", format!("out of the range of a {kind}: {}", show(json)));
    let value = match (schema, json) {
        (_, Json::Number(digits)) if digits.len() > scalar::MAX_NUMBER => return Err(scalar::too_long(digits)),
        (Schema::Null, Json::Null) => Value::Null,
        (Schema::Boolean, Json::Bool(value)) => Value::Boolean(*value),
        (Schema::Int, Json::Number(digits)) => {
            Value::Int(integer(digits)?.ok_or_else(|| out_of_range("32-bit integer"))?)
        }
        (Schema::Long, Json::Number(digits)) => {
            Value::Long(integer(digits)?.ok_or_else(|| out_of_range("64-bit integer"))?)
        }
        (Schema::Float, Json::Number(digits)) => {
            let number = digits.parse().ok().filter(|number: &f32| number.is_finite());
            Value::Float(number.ok_or_else(|| out_of_range("float"))?)
        }
        (Schema::Double, Json::Number(digits)) => {
            let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
            Value::Double(number.ok_or_else(|| out_of_range("double"))?)
        }
        (Schema::Decimal(decimal), Json::Number(text)) => decimal_value(decimal, text)?,
        (Schema::Decimal(decimal), Json::Text(text)) => decimal_value(decimal, text)?,
        (Schema::String, Json::Text(text)) => Value::String(storable(text)?.to_owned()),
        (Schema::Bytes, Json::Text(text)) => Value::Bytes(scalar::bytes(text)?),
        (Schema::Fixed(fixed), Json::Text(text)) => scalar::fixed(text, fixed.size)?,
        (Schema::Uuid(_), Json::Text(text)) => Value::Uuid(scalar::uuid(text)?),
        (Schema::Date, Json::Text(text)) => Value::Date(time::date(text)?),
        (Schema::TimeMillis, Json::Text(text)) => {
            Value::TimeMillis(i32::try_from(time::time(text, 3)?).unwrap_or(i32::MAX))
        }
        (Schema::TimeMicros, Json::Text(text)) => Value::TimeMicros(time::time(text, 6)?),
        (Schema::TimestampMillis, Json::Text(text)) => Value::TimestampMillis(time::timestamp(text, 3)?),
        (Schema::TimestampMicros, Json::Text(text)) => Value::TimestampMicros(time::timestamp(text, 6)?),
        (Schema::TimestampNanos, Json::Text(text)) => Value::TimestampNanos(time::timestamp(text, 9)?),
        (Schema::LocalTimestampMillis, Json::Text(text)) => {
            Value::LocalTimestampMillis(time::local_timestamp(text, 3)?)
        }
        (Schema::LocalTimestampMicros, Json::Text(text)) => {
            Value::LocalTimestampMicros(time::local_timestamp(text, 6)?)
        }
        (Schema::LocalTimestampNanos, Json::Text(text)) => Value::LocalTimestampNanos(time::local_timestamp(text, 9)?),
        _ => return Err(expected(describe(std::slice::from_ref(schema)), json)),
    };
    Ok(value)
}

/// `None` if the integer is out of range.
fn integer<T: std::str::FromStr>(digits: &str) -> Result<Option<T>, Violation> {
    if digits.contains(['.', 'e', 'E']) {
        return Err(expected("an integer, without decimal point and exponent", &Json::Number(digits)));
    }
    Ok(digits.parse().ok())
}

fn decimal_value(decimal: &DecimalSchema, text: &str) -> Result<Value, Violation> {
    let bytes = scalar::decimal(text, decimal.precision, decimal.scale)?;
    match &decimal.inner {
        InnerDecimalSchema::Fixed(fixed) if bytes.len() > fixed.size => {
            Err(Violation::new("precision", format!("does not fit into {} bytes: {}", fixed.size, quote(text))))
        }
        _ => Ok(Value::Decimal(bytes.into())),
    }
}

/// Refuses U+0000, which Postgres cannot store in text.
pub(crate) fn storable(text: &str) -> Result<&str, Violation> {
    if text.contains('\0') { Err(Violation::new("format", "a string must not contain U+0000")) } else { Ok(text) }
}

/// Describes the values that fit these schemas, in the words of JSON.
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
                "an RFC 3339 string with time zone".into()
            }
            Schema::LocalTimestampMillis | Schema::LocalTimestampMicros | Schema::LocalTimestampNanos => {
                "a date and time string without time zone".into()
            }
            Schema::Array(_) => "an array".into(),
            Schema::Map(_) | Schema::Record(_) => "an object".into(),
            Schema::Ref { name } => format!("a `{}`", name.name()),
            Schema::Union(_) | Schema::BigDecimal | Schema::Duration(_) => "another type".into(),
        })
        .collect();
    words.join(" or ")
}
