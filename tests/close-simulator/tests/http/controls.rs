//! `/_control/`: counters, keys, switches, and the description of the API.

use close_simulator::{Options, describe};
use serde_json::{Value, json};

use crate::client::Close;

fn of<'v>(rows: &'v Value, endpoint: &str, key: &Value, status: u64) -> Option<&'v Value> {
    let is = |row: &&Value| row["endpoint"] == endpoint && row["key"] == *key && row["status"] == status;
    rows.as_array().unwrap().iter().find(is).map(|row| &row["requests"])
}

#[tokio::test]
async fn requests_are_counted_by_endpoint_key_and_answer() {
    let close = Close::start().await;
    for _ in 0..3 {
        close.get("user/").await;
    }
    close.get("user/user_none/").await;
    close.get_as("agent", "user/").await;
    close.get_as("", "user/").await;
    close.get("no/such/").await;
    close.post("lead/", json!({ "name": "A" })).await;
    let counters = close.get("/_control/counters/").await.body;
    let requests = &counters["requests"];
    assert_eq!(of(requests, "GET user", &json!("admin"), 200), Some(&json!(3)), "{requests}");
    assert_eq!(of(requests, "GET user", &json!("admin"), 404), Some(&json!(1)));
    assert_eq!(of(requests, "GET user", &json!("agent"), 200), Some(&json!(1)));
    assert_eq!(of(requests, "GET user", &Value::Null, 401), Some(&json!(1)));
    assert_eq!(of(requests, "GET (unknown)", &json!("admin"), 404), Some(&json!(1)));
    assert_eq!(of(requests, "POST lead", &json!("admin"), 200), Some(&json!(1)));
    assert_eq!(counters["total"], 8, "controls are not counted");

    assert_eq!(close.delete("/_control/counters/").await.body["total"], 0);
}

#[tokio::test]
async fn the_peak_of_each_limit_is_kept_although_limits_are_off() {
    let close = Close::start().await;
    close.put("/_control/limits/", json!({ "off": true, "default": { "limit": 2, "window_secs": 600 } })).await;
    for _ in 0..4 {
        assert_eq!(close.get("user/").await.status, 200);
    }
    assert_eq!(close.get_as("agent", "user/").await.status, 200);
    let limits = close.get("/_control/counters/").await.body["limits"].clone();
    let peak = |scope: &str, key: Value| {
        let is = |row: &&Value| row["endpoint"] == "GET user" && row["scope"] == scope && row["key"] == key;
        limits.as_array().unwrap().iter().find(is).map(|row| (row["peak"].as_u64(), row["refused"].as_u64()))
    };
    assert_eq!(peak("key", json!("admin")), Some((Some(4), Some(0))), "{limits}");
    assert_eq!(peak("key", json!("agent")), Some((Some(1), Some(0))));
    assert_eq!(peak("organization", Value::Null), Some((Some(5), Some(0))));
}

#[tokio::test]
async fn keys_are_listed_made_for_a_role_or_a_user_and_taken_away() {
    let close = Close::start().await;
    let keys = close.get("/_control/keys/").await.body["keys"].clone();
    let admin = keys.as_array().unwrap().iter().find(|key| key["name"] == "admin").unwrap();
    assert_eq!((admin["role_id"].as_str(), admin["role"].as_str()), (Some("admin"), Some("Admin")));
    assert_eq!(admin["secret"].as_str(), close.running.key("admin").as_deref());
    let former = keys.as_array().unwrap().iter().find(|key| key["name"] == "former").unwrap();
    assert!(former["role"].is_null(), "{former}");

    let made = close
        .make("/_control/keys/", json!({ "name": "night", "role": "restricteduser", "secret": "api_night" }))
        .await;
    assert_eq!((&made["secret"], &made["role_id"]), (&json!("api_night"), &json!("restricteduser")));
    assert_eq!(close.get_as("night", "me/").await.body["id"], made["user_id"]);
    let second = close.make("/_control/keys/", json!({ "name": "own", "user": admin["user_id"] })).await;
    assert!(second["secret"].as_str().unwrap().starts_with("api_"));
    assert_eq!(close.get_as("own", "me/").await.body["id"], admin["user_id"]);

    for wrong in [
        json!({ "name": "night", "role": "admin" }),
        json!({ "name": "x" }),
        json!({ "name": "x", "role": "emperor" }),
        json!({ "name": "x", "role": "admin", "user": admin["user_id"] }),
        json!({ "name": "x", "role": "admin", "secret": "api_night" }),
    ] {
        assert_eq!(close.post("/_control/keys/", wrong.clone()).await.status, 400, "{wrong}");
    }
    let request = close.request("night", reqwest::Method::GET, "me/");
    assert_eq!(close.delete("/_control/keys/?name=night").await.status, 200);
    assert_eq!(Close::send(request).await.status, 401);
    assert_eq!(close.delete("/_control/keys/?name=night").await.status, 404);
}

