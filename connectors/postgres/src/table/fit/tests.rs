use super::*;

fn column(ty: &str, base: &str) -> CurrentColumn {
    CurrentColumn {
        declared: ty.to_owned(),
        ty: ty.to_owned(),
        base: base.to_owned(),
        is_domain: false,
        operators: None,
        not_null: false,
        is_primary: false,
        comment: None,
        has_default: false,
        is_identity: false,
        is_computed: false,
        is_generated: false,
        is_ours: false,
    }
}

fn of(values: ColumnType, column: &CurrentColumn) -> Fit {
    fit(values, &Schema::Null, column)
}

fn ours(ty: &str) -> CurrentColumn {
    CurrentColumn { is_ours: true, ..column(ty, ty) }
}

fn is_accepted(fit: &Fit) -> bool {
    matches!(fit, Fit::Accepts(_))
}

#[test]
fn a_column_becomes_json_for_values_of_several_types() {
    use ColumnType as C;
    for there in ["text", "bigint", "numeric", "boolean", "timestamp with time zone", "text[]"] {
        assert_eq!(of(C::Mixed, &column(there, there)), Fit::BecomesJson, "{there}");
    }
    assert_eq!(of(C::Mixed, &column("numeric(12,2)", "numeric")), Fit::BecomesJson);
    assert_eq!(of(C::Mixed, &column("jsonb", "jsonb")), plain());
    assert_eq!(of(C::Mixed, &column("json", "json")), cast("json"));
    // Of one type: JSON in a column of another type, but not in a text, which may hold JSON already.
    for values in [C::Jsonb, C::JsonText] {
        assert_eq!(of(values, &ours("bigint")), Fit::BecomesJson);
        assert!(is_accepted(&of(values, &ours("text"))));
        assert_eq!(of(values, &ours("bytea")), Fit::Refused);
        // A column of somebody else stays what it is.
        assert_eq!(of(values, &column("bigint", "bigint")), Fit::Refused);
    }
}

#[test]
fn a_column_of_ours_waits_for_another_kind_of_type_and_follows_a_wider_one() {
    use ColumnType as C;
    let decimal = C::Numeric { precision: 20, scale: 4 };
    for (values, there) in [
        (C::Text, "integer"),
        (C::Text, "jsonb"),
        (C::Text, "bytea"),
        (C::Text, "timestamp with time zone"),
        (C::Boolean, "integer"),
        (C::Integer, "boolean"),
        (C::Uuid, "integer"),
        (C::Bytea, "text"),
        (C::Bigint, "double precision"),
        (C::Time, "interval"),
        (C::Timestamp, "timestamp with time zone"),
        (decimal, "double precision"),
    ] {
        assert_eq!(of(values, &ours(there)), Fit::Refused, "{values:?} into {there}");
    }
    for (values, there, becomes) in [
        (C::Bigint, "integer", "bigint"),
        (decimal, "bigint", "numeric(23,4)"),
        (C::DoublePrecision, "real", "double precision"),
        (C::Timestamptz, "date", "timestamp with time zone"),
    ] {
        assert!(matches!(of(values, &ours(there)), Fit::Widened(to, Some(_)) if to == becomes), "{there}");
    }
}

#[test]
fn numbers_are_checked_where_a_column_holds_fewer_digits() {
    use ColumnType as C;
    let numeric = |ty: &str| column(ty, "numeric");
    let checked = |precision, scale| Some(encoded(C::AnyNumeric, Form::Digits { precision, scale }));
    let unchecked = Fit::Accepts(encoded(C::AnyNumeric, Form::Plain));
    let decimal = C::Numeric { precision: 20, scale: 4 };
    assert_eq!(of(C::Bigint, &numeric("numeric")), unchecked);
    assert_eq!(of(C::Numeric { precision: 9, scale: 2 }, &numeric("numeric(12,2)")), unchecked);
    for (values, ty, becomes, route) in [
        (C::Bigint, "numeric(12,2)", "numeric(21,2)", checked(12, 2)),
        (decimal, "numeric(12,2)", "numeric(20,4)", checked(12, 2)),
        (C::Bigint, "numeric(5,-2)", "numeric(19,0)", checked(5, -2)),
        (C::Integer, "numeric(3,5)", "numeric(15,5)", checked(3, 5)),
        (C::AnyNumeric, "numeric(12,2)", "numeric", checked(12, 2)),
    ] {
        assert_eq!(of(values, &numeric(ty)), Fit::Widened(becomes.to_owned(), route), "{ty}");
    }
    for values in [C::Text, C::DoublePrecision] {
        assert_eq!(of(values, &numeric("numeric(12,2)")), Fit::Accepts(checked(12, 2).unwrap()));
    }
    let smallint = encoded(C::Integer, Form::Smallint);
    assert_eq!(of(C::Integer, &column("smallint", "smallint")), Fit::Widened("integer".into(), Some(smallint)));
    assert_eq!(of(decimal, &column("real", "real")), Fit::Refused);
}

