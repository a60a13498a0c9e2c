//! Schemas without references: every use of a named type becomes its definition.
//!
//! Who walks such a schema needs no table of names and cannot run in circles. A recursive schema has no such form and
//! is refused; it could not be stored in columns either.

use apache_avro::schema::{
    ArraySchema, MapSchema, Name, NamesRef, NamespaceRef, RecordField, RecordSchema, ResolvedSchema, Schema, UnionSchema,
};

/// Definitions nested deeper than this are refused, so that no walk can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// A schema of more parts than this is refused: a few lines of references can unfold to billions of parts.
const MAX_PARTS: usize = 100_000;

/// Why a schema cannot be written without references.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InlineError {
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

/// Returns `schema` with the definition in place of each reference.
///
/// The result is for reading and writing values. Its text would define names twice, so it cannot be registered.
pub(super) fn inlined(schema: &Schema) -> Result<Schema, InlineError> {
    let resolved = ResolvedSchema::new(schema).map_err(|error| InlineError::Invalid(error.to_string()))?;
    Inliner { names: resolved.get_names(), open: Vec::new(), parts: 0 }.walk(schema, None, 0)
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