#[tokio::test]
async fn controls_are_off_unless_asked_for() {
    let close = Close::with(Options { control: false, ..Options::default() }).await;
    for path in ["clock", "counters", "faults", "keys", "limits", "switches"] {
        assert_eq!(close.get(&format!("/_control/{path}/")).await.status, 404, "{path}");
    }
    assert_eq!(close.get("user/").await.status, 200);
}

#[tokio::test]
async fn options_set_switches_secrets_and_the_rate_of_the_clock() {
    let options = Options {
        switches: vec![("over_limit".to_owned(), json!("clamp"))],
        keys: vec![("agent".to_owned(), "api_fixed".to_owned())],
        rate: 0.0,
        ..Options::default()
    };
    let close = Close::with(options).await;
    assert_eq!(close.running.key("agent").as_deref(), Some("api_fixed"));
    assert_eq!(close.get_as("agent", "user/?_limit=100000").await.status, 200);
    let clock = close.get("/_control/clock/").await.body;
    assert_eq!(clock["rate"], 0.0);
    assert_eq!(close.get("/_control/clock/").await.body["now"], clock["now"]);
}

#[test]
fn the_command_line_names_the_nearest_switch_and_checks_values() {
    use clap::Parser;
    let parse = |arguments: &[&str]| Options::try_parse_from([&["close-simulator"], arguments].concat());
    let error = parse(&["--switch", "over_limt=clamp"]).unwrap_err().to_string();
    assert!(error.contains("did you mean `over_limit`?"), "{error}");
    for wrong in ["over_limit=sometimes", "over_limit", "short_pages=many"] {
        assert!(parse(&["--switch", wrong]).is_err(), "{wrong}");
    }
    for wrong in
        [&["--key", "admin"][..], &["--key", "admin=a:b"], &["--rate", "-1"], &["--now", "soon"], &["--limits", "some"]]
    {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    let options = parse(&["--switch", "forbidden_text=403", "--switch", "max_skip=10", "--limits", "off"]).unwrap();
    assert_eq!(options.switches[0].1, json!("403"), "a text that looks like a number");
    assert_eq!(options.switches[1].1, json!(10));
}

/// Section 1.1: the description is beside the API and needs no credentials.
#[tokio::test]
async fn the_description_names_every_path_with_its_section_and_parameters() {
    let close = Close::start().await;
    let document = close.get_as("", "/api/openapi.json").await;
    assert_eq!((document.status, &document.body["openapi"]), (200, &json!("3.1.0")));
    let users = &document.body["paths"]["/user/"]["get"];
    assert_eq!((&users["x-section"], &users["x-exactness"]), (&json!("4.7"), &json!("documented")));
    let limit = users["parameters"].as_array().unwrap().iter().find(|parameter| parameter["name"] == "_limit").unwrap();
    assert_eq!(limit["schema"]["maximum"], 1000);
    assert_eq!(document.body["paths"]["/user/{id}/"]["get"]["parameters"][0]["in"], "path");
    assert_eq!(document.body["paths"]["/me/"]["get"]["x-section"], "1.4");
    // Every reference resolves to a schema.
    let text = document.text.as_str();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name = text[at..].split('"').next().unwrap().rsplit('/').next().unwrap();
        assert!(document.body["components"]["schemas"][name].is_object(), "{name}");
    }
}

/// The router and the table agree: it knows every path of the table, and answers other methods with 405 and the allowed
/// ones.
#[tokio::test]
async fn every_path_of_the_table_is_routed() {
    let close = Close::start().await;
    for row in describe::rows() {
        let path = row.path.replace("{id}", "none_1").replace("{id2}", "none_2");
        let options = Close::send(close.request("", reqwest::Method::OPTIONS, path.trim_start_matches('/'))).await;
        assert_eq!(options.status, 200, "{} {}", row.method, row.path);
        let allow = options.headers["allow"].to_str().unwrap();
        assert!(allow.split(", ").any(|method| method == row.method), "{} {}: {allow}", row.method, row.path);
    }
}

/// `UPDATE_GOLDEN=1` rewrites the tables.
#[test]
fn the_readme_has_the_tables_of_what_is_served() {
    const BEGIN: &str = "<!-- begin: close-simulator describe -o markdown -->\n";
    const END: &str = "<!-- end -->\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(file).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the mark before the tables");
    let (tables, after) = rest.split_once(END).expect("the mark after the tables");
    let now = describe::markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, format!("{before}{BEGIN}{now}{END}{after}")).unwrap();
    } else {
        assert!(tables == now, "the tables of README.md are old: run this test with UPDATE_GOLDEN=1");
    }
}
