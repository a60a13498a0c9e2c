//! `POST /data/search/`: section 2.6, and section 12, items 3 and 9.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Close, Reply};

async fn search(close: &Close, body: Value) -> Reply {
    close.post("data/search/", body).await
}

/// The names of a query's results, sorted.
async fn names(close: &Close, query: Value) -> Vec<String> {
    let reply = search(close, json!({ "query": query, "_fields": { "lead": ["name"], "contact": ["name"] } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let mut names: Vec<String> =
        reply.rows().iter().map(|row| row["name"].as_str().unwrap_or("?").to_owned()).collect();
    names.sort();
    names
}

fn leads(more: &[Value]) -> Value {
    let mut queries = vec![json!({ "type": "object_type", "object_type": "lead" })];
    queries.extend_from_slice(more);
    json!({ "type": "and", "queries": queries })
}

fn regular(object_type: &str, name: &str) -> Value {
    json!({ "type": "regular_field", "object_type": object_type, "field_name": name })
}

fn custom(id: &Value) -> Value {
    json!({ "type": "custom_field", "custom_field_id": id })
}

fn condition(field: impl Into<Value>, condition: impl Into<Value>) -> Value {
    json!({ "type": "field_condition", "field": field.into(), "condition": condition.into() })
}

/// Leads with names that no data set has, oldest first, one second apart.
async fn make_leads(close: &Close, names: &[&str]) -> Vec<Value> {
    let mut made = Vec::new();
    for name in names {
        close.advance(1.0).await;
        made.push(close.make("lead/", json!({ "name": name })).await);
    }
    made
}

/// Leads whose name has this word.
fn named(word: &str) -> Value {
    leads(&[condition(regular("lead", "name"), json!({ "type": "text", "mode": "full_words", "value": word }))])
}

fn by(direction: &str, field: impl Into<Value>) -> Value {
    json!({ "direction": direction, "field": field.into() })
}

#[tokio::test]
async fn quirk_09_only_the_type_and_the_id_come_back_unless_fields_are_named() {
    let close = Close::start().await;
    let lead = &make_leads(&close, &["Quellbrunn Alpha"]).await[0];
    let field = close.make("custom_field/lead/", json!({ "name": "Rank", "type": "number" })).await;
    let key = format!("custom.{}", field["id"].as_str().unwrap());
    close.put(&format!("lead/{}/", lead["id"].as_str().unwrap()), json!({ &key: 7 })).await;

    let reply = search(&close, json!({ "query": named("quellbrunn") })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body, json!({ "data": [{ "__object_type": "lead", "id": lead["id"] }], "cursor": null }));

    let with = |fields: Value| json!({ "query": named("quellbrunn"), "_fields": { "lead": fields } });
    let reply = search(&close, with(json!(["id", "name", "custom"]))).await;
    assert_eq!(
        reply.rows()[0],
        json!({ "__object_type": "lead", "id": lead["id"], "name": "Quellbrunn Alpha", &key: 7 }),
        "custom fields are flat"
    );
    let reply = search(&close, with(json!([key]))).await;
    assert_eq!(reply.rows()[0], json!({ "__object_type": "lead", &key: 7 }));
    assert_eq!(search(&close, with(json!([]))).await.rows()[0], json!({ "__object_type": "lead" }));
    let of_another = json!({ "query": named("quellbrunn"), "_fields": { "contact": ["name"] } });
    assert_eq!(search(&close, of_another).await.rows()[0]["id"], lead["id"], "fields of another type do not count");
}

#[tokio::test]
async fn a_cursor_walks_every_object_once_in_every_order() {
    let close = Close::start().await;
    let field = close.make("custom_field/lead/", json!({ "name": "Rank", "type": "number" })).await;
    let key = format!("custom.{}", field["id"].as_str().unwrap());
    let mut made = Vec::new();
    for at in 0..7 {
        // Two of each rank, and one without: a walk must cross equal and missing values.
        let rank = if at == 6 { Value::Null } else { json!(at / 2) };
        made.push(
            close.make("lead/", json!({ "name": format!("Quellbrunn {}", 9 - at), &key: rank })).await["id"].clone(),
        );
    }
    let orders = [
        json!([]),
        json!([by("asc", regular("lead", "date_created"))]),
        json!([by("desc", regular("lead", "date_created"))]),
        json!([by("asc", regular("lead", "name"))]),
        json!([by("desc", regular("lead", "date_updated"))]),
        json!([by("asc", custom(&field["id"]))]),
        json!([by("desc", custom(&field["id"])), by("asc", regular("lead", "name"))]),
    ];
    for sort in orders {
        let mut seen = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let reply =
                search(&close, json!({ "query": named("quellbrunn"), "sort": sort, "_limit": 2, "cursor": cursor }))
                    .await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            seen.extend(reply.rows().iter().map(|row| row["id"].clone()));
            cursor = reply.body["cursor"].clone();
            if cursor.is_null() {
                break;
            }
            assert_eq!(reply.rows().len(), 2);
        }
        assert_eq!(seen.len(), 7, "{sort}");
        assert!(made.iter().all(|id| seen.contains(id)), "{sort}");
        if sort[0]["field"]["field_name"] == "name" {
            assert!(seen.iter().eq(made.iter().rev()), "by name, which goes down with every lead");
        }
        if sort[0]["field"]["type"] == "custom_field" {
            assert_eq!(seen[6], made[6], "what has no value comes last, whatever the direction");
        }
        if sort.as_array().unwrap().len() == 2 {
            assert_eq!(seen[..2], [made[5].clone(), made[4].clone()], "the second order among equals");
        }
    }
}

#[tokio::test]
async fn a_walk_by_creation_is_not_disturbed_by_new_and_deleted_leads() {
    let close = Close::start().await;
    let made = make_leads(&close, &["Quellbrunn A", "Quellbrunn B", "Quellbrunn C", "Quellbrunn D"]).await;
    let sort = json!([by("asc", regular("lead", "date_created"))]);
    let first = search(&close, json!({ "query": named("quellbrunn"), "sort": sort, "_limit": 2 })).await;
    // Unlike an offset, the cursor does not move when an earlier row is deleted.
    assert_eq!(close.delete(&format!("lead/{}/", made[0]["id"].as_str().unwrap())).await.status, 200);
    make_leads(&close, &["Quellbrunn E"]).await;
    let body = json!({ "query": named("quellbrunn"), "sort": sort, "_limit": 2, "cursor": first.body["cursor"] });
    let second = search(&close, body).await;
    let ids: Vec<&Value> = second.rows().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&made[2]["id"], &made[3]["id"]]);
    assert!(second.body["cursor"].is_string(), "the new one follows");
}

