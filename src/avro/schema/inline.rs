//! Schemas without references: every use of a named type becomes its definition.
//!
//! Who walks such a schema needs no table of names and cannot run in circles. A recursive schema has no such form and
//! is refused; it could not be stored in columns either.

use apache_avro::schema::{
    ArraySchema, MapSchema, Name, NamesRef, NamespaceRef, RecordField, RecordSchema, ResolvedSchema, Schema,
    UnionSchema,
};
use serde_json::{Value as Json, json};

/// Definitions nested deeper than this are refused, so that no walk can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// A schema of more parts than this is refused: a few lines of references can unfold to billions of parts.
const MAX_PARTS: usize = 100_000;

/// Why a schema cannot be written without references.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InlineError {
    /// A type contains itself.
    #[error("type `{0}` contains itself")]
    Recursive(String),
    /// A name is used and nowhere defined.
    #[error("type `{0}` is used but not defined")]
    Undefined(String),
    /// Too deep or too large.
    #[error("the schema has more than {MAX_DEPTH} levels or {MAX_PARTS} parts")]
    TooLarge,
    /// It is no valid schema.
    #[error("the schema is not valid: {0}")]
    Invalid(String),
}

/// The name of the record that [`with_parts`] makes.
const WHOLE: &str = "_towpath_whole";

/// The text of a schema and of others that it refers to, each behind those that it refers to itself, as one that
/// [`inlined`] makes the first one of. Parts are not put in the places of their names, since a name may be that of a
/// type within a part.
///
/// # Errors
/// One of them is no JSON.
pub(crate) fn with_parts(parts: &[String], schema: &str) -> serde_json::Result<String> {
    let texts = parts.iter().map(String::as_str).chain([schema]);
    // Without a namespace, so that names in the texts mean what they mean alone.
    let fields = texts
        .enumerate()
        .map(|(at, text)| Ok(json!({"name": format!("f{at}"), "type": serde_json::from_str::<Json>(text)?})));
    Ok(json!({"type": "record", "name": WHOLE, "fields": fields.collect::<serde_json::Result<Vec<_>>>()?}).to_string())
}

/// Returns `schema` with the definition in place of each reference; of one that [`with_parts`] made the last part.
///
/// The result is for reading and writing values. Its text would define names twice, so it cannot be registered.
pub(crate) fn inlined(schema: &Schema) -> Result<Schema, InlineError> {
    let resolved = ResolvedSchema::new(schema).map_err(|error| InlineError::Invalid(error.to_string()))?;
    let inlined = Inliner { names: resolved.get_names(), open: Vec::new(), parts: 0 }.walk(schema, None, 0)?;
    match inlined {
        Schema::Record(mut whole) if whole.name.fullname(None) == WHOLE => {
            whole.fields.pop().map(|field| field.schema).ok_or_else(|| InlineError::Invalid("it is empty".to_owned()))
        }
        inlined => Ok(inlined),
    }
}

struct Inliner<'a> {
    names: &'a NamesRef<'a>,
    /// The references that are being unfolded, outermost first.
    open: Vec<Name>,
    parts: usize,
}

