//! The keys of the Postgres sink.

use std::path::PathBuf;

use towpath_keys::{Check, Problems, Secret, config_enum, config_keys};

config_enum! {
    /// What a record does to the table.
    pub enum InsertMode {
        /// It makes its row or changes it.
        Upsert = "upsert",
        /// It becomes a row of its own: the table is a history that only grows.
        Insert = "insert",
        /// It changes its row; where there is none it is left out, and counted.
        Update = "update",
    }
}

config_enum! {
    /// Where the primary key comes from.
    pub enum PrimaryKeyMode {
        /// The key of the record.
        RecordKey = "record_key",
        /// The fields `pk.fields` of the value.
        RecordValue = "record_value",
        /// Topic, partition and offset.
        Kafka = "kafka",
        /// The id of the event, from the header `towpath_event_id`.
        EventId = "event_id",
        /// There is none.
        None = "none",
    }
}

config_enum! {
    /// How a delete arrives in the table.
    pub enum DeleteMode {
        /// The row stays with its values and `_towpath_deleted = true`; the view `<table>_live` shows the others.
        Soft = "soft",
        /// The row goes.
        Hard = "hard",
        /// Nothing happens; the record is counted as left out.
        Ignore = "ignore",
    }
}

config_enum! {
    /// What may be done to the shape of tables.
    pub enum SchemaEvolution {
        /// Tables are made, columns added and widened; nothing is dropped or narrowed.
        Evolve = "evolve",
        /// Nothing is made: the table must be there with a column for each field.
        Validate = "validate",
        /// Nothing is made: the table must be there, and fields without a column are left out.
        Off = "off",
    }
}

config_enum! {
    /// What happens with records whose table has not the shape that they need.
    pub enum SchemaMismatch {
        /// They wait, and the other tables go on, until a person has altered the table; it is looked at again and
        /// again.
        Pause = "pause",
        /// They become dead letters.
        DeadLetter = "dead_letter",
    }
}

config_enum! {
    /// Which columns of Towpath's own a table has.
    pub enum MetadataColumns {
        /// All of them.
        Full = "full",
        /// Those that guard against old records: all but `_towpath_applied_at`.
        Version = "version",
        /// None: for tables that others own. An old record that comes again then turns its row back.
        None = "none",
    }
}

config_keys! {
    /// Keys of the Postgres sink.
    pub struct PostgresSinkConfig {
        /// Where the database is: `postgres://host:port/database`, with `?sslmode=disable|prefer|require` at need.
        #[key("connection.url")]
        pub connection_url: String,
        /// The role to connect as. It needs `CREATE` on the database, or the schemas must exist and be its own.
        #[key("connection.user")]
        pub connection_user: Option<String>,
        /// The password of the role.
        #[key("connection.password")]
        pub connection_password: Option<Secret>,
        /// A file of certificates (PEM) to trust beside those of the system, for a server with a certificate of your
        /// own.
        #[key("connection.ssl.ca")]
        pub connection_ssl_ca: Option<PathBuf>,
        /// Which table a topic fills; `${topic}` stands for its name. The first dot parts schema and table.
        #[key("table.name.format", alias = "collection.name.format")]
        pub table_name_format: String = "${topic}".to_owned(),
        /// What a record does to the table.
        #[key("insert.mode")]
        pub insert_mode: InsertMode = InsertMode::Upsert,
        /// Where the primary key comes from. Without it: `record_key`, and `kafka` for `insert.mode=insert`.
        #[key("pk.mode", alias = "primary.key.mode")]
        pub pk_mode: Option<PrimaryKeyMode>,
        /// For `record_value` the fields of the key. Otherwise what its columns are called, if not as the fields of the
        /// record's key (`id` where that is no record), `__connect_topic`, `__connect_partition` and
        /// `__connect_offset`, or `event_id`.
        #[key("pk.fields", alias = "primary.key.fields")]
        pub pk_fields: Vec<String> = vec![],
        /// How a delete arrives in the table.
        #[key("delete.mode")]
        pub delete_mode: DeleteMode = DeleteMode::Soft,
        /// Whether a truncate of the source's table (`op` `t` of Debezium) deletes the rows of this one, as
        /// `delete.mode` says. Without it truncates are left out, and counted.
        #[key("truncate.enabled")]
        pub truncate_enabled: bool = false,
        /// The fields that become columns; none given: all. The key always does.
        #[key("fields.include", alias = "fields.whitelist")]
        pub fields_include: Vec<String> = vec![],
        /// Fields that become no column.
        #[key("fields.exclude")]
        pub fields_exclude: Vec<String> = vec![],
        /// Whether a table `<table>_history` beside the other takes every change as a row of its own.
        #[key("history.enabled")]
        pub history_enabled: bool = false,
        /// What may be done to the shape of tables.
        #[key("schema.evolution")]
        pub schema_evolution: SchemaEvolution = SchemaEvolution::Evolve,
        /// What happens with records whose table has not the shape that they need.
        #[key("schema.mismatch")]
        pub schema_mismatch: SchemaMismatch = SchemaMismatch::Pause,
        /// Which columns of Towpath's own a table has.
        #[key("metadata.columns")]
        pub metadata_columns: MetadataColumns = MetadataColumns::Full,
    }
}

impl PostgresSinkConfig {
    /// `pk.mode`, or its default for `insert.mode`.
    pub fn primary_key(&self) -> PrimaryKeyMode {
        self.pk_mode.unwrap_or(if self.insert_mode == InsertMode::Insert {
            PrimaryKeyMode::Kafka
        } else {
            PrimaryKeyMode::RecordKey
        })
    }

    /// Returns true if each topic has its own table.
    pub fn parts_topics(&self) -> bool {
        self.table_name_format.contains("${topic}")
    }

    /// Returns true if a field of this name becomes a column.
    pub fn takes(&self, field: &str) -> bool {
        (self.fields_include.is_empty() || self.fields_include.iter().any(|name| name == field))
            && !self.fields_exclude.iter().any(|name| name == field)
    }
}

impl Check for PostgresSinkConfig {
    fn check(&self, problems: &mut Problems) {
        self.check_modes(problems);
        if self.connection_url.parse::<tokio_postgres::Config>().is_err() {
            problems.invalid("connection.url", "is not a Postgres URL such as `postgres://host:5432/database`");
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
                "must be `kafka`, `event_id` or `none` with `insert.mode=insert`, in which every record is a row",
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
        if let Some(both) = self.fields_include.iter().find(|field| self.fields_exclude.contains(field)) {
            problems.invalid("fields.exclude", format!("names `{both}`, which `fields.include` names as well"));
        }
    }
}
