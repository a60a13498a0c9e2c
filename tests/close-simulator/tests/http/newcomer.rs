//! First contact without prior knowledge: the index of the controls, the description of the API, helpful refusals.

use serde_json::{Value, json};

use crate::client::Close;

#[tokio::test]
async fn every_control_of_the_index_is_there() {
    let close = Close::start().await;
    let index = close.get("/_control/").await;
    assert!(index.rows().len() > 25, "{}", index.text);
    for row in index.rows() {
        let path = row["path"].as_str().unwrap().replace("{moment}", "2026-09-01T12:00:00Z");
        let path = path
            .replace("{number}", "1")
            .replace("object={name}", "object=lead")
            .replace("?name={name}", "?name=agent");
        let method = row["method"].as_str().unwrap().parse().unwrap();
        // Some controls refuse an empty body, but the control itself answers.
        let reply = Close::send(close.request("", method, &path)).await;
        assert!(!reply.text.contains("no control at"), "{row}: {}", reply.text);
    }
    let refused = close.get("/_control/clocks/").await;
    assert_eq!(refused.status, 404);
    assert_eq!(refused.body["error"], "no control at GET /_control/clocks; GET /_control/ lists them");
}

#[tokio::test]
async fn actions_without_a_caller_are_listed_and_refuse_unknown_members() {
    let close = Close::start().await;
    let actions = close.get("/_control/perform/").await;
    let calls = actions.rows().iter().find(|row| row["action"] == "run_call").unwrap();
    assert!(calls["takes"].as_array().unwrap().contains(&json!("recorded")), "{calls}");

    let lead = close.make("lead/", json!({ "name": "A" })).await;
    let wrong = json!({ "action": "run_call", "lead_id": lead["id"], "record": true });
    let refused = close.post("/_control/perform/", wrong).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.body["field-errors"]["record"].as_str().unwrap().starts_with("unknown; run_call takes lead_id"),
        "{}",
        refused.text
    );
    assert_eq!(close.get("activity/call/").await.rows().len(), 0);
}

fn parameters(document: &Value, path: &str) -> Vec<String> {
    let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
    parameters.iter().map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_description_names_the_parameters_and_answers_of_the_great_lists() {
    let close = Close::start().await;
    let document = close.get("/api/openapi.json").await.body;
    for (path, expected) in [
        ("/lead/", &["_limit", "_skip", "_fields", "query"][..]),
        ("/contact/", &["_limit", "lead_id", "query"]),
        (
            "/opportunity/",
            &[
                "organization_id",
                "status__in",
                "date_updated__gte",
                "date_won__lt",
                "_order_by",
                "lead_saved_search_id",
            ],
        ),
        ("/task/", &["_type", "_type__in", "date__gte", "view", "_order_by"]),
        ("/event/", &["object_type", "date_updated__gt", "_cursor"]),
        ("/export/", &["_limit", "_skip"]),
    ] {
        let known = parameters(&document, path);
        for name in expected {
            assert!(known.iter().any(|known| known == name), "{path} {name}: {known:?}");
        }
        let mut once = known.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), known.len(), "{path}: {known:?}");
    }
    let lead = &document["paths"]["/lead/"]["get"];
    assert_eq!((lead["x-section"].as_str(), lead["x-exactness"].as_str()), (Some("4.1"), Some("documented")));
    let rows = &lead["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]["items"];
    assert_eq!(rows["$ref"], "#/components/schemas/lead");
    for operation in document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
    {
        assert_eq!(operation["responses"]["429"]["$ref"], "#/components/responses/Limited", "{operation}");
    }
}

/// `organization_id` is a filter of opportunities (reference, section 4.3).
#[tokio::test]
async fn opportunities_of_another_organization_are_none() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    let opportunity = close.make("opportunity/", json!({ "lead_id": lead["id"] })).await;
    let own = format!("opportunity/?organization_id={}", opportunity["organization_id"].as_str().unwrap());
    assert_eq!(close.get(&own).await.rows().len(), 1);
    assert_eq!(close.get("opportunity/?organization_id=orga_other").await.rows().len(), 0);
}

#[tokio::test]
async fn an_option_that_names_no_key_is_refused_with_those_there_are() {
    let options = close_simulator::Options { keys: vec![("admn".into(), "api_x".into())], ..Default::default() };
    let error = close_simulator::Simulator::new(options).err().expect("refused").to_string();
    assert!(error.contains("the key `admn` does not exist; must be one of admin, superuser"), "{error}");
}
