//! The matcher against the real one's answers, and against its own rules.

use super::{DiskFacts, HintError, RootHints};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use serde_json::{Map, Value, json};

/// Answers of the real matcher, captured from it (the fixture names versions and form).
const FIXTURE: &str = include_str!("../../../tests/fixtures/root_hints.json");

fn hints(value: Value) -> RootHints {
    RootHints::parse(value.as_object().unwrap()).unwrap()
}

fn disk(value: &Value) -> DiskFacts {
    let text = |name: &str| value[name].as_str().map(str::to_string);
    let list = |name: &str| value[name].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_string()).collect();
    DiskFacts {
        name: text("name").unwrap(),
        size: value["size"].as_u64().unwrap(),
        rotational: value["rotational"].as_bool(),
        model: text("model"),
        vendor: text("vendor"),
        serials: list("serial"),
        wwns: list("wwn"),
        wwn_with_extension: text("wwn_with_extension"),
        wwn_vendor_extension: text("wwn_vendor_extension"),
        hctl: text("hctl"),
        by_paths: text("by_path").into_iter().collect(),
        tran: text("tran"),
    }
}

/// Where we say "error" and the real one says "no match": an operator that can never match a serial or WWN. In a skip
/// list a hint that silently matches nothing would cost somebody's data.
fn stricter(hints: &Value) -> bool {
    let hopeless = ["=", "!=", "<", ">"];
    hints.as_object().unwrap().iter().any(|(name, value)| {
        ["serial", "wwn"].contains(&name.as_str())
            && value.as_str().is_some_and(|text| hopeless.iter().any(|start| text.trim().starts_with(start)))
    })
}

#[test]
fn answers_are_those_of_the_real_matcher() {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let disks: Vec<DiskFacts> = fixture["disks"].as_array().unwrap().iter().map(disk).collect();
    let (mut wrong, mut seen) = (Vec::new(), [0; 4]);
    for case in fixture["cases"].as_array().unwrap() {
        let found = match RootHints::parse(case[0].as_object().unwrap()) {
            Err(_) => json!("invalid"),
            Ok(hints) => match hints.matches(&disks[usize::try_from(case[1].as_u64().unwrap()).unwrap()]) {
                Err(_) => json!("error"),
                Ok(matches) => json!(matches),
            },
        };
        seen[match case[2].as_str() {
            Some("invalid") => 0,
            Some(_) => 1,
            None => 2 + usize::from(case[2] == json!(true)),
        }] += 1;
        let same = found == case[2] || (found == json!("error") && case[2] == json!(false) && stricter(&case[0]));
        if !same {
            wrong.push(format!("{case}: we say {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {:?} differ:\n{}", wrong.len(), seen, wrong.join("\n"));
    assert!(seen.iter().all(|&count| count > 50), "every kind of answer is in the fixture: {seen:?}");
}

#[test]
fn size_is_the_exact_fraction_of_a_gib() {
    let disk = DiskFacts { size: 500_107_862_016, ..Default::default() };
    assert!(!hints(json!({"size": 465})).matches(&disk).unwrap());
    assert!(hints(json!({"size": ">= 465"})).matches(&disk).unwrap());
    assert!(hints(json!({"size": 10})).matches(&DiskFacts { size: 10 << 30, ..Default::default() }).unwrap());
}

#[test]
fn a_number_operator_on_a_text_spoils_the_whole_choice() {
    let disk = DiskFacts { name: "/dev/sda".into(), model: Some("QEMU HARDDISK".into()), ..Default::default() };
    let error = hints(json!({"model": ">= qemu"})).matches(&disk).unwrap_err();
    assert!(error.to_string().contains("compares numbers"), "{error}");
    let error = hints(json!({"model": "== 5"})).matches(&disk).unwrap_err();
    assert!(error.to_string().contains("`QEMU HARDDISK`, which is no number"), "{error}");
}

#[test]
fn a_miss_says_what_was_wanted_and_what_was_found() {
    let disk = DiskFacts { name: "/dev/sda".into(), serials: vec!["A".into(), "B_A".into()], ..Default::default() };
    let miss = hints(json!({"name": "/dev/sda", "serial": "C"})).miss(&disk).unwrap().unwrap();
    assert_eq!(miss.to_string(), "serial is `A`, `B_A`, wanted `C`");
    assert_eq!(hints(json!({"serial": "b_a"})).miss(&disk).unwrap(), None);
    assert_eq!(hints(json!({"model": "x", "size": "> 1"})).to_string(), "model: `x`, size: `> 1`");
}

#[test]
fn a_disk_cannot_pose_as_an_expression() {
    // The real matcher parses the attribute as if it were a hint; such a model would break every choice.
    for model in ["==", "<or>", "s==", ">= 5"] {
        let disk = DiskFacts { model: Some(model.into()), ..Default::default() };
        assert!(!hints(json!({"model": "qemu"})).matches(&disk).unwrap());
    }
}

#[test]
fn unknown_names_and_impossible_values_name_themselves() {
    let parse = |value: Value| RootHints::parse(value.as_object().unwrap()).unwrap_err();
    assert_eq!(parse(json!({"colour": "red"})), HintError::Unknown("colour".into()));
    for (value, part) in [
        (json!({"size": "big"}), "whole number of GiB"),
        (json!({"rotational": "maybe"}), "true or false"),
        (json!({"model": 7}), "it is a text"),
        (json!({"wwn": " "}), "empty"),
        (json!({"serial": "s=="}), "needs a value"),
    ] {
        let error = parse(value).to_string();
        assert!(error.contains(part), "{error}");
    }
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.~/-][ -~]{0,12}[a-zA-Z0-9_.~/-]".prop_filter("no operator", |text| {
        !text.contains("<or>")
            && !text.to_lowercase().starts_with("s=")
            && !text.to_lowercase().starts_with("s!")
            && !text.to_lowercase().starts_with("s<")
            && !text.to_lowercase().starts_with("s>")
    })
}

