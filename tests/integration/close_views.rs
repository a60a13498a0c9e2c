//! The standard views of Close over tables that the real sink has filled: their rows against values computed by hand,
//! and against values computed from the simulator's truth.

mod installing;
mod tables;
pub(crate) mod truth;

use serde_json::{Value as Json, json};

use self::tables::Tables;

/// A custom field of type user.
const OWNER: &str = "cf_7yO9m50P5o1IKi2ABm5Cg8z78O7PIomCL95PrrAjQpr";

fn membership(user: &str, part: &str, role: &str) -> Json {
    json!({ "id": format!("memb_{user}"), "user_id": user, "part": part, "role_id": role, "is_active": true,
        "permissions_granted": [], "user_email": format!("{user}@a.example"), "user_full_name": format!("{user} M") })
}

fn user(id: &str) -> Json {
    json!({ "id": id, "first_name": id, "last_name": "U", "email": format!("{id}@b.example") })
}

/// A role whose users see the leads that these custom fields assign to them, or all.
fn role(id: &str, name: &str, rights: &[&str], fields: &Json) -> Json {
    json!({ "id": id, "name": name, "permissions": rights, "visibility_user_lcf_ids": fields })
}

fn group(id: &str, members: &[&str]) -> Json {
    let members: Json = members.iter().map(|user| json!({ "user_id": user })).collect();
    json!({ "id": id, "name": format!("Group {id}"), "members": members })
}

#[tokio::test]
async fn user_access_shows_part_rights_groups_and_managers() {
    let mut close = Tables::new("access").await;
    let mut two_rights = membership("ann", "agent", "user");
    two_rights["permissions_granted"] = json!(["export", "calling"]);
    let mut former = membership("old", "agent", "user");
    former["is_active"] = json!(false);
    let people = [
        membership("ada", "admin", "admin"),
        membership("max", "manager", "lead"),
        two_rights,
        membership("ben", "agent", "restricted"),
        membership("cid", "agent", "gone"),
        former,
        membership("del", "agent", "user"),
    ];
    close.put("membership", &people).await;
    close.delete("membership", &["memb_del"]).await;
    close.all_stand().await;
    // Without groups, roles and users.
    let sql = "SELECT user_id, name, permissions, sees_all_leads IS NULL, groups IS NULL, managers IS NULL
               FROM $.user_access ORDER BY 1 LIMIT 2";
    assert_eq!(close.ask(sql).await, ["ada|ada M|{}|t|t|t", "ann|ann M|{calling,export}|t|t|t"]);

    let users: Vec<Json> = ["ada", "max", "ann", "ben", "cid", "new"].map(user).into();
    close.put("user", &users).await;
    let roles = [
        role("admin", "Admin", &["manage_organization", "view_all_leads"], &Json::Null),
        role("lead", "Team lead", &["view_all_leads"], &json!([])),
        role("user", "User", &["calling", "view_all_leads"], &Json::Null),
        role("restricted", "Restricted", &["calling"], &json!(["cf_1"])),
    ];
    close.put("role", &roles).await;
    close
        .put(
            "group",
            &[
                // Max leads it; Ada leads Max.
                group("a", &["ada", "max", "ann", "old"]),
                // Without a manager, so Ada leads it.
                group("b", &["ada", "ben", "ann", "nobody"]),
                // Nobody leads it.
                group("c", &["cid"]),
                group("d", &["max", "cid"]),
            ],
        )
        .await;
    close.delete("group", &["d"]).await;
    let sql = "SELECT user_id, name, email, part, is_active, role, permissions, sees_all_leads, groups, managers,
                      managed_user_ids
               FROM $.user_access ORDER BY user_id";
    let expected = [
        "ada|ada U|ada@b.example|admin|t|Admin|{manage_organization,view_all_leads}|t|{\"Group a\",\"Group b\"}|{}|\
         {ann,ben,max}",
        "ann|ann U|ann@b.example|agent|t|User|{calling,export,view_all_leads}|t|{\"Group a\",\"Group b\"}|\
         {\"ada U\",\"max U\"}|{}",
        "ben|ben U|ben@b.example|agent|t|Restricted|{calling}|f|{\"Group b\"}|{\"ada U\"}|{}",
        "cid|cid U|cid@b.example|agent|t||{}||{\"Group c\"}|{}|{}",
        "max|max U|max@b.example|manager|t|Team lead|{view_all_leads}|t|{\"Group a\"}|{\"ada U\"}|{ann,old}",
        "new|new U|new@b.example||f||{}||{}|{}|{}",
        "old|old M|old@a.example|agent|f|User|{calling,view_all_leads}|t|{\"Group a\"}|{\"max U\"}|{}",
    ];
    assert_eq!(close.ask(sql).await, expected);

    // A manager who leaves leads no longer, so the admin leads the group; a second membership does not count twice.
    let mut gone = membership("max", "manager", "lead");
    gone["is_active"] = json!(false);
    let mut second = membership("ann", "agent", "user");
    (second["id"], second["is_active"]) = (json!("memb_0"), json!(false));
    close.put("membership", &[gone, second]).await;
    close.delete("user", &["max"]).await;
    let sql = "SELECT user_id, name, is_active, managers FROM $.user_access WHERE user_id IN ('ann', 'max', 'old')
               ORDER BY 1";
    let expected = ["ann|ann U|t|{\"ada U\"}", "max|max M|f|{\"ada U\"}", "old|old M|f|{\"ada U\"}"];
    assert_eq!(close.ask(sql).await, expected);
}

