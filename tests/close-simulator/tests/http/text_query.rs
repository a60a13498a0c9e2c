//! The legacy `query` text on lists: sections 2.3 and 2.5, with every text that public clients send; and section 1.1,
//! queries too long for a URL.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Close, Reply};

fn with(path: &str, params: &[(&str, &str)]) -> String {
    format!("{path}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish())
}

async fn list(close: &Close, path: &str, params: &[(&str, &str)]) -> Reply {
    let reply = close.get(&with(path, params)).await;
    assert_eq!(reply.status, 200, "{params:?}: {}", reply.text);
    reply
}

/// The names of a text's results, in the order of the answer.
async fn names(close: &Close, query: &str) -> Vec<String> {
    let reply = list(close, "lead/", &[("query", query), ("_limit", "100")]).await;
    assert_eq!(reply.body["total_results"], reply.rows().len(), "{query}");
    reply.rows().iter().map(|row| row["name"].as_str().unwrap_or("?").to_owned()).collect()
}

/// The last letters of the names of our leads that a text finds, sorted.
async fn found(close: &Close, query: &str) -> String {
    let mut letters: Vec<String> = names(close, &format!("name:quell ({query})"))
        .await
        .into_iter()
        .map(|name| name.trim_start_matches("Quell ").to_owned())
        .collect();
    letters.sort();
    letters.concat()
}

fn path(object: &str, made: &Value) -> String {
    format!("{object}/{}/", made["id"].as_str().unwrap())
}

/// Quell A has a call, two contacts and two addresses; B a message, an opportunity and a contact; C a note. C comes
/// with the id of a saved search for A and B.
async fn three_leads(close: &Close) -> (Value, String) {
    close.post("/_control/clock/", json!({ "to": "2027-01-10T10:00:00Z", "rate": 0 })).await;
    for (name, kind) in [("Industry", "text"), ("Rank", "number"), ("Old Key", "text")] {
        close.make("custom_field/lead/", json!({ "name": name, "type": kind })).await;
    }
    let fields = list(close, "custom_field/lead/", &[("_limit", "100")]).await;
    let field = |name: &str| {
        let field = fields.rows().iter().find(|field| field["name"] == name).unwrap();
        format!("custom.{}", field["id"].as_str().unwrap())
    };
    let a = close
        .make(
            "lead/",
            json!({ "name": "Quell A", "description": "Makers of blue lamps", field("Industry"): "Steel Works",
                field("Rank"): 3,
                "addresses": [{ "city": "Köln", "country": "DE" }, { "city": "Wien", "country": "AT" }],
                "contacts": [
                    { "name": "Ada Lumen", "title": "CTO",
                      "emails": [{ "email": "ada@quell.example", "type": "office" }] },
                    { "name": "Bert Ohm", "phones": [{ "phone": "+4930901820", "type": "office" }] } ] }),
        )
        .await;
    close.advance(600.0).await;
    let b = close
        .make(
            "lead/",
            json!({ "name": "Quell B", field("Industry"): "Steel", field("Old Key"): "x",
                "addresses": [{ "city": "Wien" }],
                "contacts": [{ "name": "Cleo Watt",
                    "emails": [{ "email": "cleo@quell.example", "type": "office" }] }] }),
        )
        .await;
    close.advance(600.0).await;
    let c = close.make("lead/", json!({ "name": "Quell C" })).await;
    close
        .make(
            "activity/call/",
            json!({ "lead_id": a["id"], "status": "completed", "direction": "inbound", "duration": 90 }),
        )
        .await;
    let sms = json!({ "lead_id": b["id"], "status": "inbox", "direction": "inbound", "text": "hello",
        "local_phone": "+4930901821", "remote_phone": "+4930901822" });
    close.make("activity/sms/", sms).await;
    close.make("activity/note/", json!({ "lead_id": c["id"], "note": "met at the lighthouse" })).await;
    let deal = json!({ "lead_id": b["id"], "value": 50_000, "value_period": "monthly", "confidence": 40 });
    close.make("opportunity/", deal).await;
    let saved =
        close.make("saved_search/", json!({ "name": "Steel", "type": "lead", "query": "custom.Industry:steel" })).await;
    (c, saved["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_text_that_clients_send_selects_what_it_means() {
    let close = Close::start().await;
    let (c, saved) = three_leads(&close).await;
    let me = close.get("me/").await.body["id"].as_str().unwrap().to_owned();

    let cases: Vec<(String, &str)> = [
        ("*", "ABC"),
        ("contacts > 1", "A"),
        ("contacts = 0", "C"),
        ("sort:created contacts > 0", "AB"),
        ("addresses > 1 sort:activities", "A"),
        ("email_address:\"ada@quell.example\"", "A"),
        ("email_address:\"ADA@quell.example\" sort:created", "A"),
        ("email_address:\"a@quell.example\"", ""),
        ("email:cleo@quell.example", "B"),
        ("phone:\"+49 30 901820\"", "A"),
        ("phone_number:030901820", "A"),
        ("company:\"Quell B\" sort:created", "B"),
        ("name:\"quell c\"", "C"),
        ("\"custom.Industry\":\"Steel Works\" sort:created", "A"),
        ("\"custom.Industry\":steel", "AB"),
        ("\"custom.Industry\":* not \"custom.Old Key\":* sort:created", "A"),
        ("custom.industry:*", "AB"),
        ("\"custom.No Such\":*", ""),
        ("not \"custom.No Such\":*", "ABC"),
        ("custom.Rank > 2", "A"),
        ("custom.Rank >= 3 custom.Rank <= 3 custom.Rank != 4", "A"),
        ("has:calls", "A"),
        ("has:sms", "B"),
        ("not has:calls", "BC"),
        ("call( date >= \"2027-01-01\" date < \"2027-02-01\")", "A"),
        ("call( date >= \"2027-02-01\")", ""),
        ("call(duration > 60 direction:inbound)", "A"),
        ("call_duration > 60", "A"),
        ("calls = 1 notes = 0", "A"),
        ("sms( date >= \"2027-01-01\" status:inbox  direction:inbound  user:me )", "B"),
        ("sms( direction:outbound )", ""),
        ("sms_messages > 0", "B"),
        ("contact(email_address:\"cleo@quell.example\")", "B"),
        ("contact(emails > 0 name:ada)", "A"),
        ("contact(sequence_subscription(sequence:*)) ", ""),
        ("contact_title:cto", "A"),
        ("city:wien", "AB"),
        ("country:AT", "A"),
        ("opportunity(value > 10000 value_period:monthly)", "B"),
        ("opportunity_confidence >= 40", "B"),
        ("opportunity(status:active)", "B"),
        ("lighthouse", "C"),
        ("lamps blue", "A"),
        ("\"blue lamps\"", "A"),
        ("\"lamps blue\"", ""),
        ("light*", "C"),
        ("cleo@quell.example", "B"),
        ("lighthouse or lamps", "AC"),
        ("(lighthouse OR lamps) AND not (lamps)", "C"),
        ("-lighthouse", "AB"),
        ("name in (\"Quell A\", \"Quell C\")", "AC"),
        ("created > \"2027-01-10T10:05\"", "BC"),
        ("created <= 2027-01-10", "ABC"),
        ("created < 2027-01-10", ""),
        ("created >= today", "ABC"),
        ("created < \"5 minutes ago\"", "AB"),
        ("created_by:me", "ABC"),
        ("created_by:\"Mara Voss\"", "ABC"),
        ("status:*", "ABC"),
        ("description:\"\"", "BC"),
    ]
    .into_iter()
    .map(|(query, found)| (query.to_owned(), found))
    .chain([
        (format!("in:\"{saved}\""), "AB"),
        (format!("has:calls in:\"{saved}\""), "A"),
        ("in:\"save_unknown\"".to_owned(), ""),
        (format!("sms( user:{me} )"), "B"),
        (format!("id:{}", c["id"].as_str().unwrap()), "C"),
        (format!("status:{}", c["status_id"].as_str().unwrap()), "ABC"),
        (format!("status:\"{}\"", c["status_label"].as_str().unwrap()), "ABC"),
    ])
    .collect();
    for (query, letters) in cases {
        assert_eq!(found(&close, &query).await, letters, "{query}");
    }
}

#[tokio::test]
async fn the_order_is_in_the_text() {
    let close = Close::start().await;
    for name in ["Quell B", "Quell A", "Quell C"] {
        close.advance(60.0).await;
        close.make("lead/", json!({ "name": name })).await;
    }
    close.advance(60.0).await;
    let a = names(&close, "name:\"Quell A\"").await;
    assert_eq!(a, ["Quell A"]);
    let lead = list(&close, "lead/", &[("query", "name:\"Quell A\"")]).await.rows()[0].clone();
    close.put(&path("lead", &lead), json!({ "description": "changed" })).await;
    for (sort, letters) in [
        ("sort:created", "BAC"),
        ("sort:-created", "CAB"),
        ("sort:date_created", "BAC"),
        ("sort:updated", "BCA"),
        ("sort:date_updated", "BCA"),
        ("sort:-date_updated", "ACB"),
        ("sort:name", "ABC"),
        ("sort:contacts sort:-name", "CBA"),
        ("sort:no_such_property", "CAB"),
    ] {
        let names: String = names(&close, &format!("name:quell {sort}")).await.iter().map(|name| &name[6..]).collect();
        assert_eq!(names, letters, "{sort}");
    }
}

#[tokio::test]
async fn dates_have_the_precision_of_a_minute_and_a_date_alone_is_the_callers_day() {
    let close = Close::start().await;
    close.post("/_control/clock/", json!({ "to": "2027-01-01T10:00:30Z", "rate": 0 })).await;
    close.make("lead/", json!({ "name": "Quell A" })).await;
    for (query, letters) in [
        ("date_updated >= \"2027-01-01T10:00\"", "A"),
        ("date_updated>=\"2027-01-01T10:00\" sort:date_updated", "A"),
        // 10:00:30 and 10:00:59 are one minute.
        ("date_updated >= \"2027-01-01T10:00:59\"", "A"),
        ("date_updated > \"2027-01-01T10:00\"", ""),
        ("date_updated <= \"2027-01-01T10:00\"", "A"),
        ("date_updated < \"2027-01-01T10:00\"", ""),
        ("date_updated < \"2027-01-01T10:01\"", "A"),
        ("date_updated:\"2027-01-01T10:00\"", "A"),
        ("date_updated >= \"2027-01-01T10:01:00+00:00\"", ""),
        ("date_updated >= \"2027-01-01T12:00+02:00\"", "A"),
        // Slices of whole days as one client sends them: each row is in exactly one of two adjacent slices.
        ("sort:updated date_updated > 2026-12-31 date_updated <= 2027-01-31", "A"),
        ("sort:updated date_updated > 2027-01-01 date_updated <= 2027-01-31", ""),
        ("sort:updated date_updated > 2026-01-01 date_updated <= 2027-01-01", "A"),
    ] {
        assert_eq!(found(&close, query).await, letters, "{query}");
    }
    for (offset, total) in [("0", 1), ("-0.0", 1), ("-11", 0), ("5.5", 1)] {
        let path = with("lead/", &[("query", "name:quell date_created:2027-01-01")]);
        let reply = Close::send(close.request("admin", Method::GET, &path).header("x-tz-offset", offset)).await;
        assert_eq!(reply.body["total_results"], total, "in {offset} it is the day before at -11 hours");
    }
}

#[tokio::test]
async fn slices_part_the_leads_and_totals_count_what_the_text_finds() {
    let close = Close::start().await;
    for at in 0..12 {
        close.make("lead/", json!({ "name": format!("Quell {at:02}") })).await;
    }
    let mut all = Vec::new();
    for slice in 1..=5 {
        all.extend(names(&close, &format!("(name:quell) slice:{slice}/5")).await);
    }
    all.sort();
    assert_eq!(all, (0..12).map(|at| format!("Quell {at:02}")).collect::<Vec<_>>());
    assert_eq!(
        names(&close, "sort:created slice:1/5 name:quell").await,
        names(&close, "name:quell slice:1/5 sort:created").await
    );
    assert_eq!(names(&close, "name:quell slice:1/0").await.len(), 12);

    let count = list(&close, "lead/", &[("query", "name:quell"), ("_limit", "0")]).await;
    assert_eq!(
        (&count.body["total_results"], &count.body["has_more"], count.rows().len()),
        (&json!(12), &json!(true), 0)
    );
    let page = list(&close, "lead/", &[("query", "name:quell sort:created"), ("_limit", "5"), ("_skip", "10")]).await;
    assert_eq!((&page.body["total_results"], &page.body["has_more"]), (&json!(12), &json!(false)));
    assert_eq!(page.rows().iter().map(|row| row["name"].clone()).collect::<Vec<_>>(), ["Quell 10", "Quell 11"]);
    let page = list(&close, "lead/", &[("query", "name:quell"), ("_limit", "2"), ("_fields", "id,name")]).await;
    assert!(page.rows().iter().all(|row| row.as_object().unwrap().len() == 2), "{}", page.text);
    let reply = close.get(&with("lead/", &[("query", "*"), ("_limit", "100000")])).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn what_has_no_form_is_words_and_never_an_error() {
    let close = Close::start().await;
    close.make("lead/", json!({ "name": "Quell (A" })).await;
    for query in [
        "name:", "((((", "\"quell", ")", "a:b:c", "sort:", "slice:x", "in:", "has:", "not", "or", "and", "> 5",
        "name:\"", "*:*",
    ] {
        list(&close, "lead/", &[("query", query)]).await;
    }
    for deep in
        ["call(".repeat(300), "(".repeat(99) + "quell" + &")".repeat(99), "lead(contact(".repeat(45) + &")".repeat(90)]
    {
        list(&close, "lead/", &[("query", deep.as_str())]).await;
    }
    assert_eq!(names(&close, "quell (a").await, ["Quell (A"]);
    assert_eq!(names(&close, "no_such_property:quell").await, Vec::<String>::new(), "an unknown property is words");
    let plain = list(&close, "lead/", &[]).await;
    assert_eq!(list(&close, "lead/", &[("query", "")]).await.body["total_results"], plain.body["total_results"]);
}

#[tokio::test]
async fn contacts_tasks_and_opportunities_take_a_text_of_their_own_properties() {
    let close = Close::start().await;
    let body = json!({ "name": "Quell A", "contacts": [
        { "name": "Ada Lumen", "emails": [{ "email": "ada@quell.example", "type": "office" }] },
        { "name": "Bert Ohm" } ] });
    let a = close.make("lead/", body).await;
    let b = close.make("lead/", json!({ "name": "Quell B" })).await;
    for (lead, text) in [(&a, "paint the fence"), (&b, "mend the roof")] {
        close.make("task/", json!({ "_type": "lead", "lead_id": lead["id"], "text": text })).await;
    }
    for (lead, value, period) in [(&a, 100_000, "one_time"), (&b, 300_000, "monthly")] {
        close
            .make(
                "opportunity/",
                json!({ "lead_id": lead["id"], "value": value, "value_period": period, "note": "lamps" }),
            )
            .await;
    }
    for (path, query, total) in [
        ("contact/", "name:ada", 1),
        ("contact/", "ohm", 1),
        ("contact/", "email_address:\"ada@quell.example\"", 1),
        ("contact/", "lead(name:\"Quell A\") sort:name", 2),
        ("contact/", "lead_name:\"Quell B\"", 0),
        ("task/", "fence", 1),
        ("task/", "text:roof", 1),
        ("task/", "text:\"the roof\" complete:true", 0),
        ("task/", "lead(name:quell) sort:-date_created", 2),
        ("opportunity/", "value > 200000 lamps", 1),
        ("opportunity/", "value_period:monthly note:lamps", 1),
        ("opportunity/", "status:active lead_name:quell", 2),
        ("opportunity/", "lead(name:\"Quell A\")", 1),
    ] {
        assert_eq!(list(&close, path, &[("query", query)]).await.rows().len(), total, "{path}: {query}");
    }
    let lead = a["id"].as_str().unwrap();
    let both = list(&close, "opportunity/", &[("query", "lamps"), ("lead_id", lead)]).await;
    assert_eq!(both.rows().len(), 1, "the other filters hold as well");
    assert_eq!((&both.body["total_results"], &both.body["total_value_one_time"]), (&json!(1), &json!(100_000)));
    let of_leads = list(&close, "opportunity/", &[("lead_query", "name:\"Quell B\"")]).await;
    assert_eq!(of_leads.rows().iter().map(|row| &row["lead_id"]).collect::<Vec<_>>(), [&b["id"]]);
}

#[tokio::test]
async fn a_saved_search_narrows_lists_of_leads_and_opportunities() {
    let close = Close::start().await;
    let a = close.make("lead/", json!({ "name": "Quell A" })).await;
    close.make("lead/", json!({ "name": "Quell B" })).await;
    close.make("opportunity/", json!({ "lead_id": a["id"] })).await;
    let saved = close.make("saved_search/", json!({ "name": "A", "type": "lead", "query": "name:\"Quell A\"" })).await;
    let id = saved["id"].as_str().unwrap();
    let leads = list(&close, "lead/", &[("saved_search_id", id), ("query", "name:quell")]).await;
    assert_eq!(leads.rows().iter().map(|row| &row["id"]).collect::<Vec<_>>(), [&a["id"]]);
    assert_eq!(list(&close, "opportunity/", &[("lead_saved_search_id", id)]).await.rows().len(), 1);
}

#[tokio::test]
async fn a_text_is_asked_of_the_index_while_rows_are_shown_as_they_are() {
    let close = Close::start().await;
    close.switch(json!({ "search_lag_ms": 10_000 })).await;
    let lead = close.make("lead/", json!({ "name": "Quell A" })).await;
    assert!(names(&close, "name:quell").await.is_empty());
    close.advance(11.0).await;
    close.put(&path("lead", &lead), json!({ "name": "Renamed" })).await;
    assert_eq!(names(&close, "name:quell").await, ["Renamed"], "found by the old name, shown with the new one");
    close.delete(&path("lead", &lead)).await;
    let reply = list(&close, "lead/", &[("query", "name:quell")]).await;
    assert_eq!(
        (reply.rows().len(), &reply.body["total_results"]),
        (0, &json!(1)),
        "counted, but there is nothing to show"
    );
    close.advance(11.0).await;
    assert_eq!(list(&close, "lead/", &[("query", "name:quell")]).await.body["total_results"], 0);
}

/// Section 1.1.
#[tokio::test]
async fn a_query_too_long_for_a_url_comes_in_the_body_of_a_post() {
    let close = Close::start().await;
    let mut ids = Vec::new();
    for at in 0..60 {
        ids.push(
            close.make("lead/", json!({ "name": format!("Quell {at}") })).await["id"].as_str().unwrap().to_owned(),
        );
    }
    let query = ids.iter().map(|id| format!("id:{id}")).collect::<Vec<_>>().join(" or ");
    assert!(query.len() > 3_000);
    let overridden = |method: &str, params: Value| {
        close
            .request("admin", Method::POST, "lead/")
            .header("x-http-method-override", method)
            .json(&json!({ "_params": params }))
    };
    let reply =
        Close::send(overridden("GET", json!({ "query": query, "_limit": 10, "_fields": ["id", "name"] }))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!((reply.rows().len(), &reply.body["total_results"]), (10, &json!(60)));
    assert_eq!(reply.rows()[0].as_object().unwrap().len(), 2, "a list of fields is a comma list");
    let before = list(&close, "lead/", &[("_limit", "0")]).await.body["total_results"].clone();
    let reply = Close::send(overridden("DELETE", json!({ "query": "*" }))).await;
    assert_ne!(reply.body["total_results"], before, "another method is not overridden");
}
