use proptest::prelude::*;

use super::*;

/// Reads all of `text`, as [`members`] and [`super::parse`] do in turn.
fn parse(text: &str) -> Result<Json<'_>, Malformed> {
    let json: &RawValue = serde_json::from_str(text).map_err(|error| Malformed::found(text, text, &error))?;
    super::parse(json).map_err(|malformed| malformed.after(offset(text, json.get())))
}

fn rule(text: &str) -> String {
    parse(text).err().map_or(String::new(), |malformed| malformed.rule.into_owned())
}

#[test]
fn numbers_keep_their_digits() {
    assert_eq!(parse("12.10"), Ok(Json::Number("12.10")));
    assert_eq!(parse("-0.1e-3 "), Ok(Json::Number("-0.1e-3")));
    assert_eq!(parse("-1E5"), Ok(Json::Number("-1E5")));
    let long = format!("0.{}e-99999999999", "1".repeat(100_000));
    assert_eq!(parse(&long), Ok(Json::Number(&long)));
}

#[test]
fn a_value_at_each_limit_passes_and_one_above_is_refused() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!([rule(&nested(32)), rule(&nested(33))], ["", "more than 32 levels"]);
    let many = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
    assert_eq!([rule(&many(10_000)), rule(&many(10_001))], ["", "more than 10,000 values"]);
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    assert_eq!([rule(&long(MAX_STRING)), rule(&long(MAX_STRING + 1))], ["", "a string over 256 KiB"]);
    let name = |length: usize| format!("{{\"{}\":0}}", "x".repeat(length));
    assert_eq!([rule(&name(MAX_STRING)), rule(&name(MAX_STRING + 1))], ["", "a string over 256 KiB"]);
}

#[test]
fn invalid_json_is_refused_with_its_place() {
    assert_eq!(parse("{\"a\":1,}").unwrap_err().to_string(), "key must be a string at byte 7");
    assert_eq!(parse("[1 2]").unwrap_err().to_string(), "expected `,` or `]` at byte 3");
    assert_eq!(
        parse("[{},\n {\"a\":\n\"\\udc00\"}]").unwrap_err().to_string(),
        "lone leading surrogate in hex escape at byte 18"
    );
    assert_eq!(rule("1 1"), "trailing characters");
    assert_eq!(rule(r#"{"a":1,"\u0061":2}"#), "a repeated name in the object");
    for text in [
        "",
        "01",
        "1.",
        ".5",
        "+1",
        "tru",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "{\"\\ud800\":1}",
        "\"a\nb\"",
        "\"",
        "nan",
        "{1:2}",
        "[1",
        "\u{feff}1",
    ] {
        assert_ne!(rule(text), "", "{text}");
    }
}

#[test]
fn a_byte_order_mark_before_the_object_is_ignored() {
    let names = |body: &str| {
        let mut names = Vec::new();
        members(body, |name, json| {
            names.push((name.into_owned(), offset(body, json.get())));
            Ok(())
        })
        .map(|()| names)
        .map_err(|malformed| malformed.to_string())
    };
    // Places count the bytes of the mark, as the sender's editor may not show them.
    assert_eq!(names("\u{feff}{\"a\":1}"), Ok(vec![("a".to_owned(), 8)]));
    assert_eq!(names("\u{feff} \n{\"a\":1}"), Ok(vec![("a".to_owned(), 10)]));
    assert_eq!(names("\u{feff}{\"a\":1,}"), Err("trailing comma at byte 10".to_owned()));
    assert_eq!(names("\u{feff}[]"), Err("expected an object at byte 3".to_owned()));
    assert_eq!(names("{\u{feff}}"), Err("key must be a string at byte 1".to_owned()));
}

#[test]
fn escapes_are_decoded() {
    let expected = "a\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}\0z";
    assert_eq!(parse(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\uDE00\u0000z""#), Ok(Json::Text(expected.into())));
    let text = |json| as_text(serde_json::from_str(json).unwrap());
    assert_eq!(text(r#""\u0041b""#), Some("Ab".into()));
    assert_eq!([text("12"), text("null"), text("[\"a\"]"), text(r#""\ud800""#)], [None, None, None, None]);
}

#[test]
fn strings_without_escapes_are_borrowed() {
    let Ok(Json::Object(members)) = parse(r#"{"a":"b","\u0061a":"\n"}"#) else { panic!("not an object") };
    let borrowed = members
        .iter()
        .map(|(name, json)| (matches!(name, Cow::Borrowed(_)), matches!(json, Json::Text(Cow::Borrowed(_)))));
    assert_eq!(borrowed.collect::<Vec<_>>(), [(true, true), (false, false)]);
}

#[test]
fn a_private_key_of_serde_json_is_an_ordinary_name() {
    for key in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
        for value in ["\"12\"", "12", "\"x\"", "{}", "[1]", "null"] {
            let inner = format!("{{\"{key}\":{value}}}");
            let expected = || Json::Object(vec![(key.into(), parse(value).unwrap())]);
            assert_eq!(parse(&inner), Ok(expected()), "{inner}");
            assert_eq!(parse(&format!("[{inner}]")), Ok(Json::Array(vec![expected()])), "{inner}");
            let nested = Json::Object(vec![(key.into(), expected())]);
            assert_eq!(parse(&format!("{{\"{key}\":{inner}}}")), Ok(nested), "{inner}");
        }
    }
}

#[test]
fn no_error_quotes_the_text() {
    let text = r#"{"secret": ["secret", -1.5e3, {"secret": "secret\u0061"}], "b": {"secret": true, "a": null}}"#;
    parse(text).unwrap();
    let said = |text: &str| {
        let walked = members(text, |_, _| Ok(())).map_err(|malformed| malformed.to_string());
        walked.and_then(|()| parse(text).map(drop).map_err(|malformed| malformed.to_string()))
    };
    for at in 0..text.len() {
        for wrong in ["", "secret", "\"", "]", "\\ud800", "1e999", "\u{1}"] {
            for rest in [at, at + 1] {
                let broken = format!("{}{wrong}{}", &text[..at], &text[rest..]);
                assert!(said(&broken).map_or_else(|said| !said.contains("secret"), |()| true), "{broken}");
            }
            assert!(!said(&format!("{}{wrong}", &text[..at])).unwrap_err().contains("secret"));
        }
    }
}

fn same(ours: &Json<'_>, theirs: &serde_json::Value) -> bool {
    match (ours, theirs) {
        (Json::Null, serde_json::Value::Null) => true,
        (Json::Bool(a), serde_json::Value::Bool(b)) => a == b,
        (Json::Number(a), serde_json::Value::Number(b)) => a.parse::<f64>().ok() == b.as_f64(),
        (Json::Text(a), serde_json::Value::String(b)) => a == b,
        (Json::Array(a), serde_json::Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), serde_json::Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, value)| b.get(&**name).is_some_and(|other| same(value, other)))
        }
        _ => false,
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            proptest::collection::btree_map(any::<String>(), inner, 0..24).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn output_of_serde_json_is_read_as_the_same_value(json in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        prop_assert!(same(&parse(&text).unwrap(), &json));
    }

    #[test]
    fn accepted_text_is_json_for_serde_json_too(text in r#"[\[\]{}:,"\\u0-9eE+. a-d-]{0,24}"#) {
        if parse(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }
    }

    #[test]
    fn no_text_causes_a_panic(text: String, cut in 0_usize..200) {
        let _ = (parse(&text), members(&text, |_, _| Ok(())));
        let quoted = serde_json::to_string(&text).unwrap();
        let _ = parse(quoted.get(..cut).unwrap_or(&quoted));
    }
}