#[tokio::test]
async fn productivity_counts_by_user_and_utc_day() {
    let mut close = Tables::new("productivity").await;
    close.put("membership", &[membership("ann", "agent", "user"), membership("old", "agent", "user")]).await;
    assert_eq!(close.ask("SELECT count(*) FROM $.productivity_daily").await, ["0"]);
    close.put("user", &[user("ann")]).await;
    let call = |id: &str, user: Json, direction: &str, disposition: Json, seconds: Json, at: &str| {
        json!({ "id": id, "user_id": user, "direction": direction, "disposition": disposition, "duration": seconds,
            "activity_at": at, "date_created": "2020-01-01T00:00:00+00:00" })
    };
    let ann = || json!("ann");
    let calls = [
        call("1", ann(), "outbound", json!("answered"), json!(90), "2026-03-01T23:59:59.999999+00:00"),
        call("2", ann(), "outbound", json!("no-answer"), Json::Null, "2026-03-02T00:00:00+00:00"),
        call("3", ann(), "inbound", json!("answered"), json!(61), "2026-03-02T10:00:00+00:00"),
        call("4", ann(), "inbound", Json::Null, json!(0), "2026-03-02T11:00:00+00:00"),
        call("5", Json::Null, "inbound", json!("answered"), json!(500), "2026-03-02T11:00:00+00:00"),
        call("6", ann(), "outbound", json!("answered"), json!(500), "2026-03-02T12:00:00+00:00"),
        call("7", json!("old"), "outbound", json!("answered"), json!(30), "2026-03-02T12:00:00+00:00"),
        call("8", ann(), "sideways", json!("answered"), json!(30), "2026-03-03T12:00:00+00:00"),
    ];
    close.put("call", &calls).await;
    close.delete("call", &["6"]).await;
    let sql = "SELECT user_id, user_name, day, calls_made, calls_made_answered, call_minutes_made, calls_received,
                      calls_received_answered, call_minutes_received, emails_sent IS NULL, notes IS NULL
               FROM $.productivity_daily ORDER BY 1, 3";
    let expected = [
        "ann|ann U|2026-03-01|1|1|1.50|0|0|0.00|t|t",
        "ann|ann U|2026-03-02|1|0|0.00|2|1|1.02|t|t",
        "old|old M|2026-03-02|1|1|0.50|0|0|0.00|t|t",
    ];
    assert_eq!(close.ask(sql).await, expected);

    let day = "2026-03-05T08:00:00+00:00";
    let message = |id: &str, direction: &str, status: &str, sent: Json| {
        json!({ "id": id, "user_id": "ann", "direction": direction, "status": status, "date_sent": sent,
            "activity_at": "2026-03-05T08:00:00+00:00", "date_created": "2026-03-01T00:00:00+00:00" })
    };
    close
        .put(
            "email",
            &[
                message("1", "outgoing", "sent", json!("2026-03-06T00:00:00+00:00")),
                message("2", "outgoing", "draft", Json::Null),
                message("3", "outgoing", "error", Json::Null),
                message("4", "incoming", "inbox", json!("2026-03-01T00:00:00+00:00")),
                json!({ "id": "5", "user_id": "ann", "direction": null, "status": "draft", "date_created": day }),
            ],
        )
        .await;
    close
        .put(
            "sms",
            &[
                message("1", "outbound", "sent", json!(day)),
                message("2", "outbound", "scheduled", Json::Null),
                message("3", "inbound", "inbox", Json::Null),
            ],
        )
        .await;
    close
        .put("whatsapp_message", &[message("1", "outgoing", "", Json::Null), message("2", "incoming", "", Json::Null)])
        .await;
    let meeting = |id: &str, status: &str| {
        json!({ "id": id, "user_id": "ann", "status": status, "duration": 1_810, "starts_at": day,
            "activity_at": "2026-03-09T08:00:00+00:00", "date_created": "2026-04-05T08:00:00+00:00" })
    };
    close.put("meeting", &[meeting("1", "completed"), meeting("2", "upcoming"), meeting("3", "canceled")]).await;
    let plain = |id: &str| json!({ "id": id, "user_id": "ann", "activity_at": null, "date_created": day });
    close.put("task_completed", &[plain("1"), plain("2")]).await;
    close.put("note", &[plain("1"), plain("2"), plain("3")]).await;
    close.delete("note", &["2"]).await;
    let sql = "SELECT day, calls_made, emails_sent, emails_received, sms_sent, sms_received, whatsapp_sent,
                      whatsapp_received, meetings_held, meeting_minutes, tasks_done, notes
               FROM $.productivity_daily WHERE day >= '2026-03-05' ORDER BY 1";
    let expected = ["2026-03-05|0|0|1|1|1|1|1|1|30.17|2|2", "2026-03-06|0|1|0|0|0|0|0|0|0.00|0|0"];
    assert_eq!(close.ask(sql).await, expected);
}

