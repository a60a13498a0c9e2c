//! Describes the served API from the statics that serve it: as a table, and as an `OpenAPI` document.

mod query;

use std::{collections::BTreeMap, fmt::Write as _, sync::LazyLock};

use serde_json::{Map, Value as Json, json};

use crate::{
    http::{
        collection::{C, Collection, D, Endpoint, Exactness, Filter, G, L, Paging, Test, U},
        router,
    },
    model::{
        Kind,
        resource::{Field, Resource, Type, Write},
    },
    resources,
    world::Switches,
};

/// One method of one path.
pub struct Row {
    /// Upper case.
    pub method: &'static str,
    /// After `/api/v1`, as `/lead/{id}/`.
    pub path: String,
    /// Section of the reference.
    pub section: &'static str,
    pub exactness: Exactness,
    /// The collection, if the row belongs to one. An endpoint that overrides a method of a collection answers as that
    /// method does.
    pub collection: Option<&'static Collection>,
}

/// Every endpoint below `/api/v1/`, by path and method.
pub fn rows() -> Vec<Row> {
    let mut rows: BTreeMap<(String, usize), Row> = BTreeMap::new();
    let mut add = |row: Row| {
        let place = METHODS.iter().position(|method| *method == row.method).unwrap_or(METHODS.len());
        rows.entry((row.path.clone(), place)).or_insert(row);
    };
    // An endpoint takes precedence over a collection at the same path, as in routing.
    for Endpoint { method, path, section, exactness, .. } in
        resources::SOURCES.iter().flat_map(|source| source.endpoints)
    {
        let collection = stood_before(method, path);
        let (section, exactness) = collection.map_or((*section, *exactness), |of| (of.section, of.exactness));
        add(Row { method, path: named(path), section, exactness, collection });
    }
    for collection in resources::SOURCES.iter().flat_map(|source| source.collections) {
        let list = format!("/{}/", collection.path);
        let object = format!("/{}/{{id}}/", collection.path);
        for (bit, method, path) in
            [(L, "GET", &list), (C, "POST", &list), (G, "GET", &object), (U, "PUT", &object), (D, "DELETE", &object)]
        {
            if collection.methods & bit != 0 {
                let Collection { section, exactness, .. } = *collection;
                add(Row { method, path: path.clone(), section, exactness, collection: Some(collection) });
            }
        }
    }
    rows.into_values().collect()
}

/// The collection whose method an endpoint overrides.
fn stood_before(method: &str, path: &str) -> Option<&'static Collection> {
    let (path, one) = path.strip_suffix("/{}").map_or((path, false), |path| (path, true));
    let bit = match (method, one) {
        ("GET", false) => L,
        ("POST", false) => C,
        ("GET", true) => G,
        ("PUT", true) => U,
        ("DELETE", true) => D,
        _ => return None,
    };
    router::collection(path).filter(|collection| collection.methods & bit != 0)
}

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// `/group/{id}/member/{id2}/` for `group/{}/member/{}`.
fn named(path: &str) -> String {
    let mut named = String::from("/");
    for (at, part) in path.split("{}").enumerate() {
        match at {
            0 => {}
            1 => named.push_str("{id}"),
            _ => drop(write!(named, "{{id{at}}}")),
        }
        named.push_str(part);
    }
    named.push('/');
    named
}

impl Row {
    /// Returns true if the row answers a list.
    fn lists(&self) -> bool {
        self.method == "GET" && self.collection.is_some() && !self.path.ends_with("{id}/")
    }

    /// Query parameters with their schemas.
    fn parameters(&self) -> Vec<(String, Json)> {
        let text = || json!({ "type": "string" });
        let mut parameters = Vec::new();
        if let Some(collection) = self.collection.filter(|_| self.method == "GET") {
            parameters.push(("_fields".to_owned(), text()));
            if let (true, Paging::Offset { max_limit, max_skip }) = (self.lists(), collection.paging) {
                let limit = json!({ "type": "integer", "default": 100.min(max_limit), "maximum": max_limit });
                parameters.push(("_limit".to_owned(), limit));
                parameters.push(("_skip".to_owned(), json!({ "type": "integer", "default": 0, "maximum": max_skip })));
            }
            if self.lists() && orders(collection).next().is_some() {
                let both = |name: &str| match name.strip_prefix('-') {
                    Some(_) => vec![name.to_owned()],
                    None => vec![name.to_owned(), format!("-{name}")],
                };
                let orders: Vec<String> = orders(collection).flat_map(both).collect();
                parameters.push(("_order_by".to_owned(), json!({ "type": "string", "enum": orders })));
            }
        }
        parameters.extend(self.words().iter().flat_map(|word| query::names(word)).map(|name| (name, text())));
        parameters
    }