#[test]
fn a_text_goes_into_a_column_of_every_type() {
    for base in [
        "bigint",
        "boolean",
        "money",
        "real",
        "numeric",
        "bytea",
        "uuid",
        "xml",
        "json",
        "jsonb",
        "bit",
        "bit varying",
        "inet",
        "cidr",
        "macaddr",
        "tsvector",
        "daterange",
        "point",
        "interval",
        "date",
        "time with time zone",
        "text[]",
        "bit[]",
        "character",
        "\"char\"",
        "name",
        "hunt.mood",
        "hunt.pair",
        "public.ltree",
        "oid",
        "timestamp without time zone",
    ] {
        assert!(is_accepted(&of(ColumnType::Text, &column(base, base))), "{base}");
    }
    let length = |ty, base| match of(ColumnType::Text, &column(ty, base)) {
        Fit::Accepts(route) | Fit::Widened(_, Some(route)) => (route.form, route.cast),
        other => panic!("{other:?}"),
    };
    let three = |padded| Form::Length { characters: 3, padded };
    assert_eq!(length("character(3)", "character"), (three(true), Some("bpchar".to_owned())));
    assert_eq!(length("character varying(3)", "character varying"), (three(false), None));
    // A cast to `bit` has one bit.
    assert_eq!(length("bit(4)", "bit"), (Form::Plain, Some("bit varying".to_owned())));
    // Its fields would cut a value without an error.
    assert_eq!(of(ColumnType::Text, &column("interval day to second", "interval")), Fit::Refused);
}

#[test]
fn times_keep_their_digits_and_their_zone() {
    use ColumnType as C;
    let fit_of = |values, ty: &str, base: &str| of(values, &column(ty, base));
    let milliseconds = |wire| Fit::Accepts(encoded(wire, Form::Fraction(3)));
    assert_eq!(fit_of(C::Timestamp, "timestamp(3) without time zone", LOCAL), milliseconds(C::Timestamp));
    assert_eq!(fit_of(C::Timestamptz, "timestamp(3) with time zone", INSTANT), milliseconds(C::Timestamptz));
    assert_eq!(fit_of(C::Time, "interval(3)", "interval"), milliseconds(C::Interval));
    let plain = |wire| Fit::Accepts(encoded(wire, Form::Plain));
    assert_eq!(fit_of(C::Time, "time(6) without time zone", CLOCK), plain(C::Time));
    assert_eq!(fit_of(C::MicroDuration, "interval", "interval"), plain(C::Interval));
    assert_eq!(fit_of(C::Timestamp, INSTANT, INSTANT), Fit::Refused);
    assert_eq!(fit_of(C::Time, ZONED_CLOCK, ZONED_CLOCK), Fit::Refused);
}

#[test]
fn an_array_column_takes_the_arrays_whose_items_it_holds() {
    let list = |items: &str| Schema::parse_str(&format!(r#"["null",{{"type":"array","items":{items}}}]"#)).unwrap();
    let fits =
        |items: &str, ty: &str, base: &str| is_accepted(&fit(ColumnType::Jsonb, &list(items), &column(ty, base)));
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":4}"#;
    for (items, ty, base, taken) in [
        (r#"["null","string"]"#, "text[]", "text[]", true),
        (r#""string""#, "character varying(5)[]", "character varying[]", true),
        (r#""int""#, "integer[]", "integer[]", true),
        (r#"{"type":"array","items":"int"}"#, "integer[]", "integer[]", true),
        (r#""double""#, "real[]", "real[]", false),
        (decimal, "numeric[]", "numeric[]", true),
        (decimal, "numeric(9,2)[]", "numeric[]", false),
        (decimal, "numeric(12,4)[]", "numeric[]", true),
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            "timestamp(0) with time zone[]",
            "timestamp with time zone[]",
            false,
        ),
        (r#"{"type":"string","logicalType":"uuid"}"#, "uuid[]", "uuid[]", true),
        (r#""string""#, "date[]", "date[]", false),
    ] {
        assert_eq!(fits(items, ty, base), taken, "{items} into {ty}");
    }
}
