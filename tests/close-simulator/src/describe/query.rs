//! Query parameters that an endpoint's code or a collection's `check` reads, so that no filter declares them.
//!
//! They are written as in the table: `date[__gt,__lt]` stands for `date`, `date__gt` and `date__lt`; `date__{gt,lt}`
//! stands for the last two.

const RANGE: &str = "[__gt,__gte,__lt,__lte]";

/// Method, path and parameters.
static QUERY: &[(&str, &str, &[&str])] = &[
    ("GET", "/lead/", &["query", "saved_search_id"]),
    ("GET", "/contact/", &["query", "saved_search_id"]),
    ("GET", "/opportunity/", &["status[__in]", "date_won[range]", "query", "lead_query", "lead_saved_search_id"]),
    ("GET", "/activity/", &["_type[__in]"]),
    ("GET", "/task/", &["_type[__in]", "date[range]", "due_date[range]", "query"]),
    (
        "GET",
        "/event/",
        &[
            "object_type",
            "object_id",
            "lead_id",
            "action",
            "user_id",
            "request_id",
            "date_updated__{gt,gte,lt,lte}",
            "_cursor",
            "_limit",
        ],
    ),
    ("GET", "/me/", &["_fields"]),
    ("GET", "/organization/{id}/", &["_fields"]),
    ("DELETE", "/send_as/", &["allowing_user_id", "allowed_user_id"]),
    ("GET", "/email_template/{id}/render/", &["lead_id", "contact_id", "query", "entry", "mode"]),
    ("GET", "/report/sent_emails/{id}/", &["user_id", "date_start", "date_end"]),
    ("GET", "/report/statuses/lead/{id}/", &["date_start", "date_end", "query", "smart_view_id"]),
    ("GET", "/report/statuses/opportunity/{id}/", &["date_start", "date_end", "query", "smart_view_id", "user_id"]),
    ("GET", "/report/custom/{id}/", &["y", "query", "group_by", "start", "end"]),
];

/// The parameters of an endpoint, written as in the table.
pub(super) fn of(method: &str, path: &str) -> Vec<String> {
    let found = QUERY.iter().find(|(of_method, of_path, _)| *of_method == method && *of_path == path);
    found.map_or(&[][..], |(_, _, words)| words).iter().map(|word| word.replace("[range]", RANGE)).collect()
}

/// The name of a parameter without its suffixes.
pub(super) fn base(word: &str) -> &str {
    word.split(['[', '{']).next().unwrap_or(word).trim_end_matches("__")
}

/// All names that a word of the table stands for.
pub(super) fn names(word: &str) -> Vec<String> {
    let base = base(word);
    let suffixes = |list: &str| list.trim_end_matches([']', '}']).split(',').map(str::to_owned).collect::<Vec<_>>();
    if let Some((_, list)) = word.split_once('[') {
        let with = suffixes(list).into_iter().map(|suffix| format!("{base}{suffix}"));
        std::iter::once(base.to_owned()).chain(with).collect()
    } else if let Some((_, list)) = word.split_once('{') {
        suffixes(list).into_iter().map(|suffix| format!("{base}__{suffix}")).collect()
    } else {
        vec![base.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;

    #[test]
    fn every_line_is_about_something_that_is_served() {
        let rows = describe::rows();
        for (method, path, _) in QUERY {
            assert!(rows.iter().any(|row| row.method == *method && row.path == *path), "{method} {path}");
        }
    }

    #[test]
    fn a_word_of_the_table_stands_for_its_names() {
        assert_eq!(names("query"), ["query"]);
        assert_eq!(names("status[__in]"), ["status", "status__in"]);
        assert_eq!(names("date_updated__{gt,lte}"), ["date_updated__gt", "date_updated__lte"]);
        assert_eq!(base("date_updated__{gt,lte}"), "date_updated");
    }
}
