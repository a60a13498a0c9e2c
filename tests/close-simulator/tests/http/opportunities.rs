//! Opportunities: sections 2.3, 4.3, 6.5, 6.6 and 9.2 of the reference.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

async fn events(close: &Close, lead: &Value, object_type: &str, action: &str) -> Vec<Value> {
    let lead = lead.as_str().expect("a lead's id");
    let reply = close.get(&format!("event/?lead_id={lead}&object_type={object_type}&action={action}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.rows().to_vec()
}

fn values(reply: &crate::client::Reply) -> Vec<i64> {
    reply.rows().iter().map(|row| row["value"].as_i64().unwrap_or(-1)).collect()
}

/// Quirk 19: money in cents.
#[tokio::test]
async fn quirk_19_amounts_are_integers_in_hundredths() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht", "contacts": [{ "name": "Ida" }] })).await;
    let body = json!({
        "lead_id": lead["id"], "contact_id": lead["contact_ids"][0], "value": 125_000, "value_period": "monthly",
        "confidence": 40, "note": "asks for SEPA"
    });
    let made = close.make("opportunity/", body).await;
    let shown = close.get(&format!("opportunity/{}/", id(&made))).await.body;
    assert_eq!((&shown["value"], &shown["value_currency"]), (&json!(125_000), &json!("EUR")));
    assert_eq!(shown["value_formatted"], "€1,250 monthly");
    assert_eq!((&shown["expected_value"], &shown["annualized_value"]), (&json!(50_000), &json!(1_500_000)));
    assert_eq!(shown["annualized_expected_value"], 600_000);
    assert_eq!(
        (&shown["lead_name"], &shown["contact_name"], &shown["user_name"]),
        (&json!("Nordlicht"), &json!("Ida"), &json!("Mara Voss"))
    );
    assert_eq!(
        (&shown["status_label"], &shown["status_type"], &shown["pipeline_name"]),
        (&json!("Demo Scheduled"), &json!("active"), &json!("Sales"))
    );
    assert_eq!(shown["status_display_name"], "Demo Scheduled (Sales)");
    assert_eq!(
        (&shown["attachments"], &shown["comment_summary"], &shown["is_stalled"]),
        (&json!([]), &Value::Null, &json!(false))
    );
    let reply = close.put(&format!("opportunity/{}/", id(&made)), json!({ "value": 1.5 })).await;
    assert_eq!((reply.status, reply.body["field-errors"]["value"].is_string()), (400, true));
    let none = close.make("opportunity/", json!({ "lead_id": lead["id"] })).await;
    assert_eq!(
        (&none["value"], &none["value_formatted"], &none["expected_value"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn currencies_without_decimals_are_scaled_by_choice() {
    let close = Close::start().await;
    let organization = close.get("me/").await.body["organizations"][0]["id"].clone();
    let organization = organization.as_str().expect("the caller's organization");
    close.put(&format!("organization/{organization}/"), json!({ "currency": "JPY" })).await;
    let made = close.make("opportunity/", json!({ "value": 125_050, "value_period": "annual" })).await;
    assert_eq!(made["value_formatted"], "¥1,250.50 annually");
    close.switch(json!({ "zero_decimal_in_hundredths": false })).await;
    assert_eq!(close.get(&format!("opportunity/{}/", id(&made))).await.body["value_formatted"], "¥125,050 annually");
}

#[tokio::test]
async fn an_opportunity_belongs_to_a_lead_a_contacts_lead_or_one_made_for_it() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }] })).await;
    let by_contact = close.make("opportunity/", json!({ "contact_id": lead["contact_ids"][0] })).await;
    assert_eq!(by_contact["lead_id"], lead["id"]);
    let alone = close.make("opportunity/", json!({ "value": 1 })).await;
    let made = events(&close, &alone["lead_id"], "lead", "created").await;
    assert_eq!(
        made[0]["request_id"],
        events(&close, &alone["lead_id"], "opportunity", "created").await[0]["request_id"]
    );
    let reply =
        close.post("opportunity/", json!({ "lead_id": alone["lead_id"], "contact_id": lead["contact_ids"][0] })).await;
    assert_eq!((reply.status, reply.body["field-errors"]["contact_id"].is_string()), (400, true));
    let reply = close.post("opportunity/", json!({ "lead_id": "lead_unknown" })).await;
    assert_eq!((reply.status, reply.body["field-errors"]["lead_id"].is_string()), (400, true));
}

