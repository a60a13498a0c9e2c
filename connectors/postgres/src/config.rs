//! The keys of the Postgres sink.

use std::path::PathBuf;

use towpath_keys::{Secret, config_enum, config_keys};

use crate::{
    filter,
    naming::{self, Naming},
};

config_enum! {
    /// The effect of a record on its table.
    pub enum InsertMode {
        /// The record inserts its row, or updates it if it exists.
        Upsert = "upsert",
        /// The record becomes a new row. The table is a history that only grows.
        Insert = "insert",
        /// The record updates its row. If there is no such row, the record is skipped and counted.
        Update = "update",
    }
}

config_enum! {
    /// The source of the primary key.
    pub enum PrimaryKeyMode {
        /// The key of the record.
        RecordKey = "record_key",
        /// The fields of the value that `pk.fields` names.
        RecordValue = "record_value",
        /// Topic, partition and offset.
        Kafka = "kafka",
        /// The id of the event, from the header `towpath_event_id`.
        EventId = "event_id",
        /// The table has no primary key.
        None = "none",
    }
}

config_enum! {
    /// The effect of a delete on the table.
    pub enum DeleteMode {
        /// The row keeps its values and gets `_towpath_deleted = true`. The view `<table>_live` has the other rows.
        Soft = "soft",
        /// The row is deleted.
        Hard = "hard",
        /// The record is skipped and counted.
        Ignore = "ignore",
    }
}

config_enum! {
    /// The changes that are allowed to the schema of tables.
    pub enum SchemaEvolution {
        /// Tables are created, columns are added and widened. Nothing is dropped or narrowed.
        Evolve = "evolve",
        /// No changes: the table must exist, with a column for each field.
        Validate = "validate",
        /// No changes: the table must exist. Fields without a column are skipped.
        Off = "off",
    }
}

config_enum! {
    /// The treatment of records that do not fit the schema of their table.
    pub enum SchemaMismatch {
        /// The records of the partition wait until the table is altered, which is checked regularly. Other partitions
        /// continue.
        Pause = "pause",
        /// The records become dead letters.
        DeadLetter = "dead_letter",
    }
}

config_enum! {
    /// The metadata columns of a table.
    pub enum MetadataColumns {
        /// All metadata columns.
        Full = "full",
        /// The columns that protect a row from older records: all except `_towpath_applied_at`.
        Version = "version",
        /// No metadata columns, for tables of other applications. An older record that is read again then overwrites
        /// its row.
        None = "none",
    }
}