/// Section 12, item 9.
#[tokio::test]
async fn quirk_09_a_cursor_dies_thirty_seconds_after_it_was_given_out() {
    let close = Close::start().await;
    make_leads(&close, &["Quellbrunn A", "Quellbrunn B", "Quellbrunn C"]).await;
    close.post("/_control/clock/", json!({ "rate": 0 })).await;
    let first = search(&close, json!({ "query": named("quellbrunn"), "_limit": 1 })).await;
    let next = |cursor: &Value| json!({ "query": named("quellbrunn"), "_limit": 1, "cursor": cursor });
    close.advance(30.0).await;
    let second = search(&close, next(&first.body["cursor"])).await;
    assert_eq!(second.status, 200, "{}", second.text);
    close.advance(1.0).await;
    let late = search(&close, next(&first.body["cursor"])).await;
    assert_eq!(late.status, 400);
    assert!(late.body["field-errors"]["cursor"].as_str().unwrap().contains("expired"), "{}", late.text);
    assert_eq!(search(&close, next(&second.body["cursor"])).await.status, 200, "each cursor has its own 30 seconds");

    let other = json!({ "query": named("other"), "_limit": 1, "cursor": second.body["cursor"] });
    assert_eq!(search(&close, other).await.status, 400, "a cursor belongs to its query");
    assert_eq!(search(&close, next(&json!("bm9uZQ"))).await.status, 400);
    assert_eq!(search(&close, next(&json!(7))).await.status, 400);
    assert_eq!(search(&close, next(&json!(""))).await.status, 200, "an empty cursor is none");
}

#[tokio::test]
async fn results_limit_cuts_the_sequence_and_counts_tell_both_numbers() {
    let close = Close::start().await;
    make_leads(&close, &["Quellbrunn A", "Quellbrunn B", "Quellbrunn C", "Quellbrunn D"]).await;
    let body = json!({ "query": named("quellbrunn"), "_limit": 2, "results_limit": 3, "include_counts": true });
    let first = search(&close, body.clone()).await;
    assert_eq!((first.rows().len(), &first.body["count"]), (2, &json!({ "limited": 3, "total": 4 })));
    let mut body = body;
    body["cursor"] = first.body["cursor"].clone();
    let second = search(&close, body).await;
    assert_eq!((second.rows().len(), &second.body["cursor"]), (1, &Value::Null));
    let without = search(&close, json!({ "query": named("quellbrunn") })).await;
    assert_eq!((without.rows().len(), without.body.get("count")), (4, None));
}