/// Statuses of two pipelines: p has `new`, `offer`, `won` and `lost`, q has `open` only.
async fn pipelines(close: &mut Tables) {
    let status = |id: &str, kind: &str, pipeline: &str| {
        let label = format!("Status {id}");
        json!({ "id": id, "label": label, "type": kind, "pipeline_id": pipeline })
    };
    let statuses = [
        status("new", "active", "p"),
        status("offer", "active", "p"),
        status("won", "won", "p"),
        status("lost", "lost", "p"),
        status("open", "active", "q"),
    ];
    close.put("opportunity_status", &statuses).await;
    let order: Json = ["new", "offer", "won", "lost"].map(|id| json!({ "id": id })).into_iter().collect();
    close.put("pipeline", &[json!({ "id": "p", "name": "Sales", "statuses": order })]).await;
}

fn opportunity(id: &str, status: &str, value: impl Into<Json>, period: &str, confidence: impl Into<Json>) -> Json {
    let kind = if ["won", "lost"].contains(&status) { status } else { "active" };
    json!({ "id": id, "lead_id": "l", "user_id": "ann", "status_id": status, "status_label": "stale",
        "status_type": kind, "pipeline_id": "p", "pipeline_name": "stale", "value": value.into(),
        "value_currency": "EUR", "value_period": period, "confidence": confidence.into(),
        "date_created": "2026-01-01T00:00:00+00:00" })
}

