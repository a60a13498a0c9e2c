//! Items 1, 2, 4 and 5: redirects, credentials, answers of writes, bodies of errors.

use super::*;
use crate::client::{
    Lane,
    tests::{client, client_with, set_faults, set_switches, simulator, within},
};

/// The other half, a wrong key, is in the tests of the client's probe.
#[tokio::test]
async fn quirk_01_no_request_depends_on_the_redirect_of_a_missing_slash() {
    for status in [301, 308] {
        let running = simulator(1).await;
        set_switches(&running, &json!({"write_redirect_status": status}));
        let close = client(&running);
        let lead = within(close.write(Method::POST, "lead", Some(&json!({"name": "Kept"})))).await.unwrap();
        assert_eq!(lead.body["name"], "Kept", "a redirect by {status} would have lost the body");
        let answer = within(close.get(Lane::Changes, "lead", &[("_limit", "1")])).await.unwrap();
        assert_eq!(answer.body["data"].as_array().unwrap().len(), 1, "a redirect would have lost the query");
        let redirects = running.simulator.counters.report().into_iter().filter(|row| row["status"] == status).count();
        assert_eq!(redirects, 0, "no redirect was needed");
    }
}

/// The other half, filters and orders that Close ignores, is in the tests of the walks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_02_a_put_of_one_field_leaves_the_others_and_their_columns() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let _running = started(&close, &topics, "lead", &[]).await;
    let (lead, row) = topics.table("lead").pop_first().unwrap();
    let before: BTreeMap<_, _> = fields(row.after).into_iter().collect();
    close.write(Method::PUT, &format!("lead/{lead}/"), json!({"description": "only this"})).await;
    becomes(&topics, "lead", &lead, "description", "only this").await;
    let after: BTreeMap<_, _> = fields(topics.table("lead").remove(&lead).unwrap().after).into_iter().collect();
    let differ = |name: &&String| before.get(*name) != after.get(*name);
    let changed: BTreeSet<&String> = before.keys().chain(after.keys()).filter(differ).collect();
    let expected = ["date_updated", "description", "updated_by", "updated_by_name"];
    assert!(changed.iter().all(|name| expected.contains(&name.as_str())), "{changed:?}");
}

#[tokio::test]
async fn quirk_04_an_error_in_each_shape_is_told_in_the_words_of_close() {
    let running = simulator(1).await;
    let close = client_with(&running, &[("request.timeout", "1s")]);
    // A text that names the reason, and the errors of fields, nested by their index, which hold what was sent.
    let missing = within(close.get(Lane::Changes, &format!("lead/lead_{}/", "0".repeat(43)), &[])).await.unwrap_err();
    assert_eq!(missing.code, codes::NOT_FOUND);
    let skip = within(close.get(Lane::Changes, "activity/note/", &[("_skip", "999999")])).await.unwrap_err();
    assert!(skip.code == codes::REFUSED && skip.chain().contains("max_skip"), "{}", skip.chain());
    let contacts = json!({"contacts": [{"name": "A", "emails": [{"email": "no address", "type": "office"}]}]});
    let refused = within(close.write(Method::POST, "lead/", Some(&contacts))).await.unwrap_err();
    assert!(refused.code == codes::REFUSED && !refused.chain().contains("no address"), "{}", refused.chain());
    // An object in place of the text, and no JSON at all: the allowance of the client's next request.
    for fault in [json!({"kind": "html_429"}), json!({"kind": "html_502"}), json!({"kind": "empty", "status": 429})] {
        let mut fault = fault;
        (fault["endpoint"], fault["times"]) = ("GET contact".into(), 1.into());
        set_faults(&running, &[fault]);
        within(close.get(Lane::Changes, "contact/", &[])).await.unwrap();
    }
}

#[tokio::test]
async fn quirk_05_the_answers_of_writes_differ_and_each_is_a_success() {
    let running = simulator(1).await;
    let close = client(&running);
    let hook = json!({"url": "https://hooks.example.com/", "events": [{"object_type": "lead", "action": "created"}]});
    let made = within(close.write(Method::POST, "webhook/", Some(&hook))).await.unwrap();
    let ty = within(close.write(
        Method::POST,
        "custom_object_type/",
        Some(&json!({
            "name": "Site", "name_plural": "Sites", "api_create_only": false, "editable_with_roles": []
        })),
    ))
    .await
    .unwrap();
    let lead = within(close.write(Method::POST, "lead/", Some(&json!({"name": "A"})))).await.unwrap();
    for (path, row) in [("webhook", made.body), ("custom_object_type", ty.body), ("lead", lead.body)] {
        within(close.write(Method::DELETE, &format!("{path}/{}/", id(&row)), None)).await.unwrap();
    }
    let statuses: BTreeSet<u64> =
        running.simulator.counters.report().iter().map(|row| row["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, BTreeSet::from([200, 201, 204]));
}