#[tokio::test]
async fn a_page_has_at_most_two_hundred_rows_and_more_is_refused_in_words() {
    let close = Close::start().await;
    for (limit, status) in
        [(json!(1), 200), (json!(200), 200), (json!("50"), 200), (json!(201), 400), (json!(0), 400), (json!("x"), 400)]
    {
        let reply = search(&close, json!({ "query": leads(&[]), "_limit": limit })).await;
        assert_eq!(reply.status, status, "{limit}: {}", reply.text);
        if limit == 201 {
            assert_eq!(reply.body["field-errors"]["_limit"], "ensure this value is less than or equal to 200");
        }
    }
}

#[tokio::test]
async fn what_is_unknown_is_refused_where_it_stands() {
    let close = Close::start().await;
    let at = |pointer: &str, body: Value| (pointer.to_owned(), body);
    let condition_of = |condition: Value| {
        json!({
            "query": { "type": "field_condition", "field": regular("lead", "name"), "condition": condition }
        })
    };
    let sorted = |sort: Value| json!({ "query": leads(&[]), "sort": sort });
    let cases = [
        at("/query", json!({})),
        at("/query", json!({ "query": [] })),
        at("/query/field-errors/type", json!({ "query": {} })),
        at("/query/field-errors/type", json!({ "query": { "type": "not", "query": {} } })),
        at("/query/field-errors/queries", json!({ "query": { "type": "and" } })),
        at(
            "/query/field-errors/queries/errors/1/field-errors/object_type",
            json!({
                "query": { "type": "or", "queries": [leads(&[]), { "type": "object_type", "object_type": "user" }] }
            }),
        ),
        at("/query/field-errors/negate", json!({ "query": { "type": "id", "value": "lead_x", "negate": "no" } })),
        at("/query/field-errors/mode", json!({ "query": { "type": "text", "value": "a", "mode": "fuzzy" } })),
        at(
            "/query/field-errors/saved_search_id",
            json!({ "query": { "type": "saved_search", "saved_search_id": "save_x" } }),
        ),
        at("/query/field-errors/condition/field-errors/type", condition_of(json!({ "type": "like", "value": "a" }))),
        at(
            "/query/field-errors/condition/field-errors/gte",
            condition_of(json!({ "type": "number_range", "gte": "a" })),
        ),
        at(
            "/query/field-errors/condition/field-errors/before/field-errors/value",
            condition_of(json!({ "type": "moment_range", "before": { "type": "fixed_utc", "value": "soon" } })),
        ),
        at(
            "/query/field-errors/condition/field-errors/values/errors/0",
            condition_of(json!({ "type": "term", "values": [{}] })),
        ),
        at(
            "/query/field-errors/field/field-errors/field_name",
            json!({ "query": condition(regular("lead", "no_such"), json!({ "type": "exists" })) }),
        ),
        at(
            "/query/field-errors/field/field-errors/custom_field_id",
            json!({ "query": condition(custom(&json!("cf_x")), json!({ "type": "exists" })) }),
        ),
        at("/sort", sorted(json!({}))),
        at("/sort/errors/0/field-errors/direction", sorted(json!([by("up", regular("lead", "name"))]))),
        at("/sort/errors/0/field-errors/field", sorted(json!([by("asc", regular("contact", "date_created"))]))),
        at("/sort/errors/0/field-errors/field", sorted(json!([by("asc", regular("lead", "created_by"))]))),
        at("/_fields", json!({ "query": leads(&[]), "_fields": ["name"] })),
        at("/include_counts", json!({ "query": leads(&[]), "include_counts": "all" })),
    ];
    for (pointer, body) in cases {
        let reply = search(&close, body.clone()).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        assert_eq!(reply.body["errors"], json!([]), "{}", reply.text);
        let message = reply.body["field-errors"].pointer(&pointer);
        assert!(message.is_some_and(Value::is_string), "{body}: nothing at {pointer} of {}", reply.text);
    }
}

