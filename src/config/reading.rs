//! The keys that every sink has about the format of records.

use std::time::Duration;

use towpath_keys::{Check, ConfigValue, Given, Invalid, Problems, config_enum, config_keys};

use crate::avro::codec::{Form, Reading, ReadingSettings, UNKNOWN_SCHEMA_WAIT, VersionField};

/// The format of keys or values in a topic: the class name of Kafka Connect's converter, or a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converter {
    /// Avro, with the id of a schema in the registry.
    Avro,
    /// JSON, with or without a schema.
    Json,
    /// A plain string.
    Text,
}

impl Converter {
    const WORDS: [(&'static str, Self, &'static str); 7] = [
        ("avro", Self::Avro, "Avro, with the id of a schema in the registry before the bytes or in a header."),
        ("io.confluent.connect.avro.AvroConverter", Self::Avro, "As above."),
        ("io.apicurio.registry.utils.converter.AvroConverter", Self::Avro, "As above, with its `as-confluent` set."),
        ("json", Self::Json, "JSON: `{\"schema\": …, \"payload\": …}`, or any JSON if `schemas.enable` is `false`."),
        ("org.apache.kafka.connect.json.JsonConverter", Self::Json, "As above."),
        ("string", Self::Text, "A UTF-8 string. A key goes into the column `id`, a value into the column `value`."),
        ("org.apache.kafka.connect.storage.StringConverter", Self::Text, "As above."),
    ];

    fn form(self, schemas: bool) -> Form {
        match self {
            Self::Avro => Form::Avro,
            Self::Json if schemas => Form::JsonWithSchema,
            Self::Json => Form::Json,
            Self::Text => Form::Text,
        }
    }
}

impl ConfigValue for Converter {
    fn type_name() -> String {
        "choice".to_owned()
    }

    fn allowed() -> Vec<(&'static str, &'static str)> {
        Self::WORDS.map(|(word, _, documentation)| (word, documentation)).into()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        given.choice(&Self::WORDS.map(|(word, converter, _)| (word, converter)))
    }

    fn to_text(&self, _key: &str) -> String {
        Self::WORDS.iter().find(|(_, converter, _)| converter == self).map_or("", |(word, ..)| word).to_owned()
    }
}

config_enum! {
    /// The treatment of times that are more precise than microseconds.
    pub enum Nanoseconds {
        /// A time whose digits after the microseconds are zero is stored. Any other becomes a dead letter.
        Exact = "exact",
        /// The digits after the microseconds are dropped.
        Truncate = "truncate",
    }
}

config_keys! {
    /// Keys of every sink.
    pub struct ReadingConfig {
        /// The format of keys. A JSON key is a string, an integer, a boolean, or an object of these.
        #[key("key.converter")]
        pub key_converter: Converter = Converter::Avro,
        /// Whether each JSON key carries its schema.
        #[key("key.converter.schemas.enable")]
        pub key_schemas: bool = true,
        /// The format of values. JSON without a schema goes into one column, `value`, of type jsonb.
        #[key("value.converter")]
        pub value_converter: Converter = Converter::Avro,
        /// Whether each JSON value carries its schema.
        #[key("value.converter.schemas.enable")]
        pub value_schemas: bool = true,
        /// The text that Debezium writes in place of a large value that an update did not change. The column keeps its
        /// value.
        #[key("unavailable.value.placeholder")]
        pub unavailable_placeholder: String = crate::avro::codec::UNAVAILABLE_VALUE.to_owned(),
        /// The field of a plain record that marks a delete, as Debezium's `ExtractNewRecordState` adds it to rewritten
        /// deletes: `true` (also as text) or `d` is a delete; `false`, `c`, `u`, `r` and null are not. It does not
        /// become a column. If empty, records have no such field, and a field of this name is a column like any other.
        #[key("delete.field")]
        pub delete_field: String = crate::avro::codec::DELETED_FIELD.to_owned(),
        /// The treatment of times that are more precise than microseconds, which Postgres does not store. Times in keys
        /// are always exact.
        #[key("nanoseconds")]
        pub nanoseconds: Nanoseconds = Nanoseconds::Exact,
        /// The field that orders the records of a key, instead of the envelope's version or the offset: a field of the
        /// record, or `source.<name>` for a field of the envelope's `source`, such as `source.lsn`. Its value is an
        /// integer of at least 0, such an integer as text, a date, a timestamp, or a position in the Postgres log
        /// (LSN). If it is a field of the record, a delete has no version: it ends the row that an earlier record of
        /// its partition wrote.
        #[key("version.field")]
        pub version_field: Option<String>,
        /// How long a record whose schema the registry does not have is waited for, from the time of the record or from
        /// the first answer without the schema, whichever is later. Only its partition waits. Then the record becomes a
        /// dead letter.
        #[key("schema.unknown.wait.ms", range = Duration::ZERO..=Duration::from_hours(24))]
        pub unknown_schema_wait: Duration = UNKNOWN_SCHEMA_WAIT,
    }
}

impl Check for ReadingConfig {
    fn check(&self, problems: &mut Problems) {
        if self.unavailable_placeholder.is_empty() {
            problems
                .invalid("unavailable.value.placeholder", "must not be empty: every empty text would be a placeholder");
        }
        match self.version_field.as_deref() {
            Some("" | "source.") => problems.invalid("version.field", "must name a field"),
            Some(_) if self.value_converter == Converter::Text => {
                problems
                    .invalid("version.field", "has no effect with `value.converter=string`: a string has no fields");
            }
            _ => {}
        }
    }
}

impl ReadingConfig {
    /// The settings of the decoder.
    pub fn reading(&self) -> Reading {
        Reading::new(ReadingSettings {
            key: self.key_converter.form(self.key_schemas),
            value: self.value_converter.form(self.value_schemas),
            version: self.version_field.as_deref().map(VersionField::parse),
            unavailable: self.unavailable_placeholder.clone(),
            deleted: self.delete_field.clone(),
            truncates_nanoseconds: self.nanoseconds == Nanoseconds::Truncate,
            unknown_schema_wait: self.unknown_schema_wait,
        })
    }
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, Problem, read};

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<ReadingConfig, Vec<Problem>> {
        read(&Flat::from_strings(pairs.iter().copied())).map(|(config, _)| config)
    }

    #[test]
    fn avro_is_the_default_format() {
        let none = config(&[]).unwrap();
        assert_eq!((none.key_converter, none.value_converter), (Converter::Avro, Converter::Avro));
        let class = "org.apache.kafka.connect.json.JsonConverter";
        let json = config(&[
            ("key.converter", "string"),
            ("value.converter", class),
            ("value.converter.schemas.enable", "false"),
        ]);
        let json = json.unwrap();
        assert_eq!(json.key_converter.form(json.key_schemas), Form::Text);
        assert_eq!(json.value_converter.form(json.value_schemas), Form::Json);
        assert_eq!(config(&[("value.converter", "json")]).unwrap().value_converter.form(true), Form::JsonWithSchema);
    }

    #[test]
    fn contradictory_settings_are_refused() {
        let found = config(&[("value.converter", "jsno")]).unwrap_err();
        assert_eq!((found[0].key.as_str(), found[0].suggestion.as_deref()), ("value.converter", Some("json")));
        for pairs in [
            &[("unavailable.value.placeholder", "")][..],
            &[("version.field", "")],
            &[("version.field", "source.")],
            &[("version.field", "at"), ("value.converter", "string")],
        ] {
            let found = config(pairs).unwrap_err();
            assert_eq!((found.len(), found[0].key.as_str()), (1, pairs[0].0), "{pairs:?}");
        }
    }
}