proptest! {
    #[test]
    fn no_hint_and_no_disk_makes_it_panic(name in "[a-z_]{1,20}|serial|model|size|wwn|rotational", text in any::<String>(), model in any::<String>()) {
        let map = Map::from_iter([(name, Value::String(text))]);
        if let Ok(hints) = RootHints::parse(&map) {
            let _ = hints.miss(&DiskFacts { model: Some(model.clone()), serials: vec![model], ..Default::default() });
        }
    }

    #[test]
    fn equality_ignores_case_and_outer_space_and_nothing_else(wanted in word(), found in word()) {
        let disk = |model: &str| DiskFacts { model: Some(model.into()), ..Default::default() };
        for hint in [wanted.clone(), format!("s== {wanted}"), format!("<or> {wanted}"), format!("<in> {wanted}")] {
            let hints = hints(json!({"model": hint}));
            let shouted = format!("  {} ", wanted.to_uppercase());
            prop_assert!(hints.matches(&disk(&shouted)).unwrap(), "{}", hint);
            if !hint.starts_with("<in>") {
                prop_assert_eq!(hints.matches(&disk(&found)).unwrap(), found.to_lowercase() == wanted.to_lowercase());
            }
        }
    }

    #[test]
    fn an_or_list_matches_each_of_its_values(values in prop::collection::vec(word(), 1..5)) {
        let hint: String = values.iter().map(|value| format!("<or> {value} ")).collect();
        let hints = hints(json!({"serial": hint}));
        for value in &values {
            let disk = DiskFacts { serials: vec!["-".into(), value.clone()], ..Default::default() };
            prop_assert!(hints.matches(&disk).unwrap());
        }
    }

    #[test]
    fn size_operators_order_numbers(gib in 1_u64..100_000, wanted in 1_u64..100_000) {
        let disk = DiskFacts { size: gib << 30, ..Default::default() };
        for (operator, expected) in [("", gib == wanted), ("==", gib == wanted), ("!=", gib != wanted), ("=", gib >= wanted),
            (">=", gib >= wanted), ("<=", gib <= wanted), (">", gib > wanted), ("<", gib < wanted), ("<or>", false)] {
            prop_assert_eq!(hints(json!({"size": format!("{operator} {wanted}")})).matches(&disk).unwrap(), expected, "{}", operator);
        }
    }
}
