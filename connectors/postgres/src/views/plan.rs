//! What stands in the database, and what is to be created. Changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::GenericClient;
use towpath_api::{Result, StandardView, ViewHome, ViewTable};

use super::render::{self, DELETED};
use crate::{
    name::TableName,
    sqlstate::setup_error,
    view_mark::{FINGERPRINT, ViewMark},
};

/// A view at a place.
#[derive(Debug)]
pub(super) struct Planned<'v> {
    pub(super) view: &'v StandardView,
    pub(super) name: TableName,
    pub(super) state: State,
    /// Tables that are not required and that the view does without, each with the reason.
    pub(super) without: Vec<String>,
}

#[derive(Debug)]
pub(super) enum State {
    /// The view is as it should be.
    Stands,
    /// The view has to be created or replaced.
    Due {
        query: String,
        comment: String,
        hash: String,
        /// True if an older one of ours is replaced.
        replaces: bool,
    },
    /// A required table does not exist, or lacks columns; with the reason.
    Lacks(String),
    /// Something that is not ours has the name; with its kind.
    Taken(String),
}

/// Tables, each with its columns.
type Tables = HashMap<String, HashSet<String>>;

/// The tables of a schema that Towpath fills.
#[derive(Default)]
struct Schema {
    /// True if this sink fills one of them.
    is_own: bool,
    tables: Tables,
}

/// The places of all views. A schema that has no required table of a view is not a place of it.
pub(super) async fn plan<'v>(
    client: &impl GenericClient,
    sink: &str,
    offered: &'v [StandardView],
) -> Result<Vec<Planned<'v>>> {
    let schemas = tables(client, sink, offered).await?;
    let own = schemas.iter().filter(|(_, found)| found.is_own).map(|(schema, _)| schema.as_str());
    let taken = relations(client, own, offered).await?;
    let mut plan = Vec::new();
    for view in offered {
        let fits = schemas.iter().map(|(schema, found)| (schema.as_str(), found, Fit::of(view, schema, &found.tables)));
        let fits: Vec<_> = fits.filter(|(.., fit)| fit.belongs).collect();
        if !fits.iter().any(|(_, found, _)| found.is_own) {
            continue;
        }
        // One view for all sinks shows the tables of all, so that they do not replace it in turn.
        let concerned = fits.into_iter().filter(|(_, found, _)| found.is_own || view.home == ViewHome::Bookkeeping);
        let places: Vec<(&str, Fit)> = concerned.map(|(schema, _, fit)| (schema, fit)).collect();
        match view.home {
            ViewHome::Tables => {
                for (schema, fit) in places {
                    plan.push(planned(view, schema, &[(schema, fit)], &taken));
                }
            }
            ViewHome::Bookkeeping => {
                // One that lacks something is left out, if there are others.
                let (whole, rest): (Vec<_>, Vec<_>) = places.into_iter().partition(|(_, fit)| fit.lacks.is_none());
                let places = if whole.is_empty() { rest } else { whole };
                if !places.is_empty() {
                    plan.push(planned(view, "towpath", &places, &taken));
                }
            }
        }
    }
    Ok(plan)
}

fn planned<'v>(
    view: &'v StandardView,
    home: &str,
    places: &[(&str, Fit<'v>)],
    taken: &HashMap<TableName, Relation>,
) -> Planned<'v> {
    let name = TableName { schema: home.to_owned(), table: view.name.to_owned() };
    let without: Vec<String> = places.iter().flat_map(|(_, fit)| fit.without.iter().cloned()).collect();
    if let Some(why) = places.iter().find_map(|(_, fit)| fit.lacks.clone()) {
        return Planned { view, name, state: State::Lacks(why), without };
    }
    let queries: Vec<String> = places.iter().map(|(schema, fit)| render::query(view, schema, &fit.present)).collect();
    let query = queries.join("\nUNION ALL\n");
    let mut comment = view.about.to_owned();
    if !without.is_empty() {
        comment.push_str(&format!(" At present without: {}.", without.join(", ")));
    }
    comment.push_str(" Written by Towpath.");
    let hash = render::hash(&[&query, &comment, &render::column_comments(view, &name)]);
    let state = match taken.get(&name) {
        Some(Relation::Other(what)) => State::Taken(what.clone()),
        Some(Relation::Ours(mark)) if mark.query == hash => State::Stands,
        ours => State::Due { query, comment, hash, replaces: ours.is_some() },
    };
    Planned { view, name, state, without }
}

/// How the tables of a schema fit a view.
struct Fit<'v> {
    /// True if the schema has a required table of the view.
    belongs: bool,
    /// Why the view cannot exist.
    lacks: Option<String>,
    present: Vec<&'v str>,
    without: Vec<String>,
}