#[tokio::test]
async fn a_status_is_named_by_label_and_winning_fills_in_the_callers_day() {
    let close = Close::start().await;
    let made =
        close.make("opportunity/", json!({ "status": "Proposal", "confidence": 40, "date_won": "2026-12-31" })).await;
    assert_eq!((&made["status_label"], &made["date_won"]), (&json!("Proposal"), &json!("2026-12-31")));
    let path = format!("opportunity/{}/", id(&made));
    // It is noon UTC: at UTC+14 the next day has begun.
    let won = Close::send(
        close.request("admin", Method::PUT, &path).header("x-tz-offset", "14").json(&json!({ "status": "Won" })),
    )
    .await;
    assert_eq!(
        (&won.body["status_type"], &won.body["date_won"], &won.body["confidence"]),
        (&json!("won"), &json!("2026-09-02"), &json!(100))
    );
    let back = close.put(&path, json!({ "status": "Proposal" })).await.body;
    assert_eq!((&back["status_type"], &back["date_won"]), (&json!("active"), &json!("2026-09-02")));
    let lost = close.put(&path, json!({ "status": "Lost" })).await.body;
    assert!(lost["date_lost"].as_str().unwrap().starts_with("2026-09-01T12:"), "{}", lost["date_lost"]);
    assert_eq!(close.put(&path, json!({ "status": "Contract Sent" })).await.body["date_lost"], Value::Null);
    assert_eq!(close.put(&path, json!({ "status": "Gone" })).await.status, 400);
}

#[tokio::test]
async fn a_label_that_two_pipelines_have_is_taken_from_the_opportunitys_own() {
    let close = Close::start().await;
    let first = close.make("opportunity/", json!({})).await;
    let pipelines = close.get("pipeline/").await;
    let other =
        pipelines.rows().iter().find(|row| row["id"] != first["pipeline_id"]).expect("a second pipeline")["id"].clone();
    let made = close.make("opportunity/", json!({ "pipeline_id": other })).await;
    assert_eq!((&made["pipeline_id"], &made["status_display_name"]), (&other, &json!("Demo Scheduled (Renewals)")));
    let path = format!("opportunity/{}/", id(&made));
    let won = close.put(&path, json!({ "status": "Won" })).await.body;
    assert_eq!((&won["status_label"], &won["pipeline_id"]), (&json!("Won"), &other));
    let both = close.put(&path, json!({ "status": "Lost", "status_id": first["status_id"] })).await.body;
    assert_eq!(both["status_id"], first["status_id"]);
}

/// Catalogue: `activity.opportunity_status_change` created, with its `opportunity.updated`. Quirk 28.
#[tokio::test]
async fn quirk_28_winning_leaves_an_activity_and_an_updated_opportunity() {
    let close = Close::start().await;
    let made = close.make("opportunity/", json!({ "value": 125_000, "value_period": "monthly" })).await;
    close.advance(60.0).await;
    let won = close.put(&format!("opportunity/{}/", id(&made)), json!({ "status": "Won" })).await.body;
    let activity = &events(&close, &made["lead_id"], "activity.opportunity_status_change", "created").await[0];
    let update = &events(&close, &made["lead_id"], "opportunity", "updated").await[0];
    assert_eq!(activity["request_id"], update["request_id"]);
    let data = &activity["data"];
    assert_eq!(
        (&data["opportunity_id"], &data["old_status_id"], &data["new_status_id"]),
        (&made["id"], &made["status_id"], &won["status_id"])
    );
    assert_eq!((&data["new_status_type"], &data["new_pipeline_name"]), (&json!("won"), &json!("Sales")));
    assert_eq!(
        (&data["opportunity_value"], &data["opportunity_value_formatted"]),
        (&json!(125_000), &json!("€1,250 monthly"))
    );
    assert_eq!(data["opportunity_date_won"], "2026-09-01T00:00:00+00:00", "a datetime here");
    let names = update["changed_fields"].as_array().unwrap();
    for name in ["status_id", "status_label", "status_type", "date_won", "confidence", "date_updated"] {
        assert!(names.contains(&json!(name)), "{name} in {names:?}");
    }
    assert!(events(&close, &made["lead_id"], "lead", "updated").await.is_empty());
}

