//! Reports: numbers computed from the records.

use serde_json::{Value, json};

use crate::client::Close;

async fn organization(close: &Close) -> String {
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    lead["organization_id"].as_str().unwrap().to_owned()
}

const CREATED: &str = "leads.created.all.count";

#[tokio::test]
async fn an_overview_counts_by_day_and_in_total() {
    let close = Close::start().await;
    organization(&close).await;
    close.advance(86_400.0).await;
    organization(&close).await;
    let range = json!({ "start": "2026-09-01T00:00:00+00:00", "end": "2026-09-04T00:00:00+00:00" });
    let body = json!({ "type": "overview", "metrics": [CREATED], "datetime_range": range });
    let report = close.make("report/activity/", body.clone()).await;
    let counts: Vec<i64> =
        report["data"].as_array().unwrap().iter().map(|day| day[CREATED].as_i64().unwrap()).collect();
    assert_eq!(counts.len(), 3);
    assert!(counts[0] >= 1 && counts[1] == 1 && counts[2] == 0, "{counts:?}");
    assert_eq!(report["data"][0]["datetime"], "2026-09-01T00:00:00+00:00");
    assert_eq!(report["aggregations"]["totals"][CREATED], counts.iter().sum::<i64>());
    assert!(report["queries"]["leads"][CREATED][0].is_string());
    let request =
        close.request("admin", reqwest::Method::POST, "report/activity/").header("accept", "text/csv").json(&body);
    let csv = Close::send(request).await;
    assert_eq!(csv.headers["content-type"].to_str().unwrap(), "text/csv");
    assert_eq!(csv.text.lines().count(), 4);
    assert!(csv.text.starts_with("datetime,Created Leads\r\n"), "{}", csv.text);
}

#[tokio::test]
async fn a_comparison_counts_by_user() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    for direction in ["outbound", "inbound", "outbound"] {
        close
            .make(
                "activity/call/",
                json!({ "lead_id": lead["id"], "direction": direction, "status": "completed", "duration": 30 }),
            )
            .await;
    }
    let me = close.get("me/").await.body["id"].clone();
    let metrics = ["calls.all.all.count", "calls.outbound.all.count", "calls.all.all.sum_duration"];
    let body = json!({ "type": "comparison", "metrics": metrics, "relative_range": "today", "users": [me] });
    let report = close.make("report/activity/", body).await;
    let row = &report["data"][0];
    assert_eq!((report["data"].as_array().unwrap().len(), &row["user_id"]), (1, &me));
    assert_eq!((&row[metrics[0]], &row[metrics[1]], &row[metrics[2]]), (&json!(3), &json!(2), &json!(90)), "{report}");
}

#[tokio::test]
async fn an_activity_report_without_what_it_needs_is_refused_field_by_field() {
    let close = Close::start().await;
    let metrics = close.get("report/activity/metrics/").await.body;
    assert!(metrics["metrics"].as_array().unwrap().iter().any(|metric| metric["key"] == "calls.outbound.all.count"));
    let range = json!({ "start": "2026-09-01", "end": "2026-09-02" });
    for (body, field) in [
        (json!({}), "metrics"),
        (json!({ "type": "overview", "metrics": [], "relative_range": "today" }), "metrics"),
        (json!({ "type": "overview", "metrics": ["no.such"], "relative_range": "today" }), "metrics"),
        (json!({ "type": "pie", "metrics": [CREATED], "relative_range": "today" }), "type"),
        (json!({ "type": "overview", "metrics": [CREATED] }), "relative_range"),
        (json!({ "type": "overview", "metrics": [CREATED], "relative_range": "someday" }), "relative_range"),
        (
            json!({ "type": "overview", "metrics": [CREATED], "relative_range": "today", "datetime_range": range }),
            "relative_range",
        ),
        (json!({ "type": "overview", "metrics": [CREATED], "relative_range": "today", "users": ["user_x"] }), "users"),
    ] {
        let refused = close.post("report/activity/", body).await;
        assert!(refused.status == 400 && refused.body["field-errors"][field].is_string(), "{field}: {}", refused.text);
    }
}

