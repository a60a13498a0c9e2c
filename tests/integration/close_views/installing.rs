//! When views are created, replaced and left, and that they never stop a row.

use serde_json::json;
use towpath_api::{StandardView, ViewHome, ViewTable};

use super::{membership, tables::Tables};
use crate::{stack::rows, worker::towpath};

const DEALS: &[ViewTable] = &[ViewTable {
    name: "views_deal",
    columns: &[("id", "text"), ("days", "integer"), ("other", "integer")],
    is_required: true,
}];

const DEAL_DAYS: StandardView = StandardView {
    name: "deal_days",
    home: ViewHome::Tables,
    about: "Deals.",
    tables: DEALS,
    columns: &[("id", "The id."), ("days", "The days."), ("all", "Everything.")],
    sql: "SELECT d.id, d.days, to_jsonb(d) AS all FROM {views_deal} AS d WHERE NOT d._towpath_deleted",
};

/// Only an integer has this function.
const DEAL_TIME: StandardView = StandardView {
    name: "deal_time",
    sql: "SELECT d.id, make_interval(days => d.days) AS days FROM {views_deal} AS d",
    columns: &[("id", "The id."), ("days", "The days.")],
    ..DEAL_DAYS
};

const REFUSED: StandardView =
    StandardView { name: "refused", sql: "SELECT d.nothing FROM {views_deal} AS d", columns: &[], ..DEAL_DAYS };

const OF_ALL: StandardView = StandardView {
    name: "views_test_all",
    home: ViewHome::Bookkeeping,
    // No other test has the table.
    tables: &[ViewTable { name: "views_run", columns: &[("id", "text"), ("days", "integer")], is_required: true }],
    sql: "SELECT {schema} AS schema, r.id FROM {views_run} AS r",
    columns: &[("schema", "The schema."), ("id", "The id.")],
    ..DEAL_DAYS
};

fn place(view: &StandardView) -> String {
    let schema = if view.home == ViewHome::Tables { "$" } else { "towpath" };
    format!("{schema}.{}", view.name)
}

async fn declared(close: &Tables, views: &[StandardView]) {
    for view in views {
        let sql = format!(
            "SELECT a.attname || ': ' || col_description(a.attrelid, a.attnum) FROM pg_attribute a
             WHERE a.attrelid = '{}'::regclass AND a.attnum > 0 ORDER BY a.attnum",
            place(view)
        );
        let expected: Vec<String> = view.columns.iter().map(|(name, about)| format!("{name}: {about}")).collect();
        assert_eq!(close.ask(&sql).await, expected, "{}", view.name);
    }
}

#[tokio::test]
async fn every_view_stands_on_its_required_tables_alone_and_on_all() {
    let mut close = Tables::new("stand").await;
    let views = towpath_close::standard_views();
    let tables =
        |required: bool| views.iter().flat_map(|view| view.tables).filter(move |table| table.is_required == required);
    let empty = [json!({ "id": "1" })];
    for table in tables(true) {
        close.put(table.name, &empty).await;
    }
    let here = views.iter().filter(|view| view.home == ViewHome::Tables);
    let mut names: Vec<&str> = here.map(|view| view.name).collect();
    names.sort_unstable();
    assert_eq!(close.views().await, names);
    declared(&close, views).await;
    let comment = "SELECT obj_description('$.user_access'::regclass) ~ 'without: user .does not exist., role'";
    assert_eq!(close.ask(comment).await, ["t"]);
    for view in &names {
        close.ask(&format!("SELECT * FROM $.{view}")).await;
    }
    let views_now = "SELECT oid FROM pg_class WHERE relkind = 'v' AND relnamespace = '$'::regnamespace";
    close.run(&format!("CREATE TEMP TABLE before AS {views_now}")).await;
    for table in tables(false) {
        close.put(table.name, &empty).await;
    }
    let standing = close.standing().await;
    assert!(standing.iter().all(|view| view.why_not.is_none() && view.without.is_empty()), "{standing:#?}");
    declared(&close, views).await;
    for view in &names {
        close.ask(&format!("SELECT * FROM $.{view}")).await;
    }
    let replaced = "SELECT count(*) FROM before b JOIN pg_class c ON c.oid = b.oid WHERE relname NOT LIKE '%\\_live'";
    assert_eq!(close.ask(replaced).await, ["5"], "they were replaced in place");
    assert_eq!(close.ask(comment).await, ["f"]);
}

