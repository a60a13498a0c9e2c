//! The declaration of keys, and the kinds of fields in a declaration.

use std::ops::{Bound, RangeBounds};

use super::{ConfigValue, FlatReader, Named, Pairs, Problems};

/// A struct declared with [`config_keys!`](crate::config_keys), or a tuple of two that share one map.
pub trait Keys: Sized {
    /// The keys, in the order of declaration.
    fn definitions() -> Vec<KeyDefinition>;

    /// Keys of other tools, see [`Check::foreign`].
    fn foreign() -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Reads the struct. Problems go to the reader; `None` if a problem leaves a field without a value.
    fn read(reader: &mut FlatReader<'_>) -> Option<Self>;
}

impl<A: Keys, B: Keys> Keys for (A, B) {
    fn definitions() -> Vec<KeyDefinition> {
        let mut definitions = A::definitions();
        definitions.extend(B::definitions());
        definitions
    }

    fn foreign() -> Vec<(&'static str, &'static str)> {
        let mut foreign = A::foreign();
        foreign.extend(B::foreign());
        foreign
    }

    fn read(reader: &mut FlatReader<'_>) -> Option<Self> {
        let (first, second) = (A::read(reader), B::read(reader));
        Some((first?, second?))
    }
}

/// Checks across keys, which the types of the fields cannot express. Does not connect.
///
/// Messages must not quote a value, which may come from a reference.
pub trait Check {
    /// Keys of other tools that people bring along, which no key here equals: each with the way to get the same, as
    /// help for the error. A key that ends in `*` stands for all with this beginning; the first that matches counts.
    fn foreign() -> &'static [(&'static str, &'static str)]
    where
        Self: Sized,
    {
        &[]
    }

    /// Reports problems of a config whose fields were all read.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }
}

/// The definition of a key, for documentation, REST and "did you mean".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDefinition {
    /// The key. `{}` stands for a name without dot, or at the end for any text.
    pub key: String,
    /// Other names of the key, usually those that Kafka Connect or Debezium use.
    pub aliases: Vec<String>,
    /// `string`, `integer`, `boolean`, `duration`, `size`, `path`, `secret`, `choice`, `list of …`, or `pairs`.
    pub type_name: String,
    /// The default as written in a config; `None` if there is no default.
    pub default: Option<String>,
    /// The documentation, in Markdown.
    pub documentation: String,
    /// True if the key is required; in a group, if each group requires it.
    pub required: bool,
    /// True if the value is a secret.
    pub secret: bool,
    /// The allowed range in words, such as `1 to 100000`.
    pub range: Option<String>,
    /// The allowed values; empty if the type does not list them.
    pub values: Vec<AllowedValue>,
    /// The family that the key belongs to.
    pub group: Option<KeyGroup>,
}

/// One of the values that a key can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedValue {
    pub value: String,
    /// The meaning, in Markdown.
    pub documentation: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroup {
    /// The beginning that its keys share, such as `objects.{}`.
    pub prefix: String,
    /// The meaning, in Markdown.
    pub documentation: String,
}

/// The declaration of one field, built by [`config_keys!`](crate::config_keys).
pub struct KeySpec<T: Field> {
    pub(super) key: &'static str,
    pub(super) aliases: Vec<&'static str>,
    pub(super) default: Option<T>,
    pub(super) range: Option<ValueRange<T::Inner>>,
    documentation: String,
}

/// A range in words, and its test.
pub(super) struct ValueRange<T> {
    pub(super) words: String,
    pub(super) contains: Box<dyn Fn(&T) -> bool>,
}

impl<T: Field> KeySpec<T> {
    /// A key with the lines of its doc comment.
    pub fn new(key: &'static str, documentation: &[&str]) -> Self {
        let lines: Vec<&str> = documentation.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        Self { key, aliases: Vec::new(), default: None, range: None, documentation: lines.join("\n").trim().to_owned() }
    }

    /// Adds another name.
    pub fn alias(mut self, alias: &'static str) -> Self {
        self.aliases.push(alias);
        self
    }

    /// Sets the value of an absent key.
    pub fn default_value(mut self, default: T) -> Self {
        self.default = Some(default);
        self
    }

