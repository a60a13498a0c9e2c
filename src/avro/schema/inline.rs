//! Inlines schemas: every reference to a named type becomes its definition.
//!
//! Code that walks an inlined schema needs no table of names and always terminates: the only references that are left
//! are those of a type to itself, whose definitions come with the schema. Names that Avro does not allow are put back.

use std::{collections::HashMap, sync::Arc};

use apache_avro::schema::{
    ArraySchema, EnumSchema, MapSchema, Name, NamesRef, NamespaceRef, RecordField, RecordSchema, ResolvedSchema,
    Schema, UnionSchema,
};
use serde_json::{Value as Json, json};
use towpath_api::json::ORIGINAL_NAME;

use super::names::{ORIGINAL_SYMBOLS, original};

/// Maximum nesting, so that no walk can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Maximum number of types: a few lines of references can unfold to billions.
const MAX_PARTS: usize = 100_000;

/// A reason why a schema cannot be inlined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InlineError {
    /// A name is used but not defined.
    #[error("type `{0}` is used but not defined")]
    Undefined(String),
    #[error("the schema has more than {MAX_DEPTH} levels or {MAX_PARTS} types")]
    TooLarge,
    #[error("the schema is not valid: {0}")]
    Invalid(String),
}

/// The name of the record that [`with_parts`] returns.
const WHOLE: &str = "_towpath_whole";

/// Wraps `schema` and the schemas it references, `parts` in dependency order, into one record; [`inlined`] unwraps it.
/// Parts do not replace references here, since a reference may name a type within a part.
///
/// # Errors
/// A text is not JSON.
pub(crate) fn with_parts(parts: &[String], schema: &str) -> serde_json::Result<String> {
    let texts = parts.iter().map(String::as_str).chain([schema]);
    // The record has no namespace, so that names in the texts keep their meaning.
    let fields = texts
        .enumerate()
        .map(|(at, text)| Ok(json!({"name": format!("f{at}"), "type": serde_json::from_str::<Json>(text)?})));
    Ok(json!({"type": "record", "name": WHOLE, "fields": fields.collect::<serde_json::Result<Vec<_>>>()?}).to_string())
}

/// The definitions of the types that contain themselves, by full name. In a definition, such types are references.
pub(crate) type Recursive = Arc<HashMap<Name, Schema>>;

/// Replaces each reference in `schema` by its definition, except the references of a type to itself. For the record of
/// [`with_parts`], returns its last part.
///
/// The result is for reading and writing values. It cannot be registered, since its text would define names twice.
pub(crate) fn inlined(schema: &Schema) -> Result<(Schema, Recursive), InlineError> {
    let resolved = ResolvedSchema::new(schema).map_err(|error| InlineError::Invalid(error.to_string()))?;
    let mut walk = Inliner { names: resolved.get_names(), open: Vec::new(), parts: 0, recursive: HashMap::new() };
    let whole = match walk.walk(schema, None, 0)? {
        Schema::Record(mut whole) if whole.name.fullname(None) == WHOLE => whole
            .fields
            .pop()
            .map(|field| field.schema)
            .ok_or_else(|| InlineError::Invalid("it is empty".to_owned()))?,
        other => other,
    };
    let recursive = walk.recursive.into_iter().filter_map(|(name, definition)| Some((name, definition?)));
    Ok((whole, Arc::new(recursive.collect())))
}

struct Inliner<'a> {
    names: &'a NamesRef<'a>,
    /// The enclosing records, outermost first.
    open: Vec<Name>,
    parts: usize,
    /// The types that contain themselves, with their definitions once these are complete.
    recursive: HashMap<Name, Option<Schema>>,
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
            Schema::Enum(symbols) => Ok(Schema::Enum(with_original_symbols(symbols.clone()))),
            Schema::Fixed(fixed) => {
                let mut fixed = fixed.clone();
                note_original(&fixed.name, &mut fixed.attributes);
                Ok(Schema::Fixed(fixed))
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
            self.recursive.entry(full.clone()).or_default();
            return Ok(Schema::Ref { name: full });
        }
        self.open.push(full.clone());
        let fields = record.fields.iter().map(|field| {
            let schema = self.walk(&field.schema, full.namespace(), depth + 1)?;
            let mut custom_attributes = field.custom_attributes.clone();
            let name = match custom_attributes.remove(ORIGINAL_NAME) {
                Some(Json::String(name)) => name,
                _ => field.name.clone(),
            };
            Ok(RecordField {
                name,
                doc: field.doc.clone(),
                aliases: field.aliases.clone(),
                default: field.default.clone(),
                schema,
                custom_attributes,
            })
        });
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        self.open.pop();
        let mut attributes = record.attributes.clone();
        note_original(&full, &mut attributes);
        let inlined = Schema::Record(RecordSchema {
            name: full.clone(),
            aliases: record.aliases.clone(),
            doc: record.doc.clone(),
            lookup: fields.iter().enumerate().map(|(at, field)| (field.name.clone(), at)).collect(),
            fields,
            attributes,
        });
        if let Some(definition) = self.recursive.get_mut(&full) {
            definition.get_or_insert_with(|| inlined.clone());
        }
        Ok(inlined)
    }
}

