//! What the keys of the Postgres sink must not say together.

use towpath_keys::{Check, Problems};

use crate::{
    config::{DeleteMode, InsertMode, MetadataColumns, PostgresSinkConfig, PrimaryKeyMode},
    connection::fault_of_url,
    filter,
};

impl Check for PostgresSinkConfig {
    fn foreign() -> &'static [(&'static str, &'static str)] {
        crate::foreign::FOREIGN
    }

    fn check(&self, problems: &mut Problems) {
        self.check_modes(problems);
        if let Err((key, why)) = self.naming() {
            problems.invalid(key, why);
        }
        if let Some(reason) = fault_of_url(self) {
            problems.invalid("connection.url", reason);
        }
    }
}

impl PostgresSinkConfig {
    /// Refuses modes that contradict each other: they would lose records.
    fn check_modes(&self, problems: &mut Problems) {
        use PrimaryKeyMode as Pk;
        let pk = self.primary_key();
        let by_record = matches!(pk, Pk::RecordKey | Pk::RecordValue);
        let appends = self.insert_mode == InsertMode::Insert;
        if appends && by_record {
            problems.invalid(
                "pk.mode",
                "must be `kafka`, `event_id` or `none` with `insert.mode=insert`, in which every record is a row; for \
                 one row per key, set `insert.mode=upsert`",
            );
        }
        if !appends && !by_record {
            problems.invalid(
                "pk.mode",
                "must be `record_key` or `record_value` unless `insert.mode=insert`: a row belongs to a record",
            );
        }
        if pk == Pk::RecordValue && self.delete_mode != DeleteMode::Ignore {
            problems.invalid(
                "delete.mode",
                "must be `ignore` with `pk.mode=record_value`: a delete has no value to take the key from",
            );
        }
        let names = self.pk_fields.len();
        let wanted = match pk {
            Pk::RecordValue if names == 0 => Some("must name the fields of the key with `pk.mode=record_value`"),
            Pk::Kafka if names != 0 && names != 3 => {
                Some("must be three names with `pk.mode=kafka`: for topic, partition and offset")
            }
            Pk::EventId if names > 1 => Some("must be one name with `pk.mode=event_id`"),
            Pk::None if names != 0 => Some("has no effect with `pk.mode=none`"),
            _ => None,
        };
        if let Some(wanted) = wanted {
            problems.invalid("pk.fields", wanted);
        }
        if appends && self.history_enabled {
            problems
                .invalid("history.enabled", "has no effect with `insert.mode=insert`: the table is a history itself");
        }
        if self.metadata_columns == MetadataColumns::None && !appends && self.delete_mode == DeleteMode::Soft {
            problems.invalid(
                "delete.mode",
                "must be `hard` or `ignore` with `metadata.columns=none`: there is no column `_towpath_deleted`",
            );
        }
        if self.truncate_enabled && self.metadata_columns == MetadataColumns::None {
            problems.invalid(
                "truncate.enabled",
                "must be `false` with `metadata.columns=none`: older rows cannot be recognized",
            );
        }
        let repeated = |at: usize| self.pk_fields[..at].contains(&self.pk_fields[at]);
        if let Some(at) = (0..names).find(|at| repeated(*at)) {
            problems.invalid("pk.fields", format!("names `{}` twice", self.pk_fields[at]));
        }
        for (key, list) in [("fields.include", &self.fields_include), ("fields.exclude", &self.fields_exclude)] {
            let is_empty = |text: &&String| {
                let entry = filter::Named::of(text);
                entry.field.is_empty() || entry.topic == Some("")
            };
            if let Some(text) = list.iter().find(is_empty) {
                problems.invalid(key, format!("has `{text}`, and must have `field` or `topic:field`"));
            }
        }
        if let Some(both) = self.fields_include.iter().find(|field| self.fields_exclude.contains(field)) {
            problems.invalid("fields.exclude", format!("names `{both}`, which `fields.include` names as well"));
        }
    }
}