#[tokio::test]
async fn statuses_are_counted_at_both_ends_and_moves_between_them() {
    let close = Close::start().await;
    let organization = organization(&close).await;
    let statuses = close.get("status/lead/").await;
    let ids: Vec<Value> = statuses.rows().iter().map(|status| status["id"].clone()).collect();
    let lead = close.make("lead/", json!({ "name": "Moving", "status_id": ids[0] })).await;
    close.advance(86_400.0).await;
    close.put(&format!("lead/{}/", lead["id"].as_str().unwrap()), json!({ "status_id": ids[1] })).await;
    close.advance(60.0).await;
    let path = format!("report/statuses/lead/{organization}/?date_start=2026-09-02&date_end=2026-09-03");
    let report = close.get(&path).await.body;
    let of = |id: &Value| {
        report["status_overview"].as_array().unwrap().iter().find(|row| row["status_id"] == *id).unwrap().clone()
    };
    let (from, to) = (of(&ids[0]), of(&ids[1]));
    assert_eq!((&from["lost"], &from["left"], &from["change"]), (&json!(1), &json!(1), &json!(-1)), "{from}");
    assert_eq!((&to["gained"], &to["entered"], &to["change"]), (&json!(1), &json!(1), &json!(1)), "{to}");
    assert_eq!(to["_queries"].as_object().unwrap().len(), 6);
    assert_eq!(to["_leads_page_urls"].as_object().unwrap().len(), 6);
    let step = &report["status_transitions"][0];
    assert_eq!((&step["from_status_id"], &step["to_status_id"], &step["count"]), (&ids[0], &ids[1], &json!(1)));
    assert_eq!(close.get("report/statuses/lead/orga_other/").await.status, 404);
    assert_eq!(close.get(&format!("{path}&query=x&smart_view_id=save_x")).await.status, 400);
    let opportunities = close.get(&format!("report/statuses/opportunity/{organization}/")).await;
    let first = &opportunities.body["status_overview"][0];
    assert!(
        first["_opportunities_page_urls"].is_object()
            && first["_queries"]["ended"].as_str().unwrap().starts_with("opportunity(")
    );
}

#[tokio::test]
async fn funnels_count_and_value_the_opportunities_of_a_pipeline() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let statuses = close.get("status/opportunity/").await;
    let status = |kind: &str| statuses.rows().iter().find(|status| status["type"] == kind).unwrap().clone();
    let pipeline = status("won")["pipeline_id"].clone();
    let body = |kind: &str| {
        json!({
            "lead_id": lead["id"], "status_id": status(kind)["id"], "value": 500_000, "value_period": "one_time"
        })
    };
    for kind in ["active", "won"] {
        close.make("opportunity/", body(kind)).await;
    }
    let range = json!({ "start": "2026-09-01T12:00:00Z", "end": "2026-10-01T00:00:00Z" });
    let asked = json!({ "pipeline": pipeline, "type": "created-cohort", "cohort_datetime_range": range });
    let totals = close.make("report/funnel/opportunity/totals/", asked.clone()).await;
    let all = &totals["aggregations"];
    assert_eq!(
        (&all["count"], &all["count_total_won"], &all["count_win_rate"]),
        (&json!(2), &json!(1), &json!(1.0)),
        "{totals}"
    );
    assert_eq!(all["value_total_won"], 500_000);
    assert!(totals["data"][0]["user_id"].is_string());
    let stages = close.make("report/funnel/opportunity/stages/", asked).await;
    let stages = stages["aggregations"]["stages"].as_array().unwrap();
    assert_eq!((&stages[0]["count"], &stages.last().unwrap()["count"]), (&json!(2), &json!(1)));
    assert_eq!(stages.last().unwrap()["status"]["type"], "won");
    let refused = close.post("report/funnel/opportunity/totals/", json!({ "type": "created-cohort" })).await;
    assert_eq!((refused.status, &refused.body["field-errors"]["pipeline"]), (400, &json!("This field is required.")));
}

#[tokio::test]
async fn sent_mails_are_counted_by_template_and_any_metric_over_time() {
    let close = Close::start().await;
    let organization = organization(&close).await;
    let sent = close.get(&format!("report/sent_emails/{organization}/?date_start=2026-09-01")).await;
    let stats = sent.body["sent_email_stats"].as_array().unwrap_or_else(|| panic!("{}", sent.text)).clone();
    let total: i64 = stats.iter().map(|row| row["total"].as_i64().unwrap()).sum();
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let template = close.make("email_template/", json!({ "name": "News" })).await;
    let mail = json!({
        "lead_id": lead["id"], "direction": "outgoing", "status": "sent", "subject": "News",
        "to": ["ida@nordlicht.example"],
        "template_id": template["id"], "date_created": "2026-09-01T12:00:01Z",
    });
    close.make("activity/email/", mail).await;
    close.advance(60.0).await;
    let after = close.get(&format!("report/sent_emails/{organization}/?date_start=2026-09-01")).await;
    let rows = after.body["sent_email_stats"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["total"].as_i64().unwrap()).sum::<i64>(), total + 1, "{}", after.text);
    let row = rows.iter().find(|row| row["template_id"] == template["id"]).expect("the template's row");
    assert_eq!((&row["name"], &row["opened"], &row["percentage_opened"]), (&json!("News"), &json!(0), &json!(0.0)));

    let custom = close.get(&format!("report/custom/{organization}/?y={CREATED}&start=2026-09-01&end=2026-09-02")).await;
    let series = custom.body["series"].as_array().unwrap();
    assert!(series[0]["data"][0][1].as_i64().unwrap() >= 1, "{}", custom.text);
    assert_eq!(close.get(&format!("report/custom/{organization}/?y=no.such")).await.status, 400);
}