    /// Parameters beyond those of every list; a family with one set of suffixes is one word.
    fn words(&self) -> Vec<String> {
        let own = query::of(self.method, &self.path);
        let filters = self.collection.filter(|_| self.lists()).map_or(&[][..], |collection| collection.filters);
        let declared = filters.iter().filter(|filter| own.iter().all(|word| query::base(word) != filter.param));
        let mut words: Vec<String> = declared.map(word_of).collect();
        words.extend(own);
        words
    }

    /// The parameters as the table shows them.
    fn parameters_in_words(&self) -> String {
        let mut words: Vec<String> = self.words().iter().map(|word| format!("`{word}`")).collect();
        if let Some(collection) = self.collection.filter(|_| self.lists()) {
            let orders: Vec<&str> = orders(collection).collect();
            if !orders.is_empty() {
                words.push(format!("`_order_by` {}", orders.join(" / ")));
            }
        }
        words.join(", ")
    }

    fn page(&self) -> String {
        match self.collection.filter(|_| self.lists()).map(|collection| collection.paging) {
            Some(Paging::Offset { max_limit, max_skip }) => format!("{max_limit}, skip {max_skip}"),
            Some(Paging::Bare) => "all".to_owned(),
            None => String::new(),
        }
    }
}

/// The orders that callers may use; names that begin with `_` are internal.
fn orders(collection: &Collection) -> impl Iterator<Item = &'static str> + use<> {
    collection.orders.iter().map(|order| order.name).filter(|name| !name.starts_with('_'))
}

fn word_of(filter: &Filter) -> String {
    let suffixes = match filter.test {
        Test::Lead | Test::Field(_) => "[__in]",
        Test::Created(_) => "__{gt,gte,lt,lte}",
        Test::Moment(..) => "[__gt,__gte,__lt,__lte]",
        Test::Custom(_) | Test::Checked => "",
    };
    format!("{}{suffixes}", filter.param)
}

fn word(exactness: Exactness) -> &'static str {
    match exactness {
        Exactness::Documented => "documented",
        Exactness::Inferred => "inferred",
        Exactness::Chosen => "chosen",
    }
}

/// The tables of the README: endpoints and switches.
pub fn markdown() -> String {
    let mut out = String::from(
        "| Method | Path | Section | Exactness | Filters and orders | Largest page |\n|---|---|---|---|---|---|\n",
    );
    for row in rows() {
        let (method, path, section, exactness) = (row.method, &row.path, row.section, word(row.exactness));
        let (parameters, page) = (row.parameters_in_words(), row.page());
        let _ = writeln!(out, "| {method} | `{path}` | {section} | {exactness} | {parameters} | {page} |");
    }
    out.push_str("\n| Switch | Default | Meaning |\n|---|---|---|\n");
    let defaults = serde_json::to_value(Switches::default()).expect("switches are JSON");
    for (name, meaning) in Switches::MEANINGS {
        let default = defaults[*name].as_str().map_or_else(|| defaults[*name].to_string(), str::to_owned);
        let _ = writeln!(out, "| `{name}` | `{default}` | {} |", meaning.trim());
    }
    out
}

/// The served API as an `OpenAPI` 3.1 document.
pub fn openapi() -> &'static Json {
    static DOCUMENT: LazyLock<Json> = LazyLock::new(document);
    &DOCUMENT
}

fn document() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for row in rows() {
        let path = paths.entry(row.path.clone()).or_insert_with(|| json!({}));
        path[row.method.to_ascii_lowercase()] = operation(&row);
    }
    let schemas: Map<String, Json> = resources::SOURCES
        .iter()
        .flat_map(|source| source.collections)
        .flat_map(|collection| collection.kinds)
        .map(|kind| (kind.resource().name.to_owned(), schema(kind.resource())))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Close API as close-simulator serves it",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Operations name their section of the reference (x-section) and exactness (x-exactness).",
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "key": [] }, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": { "type": "http", "scheme": "basic", "description": "The API key as user name, no password." },
                "token": { "type": "http", "scheme": "bearer", "description": "An OAuth access token." },
            },
            "schemas": schemas,
            "responses": {
                "Refused": {
                    "description": "400, 403, 404 and others: a text, or texts by field (section 1.6).",
                    "content": { "application/json": { "schema": { "type": "object", "properties": {
                        "error": { "type": "string" },
                        "errors": { "type": "array", "items": { "type": "string" } },
                        "field-errors": { "type": "object" },
                    } } } },
                },
                "Unauthorized": {
                    "description": "Missing or wrong credentials.",
                    "content": { "application/json": { "schema": {
                        "type": "object", "properties": { "error": { "type": "string" } }
                    } } },
                },
                "Limited": {
                    "description": "Too many requests (section 3).",
                    "headers": {
                        "ratelimit": { "schema": { "type": "string" } },
                        "retry-after": { "schema": { "type": "integer" } },
                    },
                    "content": { "application/json": { "schema": {
                        "type": "object", "properties": { "error": { "type": "object" } }
                    } } },
                },
            },
        },
    })
}