impl<'v> Fit<'v> {
    fn of(view: &'v StandardView, schema: &str, tables: &Tables) -> Self {
        let mut fit = Self { belongs: false, lacks: None, present: Vec::new(), without: Vec::new() };
        for table in view.tables {
            let missing = missing(table, tables.get(table.name));
            fit.belongs |= table.is_required && missing.is_none();
            match missing {
                None => fit.present.push(table.name),
                Some(what) if table.is_required => {
                    fit.lacks.get_or_insert_with(|| format!("table {schema}.{}{what}", table.name));
                }
                Some(what) => fit.without.push(format!("{}{what}", table.name)),
            }
        }
        fit
    }
}

/// What a table lacks, to follow its name; `None` if nothing.
fn missing(table: &ViewTable, columns: Option<&HashSet<String>>) -> Option<String> {
    let Some(columns) = columns else { return Some(" (does not exist)".to_owned()) };
    let needed = table.columns.iter().map(|(name, _)| *name).chain([DELETED]);
    let lacking: Vec<&str> = needed.filter(|name| !columns.contains(*name)).collect();
    (!lacking.is_empty()).then(|| format!(" (lacks {})", lacking.join(", ")))
}

/// The tables with a name that some view reads, by schema. Tables that Towpath does not fill are left out, and schemas
/// of other sinks as well, unless a view shows all of them.
async fn tables(client: &impl GenericClient, sink: &str, offered: &[StandardView]) -> Result<BTreeMap<String, Schema>> {
    let read = |view: &StandardView| view.tables.iter().map(|table| table.name.to_owned()).collect::<Vec<_>>();
    let names: Vec<String> = offered.iter().flat_map(read).collect();
    let sql = "SELECT k.table_schema, k.table_name,
                      ARRAY(SELECT a.attname::text FROM pg_attribute a
                            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
                      k.table_schema IN (SELECT t.table_schema FROM towpath.tables t
                                         JOIN towpath.sink_partition p ON p.topic = t.topic WHERE p.sink = $1)
               FROM (SELECT DISTINCT table_schema, table_name FROM towpath.columns WHERE table_name = ANY ($2)) k
               JOIN pg_namespace n ON n.nspname = k.table_schema
               JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name AND c.relkind IN ('r', 'p')
               WHERE $3 OR k.table_schema IN (SELECT t.table_schema FROM towpath.tables t
                                              JOIN towpath.sink_partition p ON p.topic = t.topic WHERE p.sink = $1)";
    let of_all = offered.iter().any(|view| view.home == ViewHome::Bookkeeping);
    let rows = client.query(sql, &[&sink, &names, &of_all]).await;
    let rows = rows.map_err(|error| setup_error("look for the tables of standard views", error))?;
    let mut schemas: BTreeMap<String, Schema> = BTreeMap::new();
    for row in rows {
        let columns: Vec<String> = row.get(2);
        let schema = schemas.entry(row.get(0)).or_default();
        schema.is_own |= row.get::<_, bool>(3);
        schema.tables.insert(row.get(1), columns.into_iter().collect());
    }
    Ok(schemas)
}

/// Something with the name of a view.
enum Relation {
    Ours(ViewMark),
    Other(String),
}

async fn relations(
    client: &impl GenericClient,
    schemas: impl Iterator<Item = &str>,
    offered: &[StandardView],
) -> Result<HashMap<TableName, Relation>> {
    let failed = |error| setup_error("look for standard views", error);
    let schemas: Vec<String> = schemas.chain(["towpath"]).map(ToOwned::to_owned).collect();
    let names: Vec<String> = offered.iter().map(|view| view.name.to_owned()).collect();
    let name = |row: &tokio_postgres::Row| TableName { schema: row.get(0), table: row.get(1) };
    let mut found = HashMap::new();
    let claimed = "SELECT table_schema, table_name, topic FROM towpath.tables
                   WHERE table_schema = ANY ($1) AND table_name = ANY ($2)";
    for row in client.query(claimed, &[&schemas, &names]).await.map_err(failed)? {
        found.insert(name(&row), Relation::Other(format!("the table of topic `{}`", row.get::<_, &str>(2))));
    }
    let sql = format!(
        "SELECT n.nspname::text, v.relname::text,
                CASE v.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'S' THEN 'a sequence'
                     WHEN 'i' THEN 'an index' WHEN 'I' THEN 'an index' WHEN 'c' THEN 'a type' ELSE 'a table' END,
                CASE v.relkind WHEN 'v' THEN {FINGERPRINT} END, obj_description(v.oid, 'pg_class')
         FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace
         WHERE n.nspname = ANY ($1) AND v.relname = ANY ($2)"
    );
    for row in client.query(&sql, &[&schemas, &names]).await.map_err(failed)? {
        let (kind, fingerprint, comment): (String, Option<String>, Option<String>) =
            (row.get(2), row.get(3), row.get(4));
        let mark = comment.zip(fingerprint).and_then(|(comment, now)| ViewMark::of(&comment, &now));
        let relation = mark.map_or_else(|| Relation::Other(format!("{kind} of somebody else")), Relation::Ours);
        found.entry(name(&row)).or_insert(relation);
    }
    Ok(found)
}