#[tokio::test]
async fn each_condition_selects_by_its_own_rule() {
    let close = Close::start().await;
    let field = async |name: &str, kind: &str| {
        let choices = if kind == "choices" { json!(["Gold", "Silver"]) } else { Value::Null };
        let many = kind == "user";
        let body = json!({ "name": name, "type": kind, "choices": choices, "accepts_multiple_values": many });
        close.make("custom_field/lead/", body).await["id"].clone()
    };
    let (tier, score, since, owner, motto) = (
        field("Tier", "choices").await,
        field("Score", "number").await,
        field("Since", "date").await,
        field("Owners", "user").await,
        field("Motto", "text").await,
    );
    let key = |id: &Value| format!("custom.{}", id.as_str().unwrap());
    let me = close.get("me/").await.body["id"].clone();
    let agent = close.get_as("agent", "me/").await.body["id"].clone();
    let a = close
        .make(
            "lead/",
            json!({ "name": "Quell A", key(&tier): "Gold", key(&score): 5.5, key(&since): "2026-02-01",
                key(&owner): [me, agent],
                key(&motto): "Ever onward" }),
        )
        .await;
    close
        .make(
            "lead/",
            json!({
                "name": "Quell B", key(&tier): "Silver", key(&score): 7, key(&since): "2026-03-01",
                key(&motto): "onward, ever"
            }),
        )
        .await;
    close.make("lead/", json!({ "name": "Quell C", key(&owner): [agent] })).await;
    let id = a["id"].clone();

    let range = |from: Value, before: Value| json!({ "type": "moment_range", "on_or_after": from, "before": before });
    let fixed = |text: &str| json!({ "type": "fixed_utc", "value": text });
    let cases = [
        (condition(custom(&tier), json!({ "type": "term", "values": ["Gold", "Bronze"] })), "A"),
        (condition(custom(&tier), json!({ "type": "exists" })), "AB"),
        (condition(custom(&score), json!({ "type": "number_range", "gt": 5.5 })), "B"),
        (condition(custom(&score), json!({ "type": "number_range", "gte": 5.5, "lt": 7 })), "A"),
        (condition(custom(&score), json!({ "type": "number_range", "lte": 7, "gt": null })), "AB"),
        (
            condition(custom(&owner), json!({ "type": "reference", "reference_type": "user", "object_ids": [agent] })),
            "AC",
        ),
        (condition(custom(&owner), json!({ "type": "current_user" })), "A"),
        (condition(custom(&motto), json!({ "type": "text", "mode": "full_words", "value": "EVER onward" })), "AB"),
        (condition(custom(&motto), json!({ "type": "text", "mode": "phrase", "value": "ever onward" })), "A"),
        (condition(custom(&motto), json!({ "type": "text", "mode": "beginning_of_words", "value": "onw" })), "AB"),
        (condition(custom(&since), range(fixed("2026-02-01T00:00:00Z"), fixed("2026-03-01T00:00:00Z"))), "A"),
        (condition(custom(&since), range(fixed("2026-02-02T00:00:00Z"), Value::Null)), "B"),
        (json!({ "type": "id", "value": id }), "A"),
        (json!({ "type": "id", "value": "lead_unknown" }), ""),
        (json!({ "type": "id", "value": id, "negate": true }), "BC"),
        (json!({ "type": "text", "mode": "full_words", "value": "quell onward" }), "AB"),
        (
            json!({ "type": "or", "queries": [
                condition(custom(&tier), json!({ "type": "term", "values": ["Silver"] })),
                { "type": "and", "negate": true, "queries": [condition(custom(&score), json!({
                    "type": "exists"
                }))] } ] }),
            "BC",
        ),
    ];
    for (query, found) in cases {
        let expected: Vec<String> = found.chars().map(|name| format!("Quell {name}")).collect();
        let of_ours = condition(regular("lead", "name"), json!({ "type": "text", "mode": "phrase", "value": "quell" }));
        assert_eq!(names(&close, leads(&[of_ours, query.clone()])).await, expected, "{query}");
    }
    let asked_by_agent = json!({ "query": leads(&[condition(custom(&owner), json!({ "type": "current_user" }))]) });
    let reply = Close::send(close.request("agent", Method::POST, "data/search/").json(&asked_by_agent)).await;
    assert_eq!(reply.rows().len(), 2, "the current user is whose key asks");
}

