//! `GET /report/sent_emails/{organization}/`: results of the mails of each template.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{
    metrics::{opened, sent},
    own_organization, percent, range, user_of,
};
use crate::{
    http::{Answer, Request},
    model::{Id, Kind, Refusal},
    world::{people::Caller, view::View},
};

/// One entry for each template used in the time, and one for mails without a template.
pub(super) fn report(view: &View<'_>, _: &Caller, request: &Request) -> Result<Answer, Refusal> {
    own_organization(view, &request.segments[0])?;
    let range = range::of_query(view, request, "date_start", "date_end")?;
    let user = request.param("user_id").map(|text| view.parse_id(text));
    let mut counts: BTreeMap<Option<Id>, [i64; 3]> = BTreeMap::new();
    for mail in view.range(Kind::Email, range.from, range.last()) {
        if !sent(view, mail) || user.is_some_and(|user| user_of(mail) != user) {
            continue;
        }
        let counts = counts.entry(mail.id_of("template_id")).or_default();
        counts[0] += 1;
        counts[1] += i64::from(opened(mail));
        counts[2] += i64::from(mail.is("has_reply"));
    }
    let stats: Vec<Json> = counts
        .into_iter()
        .map(|(template, [total, opened, responded])| {
            let record = template.and_then(|id| view.get(id));
            let condition =
                template.map_or_else(|| "template:none".to_owned(), |id| format!("template:{}", view.id_text(id)));
            let mut entry = json!({
                "name": record.and_then(|record| record.text("name")).unwrap_or("No template"),
                "is_shared": record.is_some_and(|record| record.is("is_shared")),
                "total": total,
                "opened": opened,
                "responded": responded,
                "percentage_opened": percent(opened, total),
                "percentage_responded": percent(responded, total),
                "_queries": {
                    "total": format!("email(status:sent {condition})"),
                    "opened": format!("email(status:sent opened:yes {condition})"),
                    "responded": format!("email(status:sent has_reply:yes {condition})"),
                },
            });
            if let Some(id) = template {
                entry["template_id"] = view.id_text(id).into();
                entry["template_url"] =
                    format!("https://app.close.com/settings/templates/email/{}/", view.id_text(id)).into();
            }
            entry
        })
        .collect();
    Ok(Answer::json(200, &json!({ "sent_email_stats": stats })))
}