#[tokio::test]
async fn the_pipeline_sums_values_by_status_and_currency() {
    let mut close = Tables::new("pipeline").await;
    pipelines(&mut close).await;
    let mut won = opportunity("5", "won", json!(100), "one_time", json!(100));
    won["date_won"] = json!("2026-01-11");
    let mut lost = opportunity("6", "lost", json!(100), "one_time", json!(0));
    lost["date_lost"] = json!("2026-01-03T12:00:00+00:00");
    let mut dollars = opportunity("7", "won", json!(250), "annual", json!(50));
    dollars["value_currency"] = json!("USD");
    // Won before it was entered.
    dollars["date_won"] = json!("2025-12-01");
    let mut elsewhere = opportunity("8", "unknown", json!(1), "monthly", json!(33));
    elsewhere["pipeline_id"] = json!("r");
    let opportunities = [
        opportunity("1", "new", json!(12_345), "one_time", json!(10)),
        opportunity("2", "new", json!(1_001), "monthly", json!(50)),
        opportunity("3", "new", json!(700), "annual", json!(100)),
        opportunity("4", "new", Json::Null, "one_time", Json::Null),
        won,
        lost,
        dollars,
        elsewhere,
        opportunity("9", "offer", json!(1), "one_time", json!(1)),
    ];
    close.put("opportunity", &opportunities).await;
    close.delete("opportunity", &["9"]).await;
    let sql = "SELECT pipeline_id, pipeline, position, status_id, status, status_type, currency, opportunities, value,
                      value_one_time, value_monthly, value_annual, annualized_value, weighted_value,
                      weighted_annualized_value,
                      CASE WHEN status_type = 'active' AND opportunities > 0 THEN round(
                           average_age_days - extract(epoch FROM now() - '2026-01-01 00:00Z'::timestamptz)::numeric
                               / 86400, 1)
                      ELSE average_age_days END
               FROM $.pipeline_overview ORDER BY 1, 3, 4, 7";
    let expected = [
        "p|Sales|1|new|Status new|active|EUR|4|140.46|123.45|10.01|7.00|250.57|24.35|79.41|0.0",
        "p|Sales|2|offer|Status offer|active||0|0.00|0.00|0.00|0.00|0.00|0.00|0.00|",
        "p|Sales|3|won|Status won|won|EUR|1|1.00|1.00|0.00|0.00|1.00|1.00|1.00|10.00",
        "p|Sales|3|won|Status won|won|USD|1|2.50|0.00|0.00|2.50|2.50|1.25|1.25|0.00",
        "p|Sales|4|lost|Status lost|lost|EUR|1|1.00|1.00|0.00|0.00|1.00|0.00|0.00|2.50",
        "q|||open|Status open|active||0|0.00|0.00|0.00|0.00|0.00|0.00|0.00|",
        "r|stale||unknown|stale|active|EUR|1|0.01|0.00|0.01|0.00|0.12|0.00|0.04|0.0",
    ];
    assert_eq!(close.ask(sql).await, expected);
}

fn change(id: &str, opportunity: &str, old: impl Into<Json>, new: &str, at: &str) -> Json {
    json!({ "id": id, "opportunity_id": opportunity, "old_status_id": old.into(), "old_status_label": "stale",
        "new_status_id": new, "new_status_label": "stale", "date_created": at })
}