#[tokio::test]
async fn moments_are_fixed_relative_or_days_of_the_caller() {
    let close = Close::start().await;
    let now = "2027-03-10T12:00:00+00:00";
    close.post("/_control/clock/", json!({ "to": now, "rate": 0 })).await;
    make_leads(&close, &["Quell Old"]).await;
    close.advance(3.0 * 86_400.0).await;
    make_leads(&close, &["Quell New"]).await;
    let created = |from: Value, before: Value| {
        leads(&[
            named("quell")["queries"][1].clone(),
            condition(
                regular("lead", "date_created"),
                json!({ "type": "moment_range", "on_or_after": from, "before": before }),
            ),
        ])
    };
    let ago = |unit: &str, count: i64| {
        json!({
            "type": "offset", "direction": "past", "moment": { "type": "now" },
            "offset": { unit: count, "minutes": null }
        })
    };
    assert_eq!(names(&close, created(ago("days", 2), Value::Null)).await, ["Quell New"]);
    assert_eq!(names(&close, created(ago("weeks", 1), Value::Null)).await, ["Quell New", "Quell Old"]);
    assert_eq!(names(&close, created(Value::Null, ago("hours", 47))).await, ["Quell Old"]);
    assert_eq!(
        names(&close, created(Value::Null, json!({ "type": "now" }))).await,
        ["Quell Old"],
        "before now is not now"
    );
    let future = json!({ "type": "offset", "direction": "future", "moment": ago("days", 4), "offset": { "days": 2 } });
    assert_eq!(names(&close, created(future, Value::Null)).await, ["Quell New"]);
    assert_eq!(names(&close, created(json!({ "type": "fixed_utc", "value": now }), Value::Null)).await.len(), 2);

    // The day of creation starts at the caller's midnight, 18 hours before that of UTC for a caller 18 hours east.
    let day = |which: &str| json!({ "type": "fixed_local_date", "value": &now[..10], "which": which });
    for (offset, which, found) in [("0", "start", 2), ("0", "end", 1), ("-13", "start", 1), ("13", "end", 2)] {
        let body = json!({ "query": created(day(which), Value::Null) });
        let request = close.request("admin", Method::POST, "data/search/").header("x-tz-offset", offset).json(&body);
        assert_eq!(Close::send(request).await.rows().len(), found, "{which} at {offset}");
    }
}

/// Section 12, item 3.
#[tokio::test]
async fn quirk_03_a_restricted_key_finds_nothing_that_it_does_not_see() {
    let close = Close::start().await;
    make_leads(&close, &["Quellbrunn"]).await;
    let body = json!({ "query": named("quellbrunn"), "include_counts": true });
    let reply = Close::send(close.request("restricted", Method::POST, "data/search/").json(&body)).await;
    assert_eq!((reply.status, &reply.body["count"]), (200, &json!({ "limited": 0, "total": 0 })), "{}", reply.text);
    assert_eq!(close.get_as("restricted", "lead/?query=quellbrunn").await.body["total_results"], 0);
    assert_eq!(search(&close, body).await.body["count"]["total"], 1);
}

/// Section 12, item 9.
#[tokio::test]
async fn quirk_09_the_index_lags_behind_by_as_much_as_is_set() {
    let close = Close::start().await;
    close.switch(json!({ "search_lag_ms": 10_000 })).await;
    let lead = close.make("lead/", json!({ "name": "Quellbrunn" })).await;
    let path = format!("lead/{}/", lead["id"].as_str().unwrap());
    assert!(names(&close, named("quellbrunn")).await.is_empty(), "not indexed yet");
    close.advance(11.0).await;
    assert_eq!(names(&close, named("quellbrunn")).await, ["Quellbrunn"]);
    close.put(&path, json!({ "name": "Renamed" })).await;
    assert_eq!(names(&close, named("quellbrunn")).await, ["Quellbrunn"], "as it was when it was indexed");
    close.delete(&path).await;
    assert_eq!(names(&close, named("quellbrunn")).await, ["Quellbrunn"], "not yet gone");
    close.advance(11.0).await;
    assert!(names(&close, named("quellbrunn")).await.is_empty());
}

/// Section 12, item 9; section 14.
#[tokio::test]
async fn quirk_09_only_leads_and_contacts_are_returned_unless_it_is_switched() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Quellbrunn" })).await;
    let deal = close.make("opportunity/", json!({ "lead_id": lead["id"] })).await;
    let query = json!({ "type": "object_type", "object_type": "opportunity" });
    let reply = search(&close, json!({ "query": query })).await;
    assert_eq!(reply.status, 400);
    let message = reply.body["field-errors"]["query"]["field-errors"]["object_type"].as_str().unwrap();
    assert!(message.ends_with("permitted: 'lead', 'contact'"), "{message}");

    close.switch(json!({ "search_all_types": true })).await;
    let found = json!({ "type": "and", "queries": [query, { "type": "id", "value": deal["id"] }] });
    let reply = search(&close, json!({ "query": found })).await;
    assert_eq!(reply.rows(), [json!({ "__object_type": "opportunity", "id": deal["id"] })]);
}