#[tokio::test]
async fn a_view_is_created_once_and_keeps_its_grants() {
    let mut close = Tables::new("once").await;
    close.put("membership", &[membership("ann", "agent", "user")]).await;
    close.run("CREATE ROLE \"$_reader\"; GRANT SELECT ON $.user_access TO \"$_reader\"").await;
    let version = "SELECT xmin FROM pg_class WHERE oid = '$.user_access'::regclass";
    let before = close.ask(version).await;
    close.put("membership", &[membership("ben", "agent", "user")]).await;
    close.restart().await;
    close.put("membership", &[membership("cid", "agent", "user")]).await;
    assert_eq!(close.ask(version).await, before, "nothing has changed");
    close.put("role", &[json!({ "id": "user", "name": "User" })]).await;
    assert_ne!(close.ask(version).await, before, "a table was added");
    let granted = "SELECT has_table_privilege('$_reader', '$.user_access', 'SELECT')";
    assert_eq!(close.ask(granted).await, ["t"]);
    // Its columns changed with a new version of Towpath: as if an older one had created another view.
    let older = "DROP VIEW $.user_access; CREATE VIEW $.user_access AS SELECT 1 AS old;
                 GRANT SELECT ON $.user_access TO \"$_reader\"";
    close.run(older).await;
    // Without a version of the server that can be compared, the comment decides.
    close.run("COMMENT ON VIEW $.user_access IS 'Older. [towpath view 0000 9:0000]'").await;
    assert_eq!(
        close.standing().await[0].why_not.as_deref(),
        Some("the sink creates it within a minute of the next records")
    );
    close.restart().await;
    assert_eq!(close.ask("SELECT count(*) FROM $.user_access").await, ["3"]);
    assert_eq!(close.ask(granted).await, ["t"]);
    close.run("DROP OWNED BY \"$_reader\"; DROP ROLE \"$_reader\"").await;
}

#[tokio::test]
async fn what_somebody_else_has_made_or_changed_is_left() {
    let mut close = Tables::new("foreign").await;
    close.run("CREATE SCHEMA $; CREATE VIEW $.user_access AS SELECT 7 AS mine").await;
    close.put("membership", &[membership("ann", "agent", "user")]).await;
    assert_eq!(close.ask("SELECT mine FROM $.user_access").await, ["7"]);
    assert_eq!(close.ask("SELECT count(*) FROM $.membership").await, ["1"], "the row is stored");
    let why = close.standing().await[0].why_not.clone().unwrap();
    assert!(why.starts_with("a view of somebody else has that name"), "{why}");
    close.run("DROP VIEW $.user_access").await;
    close.restart().await;
    assert_eq!(close.ask("SELECT user_id FROM $.user_access").await, ["ann"]);

    // Replacing a view keeps its comment.
    close
        .run(
            "DO 'BEGIN EXECUTE ''CREATE OR REPLACE VIEW $.user_access AS ''
               || rtrim(pg_get_viewdef(''$.user_access''::regclass), '';'')
               || '' WHERE length(a.user_id) > 9''; END'",
        )
        .await;
    close.put("role", &[json!({ "id": "user" })]).await;
    close.restart().await;
    assert!(close.ask("SELECT user_id FROM $.user_access").await.is_empty(), "the change is kept");
    assert!(close.standing().await[0].why_not.as_ref().unwrap().contains("somebody else"));
}

#[tokio::test]
async fn tables_that_towpath_does_not_fill_get_no_view() {
    let mut close = Tables::new("others").await;
    let columns = "id text, user_id text, role_id text, part text, is_active boolean, permissions_granted jsonb,
                   user_email text, user_full_name text, _towpath_deleted boolean";
    close.run(&format!("CREATE SCHEMA $; CREATE TABLE $.membership ({columns})")).await;
    close.put("user", &[json!({ "id": "ann" })]).await;
    assert!(close.views().await.is_empty());
    assert!(close.standing().await.is_empty());
}

#[tokio::test]
async fn a_column_that_widens_takes_its_views_along() {
    let mut deals = Tables::of("widening", &[DEAL_DAYS, DEAL_TIME], &[]).await;
    deals.put("views_deal", &[json!({ "id": "a", "days": 1, "other": 1 })]).await;
    assert_eq!(deals.views().await, ["deal_days", "deal_time"]);
    deals
        .run(
            "CREATE ROLE \"$_reader\"; GRANT SELECT ON $.deal_days TO \"$_reader\";
             ALTER VIEW $.deal_days SET (security_barrier = true);
             CREATE VIEW $.report AS SELECT days FROM $.deal_days",
        )
        .await;
    // No view shows this column by itself.
    deals.retype("views_deal", "other", "bigint");
    deals.put("views_deal", &[json!({ "id": "b", "days": 2, "other": 1_i64 << 40 })]).await;
    assert_eq!(deals.ask("SELECT \"all\" -> 'other' FROM $.deal_days WHERE id = 'b'").await, ["1099511627776"]);

    deals.retype("views_deal", "days", "bigint");
    let error = deals.refused("views_deal", &[json!({ "id": "c", "days": 1_i64 << 40 })]).await;
    assert!(error.chain().contains(&format!("{}.deal_days is used by another view", deals.name)), "{}", error.chain());
    deals.run("DROP VIEW $.report").await;
    deals.put("views_deal", &[json!({ "id": "c", "days": 1_i64 << 40 })]).await;
    assert_eq!(deals.ask("SELECT days FROM $.deal_days WHERE id = 'c'").await, ["1099511627776"]);
    declared(&deals, &[DEAL_DAYS]).await;
    let kept = "SELECT has_table_privilege('$_reader', '$.deal_days', 'SELECT'), reloptions
                FROM pg_class WHERE oid = '$.deal_days'::regclass";
    assert_eq!(deals.ask(kept).await, ["t|{security_barrier=true}"]);
    let standing = deals.standing().await;
    assert_eq!((standing[0].view, &standing[0].why_not), ("deal_days", &None));
    assert!(standing[1].why_not.as_ref().unwrap().contains("make_interval"), "{standing:?}");
    assert_eq!(deals.views().await, ["deal_days"], "the other one does not fit, and stops no row");
    deals.run("DROP OWNED BY \"$_reader\"; DROP ROLE \"$_reader\"").await;
}

