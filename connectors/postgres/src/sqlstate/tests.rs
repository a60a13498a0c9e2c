//! The class of each SQLSTATE that needs a decision, and of each class of the manual.

use super::{CLASSES, Class, Origin, class_of};

/// States that have one meaning, whichever statement meets them.
const BY_STATE: [(&[&str], Class); 8] = [
    // Away, full, read-only, or without the session's statements.
    (
        &[
            "08000", "08001", "08003", "08006", "08P01", "25006", "25P02", "25P03", "25P04", "26000", "28000", "28P01",
            "42P05", "53000", "53100", "53300", "55006", "57000", "57P01", "57P02", "57P03", "57P04", "57P05", "58000",
            "58030", "58P01", "HV00N",
        ],
        Class::Outage,
    ),
    (&["40000", "40001", "40002", "40003", "40P01", "55P03", "72000"], Class::Contention),
    (&["57014"], Class::TooSlow),
    (&["53200", "53400"], Class::TooLarge),
    // Values, sizes, constraints, functions that refuse a row; and classes that no manual has.
    (
        &[
            "20000", "21000", "22001", "22003", "22021", "22P02", "22P05", "23000", "23502", "23503", "23505", "23514",
            "23P01", "38000", "38001", "44000", "54000", "54001", "54011", "54023", "P0000", "P0001", "P0002", "P0003",
            "P0004", "UE001", "ZZZZZ", "99999", "D0001",
        ],
        Class::Data,
    ),
    (&["XX000"], Class::Internal),
    (&["XX001", "XX002"], Class::Setup),
    // Rights, tables, columns, functions, large objects, features: of the set-up, or of one row in a trigger.
    (
        &[
            "01000", "02000", "03000", "09000", "0A000", "0B000", "0F000", "0L000", "0P000", "0Z000", "10608", "24000",
            "25000", "25001", "27000", "2B000", "2BP01", "2D000", "2F000", "34000", "39000", "39P01", "3B001", "3D000",
            "3F000", "42501", "42601", "42703", "42704", "42804", "42883", "42P01", "42P10", "42P17", "42P22", "55000",
            "55P02", "55P04", "F0000", "HV000", "HV00R",
        ],
        Class::Unclear,
    ),
];

#[test]
fn each_sqlstate_has_its_class() {
    for (states, class) in BY_STATE {
        for state in states {
            assert_eq!(class_of(state, Origin::Statement), class, "{state}");
        }
    }
    for group in CLASSES.iter().filter(|group| **group != "00") {
        let is_listed = |states: &[&str]| states.iter().any(|state| state.starts_with(group));
        assert!(BY_STATE.iter().any(|(states, _)| is_listed(states)), "class {group} has no state in the list");
    }
}

#[test]
fn a_state_that_a_function_raises_refuses_the_row_unless_it_asks_to_retry() {
    for (states, class) in BY_STATE {
        for state in states {
            let retries = ["08", "40", "53", "57", "58", "72"].contains(&&state[..2]) || *state == "55P03";
            let expected = if retries { class } else { Class::Data };
            assert_eq!(class_of(state, Origin::Raised), expected, "{state}");
        }
    }
}

#[test]
fn the_origin_decides_between_a_missing_right_and_a_policy() {
    assert_eq!(class_of("42501", Origin::Rights), Class::Setup);
    assert_eq!(class_of("42501", Origin::Policy), Class::Data);
    assert_eq!(class_of("42501", Origin::Function), Class::Unclear, "a trigger lacks a right");
    assert_eq!(class_of("28000", Origin::Function), Class::Unclear, "a trigger connects elsewhere");
}

#[test]
fn a_state_that_is_no_sqlstate_is_of_no_class() {
    for state in ["", "1", "é", "ab"] {
        assert_eq!(class_of(state, Origin::Statement), Class::Data, "{state:?}");
    }
}