#[tokio::test]
async fn what_belongs_to_a_lead_can_be_asked_about() {
    let close = Close::start().await;
    let with = |name: &str, email: &str| {
        json!({
            "name": name,
            "contacts": [{ "name": format!("{name} Person"), "emails": [{ "email": email, "type": "office" }] }]
        })
    };
    close.make("lead/", with("Quell A", "ada@quell.example")).await;
    close.make("lead/", with("Quell B", "bob@other.example")).await;
    let related = |this: &str, other: &str, query: Value| {
        json!({
            "type": "has_related", "this_object_type": this, "related_object_type": other, "related_query": query
        })
    };
    let email = condition(
        regular("contact_email", "email"),
        json!({ "type": "text", "mode": "phrase", "value": "ada@quell.example" }),
    );
    let through = related("lead", "contact", related("contact", "contact_email", email.clone()));
    assert_eq!(names(&close, leads(std::slice::from_ref(&through))).await, ["Quell A"]);
    let mut negated = through;
    negated["negate"] = json!(true);
    assert_eq!(names(&close, leads(&[named("quell")["queries"][1].clone(), negated])).await, ["Quell B"]);
    let contacts = json!({ "type": "and", "queries": [
        { "type": "object_type", "object_type": "contact" },
        related("contact", "contact_email", email),
        related("contact", "lead", named("quell")["queries"][1].clone()),
    ] });
    assert_eq!(names(&close, contacts).await, ["Quell A Person"]);
}

#[tokio::test]
async fn a_saved_search_can_be_part_of_a_search() {
    let close = Close::start().await;
    make_leads(&close, &["Quell A", "Quell B"]).await;
    let save = async |body: Value| close.make("saved_search/", body).await["id"].clone();
    let tree = save(json!({ "name": "A", "type": "lead", "s_query": { "query": named("a"), "sort": [] } })).await;
    let text = save(json!({ "name": "B", "type": "lead", "query": "name:b" })).await;
    let saved = |id: &Value| json!({ "type": "saved_search", "saved_search_id": id });
    let ours = named("quell")["queries"][1].clone();
    assert_eq!(names(&close, leads(&[ours.clone(), saved(&tree)])).await, ["Quell A"]);
    assert_eq!(names(&close, leads(&[ours.clone(), saved(&text)])).await, ["Quell B"]);

    // A saved search that contains itself is followed to the maximum depth and then finds nothing.
    let path = format!("saved_search/{}/", tree.as_str().unwrap());
    let reply = close.put(&path, json!({ "s_query": { "query": saved(&tree) } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(search(&close, json!({ "query": leads(&[ours, saved(&tree)]) })).await.status, 400);
}

/// The walk of section 2.6 beyond 10,000 rows: from the last value seen, without a cursor.
#[tokio::test]
async fn a_walk_from_key_to_key_misses_nothing() {
    let close = Close::start().await;
    let made = make_leads(&close, &["Quell A", "Quell B", "Quell C", "Quell D", "Quell E"]).await;
    let mut seen: Vec<Value> = Vec::new();
    let mut from = json!("2000-01-01T00:00:00+00:00");
    for _ in 0..10 {
        let condition = condition(
            regular("lead", "date_created"),
            json!({ "type": "moment_range", "on_or_after": { "type": "fixed_utc", "value": from }, "before": null }),
        );
        let query = leads(&[named("quell")["queries"][1].clone(), condition]);
        let sort = json!([by("asc", regular("lead", "date_created"))]);
        let reply = search(
            &close,
            json!({ "query": query, "sort": sort, "_limit": 2, "_fields": { "lead": ["id", "date_created"] } }),
        )
        .await;
        let fresh: Vec<&Value> = reply.rows().iter().filter(|row| !seen.contains(&row["id"])).collect();
        if fresh.is_empty() {
            break;
        }
        from = fresh.last().unwrap()["date_created"].clone();
        seen.extend(fresh.into_iter().map(|row| row["id"].clone()));
    }
    let expected: Vec<Value> = made.iter().map(|lead| lead["id"].clone()).collect();
    assert_eq!(seen, expected);
}