/// Catalogue: `activity.opportunity_status_change` updated and deleted (section 6.4).
#[tokio::test]
async fn quick_status_changes_become_one_activity_and_a_revert_takes_it_away() {
    let close = Close::start().await;
    let made = close.make("opportunity/", json!({})).await;
    let path = format!("opportunity/{}/", id(&made));
    close.advance(60.0).await;
    close.put(&path, json!({ "status": "Proposal" })).await;
    close.put(&path, json!({ "status": "Won" })).await;
    let list = format!("activity/status_change/opportunity/?lead_id={}", made["lead_id"].as_str().unwrap());
    let reply = close.get(&list).await;
    assert_eq!((reply.rows().len(), &reply.rows()[0]["new_status_label"]), (1, &json!("Won")));
    assert_eq!(events(&close, &made["lead_id"], "activity.opportunity_status_change", "updated").await.len(), 1);
    close.put(&path, json!({ "status_id": made["status_id"] })).await;
    assert!(close.get(&list).await.rows().is_empty());
    assert_eq!(events(&close, &made["lead_id"], "activity.opportunity_status_change", "deleted").await.len(), 1);
}

#[tokio::test]
async fn status_change_activities_are_backfilled_without_changing_the_opportunity() {
    let close = Close::start().await;
    let made = close.make("opportunity/", json!({ "value": 700 })).await;
    let won = close.make("opportunity/", json!({ "status": "won" })).await;
    let body =
        json!({ "opportunity_id": made["id"], "old_status_id": made["status_id"], "new_status_id": won["status_id"] });
    let activity = close.make("activity/status_change/opportunity/", body).await;
    assert_eq!((&activity["lead_id"], &activity["opportunity_value"]), (&made["lead_id"], &json!(700)));
    assert_eq!(close.get(&format!("opportunity/{}/", id(&made))).await.body["status_id"], made["status_id"]);
    assert_eq!(close.delete(&format!("activity/status_change/opportunity/{}/", id(&activity))).await.status, 200);
    assert!(events(&close, &made["lead_id"], "opportunity", "updated").await.is_empty());
}

