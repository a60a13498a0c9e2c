//! A topic as Debezium's Postgres connector writes it with Connect's Avro converter: a snapshot, then a stream of
//! changes.
//!
//! Tables have the default replica identity, so `before` has only the key, and a large value that an update leaves
//! unchanged is unavailable.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use towpath_api::apache_avro::{Decimal, types::Value};

use super::model::{Act, Model};
use crate::types::foreign::{Sent, null, record, some, text};

pub(super) const KEY: &str = r#"{"type":"record","name":"Key","namespace":"shop.public.orders","fields":[
    {"name":"id","type":{"type":"int","connect.default":0},"default":0}],"connect.name":"shop.public.orders.Key"}"#;

pub(super) const COLUMNS: [&str; 5] = ["title", "amount", "at", "body", "stage"];
pub(super) const PARTITIONS: i32 = 2;

/// The schema of values; with `stage` after the table has that column.
pub(super) fn envelope(with_stage: bool) -> String {
    let stage = if with_stage { r#",{"name":"stage","type":["null","string"],"default":null}"# } else { "" };
    let nanos = r#"{"name":"ts_us","type":["null","long"],"default":null},
        {"name":"ts_ns","type":["null","long"],"default":null}"#;
    format!(
        r#"{{"type":"record","name":"Envelope","namespace":"shop.public.orders","fields":[
        {{"name":"before","type":["null",{{"type":"record","name":"Value","fields":[
            {{"name":"id","type":{{"type":"int","connect.default":0}},"default":0}},
            {{"name":"title","type":["null","string"],"default":null}},
            {{"name":"amount","type":["null",{{"type":"bytes","scale":2,"precision":12,"connect.version":1,
                "connect.parameters":{{"scale":"2","connect.decimal.precision":"12"}},
                "connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}}],"default":null}},
            {{"name":"at","type":["null",{{"type":"long","connect.version":1,
            "connect.name":"io.debezium.time.MicroTimestamp"}}],"default":null}},
            {{"name":"body","type":["null","string"],"default":null}}{stage}],
            "connect.name":"shop.public.orders.Value"}}],"default":null}},
        {{"name":"after","type":["null","Value"],"default":null}},
        {{"name":"source","type":{{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql",
        "fields":[
            {{"name":"version","type":"string"}},{{"name":"connector","type":"string"}},
            {{"name":"name","type":"string"}},
            {{"name":"ts_ms","type":"long"}},
            {{"name":"snapshot","type":[{{"type":"string","connect.version":1,
            "connect.parameters":
                {{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}},
                "connect.default":"false","connect.name":"io.debezium.data.Enum"}},"null"],"default":"false"}},
            {{"name":"db","type":"string"}},{{"name":"sequence","type":["null","string"],"default":null}},{nanos},
            {{"name":"schema","type":"string"}},{{"name":"table","type":"string"}},
            {{"name":"txId","type":["null","long"],"default":null}},
            {{"name":"lsn","type":["null","long"],"default":null}},
            {{"name":"xmin","type":["null","long"],"default":null}}],
            "connect.name":"io.debezium.connector.postgresql.Source"}}}},
        {{"name":"transaction","type":["null",{{"type":"record","name":"block","namespace":"event","fields":[
            {{"name":"id","type":"string"}},{{"name":"total_order","type":"long"}},
            {{"name":"data_collection_order","type":"long"}}],
            "connect.version":1,"connect.name":"event.block"}}],"default":null}},
        {{"name":"op","type":"string"}},{{"name":"ts_ms","type":["null","long"],"default":null}},{nanos}],
        "connect.version":2,"connect.name":"shop.public.orders.Envelope"}}"#
    )
}

#[derive(Debug, Clone)]
struct Row {
    title: String,
    cents: i64,
    at: i64,
    body: String,
    stage: Option<String>,
}

/// The captured table, and the model of its changes.
pub(super) struct Orders {
    random: StdRng,
    rows: BTreeMap<i32, Row>,
    next_id: i32,
    lsn: i64,
    ends: [i64; PARTITIONS as usize],
    /// Whether the table already has the column `stage`.
    pub(super) has_stage: bool,
    pub(super) model: Model,
    records: Vec<Sent>,
}

impl Orders {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            rows: BTreeMap::new(),
            next_id: 1,
            lsn: 0x0100_0000,
            ends: [0; PARTITIONS as usize],
            has_stage: false,
            model: Model::new(&COLUMNS),
            records: Vec::new(),
        }
    }

    /// The snapshot of `count` rows.
    pub(super) fn snapshot(&mut self, rows: u32) -> Vec<Sent> {
        for _ in 0..rows {
            self.create("r");
        }
        std::mem::take(&mut self.records)
    }

    /// `count` changes of the table.
    pub(super) fn changes(&mut self, changes: u32) -> Vec<Sent> {
        for _ in 0..changes {
            match self.random.random_range(0..20) {
                0..4 => self.create("c"),
                4..7 => {
                    let id = self.any();
                    self.delete(id);
                }
                7..9 => {
                    // A row gets a new key: a delete with a tombstone under the old key, and a create under the new
                    // key.
                    let id = self.any();
                    let row = self.rows[&id].clone();
                    self.delete(id);
                    self.insert("c", row);
                }
                9..12 => self.update(true),
                _ => self.update(false),
            }
        }
        std::mem::take(&mut self.records)
    }

    /// The id of any existing row.
    fn any(&mut self) -> i32 {
        let from = self.random.random_range(0..self.next_id);
        let found = self.rows.range(from..).next().or_else(|| self.rows.iter().next());
        *found.expect("the table is never empty").0
    }

    fn row(&mut self) -> Row {
        let number = self.random.random_range(0..1_000_000_i64);
        let stage = (self.has_stage && number % 3 > 0).then(|| format!("stage {}", number % 7));
        Row {
            title: format!("order {number}"),
            cents: number - 500_000,
            at: 1_700_000_000_000_000 + number,
            body: format!("a large text, number {number}"),
            stage,
        }
    }

    fn create(&mut self, op: &'static str) {
        let row = self.row();
        self.insert(op, row);
    }

    fn insert(&mut self, op: &'static str, row: Row) {
        let id = self.next_id;
        self.next_id += 1;
        self.rows.insert(id, row);
        self.send(op, id, true);
    }

    fn update(&mut self, with_body: bool) {
        let id = self.any();
        let mut row = self.row();
        if !with_body {
            row.body.clone_from(&self.rows[&id].body);
        }
        self.rows.insert(id, row);
        self.send("u", id, with_body);
    }

    fn delete(&mut self, id: i32) {
        self.rows.remove(&id);
        self.send("d", id, true);
        self.place(id, "tombstone", None, false, BTreeMap::new());
    }

    /// The record about the present state of row `id`.
    fn send(&mut self, op: &'static str, id: i32, with_body: bool) {
        let row = self.rows.get(&id).cloned();
        let mut values = BTreeMap::new();
        if let Some(row) = &row {
            let sign = if row.cents < 0 { "-" } else { "" };
            let cents = row.cents.unsigned_abs();
            values.insert("title", row.title.clone());
            values.insert("amount", format!("{sign}{}.{:02}", cents / 100, cents % 100));
            values.insert("at", row.at.to_string());
            if with_body {
                values.insert("body", row.body.clone());
            }
            if self.has_stage {
                values.insert("stage", row.stage.clone().unwrap_or_default());
            }
        }
        self.lsn += 56;
        let after = row.as_ref().map_or_else(null, |row| some(self.value(id, Some(row), with_body)));
        // With the default replica identity the log of a delete has only the key.
        let before = if op == "d" { some(self.value(id, None, true)) } else { null() };
        let now = 1_700_000_000_000 + self.lsn;
        let clocks = [("ts_us", some(Value::Long(now * 1_000))), ("ts_ns", some(Value::Long(now * 1_000_000)))];
        let snapshot = if op == "r" { "true" } else { "false" };
        let mut source = vec![
            ("version", text("3.0.0.Final")),
            ("connector", text("postgresql")),
            ("name", text("shop")),
            ("ts_ms", Value::Long(now)),
            ("snapshot", Value::Union(0, Box::new(text(snapshot)))),
            ("db", text("shop")),
            ("sequence", some(text(&format!("[\"{}\",\"{}\"]", self.lsn - 56, self.lsn)))),
        ];
        source.extend(clocks.clone());
        source.extend([
            ("schema", text("public")),
            ("table", text("orders")),
            ("txId", some(Value::Long(700 + self.lsn / 560))),
            ("lsn", some(Value::Long(self.lsn))),
            ("xmin", null()),
        ]);
        let mut envelope = vec![
            ("before", before),
            ("after", after),
            ("source", record(&source)),
            ("transaction", null()),
            ("op", text(op)),
            ("ts_ms", some(Value::Long(now))),
        ];
        envelope.extend(clocks);
        let op = match op {
            "r" => "read",
            "c" => "create",
            "u" => "update",
            _ => "delete",
        };
        self.place(id, op, Some(record(&envelope)), !with_body, values);
    }

    /// The value of a row, or of its key alone.
    fn value(&self, id: i32, row: Option<&Row>, with_body: bool) -> Value {
        let optional = |value: Option<Value>| value.map_or_else(null, some);
        let body = |row: &Row| text(if with_body { &row.body } else { "__debezium_unavailable_value" });
        let mut fields = vec![
            ("id", Value::Int(id)),
            ("title", optional(row.map(|row| text(&row.title)))),
            ("amount", optional(row.map(|row| Value::Decimal(Decimal::from(row.cents.to_be_bytes()))))),
            ("at", optional(row.map(|row| Value::Long(row.at)))),
            ("body", optional(row.map(body))),
        ];
        if self.has_stage {
            fields.push(("stage", optional(row.and_then(|row| row.stage.as_deref()).map(text))));
        }
        record(&fields)
    }

    fn place(
        &mut self,
        id: i32,
        op: &'static str,
        value: Option<Value>,
        is_partial: bool,
        values: BTreeMap<&'static str, String>,
    ) {
        let partition = id % PARTITIONS;
        let end = &mut self.ends[usize::try_from(partition).expect("ids are positive")];
        self.model.take(&Act { partition, offset: *end, id: id.into(), op, version: None, is_partial, values });
        let key = Some(record(&[("id", Value::Int(id))]));
        self.records.push(Sent { partition, offset: *end, key, value });
        *end += 1;
    }
}