#[tokio::test]
async fn stages_follow_from_creation_and_changes_of_status() {
    let mut close = Tables::new("stages").await;
    pipelines(&mut close).await;
    let one = |id: &str, status: &str| opportunity(id, status, Json::Null, "one_time", Json::Null);
    let opportunities = [
        one("back", "lost"),
        one("plain", "new"),
        // The activity of its last change was deleted.
        one("gap", "won"),
        // Its only change is older than itself, as after an import.
        one("early", "offer"),
        // Where its first change came from is unknown.
        one("blank", "won"),
        one("gone", "won"),
    ];
    close.put("opportunity", &opportunities).await;
    assert!(!close.views().await.contains(&"opportunity_stage_history".to_owned()), "its table is missing");
    let changes = [
        change("c2", "back", json!("offer"), "new", "2026-01-03T12:00:00+00:00"),
        change("c1", "back", json!("new"), "offer", "2026-01-02T00:00:00+00:00"),
        change("c4", "back", json!("offer"), "lost", "2026-01-05T00:00:00+00:00"),
        change("c3", "back", json!("new"), "offer", "2026-01-04T00:00:00+00:00"),
        change("g1", "gap", json!("new"), "offer", "2026-01-02T00:00:00+00:00"),
        change("g2", "gap", json!("offer"), "won", "2026-01-03T00:00:00+00:00"),
        change("e1", "early", json!("new"), "offer", "2025-12-01T00:00:00+00:00"),
        change("b1", "blank", Json::Null, "won", "2026-01-02T00:00:00+00:00"),
        change("d1", "gone", json!("new"), "won", "2026-01-02T00:00:00+00:00"),
        change("o1", "never_there", json!("new"), "won", "2026-01-02T00:00:00+00:00"),
    ];
    close.put("opportunity_status_change", &changes).await;
    close.delete("opportunity_status_change", &["g2"]).await;
    close.delete("opportunity", &["gone"]).await;
    let sql = "SELECT opportunity_id, stage, status_id, status, status_type, pipeline, entered_at AT TIME ZONE 'UTC',
                      left_at AT TIME ZONE 'UTC',
                      CASE WHEN is_current AND status_type = 'active'
                           THEN round(days - extract(epoch FROM now() - entered_at)::numeric / 86400, 1) ELSE days END,
                      is_current, outcome
               FROM $.opportunity_stage_history ORDER BY 1, 2";
    let expected = [
        "back|1|new|Status new|active|Sales|2026-01-01 00:00:00|2026-01-02 00:00:00|1.0000|f|lost",
        "back|2|offer|Status offer|active|Sales|2026-01-02 00:00:00|2026-01-03 12:00:00|1.5000|f|lost",
        "back|3|new|Status new|active|Sales|2026-01-03 12:00:00|2026-01-04 00:00:00|0.5000|f|lost",
        "back|4|offer|Status offer|active|Sales|2026-01-04 00:00:00|2026-01-05 00:00:00|1.0000|f|lost",
        "back|5|lost|Status lost|lost|Sales|2026-01-05 00:00:00|||t|lost",
        "blank|1|won|Status won|won|Sales|2026-01-02 00:00:00|||t|won",
        "early|1|new|Status new|active|Sales|2025-12-01 00:00:00|2025-12-01 00:00:00|0.0000|f|active",
        "early|2|offer|Status offer|active|Sales|2025-12-01 00:00:00||0.0|t|active",
        "gap|1|new|Status new|active|Sales|2026-01-01 00:00:00|2026-01-02 00:00:00|1.0000|f|won",
        "gap|2|offer|Status offer|active|Sales|2026-01-02 00:00:00|||f|won",
        "gap|3|won|Status won|won|Sales||||t|won",
        "plain|1|new|Status new|active|Sales|2026-01-01 00:00:00||0.0|t|active",
    ];
    assert_eq!(close.ask(sql).await, expected);
}

