//! Lists of activities: section 4.5, quirks 7, 8 and 11.

use serde_json::json;

use crate::{
    activities::{ids, lead, text},
    client::Close,
};

// Quirk 11, first part.
#[tokio::test]
async fn quirk_11_the_list_of_all_activities_refuses_type_user_and_contact_without_a_lead() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let note = close.make("activity/note/", json!({ "lead_id": lead, "note": "x", "contact_id": contact })).await;
    let user = text(&note["user_id"]);
    for filter in [
        "_type=Note".to_owned(),
        "_type__in=Note,Call".to_owned(),
        format!("user_id={user}"),
        format!("user_id__in={user}"),
        format!("contact_id={contact}"),
    ] {
        let reply = close.get(&format!("activity/?{filter}")).await;
        assert_eq!((reply.status, reply.body["error"].is_string()), (400, true), "{filter}: {}", reply.text);
        let reply = close.get(&format!("activity/?{filter}&lead_id={lead}")).await;
        assert_eq!(ids(&reply), [text(&note["id"])], "{filter}");
    }
    // The list of one type accepts them without a lead.
    for filter in [format!("user_id={user}"), format!("contact_id={contact}"), "_type=Note".to_owned()] {
        assert_eq!(ids(&close.get(&format!("activity/note/?{filter}")).await), [text(&note["id"])], "{filter}");
    }
    assert!(ids(&close.get("activity/note/?_type=Call").await).is_empty());
}

// Quirk 11, second part.
#[tokio::test]
async fn quirk_11_date_filters_compare_to_the_second_and_date_updated_is_no_filter() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let make =
        |date: &str| close.make("activity/note/", json!({ "lead_id": lead, "note": date, "date_created": date }));
    let early = text(&make("2026-05-01T10:00:00.250+00:00").await["id"]);
    let late = text(&make("2026-05-01T10:00:01.750+00:00").await["id"]);
    let found = async |filter: &str| ids(&close.get(&format!("activity/note/?{filter}")).await);
    assert_eq!(found("date_created__gt=2026-05-01T10:00:00Z").await, std::slice::from_ref(&late));
    assert_eq!(found("date_created__gte=2026-05-01T10:00:00.9Z").await, [late.clone(), early.clone()]);
    assert_eq!(found("date_created__lte=2026-05-01T10:00:01Z").await, [late.clone(), early.clone()]);
    assert_eq!(found("date_created__lt=2026-05-01T10:00:01.9Z").await, std::slice::from_ref(&early));
    assert_eq!(found("activity_at__gt=2026-05-01T10:00:00Z").await, std::slice::from_ref(&late));
    assert_eq!(found("date_updated__gt=2030-01-01&date_updated__lt=2000-01-01").await, [late.clone(), early.clone()]);
    assert_eq!(close.get("activity/note/?date_created__gt=soon").await.status, 400);
    for one in [&early, &late] {
        assert_eq!(found(&format!("id__in={one}")).await, std::slice::from_ref(one));
    }
}

// Quirk 11, third part.
#[tokio::test]
async fn quirk_11_the_order_is_newest_first_and_by_activity_at_per_lead_only() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let make = |created: &str, at: &str| {
        close
            .make("activity/note/", json!({ "lead_id": lead, "note": "n", "date_created": created, "activity_at": at }))
    };
    let a = text(&make("2026-05-01T10:00:00Z", "2026-05-09T10:00:00Z").await["id"]);
    let b = text(&make("2026-05-02T10:00:00Z", "2026-05-08T10:00:00Z").await["id"]);
    for order in ["", "_order_by=-date_created", "_order_by=date_created", "_order_by=activity_at", "_order_by=id"] {
        for path in ["activity/", "activity/note/"] {
            assert_eq!(
                ids(&close.get(&format!("{path}?lead_id={lead}&{order}")).await),
                [b.clone(), a.clone()],
                "{path} {order}"
            );
        }
    }
    for path in ["activity/", "activity/note/"] {
        assert_eq!(
            ids(&close.get(&format!("{path}?lead_id={lead}&_order_by=-activity_at")).await),
            [a.clone(), b.clone()]
        );
        assert_eq!(close.get(&format!("{path}?_order_by=-activity_at")).await.status, 400, "{path}");
    }
    // Some connectors send this; an unknown order is ignored.
    let reply = close.get("activity/?_order_by=date_created&date_created__gte=1970-01-01T00:00:00%2B00:00").await;
    assert_eq!(ids(&reply), [b.clone(), a.clone()]);
    // Only the date that is sorted by can bound the list of all activities.
    assert_eq!(close.get("activity/?activity_at__gt=2026-05-01").await.status, 400);
    assert_eq!(
        close.get(&format!("activity/?lead_id={lead}&_order_by=-activity_at&date_created__gt=2026-05-01")).await.status,
        400
    );
    let reply = close
        .get(&format!("activity/?lead_id={lead}&_order_by=-activity_at&activity_at__gt=2026-05-08T12:00:00Z"))
        .await;
    assert_eq!(ids(&reply), [a]);
}

// Quirk 7: the number is in the message.
#[tokio::test]
async fn quirk_07_pages_end_at_100_rows_and_at_a_skip_of_250000() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    for n in 0..3 {
        close.make("activity/note/", json!({ "lead_id": lead, "note": format!("{n}") })).await;
    }
    for path in ["activity/", "activity/note/", "activity/email/", "activity/custom/"] {
        let reply = close.get(&format!("{path}?_limit=101")).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(text(&reply.body["error"]).contains("max_limit = 100"), "{}", reply.text);
        let reply = close.get(&format!("{path}?_skip=250001")).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(text(&reply.body["error"]).contains("max_skip = 250000"), "{}", reply.text);
    }
    let page = close.get("activity/note/?_limit=2").await;
    assert_eq!((page.rows().len(), &page.body["has_more"]), (2, &json!(true)));
    let page = close.get("activity/note/?_limit=2&_skip=2&_fields=id,_type").await;
    assert_eq!((page.rows().len(), &page.body["has_more"]), (1, &json!(false)));
    assert_eq!(page.rows()[0].as_object().unwrap().len(), 2);
    let none = close.get("activity/note/?_limit=0").await;
    assert_eq!((none.rows().len(), &none.body["has_more"]), (0, &json!(true)));
}

// Quirk 8: a page is cut from the rows at the time of the request.
#[tokio::test]
async fn quirk_08_pages_shift_when_rows_come_and_go_between_them() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let make = || close.make("activity/note/", json!({ "lead_id": lead, "note": "n" }));
    let mut notes = Vec::new();
    for _ in 0..4 {
        notes.insert(0, text(&make().await["id"]));
        close.advance(1.0).await;
    }
    let page = async |skip: usize| ids(&close.get(&format!("activity/note/?_limit=2&_skip={skip}")).await);
    assert_eq!(page(0).await, notes[..2]);
    let newest = text(&make().await["id"]);
    assert_eq!(page(2).await, notes[1..3], "a row that came before the position shows one twice");
    for id in [&newest, &notes[0]] {
        close.delete(&format!("activity/note/{id}/")).await;
    }
    assert_eq!(page(2).await, notes[3..], "a row that went from before the position hides one");
}