fn operation(row: &Row) -> Json {
    let mut parameters: Vec<Json> = row
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(
        row.parameters().into_iter().map(|(name, schema)| json!({ "name": name, "in": "query", "schema": schema })),
    );
    let mut operation = json!({
        "operationId": format!("{} {}", row.method.to_ascii_lowercase(), row.path.trim_matches('/').replace('/', " ")),
        "parameters": parameters,
        "x-section": row.section,
        "x-exactness": word(row.exactness),
    });
    let any = json!({ "description": "OK", "content": { "application/json": { "schema": { "type": "object" } } } });
    let failures = |mut responses: Json| {
        for (status, name) in [("401", "Unauthorized"), ("429", "Limited"), ("default", "Refused")] {
            responses[status] = json!({ "$ref": format!("#/components/responses/{name}") });
        }
        responses
    };
    let Some(collection) = row.collection else {
        operation["responses"] = failures(json!({ "200": any }));
        return operation;
    };
    let one = one_of(collection.kinds);
    let content = |schema: Json| json!({ "application/json": { "schema": schema } });
    let (status, response) = match (row.method, row.lists()) {
        ("GET", true) => {
            let mut properties =
                json!({ "data": { "type": "array", "items": one }, "has_more": { "type": "boolean" } });
            if collection.total {
                properties["total_results"] = json!({ "type": "integer" });
            }
            (
                200,
                json!({
                    "description": "OK", "content": content(json!({ "type": "object", "properties": properties }))
                }),
            )
        }
        ("DELETE", _) if collection.deleted_status == 204 => (204, json!({ "description": "No content" })),
        ("DELETE", _) => (200, any),
        ("POST", _) => {
            (collection.created_status, json!({ "description": "Created", "content": content(one.clone()) }))
        }
        _ => (200, json!({ "description": "OK", "content": content(one.clone()) })),
    };
    if matches!(row.method, "POST" | "PUT") {
        operation["requestBody"] = json!({ "content": content(one) });
    }
    operation["responses"] = failures(json!({ status.to_string(): response }));
    operation
}

fn one_of(kinds: &[Kind]) -> Json {
    let reference = |kind: &Kind| json!({ "$ref": format!("#/components/schemas/{}", kind.resource().name) });
    match kinds {
        [kind] => reference(kind),
        kinds => json!({ "oneOf": kinds.iter().map(reference).collect::<Vec<_>>() }),
    }
}

fn schema(resource: &Resource) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in resource.fields() {
        properties.insert(field.name.to_owned(), property(field));
        if matches!(field.write, Write::Required | Write::RequiredOnce) {
            required.push(field.name);
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if resource.custom_fields {
        schema["patternProperties"] = json!({ "^custom\\.cf_[0-9A-Za-z]+$": {} });
    }
    schema
}

fn property(field: &Field) -> Json {
    // A computed field has no declared type.
    let mut property = if field.compute.is_some() && field.write == Write::No { json!({}) } else { type_of(field.ty) };
    if field.write == Write::No {
        property["readOnly"] = true.into();
    }
    if field.nullable
        && let Some(of) = property.get("type").and_then(Json::as_str).map(str::to_owned)
    {
        property["type"] = json!([of, "null"]);
    }
    property
}

fn type_of(ty: Type) -> Json {
    match ty {
        Type::Text(usize::MAX) | Type::DayOrMoment => json!({ "type": "string" }),
        Type::Text(max) => json!({ "type": "string", "maxLength": max }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int(i64::MIN, i64::MAX) => json!({ "type": "integer" }),
        Type::Int(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Type::Number => json!({ "type": "number" }),
        Type::Moment => json!({ "type": "string", "format": "date-time" }),
        Type::Day => json!({ "type": "string", "format": "date" }),
        // Null may be among the words of a nullable field.
        Type::Choice(words) => json!({ "enum": words }),
        Type::Ref(kinds) => {
            let prefixes: Vec<&str> = kinds.iter().map(|kind| kind.prefix()).collect();
            json!({ "type": "string", "description": format!("An id: {}_…", prefixes.join("_…, ")) })
        }
        Type::List(item) => json!({ "type": "array", "items": type_of(*item) }),
        Type::Object(fields) => {
            let properties: Map<String, Json> =
                fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
            json!({ "type": "object", "properties": properties })
        }
        Type::Json => json!({}),
    }
}