#[tokio::test]
async fn the_list_filters_orders_and_sums() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    let agent = close.get_as("agent", "me/").await.body["id"].clone();
    for (value, period, status, won, user) in [
        (300, "one_time", "Demo Scheduled", Value::Null, json!(null)),
        (100, "monthly", "Proposal", json!("2026-03-31"), agent.clone()),
        (200, "annual", "Won", json!("2026-04-01"), agent.clone()),
    ] {
        close.advance(10.0).await;
        let mut body = json!({
            "lead_id": lead["id"], "value": value, "value_period": period, "status": status, "date_won": won,
            "confidence": 50
        });
        if !user.is_null() {
            body["user_id"] = user;
        }
        close.make("opportunity/", body).await;
    }
    let list = |query: &str| format!("opportunity/?lead_id={}&{query}", id(&lead));
    let won = close.get(&list("status_type=won")).await.rows()[0].clone();
    let clock = |row: &Value| row["date_created"].as_str().unwrap().replace('+', "%2B");
    for (query, expected) in [
        ("_order_by=value".to_owned(), vec![100, 200, 300]),
        ("_order_by=-value".to_owned(), vec![300, 200, 100]),
        ("_order_by=annualized_value".to_owned(), vec![200, 300, 100]),
        ("_order_by=-annualized_expected_value".to_owned(), vec![100, 300, 200]),
        ("_order_by=date_created".to_owned(), vec![300, 100, 200]),
        ("_order_by=-date_updated".to_owned(), vec![200, 100, 300]),
        ("_order_by=date_won".to_owned(), vec![300, 100, 200]),
        ("_order_by=nonsense".to_owned(), vec![200, 100, 300]),
        ("status_type__in=active,won&_order_by=value".to_owned(), vec![100, 200, 300]),
        ("status_label=Proposal".to_owned(), vec![100]),
        ("status=Proposal".to_owned(), vec![100]),
        ("status__in=Proposal,Won&_order_by=value".to_owned(), vec![100, 200]),
        (format!("status_id__in={},stat_x", won["status_id"].as_str().unwrap()), vec![200]),
        ("value_period__in=monthly,annual&_order_by=value".to_owned(), vec![100, 200]),
        (format!("user_id={}&_order_by=value", agent.as_str().unwrap()), vec![100, 200]),
        ("date_won=2026-03-31".to_owned(), vec![100]),
        ("date_won__gt=2026-03-31".to_owned(), vec![200]),
        ("date_won__gte=2026-03-31&date_won__lt=2026-04-01".to_owned(), vec![100]),
        ("date_won__lte=2026-04-01&_order_by=value".to_owned(), vec![100, 200]),
        (format!("date_created__gte={}", clock(&won)), vec![200]),
        (format!("date_created__lt={}&_order_by=value", clock(&won)), vec![100, 300]),
        (format!("date_created={}", clock(&won)), vec![200]),
        (format!("date_updated__gt={}", clock(&won)), vec![]),
        ("is_stalled=True".to_owned(), vec![]),
        ("organization_id=orga_x".to_owned(), vec![]),
        ("no_such=1&_order_by=value".to_owned(), vec![100, 200, 300]),
    ] {
        let reply = close.get(&list(&query)).await;
        assert_eq!(values(&reply), expected, "{query}");
    }
    let all = close.get(&list("_limit=1")).await.body;
    assert_eq!((&all["total_results"], &all["has_more"]), (&json!(3), &json!(true)));
    assert_eq!(all["count_by_value_period"], json!({ "one_time": 1, "monthly": 1, "annual": 1 }));
    for (name, sum) in [
        ("total_value_one_time", 300),
        ("total_value_monthly", 100),
        ("total_value_annual", 200),
        ("total_value_annualized", 1700),
        ("expected_value_one_time", 150),
        ("expected_value_monthly", 50),
        ("expected_value_annual", 100),
        ("expected_value_annualized", 850),
    ] {
        assert_eq!(all[name], sum, "{name}");
    }
    assert_eq!(close.get("opportunity/?_limit=250").await.status, 200);
    assert_eq!(close.get("opportunity/?_limit=251").await.status, 400);
    assert_eq!(close.get("opportunity/?date_won=soon").await.status, 400);
}

#[tokio::test]
async fn an_untouched_active_opportunity_is_stalled_after_a_while() {
    let close = Close::start().await;
    let made = close.make("opportunity/", json!({ "value": 1 })).await;
    close.advance(31.0 * 86_400.0).await;
    let reply = close.get(&format!("opportunity/?lead_id={}&is_stalled=true", made["lead_id"].as_str().unwrap())).await;
    assert_eq!((reply.rows().len(), &reply.rows()[0]["date_updated"]), (1, &made["date_updated"]));
}

#[tokio::test]
async fn others_opportunities_need_a_permission() {
    let close = Close::start().await;
    let agent = close.get_as("agent", "me/").await.body["id"].clone();
    let foreign = close.make("opportunity/", json!({ "value": 1 })).await;
    let own = close.make("opportunity/", json!({ "value": 1, "user_id": agent })).await;
    for (opportunity, status) in [(&foreign, 403), (&own, 200)] {
        let path = format!("opportunity/{}/", id(opportunity));
        let put = Close::send(close.request("agent", Method::PUT, &path).json(&json!({ "value": 2 }))).await;
        assert_eq!(put.status, status);
        assert_eq!(Close::send(close.request("agent", Method::DELETE, &path)).await.status, status);
    }
}
