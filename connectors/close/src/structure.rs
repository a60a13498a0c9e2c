//! The schemas of an organization's objects: a base schema each, and its custom fields.
//!
//! `definitions` reads the custom fields, and alone asks Close; `merge` combines them with the base schema and with
//! what the registry has.
//!
//! What always holds: a schema can read what every earlier one wrote. No field is removed, no type is narrowed.

mod definitions;
mod merge;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use apache_avro::schema::Schema;
use towpath_api::{Error, Object, Result};

pub(crate) use self::definitions::{Definition, Definitions};
use crate::{catalogue::Kind, client::Close, record::Shape};

/// The schemas of all selected objects.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    shapes: HashMap<&'static str, Arc<Shape>>,
    /// By object, the custom fields that are in its schema and that Close no longer has.
    removed: HashMap<&'static str, BTreeSet<String>>,
    gaps: Vec<(&'static str, Error)>,
}

impl Structure {
    /// Reads the organization's definitions and combines them with the base schemas and with `known`, the schemas that
    /// the registry has, by object: nothing that is there is removed or narrowed.
    ///
    /// A list of definitions that Close refuses, or does not give while it answers others, is a [gap](Self::gaps).
    ///
    /// # Errors
    /// Those of the client; fatal `close.schema` if a base schema cannot be combined.
    pub(crate) async fn load(
        close: &Close,
        kinds: &[&'static Kind],
        known: HashMap<&'static str, Arc<Schema>>,
    ) -> Result<Self> {
        let definitions = Definitions::read(close, kinds).await?;
        let known = known.iter().map(|(name, schema)| (*name, &**schema)).collect();
        Self::combine(kinds, definitions, &known)
    }

    /// Reads the definitions again. Objects whose schema is unchanged keep their [`Shape`].
    ///
    /// # Errors
    /// As for [`Structure::load`].
    pub(crate) async fn renewed(&self, close: &Close) -> Result<Self> {
        let definitions = Definitions::read(close, &self.kinds()).await?;
        self.combined(definitions)
    }

    /// As [`Structure::renewed`], with these definitions.
    pub(crate) fn combined(&self, definitions: Definitions) -> Result<Self> {
        let known = self.shapes.iter().map(|(name, shape)| (*name, shape.object.schema())).collect();
        let mut renewed = Self::combine(&self.kinds(), definitions, &known)?;
        for (name, shape) in &mut renewed.shapes {
            if let Some(old) = self.shapes.get(name).filter(|old| old.object == shape.object) {
                *shape = Arc::clone(old);
            }
        }
        Ok(renewed)
    }

    /// The schemas of `kinds`: base schemas, these definitions, and what is known already.
    pub(crate) fn combine(
        kinds: &[&'static Kind],
        definitions: Definitions,
        known: &HashMap<&'static str, &Schema>,
    ) -> Result<Self> {
        let (mut shapes, mut removed) = (HashMap::with_capacity(kinds.len()), HashMap::new());
        for kind in kinds {
            let shape = merge::shape(kind, definitions.of(kind), known.get(kind.name).copied())?;
            removed.insert(kind.name, merge::removed(&shape, definitions.of(kind)));
            shapes.insert(kind.name, Arc::new(shape));
        }
        Ok(Self { shapes, removed, gaps: definitions.gaps })
    }

    fn kinds(&self) -> Vec<&'static Kind> {
        self.shapes.values().map(|shape| shape.kind).collect()
    }

    /// The objects whose schema is not that of `older`, labels included.
    pub(crate) fn changed_since<'a>(&'a self, older: &'a Self) -> impl Iterator<Item = Arc<Object>> + Send + 'a {
        let changed = |shape: &&'a Arc<Shape>| {
            older.shapes.get(shape.kind.name).is_none_or(|old| !Arc::ptr_eq(old, shape) && old.object != shape.object)
        };
        self.shapes.values().filter(changed).map(|shape| Arc::clone(&shape.object))
    }

    /// The custom fields of an object that Close no longer has; `None` if a list of definitions could not be read.
    pub(crate) fn removed(&self, kind: &Kind) -> Option<BTreeSet<String>> {
        self.removed.get(kind.name).filter(|_| self.gaps.is_empty()).cloned()
    }

    /// The schema of a selected object.
    pub(crate) fn shape(&self, kind: &Kind) -> Option<&Arc<Shape>> {
        self.shapes.get(kind.name)
    }

    /// Takes the schema of an object back to that of `older`.
    pub(crate) fn keep(&mut self, older: &Self, object: &str) {
        if let Some((name, shape)) = older.shapes.get_key_value(object) {
            self.shapes.insert(name, Arc::clone(shape));
        }
    }

    /// The lists of definitions that could not be read, such as `custom fields of lead`, each with the error: their
    /// fields are those that were known before, and the values of others go into `_extra`.
    pub(crate) fn gaps(&self) -> &[(&'static str, Error)] {
        &self.gaps
    }
}