/// Notes the original name of a type if it was replaced.
fn note_original(name: &Name, attributes: &mut std::collections::BTreeMap<String, Json>) {
    let name = name.fullname(None);
    let original = original(&name);
    if original != name {
        attributes.insert(ORIGINAL_NAME.to_owned(), Json::String(original.into_owned()));
    }
}

fn with_original_symbols(mut schema: EnumSchema) -> EnumSchema {
    note_original(&schema.name, &mut schema.attributes);
    if let Some(Json::Array(symbols)) = schema.attributes.remove(ORIGINAL_SYMBOLS)
        && symbols.len() == schema.symbols.len()
    {
        schema.symbols = symbols.into_iter().filter_map(|symbol| Some(symbol.as_str()?.to_owned())).collect();
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Schema {
        Schema::parse_str(text).unwrap()
    }

    #[test]
    fn parts_define_names_for_later_parts_and_keep_their_meaning() {
        let parts = [
            r#"{"type":"enum","name":"a.Stage","symbols":["open"]}"#,
            r#"{"type":"record","name":"a.Deal","fields":[{"name":"stage","type":"Stage"},
                {"name":"at","type":{"type":"fixed","name":"At","size":2}}]}"#,
        ];
        let inlined = |schema: &str| inlined(&parse(schema)).map(|(schema, _)| schema);
        let whole = |schema: &str| inlined(&with_parts(&parts.map(str::to_owned), schema).unwrap());
        let Schema::Record(deal) = inlined(&parts[1].replace(r#""Stage""#, parts[0])).unwrap() else { panic!() };
        let Schema::Union(union) = whole(r#"["null","a.Deal"]"#).unwrap() else { panic!("a union stays one") };
        let Schema::Record(found) = &union.variants()[1] else { panic!("a record") };
        assert_eq!((&found.name, found.fields.len()), (&deal.name, 2));
        assert!(matches!(found.fields[0].schema, Schema::Enum(_)));
        // A reference to a type within a part.
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
        let Schema::Record(record) = inlined(&schema).unwrap().0 else { panic!("a record stays one") };
        let Schema::Union(shipping) = &record.fields[1].schema else { panic!("a union stays one") };
        assert_eq!(shipping.variants()[1], record.fields[0].schema);
        let Schema::Array(others) = &record.fields[2].schema else { panic!("an array stays one") };
        assert_eq!(*others.items, record.fields[0].schema);
    }

    #[test]
    fn only_references_of_a_type_to_itself_are_left() {
        let tree = parse(
            r#"{"type":"record","name":"a.Forest","fields":[{"name":"first","type":{"type":"record","name":"Tree",
                "fields":[{"name":"parts","type":{"type":"array","items":{"type":"record","name":"Part",
                    "fields":[{"name":"of","type":["null","Tree"]}]}}}]}},{"name":"second","type":"Tree"}]}"#,
        );
        let (Schema::Record(forest), recursive) = inlined(&tree).unwrap() else { panic!("a record stays one") };
        assert_eq!(forest.fields[0].schema, forest.fields[1].schema);
        let names: Vec<_> = recursive.keys().map(|name| name.fullname(None)).collect();
        assert_eq!((names, recursive.values().next()), (vec!["a.Tree".to_owned()], Some(&forest.fields[0].schema)));
    }

    #[test]
    fn a_schema_that_unfolds_to_billions_of_types_is_refused() {
        let mut fields = vec![r#"{"name":"f0","type":{"type":"enum","name":"t0","symbols":["a"]}}"#.to_owned()];
        for level in 1..30 {
            let inner = format!("t{}", level - 1);
            fields.push(format!(
                r#"{{"name":"f{level}","type":{{"type":"record","name":"t{level}","fields":[
                    {{"name":"a","type":"{inner}"}},{{"name":"b","type":"{inner}"}}]}}}}"#
            ));
        }
        let bomb = parse(&format!(r#"{{"type":"record","name":"bomb","fields":[{}]}}"#, fields.join(",")));
        assert_eq!(inlined(&bomb).map(drop), Err(InlineError::TooLarge));
    }
}