impl Inliner<'_> {
    fn walk(&mut self, schema: &Schema, namespace: NamespaceRef, depth: usize) -> Result<Schema, InlineError> {
        self.parts += 1;
        if depth > MAX_DEPTH || self.parts > MAX_PARTS {
            return Err(InlineError::TooLarge);
        }
        match schema {
            Schema::Ref { name } => self.unfold(name, namespace, depth),
            Schema::Record(record) => self.record(record, namespace, depth),
            Schema::Array(array) => Ok(Schema::Array(ArraySchema {
                items: Box::new(self.walk(&array.items, namespace, depth + 1)?),
                attributes: array.attributes.clone(),
            })),
            Schema::Map(map) => Ok(Schema::Map(MapSchema {
                types: Box::new(self.walk(&map.types, namespace, depth + 1)?),
                attributes: map.attributes.clone(),
            })),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.walk(branch, namespace, depth + 1));
                let branches = branches.collect::<Result<_, _>>()?;
                UnionSchema::new(branches).map(Schema::Union).map_err(|error| InlineError::Invalid(error.to_string()))
            }
            leaf => Ok(leaf.clone()),
        }
    }

    fn unfold(&mut self, name: &Name, namespace: NamespaceRef, depth: usize) -> Result<Schema, InlineError> {
        let full = name.fully_qualified_name(namespace).into_owned();
        let Some(definition) = self.names.get(&full).copied() else {
            return Err(InlineError::Undefined(full.fullname(None)));
        };
        self.walk(definition, full.namespace(), depth + 1)
    }

    fn record(&mut self, record: &RecordSchema, namespace: NamespaceRef, depth: usize) -> Result<Schema, InlineError> {
        let full = record.name.fully_qualified_name(namespace).into_owned();
        if self.open.contains(&full) {
            return Err(InlineError::Recursive(full.fullname(None)));
        }
        self.open.push(full.clone());
        let fields = record.fields.iter().map(|field| {
            let schema = self.walk(&field.schema, full.namespace(), depth + 1)?;
            Ok(RecordField {
                name: field.name.clone(),
                doc: field.doc.clone(),
                aliases: field.aliases.clone(),
                default: field.default.clone(),
                schema,
                custom_attributes: field.custom_attributes.clone(),
            })
        });
        let fields = fields.collect::<Result<_, _>>()?;
        self.open.pop();
        Ok(Schema::Record(RecordSchema {
            name: full,
            aliases: record.aliases.clone(),
            doc: record.doc.clone(),
            fields,
            lookup: record.lookup.clone(),
            attributes: record.attributes.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Schema {
        Schema::parse_str(text).unwrap()
    }

    #[test]
    fn parts_are_known_by_the_names_that_they_define_and_mean_what_they_mean_alone() {
        let parts = [
            r#"{"type":"enum","name":"a.Stage","symbols":["open"]}"#,
            r#"{"type":"record","name":"a.Deal","fields":[{"name":"stage","type":"Stage"},{"name":"at","type":{"type":"fixed","name":"At","size":2}}]}"#,
        ];
        let whole = |schema: &str| inlined(&parse(&with_parts(&parts.map(str::to_owned), schema).unwrap()));
        let Schema::Record(deal) = inlined(&parse(&parts[1].replace(r#""Stage""#, parts[0]))).unwrap() else {
            panic!()
        };
        let Schema::Union(union) = whole(r#"["null","a.Deal"]"#).unwrap() else { panic!("a union stays one") };
        let Schema::Record(found) = &union.variants()[1] else { panic!("a record") };
        assert_eq!((&found.name, found.fields.len()), (&deal.name, 2));
        assert!(matches!(found.fields[0].schema, Schema::Enum(_)));
        // A type within a part.
        let Schema::Record(found) =
            whole(r#"{"type":"record","name":"a.Log","fields":[{"name":"at","type":"At"}]}"#).unwrap()
        else {
            panic!("a record")
        };
        assert_eq!(found.fields[0].schema, deal.fields[1].schema);
        assert!(with_parts(&["{".to_owned()], "\"a\"").is_err());
    }

    #[test]
    fn a_reference_becomes_its_definition() {
        let schema = parse(
            r#"{"type":"record","name":"a.Deal","fields":[
                {"name":"billing","type":{"type":"record","name":"Address","fields":[{"name":"city","type":"string"}]}},
                {"name":"shipping","type":["null","a.Address"]},
                {"name":"others","type":{"type":"array","items":"Address"}}]}"#,
        );
        let Schema::Record(record) = inlined(&schema).unwrap() else { panic!("a record stays one") };
        let Schema::Union(shipping) = &record.fields[1].schema else { panic!("a union stays one") };
        assert_eq!(shipping.variants()[1], record.fields[0].schema);
        let Schema::Array(others) = &record.fields[2].schema else { panic!("an array stays one") };
        assert_eq!(*others.items, record.fields[0].schema);
    }

    #[test]
    fn a_recursive_schema_is_refused() {
        let list = parse(r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]}]}"#);
        assert_eq!(inlined(&list), Err(InlineError::Recursive("List".into())));
    }

    #[test]
    fn a_schema_that_unfolds_without_end_is_refused() {
        let mut fields = vec![r#"{"name":"f0","type":{"type":"enum","name":"t0","symbols":["a"]}}"#.to_owned()];
        for level in 1..30 {
            let inner = format!("t{}", level - 1);
            fields.push(format!(
                r#"{{"name":"f{level}","type":{{"type":"record","name":"t{level}","fields":[
                    {{"name":"a","type":"{inner}"}},{{"name":"b","type":"{inner}"}}]}}}}"#
            ));
        }
        let bomb = parse(&format!(r#"{{"type":"record","name":"bomb","fields":[{}]}}"#, fields.join(",")));
        assert_eq!(inlined(&bomb), Err(InlineError::TooLarge));
    }
}