    /// Limits the values.
    pub fn range<R>(mut self, range: R) -> Self
    where
        R: RangeBounds<T::Inner> + 'static,
        T::Inner: ConfigValue + PartialOrd,
    {
        let words = match (range.start_bound(), range.end_bound()) {
            (Bound::Included(from), Bound::Included(to)) => {
                format!("{} to {}", from.to_text(self.key), to.to_text(self.key))
            }
            (Bound::Included(from), Bound::Excluded(to)) => {
                format!("{} to below {}", from.to_text(self.key), to.to_text(self.key))
            }
            (Bound::Included(from), Bound::Unbounded) => format!("at least {}", from.to_text(self.key)),
            (_, Bound::Included(to)) => format!("at most {}", to.to_text(self.key)),
            (_, Bound::Excluded(to)) => format!("below {}", to.to_text(self.key)),
            (_, Bound::Unbounded) => "any".to_owned(),
        };
        self.range = Some(ValueRange { words, contains: Box::new(move |value| range.contains(value)) });
        self
    }

    /// The definition of a field that holds one value of type `V`.
    fn define<V: ConfigValue>(self, default: Option<String>, required: bool) -> KeyDefinition {
        let values = V::allowed().into_iter().map(|(value, documentation)| AllowedValue {
            value: value.to_owned(),
            documentation: documentation.to_owned(),
        });
        KeyDefinition {
            key: self.key.to_owned(),
            aliases: self.aliases.into_iter().map(ToOwned::to_owned).collect(),
            type_name: V::type_name(),
            default,
            documentation: self.documentation,
            required,
            secret: V::SECRET,
            range: self.range.map(|range| range.words),
            values: values.collect(),
            group: None,
        }
    }
}

/// A kind of field: one value, an optional value, a family of structs, or free pairs.
pub trait Field: Sized {
    /// The type that `range` limits.
    type Inner;

    /// The definitions that the field stands for.
    fn define(spec: KeySpec<Self>) -> Vec<KeyDefinition>;

    /// Reads the field; problems go to the reader.
    fn read(spec: KeySpec<Self>, reader: &mut FlatReader<'_>) -> Option<Self>;
}

impl<T: ConfigValue> Field for T {
    type Inner = T;

    fn define(spec: KeySpec<Self>) -> Vec<KeyDefinition> {
        let default = spec.default.as_ref().map(|default| default.to_text(spec.key));
        let required = default.is_none();
        vec![spec.define::<T>(default, required)]
    }

    fn read(spec: KeySpec<Self>, reader: &mut FlatReader<'_>) -> Option<Self> {
        match reader.value(spec.key, &spec.aliases, spec.range.as_ref()) {
            Ok(Some(value)) => Some(value),
            Ok(None) if spec.default.is_some() => spec.default,
            Ok(None) => {
                reader.missing(spec.key, &spec.documentation);
                None
            }
            Err(()) => None,
        }
    }
}

impl<T: ConfigValue> Field for Option<T> {
    type Inner = T;

    fn define(spec: KeySpec<Self>) -> Vec<KeyDefinition> {
        let default = spec.default.as_ref().and_then(Option::as_ref).map(|default| default.to_text(spec.key));
        vec![spec.define::<T>(default, false)]
    }

    fn read(spec: KeySpec<Self>, reader: &mut FlatReader<'_>) -> Option<Self> {
        let value = reader.value(spec.key, &spec.aliases, spec.range.as_ref()).ok()?;
        Some(value.or(spec.default.flatten()))
    }
}

impl<K: Keys> Field for Named<K> {
    type Inner = ();

    fn define(spec: KeySpec<Self>) -> Vec<KeyDefinition> {
        let complete = |key: &str| format!("{}.{key}", spec.key);
        let mut definitions = K::definitions();
        for definition in &mut definitions {
            definition.key = complete(&definition.key);
            definition.aliases.iter_mut().for_each(|alias| *alias = complete(alias));
            match &mut definition.group {
                Some(inner) => inner.prefix = complete(&inner.prefix),
                None => {
                    definition.group =
                        Some(KeyGroup { prefix: spec.key.to_owned(), documentation: spec.documentation.clone() });
                }
            }
        }
        definitions
    }

    fn read(spec: KeySpec<Self>, reader: &mut FlatReader<'_>) -> Option<Self> {
        reader.named(group_start(spec.key))
    }
}

impl Field for Pairs {
    type Inner = ();

    fn define(spec: KeySpec<Self>) -> Vec<KeyDefinition> {
        let pairs = spec.define::<String>(None, false);
        vec![KeyDefinition { type_name: "pairs".to_owned(), ..pairs }]
    }

    fn read(spec: KeySpec<Self>, reader: &mut FlatReader<'_>) -> Option<Self> {
        reader.pairs(group_start(spec.key))
    }
}

/// `objects.` of `objects.{}`.
fn group_start(key: &'static str) -> &'static str {
    key.strip_suffix("{}").expect("the key of a group ends in `{}`")
}
