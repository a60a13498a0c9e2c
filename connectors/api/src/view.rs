//! Views that a source offers over the tables of its objects, for a sink that keeps tables.
//!
//! A source declares them; the runtime hands them to the sink, which knows no source. Tables are found by their
//! columns, so a view stands wherever the tables of the objects are.

/// A view over the tables of a source's objects. Its columns are fixed: they do not depend on the tables that exist.
#[derive(Debug, Clone, Copy)]
pub struct StandardView {
    /// The name, unlike those of all objects.
    pub name: &'static str,
    /// The schema in which the view is created.
    pub home: ViewHome,
    /// A sentence or two: the meaning of a row, and what is left out. It becomes the comment on the view.
    pub about: &'static str,
    /// The tables that the view reads.
    pub tables: &'static [ViewTable],
    /// Each column with its comment, in order.
    pub columns: &'static [(&'static str, &'static str)],
    /// The query, in the SQL of Postgres, without a semicolon at its end. In it stand:
    ///
    /// * `{table}` for a table of `tables`. If the table does not exist, this is an empty one with the declared
    ///   columns.
    /// * `{table:expression}` for the expression if the table exists, otherwise for `NULL`. The expression has no
    ///   braces.
    /// * `{schema}` for the name of the tables' schema, as a text literal.
    pub sql: &'static str,
}

/// The schema of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewHome {
    /// That of its tables: one view for each schema that has them.
    Tables,
    /// The sink's own: one view over the tables of all schemas, whose queries are combined with `UNION ALL`.
    Bookkeeping,
}

/// A table that a view reads.
#[derive(Debug, Clone, Copy)]
pub struct ViewTable {
    /// The name of the object, which is that of its table.
    pub name: &'static str,
    /// The columns that the view reads, each with its type in Postgres. All have to exist.
    pub columns: &'static [(&'static str, &'static str)],
    /// True if the view does not exist without the table. A sink creates a table with its first record only, so a table
    /// of something that an organization may not use is not required.
    pub is_required: bool,
}