#[tokio::test]
async fn leads_show_their_children_also_after_a_merge_and_deletes() {
    let mut close = Tables::new("leads").await;
    close.also("lead", OWNER, "text");
    let lead = |id: &str, name: Json, owner: Json| {
        json!({ "id": id, "name": name, "display_name": name, "status_id": "s1", "status_label": "stale",
            "html_url": "u", "date_created": "2026-01-01T00:00:00+00:00", OWNER: owner })
    };
    let leads =
        [lead("a", json!("A"), json!("ann")), lead("b", json!("B"), Json::Null), lead("c", json!("C"), Json::Null)];
    close.put("lead", &leads).await;
    close.all_stand().await;
    let sql = "SELECT lead_id, status, contacts IS NULL, open_value IS NULL, open_tasks IS NULL, owners IS NULL
               FROM $.lead_overview ORDER BY 1";
    assert_eq!(close.ask(sql).await, ["a|stale|t|t|t|t", "b|stale|t|t|t|t", "c|stale|t|t|t|t"]);

    close.put("lead_status", &[json!({ "id": "s1", "label": "Qualified" })]).await;
    let field = |id: &str, name: &str, ty: &str| json!({ "id": id, "name": name, "type": ty });
    close.put("custom_field_lead", &[field(OWNER, "Owner", "user"), field("cf_2", "Other", "user")]).await;
    let child = |id: &str, lead: &str| json!({ "id": id, "lead_id": lead });
    close.put("contact", &[child("1", "a"), child("2", "b"), child("3", "b"), child("4", "a")]).await;
    close.delete("contact", &["4"]).await;
    let mut of_b = opportunity("3", "new", json!(200), "monthly", json!(10));
    of_b["lead_id"] = json!("b");
    let mut of_a = [
        opportunity("1", "new", json!(150), "one_time", json!(10)),
        opportunity("2", "won", json!(999), "one_time", json!(100)),
        of_b,
    ];
    of_a[..2].iter_mut().for_each(|opportunity| opportunity["lead_id"] = json!("a"));
    close.put("opportunity", &of_a).await;
    let task = |id: &str, lead: &str, date: Json, complete: bool| {
        json!({ "id": id, "lead_id": lead, "is_complete": complete, "date": date, "text": format!("Task {id}"),
            "assigned_to": "ann", "date_created": "2026-01-01T00:00:00+00:00" })
    };
    let tasks = [
        task("1", "a", json!("2026-02-10T08:00:00+00:00"), false),
        task("2", "a", json!("2026-02-09"), false),
        task("3", "a", json!("2026-01-01"), true),
        task("4", "b", Json::Null, false),
        task("5", "b", json!("2026-05-01"), false),
    ];
    close.put("task", &tasks).await;
    let at = |id: &str, lead: &str, at: &str| {
        json!({ "id": id, "lead_id": lead, "activity_at": at, "status": "sent",
        "direction": "outgoing", "date_created": "2026-01-01T00:00:00+00:00" })
    };
    close.put("call", &[at("1", "a", "2026-01-05T00:00:00+00:00")]).await;
    close.put("note", &[at("1", "a", "2026-01-06T00:00:00+00:00"), at("2", "b", "2026-01-07T00:00:00+00:00")]).await;
    let mut meeting = at("1", "a", "2026-01-08T00:00:00+00:00");
    meeting["status"] = json!("canceled");
    close.put("meeting", &[meeting]).await;
    let mut draft = at("2", "a", "2026-01-09T00:00:00+00:00");
    draft["status"] = json!("draft");
    close.put("email", &[draft, at("1", "b", "2026-01-03T00:00:00+00:00")]).await;
    // Later than now.
    close.put("custom_activity", &[at("1", "a", "2226-01-08T00:00:00+00:00")]).await;
    let sql = "SELECT lead_id, status, owners, contacts, open_opportunities, open_value, open_annualized_value,
                      won_opportunities, won_value, currency, last_activity_at AT TIME ZONE 'UTC', last_activity_kind,
                      last_communication_at AT TIME ZONE 'UTC', open_tasks, next_task_id, next_task_on, next_task,
                      next_task_user_id
               FROM $.lead_overview ORDER BY 1";
    let expected = [
        "a|Qualified|{\"Owner\": \"ann\"}|1|1|1.50|1.50|1|9.99|EUR|2026-01-06 00:00:00|note|2026-01-05 00:00:00|2|2|\
         2026-02-09|Task 2|ann",
        "b|Qualified||2|1|2.00|24.00|0|0.00|EUR|2026-01-07 00:00:00|note|2026-01-03 00:00:00|2|5|2026-05-01|Task 5|ann",
        "c|Qualified||0|0|0.00|0.00|0|0.00|||||0||||",
    ];
    assert_eq!(close.ask(sql).await, expected);

    // Lead b is merged into a: its delete comes first, then its children move one by one.
    close.delete("lead", &["b"]).await;
    assert_eq!(
        close.ask("SELECT lead_id, contacts, open_value FROM $.lead_overview ORDER BY 1").await,
        ["a|1|1.50", "c|0|0.00"]
    );
    close.put("contact", &[child("2", "a"), child("3", "a")]).await;
    of_a[2]["lead_id"] = json!("a");
    close.put("opportunity", &[of_a[2].clone()]).await;
    close.put("task", &[task("4", "a", Json::Null, false), task("5", "a", json!("2026-05-01"), false)]).await;
    close.put("note", &[at("2", "a", "2026-01-07T00:00:00+00:00")]).await;
    close.put("email", &[at("1", "a", "2026-01-03T00:00:00+00:00")]).await;
    let expected = [
        "a|Qualified|{\"Owner\": \"ann\"}|3|2|3.50|25.50|1|9.99|EUR|2026-01-07 00:00:00|note|2026-01-05 00:00:00|4|2|\
         2026-02-09|Task 2|ann",
        "c|Qualified||0|0|0.00|0.00|0|0.00|||||0||||",
    ];
    assert_eq!(close.ask(sql).await, expected);
    // Lead a is deleted, with all its children.
    close.delete("lead", &["a"]).await;
    assert_eq!(close.ask("SELECT lead_id FROM $.lead_overview").await, ["c"]);
}