config_keys! {
    /// Keys of the Postgres sink.
    pub struct PostgresSinkConfig {
        /// The database: a URL (`postgres://host:port/database?sslmode=verify-full`), keywords and values
        /// (`host=db dbname=app`), or a URL of the JDBC driver (`jdbc:postgresql://host/database`). `sslmode` has the
        /// values and meanings of libpq: `disable`, `allow`, `prefer` (the default, which accepts any certificate),
        /// `require`, `verify-ca` and `verify-full`; `sslrootcert`, `sslcert`, `sslkey`, `sslpassword`,
        /// `sslnegotiation`, `channel_binding` and `target_session_attrs` are understood as well.
        #[key("connection.url")]
        pub connection_url: String,
        /// The role to connect as. It needs `CREATE` on the database, or the schemas must exist and belong to the role.
        #[key("connection.user", alias = "connection.username")]
        pub connection_user: Option<String>,
        /// The password of the role.
        #[key("connection.password")]
        pub connection_password: Option<Secret>,
        /// A file of certificates (PEM) to trust in addition to those of the system, for a server with a private
        /// certificate: its own, or that of its authority. If set, the default of `sslmode` is `verify-full`.
        #[key("connection.ssl.ca")]
        pub connection_ssl_ca: Option<PathBuf>,
        /// The name of the table for a topic. `${topic}` is the name of the topic, `${1}` or `${name}` a group of
        /// `table.name.regex`. The first dot separates schema and table; without a dot the schema is `public`. A table
        /// or schema that exists under exactly this name is taken; otherwise the name becomes lower snake case.
        #[key("table.name.format", alias = "collection.name.format")]
        pub table_name_format: String = "${topic}".to_owned(),
        /// A regular expression for the whole name of a topic, whose groups `table.name.format` can name: with
        /// `srv\.(.*)` and `${1}`, topic `srv.inventory.customers` fills table `inventory.customers`. The syntax is
        /// that of `topics.regex`, which is the default. A topic that does not match waits.
        #[key("table.name.regex")]
        pub table_name_regex: Option<String>,
        /// The effect of a record on its table.
        #[key("insert.mode")]
        pub insert_mode: InsertMode = InsertMode::Upsert,
        /// The source of the primary key. The default is `kafka` with `insert.mode=insert`, otherwise `record_key`.
        #[key("pk.mode", alias = "primary.key.mode")]
        pub pk_mode: Option<PrimaryKeyMode>,
        /// With `pk.mode=record_value`, the fields of the value that form the key. With `record_key`, the fields of the
        /// record's key that form the key of the row, in any order: all of them, or some, and then records that differ
        /// only in the others change the same row. Each is also the name of its column. If the key has none of these
        /// fields, there must be as many names as it has fields, and they are the names of its columns by position; the
        /// fields of a JSON key without a schema are in the order of their names, and a simple key has one field, `id`.
        /// With the other modes, the names of the key's columns. The defaults are the fields of the record's key for
        /// `record_key`; `__connect_topic`, `__connect_partition` and `__connect_offset` for `kafka`; `event_id` for
        /// `event_id`.
        #[key("pk.fields", alias = "primary.key.fields")]
        pub pk_fields: Vec<String> = vec![],
        /// The effect of a delete on the table.
        #[key("delete.mode")]
        pub delete_mode: DeleteMode = DeleteMode::Soft,
        /// Whether a truncate of the source's table (Debezium's `op` `t`) deletes all rows of the table, in the way
        /// that `delete.mode` sets. If false, truncates are skipped and counted.
        #[key("truncate.enabled")]
        pub truncate_enabled: bool = false,
        /// The fields that become columns; empty means all. `topic:field` names a field of one topic; a field whose own
        /// name has a colon is named in this way only. The key always becomes columns. An entry that matches no field
        /// is logged.
        #[key("fields.include", alias = "fields.whitelist", alias = "field.include.list")]
        pub fields_include: Vec<String> = vec![],
        /// The fields that do not become columns: `field`, or `topic:field` for one topic. An entry that matches no
        /// field is logged.
        #[key("fields.exclude", alias = "field.exclude.list")]
        pub fields_exclude: Vec<String> = vec![],
        /// Whether every change is also added as a row to a table `<table>_history`.
        #[key("history.enabled")]
        pub history_enabled: bool = false,
        /// The changes that are allowed to the schema of tables.
        #[key("schema.evolution")]
        pub schema_evolution: SchemaEvolution = SchemaEvolution::Evolve,
        /// The treatment of records that do not fit the schema of their table.
        #[key("schema.mismatch")]
        pub schema_mismatch: SchemaMismatch = SchemaMismatch::Pause,
        /// The metadata columns of a table.
        #[key("metadata.columns")]
        pub metadata_columns: MetadataColumns = MetadataColumns::Full,
        /// Whether to create the standard views of a source, such as Close, in the schema of its tables: `towpath
        /// views` lists them. A view is created where all its tables exist, written by Towpath, with the columns that
        /// it reads; an object of the same name is left as it is. Needs `schema.evolution=evolve`.
        #[key("views.install")]
        pub views_install: bool = true,
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

    /// The names of tables.
    ///
    /// # Errors
    /// The key at fault, and the reason. Reading the config has refused it before.
    pub(crate) fn naming(&self) -> Result<Naming, naming::Problem> {
        Naming::of(&self.table_name_format, self.table_name_regex.as_deref())
    }

    /// Returns true if a field of this name becomes a column of the topic's table.
    pub(crate) fn takes(&self, topic: &str, field: &str) -> bool {
        (self.fields_include.is_empty() || filter::names(&self.fields_include, topic, field))
            && !filter::names(&self.fields_exclude, topic, field)
    }

    /// The topics that `fields.include` and `fields.exclude` name, each with its key and the whole entry.
    pub fn filtered_topics(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        [("fields.include", &self.fields_include), ("fields.exclude", &self.fields_exclude)]
            .into_iter()
            .flat_map(|(key, list)| list.iter().map(move |text| (key, text.as_str())))
            .filter_map(|(key, text)| Some((key, filter::Named::of(text).topic?, text)))
    }

    /// Returns true if each topic may have its own table.
    pub fn parts_topics(&self) -> bool {
        self.naming().is_ok_and(|naming| naming.parts_topics())
    }

    /// Returns true if `table.name.format` names groups of a regular expression.
    pub fn names_groups(&self) -> bool {
        self.naming().is_ok_and(|naming| naming.groups().next().is_some())
    }

    /// Checks that the topic can have a table.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check_table_name(&self, topic: &str) -> Result<(), String> {
        self.naming().map_err(|(_, why)| why)?.names(topic).map(drop)
    }
}