#[tokio::test]
async fn a_view_that_the_database_refuses_stops_no_row_and_no_other_view() {
    let mut deals = Tables::of("refused", &[REFUSED, DEAL_DAYS], &[]).await;
    deals.put("views_deal", &[json!({ "id": "a", "days": 1 })]).await;
    deals.put("views_deal", &[json!({ "id": "b", "days": 1 })]).await;
    assert_eq!(deals.ask("SELECT id FROM $.deal_days ORDER BY 1").await, ["a", "b"]);
    let why = deals.standing().await[0].why_not.clone().unwrap();
    assert!(why.starts_with("column d.nothing does not exist"), "{why}");
}

#[tokio::test]
async fn views_are_not_created_if_the_configuration_rules_it_out() {
    for key in [("views.install", "false"), ("metadata.columns", "none"), ("schema.evolution", "validate")] {
        let more = if key.0 == "metadata.columns" { vec![key, ("delete.mode", "hard")] } else { vec![key] };
        let mut deals = Tables::of("without", &[DEAL_DAYS], Box::leak(more.into_boxed_slice())).await;
        if key.0 == "schema.evolution" {
            let metadata =
                "_towpath_ts bigint, _towpath_seq bigint, _towpath_offset bigint, _towpath_applied_at timestamptz,
                            _towpath_partition integer, _towpath_deleted boolean";
            let table = "CREATE TABLE $.views_deal (id text PRIMARY KEY, days integer, other integer";
            deals.run(&format!("CREATE SCHEMA $; {table}, {metadata})")).await;
        }
        deals.put("views_deal", &[json!({ "id": "a", "days": 1 })]).await;
        assert!(deals.views().await.is_empty(), "{key:?}");
        let why = deals.standing().await.pop().and_then(|view| view.why_not).unwrap_or_default();
        assert!(why.contains(key.0) || key.0 == "metadata.columns", "{why}");
    }
}

#[tokio::test]
async fn a_view_of_all_schemas_shows_the_tables_of_every_sink() {
    let mut one = Tables::of("every", &[OF_ALL], &[]).await;
    let mut two = Tables::of("every", &[OF_ALL], &[]).await;
    one.put("views_run", &[json!({ "id": "a" })]).await;
    two.put("views_run", &[json!({ "id": "b" })]).await;
    let sql =
        format!("SELECT id FROM towpath.views_test_all WHERE schema IN ('{}', '{}') ORDER BY 1", one.name, two.name);
    assert_eq!(rows(&one.client, &sql).await, ["a", "b"]);
    assert!(one.standing().await.iter().all(|view| view.why_not.is_none()));
}

#[tokio::test]
async fn towpath_views_lists_them_and_shows_which_are_installed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = towpath(folder.path()).arg("views").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = run(&[]);
    for view in towpath_close::standard_views() {
        assert!(listed.contains(&format!(".{}\n  {}\n", view.name, view.about)), "{listed}");
        assert!(view.columns.iter().all(|(name, about)| listed.contains(name) && listed.contains(about)));
    }
    let mut close = Tables::new("listed").await;
    close.put("membership", &[membership("ann", "agent", "user")]).await;
    close.put("opportunity", &[json!({ "id": "1" })]).await;
    let url = crate::stack::env("DATABASE_URL");
    let config = format!(
        "name = \"{}\"\nconnector.class = \"PostgresSink\"\ntopics = [\"x\"]\nconnection.url = \"{url}\"\n",
        close.name
    );
    std::fs::write(folder.path().join("pg.toml"), config).unwrap();
    let shown = run(&["pg.toml"]);
    let name = &close.name;
    for line in [
        format!("{name}.user_access: installed\n  - without user (does not exist)\n"),
        format!("{name}.opportunity_stage_history: missing: table {name}.opportunity_status_change (does not exist)\n"),
        "<topic.prefix>.lead_overview: missing: no schema that the sink fills has table lead with its columns\n"
            .to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&run(&["pg.toml", "-o", "json"])).unwrap();
    assert_eq!(json[0]["places"][0]["installed"], true, "{json:#}");
}
